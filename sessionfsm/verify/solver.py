"""
Properties proved for every policy at once, by the solver z3 (the extra ``prove``).

:func:`sessionfsm.verify.decide` searches what one machine does with one policy. Here the same table is translated into
constrained Horn clauses over unknowns: the figures of the policy, counters that saturate anywhere or nowhere, times
that are real numbers. z3's engine Spacer then looks for a run that breaks a property, or for an invariant that no run
leaves. z3 is imported when a function is called.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, Literal, NamedTuple

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy

from .clauses import Obligation, obligations
from .properties import STATEMENTS

__all__ = [
    "PROVABLE",
    "TIMEOUT_S",
    "Counterexample",
    "Event",
    "Obligation",
    "Proof",
    "export_smtlib",
    "loaded",
    "prove",
]

PROVABLE = ("P1", "P2", "P6", "P10")
"""The properties that can be asked about."""

TIMEOUT_S = 60.0


class Event(NamedTuple):
    """
    One step of a run.

    Attributes:
        trigger: What happens.
        at_s: When, in seconds from the start of the run.
        state: The state afterwards.
    """

    trigger: str
    at_s: float
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterexample:
    """
    A run that breaks a property with its last event.

    Attributes:
        policy: A policy with which it can happen: with as many of the machine's own figures as can be.
        limits: Where the counters saturate in it: the machine's own limits where they do, larger ones where a larger
            limit is needed to break the property.
        events: What happens.
    """

    policy: Policy
    limits: Mapping[str, int]
    events: tuple[Event, ...]

    def other_figures(self, own: Policy) -> dict[str, float]:
        """Return the figures of its policy that are not those of *own*: the run needs them to be such."""
        return {
            item.name: getattr(self.policy, item.name)
            for item in fields(own)
            if getattr(self.policy, item.name) != getattr(own, item.name)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """
    What the solver said about one property.

    Attributes:
        id: Such as ``P1``.
        statement: What it says.
        scope: The policies that were asked about, in words.
        verdict: Proved, refuted, or unknown: as the solver said.
        why: If unknown, the reason.
        seconds: How long Spacer took.
        question: The Horn clauses that were asked about, in SMT-LIB 2.
        invariant: If proved: what holds in each place, in SMT-LIB 2.
        obligations: If proved: what shows that the invariant is one and keeps the property. z3 has decided each anew.
        counterexample: If refuted: a run that breaks it.
    """

    id: str
    statement: str
    scope: str
    verdict: Literal["proved", "refuted", "unknown"]
    why: str
    seconds: float
    question: str
    invariant: str = ""
    obligations: tuple[Obligation, ...] = ()
    counterexample: Counterexample | None = None


def prove(
    machine: Machine,
    properties: Collection[str] = PROVABLE,
    *,
    timeout_s: float = TIMEOUT_S,
    this_policy_only: bool = False,
) -> list[Proof]:
    """
    Ask the solver about properties, in the order of :data:`PROVABLE`.

    Args:
        machine: Its table is proved, and whether its policy requires renewals to succeed; not its code. Its figures
            matter only if they could not be made, or if they alone are asked about.
        properties: Which, of :data:`PROVABLE`.
        timeout_s: For each property. What is not decided by then is unknown.
        this_policy_only: Ask about the machine's own figures and limits, instead of every policy.

    Raises:
        DefinitionError: If z3 is not installed, or a property cannot be asked about.
    """
    if strange := sorted(set(properties) - set(PROVABLE)):
        raise DefinitionError(
            f"the solver cannot be asked about {', '.join(strange)}, only about {', '.join(PROVABLE)}"
        )
    symbolic = _symbolic()
    scope = symbolic.this_policy(machine.policy) if this_policy_only else symbolic.scope_of(machine.policy)
    asked = [statement for statement in symbolic.STATEMENTS if statement.id in properties]
    return [_prove(symbolic, machine, statement, scope, timeout_s) for statement in asked]


def _prove(symbolic: Any, machine: Machine, statement: Any, scope: Any, timeout_s: float) -> Proof:
    system = symbolic.translate(machine, statement, scope)
    answer = symbolic.ask(system, timeout_s)
    said: dict[str, Any] = {"verdict": "unknown", "why": answer.why}
    number, question = statement.id, symbolic.horn_script(system)
    if answer.said == "unsat":
        invariant = symbolic.invariant_script(system, answer.invariant)
        shown = tuple(obligations(number, question, invariant))
        open_ones = [each.name for each in shown if symbolic.verdict_of(each.script, timeout_s) != "unsat"]
        if open_ones:
            said["why"] = f"the solver's invariant does not stand: {', '.join(open_ones)}"
        else:
            said = {"verdict": "proved", "why": "", "invariant": invariant, "obligations": shown}
    elif answer.said == "sat":
        run = symbolic.counterexample(machine, statement, scope, answer.way, timeout_s)
        if run is None:
            said["why"] = "the solver found a way to break it, but no one policy and no times fit the whole of that way"
        else:
            said = {"verdict": "refuted", "why": "", "counterexample": run}
    return Proof(
        id=number,
        statement=STATEMENTS[number],
        scope=scope.says,
        seconds=answer.seconds,
        question=question,
        **said,
    )


def export_smtlib(machine: Machine, properties: Collection[str] = PROVABLE) -> dict[str, str]:
    """
    Return for each property the question itself: Horn clauses in SMT-LIB 2, for any solver that knows them.

    Raises:
        DefinitionError: If z3 is not installed.
    """
    symbolic = _symbolic()
    scope = symbolic.scope_of(machine.policy)
    return {
        statement.id: symbolic.horn_script(symbolic.translate(machine, statement, scope))
        for statement in symbolic.STATEMENTS
        if statement.id in properties
    }


def smtlib(machine: Machine) -> str:
    """
    Return all that :func:`export_smtlib` does in one text, with a ``(reset)`` between two questions.

    Raises:
        DefinitionError: If z3 is not installed.
    """
    return "(reset)\n".join(export_smtlib(machine).values())


def _symbolic() -> Any:
    return loaded("z3", "sessionfsm.verify.symbolic")


def loaded(needed: str, module: str) -> Any:
    """
    Import *module*, which needs the solver *needed*.

    Raises:
        DefinitionError: If the solver is not installed; it says how to get it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != needed:
            raise
        raise DefinitionError(f"the solver {needed} is not installed: pip install 'sessionfsm[prove]'") from None
