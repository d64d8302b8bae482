"""The rows of a table in Promela: guards, updates and orders are data, so each of them is written out as it stands."""

from __future__ import annotations

from collections.abc import Iterator

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Memory, Order, Row
from sessionfsm.lifecycle.table import Assign, AtLeast, Below, Guard, Is, Update, limits

from .names import Names, comment, operation_of

__all__ = ["MEMORY", "cell_type", "rows_of"]

MEMORY = Memory()._asdict()
_LARGEST = 2**31 - 1


def rows_of(machine: Machine, names: Names) -> Iterator[str]:
    """Yield the lines for every row: when it can be taken, and what it does."""
    for number, row in enumerate(machine.table.rows):
        sources = " || ".join(f"state == {names.states[str(source)]}" for source in dict.fromkeys(row.sources))
        conditions = [f"({sources or 'false'})", *(_guard(guard, machine) for guard in row.guards)]
        yield ""
        yield comment(f"row {number}: {row.trigger} in {', '.join(row.sources)}: {row.reason}")
        yield f"#define ROW_{number} ({' && '.join(conditions)})"
        yield f"inline row_{number}() {{"
        yield from (f"  {_update(update, machine)};" for update in row.updates)
        yield f"  state = {names.states[str(row.target)]};"
        yield from (f"  {line};" for line in _ordered(row, machine, names))
        yield from (f"  {line};" for line in _signals(row, machine, names))
        yield "}"


def cell_type(machine: Machine, cell: str) -> str:
    """Return the smallest type that has room for everything that a cell of the memory can hold."""
    if isinstance(MEMORY[cell], bool):
        return "bool"
    named = [guard.limit for row in machine.table.rows for guard in row.guards if not isinstance(guard, Is)]
    named += [update.value for row in machine.table.rows for update in row.updates if isinstance(update, Assign)]
    return "byte" if all(0 <= value <= 255 for value in (*named, *limits(machine.policy).values())) else "int"


def _guard(guard: Guard, machine: Machine) -> str:
    match guard:
        case Is(flag=flag, value=value):
            return flag if value else f"!{flag}"
        case Below(counter=counter, limit=limit):
            return f"{counter} < {_whole(limit, machine)}"
        case AtLeast(counter=counter, limit=limit):
            return f"{counter} >= {_whole(limit, machine)}"


def _update(update: Update, machine: Machine) -> str:
    if not isinstance(update, Assign):
        counter, most = update.counter, f"MOST_{update.counter}"
        return f"{counter} = ({counter} < {most} -> {counter} + 1 : {most})"
    value = update.value
    return f"{update.cell} = {str(value).lower() if isinstance(value, bool) else _whole(value, machine)}"


def _whole(value: object, machine: Machine) -> int:
    if not isinstance(value, int) or abs(value) > _LARGEST:
        raise DefinitionError(
            f"table {machine.table.name!r} cannot be written as Promela: {value!r} is no whole number that it knows"
        )
    return value


def _ordered(row: Row, machine: Machine, names: Names) -> Iterator[str]:
    """Yield what becomes of the operation. Its figure is what tells two orders for it apart: a pace, an attempt."""
    name = operation_of(row.order)
    if name is None:
        return
    figure: object = 0
    match row.order:
        case Order.POLL_PACED:
            paces = machine.policy.paces
            figure = f"(hurries + doubts < {paces} -> hurries + doubts : {paces})"
        case Order.WAIT_SESSION:
            figure = "denials"
        case Order.WAIT_TRANSPORT:
            figure = "waits"
        case Order.CLOSE:
            figure = "!was_expired"
    yield f"order({names.operations[name]})"
    yield f"figure = {figure}"
    yield f"fresh = {str(row.order is Order.POLL_FRESH).lower()}"


def _signals(row: Row, machine: Machine, names: Names) -> Iterator[str]:
    if row.clears_signals:
        yield from (f"{signal} = false" for signal in names.signals.values())
    for rule in machine.table.signals:
        if rule.order == row.order:
            holds = " && ".join(_guard(guard, machine) for guard in rule.guards) or "true"
            signal = names.signals[rule.signal]
            yield f"{signal} = ({holds} -> true : {signal})"
