"""A broken world made as small as it can be: what is left in its schedule is what it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine
from sessionfsm.testing.faults import Fault

from .one import SimulationResult, perform
from .schedule import Schedule

__all__ = ["Shrunk", "shrink"]

_LEAST_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """
    What was left.

    Attributes:
        result: The smallest world that was found to break the same property, and what it has broken.
        tries: How many worlds were tried.
        complete: Nothing could be left out or made simpler any more; else time or tries had run out.
    """

    result: SimulationResult
    tries: int
    complete: bool

    @property
    def schedule(self) -> Schedule:
        """What happens in it."""
        return self.result.schedule


class _Enough(Exception):
    """Time or tries have run out."""


def shrink(
    broken: SimulationResult,
    machine: Machine,
    *,
    most_tries: int = 400,
    limit_s: float = 60.0,
    tried: Callable[[int, Schedule], object] | None = None,
) -> Shrunk:
    """
    Return the shortest schedule that breaks the property that *broken* has broken first.

    First entries are left out, as many at once as possible (delta debugging); then what is left is made simpler: fields
    at their defaults, shorter times, an ordinary world. It ends as soon as nothing more can be taken away.

    Args:
        broken: A simulation that has found something.
        machine: What it ran on.
        most_tries: How many worlds to try at most.
        limit_s: Real seconds after which to stop.
        tried: Called after each try with its number and the smallest schedule so far.
    """
    search = _Search(broken, machine, most_tries, time.monotonic() + limit_s, tried)
    complete = True
    try:
        search.run()
    except _Enough:
        complete = False
    return Shrunk(result=search.best, tries=search.tries, complete=complete)


class _Search:
    def __init__(
        self,
        broken: SimulationResult,
        machine: Machine,
        most_tries: int,
        end: float,
        tried: Callable[[int, Schedule], object] | None,
    ) -> None:
        self.best = broken
        self.tries = 0
        self._which = broken.violations[0].property
        self._machine = machine
        self._most_tries = most_tries
        self._end = end
        self._tried = tried
        self._seen: set[Schedule] = set()

    def run(self) -> None:
        """Go on until nothing can be taken away any more."""
        broke_s = max(self.best.violations[0].at_s, _LEAST_S)
        before = [entry for entry in self.best.schedule.entries if entry.at_s <= broke_s]
        self._try(replace(self.best.schedule, entries=tuple(before), duration_s=broke_s))
        self._try(self.best.schedule.with_entries(()))  # perhaps nothing has to happen at all
        while True:
            size = self._size()
            self._leave_out()
            for simpler in (self._worlds, self._times, self._fields):
                self._simplify(simpler)
            if self._size() == size:
                return

    def _size(self) -> tuple[Any, ...]:
        return (self.best.schedule,)

    def _try(self, schedule: Schedule) -> bool:
        """Whether the same property is broken in this world; if so it is the best one so far."""
        if schedule in self._seen or schedule == self.best.schedule:
            return False
        if self.tries >= self._most_tries or time.monotonic() >= self._end:
            raise _Enough
        self._seen.add(schedule)
        self.tries += 1
        result = perform(schedule, self._machine)
        found = any(violation.property == self._which for violation in result.violations)
        if found:
            self.best = result
        if self._tried is not None:
            self._tried(self.tries, self.best.schedule)
        return found

    def _leave_out(self) -> None:
        """Delta debugging: leave out half of the entries, then quarters, down to one by one."""
        size = max(len(self.best.schedule.entries) // 2, 1)
        while self.best.schedule.entries:
            start, left_out = 0, False
            while start < len(self.best.schedule.entries):
                entries = self.best.schedule.entries
                if self._try(self.best.schedule.with_entries(entries[:start] + entries[start + size :])):
                    left_out = True
                else:
                    start += size
            if size == 1 and not left_out:
                return
            size = max(size // 2, 1) if not left_out or size > 1 else 1

    def _simplify(self, ways: Callable[[Schedule], Iterator[Schedule]]) -> None:
        """Take each simpler world that is broken in the same way, and start over from it."""
        again = True
        while again:
            again = any(self._try(simpler) for simpler in ways(self.best.schedule))

    def _worlds(self, schedule: Schedule) -> Iterator[Schedule]:
        plain = Schedule()
        for name in ("backend", "hint_ms", "delivery", "round_trip_s", "hold_s"):
            if getattr(schedule, name) != getattr(plain, name):
                yield replace(schedule, **{name: getattr(plain, name)})

    def _times(self, schedule: Schedule) -> Iterator[Schedule]:
        entries = schedule.entries
        end = max([_LEAST_S, *(entry.at_s for entry in entries)])
        if end < schedule.duration_s:
            yield replace(schedule, duration_s=end)
            if schedule.duration_s - end > 2 * _LEAST_S:
                yield replace(schedule, duration_s=round(end + (schedule.duration_s - end) / 2, 1))
        for index, entry in enumerate(entries):
            before = entries[index - 1].at_s if index else 0.0
            for gap in (1.0, 10.0, 60.0, (entry.at_s - before) / 2):
                earlier = entry.at_s - before - gap
                if earlier >= _LEAST_S:
                    # What comes later moves along, so that the distances stay as they are.
                    moved = tuple(replace(later, at_s=round(later.at_s - earlier, 2)) for later in entries[index:])
                    duration_s = max(round(schedule.duration_s - earlier, 2), moved[-1].at_s, _LEAST_S)
                    yield replace(schedule, entries=entries[:index] + moved, duration_s=duration_s)

    def _fields(self, schedule: Schedule) -> Iterator[Schedule]:
        for index, entry in enumerate(schedule.entries):
            for simpler in _simpler(entry):
                yield schedule.with_entries((*schedule.entries[:index], simpler, *schedule.entries[index + 1 :]))


def _with(entry: Fault, name: str, value: Any) -> Fault:
    return replace(entry, **{name: value})


def _simpler(entry: Fault) -> Iterator[Fault]:
    """Yield the same with a field at its default, or with less of it."""
    for field in fields(entry):
        value = getattr(entry, field.name)
        if field.name == "at_s" or field.default is MISSING:
            continue
        try:
            if value != field.default:
                yield _with(entry, field.name, field.default)
            if field.name in ("times", "copies", "size") and value and value > 1:
                yield _with(entry, field.name, value // 2)
            if field.name.endswith("_s") and value and value >= 2 * _LEAST_S:
                yield _with(entry, field.name, float(value // 2))
        except DefinitionError:  # a field without a default that could stand there
            continue
