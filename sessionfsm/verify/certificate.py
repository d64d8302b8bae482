"""
A certificate: questions, invariants and obligations kept as files, and checked again by whoever doubts them.

Nothing in the folder is believed. What has to be shown is derived anew from clauses and invariant, the clauses are
compared with those of the table, and each obligation is given to two solvers that share nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NamedTuple, TypeAlias

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine

from .clauses import Obligation, obligations
from .solver import PROVABLE, TIMEOUT_S, Proof, export_smtlib, loaded

__all__ = ["SOLVERS", "Check", "Checked", "Solver", "check_certificate", "version_of", "write_certificate"]

Solver: TypeAlias = Literal["z3", "cvc5"]

SOLVERS: tuple[Solver, ...] = ("z3", "cvc5")
NOT_RUN = "not run"
INDEX = "certificate.json"

_MODULES: Mapping[Solver, str] = {"z3": "sessionfsm.verify.symbolic", "cvc5": "sessionfsm.verify.second_solver"}


class Checked(NamedTuple):
    """
    What the solvers said of one obligation.

    Attributes:
        property: The property that it belongs to, such as ``P1``.
        name: Its name.
        says: What is shown by it.
        said: By solver: ``unsat`` is as it must be; else ``sat``, ``unknown``, ``unreadable: …`` or ``not run``.
        seconds: By solver: how long it took.
    """

    property: str
    name: str
    says: str
    said: Mapping[Solver, str]
    seconds: Mapping[Solver, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    What came of checking a certificate.

    Attributes:
        obligations: Every obligation, and what the solvers said of it.
        faults: What is wrong with the files.
        unchecked: What was not checked, and why.
    """

    obligations: tuple[Checked, ...]
    faults: tuple[str, ...]
    unchecked: tuple[str, ...]

    @property
    def verdict(self) -> Literal["stands", "falls", "undecided"]:
        """``stands`` if everything was checked and is as it must be; what was not checked leaves it undecided."""
        said = {each for checked in self.obligations for each in checked.said.values()}
        if self.faults or any(each == "sat" or each.startswith("unreadable") for each in said):
            return "falls"
        return "stands" if said == {"unsat"} and not self.unchecked else "undecided"


def write_certificate(proofs: Sequence[Proof], folder: str | Path) -> int:
    """
    Write questions, invariants and obligations as files, with an index, and return how many obligations there are.

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
            _question(folder, proof.id).write_text(proof.question, encoding="utf-8")
            _invariant(folder, proof.id).write_text(proof.invariant, encoding="utf-8")
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


def _question(folder: Path, number: str) -> Path:
    return folder / f"{number}-question.smt2"


def _invariant(folder: Path, number: str) -> Path:
    return folder / f"{number}-invariant.smt2"


def check_certificate(
    folder: str | Path,
    machine: Machine | None = None,
    *,
    solvers: Sequence[Solver] = SOLVERS,
    timeout_s: float = TIMEOUT_S,
) -> Check:
    """
    Have everything that a certificate rests on decided again.

    Which obligations there have to be is not taken from *folder*: they are derived from the clauses and the invariant
    of each property. One that is missing, or says something else there, is a fault.

    Args:
        folder: Where it was written.
        machine: Make the clauses anew from this machine's table, which takes z3: so that nobody need believe that
            those in *folder* are about that table. Without it, they are taken as they are, and that is told.
        solvers: Which solvers decide each obligation. One that is not installed is told, too.
        timeout_s: For each obligation and solver.

    Raises:
        DefinitionError: If there is no certificate in *folder*, or none that proves something.
    """
    folder = Path(folder)
    entries = _entries(folder)
    faults: list[str] = []
    unchecked = [f"{number}: no proof of it is kept" for number in PROVABLE if number not in entries]
    questions = _questions(machine, entries, unchecked)
    pending: list[tuple[str, Obligation]] = []
    for number, claimed in entries.items():
        try:
            question = _question(folder, number).read_text(encoding="utf-8")
            if questions is not None and question != questions[number]:
                faults.append(f"{number}-question.smt2 is not what this table asks")
                question = questions[number]
            derived = obligations(number, question, _invariant(folder, number).read_text(encoding="utf-8"))
        except OSError as error:
            faults.append(f"{number}: {Path(error.filename).name} cannot be read: {error.strerror or error}")
            continue
        except ValueError as error:
            faults.append(f"{number}: {error}")
            continue
        pending += ((number, obligation) for obligation in derived)
        faults += _differences(folder, number, derived, claimed)
    deciders = {solver: _decider(solver, unchecked) for solver in solvers}
    return Check(
        obligations=tuple(_decided(number, obligation, deciders, timeout_s) for number, obligation in pending),
        faults=tuple(faults),
        unchecked=tuple(unchecked),
    )


def version_of(solver: Solver) -> str:
    """Return the version of a solver that is installed; else that it is not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version({"z3": "z3-solver", "cvc5": "cvc5"}[solver])
    except PackageNotFoundError:
        return "not installed"


def _entries(folder: Path) -> dict[str, frozenset[str]]:
    """Return for each property that is said to be proved the files that are said to be its obligations."""
    try:
        listed = json.loads((folder / INDEX).read_text(encoding="utf-8"))["properties"]
        entries = {
            str(entry["id"]): frozenset(map(str, entry["obligations"]))
            for entry in listed
            if entry["verdict"] == "proved"
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DefinitionError(f"no certificate can be read in {folder}: {error}") from error
    if strange := sorted(set(entries) - set(PROVABLE)):
        raise DefinitionError(f"the certificate in {folder} is about {', '.join(strange)}, which cannot be proved so")
    if not entries:
        raise DefinitionError(f"the certificate in {folder} proves nothing")
    return entries


def _questions(machine: Machine | None, properties: Collection[str], unchecked: list[str]) -> Mapping[str, str] | None:
    told = "that the clauses are those of the table"
    if machine is None:
        unchecked.append(f"{told}: no table was given")
        return None
    try:
        return export_smtlib(machine, properties)
    except DefinitionError as error:
        unchecked.append(f"{told}: {error}")
        return None


def _differences(folder: Path, number: str, derived: list[Obligation], claimed: frozenset[str]) -> Iterator[str]:
    files = {f"{obligation.name}.smt2": obligation.script for obligation in derived}
    kept = {path.name for path in folder.glob(f"{number}-*.smt2")}
    kept -= {_question(folder, number).name, _invariant(folder, number).name}
    for name, script in files.items():
        if name not in kept:
            yield f"{name} is missing"
        elif (folder / name).read_bytes() != script.encode():
            yield f"{name} is not what has to be shown"
        if name not in claimed:
            yield f"{name} is missing in {INDEX}"
    yield from (f"{name} is nothing that has to be shown" for name in sorted((kept | claimed) - set(files)))


Decider: TypeAlias = "Callable[[str, float], str] | None"


def _decider(solver: Solver, unchecked: list[str]) -> Decider:
    try:
        decide: Any = loaded(solver, _MODULES[solver]).verdict_of
    except DefinitionError as error:
        unchecked.append(f"the obligations, by {solver}: {error}")
        return None
    return decide  # type: ignore[no-any-return]


def _decided(number: str, obligation: Obligation, deciders: Mapping[Solver, Decider], timeout_s: float) -> Checked:
    said: dict[Solver, str] = {}
    seconds: dict[Solver, float] = {}
    for solver, decide in deciders.items():
        began = perf_counter()
        said[solver] = NOT_RUN if decide is None else decide(obligation.script, timeout_s)
        seconds[solver] = perf_counter() - began
    return Checked(number, obligation.name, obligation.says, said, seconds)
