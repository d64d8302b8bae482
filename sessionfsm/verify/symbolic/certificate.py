"""The question, the invariant that answers it, and what z3 says of an obligation: all in SMT-LIB 2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import z3

from .formulas import never, unknowns_of
from .translate import Place, System

__all__ = ["horn_script", "invariant_script", "verdict_of"]


def invariant_script(system: System, invariant: Mapping[Place, Any]) -> str:
    """Return the invariant: for each place a function that says what holds there."""
    lines = [f"; what holds in each place, so that {system.statement.id} is kept; for {_one_line(system.scope.says)}"]
    for place in system.places:
        lines += [f"; {_one_line(str(place))}", _definition(system, place, invariant[place])]
    return "\n".join([*lines, ""])


def verdict_of(script: str, timeout_s: float) -> str:
    """Return what a fresh solver, of which Spacer is no part, says of *script*: ``unsat``, ``sat`` or ``unknown``."""
    solver = z3.Solver()
    solver.set(timeout=max(1, int(timeout_s * 1000)))
    try:
        solver.from_string(script)
    except z3.Z3Exception as error:
        return f"unreadable: {' '.join(str(error).split())}"
    return str(solver.check())


def horn_script(system: System) -> str:
    """
    Return the whole question as Horn clauses in SMT-LIB 2, for any solver that knows them.

    There, ``sat`` says that the clauses have a model: the property is kept. ``unsat`` says that it can be broken.
    Each clause stands after a comment with its name: :func:`sessionfsm.verify.clauses.obligations` reads them.
    """
    cells = tuple(system.cells.values())
    sorts = " ".join(cell.sort().sexpr() for cell in cells)
    lines = [
        f"; {system.statement.id} of the table, for {_one_line(system.scope.says)}",
        "; sat: it is kept; unsat: it can be broken",
        "(set-logic HORN)",
        *(f"(declare-fun {system.name_of(place)} ({sorts}) Bool)" for place in system.places),
    ]

    def at(place: Place, values: Mapping[str, Any]) -> str:
        arguments = [values.get(name, cell).sexpr() for name, cell in system.cells.items()]
        return f"({system.name_of(place)} {' '.join(arguments)})"

    def rule(name: str, says: str, body: list[str], head: str, formulas: Iterable[Any]) -> None:
        bound = " ".join(
            f"({unknown.sexpr()} {unknown.sort().sexpr()})" for unknown in unknowns_of([*cells, *formulas])
        )
        lines.append(f"; {name}: {_one_line(says)}")
        lines.append(f"(assert (forall ({bound}) (=> (and {' '.join(body)}) {head})))")

    rule(
        "begins",
        "a run begins",
        [system.begins().sexpr(), "true"],
        at(system.initial, system.at_first),
        [system.begins()],
    )
    for clause in system.clauses:
        body = system.body(clause)
        name = re.sub("[^A-Za-z0-9_]+", "_", clause.name)  # a trigger of a user's own can be called anything
        told = f"{clause.trigger} in {clause.source} leads to {clause.target} (row {clause.row})"
        before = [at(clause.source, {}), body.sexpr()]
        rule(f"{name}-leads", told, before, at(clause.target, clause.after), [body, *clause.after.values()])
        if not never(clause.broken):
            broken = [*before, clause.broken.sexpr()]
            rule(f"{name}-keeps", f"{told} and breaks it", broken, "false", [body, clause.broken])
    return "\n".join([*lines, "(check-sat)", ""])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _definition(system: System, place: Place, formula: Any) -> str:
    columns = " ".join(f"({cell.sexpr()} {cell.sort().sexpr()})" for cell in system.cells.values())
    return f"(define-fun {system.name_of(place)} ({columns}) Bool {formula.sexpr()})"
