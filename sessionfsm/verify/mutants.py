"""
Mutants of a lifecycle: the same table with one cell changed, and the same policy at its edges and just past them.

A mutant is data. What it does, and whether a property sees it, is found out in :mod:`sessionfsm.verify.mutation`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import (
    Assign,
    AtLeast,
    Below,
    Count,
    Guard,
    Is,
    Machine,
    Order,
    OwnOrder,
    Policy,
    Row,
    Signal,
    SignalRule,
    Table,
    Update,
)
from sessionfsm.lifecycle.table import Counter, Flag, limits

__all__ = ["Mutant", "table_mutants"]

_COUNTERS: tuple[Counter, ...] = get_args(Counter)
_FLAGS: tuple[Flag, ...] = get_args(Flag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """
    A definition in which one thing is not as it was.

    Attributes:
        kind: What was changed: ``destination``, ``command``, ``guard``, ``update``, ….
        change: The same in words.
        policy: The figures that it runs on.
        table: Its table; ``None`` if the definition is refused.
        refused: Why it is refused; empty if it can be run.
        legal: It is a policy that can be made: nothing is wrong with it, and every property must hold.
    """

    kind: str
    change: str
    policy: Policy
    table: Table | None = None
    refused: str = ""
    legal: bool = False


def table_mutants(machine: Machine) -> list[Mutant]:
    """Return every table that differs from the one of *machine* in one cell, each once."""
    found = []
    for kind, change, cells in _changes(machine):
        try:
            table = replace(machine.table, **cells)
        except DefinitionError as error:
            found.append(Mutant(kind=kind, change=change, policy=machine.policy, refused=str(error)))
        else:
            found.append(Mutant(kind=kind, change=change, policy=machine.policy, table=table))
    return found


_Change = tuple[str, str, dict[str, Any]]
"""Its kind, what it is in words, and the cells of the table that are other."""


def _changes(machine: Machine) -> Iterator[_Change]:
    table = machine.table
    for at, row in enumerate(table.rows):
        before, after = table.rows[:at], table.rows[at + 1 :]
        met = {_written(row)}
        for kind, words, new in _row_changes(machine, row):
            if _written(new) not in met:
                met.add(_written(new))
                kept = (new,) if new is not None else ()
                yield kind, f"{_named(row)}: {words}", {"rows": (*before, *kept, *after)}
    for at, rule in enumerate(table.signals):
        others = table.signals[:at], table.signals[at + 1 :]
        for words, changed in _signal_changes(machine, rule):
            signals = (*others[0], *((changed,) if changed is not None else ()), *others[1])
            yield "signal", f"the signal {rule.signal}: {words}", {"signals": signals}
    for name in _others(machine.states, table.initial):
        yield "initial", f"a session begins in {name}, not in {table.initial}", {"initial": name}
    for name in table.external:
        left = tuple(other for other in table.external if other != name)
        yield "external", f"{name} does not come from outside", {"external": left}


def _written(row: Row | None) -> object:
    # True is 1 to Python, and False is 0: a flag and a counter that is assigned the same are told apart by their words.
    return row, str(row.updates) if row is not None else ""


def _named(row: Row) -> str:
    when = f" when {', '.join(map(str, row.guards))}" if row.guards else ""
    return f"{row.trigger} in {', '.join(row.sources)}{when}"


def _others(names: tuple[str, ...], name: str) -> list[str]:
    return [str(other) for other in names if other != name]


def _row_changes(machine: Machine, row: Row) -> Iterator[tuple[str, str, Row | None]]:
    for name in _others(machine.states, row.target):
        yield "destination", f"leads to {name}, not to {row.target}", replace(row, target=name)
    for order in _orders(machine):
        if order != row.order:
            yield "command", f"orders {order}, not {row.order}", replace(row, order=order)
    for words, guards in _guard_changes(machine, row.guards):
        yield "guard", words, replace(row, guards=guards)
    for words, updates in _update_changes(machine, row.updates):
        yield "update", words, replace(row, updates=updates)
    flipped = "does not clear the signals" if row.clears_signals else "clears the signals"
    yield "clears signals", flipped, replace(row, clears_signals=not row.clears_signals)
    for name in machine.states:
        if name not in row.sources:
            yield "source", f"comes from {name} too", replace(row, sources=(*row.sources, name))
        elif len(row.sources) > 1:  # else that is the row deleted
            sources = tuple(source for source in row.sources if source != name)
            yield "source", f"does not come from {name}", replace(row, sources=sources)
    yield "deletion", "is deleted", None


def _orders(machine: Machine) -> tuple[Order | OwnOrder, ...]:
    own = (row.order for row in machine.table.rows if isinstance(row.order, OwnOrder))
    return (*Order, *dict.fromkeys(own))


def _guard_changes(machine: Machine, guards: tuple[Guard, ...]) -> Iterator[tuple[str, tuple[Guard, ...]]]:
    for at, guard in enumerate(guards):
        before, after = guards[:at], guards[at + 1 :]
        yield f"without the guard {guard}", (*before, *after)
        for other in _other_guards(machine, guard):
            yield f"guarded by {other}, not by {guard}", (*before, other, *after)


def _other_guards(machine: Machine, guard: Guard) -> Iterator[Guard]:
    match guard:
        case Is(flag=flag, value=value):
            yield Is(flag, not value)
            yield from (Is(other, value) for other in _FLAGS if other != flag)
        case Below(counter=counter, limit=limit) | AtLeast(counter=counter, limit=limit):
            opposite = AtLeast if isinstance(guard, Below) else Below
            yield opposite(counter, limit)
            most = limits(machine.policy)[counter]
            # Beyond its end a counter does not go: one more than that is "never", and there are no other constants.
            yield from (replace(guard, limit=other) for other in range(most + 2) if other != limit)
            yield from (replace(guard, counter=other) for other in _COUNTERS if other != counter)


def _update_changes(machine: Machine, updates: tuple[Update, ...]) -> Iterator[tuple[str, tuple[Update, ...]]]:
    for at, update in enumerate(updates):
        before, after = updates[:at], updates[at + 1 :]
        yield f"without the update {update}", (*before, *after)
        for other in _other_updates(machine, update):
            yield f"{other}, not {update}", (*before, other, *after)
    touched = {update.cell for update in updates}
    extra: list[Update] = [Assign(flag, value) for flag in _FLAGS for value in (True, False)]
    for counter in _COUNTERS:
        extra += (Assign(counter, 0), Count(counter))
    for update in extra:
        if update.cell not in touched:
            yield f"{update} as well", (*updates, update)


def _other_updates(machine: Machine, update: Update) -> Iterator[Update]:
    for flag in _FLAGS:
        if isinstance(update, Assign) and isinstance(update.value, bool):
            yield Assign(flag, not update.value if flag == update.cell else update.value)
    for counter in _COUNTERS:
        if isinstance(update, Count):
            yield from (Assign(counter, value) for value in (0, 1)) if counter == update.cell else (Count(counter),)
        elif not isinstance(update.value, bool):
            if counter != update.cell:
                yield Assign(counter, update.value)
            else:
                values = dict.fromkeys((0, 1, limits(machine.policy)[counter]))
                yield from (Assign(counter, value) for value in values if value != update.value)
                yield Count(counter)


def _signal_changes(machine: Machine, rule: SignalRule) -> Iterator[tuple[str, SignalRule | None]]:
    for order in _orders(machine):
        if order != rule.order:
            yield f"raised by {order}, not by {rule.order}", replace(rule, order=order)  # type: ignore[arg-type]
    for words, guards in _guard_changes(machine, rule.guards):
        yield words, replace(rule, guards=guards)
    for signal in Signal:
        if signal != rule.signal:
            yield f"raises {signal} instead", replace(rule, signal=signal)
    yield "is never raised", None
