"""The table as constrained Horn clauses: one predicate for each place of the table, one clause for each way onward."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import z3

from sessionfsm.lifecycle import Ladder, Machine, Memory, Order, OwnOrder, Pause, Perform, Row
from sessionfsm.lifecycle.machine import EXTERNAL
from sessionfsm.lifecycle.table import Assign, AtLeast, Below, Guard, Is

from .figures import COUNTERS, FIGURES, Scope
from .formulas import all_of, number, smaller, unknowns_of, value_of
from .statements import Statement, Step
from .world import Kind, Move, Operation, kept, moves, ordered

__all__ = ["Clause", "Place", "System", "translate"]

LASTS_S, RUNG_S, LEFT_S, PACE_S = z3.Reals("lasts_s rung_s left_s pace_s")
"""What is chosen anew in each step: how long the operation lasts, a wait's rung, what jitter leaves of it, a pace."""


class Place(NamedTuple):
    """A state, and what is outstanding in it. A sound table has one such pair for each state and ladder."""

    state: str
    operation: Operation

    def __str__(self) -> str:
        return f"{self.state} ({self.operation})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """
    A way from place to place: what must hold before, and what holds after.

    Attributes:
        name: Its own.
        row: The number of the table's row, from 0.
        trigger: What happens.
        source: Where from.
        target: Where to.
        when: What must hold, over the cells before and what is chosen in this step.
        times: When it can happen, over the same.
        latest: That it happens as late as it can.
        apart_s: Seconds from the start of the operation before to that of the one after.
        after: For each cell its value afterwards.
        broken: That it breaks the property, over the same as *when*.
    """

    name: str
    row: int
    trigger: str
    source: Place
    target: Place
    when: Any
    times: Any
    latest: Any
    apart_s: Any
    after: Mapping[str, Any]
    broken: Any


@dataclass(frozen=True, kw_only=True)
class System:
    """
    Everything that a machine can do, and one property.

    Attributes:
        statement: The property.
        scope: The policies that it is asked about.
        cells: The unknowns that make up a configuration, by name: memory, account, figures.
        initial: The place where it begins.
        at_first: For each cell of memory and account its value there.
        clauses: Every way onward.
    """

    statement: Statement
    scope: Scope
    cells: Mapping[str, Any]
    initial: Place
    at_first: Mapping[str, Any]
    clauses: tuple[Clause, ...]

    @property
    def others(self) -> tuple[Any, ...]:
        """The unknown figures that are no cells: in each step they may be others."""
        return tuple(unknown for unknown in FIGURES.unknowns if unknown.decl().name() not in self.cells)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every place, each once."""
        return tuple(dict.fromkeys((self.initial, *(place for c in self.clauses for place in (c.source, c.target)))))

    @cached_property
    def _place_names(self) -> dict[Place, str]:
        return {
            place: f"at_{number}_{re.sub('[^A-Za-z0-9]+', '_', f'{place.state} {place.operation}')}"
            for number, place in enumerate(self.places)
        }

    def name_of(self, place: Place) -> str:
        """Return a name for *place* that every solver can read."""
        return self._place_names[place]

    def body(self, clause: Clause) -> Any:
        """Return what must hold for *clause*: with times if the property speaks of time, and for policies in scope."""
        return self._bodies[clause.name]

    def begins(self) -> Any:
        """Return what must hold at first, of the figures."""
        return all_of(self._facts_about([]))

    @cached_property
    def _bodies(self) -> dict[str, Any]:
        bodies = {}
        for clause in self.clauses:
            parts = [clause.when, clause.times] if self.statement.timed else [clause.when]
            bodies[clause.name] = all_of([*parts, *self._facts_about([*parts, clause.broken, *clause.after.values()])])
        return bodies

    @cached_property
    def _facts(self) -> list[tuple[Any, set[str]]]:
        return [(fact, {str(unknown) for unknown in unknowns_of([fact])}) for fact in self.scope.facts]

    def _facts_about(self, formulas: Iterable[Any]) -> list[Any]:
        # Facts about other figures would only have to be eliminated again. To leave them out allows more, never less;
        # a counterexample is checked against all of them.
        seen = set(self.cells) | {str(unknown) for unknown in unknowns_of(formulas)}
        return [fact for fact, names in self._facts if names <= seen]


def translate(machine: Machine, statement: Statement, scope: Scope, *, whole: bool = False) -> System:
    """
    Return the clauses for *machine*'s table. Its figures are those of *scope*; its code is not looked at.

    Args:
        whole: Keep cells of the memory that decide nothing, too.
    """
    rows = machine.table.rows
    own = sorted(machine.external - EXTERNAL)
    required = machine.policy.renewal == "required"
    # A cell that no guard looks at, and the property neither, decides nothing: a cell's value depends on no other's.
    looked_at = {*statement.cells, *(guard.cell for row in rows for guard in row.guards)}
    memory = {name: _unknown(name, value) for name, value in _MEMORY if whole or name in looked_at}
    account = {name: _unknown(name, value) for name, value in statement.account.items()}
    figures = {
        **{name: getattr(FIGURES, name) for name in statement.figures},
        **{f"most_{counter}": FIGURES.limit(counter) for counter in COUNTERS if counter in memory},
    }
    own_s = number(sum(_longest_s(order) for order in dict.fromkeys(row.order for row in rows)))
    initial = Place(str(machine.table.initial), Operation(Kind.NOTHING))
    clauses: list[Clause] = []
    known, pending = {initial}, [initial]
    while pending:
        place = pending.pop(0)
        for move in moves(place.operation, FIGURES, LEFT_S, own):
            matching = [(at, row) for at, row in enumerate(rows) if _is_for(row, place.state, move.trigger)]
            for earlier, (at, row) in enumerate(matching):
                then = ordered(row.order)
                target = Place(str(row.target), place.operation if then is None else then)
                after = _updated(memory, row)
                step = Step(
                    trigger=str(move.trigger),
                    operation=place.operation,
                    then=target.operation,
                    goes_on=then is None,
                    before=memory,
                    after=after,
                    lasts_s=LASTS_S,
                    rung_s=RUNG_S,
                    pace_s=PACE_S if row.order is Order.POLL_PACED else z3.RealVal(0),
                    figures=FIGURES,
                    required=required,
                    own_s=own_s,
                )
                told = statement.then(step, account)
                clauses.append(
                    Clause(
                        name=f"{len(clauses):03}_{place.state}_{move.trigger}_row_{at}",
                        row=at,
                        trigger=str(move.trigger),
                        source=place,
                        target=target,
                        when=all_of(
                            [
                                _holds(row, memory),
                                # of several rows that could be taken the first one is
                                *(z3.Not(_holds(other, memory)) for _, other in matching[:earlier]),
                            ]
                        ),
                        times=_times(place.operation, move, row, after, scope),
                        latest=move.most_s == LASTS_S,
                        apart_s=z3.RealVal(0) if step.goes_on else step.apart_s,
                        after={**after, **told, **figures},
                        broken=statement.broken(step, account, told),
                    )
                )
                if target not in known:
                    known.add(target)
                    pending.append(target)
    return System(
        statement=statement,
        scope=scope,
        cells={**memory, **account, **figures},
        initial=initial,
        at_first={
            **{name: value_of(value) for name, value in _MEMORY if name in memory},
            **{name: value_of(value) for name, value in statement.account.items()},
        },
        clauses=tuple(clauses),
    )


def _longest_s(order: Order | OwnOrder) -> Fraction:
    match order:
        case Pause():
            return Fraction(str(order.longest_s))
        case Perform():
            return Fraction(str(order.deadline_s))
        case _:
            return Fraction(0)


_MEMORY = tuple(Memory()._asdict().items())


def _is_for(row: Row, state: str, trigger: str) -> bool:
    return row.trigger == trigger and state in row.sources


def _unknown(name: str, value: bool | int | float) -> Any:
    return z3.Bool(name) if isinstance(value, bool) else z3.Int(name) if isinstance(value, int) else z3.Real(name)


def _holds(row: Row, memory: Mapping[str, Any]) -> Any:
    return all_of(_guard(guard, memory) for guard in row.guards)


def _guard(guard: Guard, memory: Mapping[str, Any]) -> Any:
    match guard:
        case Is(flag=flag, value=value):
            return memory[flag] if value else z3.Not(memory[flag])
        case Below(counter=counter, limit=limit):
            return memory[counter] < limit
        case AtLeast(counter=counter, limit=limit):
            return memory[counter] >= limit


def _updated(memory: Mapping[str, Any], row: Row) -> dict[str, Any]:
    after = dict(memory)
    for update in row.updates:
        if isinstance(update, Assign):
            if update.cell in after:
                after[update.cell] = value_of(update.value)
        elif update.counter in after:
            after[update.counter] = smaller(after[update.counter] + 1, FIGURES.limit(update.counter))
    return after


def _times(operation: Operation, move: Move, row: Row, after: Mapping[str, Any], scope: Scope) -> Any:
    times = [move.least_s <= LASTS_S, move.most_s >= LASTS_S]
    if operation.kind is Kind.WAIT:
        first, ceiling = operation.first_s(FIGURES), operation.ceiling_s(FIGURES)
        times += [*_climbed(RUNG_S, first, ceiling), kept(RUNG_S, LEFT_S, scope)]
        if not isinstance(operation.of, Ladder):  # a pause has one rung
            times.append(first == RUNG_S)
    if row.order is Order.POLL_PACED and "hurries" in after and "doubts" in after:
        paced = z3.And(*_climbed(PACE_S, FIGURES.pace_first_s, FIGURES.pace_ceiling_s))
        times.append(z3.If(after["hurries"] + after["doubts"] >= 1, paced, PACE_S == 0))
    return all_of(times)


def _climbed(step_s: Any, first_s: Any, ceiling_s: Any) -> tuple[Any, Any]:
    """Any rung that a ladder can have: the first one, or more, up to the ceiling."""
    return smaller(first_s, ceiling_s) <= step_s, step_s <= ceiling_s
