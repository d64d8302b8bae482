"""A recorded run as pictures need it: plain values, in seconds since the run began."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sessionfsm.diagram import Diagram
from sessionfsm.errors import DefinitionError
from sessionfsm.session import Record

__all__ = ["End", "Request", "Run", "SendMark", "Stay", "StepMark", "Waiting", "signals_up"]

End: TypeAlias = Literal["closed", "open", "torn", "broken_off", "cut"]
"""
How the records of a run end: with its ``closed``; without it, because the process was killed or goes on; the same, in
the middle of a line; because the file could not be written any more; or because only a stretch was asked for, after
which it goes on.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMark:
    """
    One record of the run.

    Attributes:
        at_s: When it happened.
        arc: The id of the arc that it took (:attr:`~sessionfsm.diagram.Arc.id`).
        quiet_arc: The id of the arc that the quiet polls before it took; empty without any.
        record: The record.
    """

    at_s: float
    arc: str
    quiet_arc: str
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A time in one state, without a break: an arc from a state to itself does not end it."""

    state: str
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A request, or several quiet polls that were only counted.

    Attributes:
        kind: ``poll`` is getupdates, ``renew`` is notifystart, ``close`` is notifystop.
        from_s: When it was started; of several, the first.
        until_s: When its answer came, or it was given up; of several, when the last was *started*.
        polls: How many it stands for; 1 but for quiet polls.
        good: Whether it was answered well. What became of a notifystop is not on record: it counts as good.
        trigger: What it came to.
        news: How many messages it brought that were new.
        detail: What was seen, such as ``HTTP status 502``; empty when the trigger says it all.
        number: Of the record that tells of it.
        counted: Whether it was only counted, not recorded: quiet polls, of which the last one's end is not known.
        quiet_arc: The id of the arc that quiet polls took which no record tells of yet; *number* is that of the next
            one then. Else empty.
    """

    kind: Literal["poll", "renew", "close"]
    from_s: float
    until_s: float
    polls: int
    good: bool
    trigger: str
    news: int
    detail: str
    number: int
    counted: bool = False
    quiet_arc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """
    A wait, or an operation of a table of one's own.

    Attributes:
        from_s: When it was ordered.
        until_s: When it was over, or cut short.
        planned_s: How long it was to last; ``None`` for an operation.
        what: The ladder of a wait, the name of an operation.
        cut: Whether it ended otherwise than by its time: ``wake``, ``stop``, or a trigger of one's own.
        over: Whether it ended at all; else it goes on where the run ends.
    """

    from_s: float
    until_s: float
    planned_s: float | None
    what: str
    cut: bool
    over: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMark:
    """
    A text that was sent.

    Attributes:
        from_s: When it was asked for.
        until_s: When it was answered, or given up.
        state: Where the session was when it was asked for.
        failed: The name of the error that it ended with; empty if it went out.
        detail: What was seen, such as ``HTTP status 502``; empty if it went out.
    """

    from_s: float
    until_s: float
    state: str
    failed: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    A run, or a stretch of one. All times are seconds since the run began, or since the first record that is known.

    Attributes:
        account: Whose session it is, at its first record.
        diagram: The lifecycle that it ran on.
        began_s: When it began, in seconds since the epoch.
        from_s: Where what is told here begins: 0 for a whole run.
        until_s: Where it ends.
        whole: Whether the run's ``start`` is among the records; a live session keeps only its last ones.
        end: How its records end.
        why: Why the file is broken off.
        steps: Every record.
        stays: Where it was when, without a gap.
        requests: Every request, in the order of their beginnings.
        waits: Every wait.
        sends: Every text that was sent.
        note: In what the machine that it is drawn on differs from the one that it ran on; empty if in nothing.
        up: The signals that are up where it begins.
    """

    account: str
    diagram: Diagram
    began_s: float
    from_s: float
    until_s: float
    whole: bool
    end: End
    why: str
    steps: tuple[StepMark, ...]
    stays: tuple[Stay, ...]
    requests: tuple[Request, ...]
    waits: tuple[Waiting, ...]
    sends: tuple[SendMark, ...]
    note: str = ""
    up: tuple[str, ...] = ()

    @property
    def whose(self) -> str:
        """The account, and the one that the session went over to when somebody logged in again."""
        names = list(dict.fromkeys([self.account, *(step.record.account for step in self.steps)]))
        match names[1:]:
            case []:
                return self.account
            case [second]:
                return f"{self.account}, then {second}"
            case others:
                return f"{self.account}, then {len(others)} others"

    @property
    def state(self) -> str:
        """Where the session is at the end."""
        return self.stays[-1].state

    def time_in(self, state: str) -> float:
        """Return how long the session was in a state, in all its stays."""
        return math.fsum(stay.until_s - stay.from_s for stay in self.stays if stay.state == state)

    def between(self, from_s: float, until_s: float) -> Run:
        """
        Return a stretch of the run: what happened from *from_s* on, until *until_s*. What reaches beyond is kept whole.

        Raises:
            DefinitionError: If nothing of the run lies there.
        """
        begin, end = max(from_s, self.from_s), min(until_s, self.until_s)
        if begin > end:
            since = f"{from_s:.10g} s"
            wanted = f"between {since} and {until_s:.10g} s" if until_s < math.inf else f"from {since} on"
            raise DefinitionError(
                f"the run has nothing {wanted}: it is told from {self.from_s:.3f} s to {self.until_s:.3f} s"
            )
        stays = [stay for stay in self.stays if stay.from_s <= end and stay.until_s >= begin]
        cut = [Stay(state=stay.state, from_s=max(stay.from_s, begin), until_s=min(stay.until_s, end)) for stay in stays]
        before = [step.record for step in self.steps if step.at_s < begin]
        return Run(
            account=before[-1].account if before else self.account,
            diagram=self.diagram,
            began_s=self.began_s,
            from_s=begin,
            until_s=end,
            whole=self.whole and begin <= self.from_s,
            end=self.end if end >= self.until_s else "cut",
            why=self.why if end >= self.until_s else "",
            steps=tuple(step for step in self.steps if begin <= step.at_s <= end),
            stays=tuple(stay for stay in cut if stay.until_s > stay.from_s) or tuple(cut[-1:]),
            requests=tuple(each for each in self.requests if each.from_s <= end and each.until_s >= begin),
            waits=tuple(each for each in self.waits if each.from_s <= end and each.until_s >= begin),
            sends=tuple(each for each in self.sends if each.from_s <= end and each.until_s >= begin),
            note=self.note,
            up=signals_up(self.up, before),
        )


def signals_up(up: Iterable[str], records: Iterable[Record]) -> tuple[str, ...]:
    """Return which signals are up after *records*, if *up* were before them."""
    found = dict.fromkeys(up)
    for record in records:
        for name in record.cleared:
            found.pop(name, None)
        found |= dict.fromkeys(record.raised)
    return tuple(found)
