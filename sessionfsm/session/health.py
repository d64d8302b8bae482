"""Whether a session is well, by what it has received and not by whether its task is alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Health"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """
    The truth about a session at one instant.

    Attributes:
        account: Whose session it is.
        state: The lifecycle's state.
        ready: Fit for a readiness check: it is polling, and the last good poll is no older than a poll can take.
        last_poll_age_s: Seconds since the last *good* poll was completed; ``None`` if there never was one. A poll that
            ended in silence or in an error is not a completed one.
        last_message_age_s: Seconds since the last message that was new; ``None`` if there never was one.
        reason: Why the session is in this state.
        detail: What was seen on the wire that led here; may be empty.
        next_retry_s: Seconds until the wait is over; ``None`` when it is not waiting.
        signals: What an operator should know, such as ``login_required``.
        polls: Good polls so far.
        in_hand: Messages that are with handlers now.
        uncommitted: Batches that are in memory only, because the store failed.
        storage: What is wrong with the store, in words; empty while it works. Nothing is polled meanwhile.
    """

    account: str
    state: str
    ready: bool
    last_poll_age_s: float | None
    last_message_age_s: float | None
    reason: str
    detail: str
    next_retry_s: float | None
    signals: tuple[str, ...]
    polls: int
    in_hand: int
    uncommitted: int
    storage: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {"signals": list(self.signals)}
