"""What a session tells about itself: one frozen, versioned record for every change."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

from sessionfsm.lifecycle import Command, Machine, Memory

__all__ = ["Observer", "Quiet", "Record", "SendObserver", "SendRecord", "Witness"]

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """
    Good polls that changed nothing: they are counted, not recorded.

    Attributes:
        polls: How many there were since the last record.
        first_started_s: When the first of them started.
        last_started_s: When the last of them started.
        longest_gap_s: The longest time between the starts of two requests in a row, up to the last of them.
        news: How many messages they brought that were new.
        since_news: How many of them there were after the last one that brought news; all of them without any.
    """

    polls: int
    first_started_s: float
    last_started_s: float
    longest_gap_s: float
    news: int
    since_news: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One change of a session. Times ending in ``_s`` are seconds on the monotonic clock, except ``wall_s``.

    Attributes:
        version: Of this form; a reader refuses one that it does not know.
        account: Whose session it is.
        number: Counts the session's records from 1.
        at_s: When it happened.
        wall_s: The same in seconds since the epoch, for people.
        serial: The number of the operation that was outstanding; ``None`` if none was.
        operation: What that operation was: ``renew``, ``poll``, ``wait``, ``close``, or empty.
        trigger: What happened.
        source: The state before.
        target: The state after.
        memory: The memory after.
        command: What was ordered, if anything was.
        wait_s: How long the ordered wait lasts, jitter and ``Retry-After`` included; ``None`` without a wait.
        started_s: When the request that ended, or that a stop cut short, was started; ``None`` when there was none.
        held_s: How long that request was out, until its answer or the lack of one; the commit came after that.
        news: How many messages it brought that were new.
        reason: Why the table has this arc.
        detail: What was seen, such as ``HTTP 502``; empty when the trigger says it all.
        raised: Signals that are up since this change.
        cleared: Signals that are down since this change.
        quiet: What was counted since the last record, or ``None`` for nothing.
    """

    version: int = VERSION
    account: str
    number: int
    at_s: float
    wall_s: float
    serial: int | None
    operation: str
    trigger: str
    source: str
    target: str
    memory: Memory
    command: Command | None
    wait_s: float | None
    started_s: float | None
    held_s: float | None
    news: int
    reason: str
    detail: str
    raised: tuple[str, ...]
    cleared: tuple[str, ...]
    quiet: Quiet | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {
            "version": self.version,
            "account": self.account,
            "number": self.number,
            "at_s": self.at_s,
            "wall_s": self.wall_s,
            "serial": self.serial,
            "operation": self.operation,
            "trigger": self.trigger,
            "source": self.source,
            "target": self.target,
            "memory": self.memory._asdict(),
            "command": {"kind": type(self.command).__name__.lower(), **_cells(self.command)} if self.command else None,
            "wait_s": self.wait_s,
            "started_s": self.started_s,
            "held_s": self.held_s,
            "news": self.news,
            "reason": self.reason,
            "detail": self.detail,
            "raised": list(self.raised),
            "cleared": list(self.cleared),
            "quiet": _cells(self.quiet) if self.quiet else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRecord:
    """
    One text that was sent, or was to be. Neither the text nor the user stands in it.

    Attributes:
        account: Whose session it is.
        started_s: When it was asked for, on the monotonic clock.
        held_s: How long it took, until its answer or its error; sends of one session wait for each other.
        state: Where the session was when it was asked for: that changes nothing for it.
        failed: The name of the error that it ended with; empty if it went out.
        detail: What was seen, such as ``HTTP status 502``, without the server's own words; empty if it went out.
    """

    account: str
    started_s: float
    held_s: float
    state: str
    failed: str
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return _cells(self)


def _cells(flat: Command | Quiet | SendRecord) -> dict[str, Any]:
    """Return the fields of what holds plain values only: ``asdict`` would copy each, in many times the time."""
    return {field.name: getattr(flat, field.name) for field in fields(flat)}


class Observer(Protocol):
    """
    Is called with every record, in the session's own task: it must be quick, and must not wait.

    What it raises is logged, and changes nothing; but :class:`~sessionfsm.PropertyBroken` ends the session: in order,
    as a stop does, and then leaving the session raises it.
    """

    def __call__(self, record: Record, /) -> object: ...


@runtime_checkable
class Witness(Protocol):
    """
    An observer that has to see everything: it is told of the machine before the first record, and of every poll.

    It is one if it has these methods, and is passed to the session when that is made.
    """

    def begin_run(self, machine: Machine, /) -> object:
        """A session has been made that will run on *machine*."""

    def __call__(self, record: Record, /) -> object: ...


@runtime_checkable
class SendObserver(Protocol):
    """An observer that is told of every text that is sent, too. Pass it to the session when that is made."""

    def __call__(self, record: Record, /) -> object: ...

    def sent(self, send: SendRecord, /) -> object:
        """A text went out, or failed."""
