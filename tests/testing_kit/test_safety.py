"""assert_session_safe: definitions are proved, runs are judged, and what it says can be read."""

from __future__ import annotations

import anyio
import httpx
import pytest

from sessionfsm import DefinitionError, Policy, Session
from sessionfsm.lifecycle import Machine, table_for
from sessionfsm.testing import BENCH_TOKEN, Bench, FakeServer, assert_session_safe, faults, run

from .tables import forgetful, naive


@pytest.mark.parametrize(
    "subject",
    [Policy(session_ceiling_s=10, transport_ceiling_s=2), Machine(Policy(renewal="required")), table_for(Policy())],
    ids=lambda subject: type(subject).__name__,
)
def test_a_sound_definition_passes(subject: Policy | Machine) -> None:
    """A policy, a machine and a table are searched whole, and nothing is wrong with ours."""
    assert_session_safe(subject)


def test_an_unsound_table_fails_with_the_shortest_run_that_breaks_it() -> None:
    """The message names what is refuted, says what it means, and tells the steps."""
    with pytest.raises(AssertionError) as raised:
        assert_session_safe(naive().table, policy=Policy(session_ceiling_s=5, transport_ceiling_s=2))
    words = str(raised.value)
    assert words.startswith("'naive': ")
    assert "P1 is refuted: between a loss and the next poll, notifystart was called" in words
    assert "retry_due        backoff → active" in words
    assert "P8 is refuted" not in words


def test_a_search_that_gave_up_proves_nothing() -> None:
    """Undecided is not safe."""
    with pytest.raises(AssertionError, match=r"P0 is undecided(.|\n)*gave up at"):
        assert_session_safe(Policy(), limit=50)


def _lived(machine: Machine) -> Bench:
    """A session of *machine* that was taken over for a while, and stopped."""

    async def story() -> Bench:
        bench = Bench(machine=machine)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bench, "judge", lambda: None)
            async with bench:
                bench.apply(faults.Takeover(for_s=30))
                await anyio.sleep(120)
        return bench

    return run(story)


def test_a_run_is_judged_by_its_records_and_by_the_log() -> None:
    """Session, records, log and entries of a sound machine pass."""
    bench = _lived(Machine())
    for run_ in (bench.session, bench.session.history, bench.server.log, list(bench.server.log), []):
        assert_session_safe(run_, slack_s=1e-6)


def test_a_run_that_broke_a_property_fails_with_the_lines_before_it() -> None:
    """In the log and in the records; the line that is wrong is marked."""
    bench = _lived(naive())
    with pytest.raises(AssertionError, match=r"broke P1\n\nP1: a poll started after a loss(.|\n)*\n> .*getupdates"):
        assert_session_safe(bench.server.log)
    with pytest.raises(AssertionError, match=r"broke P1\n\nP1: (.|\n)*\n> .*retry_due +backoff → active"):
        assert_session_safe(bench.session)
    with pytest.raises(AssertionError, match="retry_due"):
        assert_session_safe(bench.session.history)  # the default machine would have answered otherwise


def test_the_log_of_any_client_can_be_judged() -> None:
    """Two polls of one account at once are told, and so is a request that a strict server would not take."""

    async def story() -> FakeServer:
        server = FakeServer()
        async with Bench(server=server):
            async with Bench(server=server) as second:
                await second.settle()
            return server

    with pytest.raises(AssertionError, match="two polls at once"):
        run(story)

    async def careless() -> FakeServer:
        server = FakeServer(hold_s=0)
        async with httpx.AsyncClient(transport=server.transport(), base_url="http://fake") as http:
            await http.post("/ilink/bot/getupdates", json={}, headers={"Authorization": f"Bearer {BENCH_TOKEN}"})
        return server

    with pytest.raises(AssertionError, match="request 1: "):
        assert_session_safe(run(careless).log)


def test_a_hot_loop_is_told() -> None:
    """P8 on the log."""

    async def story() -> Bench:
        bench = Bench(machine=forgetful())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bench, "judge", lambda: None)
            async with bench:
                bench.apply(faults.Status(for_s=5))
                await anyio.sleep(10)
        return bench

    with pytest.raises(AssertionError, match="broke P8"):
        assert_session_safe(run(story).server.log)


@pytest.mark.parametrize("subject", [None, 7, "policy.toml", [1, 2], Session])
def test_anything_else_is_refused(subject: object) -> None:
    """It says what it takes."""
    with pytest.raises(DefinitionError, match="takes a Machine, a Policy or a Table"):
        assert_session_safe(subject)  # type: ignore[arg-type]


def test_figures_that_contradict_each_other_are_refused() -> None:
    """What has a policy of its own is not judged by another one; a history without its beginning is not judged."""
    with pytest.raises(DefinitionError, match="leave policy out"):
        assert_session_safe(Machine(), policy=Policy(jitter=0))
    bench = _lived(Machine())
    with pytest.raises(DefinitionError, match="the first record is number 3"):
        assert_session_safe(bench.session.history[2:])
