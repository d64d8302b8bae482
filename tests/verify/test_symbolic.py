"""Properties proved for every policy at once: the translation is faithful and not empty, and can be checked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionfsm import examples
from sessionfsm.errors import DefinitionError, PolicyError
from sessionfsm.lifecycle import (
    Assign,
    AtLeast,
    Below,
    Close,
    Command,
    Count,
    Is,
    Ladder,
    Machine,
    Order,
    Own,
    Pause,
    Perform,
    Policy,
    Poll,
    Renew,
    Row,
    State,
    Step,
    Table,
    Trigger,
    Wait,
    delay,
    table_for,
)
from sessionfsm.lifecycle.table import limits
from sessionfsm.verify import Graph, decide, explore, prove_all, symbolic
from sessionfsm.verify import moves as real_moves
from sessionfsm.verify.certificate import check_certificate, write_certificate
from sessionfsm.verify.history import History, Scale
from sessionfsm.verify.solver import PROVABLE, Counterexample, Proof, export_smtlib, prove
from sessionfsm.verify.symbolic.figures import COUNTERS, FIGURES, JITTER
from sessionfsm.verify.symbolic.formulas import number
from sessionfsm.verify.symbolic.translate import LASTS_S, LEFT_S, PACE_S, RUNG_S, Clause, System
from sessionfsm.verify.symbolic.world import Kind, Operation, moves

pytestmark = pytest.mark.slow  # some minutes; `make prove` runs it

S, T = State, Trigger

RENEWALS = ("attempted", "required")
SMALL = Policy(
    session_first_s=5,
    session_ceiling_s=10,
    transport_first_s=1,
    transport_ceiling_s=2,
    pace_first_s=1,
    pace_ceiling_s=2,
    login_required_denials=2,
)
"""Few rungs: a graph that is searched in no time."""
STATEMENTS = {statement.id: statement for statement in symbolic.STATEMENTS}


def of(renewal: str, policy: Policy | None = None) -> Machine:
    return Machine(Policy.from_mapping({"renewal": renewal}) if policy is None else replace(policy, renewal=renewal))


@cache
def proofs_of(renewal: str) -> dict[str, Proof]:
    return {proof.id: proof for proof in prove(of(renewal))}


def unchecked(policy: Policy, **figures: float) -> Policy:
    """A policy that could not be made: its bounds are passed by."""
    policy = replace(policy)
    for name, value in figures.items():
        object.__setattr__(policy, name, value)
    return policy


def changed(trigger: str, policy: Policy = SMALL, *, among: int = 0, **changes: Any) -> Machine:
    """A machine in whose table one of the rows for *trigger* is different."""
    table = table_for(policy)
    row = [row for row in table.rows if row.trigger == trigger][among]
    rows = tuple(replace(each, **changes) if each is row else each for each in table.rows)
    return Machine(policy, replace(table, rows=rows))


def with_rows(*rows: Row, policy: Policy = SMALL, external: tuple[str, ...] = ()) -> Machine:
    """A machine with rows that go before its table's own."""
    table = table_for(policy)
    return Machine(policy, replace(table, rows=(*rows, *table.rows), external=external))


def waiting(trigger: str, order: Order | Pause, *guards: Any, source: str = S.ACTIVE) -> Row:
    return Row(
        trigger=trigger,
        sources=(source,),
        guards=guards,
        target=S.BACKOFF,
        updates=(Count("waits"), Count("denials"), Assign("trusted", False), Assign("doubts", 0)),
        order=order,
        reason="to see what becomes of it",
    )


AN_HOUR = Pause("an hour", 3600)


# The proofs.


@pytest.mark.parametrize("renewal", RENEWALS)
@pytest.mark.parametrize("number", PROVABLE)
def test_the_default_table_is_proved_for_every_policy(renewal: str, number: str) -> None:
    """P1, P2, P6 and P10 hold whatever the figures are, however far the counters count, and at whatever times."""
    proof = proofs_of(renewal)[number]
    assert (proof.verdict, proof.why, proof.scope) == ("proved", "", "every policy that can be made")
    assert proof.invariant
    assert proof.obligations
    assert proof.seconds < 60


def test_what_is_not_decided_in_time_is_unknown() -> None:
    """A timeout is never rounded up, and says that it is one."""
    (proof,) = prove(Machine(), ["P1"], timeout_s=0.001)
    assert proof.verdict == "unknown"
    assert proof.why
    assert not proof.obligations
    assert proof.counterexample is None


def test_only_what_can_be_said_to_the_solver_can_be_asked() -> None:
    """Another property is refused by name."""
    with pytest.raises(DefinitionError, match="P7"):
        prove(Machine(), ["P1", "P7"])


# Every property can be refuted, by a run that the running machine can be led along.


def replayed(machine: Machine, found: Counterexample) -> Iterator[tuple[float, Step, Command | None]]:
    """Lead the running machine along the run; yield when each step came, the step, and what was outstanding before."""
    machine = Machine(found.policy, machine.table)
    machine._limits = dict(found.limits)  # what is refuted only for a counter that goes further than it does today
    session = machine.session()
    began, own = 0.0, sorted(machine.table.external)
    for event in found.events:
        outstanding = session.outstanding
        possible = [move for move in real_moves(outstanding, found.policy, own) if move.trigger == event.trigger]
        assert any(move.least_s - 1e-6 <= event.at_s - began <= move.most_s + 1e-6 for move in possible), event
        step = session.handle(event.trigger, serial=outstanding.serial if outstanding is not None else None)
        assert step is not None
        assert step.target == event.state
        yield event.at_s, step, outstanding
        if step.command is not None:
            pace_s = step.command.pace_s if isinstance(step.command, Poll) else 0.0
            began = max(event.at_s, began + pace_s)


def breaks_p1(run: list[tuple[float, Step, Command | None]]) -> bool:
    after_loss: list[str] = []
    for _, step, _ in run:
        if step.trigger in (T.SESSION_EXPIRED, T.SESSION_LAPSED, T.START):
            after_loss = []
        after_loss.append(step.trigger)
    ended = {T.SESSION_RENEWED, T.RENEWAL_FAILED} & set(after_loss)
    return after_loss[0] != T.START and not ended and isinstance(run[-1][1].command, Poll)


def breaks_p2(run: list[tuple[float, Step, Command | None]]) -> bool:
    wait = run[-1][1].command
    return isinstance(wait, Wait) and wait.ceiling_s > 900


def breaks_p6(run: list[tuple[float, Step, Command | None]]) -> bool:
    request_s = max(at_s for at_s, step, _ in run[:-1] if isinstance(step.command, Renew | Poll))
    return run[-1][0] - request_s > 1200


def breaks_p10(run: list[tuple[float, Step, Command | None]]) -> bool:
    step = run[-1][1]
    return step.trigger == T.SESSION_RENEWED and step.after.waits < step.before.waits


BREAKS = {"P1": breaks_p1, "P2": breaks_p2, "P6": breaks_p6, "P10": breaks_p10}

OVER_THE_CEILING = unchecked(Policy(), session_ceiling_s=3600)

SEEDED: Mapping[str, tuple[str, Machine]] = {
    "polls again after a wait": ("P1", changed(T.RETRY_DUE, Policy(), target=S.ACTIVE, order=Order.POLL)),
    "a ceiling of an hour": ("P2", Machine(OVER_THE_CEILING)),
    "an hour of silence": ("P6", Machine(OVER_THE_CEILING)),
    "an hour's wait from the 16th failure on": (
        "P2",
        with_rows(waiting(T.POLL_FAILED, AN_HOUR, AtLeast("waits", 16)), policy=Policy()),
    ),
    "an hour of silence from the 16th failure on": (
        "P6",
        with_rows(waiting(T.POLL_FAILED, AN_HOUR, AtLeast("waits", 16)), policy=Policy()),
    ),
    "a renewal resets the waits": (
        "P10",
        changed(T.SESSION_RENEWED, Policy(), updates=(Assign("expired", False), Assign("waits", 0))),
    ),
    "an hour of the official client": ("P6", Machine(Policy(), examples.official_client(Policy()))),
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_seeded_bug_is_refuted_by_a_run_that_can_be_replayed(name: str) -> None:
    """Each property can fail, and the solver's run breaks it on the running machine too, at times that can be."""
    number, machine = SEEDED[name]
    (proof,) = prove(machine, [number])
    assert proof.verdict == "refuted"
    assert proof.counterexample is not None
    run = list(replayed(machine, proof.counterexample))
    assert BREAKS[number](run)
    assert proof.counterexample.policy == machine.policy  # none of these needs other figures than its own
    if "16th" in name:
        # The running machine never counts so far with these figures, so a search cannot find it.
        assert proof.counterexample.limits["waits"] >= 16 > limits(machine.policy)["waits"]
        assert decide(machine)[number].holds


def test_what_another_policy_would_break_is_refuted_with_that_policy() -> None:
    """A table that holds with its own figures and not with all is refuted, and the run says with which it breaks."""
    machine = changed(T.SESSION_RENEWED, Policy(), order=Order.POLL_PACED)
    assert decide(machine)["P6"].holds
    (own,) = prove(machine, ["P6"], this_policy_only=True)
    (every,) = prove(machine, ["P6"])
    assert (own.verdict, own.scope) == ("proved", "this policy")
    assert every.verdict == "refuted"
    assert every.counterexample is not None
    assert every.counterexample.policy != machine.policy
    assert not decide(Machine(every.counterexample.policy, machine.table))["P6"].holds


def test_a_policy_that_could_not_be_made_is_asked_about_alone() -> None:
    """Its figures are outside of every scope but its own, and the proof says so."""
    (proof,) = prove(Machine(unchecked(Policy(), session_first_s=1.5)), ["P2"])
    assert proof.verdict == "proved"
    assert "this policy alone" in proof.scope
    assert "session_first_s" in proof.scope


# Search and solver agree.

LOOKS_AHEAD = Perform("look", outcomes=("clear",), otherwise="cloudy", deadline_s=5)


def with_an_operation_of_its_own() -> Machine:
    def row(trigger: str, source: str, target: str, order: Any) -> Row:
        return Row(trigger=trigger, sources=(source,), target=target, order=order, reason="to look first")

    table = table_for(SMALL)
    others = tuple(each for each in table.rows if each.trigger not in (T.RETRY_DUE, T.STOP))
    stop = next(each for each in table.rows if each.trigger == T.STOP)
    rows = (
        row(T.RETRY_DUE, S.BACKOFF, "looking", LOOKS_AHEAD),
        row("clear", "looking", S.RECOVERING, Order.RENEW),
        row("cloudy", "looking", "looking", LOOKS_AHEAD),
        replace(stop, sources=(*stop.sources, "looking")),
        *others,
    )
    states = (*table.states, replace(table.states[0], name="looking"))
    return Machine(SMALL, Table(name="looks", states=states, rows=rows, signals=table.signals))


def is_lost(trigger: str, **changes: Any) -> Machine:
    return changed(trigger, among=1, **changes)


COMPARED: Mapping[str, tuple[set[str], Machine]] = {
    "the default": (set(), Machine(SMALL)),
    "renewal required": (set(), of("required", SMALL)),
    "the official client": ({"P1", "P2", "P6", "P10"}, Machine(SMALL, examples.official_client(SMALL))),
    "retry every 5 s": ({"P1", "P10"}, Machine(SMALL, examples.retry_every_5_s(SMALL))),
    "polls after a wake": ({"P1"}, changed(T.WAKE, target=S.ACTIVE, order=Order.POLL)),
    "an attempt is enough": ({"P1"}, Machine(replace(SMALL, renewal="required"), table_for(SMALL))),
    "a loss is polled over": ({"P1"}, is_lost(T.SESSION_EXPIRED, target=S.ACTIVE, order=Order.POLL)),
    "a ceiling of 3600 s": ({"P2", "P6"}, Machine(unchecked(SMALL, session_ceiling_s=3600))),
    "a pace of half a second": ({"P2"}, Machine(unchecked(SMALL, pace_first_s=0.5))),
    "a poll of 3600 s": ({"P6"}, Machine(unchecked(SMALL, hold_ceiling_s=3600))),
    "waits for ever": (
        {"P6"},
        with_rows(waiting(T.RETRY_DUE, Order.WAIT_TRANSPORT, source=S.BACKOFF)),
    ),
    "looks for ever": ({"P6"}, with_an_operation_of_its_own()),
    "resets on a renewal": ({"P10"}, Machine(SMALL, examples.backoff_reset_by_renewal(SMALL))),
    "trusts a hurried poll": ({"P10"}, changed(T.HURRIED, updates=(Assign("trusted", True), Count("hurries")))),
    "silence forgives a denial": ({"P10"}, changed(T.SILENT, updates=(Assign("waits", 0), Assign("denials", 0)))),
    "quiet hours, wrong": ({"P1"}, Machine(SMALL, examples.quiet_hours_wrong(SMALL))),
}


@pytest.mark.parametrize("name", COMPARED)
def test_search_and_solver_agree(name: str) -> None:
    """For one policy, whatever both can state is proved by both or refuted by both."""
    refuted, machine = COMPARED[name]
    searched = decide(machine)
    scope = symbolic.this_policy(machine.policy)
    for statement in symbolic.STATEMENTS:
        said = symbolic.ask(symbolic.translate(machine, statement, scope), 60).said
        assert said == ("sat" if statement.id in refuted else "unsat"), statement.id
        assert searched[statement.id].verdict == ("refuted" if statement.id in refuted else "proved"), statement.id


def test_the_comparison_has_a_dozen_broken_tables_and_breaks_each_property() -> None:
    """Agreement over tables that are all sound would say little."""
    assert sum(bool(refuted) for refuted, _ in COMPARED.values()) >= 12
    assert set.union(*(refuted for refuted, _ in COMPARED.values())) == set(PROVABLE)


# The translation is not empty, and it is faithful.


@cache
def graph_of(renewal: str) -> Graph:
    return explore(of(renewal, SMALL))


def rows_taken(renewal: str) -> set[tuple[str, str, int]]:
    """Every (state, trigger, row) that the search meets."""
    graph = graph_of(renewal)
    rows = graph.machine.table.rows
    taken = set()
    for node, arcs in zip(graph.nodes, graph.arcs, strict=True):
        for arc in arcs:
            (row,) = graph.machine.applicable(node.state, node.memory, arc.move.trigger)
            taken.add((node.state, str(arc.move.trigger), rows.index(row)))
    return taken


@pytest.mark.parametrize(("renewal", "number"), [("attempted", "P6"), ("required", "P10")])
def test_what_the_search_takes_the_solver_can_reach(renewal: str, number: str) -> None:
    """The proof is not empty: each row that the search ever takes can be reached in the clauses, and no other."""
    machine = of(renewal, SMALL)
    system = symbolic.translate(machine, STATEMENTS[number], symbolic.every_policy())
    said = symbolic.reachable_rows(system, 60)
    assert set(said.values()) <= {"sat", "unsat"}
    reached = {(c.source.state, c.trigger, c.row) for c in system.clauses if said[c.name] == "sat"}
    assert {(c.source.state, c.trigger, c.row) for c in system.clauses} >= reached == rows_taken(renewal)
    assert {place.state for place in system.places} == set(State)
    if renewal == "attempted":
        assert {row for _, _, row in reached} == set(range(len(machine.table.rows)))


def operation_of(command: Command | None) -> Operation:
    match command:
        case None:
            return Operation(Kind.NOTHING)
        case Renew():
            return Operation(Kind.RENEWAL)
        case Poll():
            return Operation(Kind.POLL)
        case Wait(ladder=ladder):
            return Operation(Kind.WAIT, Ladder(ladder))
        case Close():
            return Operation(Kind.CLOSE)
        case Own():
            return Operation(Kind.OWN, LOOKS_AHEAD)


def concrete(value: bool | int | float) -> Any:
    if isinstance(value, bool):
        return z3.BoolVal(value)
    return z3.IntVal(value) if isinstance(value, int) else number(value)


def figures_of(policy: Policy) -> list[tuple[Any, Any]]:
    own = [(getattr(FIGURES, name), number(getattr(policy, name))) for name in FIGURES.names]
    counted = limits(policy)
    return own + [(FIGURES.limit(counter), z3.IntVal(counted[counter])) for counter in COUNTERS]


def holds(formula: Any, values: list[tuple[Any, Any]]) -> bool:
    simplified = z3.simplify(z3.substitute(formula, *values))
    assert z3.is_true(simplified) or z3.is_false(simplified), simplified
    return bool(z3.is_true(simplified))


@pytest.mark.parametrize("renewal", RENEWALS)
def test_every_step_of_the_running_machine_is_one_of_the_translation(renewal: str) -> None:
    """What the machine does, at the soonest and at the latest, a clause allows; and it leads to the same memory."""
    graph = graph_of(renewal)
    machine = graph.machine
    system = symbolic.translate(machine, STATEMENTS["P10"], symbolic.this_policy(machine.policy), whole=True)
    figures = figures_of(machine.policy)
    at: dict[tuple[str, Operation, str], list[Clause]] = {}
    for clause in system.clauses:
        at.setdefault((clause.source.state, clause.source.operation, clause.trigger), []).append(clause)
    met = set()
    for node, arcs in zip(graph.nodes, graph.arcs, strict=True):
        for arc in arcs:
            step, wait = arc.step, node.outstanding if isinstance(node.outstanding, Wait) else None
            case = (node.state, node.memory, node.outstanding, arc.move.trigger, arc.move.least_s)
            if case in met:
                continue
            met.add(case)
            rung_s = wait.rung_s if wait is not None else 1.0
            pace_s = step.command.pace_s if isinstance(step.command, Poll) else 0.0
            values = [(system.cells[name], concrete(value)) for name, value in node.memory._asdict().items()]
            values += [*figures, (RUNG_S, number(rung_s)), (LEFT_S, number(rung_s / 2)), (PACE_S, number(pace_s))]
            soonest = [*values, (LASTS_S, number(arc.move.least_s))]
            latest = [*values, (LASTS_S, number(arc.move.most_s))]
            allowed = [
                c for c in at[node.state, operation_of(node.outstanding), arc.move.trigger] if holds(c.when, values)
            ]
            assert len(allowed) == 1
            (clause,) = allowed
            assert holds(clause.times, soonest)
            assert holds(clause.times, latest)
            assert holds(clause.latest, latest)
            assert clause.target == (step.target, operation_of(graph.nodes[arc.target].outstanding))
            assert all(
                holds(clause.after[name] == concrete(value), values) for name, value in step.after._asdict().items()
            )
    assert len(met) > 500


@pytest.mark.parametrize("renewal", RENEWALS)
def test_the_account_beside_the_memory_is_that_of_the_search(renewal: str) -> None:
    """What counts as lost and not yet renewed is the same for solver and search, along every arc and at every count."""
    graph = graph_of(renewal)
    scale = Scale.of(graph.policy)
    system = symbolic.translate(graph.machine, STATEMENTS["P1"], symbolic.this_policy(graph.policy), whole=True)
    unrenewed, hollow = system.cells["unrenewed"], system.cells["hollow"]
    at = {(clause.source, clause.trigger, clause.target): clause for clause in system.clauses}
    met = set()
    for node, arcs in zip(graph.nodes, graph.arcs, strict=True):
        for arc in arcs:
            source = (node.state, operation_of(node.outstanding))
            target = (arc.step.target, operation_of(graph.nodes[arc.target].outstanding))
            if (source, arc.move.trigger, target) in met:
                continue
            met.add((source, arc.move.trigger, target))
            clause = at[source, arc.move.trigger, target]  # type: ignore[index]  # a Place is such a pair
            for was, count in ((was, count) for was in (False, True) for count in range(3)):
                values = [(unrenewed, concrete(was)), (hollow, concrete(count))]
                before = History(unrenewed=was, lost=was, hollow=count)
                renewing = isinstance(node.outstanding, Renew)
                then = before.after(arc.move.trigger, arc.command, scale, renewing=renewing)
                assert holds(clause.after["unrenewed"] == concrete(then.unrenewed), values)
                assert holds(clause.after["hollow"] == concrete(then.hollow), values)
    assert len(met) > 20


# The world, and the policies.


def any_policy() -> st.SearchStrategy[Policy]:
    """Policies that can be made, edges included."""
    hundredths = st.integers(0, 90_000).map(lambda n: n / 100)

    @st.composite
    def drawn(draw: st.DrawFn) -> Policy:
        def up(low: float, high: float) -> float:
            return min(max(draw(hundredths), low), high)

        session, transport, pace = up(2, 900), up(1, 900), up(1, 60)
        floor = up(1, 200)
        default = up(floor, 250)
        ceiling = up(default, 299)
        margin = up(1, 300 - ceiling)
        return Policy(
            session_first_s=session,
            session_ceiling_s=up(session, 900),
            transport_first_s=transport,
            transport_ceiling_s=up(max(transport, 2), 900),
            pace_first_s=pace,
            pace_ceiling_s=up(pace, 60),
            jitter=draw(st.integers(0, 50)) / 100,
            renewal_deadline_s=up(0.1, 300),
            hold_floor_s=floor,
            hold_default_s=default,
            hold_ceiling_s=ceiling,
            poll_margin_s=margin,
            quick_s=up(1, 60),
            lapse_after_s=up(1, 300),
            silent_after_s=up(1, floor + margin),
            drain_deadline_s=up(0, 300),
            notifystop_deadline_s=up(0.1, 300),
            login_required_denials=draw(st.integers(1, 100)),
        )

    return drawn()


PAUSE = Pause("rest", 20, 40)
OPERATIONS: Mapping[Operation, Command | None] = {
    Operation(Kind.NOTHING): None,
    Operation(Kind.RENEWAL): Renew(serial=0, deadline_s=0),
    Operation(Kind.POLL): Poll(serial=0),
    Operation(Kind.CLOSE): Close(serial=0, notify=True),
    Operation(Kind.WAIT, Ladder.SESSION): Wait(serial=0, ladder="", attempt=1, rung_s=0, first_s=0, ceiling_s=0),
    Operation(Kind.WAIT, Ladder.TRANSPORT): Wait(serial=0, ladder="", attempt=1, rung_s=0, first_s=0, ceiling_s=0),
    Operation(Kind.WAIT, PAUSE): Wait(serial=0, ladder="", attempt=1, rung_s=20, first_s=20, ceiling_s=40),
    Operation(Kind.OWN, LOOKS_AHEAD): Own(serial=0, name="look", deadline_s=5, outcomes=("clear",), otherwise="cloudy"),
}


@settings(max_examples=25, deadline=None)
@given(policy=any_policy(), attempt=st.integers(1, 12))
def test_the_world_is_that_of_the_search(policy: Policy, attempt: int) -> None:
    """What can happen while something is outstanding, and when, is the same for solver and search, at any figures."""
    for operation, made in OPERATIONS.items():
        command, left_s = made, 0.0
        if isinstance(command, Renew):
            command = replace(command, deadline_s=policy.renewal_deadline_s)
        if isinstance(command, Wait):
            if isinstance(operation.of, Ladder):
                first_s, ceiling_s = policy.first_s(operation.of), policy.ceiling_s(operation.of)
                rung_s = policy.rung_s(operation.of, attempt)
                command = replace(command, rung_s=rung_s, first_s=first_s, ceiling_s=ceiling_s)
            left_s = command.rung_s * (1 - policy.jitter)
        values = figures_of(policy)

        def exact(formula: Any, values: list[tuple[Any, Any]] = values) -> float:
            return float(z3.simplify(z3.substitute(formula, *values)).as_fraction())

        ours = {
            (move.trigger, round(exact(move.least_s), 6), round(exact(move.most_s), 6))
            for move in moves(operation, FIGURES, number(left_s), ["knock"])
        }
        theirs = {
            (str(move.trigger), round(move.least_s, 6), round(move.most_s, 6))
            for move in real_moves(command, policy, ["knock"])
            # Of a good poll's two moves the one with news can come at any time at which the other one can.
            if move.trigger != T.POLLED or move.news
        }
        assert ours == theirs


@settings(max_examples=60, deadline=None)
@given(policy=any_policy(), attempt=st.integers(1, 30), draw=st.floats(0, 1, exclude_max=True))
def test_every_policy_is_within_the_scope(policy: Policy, attempt: int, draw: float) -> None:
    """Its figures satisfy every fact, its counters saturate no sooner than is assumed, and so are its waits."""
    scope = symbolic.every_policy()
    values = figures_of(policy)
    assert all(holds(fact, values) for fact in scope.facts)
    for ladder in Ladder:
        rung_s = policy.rung_s(ladder, attempt)
        assert policy.first_s(ladder) <= rung_s <= policy.ceiling_s(ladder)
        wait = Wait(
            serial=1,
            ladder=ladder,
            attempt=attempt,
            rung_s=rung_s,
            first_s=policy.first_s(ladder),
            ceiling_s=policy.ceiling_s(ladder),
        )
        for asked_s in (None, 1e9):
            length_s = delay(wait, jitter=policy.jitter, draw=draw, retry_after_s=asked_s)
            assert rung_s * float(scope.least_kept) - 1e-9 <= length_s <= wait.ceiling_s
    assert policy.pace_s(0) == 0
    assert policy.pace_first_s <= policy.pace_s(attempt) <= policy.pace_ceiling_s


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_outside_the_scope_cannot_be_made(data: st.DataObject) -> None:
    """The facts say neither more nor less than a policy's own checks: figures are refused by both, or by none."""
    figures: dict[str, float] = {}
    for field in data.draw(st.lists(st.sampled_from(FIGURES.names), min_size=1, max_size=3, unique=True)):
        figures[field] = data.draw(st.sampled_from([0, 0.05, 0.5, 1, 2, 4, 60, 61, 200, 295, 300, 301, 900, 901]))
    policy = unchecked(Policy(), **figures)
    within = all(holds(fact, figures_of(policy)) for fact in symbolic.every_policy().facts)
    try:
        replace(policy)
    except PolicyError:
        assert not within
    else:
        assert within


def test_every_figure_of_a_policy_is_an_unknown() -> None:
    """None is forgotten: what is no unknown is the jitter, the limits' one part, or the choice between two tables."""
    others = {field.name for field in fields(Policy)} - set(FIGURES.names)
    assert others == {JITTER, "login_required_denials", "renewal"}
    scope = symbolic.every_policy()
    assert (scope.least_kept, scope.most_kept) == (Fraction(1, 2), 1)


# The certificate.


@pytest.mark.parametrize("renewal", RENEWALS)
def test_the_certificate_stands_without_spacer(renewal: str, tmp_path: Path) -> None:
    """Each obligation that follows from the table and the invariant is unsatisfiable, by two solvers; all are kept."""
    count = write_certificate(list(proofs_of(renewal).values()), tmp_path)
    assert count == len(list(tmp_path.glob("*.smt2"))) - 2 * len(PROVABLE)
    checked = check_certificate(tmp_path, of(renewal))
    assert (checked.verdict, checked.faults, checked.unchecked) == ("stands", (), ())
    assert len(checked.obligations) == count
    assert {tuple(each.said.items()) for each in checked.obligations} == {(("z3", "unsat"), ("cvc5", "unsat"))}
    index = json.loads((tmp_path / "certificate.json").read_text(encoding="utf-8"))
    assert [entry["id"] for entry in index["properties"]] == list(PROVABLE)


def test_a_weaker_or_a_stronger_invariant_does_not_stand_by_either_solver(tmp_path: Path) -> None:
    """One that says nothing does not keep the property; one that rules everything out is not where a run begins."""
    machine = of("attempted")
    write_certificate([proofs_of("attempted")["P1"]], tmp_path)
    invariant = tmp_path / "P1-invariant.smt2"
    text = invariant.read_text(encoding="utf-8")
    for everywhere in ("true", "false"):
        lines = [
            f"{line.partition(' Bool ')[0]} Bool {everywhere})" if line.startswith("(define-fun") else ""
            for line in text.replace(") Bool\n", ") Bool ").splitlines()
        ]
        invariant.write_text("\n".join(lines), encoding="utf-8")
        checked = check_certificate(tmp_path, machine)
        assert checked.verdict == "falls"
        refuted = [each for each in checked.obligations if "sat" in each.said.values()]
        assert refuted
        assert all(set(each.said.values()) == {"sat"} for each in refuted)


def test_the_question_itself_can_be_given_to_other_solvers() -> None:
    """The exported Horn clauses are standard SMT-LIB 2: read back, they have a model just if the property holds."""
    for machine, expected in (
        (Machine(), {"P2": "sat", "P10": "sat"}),
        (Machine(Policy(), examples.official_client(Policy())), {"P1": "unsat", "P2": "unsat", "P6": "unsat"}),
    ):
        scripts = export_smtlib(machine)
        assert tuple(scripts) == PROVABLE
        for name, said in expected.items():
            solver = z3.SolverFor("HORN")
            solver.from_string(scripts[name])
            assert str(solver.check()) == said


# Without z3, and from the shell.


def test_z3_is_imported_only_when_it_is_asked_for_and_its_absence_is_said_clearly() -> None:
    """The package, its command line and its search do without; asked to prove, it names the extra."""
    script = """
import sys
sys.modules["z3"] = None  # as if it were not installed
import sessionfsm, sessionfsm.cli, sessionfsm.verify, sessionfsm.verify.solver, sessionfsm.verify.prove_all
from sessionfsm.lifecycle import Machine
for call in (sessionfsm.verify.solver.prove, sessionfsm.verify.solver.export_smtlib):
    try:
        call(Machine())
    except sessionfsm.DefinitionError as error:
        print(error)
print(sessionfsm.verify.prove_all.main([]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    said = "the solver z3 is not installed: pip install 'sessionfsm[prove]'"
    assert done.stdout.splitlines()[:2] == [said, said]
    assert done.stdout.splitlines()[-1] == "2"
    assert done.stderr == f"prove: {said}\n"


def test_make_prove_says_unknown_when_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without time nothing is proved: every line says so, and so does the exit code."""
    assert prove_all.main([str(tmp_path), "--timeout", "0.001"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("z3 ")
    assert lines[1].split() == ["renewal", "property", "verdict", "seconds", "obligations"]
    assert len([line for line in lines if " unknown " in line]) > len(PROVABLE)
    assert " refuted " not in "\n".join(lines)


def test_a_table_whose_row_is_shadowed_is_read_as_it_runs() -> None:
    """Of two rows that could be taken the first one is: a bug in the second is none."""
    bug = Row(
        trigger=T.RETRY_DUE, sources=(S.BACKOFF,), target=S.ACTIVE, order=Order.POLL, reason="never: another goes first"
    )
    table = table_for(SMALL)
    behind = Machine(SMALL, replace(table, rows=(*table.rows, bug)))
    before = Machine(SMALL, replace(table, rows=(bug, *table.rows)))
    guarded = Machine(
        SMALL, replace(table, rows=(replace(bug, guards=(Below("waits", 0), Is("expired", True))), *table.rows))
    )
    scope = symbolic.every_policy()

    def said(machine: Machine) -> str:
        system: System = symbolic.translate(machine, STATEMENTS["P1"], scope)
        return symbolic.ask(system, 60).said

    assert [said(machine) for machine in (behind, before, guarded)] == ["unsat", "sat", "unsat"]
