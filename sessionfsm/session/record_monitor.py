"""
Judges a session by its records, live or afterwards: each is what the machine answers, and what P1 to P19 allow.

Three accounts are kept side by side: the machine itself is told what the session was told; the history that the proof
keeps (``sessionfsm.verify``) is judged by the same rules; and the clock says whether each operation took as long as it
may. What is wrong with one record is told once: afterwards the machine is followed from where it stands.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from sessionfsm.errors import DefinitionError, PropertyBroken, TriggerRefused
from sessionfsm.lifecycle import Command, Machine, Memory, Policy, Poll, Signal, Snapshot, Step, Trigger
from sessionfsm.lifecycle.table import limits
from sessionfsm.verify.history import History, Scale, is_loss
from sessionfsm.verify.rules import NAMED, Rule, Seen, rules_for

from .monitor import RequestMonitor, Violation
from .record_times import RecordTimes
from .records import Quiet, Record

__all__ = ["RecordMonitor"]

logger = logging.getLogger("sessionfsm")

T = Trigger

_TRIGGERS: dict[str, str] = {str(trigger): trigger for trigger in T}
_KEPT = 1000

OnViolation = Literal["raise", "log"] | Callable[[Violation], object]


class RecordMonitor:
    """
    Judges a session by its records; it is an observer. What is wrong stands in :attr:`violations`.

    Args:
        machine: What the session runs on, or its policy.
        on_violation: ``"log"`` writes an error; ``"raise"`` ends the session in order, and leaving it raises
            :class:`~sessionfsm.PropertyBroken`; a function is called with each violation. By default they are kept.
        slack_s: How much too early something may be, in seconds: what a clock may be off by.
        late_s: How late a busy process may do what is due, in seconds.

    Attributes:
        violations: What was found, in order: the first thousand.
        counts: How often each property was broken.
        longest_gap_s: The longest time between the starts of two requests in a row.
    """

    def __init__(
        self,
        machine: Machine | Policy | None = None,
        *,
        on_violation: OnViolation | None = None,
        slack_s: float = 0.001,
        late_s: float = 5.0,
    ) -> None:
        if on_violation not in (None, "raise", "log") and not callable(on_violation):
            raise DefinitionError(f"on_violation is 'raise', 'log' or a function, not {on_violation!r}")
        self.machine = machine if isinstance(machine, Machine) else Machine(machine)
        self.violations: list[Violation] = []
        self.counts: Counter[str] = Counter()
        self._on_violation = on_violation
        self._policy = self.machine.policy
        self._scale = Scale.of(self._policy)
        self._life = self.machine.session()
        self._history = History()
        self._times = RecordTimes(self.machine, slack_s=slack_s, late_s=late_s)
        own_s = self.machine.table.own_s
        self._requests = RequestMonitor(self._policy, slack_s=slack_s, late_s=late_s, own_s=own_s)
        self._named = dict(NAMED)
        self._rules: dict[tuple[str, type], list[tuple[str, Rule]]] = {}
        self._well: dict[tuple[object, ...], History] = {}
        self._number = 0
        self._account: str | None = None

    @property
    def longest_gap_s(self) -> float:
        """The longest time between the starts of two requests in a row."""
        return self._requests.longest_gap_s

    @property
    def in_order(self) -> bool:
        """Whether the run has come to its end: nothing is outstanding."""
        return self._number > 0 and self._life.outstanding is None

    def __call__(self, record: Record) -> None:
        found = [
            Violation(property=number, at_s=record.at_s, what=why, number=record.number)
            for number, why in self._judge(record)
        ]
        requests = self._requests.violations
        if found or requests:
            found = sorted([*found, *requests], key=lambda violation: _rank(violation.property))
            requests.clear()
            self.violations += found[: _KEPT - len(self.violations)]
            self.counts.update(violation.property for violation in found)
            self._tell(record, found)

    def _tell(self, record: Record, found: list[Violation]) -> None:
        if callable(self._on_violation):
            for violation in found:
                self._on_violation(violation)
        elif self._on_violation == "log":
            for violation in found:
                logger.error("%s: record %d: %s: %s", record.account, record.number, violation.property, violation.what)
        elif self._on_violation == "raise":
            first = found[0]
            words = f"record {record.number} breaks {first.property}: {first.what}"
            raise PropertyBroken(words, property=first.property, number=record.number)

    def _judge(self, record: Record) -> Iterator[tuple[str, str]]:
        yield from self._in_line(record)
        if record.quiet is not None:
            yield from self._quiet(record, record.quiet)
        trigger = _TRIGGERS.get(record.trigger, record.trigger)
        life = self._life
        outstanding = life.outstanding
        yield from self._times.judge(record, trigger, outstanding)
        before = Snapshot(life.state, life.memory, life.signals, outstanding)
        odd = self._out_of_step(record, before)
        yield from odd
        step = self._answer(trigger, outstanding)
        if step is None:
            yield "P4", f"{trigger} cannot happen in {before.state}, where {_kind(outstanding)} is outstanding"
        claimed = None
        if step is not None and _same(step, record):
            yield from self._ruled_right(record, before, step)
        else:
            claimed = _claimed(record, before)
            broken = list(self._ruled(record, trigger, before, claimed))
            yield from broken
            if step is not None and not broken:
                yield "P4", f"the machine answers {_difference(step, claimed)}"
        yield from self._times.progress(record, trigger, outstanding)
        self._count(record, trigger, outstanding)
        if odd or step is None:
            self._follow(record, claimed if claimed is not None else _claimed(record, before))

    def _answer(self, trigger: str, outstanding: Command | None) -> Step | None:
        """Tell the machine, and return what it answers; ``None`` if it refuses."""
        try:
            return self._life.handle(trigger, serial=outstanding.serial if outstanding is not None else None)
        except TriggerRefused:
            return None

    def _in_line(self, record: Record) -> Iterator[tuple[str, str]]:
        """Say whether this is the record that comes next, of the same account."""
        if record.number != self._number + 1:
            yield "trace", f"it is record {record.number}, and {self._number + 1} comes next"
        self._number = record.number
        if self._account not in (None, record.account) and record.trigger != T.CREDENTIALS_CHANGED:
            yield "trace", f"it is of another account than the one before: {record.account}"
        self._account = record.account

    def _out_of_step(self, record: Record, before: Snapshot) -> list[tuple[str, str]]:
        """Return what says that the session was elsewhere than the machine is when this happened."""
        outstanding = before.outstanding
        serial = outstanding.serial if outstanding is not None else None
        odd = []
        if record.operation != _kind(outstanding, nothing=""):
            odd.append(("P3", f"it ends {record.operation or 'nothing'}, and {_kind(outstanding)} is outstanding"))
        if record.source != before.state:
            odd.append(("P4", f"it begins in {record.source}, and the session is in {before.state}"))
        if record.serial != serial:
            odd.append(("P11", f"it carries the number {record.serial}, and {serial} is outstanding"))
        if odd and record.operation == "poll" and record.started_s is not None and self._history.unrenewed:
            odd.append(("P1", "a poll was made after a loss, and no notifystart had ended since"))
        return odd

    def _ruled_right(self, record: Record, before: Snapshot, step: Step) -> Iterator[tuple[str, str]]:
        """
        Judge the machine's own answer, which the record repeats.

        What the rules say of it depends on nothing but what is looked up here: so it is found out once, and what was
        well is remembered. There are only so many such places, whatever a file says.
        """
        renewing = record.operation == "renew"
        place = (step.trigger, *before[:3], type(before.outstanding), self._history, renewing)
        then = self._well.get(place)
        if then is not None:
            self._history = then
            return
        broken = list(self._ruled(record, _TRIGGERS.get(step.trigger, step.trigger), before, step))
        if not broken:
            self._well[place] = self._history
        yield from broken

    def _ruled(self, record: Record, trigger: str, before: Snapshot, step: Step) -> Iterator[tuple[str, str]]:
        """Judge the step by the rules that prove the machine, and by their own account of the run."""
        history = self._history
        renewing = record.operation == "renew"
        then = self._history = history.after(trigger, step.command, self._scale, renewing=renewing)
        outstanding = step.command
        if outstanding is None and step.target != self.machine.table.initial:
            outstanding = before.outstanding
        signals = (before.signals | step.raised) - step.cleared
        after = Snapshot(step.target, step.after, signals, outstanding)
        named = self._named.get(step.target) or type(outstanding)
        if step.target in self.machine.states:  # what a hostile file invents is not kept, here and below
            self._named.setdefault(step.target, named)
        loss = is_loss(trigger, history)
        seen = Seen(self._policy, before, after, trigger, step.command, history, then, loss, named)
        kind = (trigger, type(step.command))
        rules = self._rules.get(kind)
        if rules is None:
            rules = rules_for(*kind)
            if trigger in self.machine.triggers:
                self._rules[kind] = rules
        for number, rule in rules:
            if why := rule(seen):
                yield number, why

    def _count(self, record: Record, trigger: str, outstanding: Command | None) -> None:
        """Tell the requests to who judges their number and their distance (P6, P8)."""
        requests = self._requests
        if trigger in (T.START, T.CREDENTIALS_CHANGED):
            requests.anew()
        elif record.started_s is not None:
            requests.started("poll" if isinstance(outstanding, Poll) else "renewal", record.started_s, record.number)
            requests.ended(news=record.news > 0)
        if trigger is T.STORE_FAILED:
            requests.paused()

    def _quiet(self, record: Record, quiet: Quiet) -> Iterator[tuple[str, str]]:
        """Follow good polls that were only counted: each was polled, or each was hurried, and nothing changed."""
        life, before = self._life, self._life.outstanding
        if not isinstance(before, Poll) or quiet.polls < 1:
            yield "P3", f"{quiet.polls} polls were counted, and {_kind(before)} was outstanding"
            return
        whence = Snapshot(life.state, life.memory, life.signals, before)
        for trigger in (T.POLLED, T.HURRIED):
            step = self._answer(trigger, before)
            if step is not None and isinstance(step.command, Poll) and not step.changed and not step.cleared:
                break
            life.restore(whence)
        else:
            yield "P4", "good polls that must have changed something were only counted"
            return
        life.restore(whence._replace(outstanding=replace(step.command, serial=before.serial + quiet.polls)))
        yield from self._ruled(record, trigger, whence, step)
        yield from self._times.quiet(quiet, before, pace_s=step.command.pace_s)
        self._requests.quiet(quiet, record.number)

    def _follow(self, record: Record, claimed: Step) -> None:
        """Go where the record says that the session is, if that is a place at all; the account goes there, too."""
        most = limits(self._policy)
        memory = record.memory
        if record.target not in self.machine.states or any(
            not 0 <= getattr(memory, name) <= most[name] for name in most
        ):
            return
        signals = ((self._life.signals | claimed.raised) - claimed.cleared) & frozenset(Signal)
        outstanding = record.command if record.command is not None else self._life.outstanding
        self._life.restore(Snapshot(record.target, memory, signals, outstanding))
        self._history = History(
            lost=memory.expired,
            proved=memory.trusted,
            hollow=memory.doubts,
            hurried=memory.hurries,
            transport_waits=memory.waits,
            session_waits=memory.denials,
            signals=signals,
        )


def _same(step: Step, record: Record) -> bool:
    """Return whether the record says what the machine answers."""
    return (
        step.target == record.target
        and step.after == record.memory
        and step.command == record.command
        and step.raised == frozenset(record.raised)
        and step.cleared == frozenset(record.cleared)
    )


def _claimed(record: Record, before: Snapshot) -> Step:
    """Return what the record says, in the form of the machine's own answer."""
    return Step(
        trigger=record.trigger,
        source=record.source,
        target=record.target,
        before=before.memory,
        after=record.memory,
        command=record.command,
        reason=record.reason,
        raised=frozenset(map(_signal, record.raised)),
        cleared=frozenset(map(_signal, record.cleared)),
    )


def _signal(name: str) -> Signal:
    return Signal(name) if name in tuple(Signal) else name  # type: ignore[return-value]  # a file may say anything


def _difference(step: Step, claimed: Step) -> str:
    """Return in words what the machine says otherwise."""
    for what, right, wrong in (
        ("the state", step.target, claimed.target),
        ("the memory", _cells(step.after), _cells(claimed.after)),
        ("the command", step.command, claimed.command),
        ("raised", sorted(step.raised), sorted(claimed.raised)),
        ("cleared", sorted(step.cleared), sorted(claimed.cleared)),
    ):
        if right != wrong:
            return f"otherwise: {what} is {right}, and not {wrong}"
    return "otherwise"


def _cells(memory: Memory) -> str:
    return ", ".join(f"{name} {value}" for name, value in memory._asdict().items())


def _kind(operation: Command | None, nothing: str = "nothing") -> str:
    return nothing if operation is None else type(operation).__name__.lower()


def _rank(number: str) -> int:
    return int(number[1:]) if number[0] == "P" else 100
