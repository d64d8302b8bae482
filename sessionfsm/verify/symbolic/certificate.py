"""
A certificate: what holds in each place, and why that is a proof, in SMT-LIB 2 that any solver can check.

An invariant proves the property if it holds at first, if every clause leads from it into it, and if no clause breaks
the property where it holds. Each of these is an obligation of its own: a script whose formulas contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import z3

from sessionfsm.verify.solver import Obligation

from .formulas import all_of, never, unknowns_of
from .translate import Place, System

__all__ = ["horn_script", "invariant_script", "obligations", "read_invariant", "verdict_of"]


def obligations(system: System, invariant: Mapping[Place, Any]) -> Iterator[Obligation]:
    """Yield what has to be shown for *invariant* to prove the property of *system*."""
    number, cells = system.statement.id, system.cells

    def holds(place: Place, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        arguments = [values.get(name, cell) for name, cell in cells.items()]
        return f"({system.name_of(place)} {' '.join(argument.sexpr() for argument in arguments)})", arguments

    def obligation(name: str, says: str, places: Iterable[Place], parts: list[tuple[str, list[Any]]]) -> Obligation:
        known = dict.fromkeys(places)
        lines = [f"; {' '.join(says.split())}", "; unsat: it is so", "(set-logic ALL)"]
        lines += [_definition(system, place, invariant[place]) for place in known]
        lines += _declarations([formula for _, formulas in parts for formula in formulas])
        lines += [f"(assert {text})" for text, _ in parts]
        return Obligation(f"{number}-{name}", says, "\n".join([*lines, "(check-sat)", ""]))

    def plain(formula: Any) -> tuple[str, list[Any]]:
        return formula.sexpr(), [formula]

    def denied(part: tuple[str, list[Any]]) -> tuple[str, list[Any]]:
        return f"(not {part[0]})", part[1]

    first = system.initial
    yield obligation(
        "begins",
        f"{number}: a run begins within the invariant",
        [first],
        [plain(system.begins()), denied(holds(first, system.at_first))],
    )
    for clause in system.clauses:
        source, target = clause.source, clause.target
        before = [holds(source, {}), plain(system.body(clause))]
        told = f"{clause.trigger} in {source} leads to {target} (row {clause.row})"
        yield obligation(
            f"{clause.name}-stays",
            f"{number}: {told}, within the invariant",
            [source, target],
            [*before, denied(holds(target, clause.after))],
        )
        if not never(clause.broken):
            yield obligation(
                f"{clause.name}-keeps",
                f"{number}: {told}, and keeps {number}",
                [source],
                [*before, plain(clause.broken)],
            )


def invariant_script(system: System, invariant: Mapping[Place, Any]) -> str:
    """Return the invariant: for each place a function that says what holds there."""
    lines = [f"; what holds in each place, so that {system.statement.id} is kept; for {_one_line(system.scope.says)}"]
    for place in system.places:
        lines += [f"; {_one_line(str(place))}", _definition(system, place, invariant[place])]
    return "\n".join([*lines, ""])


def read_invariant(system: System, script: str) -> dict[Place, Any]:
    """
    Return the invariant that *script* says.

    Raises:
        ValueError: If it is not one for *system*.
    """
    cells = tuple(system.cells.values())
    invariant = {}
    for place in system.places:
        call = f"({system.name_of(place)} {' '.join(cell.sexpr() for cell in cells)})"
        text = "\n".join([script, *_declarations(cells), f"(assert {call})"])
        try:
            invariant[place] = all_of(z3.parse_smt2_string(text))
        except z3.Z3Exception as error:
            raise ValueError(f"no invariant for {place}: {error}") from None
    return invariant


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

    def rule(says: str, body: list[str], head: str, formulas: Iterable[Any]) -> None:
        bound = " ".join(
            f"({unknown.sexpr()} {unknown.sort().sexpr()})" for unknown in unknowns_of([*cells, *formulas])
        )
        lines.append(f"; {_one_line(says)}")
        lines.append(f"(assert (forall ({bound}) (=> (and {' '.join(body)}) {head})))")

    rule("a run begins", [system.begins().sexpr(), "true"], at(system.initial, system.at_first), [system.begins()])
    for clause in system.clauses:
        body = system.body(clause)
        told = f"{clause.trigger} in {clause.source} leads to {clause.target} (row {clause.row})"
        before = [at(clause.source, {}), body.sexpr()]
        rule(told, before, at(clause.target, clause.after), [body, *clause.after.values()])
        if not never(clause.broken):
            rule(f"{told} and breaks it", [*before, clause.broken.sexpr()], "false", [body, clause.broken])
    return "\n".join([*lines, "(check-sat)", ""])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _definition(system: System, place: Place, formula: Any) -> str:
    columns = " ".join(f"({cell.sexpr()} {cell.sort().sexpr()})" for cell in system.cells.values())
    return f"(define-fun {system.name_of(place)} ({columns}) Bool {formula.sexpr()})"


def _declarations(formulas: Iterable[Any]) -> list[str]:
    return [f"(declare-const {unknown.sexpr()} {unknown.sort().sexpr()})" for unknown in unknowns_of(formulas)]
