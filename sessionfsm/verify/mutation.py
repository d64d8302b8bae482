"""
The proof of the proof: which mutants of a lifecycle the properties tell from the lifecycle itself.

A mutant is *killed* if a property is refuted that the original keeps, or if its definition is refused. It is
*equivalent* if no property is, and it is bisimilar to the original (:mod:`sessionfsm.verify.equivalence`). What is
neither *survives*: it does something else, and no property minds.

A policy is another matter. One that can be made must keep every property; if it does not, it is *unsafe*. One just
past what can be made should break one; if it does not, the check is *stricter* than the other figures would need.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, Literal

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy

from .equivalence import Difference, TooManyPairs, difference
from .explore import LIMIT
from .mutants import Mutant, table_mutants
from .policy_edges import policy_edges
from .properties import STATEMENTS, decide

__all__ = ["DEFINITION", "SHORT_LADDERS", "Fate", "MutationReport", "Outcome", "mutate", "policy_mutants"]

Outcome = Literal["killed", "equivalent", "survived", "undecided", "proved", "unsafe", "stricter"]

SHORT_LADDERS = Policy(
    session_ceiling_s=10,
    transport_ceiling_s=2,
    pace_ceiling_s=2,
    login_required_denials=2,
)
"""
The default policy with two rungs on each ladder: enough for a first, a next and a last wait.

A search takes a tenth of the default policy's, and there are as many rows to change.
"""

DEFINITION = "definition"
"""What kills a mutant that is refused when it is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """
    What became of one mutant.

    Attributes:
        mutant: The mutant.
        outcome: Killed, equivalent or survived; of a policy also proved, unsafe or stricter; undecided if a search
            gave up.
        killers: The properties that it breaks and the original keeps, or :data:`DEFINITION`.
        differs: Of what no property kills, and is not equivalent: the shortest run that tells it from the original.
    """

    mutant: Mutant
    outcome: Outcome
    killers: tuple[str, ...] = ()
    differs: Difference | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {
            "kind": self.mutant.kind,
            "change": self.mutant.change,
            "outcome": self.outcome,
            "killers": list(self.killers),
            "refused": self.mutant.refused or None,
            "differs": None if self.differs is None else {"run": list(self.differs.run), "says": self.differs.says},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationReport:
    """
    What became of the mutants of one machine.

    Attributes:
        machine: The machine.
        broken: The properties that it breaks itself. They kill nothing.
        planned: How many mutants there are; more than there are fates if the run was stopped.
        fates: What became of each, in the order in which they were made.
    """

    machine: Machine
    broken: tuple[str, ...] = ()
    planned: int = 0
    fates: Sequence[Fate] = field(default_factory=list)

    @property
    def table(self) -> list[Fate]:
        """The mutants of the table."""
        return [fate for fate in self.fates if fate.mutant.kind != "policy"]

    @property
    def policies(self) -> list[Fate]:
        """The policies at their edges and past them."""
        return [fate for fate in self.fates if fate.mutant.kind == "policy"]

    @property
    def survivors(self) -> list[Fate]:
        """The mutants of the table that no property sees."""
        return [fate for fate in self.table if fate.outcome == "survived"]

    @property
    def unsafe(self) -> list[Fate]:
        """Policies that can be made and break a property."""
        return [fate for fate in self.policies if fate.outcome == "unsafe"]

    @property
    def undecided(self) -> list[Fate]:
        """The mutants on which a search gave up."""
        return [fate for fate in self.fates if fate.outcome == "undecided"]

    @property
    def whole(self) -> bool:
        """Whether every mutant was tried."""
        return len(self.fates) == self.planned

    def kills(self) -> dict[str, tuple[int, int]]:
        """Return for each property how many mutants of the table it kills, and how many of them it alone."""
        killed = [fate.killers for fate in self.table if fate.outcome == "killed"]
        every = Counter(killer for killers in killed for killer in killers)
        alone = Counter(killers[0] for killers in killed if len(killers) == 1)
        return {number: (every[number], alone[number]) for number in (*STATEMENTS, DEFINITION)}

    def also(self, number: str) -> dict[str, int]:
        """Return which other properties kill mutants that this one kills, and how many of them; the most first."""
        killed = [fate.killers for fate in self.table if number in fate.killers]
        return dict(Counter(other for killers in killed for other in killers if other != number).most_common())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        count = Counter(fate.outcome for fate in self.table)
        policies = Counter(fate.outcome for fate in self.policies)
        return {
            "table": self.machine.table.name,
            "broken": list(self.broken),
            "whole": self.whole,
            "mutants": len(self.table),
            "killed": count["killed"],
            "refused": sum(1 for fate in self.table if fate.mutant.refused),
            "equivalent": count["equivalent"],
            "undecided": count["undecided"],
            "survivors": [fate.to_dict() for fate in self.survivors],
            "policies": {
                "proved": policies["proved"],
                "unsafe": [fate.to_dict() for fate in self.unsafe],
                "killed": policies["killed"],
                "equivalent": policies["equivalent"],
                "stricter": policies["stricter"],
                "undecided": policies["undecided"],
            },
            "properties": {
                number: {"kills": kills, "alone": alone, "also": self.also(number)}
                for number, (kills, alone) in self.kills().items()
            },
            "each": [fate.to_dict() for fate in self.fates],
        }


def policy_mutants(policy: Policy, machine_for: Callable[[Policy], Machine]) -> Iterator[Mutant]:
    """Return the policies at the edges of *policy* and just past them, each with the table that it asks for."""
    for change, other, legal in policy_edges(policy):
        try:
            table = machine_for(other).table
        except DefinitionError as error:
            yield Mutant(kind="policy", change=change, policy=other, refused=str(error), legal=legal)
        else:
            yield Mutant(kind="policy", change=change, policy=other, table=table, legal=legal)


def mutate(
    machine: Machine,
    machine_for: Callable[[Policy], Machine] | None = None,
    *,
    limit: int = LIMIT,
    processes: int | None = None,
    only: Callable[[Mutant], bool] | None = None,
    told: Callable[[int, int], object] | None = None,
) -> MutationReport:
    """
    Change *machine* one cell at a time and find out which properties see it.

    Args:
        machine: Its table is changed; every mutant runs as the same class of machine.
        machine_for: Makes the machine for another policy. Without it the policy is left as it is.
        limit: After so many configurations the search of a mutant gives up; it is undecided then.
        processes: How many mutants are tried at once; as many as there are processors by default. With 1 no process is
            started.
        only: Which mutants are tried; all by default.
        told: Called after each mutant with how many are done, and of how many.

    Returns:
        The report. After a KeyboardInterrupt it has what was found until then, and is not :attr:`MutationReport.whole`.
    """
    # The policies first: that with a hundred denials takes longest by far.
    mutants = list(policy_mutants(machine.policy, machine_for)) if machine_for is not None else []
    mutants += table_mutants(machine)
    if only is not None:
        mutants = [mutant for mutant in mutants if only(mutant)]
    own = decide(machine, limit, verdicts_only=True)
    broken = tuple(number for number, finding in own.properties.items() if finding.verdict == "refuted")
    trial = _Trial(machine, frozenset(broken), limit)
    fates: dict[int, Fate] = {}
    try:
        for number, fate in _tried(trial, mutants, processes or os.cpu_count() or 1):
            fates[number] = fate
            if told is not None:
                told(len(fates), len(mutants))
    except KeyboardInterrupt:
        pass  # what was found is worth as much as before
    return MutationReport(
        machine=machine, broken=broken, planned=len(mutants), fates=[fates[number] for number in sorted(fates)]
    )


class _Trial:
    """Finds out what becomes of a mutant."""

    def __init__(self, machine: Machine, broken: frozenset[str], limit: int) -> None:
        self._machine = machine
        self._broken = broken
        self._limit = limit

    def __call__(self, mutant: Mutant) -> Fate:
        if mutant.refused:
            return Fate(mutant=mutant, outcome="killed", killers=(DEFINITION,))
        changed = type(self._machine)(mutant.policy, mutant.table)
        report = decide(changed, self._limit, verdicts_only=True)
        killers = tuple(
            number
            for number, finding in report.properties.items()
            if finding.verdict == "refuted" and number not in self._broken
        )
        given_up = report.verdict == "undecided"
        if mutant.legal:
            return Fate(
                mutant=mutant,
                outcome="unsafe" if killers else "undecided" if given_up else "proved",
                killers=killers,
            )
        if killers:
            return Fate(mutant=mutant, outcome="killed", killers=killers)
        try:
            differs = difference(self._machine, changed, self._limit)
        except TooManyPairs:
            return Fate(mutant=mutant, outcome="undecided")
        if differs is None:
            return Fate(mutant=mutant, outcome="equivalent")
        unseen: Outcome = "stricter" if mutant.kind == "policy" else "survived"
        return Fate(mutant=mutant, outcome="undecided" if given_up else unseen, differs=differs)


def _tried(trial: _Trial, mutants: Sequence[Mutant], processes: int) -> Iterator[tuple[int, Fate]]:
    if processes == 1:
        for number, mutant in enumerate(mutants):
            yield number, trial(mutant)
        return
    # Forked, a process has the machine already, whatever class it is of and wherever that is defined.
    pool = ProcessPoolExecutor(processes, get_context("fork"), initializer=_begin, initargs=(trial,))
    try:
        numbers: dict[Future[Fate], int] = {pool.submit(_try, mutant): n for n, mutant in enumerate(mutants)}
        for future in as_completed(numbers):
            yield numbers[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_trial: _Trial


def _begin(trial: _Trial) -> None:
    global _trial
    _trial = trial
    # Ctrl-C is for the process that was started by hand; it lets this one finish its mutant.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _try(mutant: Mutant) -> Fate:
    return _trial(mutant)
