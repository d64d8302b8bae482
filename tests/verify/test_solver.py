"""Every policy at once: what the solver proves, what it refutes, and that the search says the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from sessionfsm import DefinitionError, examples
from sessionfsm.lifecycle import (
    Assign,
    AtLeast,
    Below,
    Machine,
    Order,
    Pause,
    Policy,
    Row,
    State,
    Table,
    Trigger,
    table_for,
)
from sessionfsm.verify import decide
from sessionfsm.verify.solver import PROVABLE, Proof, prove

S, T = State, Trigger
SMALL = Policy(
    session_ceiling_s=10,
    transport_ceiling_s=2,
    pace_ceiling_s=1,
    login_required_denials=2,
)
REQUIRED = replace(SMALL, renewal="required")


def edited(edit: Callable[[list[Row]], None], policy: Policy = SMALL) -> Machine:
    table = table_for(policy)
    rows = list(table.rows)
    edit(rows)
    assert tuple(rows) != table.rows, "the bug was not sown"
    return Machine(policy, replace(table, rows=tuple(rows)))


def changing(trigger: str, **changes: object) -> Callable[[list[Row]], None]:
    def edit(rows: list[Row]) -> None:
        rows[:] = [replace(row, **changes) if row.trigger == trigger else row for row in rows]  # type: ignore[arg-type]

    return edit


def resetting(trigger: str, cell: str) -> Callable[[list[Row]], None]:
    def edit(rows: list[Row]) -> None:
        rows[:] = [
            replace(row, updates=(*row.updates, Assign(cell, 0))) if row.trigger == trigger else row  # type: ignore[arg-type]
            for row in rows
        ]

    return edit


def an_hour_from_the_sixteenth_failure_on(rows: list[Row]) -> None:
    """Sampling passes it by: it takes sixteen failures in a row, more than the default ladder has rungs."""
    at = next(number for number, row in enumerate(rows) if row.trigger == T.POLL_FAILED)
    rows[at : at + 1] = [
        replace(rows[at], guards=(Below("waits", 15),)),
        replace(rows[at], guards=(AtLeast("waits", 15),), order=Pause("an hour", 3600)),
    ]


def one_beyond(policy: Policy, **figures: float) -> Policy:
    """A policy that could not be made: the check is bypassed."""
    policy = replace(policy)
    for name, value in figures.items():
        object.__setattr__(policy, name, value)
    return policy


MACHINES: dict[str, Callable[[], Machine]] = {
    "ours": lambda: Machine(SMALL),
    "ours, renewal required": lambda: Machine(REQUIRED),
    "polls after a wait": lambda: edited(changing(T.RETRY_DUE, target=S.ACTIVE, order=Order.POLL)),
    "a lapse is answered with a poll": lambda: edited(changing(T.SESSION_LAPSED, target=S.ACTIVE, order=Order.POLL)),
    "a denied handshake is answered with a poll": lambda: edited(
        changing(T.SESSION_EXPIRED, target=S.ACTIVE, order=Order.POLL)
    ),
    "a renewal resets waits": lambda: edited(resetting(T.SESSION_RENEWED, "waits")),
    "a renewal resets denials": lambda: edited(resetting(T.SESSION_RENEWED, "denials")),
    "a pause of an hour": lambda: edited(changing(T.POLL_FAILED, order=Pause("an hour", 3600))),
    "a pause of 20 minutes": lambda: edited(changing(T.POLL_FAILED, order=Pause("20 minutes", 1200))),
    "a wait after a wait": lambda: edited(changing(T.RETRY_DUE, target=S.BACKOFF, order=Pause("again", 300))),
    "an attempt, where success is required": lambda: Machine(REQUIRED, table_for(SMALL)),
    "the official client": lambda: Machine(SMALL, examples.official_client(SMALL)),
}


QUICK = ("ours", "the official client")


def tables(*names: str) -> list[object]:
    """Those in the gate, and those that `make prove` asks about."""
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


@cache
def machine(name: str) -> Machine:
    return MACHINES[name]()


@cache
def proofs(name: str) -> dict[str, Proof]:
    return {proof.id: proof for proof in prove(machine(name))}


@pytest.mark.parametrize("name", tables("ours", "ours, renewal required"))
def test_four_properties_hold_for_every_policy(name: str) -> None:
    assert {number: proof.verdict for number, proof in proofs(name).items()} == dict.fromkeys(PROVABLE, "proved")


@pytest.mark.parametrize("name", tables(*MACHINES))
def test_search_and_solver_agree(name: str) -> None:
    """What is proved for every policy, the search finds for one; what the search refutes, the solver does not prove."""
    table: Table = machine(name).table
    found = decide(Machine(machine(name).policy, table))
    said = {number: proof.verdict for number, proof in proofs(name).items()}
    assert said == {number: found[number].verdict for number in PROVABLE}


@pytest.mark.slow
def test_a_counter_that_no_policy_of_ours_reaches_is_reached() -> None:
    """An hour's wait from the 16th failure on: counters are unbounded here, so no ladder is too short to show it."""
    late = edited(an_hour_from_the_sixteenth_failure_on, Policy())
    said = {proof.id: proof for proof in prove(late, ("P2", "P6"))}
    assert {number: proof.verdict for number, proof in said.items()} == {"P2": "refuted", "P6": "refuted"}
    run = said["P2"].counterexample
    assert run is not None
    assert sum(event.state == State.BACKOFF for event in run.events) == 16


@pytest.mark.parametrize("name", tables(*(name for name in MACHINES if not name.startswith("ours"))))
def test_a_refutation_can_be_replayed(name: str) -> None:
    """The run that the solver gives is taken by the machine that runs, trigger by trigger, state by state."""
    for proof in proofs(name).values():
        if proof.counterexample is None:
            continue
        session = machine(name).session()
        for event in proof.counterexample.events:
            serial = session.outstanding.serial if session.outstanding is not None else None
            step = session.handle(event.trigger, serial=serial)
            assert step is not None
            assert step.target == event.state


@pytest.mark.slow
def test_a_ceiling_of_an_hour_that_slips_past_the_check_is_refuted() -> None:
    policy = one_beyond(Policy(), session_ceiling_s=3600.0)
    refuted = {proof.id for proof in prove(Machine(policy)) if proof.verdict == "refuted"}
    assert refuted == {"P2", "P6"}
    found = decide(Machine(policy))
    for number in refuted:
        assert found[number].verdict == "refuted"
        assert found[number].counterexample


def test_without_the_solver_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in sys.modules if name == "z3" or name.startswith(("z3.", "sessionfsm.verify.symbolic"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(DefinitionError, match=r"pip install 'sessionfsm\[prove\]'"):
        prove(Machine())
