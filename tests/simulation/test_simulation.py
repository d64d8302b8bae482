"""The simulation finds nothing where nothing is wrong, finds what is wrong, and is the same each time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from sessionfsm import Machine, Policy, examples
from sessionfsm.errors import DefinitionError
from sessionfsm.session.driver import Driver
from sessionfsm.testing import Schedule, faults, simulate
from sessionfsm.testing.life import STEPS
from sessionfsm.testing.simulation import draw_schedule, load_schedule, shrink
from sessionfsm.testing.simulation.happenings import KINDS, Handler, Login, Restart, Send, StoreTrouble, Tell, Wake

from . import bugs

USER = "user@im.wechat"

# A seed that finds it within half an hour, and what it breaks. How long the seeds from 0 on take is measured by
# `make simulate-long`.
FOUND = [
    (bugs.cursor_before_the_commit, 7, "R3"),
    (bugs.cursor_in_a_transaction_of_its_own, 0, "R3"),
    (bugs.waits_reset_by_a_renewal, 4, "P10"),
    (bugs.swallowed_cancellation, 12, "P11"),
    (bugs.shielded_poll, 0, "R7"),
    (bugs.late_outcome_accepted, 11, "P3"),
    (bugs.hint_not_clamped, 122, "P6"),
    (bugs.done_before_the_handler_returned, 0, "R4"),
    (bugs.poll_retried_without_notifystart, 4, "P1"),
    (bugs.handler_ends_the_polling, 14, "P12"),
    (bugs.one_handler_for_all, 0, "R5"),
    (bugs.sends_wait_for_the_session, 12, "R2"),
    (bugs.send_error_moves_the_session, 32, "P11"),
    (bugs.health_of_the_task, 4, "R8"),
    (bugs.deaf_after_a_takeover, 17, "P7"),
    (bugs.no_goodbye, 0, "P5"),
    (bugs.old_cursor_over_a_newer_one, 0, "R3"),
    (bugs.idle_cursor_past_a_batch_in_memory, 7, "R3"),
    (bugs.marks_lost_at_a_restart, 4, "R4"),
    (bugs.marks_kept_too_long, 7, "R4"),
    (bugs.handlers_without_a_limit, 24, "R5"),
    (bugs.login_not_noticed, 24, "login"),
    (bugs.adopted_with_the_old_cursor, 24, "R3"),
    (bugs.old_account_still_held, 7, "R6"),
    (bugs.old_account_left_behind, 20, "R4"),
]


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize(("bug", "seed", "which"), FOUND, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bug_of_the_driver_is_found(
    bug: Callable[[pytest.MonkeyPatch], None], seed: int, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each promise is checked: whoever breaks it in the driver is found by a world that was drawn, not made for it."""
    bug(monkeypatch)
    found = simulate(seed, hours=0.5)
    assert which in {violation.property for violation in found.violations}


def test_no_bug_is_left_out() -> None:
    """Every bug in the list is looked for."""
    assert [bug for bug, *_ in FOUND] == list(bugs.BUGS)


@pytest.mark.slow
@pytest.mark.parametrize("bug", bugs.BUGS, ids=lambda bug: bug.__name__)
def test_a_bug_is_found_within_a_minute(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the seeds from 0 on, two hours each, on one core; the figures are for docs/explanation/simulation.md."""
    bug(monkeypatch)
    began = time.process_time()
    for seed in range(1000):
        found = simulate(seed, hours=2)
        took_s = time.process_time() - began
        if not found.ok or took_s > 60:
            break
    with capsys.disabled():
        which = ", ".join(sorted({violation.property for violation in found.violations}))
        print(f"\n| {bug.__name__.replace('_', ' ')} | {which} | {seed + 1} | {took_s:.1f} s |")
    assert not found.ok


def test_a_session_that_hears_no_end_is_torn_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll that cannot be cancelled would go on for ever; the simulation does not."""
    bugs.shielded_poll(monkeypatch)
    assert [violation.property for violation in simulate(19, hours=0.5).violations] == ["P5"]


def test_a_cancellation_that_takes_its_time_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: what is cancelled is left at once, whatever the driver still had in mind."""
    run = Driver.run

    async def slow(self: Driver) -> None:
        try:
            await run(self)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
            raise

    monkeypatch.setattr(Driver, "run", slow)
    found = simulate(schedule=Schedule(duration_s=60, entries=(Restart(at_s=20, how="cancel"),)))
    assert [violation.property for violation in found.violations] == ["R7"]
    assert "leaving the session took 3.000 s" in found.violations[0].what


def test_a_task_that_is_left_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: what the driver starts outside of its task group outlives the session."""
    run = Driver.run
    left: list[asyncio.Task[Any]] = []

    async def careless(self: Driver) -> None:
        left.append(asyncio.get_running_loop().create_task(asyncio.sleep(1e6)))
        await run(self)

    monkeypatch.setattr(Driver, "run", careless)
    found = simulate(schedule=Schedule(duration_s=60))
    assert [violation.what for violation in found.violations] == ["1 tasks were left behind"]


STORY = (
    faults.Message(at_s=10, copies=2),
    faults.Expire(at_s=20, answer_held=True),
    Handler(at_s=25, how="raises", times=5),
    faults.Message(at_s=30),
    Send(at_s=40, times=2),
    StoreTrouble(at_s=50, for_s=20),
    faults.Message(at_s=55, sender="ben@im.wechat"),
    Handler(at_s=120, how="late", for_s=30),
    faults.Message(at_s=130),
    Restart(at_s=131, how="stop", down_s=10),
    faults.Outage(at_s=200, for_s=60),
    Wake(at_s=210),
    Handler(at_s=300, how="stops"),
    faults.Message(at_s=310),
    Handler(at_s=330, how="cancels"),
    Handler(at_s=330, how="floods"),
    Handler(at_s=330, how="hangs", sender=USER),
    faults.Message(at_s=340),
    faults.Message(at_s=341),
    faults.Message(at_s=342),
    faults.Body(at_s=350, endpoint="getupdates", body=b'{"msgs":[1,null,{}],"get_updates_buf":"x"}', answer_held=True),
    Handler(at_s=349, how="floods", sender=""),
    Restart(at_s=400, how="cancel", down_s=1),
    faults.Message(at_s=430),
    Restart(at_s=431, how="kill", step="before done", down_s=1),
    faults.Message(at_s=433, sender="ben@im.wechat"),
    Login(at_s=450),
    faults.Message(at_s=470),
)


@pytest.mark.parametrize("delivery", ["once", "replay"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_whole_story_ends_well(backend: Any, delivery: Any, machine: Machine) -> None:
    """Every kind of misbehaviour and of restart in one life: each message is dealt with, and one is parked visibly."""
    schedule = Schedule(duration_s=600, backend=backend, delivery=delivery, entries=STORY)
    found = simulate(schedule=schedule, machine=machine)
    assert found.violations == ()
    assert found.parked == 1
    assert found.handled + found.parked == found.messages
    assert found.sessions == 5


def test_a_session_that_is_just_being_stopped_from_inside_is_followed_by_one_that_ends_well(machine: Machine) -> None:
    """Seed 825: the hours were over while the stop still waited for a handler that hangs."""
    entries = (
        Handler(at_s=10, how="hangs", sender=USER),
        faults.Message(at_s=11),
        faults.Message(at_s=12),
        Handler(at_s=13, how="stops", sender="ben@im.wechat"),
        faults.Message(at_s=58, sender="ben@im.wechat"),
    )
    found = simulate(schedule=Schedule(duration_s=60, entries=entries), machine=machine)
    assert found.violations == ()
    assert (found.sessions, found.handled) == (2, found.messages)


def test_a_message_in_a_body_of_ones_own_may_be_news(machine: Machine) -> None:
    """Seed 3474: the judge of the wire saw no news in it, and then five requests at once were too many (P8)."""
    entries = (
        faults.Takeover(at_s=1, answer_held=True),
        faults.Body(at_s=1.52, endpoint="getupdates", body=b'{"msgs":[{"message_id":1e400}]}'),
    )
    found = simulate(schedule=Schedule(seed=3474, duration_s=5.08, entries=entries), machine=machine)
    assert found.violations == ()


@pytest.mark.parametrize("seed", [6, 7])
def test_the_same_seed_is_the_same_life(seed: int, machine: Machine) -> None:
    """Word for word, on asyncio and on trio; chance outside of it is as it was before."""

    def story() -> list[tuple[float, str]]:
        told: list[tuple[float, str]] = []
        simulate(seed, hours=0.5, machine=machine, narrator=lambda at_s, words: told.append((at_s, words)))
        return told

    first = story()
    assert len(first) > 10
    assert story() == first


def test_seeds_draw_everything_that_there_is(machine: Machine) -> None:
    """Eighty hours have all kinds of trouble, most steps have a kill; even seeds run on asyncio, odd ones on trio."""
    drawn = [draw_schedule(seed, 1, machine) for seed in range(80)]
    entries = [entry for schedule in drawn for entry in schedule.entries]
    assert len({entry.step for entry in entries if isinstance(entry, Restart)}) > len(STEPS) / 2
    kinds = {entry.kind for entry in entries}
    assert kinds == set(KINDS) - {"trigger"}
    assert [schedule.backend for schedule in drawn[:4]] == ["asyncio", "trio", "asyncio", "trio"]
    assert {schedule.delivery for schedule in drawn} == {"once", "replay"}
    assert drawn[3] == draw_schedule(3, 1, machine)


def test_a_schedule_is_saved_and_loaded_again(machine: Machine, tmp_path: Path) -> None:
    """As TOML, whatever is in it."""
    file = tmp_path / "schedule.toml"
    for seed in range(20):
        schedule = draw_schedule(seed, 1, machine)
        file.write_text(schedule.to_toml(), encoding="utf-8")
        assert load_schedule(file) == (schedule, True)


def test_a_file_of_faults_alone_is_no_whole_world(tmp_path: Path) -> None:
    """The files of `sessionfsm server` are read as they are."""
    file = tmp_path / "faults.toml"
    file.write_text("[[fault]]\nkind = 'outage'\nat_s = 100\nfor_s = 50\n")
    schedule, whole = load_schedule(file)
    assert not whole
    assert (schedule.duration_s, schedule.entries) == (150, (faults.Outage(at_s=100, for_s=50),))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[world]\nhold = 3", "world: unknown field 'hold' (accepted: seed,"),
        ("[world]\nbackend = 'curio'", "backend must be one of asyncio, trio"),
        ("[world]\nround_trip_s = 0", "time would stand still"),
        ("[world]\nduration_s = -1", "duration_s must be a number of seconds"),
        ("[world]\nseed = 'x'", "seed must be a whole number"),
        ("[[fault]]\nkind = 'handler'\nhow = 'sings'", "fault 1: handler: how must be one of raises,"),
        ("[[fault]]\nkind = 'sing'", "unknown kind 'sing'"),
        ("[[fault]]\nkind = 'trigger'", "fault 1: trigger: name is missing"),
    ],
)
def test_a_wrong_schedule_is_refused(text: str, says: str, tmp_path: Path) -> None:
    """The message names the file and the field."""
    file = tmp_path / "schedule.toml"
    file.write_text(text)
    with pytest.raises(DefinitionError) as caught:
        load_schedule(file)
    assert says in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_broken_world_is_made_as_small_as_it_can_be(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    """Of a whole story the outage is left, on a plain server, without anything that does not matter."""
    bugs.waits_reset_by_a_renewal(monkeypatch)
    story = tuple(entry for entry in STORY if not isinstance(entry, StoreTrouble))
    broken = simulate(schedule=Schedule(duration_s=600, backend="trio", hold_s=20, entries=story), machine=machine)
    assert broken.violations[0].property == "P10"
    found = shrink(broken, machine)
    assert found.complete
    assert found.result.violations[0].property == "P10"
    assert len(found.schedule.entries) == 1
    assert found.schedule.backend == "asyncio"
    assert found.schedule.duration_s < 60
    few = shrink(broken, machine, most_tries=3)
    assert (few.complete, few.tries) == (False, 3)
    assert not few.result.ok


def test_a_pause_of_ones_own_is_no_silence_and_a_wrong_one_is_found() -> None:
    """The table that is proved passes, with its trigger told now and then; its wrong sister polls a lost session."""
    right = Machine(Policy(), examples.quiet_hours(Policy()))
    wrong = Machine(Policy(), examples.quiet_hours_wrong(Policy()))
    told = (
        Tell(at_s=100, name="quiet_hours"),
        faults.Takeover(at_s=1000, answer_held=True, for_s=60),
        Tell(at_s=1003, name="quiet_hours"),
    )
    schedule = Schedule(duration_s=2000, entries=told)
    assert simulate(schedule=schedule, machine=right).violations == ()
    broken = simulate(schedule=schedule, machine=wrong)
    assert broken.violations[0].property == "P1"
    smallest = shrink(broken, wrong).schedule  # a trigger cannot be made simpler: it has no name but its own
    assert [entry.kind for entry in smallest.entries] == ["takeover", "trigger"]
    assert any(entry.kind == "trigger" for entry in draw_schedule(1, 4, right).entries)


def test_what_cannot_be_asked() -> None:
    """Wrong arguments are refused with a sentence."""
    with pytest.raises(DefinitionError, match="hours must be above 0"):
        simulate(1, hours=0)
    with pytest.raises(DefinitionError, match="not both"):
        simulate(1, policy=Policy(), machine=Machine())


def test_a_tenth_of_a_day_has_nothing_wrong(machine: Machine) -> None:
    """The public function, as a test of somebody else's would call it."""
    result = simulate(seed=11, hours=2.4, machine=machine)
    assert result.ok, result.violations
    assert result.hours >= 2.4
    assert result.to_dict()["seed"] == 11


@pytest.mark.parametrize("delivery", ["once", "replay"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_a_step_happens_there_and_is_survived(step: str, delivery: Any, machine: Machine) -> None:
    """Whatever the process was at; the next one deals with everything that had been committed."""
    entries = (
        Restart(at_s=1, how="kill", step=step, down_s=2),
        Handler(at_s=2, how="raises"),
        faults.Message(at_s=3, copies=2),
        faults.Message(at_s=4.5, sender="ben@im.wechat"),
        Login(at_s=60),
        faults.Message(at_s=70),
        Restart(at_s=100, how="stop"),
    )
    told: list[str] = []
    schedule = Schedule(duration_s=200, delivery=delivery, entries=entries)
    found = simulate(schedule=schedule, machine=machine, narrator=lambda _, words: told.append(words))
    assert found.violations == ()
    assert f"*       the session is killed {step}" in told
    assert found.sessions == (2 if step.endswith("notifystop") else 3)
    assert found.handled + found.lost == found.messages
    assert (found.lost > 0) == (delivery == "once" and step in ("after getupdates", "before commit"))


def test_a_kill_now_takes_the_handler_with_it(machine: Machine) -> None:
    """A handler that would go on although it is cancelled holds no next process up; its message comes again."""
    entries = (
        Handler(at_s=1, how="late", for_s=500),
        faults.Message(at_s=2),
        Restart(at_s=10, how="kill", down_s=1),
    )
    found = simulate(schedule=Schedule(duration_s=20, entries=entries), machine=machine)
    assert found.violations == ()
    assert (found.sessions, found.handled) == (2, found.messages)
