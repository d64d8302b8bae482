"""Asking Spacer, the Horn clause engine of z3: what it says, the invariant that it found, the way that it found."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import z3

from .formulas import never
from .translate import LASTS_S, LEFT_S, PACE_S, RUNG_S, Clause, Place, System

__all__ = ["Answer", "ask", "reachable_rows"]

BROKEN = "broken"

# The transformations that would take predicates away, or columns of them: the invariant is wanted for each place, and
# the way for each clause.
_OPTIONS = {
    "engine": "spacer",
    "xform.slice": False,
    "xform.inline_eager": False,
    "xform.inline_linear": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What Spacer said.

    Attributes:
        said: ``unsat``: the property cannot be broken; ``sat``: it can; ``unknown``.
        why: The reason, if it is unknown.
        seconds: How long it took.
        invariant: If ``unsat``: for each place a formula over the system's cells that holds whenever a run is there.
        way: If ``sat``: the clauses that lead to the break, the last of which breaks the property.
    """

    said: str
    why: str
    seconds: float
    invariant: Mapping[Place, Any]
    way: tuple[Clause, ...]


class _Question:
    """A system, told to Spacer."""

    def __init__(self, system: System, timeout_s: float) -> None:
        self.system = system
        self.spacer = z3.Fixedpoint()
        self.spacer.set(timeout=max(1, int(timeout_s * 1000)), **_OPTIONS)
        cells = tuple(system.cells.values())
        self.columns = cells
        sorts = [cell.sort() for cell in cells]
        self.at = {place: z3.Function(system.name_of(place), *sorts, z3.BoolSort()) for place in system.places}
        for predicate in self.at.values():
            self.spacer.register_relation(predicate)
        for unknown in (*cells, *system.others, LASTS_S, LEFT_S, RUNG_S, PACE_S):
            self.spacer.declare_var(unknown)
        first = [system.at_first.get(name, cell) for name, cell in system.cells.items()]
        self.spacer.rule(self.at[system.initial](*first), [system.begins()], "begins")
        for clause in system.clauses:
            after = [clause.after[name] for name in system.cells]
            self.spacer.rule(
                self.at[clause.target](*after), [self.at[clause.source](*cells), system.body(clause)], clause.name
            )

    def goal(self, name: str) -> Any:
        goal = z3.Function(name, z3.BoolSort())
        self.spacer.register_relation(goal)
        return goal

    def leads(self, clause: Clause, goal: Any, when: Any, name: str) -> None:
        self.spacer.rule(goal(), [self.at[clause.source](*self.columns), self.system.body(clause), when], name)


def ask(system: System, timeout_s: float) -> Answer:
    """Ask whether the property of *system* can be broken."""
    began = time.perf_counter()
    question = _Question(system, timeout_s)
    broken = question.goal(BROKEN)
    by_name = {f"{BROKEN}_{clause.name}": clause for clause in system.clauses}
    for name, clause in by_name.items():
        if not never(clause.broken):
            question.leads(clause, broken, clause.broken, name)
    by_name |= {clause.name: clause for clause in system.clauses}
    why = ""
    invariant: Mapping[Place, Any] = {}
    way: tuple[Clause, ...] = ()
    try:
        said = str(question.spacer.query(broken()))
    except z3.Z3Exception as error:
        said, why = "unknown", str(error)
    seconds = time.perf_counter() - began
    if said == "unsat":
        invariant = {place: _invariant(question, place) for place in system.places}
    elif said == "sat":
        names = question.spacer.get_rule_names_along_trace()
        way = tuple(by_name[str(name)] for name in reversed(names) if str(name) in by_name)
    elif not why:
        why = question.spacer.reason_unknown()
    return Answer(said=said, why=why, seconds=seconds, invariant=invariant, way=way)


def _invariant(question: _Question, place: Place) -> Any:
    columns = question.columns
    formula = question.spacer.get_cover_delta(-1, question.at[place])
    return z3.simplify(z3.substitute_vars(formula, *columns))


def reachable_rows(system: System, timeout_s: float) -> dict[str, str]:
    """Return for each clause what Spacer says of it: ``sat`` if there is a run that takes it."""
    question = _Question(system, timeout_s)
    said = {}
    for clause in system.clauses:
        goal = question.goal(f"taken_{clause.name}")
        question.leads(clause, goal, z3.BoolVal(True), f"takes_{clause.name}")
        said[clause.name] = str(question.spacer.query(goal()))
    return said
