"""
Properties proved for every policy at once, by the solver z3 (the extra ``prove``).

:func:`sessionfsm.verify.decide` searches what one machine does with one policy. Here the same table is translated into
constrained Horn clauses over unknowns: the figures of the policy, counters that saturate anywhere or nowhere, times
that are real numbers. z3's engine Spacer then looks for a run that breaks a property, or for an invariant that no run
leaves. z3 is imported when a function is called.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NamedTuple

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy

from .properties import STATEMENTS

__all__ = [
    "PROVABLE",
    "Checked",
    "Counterexample",
    "Event",
    "Obligation",
    "Proof",
    "check_certificate",
    "export_smtlib",
    "prove",
    "write_certificate",
]

PROVABLE = ("P1", "P2", "P6", "P10")
"""The properties that can be asked about."""

TIMEOUT_S = 60.0
INDEX = "certificate.json"


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


class Obligation(NamedTuple):
    """
    A part of a proof: something that must be unsatisfiable.

    Attributes:
        name: Its own; that of its file, too.
        says: What is shown by it.
        script: In SMT-LIB 2; it ends with ``(check-sat)``.
    """

    name: str
    says: str
    script: str


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
        invariant: If proved: what holds in each place, in SMT-LIB 2.
        obligations: If proved: what shows that the invariant is one and keeps the property. Each has been checked.
        counterexample: If refuted: a run that breaks it.
    """

    id: str
    statement: str
    scope: str
    verdict: Literal["proved", "refuted", "unknown"]
    why: str
    seconds: float
    invariant: str = ""
    obligations: tuple[Obligation, ...] = ()
    counterexample: Counterexample | None = None


class Checked(NamedTuple):
    """
    What a solver said of one obligation.

    Attributes:
        name: Its name.
        said: ``unsat`` is as it must be.
        seconds: How long it took.
    """

    name: str
    said: str
    seconds: float


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
    if answer.said == "unsat":
        obligations = tuple(symbolic.obligations(system, answer.invariant))
        open_ones = [o.name for o in obligations if symbolic.verdict_of(o.script, timeout_s) != "unsat"]
        if open_ones:
            said["why"] = f"the solver's invariant does not stand: {', '.join(open_ones)}"
        else:
            invariant = symbolic.invariant_script(system, answer.invariant)
            said = {"verdict": "proved", "why": "", "invariant": invariant, "obligations": obligations}
    elif answer.said == "sat":
        run = symbolic.counterexample(machine, statement, scope, answer.way, timeout_s)
        if run is None:
            said["why"] = "the solver found a way to break it, but no one policy and no times fit the whole of that way"
        else:
            said = {"verdict": "refuted", "why": "", "counterexample": run}
    number = statement.id
    return Proof(id=number, statement=STATEMENTS[number], scope=scope.says, seconds=answer.seconds, **said)


def export_smtlib(machine: Machine) -> dict[str, str]:
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
    }


def write_certificate(proofs: Sequence[Proof], folder: str | Path) -> int:
    """
    Write invariants and obligations as files, with an index, and return how many obligations there are.

    Args:
        folder: Is made if it is not there. What an earlier certificate left in it goes.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("P*.smt2"):
        old.unlink()
    index = []
    for proof in proofs:
        if proof.verdict == "proved":
            (folder / f"{proof.id}-invariant.smt2").write_text(proof.invariant, encoding="utf-8")
        for obligation in proof.obligations:
            (folder / f"{obligation.name}.smt2").write_text(obligation.script, encoding="utf-8")
        index.append(
            {
                "id": proof.id,
                "statement": proof.statement,
                "scope": proof.scope,
                "verdict": proof.verdict,
                "obligations": {f"{obligation.name}.smt2": obligation.says for obligation in proof.obligations},
            }
        )
    text = json.dumps({"properties": index}, indent=2, ensure_ascii=False)
    (folder / INDEX).write_text(text + "\n", encoding="utf-8")
    return sum(len(proof.obligations) for proof in proofs)


def check_certificate(
    folder: str | Path,
    machine: Machine | None = None,
    *,
    solver: Literal["z3", "cvc5"] = "z3",
    timeout_s: float = TIMEOUT_S,
) -> list[Checked]:
    """
    Have every obligation of a certificate decided again, by a fresh solver. All must be ``unsat``.

    Args:
        folder: Where it was written.
        machine: Take only the invariants from *folder*, and make the obligations anew from this machine's table: so
            that nobody need believe that the files are about that table, and all there are.
        solver: Which solver; cvc5 is another one, by other people.
        timeout_s: For each obligation.

    Raises:
        DefinitionError: If the solver is not installed, or there is no certificate that proves something.
    """
    symbolic = _symbolic()
    decide = symbolic.verdict_of if solver == "z3" else _cvc5().verdict_of
    folder = Path(folder)
    try:
        properties = json.loads((folder / INDEX).read_text(encoding="utf-8"))["properties"]
        proved = [entry for entry in properties if entry["verdict"] == "proved"]
        scripts: dict[str, str] = {}
        for entry in proved:
            if machine is None:
                scripts |= {name: (folder / name).read_text(encoding="utf-8") for name in entry["obligations"]}
                continue
            statement = next(each for each in symbolic.STATEMENTS if each.id == entry["id"])
            system = symbolic.translate(machine, statement, symbolic.scope_of(machine.policy))
            text = (folder / f"{entry['id']}-invariant.smt2").read_text(encoding="utf-8")
            anew = symbolic.obligations(system, symbolic.read_invariant(system, text))
            scripts |= {f"{obligation.name}.smt2": obligation.script for obligation in anew}
    except (OSError, ValueError, LookupError, TypeError, StopIteration) as error:
        raise DefinitionError(f"no certificate can be read in {folder}: {error}") from error
    if not scripts:
        raise DefinitionError(f"the certificate in {folder} proves nothing")
    checked = []
    for name, script in scripts.items():
        began = perf_counter()
        said = decide(script, timeout_s)
        checked.append(Checked(name, said, perf_counter() - began))
    return checked


def _symbolic() -> Any:
    return _loaded("z3", "sessionfsm.verify.symbolic", "pip install 'sessionfsm[prove]'")


def _cvc5() -> Any:
    return _loaded("cvc5", "sessionfsm.verify.symbolic.second_solver", "pip install cvc5")


def _loaded(needed: str, module: str, get_it: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != needed:
            raise
        raise DefinitionError(f"the solver {needed} is not installed: {get_it}") from None
