"""What a run came to, in figures, counted from its records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sessionfsm.lifecycle import Poll, Trigger
from sessionfsm.session import Record, SendRecord

from .lines import RunLine

__all__ = ["RunReport"]

T = Trigger

_GOOD = (T.POLLED, T.HURRIED)


@dataclass(slots=True, kw_only=True)
class RunReport:
    """
    One run in a trace.

    Attributes:
        line: The line that begins it.
        last_line: Its last line.
        run: What stands on its first line.
        end: ``closed`` if its end is on file. Else it is ``cut``: its process was killed, or it goes on; ``torn``: the
            same, in the middle of a line; ``broken_off``: the file could not be written any more; or
            ``unread``: it was read no further than to the first line that is wrong.
        why: Why it is broken off.
        records: How many records it has.
        duration_s: From its first record to its last.
        requests: Polls and renewals that were made, quiet polls included.
        polls: Polls alone.
        good_polls: Polls that had no error.
        renewals: Calls of ``notifystart``.
        renewals_failed: Those that did not succeed.
        losses: How often the server said, or showed, that the session is gone.
        waits: How many waits were ordered.
        waiting_s: How long these were, together.
        messages: How many messages came that were new.
        sends: How many texts were sent, or were to be.
        sends_failed: How many of them failed.
        longest_gap_s: The longest time between the starts of two requests in a row.
        longest_without_good_poll_s: The longest time without the end of a good poll, up to the last record.
        signals: Every signal that was raised.
    """

    line: int
    last_line: int
    run: RunLine
    end: Literal["closed", "cut", "torn", "broken_off", "unread"] = "cut"
    why: str = ""
    records: int = 0
    duration_s: float = 0.0
    polls: int = 0
    good_polls: int = 0
    renewals: int = 0
    renewals_failed: int = 0
    losses: int = 0
    waits: int = 0
    waiting_s: float = 0.0
    messages: int = 0
    sends: int = 0
    sends_failed: int = 0
    longest_gap_s: float = 0.0
    longest_without_good_poll_s: float = 0.0
    signals: set[str] = field(default_factory=set)
    _good_s: float | None = None

    @property
    def requests(self) -> int:
        """Polls and renewals that were made."""
        return self.polls + self.renewals

    def add(self, record: Record, *, longest_gap_s: float) -> None:
        """Count *record*."""
        trigger, quiet = record.trigger, record.quiet
        self.records += 1
        self.duration_s = record.at_s - self.run.at_s
        self.longest_gap_s = longest_gap_s
        if self._good_s is None:
            self._good_s = record.at_s
        if quiet is not None:
            self.polls += quiet.polls
            self.good_polls += quiet.polls
            self.messages += quiet.news
            self._good_until(quiet.first_started_s, at_least_s=quiet.longest_gap_s)
            self._good_s = max(self._good_s, quiet.last_started_s)
        self._good_until(record.at_s)
        if record.started_s is not None:
            self.polls += record.operation == "poll"
            self.renewals += record.operation == "renew"
        if trigger in _GOOD:
            self.good_polls += 1
            self._good_s = record.at_s
        self.renewals_failed += record.operation == "renew" and trigger in (T.RENEWAL_FAILED, T.SESSION_EXPIRED)
        third = trigger == T.HOLLOW and not isinstance(record.command, Poll)
        self.losses += trigger in (T.SESSION_EXPIRED, T.SESSION_LAPSED) or third
        if record.wait_s is not None:
            self.waits += 1
            self.waiting_s += record.wait_s
        self.messages += record.news
        if len(self.signals) < 100:  # what a hostile file invents is not kept
            self.signals.update(record.raised)
        self.end = "closed" if trigger == T.CLOSED else "cut"

    def add_send(self, send: SendRecord) -> None:
        """Count *send*."""
        self.sends += 1
        self.sends_failed += bool(send.failed)

    def _good_until(self, at_s: float, at_least_s: float = 0.0) -> None:
        since = at_s - self._good_s if self._good_s is not None else 0.0
        self.longest_without_good_poll_s = max(self.longest_without_good_poll_s, since, at_least_s)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {
            "account": self.run.account,
            "library": self.run.library,
            "table": self.run.table,
            "began_s": self.run.wall_s,
            "first_line": self.line,
            "last_line": self.last_line,
            "end": self.end,
            "why": self.why or None,
            "records": self.records,
            "duration_s": self.duration_s,
            "requests": self.requests,
            "polls": self.polls,
            "good_polls": self.good_polls,
            "renewals": self.renewals,
            "renewals_failed": self.renewals_failed,
            "losses": self.losses,
            "waits": self.waits,
            "waiting_s": self.waiting_s,
            "messages": self.messages,
            "sends": self.sends,
            "sends_failed": self.sends_failed,
            "longest_gap_s": self.longest_gap_s,
            "longest_without_good_poll_s": self.longest_without_good_poll_s,
            "signals": sorted(self.signals),
        }
