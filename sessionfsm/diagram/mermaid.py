"""The lifecycle as a Mermaid state diagram, which GitHub and many editors show as a picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from sessionfsm.lifecycle import Machine, Order, OwnOrder, Row, Table

__all__ = ["mermaid"]

LIVE = "live"
WIDTH = 24
"""Characters in a line of a label. Mermaid breaks longer ones by itself, after it has made room for short ones."""

# What Mermaid takes for its own: a colon ends a name, a semicolon a statement, hash and percent sign begin something
# else, and the rest is markup.
_PLAIN = str.maketrans(
    {":": " ", ";": ",", "#": " ", "%": " ", "<": "below", ">": "above", "&": "+", '"': "'", "`": "'", "\n": " "}
)


def mermaid(machine: Machine) -> str:
    """
    Return the table of *machine* as Mermaid text.

    There is one arrow for all rows that lead from one state to another with the same command. Its label has a line for
    each row (the trigger, and in brackets what the memory must satisfy), then the command. What leads from a state back
    to itself is written inside the state. Rows that many states share leave the frame around these states.
    """
    table = machine.table
    frame = _frame(table)
    lines = ["stateDiagram-v2", f"    [*] --> {_id(table.initial)}"]
    if frame:
        inner = [row for row in table.rows if row.target in frame]
        lines += [
            f"    state {LIVE} {{",
            *(f"    {line}" for name in frame for line in (*_inside(table, name), *_arrows(name, (name,), inner))),
            "    }",
            *_arrows(LIVE, frame, [row for row in table.rows if row.sources == frame]),
        ]
    for name in (entry.name for entry in table.states):
        if name not in frame:
            lines += [*_inside(table, name), *_arrows(name, (name,), table.rows)]
            continue
        lines += _arrows(name, (name,), [row for row in table.rows if row.target not in frame and row.sources != frame])
    lines.append(f"    {_id(table.initial)} --> [*]")
    return "\n".join(lines) + "\n"


def _frame(table: Table) -> tuple[str, ...]:
    """Return the states that share a way out, if there are three or more: one arrow then stands for all of them."""
    shared = [row.sources for row in table.rows if len(row.sources) > 2 and row.target not in row.sources]
    taken = any(entry.name == LIVE for entry in table.states)
    return max(shared, key=len) if shared and not taken else ()


def _inside(table: Table, name: str) -> Iterator[str]:
    loops = [_row(row) for row in table.rows if name in row.sources and row.target == name]
    if loops or _id(name) != name:
        for text in (name.translate(_PLAIN), *loops):
            yield f"    {_id(name)} : {text}"


def _arrows(drawn_from: str, sources: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """Yield an arrow for each target and command, in the order of the rows."""
    leading = [row for row in rows if set(sources) <= set(row.sources) and row.target not in sources]
    places = list(dict.fromkeys((row.target, row.order) for row in leading))
    leading.sort(key=lambda row: places.index((row.target, row.order)))
    for (target, order), group in groupby(leading, key=lambda row: (row.target, row.order)):
        together = list(group)
        label = [_row(row) for row in together] if len(together) == 1 else []
        if not label or len(label[0]) > WIDTH:
            label = [line for row in together for line in _broken(row)]
            label += [_command(order)] if _command(order) else []
        yield f"    {_id(drawn_from)} --> {_id(target)} : {'<br>'.join(label)}"


def _row(row: Row) -> str:
    return " ".join(part for part in (*_parts(row), _command(row.order)) if part)


def _broken(row: Row) -> list[str]:
    lines = [""]
    for part in _parts(row):
        if lines[-1] and len(lines[-1]) + 1 + len(part) > WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {part}".strip()
    return lines


def _parts(row: Row) -> list[str]:
    """Return the trigger and its guards, cut where a line may end."""
    text = str(row.trigger)
    guards = ", ".join(str(guard) for guard in row.guards).translate(_PLAIN)
    return [text.translate(_PLAIN), *(f"[{guards}]".replace(", ", ",\n").split("\n") if guards else [])]


def _command(order: Order | OwnOrder) -> str:
    return "" if order is Order.NOTHING else f"→ {str(order).translate(_PLAIN)}"


def _id(name: str) -> str:
    return re.sub(r"\W", "_", str(name))
