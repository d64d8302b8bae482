"""How the end of an operation becomes a trigger: two pure functions over what was seen on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from .policy import Policy
from .terms import Trigger

__all__ = [
    "NO_HANDSHAKE",
    "Answered",
    "NoAnswer",
    "Outcome",
    "StatusAnswered",
    "StoreFailed",
    "Unanswered",
    "classify_poll",
    "classify_renewal",
]

NO_HANDSHAKE = (404, 405, 501)
"""Statuses by which a server says that it has no ``notifystart``."""

SESSION_TIMEOUT = -14
"""The server does not know the session (docs/reference/protocol.md, section 4.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """
    The server answered, and it could be read.

    Attributes:
        code: The code in force, of ``ret`` and ``errcode``; 0 is success.
        has_messages: The ``msgs`` key is there, even with an empty list.
        has_cursor: There is a cursor, and it is not empty.
        news: How many messages it brought that were new to us.
    """

    code: int = 0
    has_messages: bool = False
    has_cursor: bool = False
    news: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAnswered:
    """
    Something answered with an HTTP status outside 2xx.

    Attributes:
        status: The status.
        retry_after_s: What ``Retry-After`` asked for.
    """

    status: int
    retry_after_s: float | None = None


class NoAnswer(StrEnum):
    """Why there was no answer."""

    DEADLINE = "deadline"
    """Our own deadline ended the operation."""
    CONNECTION_LOST = "connection lost"
    """There was a connection and it broke."""
    NO_CONNECTION = "no connection"
    """There never was one."""
    BROKEN = "broken answer"
    """What came could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """There was no answer that could be read."""

    why: NoAnswer


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The batch could not be committed, whatever the server answered."""


Outcome: TypeAlias = Answered | StatusAnswered | Unanswered | StoreFailed


def classify_poll(outcome: Outcome, held_s: float, policy: Policy) -> Trigger:
    """
    Return the trigger of a ``getupdates`` that has ended.

    Args:
        outcome: What was seen.
        held_s: Seconds from the start of the request to its end.
        policy: Where the lines lie between a held poll and an instant one.
    """
    match outcome:
        case StoreFailed():
            return Trigger.STORE_FAILED
        case Answered(code=code) if code == SESSION_TIMEOUT:
            return Trigger.SESSION_LAPSED if held_s >= policy.lapse_after_s else Trigger.SESSION_EXPIRED
        case Answered(code=code) if code != 0:
            return Trigger.POLL_FAILED
        case Answered(has_messages=False, has_cursor=False):
            return Trigger.HOLLOW
        case Answered(news=news):
            return Trigger.POLLED if news or held_s >= policy.quick_s else Trigger.HURRIED
        case StatusAnswered(status=401 | 403):
            return Trigger.SESSION_EXPIRED
        case StatusAnswered(status=408 | 504 | 524) if held_s >= policy.silent_after_s:
            return Trigger.SILENT
        case Unanswered(why=NoAnswer.DEADLINE | NoAnswer.CONNECTION_LOST) if held_s >= policy.silent_after_s:
            return Trigger.SILENT
        case _:
            return Trigger.POLL_FAILED


def classify_renewal(outcome: Outcome) -> Trigger:
    """Return the trigger of a renewal that has ended. A server without the handshake (404, 405, 501) needs none."""
    match outcome:
        case StoreFailed():
            return Trigger.STORE_FAILED
        case Answered(code=0):
            return Trigger.SESSION_RENEWED
        case StatusAnswered(status=status) if status in NO_HANDSHAKE:
            return Trigger.SESSION_RENEWED
        case Answered(code=code) if code == SESSION_TIMEOUT:
            return Trigger.SESSION_EXPIRED
        case StatusAnswered(status=401 | 403):
            return Trigger.SESSION_EXPIRED
        case _:
            return Trigger.RENEWAL_FAILED
