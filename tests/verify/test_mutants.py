"""The proof of the proof: a lifecycle with one cell changed is seen by a property, or does the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest

from sessionfsm import examples
from sessionfsm.cli import ExitCode, main, mutating
from sessionfsm.lifecycle import (
    Assign,
    Count,
    Machine,
    Order,
    Policy,
    State,
    StateEntry,
    Table,
    table_for,
)
from sessionfsm.verify import STATEMENTS
from sessionfsm.verify.equivalence import TooManyPairs, difference
from sessionfsm.verify.mutants import Mutant, table_mutants
from sessionfsm.verify.mutation import DEFINITION, SHORT_LADDERS, Fate, MutationReport, mutate
from sessionfsm.verify.policy_edges import policy_edges, unchecked

TINY = Policy(session_ceiling_s=5, transport_ceiling_s=2, pace_first_s=1, pace_ceiling_s=1, login_required_denials=1)
MACHINE = Machine(TINY)


@cache
def mutants() -> tuple[Mutant, ...]:
    return tuple(table_mutants(MACHINE))


def tried(only: Callable[[Mutant], bool], machine: Machine = MACHINE, **options: Any) -> MutationReport:
    return mutate(machine, only=only, processes=1, **options)


def fate_of(change: str, machine: Machine = MACHINE) -> Fate:
    (fate,) = tried(lambda mutant: mutant.change == change, machine).fates
    return fate


# What is changed.


def test_every_cell_of_the_table_is_changed() -> None:
    """Each row is deleted, leads elsewhere, orders something else; each guard and update is changed and dropped."""
    rows = MACHINE.table.rows
    count = {kind: sum(1 for mutant in mutants() if mutant.kind == kind) for kind in {m.kind for m in mutants()}}
    assert count["deletion"] == count["clears signals"] == len(rows)
    assert count["destination"] == len(rows) * (len(State) - 1)
    assert count["command"] == len(rows) * (len(Order) - 1)
    assert count["initial"] == len(State) - 1
    assert count["guard"] >= 3 * sum(len(row.guards) for row in rows)
    assert count["update"] >= 3 * sum(len(row.updates) for row in rows)
    assert set(count) == {
        "deletion", "clears signals", "destination", "command", "initial", "guard", "update", "source", "signal",
    }  # fmt: skip


def test_a_mutant_is_another_table_and_says_what_is_other() -> None:
    """No two are the same, none is the original, and no two changes have the same words."""
    made = [mutant.table for mutant in mutants() if mutant.table is not None]
    assert MACHINE.table not in made
    assert len({(mutant.kind, mutant.change) for mutant in mutants()}) == len(mutants())
    written = {str((table.rows, table.signals, table.initial, table.external)) for table in made}
    assert len(written) == len(made)


def test_what_cannot_be_run_is_refused_and_not_tried() -> None:
    """A wait that nobody counts: the definition itself kills it."""
    refused = [mutant for mutant in mutants() if mutant.refused]
    assert len(refused) > 50
    assert all(mutant.table is None and "without Count" in mutant.refused for mutant in refused)
    report = tried(lambda mutant: bool(mutant.refused))
    assert {fate.killers for fate in report.fates} == {(DEFINITION,)}
    assert report.to_dict()["refused"] == report.to_dict()["killed"] == len(refused)


# Which properties see it.


@pytest.mark.parametrize(
    ("change", "killer"),
    [
        ("retry_due in backoff: leads to active, not to recovering", "P3"),
        ("silent in active: orders poll, not poll, on a fresh connection", "P15"),
        ("polled in active: is deleted", "P4"),
        ("session_expired in active when trusted: guarded by not trusted, not by trusted", "P4"),
        ("hurried in active: without the update hurries + 1", "P15"),
        ("session_renewed in recovering: waits = 0 as well", "P9"),
        ("stop in recovering, active, backoff: does not clear the signals", "P19"),
        ("closed in stopping: comes from active too", "P4"),
        ("the signal renewal_blocked: is never raised", "P19"),
        ("the signal login_required: guarded by denials ≥ 2, not by denials ≥ 1", "P19"),
        ("a session begins in active, not in stopped", "P4"),
    ],
)
def test_a_change_is_killed_by_the_property_that_speaks_of_it(change: str, killer: str) -> None:
    fate = fate_of(change)
    assert fate.outcome == "killed"
    assert killer in fate.killers
    assert set(fate.killers) <= set(STATEMENTS)


def test_none_of_a_sample_survives() -> None:
    """Every sixty-first mutant of the default table; ``make mutants`` tries them all."""
    chosen = {(mutant.kind, mutant.change) for mutant in mutants()[::61]}
    report = tried(lambda mutant: (mutant.kind, mutant.change) in chosen)
    assert (report.broken, report.survivors, report.undecided) == ((), [], [])
    assert report.whole
    assert {fate.outcome for fate in report.fates} <= {"killed", "equivalent"}
    assert sum(alone for _, alone in report.kills().values()) <= len(report.fates)


def test_what_no_property_minds_survives_with_the_run_that_tells_it_apart() -> None:
    """In a table of one's own: no property says from where the night begins."""
    machine = Machine(TINY, examples.quiet_hours(TINY))
    fate = fate_of("quiet_hours in active, backoff: does not come from backoff", machine)
    assert (fate.outcome, fate.killers) == ("survived", ())
    assert fate.differs is not None
    assert fate.differs.run[-1] == "quiet_hours"
    assert fate.differs.says == "one takes it, the other refuses it"
    assert "external" in {mutant.kind for mutant in table_mutants(machine)}


def test_a_property_that_the_original_breaks_kills_nothing() -> None:
    machine = Machine(TINY, examples.quiet_hours_wrong(TINY))
    report = tried(lambda mutant: mutant.kind == "deletion" and mutant.change.startswith("quiet"), machine)
    assert report.broken == ("P1", "P16")
    assert report.fates
    assert not {killer for fate in report.fates for killer in fate.killers} & {"P1", "P16"}


def test_what_does_the_same_is_equivalent() -> None:
    """A counter is set to nought where it is nought: no property could see it, and nobody else could."""
    fate = fate_of("start in stopped: waits = 0 as well")
    assert (fate.outcome, fate.killers, fate.differs) == ("equivalent", (), None)


def test_a_search_that_gives_up_decides_nothing() -> None:
    report = tried(lambda mutant: mutant.change == "start in stopped: waits = 0 as well", limit=30)
    assert [fate.outcome for fate in report.fates] == ["undecided"]
    assert report.undecided == list(report.fates)


# Equivalence is computed.


def renamed(table: Table, names: dict[str, str]) -> Table:
    def new(name: str) -> str:
        return names.get(name, str(name))

    return replace(
        table,
        states=tuple(replace(entry, name=new(entry.name)) for entry in table.states),
        rows=tuple(replace(row, sources=tuple(map(new, row.sources)), target=new(row.target)) for row in table.rows),
        initial=new(table.initial),
    )


def changed(trigger: str, **cells: Any) -> Machine:
    table = table_for(TINY)
    rows = tuple(replace(row, **cells) if row.trigger == trigger else row for row in table.rows)
    return Machine(TINY, replace(table, rows=rows))


def test_names_of_states_do_not_matter() -> None:
    """What a session does is what counts: states can be called anything, in any order."""
    table = renamed(table_for(TINY), {name: f"the {name} one" for name in State})
    assert difference(MACHINE, Machine(TINY, replace(table, states=table.states[::-1], rows=table.rows[::-1]))) is None


def test_what_cannot_be_reached_and_what_is_only_remembered_do_not_matter() -> None:
    """A state more that nobody enters, a reason in other words, a counter that is set to what it is."""
    table = table_for(TINY)
    more = replace(table, states=(*table.states, StateEntry(name="attic", meaning="Nobody goes there.")))
    assert difference(MACHINE, Machine(TINY, more)) is None
    assert difference(MACHINE, changed("start", reason="because")) is None
    assert difference(MACHINE, changed("start", updates=(Assign("waits", 0),))) is None
    assert difference(MACHINE, changed("closed", updates=(Assign("trusted", True), Count("hurries")))) is not None


@pytest.mark.parametrize(
    ("other", "run", "says"),
    [
        (changed("silent", order=Order.POLL), "start renewal_failed silent", "ordered is getupdates, on a fresh"),
        (changed("hurried", clears_signals=False), None, "up are no signals, or login_required"),
        (
            changed("wake", sources=("backoff", "active")),
            "start renewal_failed wake",
            "one takes it, the other refuses",
        ),
        (Machine(replace(TINY, session_first_s=4)), "start session_expired", "ordered is wait 5 s (session, wait 1"),
        (Machine(replace(TINY, silent_after_s=9)), "start renewal_failed", "can end at other times"),
        (changed("credentials_changed", order=Order.RENEW), "start credentials_changed", "ordered is nothing, or"),
    ],
    ids=["command", "signals", "refusal", "wait", "time", "nothing ordered"],
)
def test_what_differs_is_told_by_a_shortest_run(other: Machine, run: str | None, says: str) -> None:
    found = difference(MACHINE, other)
    assert found is not None
    assert says in found.says
    assert run is None or " ".join(found.run) == run
    assert difference(other, MACHINE) is not None


def test_serial_numbers_do_not_matter() -> None:
    """Two machines, one of which has had an hour of commands: the pairs are the same."""
    session = MACHINE.session()
    for trigger in ("start", "stop", "closed") * 5:
        session.handle(trigger, serial=session.outstanding.serial if session.outstanding else None)
    assert session.snapshot() == MACHINE.session().snapshot()
    assert difference(MACHINE, Machine(TINY)) is None


def test_a_walk_that_is_too_long_says_so() -> None:
    with pytest.raises(TooManyPairs, match="more than 10 pairs"):
        difference(MACHINE, Machine(TINY), limit=10)


# The policy.


def test_every_figure_is_put_at_both_edges_and_past_them() -> None:
    """The edges are those that a policy accepts with the other figures as they are."""
    edges = {words: (policy, legal) for words, policy, legal in policy_edges(TINY)}
    legal = {words for words, (_, allowed) in edges.items() if allowed}
    assert {"session_first_s = 2, the smallest", "transport_first_s = 2, the largest"} <= legal
    assert {"hold_ceiling_s = 290, the largest", "login_required_denials = 100, the largest"} <= legal
    assert {"jitter = 0, the smallest", "renewal = 'required'"} <= legal
    assert "jitter = 0.5, the largest" not in legal, "it is there already"
    assert edges["session_ceiling_s = 909, past the largest"][0].session_ceiling_s == 909
    assert edges["login_required_denials = 101, past the largest"][1] is False
    for policy, allowed in edges.values():
        assert allowed == _accepted(policy)


def _accepted(policy: Policy) -> bool:
    try:
        replace(policy)
    except ValueError:
        return False
    return True


def test_a_policy_past_the_check_is_refuted_and_one_at_the_edge_is_proved() -> None:
    """An hour that was let pass breaks P2; the longest ceiling that can be had breaks nothing."""
    report = mutate(MACHINE, Machine, processes=1, only=lambda mutant: "session_ceiling_s" in mutant.change)
    found = {fate.mutant.change: (fate.outcome, fate.killers) for fate in report.policies}
    assert found["session_ceiling_s = 900, the largest"] == ("proved", ())
    assert found["session_ceiling_s = 909, past the largest"] == ("killed", ("P2",))
    assert (report.table, report.unsafe) == ([], [])
    counted = report.to_dict()
    assert (counted["mutants"], counted["policies"]["killed"]) == (0, 1)


def test_a_policy_that_can_be_made_and_breaks_a_property_is_unsafe() -> None:
    """It is told loudly: it fails the command, though no mutant of the table survived."""

    def careless(policy: Policy) -> Machine:
        return Machine(policy, table_for(unchecked(policy, login_required_denials=policy.login_required_denials + 1)))

    report = mutate(MACHINE, careless, processes=1, only=lambda mutant: mutant.change == "jitter = 0, the smallest")
    assert [(fate.outcome, fate.killers) for fate in report.unsafe] == [("unsafe", ("P19",))]


# The run, and the command.


def test_several_processes_find_what_one_finds() -> None:
    def few(mutant: Mutant) -> bool:
        return mutant.kind == "initial"

    assert mutate(MACHINE, only=few, processes=2).to_dict() == tried(few).to_dict()


def test_ctrl_c_leaves_what_was_found() -> None:
    def stop(done: int, planned: int) -> None:
        assert planned == len(MACHINE.table.rows)
        if done == 3:
            raise KeyboardInterrupt

    report = tried(lambda mutant: mutant.kind == "deletion", told=stop)
    assert len(report.fates) == 3
    assert not report.whole
    assert report.to_dict()["whole"] is False


def only(monkeypatch: pytest.MonkeyPatch, chosen: Callable[[Mutant], bool]) -> None:
    monkeypatch.setattr(mutating, "mutate", partial(mutate, only=chosen, processes=1))


def test_the_command_sums_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    only(monkeypatch, lambda m: m.kind == "initial" or "transport_first_s" in m.change)
    assert main(["verify", "--mutate"]) == ExitCode.OK
    captured = capsys.readouterr()
    assert captured.err == "", "no progress where there is no terminal"
    lines = captured.out.splitlines()
    assert lines[0].startswith("table 'session': 4 mutants in ")
    assert "all                    4           4           0           0           0" in lines
    assert any(line.startswith("P4  ") for line in lines)
    assert "policies at an edge: 1, of which 1 proved" in lines


def test_the_command_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    only(monkeypatch, lambda mutant: mutant.kind == "initial")
    assert main(["verify", "--mutate", "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["mutants"], found["killed"], found["equivalent"], found["survivors"]) == (4, 4, 0, [])
    assert {each["kind"] for each in found["each"]} == {"initial"}
    assert all(each["killers"] for each in found["each"])
    assert found["properties"]["P4"]["kills"] == 4


def test_the_command_fails_if_one_survives(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("session_ceiling_s = 5\ntransport_ceiling_s = 2\npace_ceiling_s = 1\nlogin_required_denials = 1\n")
    only(monkeypatch, lambda m: m.change == "quiet_hours in active, backoff: does not come from backoff")
    arguments = ["verify", "--mutate", "--machine", "sessionfsm.examples:quiet_hours", "--policy", str(file)]
    assert main(arguments) == ExitCode.FAILED
    out = " ".join(capsys.readouterr().out.split())  # lines are broken where the terminal ends
    assert "SURVIVED source: quiet_hours in active, backoff: does not come from backoff" in out
    assert "one takes it, the other refuses it" in out
    assert main([*arguments, "--limit", "20"]) == ExitCode.UNDECIDED


@pytest.mark.parametrize("other", ["--prove", "--sequence"])
def test_misuse(other: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--mutate", other]) == ExitCode.MISUSE
    assert "with argument --mutate" in (err := capsys.readouterr().err) or "with --mutate" in err


def test_the_quick_policy_is_the_default_one_with_shorter_ladders() -> None:
    """It differs in nothing but how far the machine has to count."""
    default, short = Policy(), SHORT_LADDERS
    differing = {name for name in Policy.__slots__ if getattr(default, name) != getattr(short, name)}
    assert differing == {"session_ceiling_s", "transport_ceiling_s", "pace_ceiling_s", "login_required_denials"}
