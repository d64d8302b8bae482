"""The words of the lifecycle: states, triggers, ladders, signals, and the commands that a driver performs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

__all__ = ["Close", "Command", "Ladder", "Own", "Poll", "Renew", "Signal", "State", "Trigger", "Wait"]


class State(StrEnum):
    """Where a session is. In every live state (the middle three) exactly one operation is outstanding."""

    STOPPED = "stopped"
    """Nothing is outstanding: before the first start and after the last close."""
    RECOVERING = "recovering"
    """A renewal is outstanding: the ``notifystart`` handshake."""
    ACTIVE = "active"
    """A long poll is outstanding: ``getupdates``."""
    BACKOFF = "backoff"
    """A timer is outstanding; a renewal follows it."""
    STOPPING = "stopping"
    """The close is outstanding: handlers are drained and ``notifystop`` is sent."""


class Trigger(StrEnum):
    """What can happen to a session. All but ``start``, ``stop`` and ``wake`` are outcomes of what is outstanding."""

    START = "start"
    """Somebody wants the session to live."""
    STOP = "stop"
    """Somebody wants the session to end, in order."""
    WAKE = "wake"
    """Somebody has a reason to believe that waiting longer is pointless."""
    CLOSED = "closed"
    """The close has ended."""
    RETRY_DUE = "retry_due"
    """The wait is over."""

    SESSION_RENEWED = "session_renewed"
    """``notifystart`` succeeded, or this server has no such handshake."""
    RENEWAL_FAILED = "renewal_failed"
    """``notifystart`` ended without an answer that means anything."""
    CREDENTIALS_CHANGED = "credentials_changed"
    """The renewal found that another process has logged in; it goes on with the new credentials."""

    SESSION_EXPIRED = "session_expired"
    """The server says that it does not know the session."""
    SESSION_LAPSED = "session_lapsed"
    """The server says so about a poll that it had held for a while: the session was there when the poll began."""
    POLLED = "polled"
    """A good poll that brought messages new to us, or was held a second or more."""
    HURRIED = "hurried"
    """A good poll that came back at once with nothing new."""
    HOLLOW = "hollow"
    """An answer without an error that has neither messages nor a cursor."""
    SILENT = "silent"
    """No answer, though the poll was out for ten seconds or more: the weather of long polls."""
    POLL_FAILED = "poll_failed"
    """Any other end of a poll."""
    STORE_FAILED = "store_failed"
    """A batch could not be committed."""


class Ladder(StrEnum):
    """A schedule of waits, each twice the one before, up to a ceiling."""

    SESSION = "session"
    """When a renewed session is denied all the same."""
    TRANSPORT = "transport"
    """When nobody answers, or the handshake itself is broken."""


class Signal(StrEnum):
    """What an operator should hear of. Each is raised once and cleared by a good poll."""

    LOGIN_REQUIRED = "login_required"
    """The server keeps denying a session that was renewed: probably somebody logged in elsewhere."""
    RENEWAL_BLOCKED = "renewal_blocked"
    """The session is lost and the handshake that would rebuild it keeps failing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """
    Commit a batch that is still in memory, read the credentials again, call ``notifystart``; all within the deadline.

    Attributes:
        serial: The number that the outcome must carry.
        deadline_s: Seconds from the start of the renewal.
    """

    serial: int
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """
    Call ``getupdates`` and commit what it brings; the deadline is the policy's, from the server's last hint.

    Attributes:
        serial: The number that the outcome must carry.
        pace_s: The poll starts no sooner than this many seconds after the last poll *started*; 0 is at once.
        fresh: Use a new connection: the last one may be dead.
    """

    serial: int
    pace_s: float = 0.0
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """
    Wait, for as long as :func:`~sessionfsm.lifecycle.delay` says, then report ``retry_due``.

    Attributes:
        serial: The number that the outcome must carry.
        ladder: Which ladder ordered the wait: a :class:`Ladder`, or the name of a pause in a table of your own.
        attempt: Which wait on this ladder it is since the ladder was reset; the first is 1. It stops at the top rung.
        rung_s: The wait before jitter, in seconds.
        first_s: The ladder's first rung: a wake never cuts the wait below it.
        ceiling_s: The longest that the wait may become, whatever the server asks for.
    """

    serial: int
    ladder: str
    attempt: int
    rung_s: float
    first_s: float
    ceiling_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """
    Abort the poll, drain the handlers and, side by side, say ``notifystop`` if *notify*; then report ``closed``.

    Attributes:
        serial: The number that the outcome must carry.
        notify: Whether the server still knows the session, so that ``notifystop`` has a meaning.
    """

    serial: int
    notify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """
    Run an operation of your own, which a table of your own orders; then report what it says.

    Attributes:
        serial: The number that the outcome must carry.
        name: Which one.
        deadline_s: Seconds from its start; then it is cancelled.
        outcomes: What it may say.
        otherwise: What is reported when it raises, says anything else, or is not over by the deadline.
    """

    serial: int
    name: str
    deadline_s: float
    outcomes: tuple[str, ...]
    otherwise: str


Command: TypeAlias = Renew | Poll | Wait | Own | Close
