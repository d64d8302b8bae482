"""SPIN, where it is installed: what it proves, what it has to refute, and that it agrees with the search."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from sessionfsm import DefinitionError, examples
from sessionfsm.cli import spin_all
from sessionfsm.lifecycle import Assign, Count, Machine, Order, Pause, Policy, Row, State, Trigger, table_for
from sessionfsm.verify import Report, decide, explore, spin
from sessionfsm.verify.counterexample import narrate
from sessionfsm.verify.promela import CLAIMS, Claim, promela
from sessionfsm.verify.spin import Answer, Spin

from .small_table import POLICY, small

S, T = State, Trigger
CLAIM = {claim.name: claim for claim in CLAIMS}
SAFETY = [claim.name for claim in CLAIMS if not claim.fair]

installed = pytest.mark.skipif(shutil.which("spin") is None, reason="spin is not installed: apt-get install spin")


def changed(trigger: str, among: int = 0, **changes: object) -> Machine:
    table = table_for(POLICY)
    row = [row for row in table.rows if row.trigger == trigger][among]
    rows = tuple(replace(each, **changes) if each is row else each for each in table.rows)  # type: ignore[arg-type]
    return Machine(POLICY, replace(table, rows=rows))


def rested_again() -> Machine:
    """Quiet hours that can begin anew while they last: whoever says so often enough silences it for ever."""
    table = examples.quiet_hours(POLICY)
    rows = tuple(
        replace(row, sources=(*row.sources, "quiet")) if row.trigger == "quiet_hours" else row for row in table.rows
    )
    return Machine(POLICY, replace(table, rows=rows))


MACHINES: dict[str, Callable[[], Machine]] = {
    "ours": lambda: Machine(POLICY),
    "renewal required": lambda: Machine(replace(POLICY, renewal="required")),
    "quiet hours": lambda: Machine(POLICY, examples.quiet_hours(POLICY)),
    "quiet hours, wrong": lambda: Machine(POLICY, examples.quiet_hours_wrong(POLICY)),
    "official client": lambda: Machine(POLICY, examples.official_client(POLICY)),
    "backoff reset by the renewal": lambda: Machine(POLICY, examples.backoff_reset_by_renewal(POLICY)),
    "small": lambda: Machine(POLICY, small()),
    "polls after a wait": lambda: changed(T.RETRY_DUE, target=S.ACTIVE, order=Order.POLL),
    "forgets that it is lost": lambda: changed(T.SESSION_LAPSED, updates=(Assign("trusted", False),)),
    "trusts a hurried poll": lambda: changed(T.HURRIED, updates=(Assign("trusted", True), Count("hurries"))),
    "gives up": lambda: changed(T.POLL_FAILED, target=S.STOPPED, order=Order.NOTHING, updates=()),
    "starts with a poll": lambda: changed(T.START, target=S.ACTIVE, order=Order.POLL),
    "waits on the other ladder": lambda: changed(
        T.POLL_FAILED, order=Order.WAIT_SESSION, updates=(Count("denials"), Assign("doubts", 0))
    ),
    "renews after silence": lambda: changed(T.SILENT, target=S.RECOVERING, order=Order.RENEW),
    "two hollow answers are a loss": lambda: changed(T.HOLLOW, target=S.RECOVERING, order=Order.RENEW),
    "has no row for a denial": lambda: changed(T.SESSION_EXPIRED, sources=()),
    "polls in the wrong state": lambda: changed(T.SESSION_RENEWED, target=S.RECOVERING),
    "closes by polling": lambda: changed(T.STOP, target=S.ACTIVE, order=Order.POLL),
}


@cache
def machine(name: str) -> Machine:
    return MACHINES[name]()


@cache
def searched(name: str) -> Report:
    return decide(machine(name))


@pytest.mark.slow
@installed
@pytest.mark.parametrize("name", MACHINES)
def test_spin_and_search_agree_on_what_both_can_state(name: str) -> None:
    """One graph, and eleven properties of single steps, by two programs that share a table and nothing else."""
    graph, found = explore(machine(name)), searched(name)
    arcs = {(arc.source, arc.move.trigger) for arcs in graph.arcs for arc in arcs}
    refused = {(node, move.trigger) for node, move in graph.refused}
    with Spin(machine(name)) as asked:
        size = asked.size()
        said = {number: asked.ask(CLAIM[number]).verdict for number in SAFETY}
    assert (size.states, size.transitions) == (len(graph.nodes), len(arcs) + len(refused))
    # P4 has a second half, that what cannot happen is refused: nothing tries it in SPIN's world.
    if found["P4"].why.endswith("and yet it changed something"):
        said["P4"] = "refuted"
    assert said == {number: found[number].verdict for number in SAFETY}


@pytest.mark.slow
def test_every_property_that_spin_is_asked_about_is_broken_by_one_of_these_tables() -> None:
    """Agreement over tables that are all sound would say little."""
    broken = {number for name in MACHINES for number in SAFETY if not searched(name)[number].holds}
    assert broken == set(SAFETY)


SEEDED: dict[str, tuple[str, Callable[[], Machine]]] = {
    "a close that never ends": ("P0_stops", lambda: changed(T.CLOSED, target=S.STOPPING, order=Order.CLOSE)),
    "a wait after a wait": (
        "P6_requests",
        lambda: changed(T.RETRY_DUE, target=S.BACKOFF, order=Pause("again", 5)),
    ),
    "a pause that can begin anew": ("P6_requests", rested_again),
    "a renewal after a failed renewal": (
        "P6_polls",
        lambda: changed(T.RENEWAL_FAILED, target=S.RECOVERING, order=Order.RENEW),
    ),
    "a wait after a renewal that succeeds": (
        "P7_resumes",
        lambda: changed(T.SESSION_RENEWED, target=S.BACKOFF, order=Order.WAIT_TRANSPORT, updates=(Count("waits"),)),
    ),
    "the original bug": ("P7_heals", lambda: Machine(POLICY, examples.official_client(POLICY))),
    "its first repair": ("P7_heals", lambda: Machine(POLICY, examples.retry_every_5_s(POLICY))),
}


def answer(name: str, machine: Machine) -> Answer:
    with Spin(machine) as asked:
        return asked.ask(CLAIM[name])


@pytest.mark.slow
@installed
@pytest.mark.parametrize("bug", SEEDED)
def test_a_seeded_bug_is_caught_for_each_claim_about_what_happens_at_some_time(bug: str) -> None:
    """It is refuted by a run that ends in a circle, and the running machine can be led around in it."""
    name, make = SEEDED[bug]
    said = answer(name, make())
    assert said.verdict == "refuted"
    assert said.repeats_from is not None
    circle = said.run[said.repeats_from :]
    assert circle
    assert circle[0].step.source == circle[-1].step.target


@pytest.mark.slow
@installed
def test_our_own_table_keeps_every_claim() -> None:
    """What the seeded bugs break, it keeps."""
    with Spin(Machine(POLICY)) as asked:
        assert {said.claim.name: said.verdict for said in asked.ask_all()} == dict.fromkeys(CLAIM, "proved")


def test_each_claim_about_what_happens_at_some_time_has_its_bug() -> None:
    """None of them is without something that it catches."""
    assert {name for name, _ in SEEDED.values()} == {claim.name for claim in CLAIMS if claim.fair}


@pytest.mark.slow
@installed
def test_the_original_bug_is_told_in_our_words() -> None:
    """A poll, -14, an hour, a poll, -14, an hour: for ever, although the server is honest."""
    said = answer("P7_heals", Machine(Policy(), examples.official_client(Policy())))
    assert said.repeats_from is not None
    told = narrate(said.finding).splitlines()
    assert [arc.move.trigger for arc in said.run[said.repeats_from :]] == [T.SESSION_EXPIRED, T.RETRY_DUE]
    assert "polling → paused    wait 3600 s (locked for an hour, wait 1)" in told[said.repeats_from]
    assert "paused → polling    getupdates" in told[said.repeats_from + 1]
    assert told[-1].startswith(f"from step {said.repeats_from + 1} on this is repeated for ever")


@pytest.mark.slow
@installed
@pytest.mark.parametrize("premise", ["LIVE && well", "LIVE && honest", "LIVE && honest && expired"])
def test_no_claim_is_proved_because_its_premise_cannot_be_met(premise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are fair runs of our own table in which the server is good, or honest, for ever; not while it is lost."""
    denied = Claim("X_never", "the premise is never met for good", f"!(<> [] ({premise}))", fair=True)
    monkeypatch.setattr("sessionfsm.verify.promela.model.CLAIMS", (*CLAIMS, denied))
    with Spin(Machine(POLICY)) as asked:
        assert asked.ask(denied).verdict == ("proved" if "expired" in premise else "refuted")


@pytest.mark.slow
@installed
def test_what_the_page_shows_is_what_is_told() -> None:
    """The trail in the documentation is this one."""
    page = Path(__file__).parents[2] / "docs" / "explanation" / "proved-for-every-policy.md"
    told = narrate(answer("P7_heals", Machine(Policy(), examples.official_client(Policy()))).finding)
    assert told.partition("; not so")[0] in page.read_text(encoding="utf-8")


@pytest.mark.slow
@installed
def test_what_spin_does_not_decide_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little time, or too little depth, is never rounded up."""
    with Spin(Machine(POLICY)) as asked:
        assert asked.ask(CLAIM["P1"]).verdict == "proved"
        asked.timeout_s = 1e-6
        said = asked.ask(CLAIM["P1"])
        assert (said.verdict, said.why) == ("unknown", "it did not end in time")
        asked.timeout_s = 60
        monkeypatch.setattr(spin, "SHALLOW", 8)
        assert asked.ask(CLAIM["P1"]).verdict == "proved"
        monkeypatch.setattr(spin, "DEEPEST", 10)
        said = asked.ask(CLAIM["P1"])
        assert (said.verdict, said.why) == ("unknown", "it would go deeper than it may")
        with pytest.raises(DefinitionError, match="did not search the whole graph"):
            asked.size()
    with Spin(Machine(POLICY), timeout_s=1e-6) as asked, pytest.raises(DefinitionError, match="spin cannot read"):
        asked.size()


@pytest.mark.slow
@installed
def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The generated C lives in a folder that goes with the question."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spin(Machine(POLICY)) as asked:
        assert asked.ask(CLAIM["P3"]).verdict == "proved"
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["spin", "C compiler"])
def test_without_spin_that_nothing_was_checked_is_said(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no success and no traceback; whoever runs it along with other proofs can let it pass, visibly."""
    if missing != "spin":
        (tmp_path / "spin").write_text("#!/bin/sh\n")
        (tmp_path / "spin").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DefinitionError, match=missing):
        Spin(Machine(POLICY))
    for arguments, code in (([], 2), (["--if-installed"], 0)):
        assert spin_all.main(arguments) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("spin: NOTHING WAS CHECKED: ")
        assert missing in captured.err


def test_a_table_that_cannot_be_written_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is refused is refused before anything is made."""
    for name in ("spin", "cc"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    table = table_for(POLICY)
    odd = Row(
        trigger=T.WAKE, sources=(), target=S.ACTIVE, order=Order.POLL, reason="", updates=(Assign("waits", 2**40),)
    )
    with pytest.raises(DefinitionError, match="cannot be written as Promela"):
        Spin(Machine(POLICY, replace(table, rows=(*table.rows, odd))))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cc", "spin"]
    assert promela(Machine(POLICY))
