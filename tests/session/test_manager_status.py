"""The status of a manager is counted while things happen: it has to be what a look at each session would say."""

import random

import anyio
import pytest

from sessionfsm import ManagerStatus, Session, SessionFSMError
from sessionfsm.ilink import Message
from sessionfsm.session.supervisor import Supervisor
from sessionfsm.testing import FakeServer, faults

from .fleet import FleetWorld, fleet, name_of

pytestmark = pytest.mark.anyio


def looked_at(w: FleetWorld) -> dict[str, object]:
    """Return the same figures, by asking every session."""
    sessions: list[Session] = []
    for account in w.manager.accounts:
        try:
            sessions.append(w.manager.session(account))
        except SessionFSMError:
            continue
    healths = [session.health() for session in sessions]
    ages = [health.last_poll_age_s for health in healths if health.last_poll_age_s is not None]
    signals = [signal for health in healths for signal in health.signals]
    return {
        "accounts": len(w.manager.accounts),
        "states": {state: sum(h.state == state for h in healths) for state in {h.state for h in healths}},
        "without_session": len(w.manager.accounts) - len(sessions),
        "ready": sum(health.ready for health in healths),
        "not_ready": len(w.manager.accounts) - sum(health.ready for health in healths),
        "oldest_poll_age_s": max(ages, default=None),
        "storage_trouble": sum(bool(health.storage) for health in healths),
        "signals": {signal: signals.count(signal) for signal in signals},
    }


@pytest.mark.parametrize("seed", range(2))
async def test_the_status_is_what_a_look_at_each_session_would_say(seed: int) -> None:
    """At five hundred moments of losses, takeovers, lapses, outages, bugs, hints, removals and additions."""
    chance = random.Random(seed)
    server = FakeServer(hold_s=15.0)
    looks = 0

    async def handler(_session: Session, message: Message) -> None:
        if message.text == "raise":
            raise ValueError

    async with fleet(25, server=server, judged=False, renewals_per_s=5) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, handler)
        for _ in range(130):
            number = chance.randrange(40)
            account, kept = w.account(number), name_of(number) in w.manager.accounts
            match chance.randrange(11):
                case 0:
                    account.expire(answer_held=True)
                case 1:
                    account.take_over(notifystart="denied", answer_held=True, for_s=chance.uniform(1, 200))
                case 2:
                    account.lapse(answer_held=True)
                case 3:
                    server.apply(faults.Outage(for_s=chance.uniform(0, 20)))
                case 4:
                    server.apply(faults.Hint(hint="1000", endpoint="getupdates", token=name_of(number)))
                case 5:
                    account.push("raise" if chance.random() < 0.3 else "hello")
                case 6 if kept:
                    try:
                        session = w.manager.session(name_of(number))
                    except SessionFSMError:
                        continue
                    session._driver._handle = None  # type: ignore[method-assign,assignment]
                case 7 if kept:
                    w.manager.wake(name_of(number))
                case 8 if kept and chance.random() < 0.5:
                    group.start_soon(w.manager.remove, name_of(number))
                case 9 if not kept:
                    w.add(number)
                case 10:
                    server.apply(faults.Hang(endpoint="getupdates", token=name_of(number)))
            for _ in range(4):
                await anyio.sleep(chance.expovariate(1.0))
                status = w.manager.status()
                seen = looked_at(w)
                assert {name: getattr(status, name) for name in seen} == seen
                assert isinstance(status, ManagerStatus)
                assert status.to_dict()["states"] == seen["states"]
                looks += 1
        w.monitors.clear()  # of runs that broke off
        await w.manager.stop()
        w.monitors.clear()
    assert looks > 400
    assert w.manager.status().states == {}


async def test_a_poll_that_never_ends_is_found_without_looking_at_everybody() -> None:
    """A session that is in order by its state, and has not had a poll for too long, is not ready (R8)."""
    async with fleet(10, judged=False) as w:
        await w.until_ready()
        driver = w.manager.session(name_of(4))._driver
        perform = driver._perform

        async def stuck(command: object) -> object:
            await anyio.sleep(1000)
            return await perform(command)  # type: ignore[arg-type]

        driver._perform = stuck  # type: ignore[method-assign,assignment]
        await anyio.sleep(300)
        status = w.manager.status()
        assert (status.ready, status.not_ready) == (9, 1)
        assert status.states == {"active": 10}
        assert status.oldest_poll_age_s == w.health(4).last_poll_age_s
        assert w.health(4).ready is False
        w.monitors.clear()


async def test_who_asks_once_in_a_while_does_not_make_up_for_all_polls_since(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape a minute costs what one a second does: the event loop of ten thousand is not held up by it."""
    looked: list[Supervisor] = []
    last_good_s = Supervisor.last_good_s.fget
    assert last_good_s is not None

    def noted(each: Supervisor) -> float:
        looked.append(each)
        return last_good_s(each)

    async with fleet(200) as w:
        await w.until_ready()
        await anyio.sleep(60.5)
        monkeypatch.setattr(Supervisor, "last_good_s", property(noted))
        status = w.manager.status()
        assert 0 < len(set(looked)) < 40
        monkeypatch.undo()
        assert status.ready == 200
        assert status.oldest_poll_age_s == max(health.last_poll_age_s or 0 for health in w.manager.healths())


async def test_each_account_can_be_asked_for() -> None:
    """healths() has every account, down() those without a session and why."""
    async with fleet(3, renewals_per_s=1) as w:
        assert [health.account for health in w.manager.healths()] == w.manager.accounts
        assert {down.reason for down in w.manager.down()} == {"it is about to start"}
        await w.until_ready()
        assert list(w.manager.down()) == []
        assert all(health.ready for health in w.manager.healths())
