"""From the way that Spacer found to a run that can be replayed: one policy, and a time for everything that happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import z3

from sessionfsm.errors import PolicyError
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.lifecycle.table import limits
from sessionfsm.verify.solver import Counterexample, Event

from .figures import COUNTERS, FIGURES, Figures, Scope
from .formulas import number
from .statements import Statement
from .translate import LASTS_S, LEFT_S, PACE_S, RUNG_S, Clause, translate

__all__ = ["counterexample"]


def counterexample(
    machine: Machine, statement: Statement, scope: Scope, way: Sequence[Clause], timeout_s: float
) -> Counterexample | None:
    """
    Return a run along *way*, with all facts and times; ``None`` if no policy in *scope* has one.

    Of all such runs it is one with as many of the machine's own figures as can be, and as late as can be.
    """
    system = translate(machine, statement, scope, whole=True)
    by_name = {clause.name: clause for clause in system.clauses}
    clauses = [by_name[clause.name] for clause in way]
    solver = z3.Solver()
    solver.set(timeout=max(1, int(timeout_s * 1000)))
    solver.add(*scope.facts)
    cells = {name: system.at_first.get(name, cell) for name, cell in system.cells.items()}
    wishes = _own_figures(machine)
    stretches: list[tuple[Any, Any]] = []
    for at, clause in enumerate(clauses):
        known = [(cell, cells[name]) for name, cell in system.cells.items()]
        known += [(chosen, z3.Real(f"{chosen}_{at}")) for chosen in (LASTS_S, RUNG_S, LEFT_S, PACE_S)]
        solver.add(z3.substitute(z3.And(clause.when, clause.times), *known))
        if at == len(clauses) - 1:
            solver.add(z3.substitute(clause.broken, *known))
        wishes.append(z3.substitute(clause.latest, *known))
        stretches.append((z3.Real(f"{LASTS_S}_{at}"), z3.substitute(clause.apart_s, *known)))
        cells = {name: z3.substitute(after, *known) for name, after in clause.after.items()}
    if not clauses or solver.check() != z3.sat:
        return None
    for wish in wishes:
        solver.push()
        solver.add(wish)
        if solver.check() != z3.sat:
            solver.pop()
    solver.check()
    model = solver.model()
    events: list[Event] = []
    began = Fraction(0)
    for clause, (lasts_s, apart_s) in zip(clauses, stretches, strict=True):
        at_s = began + _value(model, lasts_s)
        events.append(Event(trigger=clause.trigger, at_s=float(at_s), state=clause.target.state))
        began += _value(model, apart_s)
    try:
        policy = _policy(machine, model)
    except PolicyError:  # by less than rounding; a proof covers a little more than can be made, a refutation must not
        return None
    return Counterexample(
        policy=policy,
        limits={str(counter): model.eval(FIGURES.limit(counter), True).as_long() for counter in COUNTERS},
        events=tuple(events),
    )


def _own_figures(machine: Machine) -> list[Any]:
    wishes = [getattr(FIGURES, name) == number(getattr(machine.policy, name)) for name in Figures.names]
    return [*wishes, *(FIGURES.limit(counter) == limit for counter, limit in limits(machine.policy).items())]


def _value(model: Any, formula: Any) -> Fraction:
    value: Fraction = model.eval(formula, True).as_fraction()
    return value


def _policy(machine: Machine, model: Any) -> Policy:
    own = machine.policy
    figures: dict[str, Any] = {
        name: float(value)
        for name in Figures.names
        if (value := _value(model, getattr(FIGURES, name))) != Fraction(str(getattr(own, name)))
    }
    return replace(own, **figures) if figures else own
