"""What happens in the demo, in the words of whoever watches it or counts it."""

from __future__ import annotations

from dataclasses import dataclass

from .plan import Incident

__all__ = ["Event", "Happened", "reply_id", "reply_to"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    Something that a viewer wants to hear of.

    Attributes:
        at_s: Seconds since the start of the demo.
        kind: ``fault``, ``session``, ``message``, ``text`` or ``demo``.
        words: What, in one line.
    """

    at_s: float
    kind: str
    words: str


@dataclass(slots=True, kw_only=True)
class Happened:
    """
    An incident and what became of it, as the session saw it.

    Attributes:
        incident: What it is.
        began_s: When it was begun; ``None`` before.
        ended_s: When the poll began that was good again; ``None`` before.
    """

    incident: Incident
    began_s: float | None = None
    ended_s: float | None = None


def reply_id(message_id: str, handling: int) -> str:
    """Return the client id of an answer: another one for each handling, so that the log tells them apart."""
    return f"reply:{message_id}:{handling}"


def reply_to(client_id: str) -> str:
    """Return the id of the message that a text answers; empty for one that answers none."""
    kind, _, rest = client_id.partition(":")
    return rest.partition(":")[0] if kind == "reply" else ""
