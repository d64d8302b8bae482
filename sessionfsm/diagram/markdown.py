"""The lifecycle as Markdown tables, for documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sessionfsm.lifecycle import Machine

__all__ = ["markdown"]


def markdown(machine: Machine) -> str:
    """Return the table of *machine* as Markdown: what its states mean, every row, and when signals are raised."""
    table = machine.table
    states = _table(("state", "meaning"), ((f"`{entry.name}`", entry.meaning) for entry in table.states))
    rows = _table(
        ("trigger", "from", "when", "to", "memory", "command", "reason"),
        (
            (
                f"`{row.trigger}`",
                ", ".join(str(source) for source in row.sources),
                _listed(row.guards),
                str(row.target),
                _listed(row.updates),
                str(row.order),
                row.reason,
            )
            for row in table.rows
        ),
    )
    signals = _table(
        ("signal", "raised by the command", "when"),
        ((f"`{rule.signal}`", str(rule.order), _listed(rule.guards)) for rule in table.signals),
    )
    clearing = ", ".join(dict.fromkeys(f"`{row.trigger}`" for row in table.rows if row.clears_signals))
    return "\n".join([states, rows, signals, f"Every signal is cleared by {clearing}.\n"])


def _listed(parts: Iterable[object]) -> str:
    return ", ".join(str(part) for part in parts)


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)
