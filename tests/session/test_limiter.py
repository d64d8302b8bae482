"""Renewals come one after the other: never too many in a second, nobody forgotten, each host by itself."""

import time

import anyio
import anyio.lowlevel
import pytest

from sessionfsm import DefinitionError
from sessionfsm.session.limiter import RenewalLimiter
from sessionfsm.testing import FakeServer, faults

from .fleet import fleet, name_of, token_of

pytestmark = pytest.mark.anyio


def most_in_a_second(times: list[float]) -> int:
    """Return how many of *times* lie in one second, at most."""
    times = sorted(times)
    return max(sum(at_s <= other < at_s + 1 - 1e-9 for other in times) for at_s in times)


@pytest.mark.parametrize("per_s", [1, 3, 50, 200])
async def test_there_are_never_more_in_a_second_and_the_line_is_as_fast_as_it_may_be(per_s: int) -> None:
    """N callers take N / per_s seconds, in the order in which they came, whatever the jitter is."""
    limiter = RenewalLimiter(per_s)
    arrived: list[int] = []
    order: list[int] = []
    times: list[float] = []

    async def renew(number: int) -> None:
        arrived.append(number)
        await limiter.wait("http://127.0.0.1:9")
        order.append(number)
        times.append(anyio.current_time())

    count = 5 * per_s
    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(renew, number)
        await anyio.sleep(0.001)
        assert limiter.waiting > 0
    assert limiter.waiting == 0
    assert len(times) == count
    assert most_in_a_second(times) <= per_s
    assert times[-1] - times[0] <= (count + 1) / per_s
    assert order == arrived


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])  # in real time: turns take none in virtual time
async def test_an_event_loop_with_slow_turns_lets_through_as_many() -> None:
    """Ten thousand sessions make turns of 20 ms and more; the line is not longer for that."""
    limiter = RenewalLimiter(200)
    at: list[float] = []

    async def one() -> None:
        await limiter.wait("https://a.example")
        at.append(anyio.current_time())

    async def busy() -> None:
        while len(at) < 300:
            time.sleep(0.02)  # noqa: ASYNC251 - to hold the loop up is the point
            await anyio.lowlevel.checkpoint()

    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(300):
            group.start_soon(one)
        group.start_soon(busy)
    assert anyio.current_time() - began < 300 / 200 + 0.6
    assert min(last - first for first, last in zip(at, at[200:], strict=False)) > 1.0 - 0.1  # they are told a turn late


async def test_whoever_leaves_the_line_costs_the_others_nothing() -> None:
    """A thousand callers give up: the one behind them has its turn at once, and it is not lost if the first leaves."""
    limiter = RenewalLimiter(10)
    for _ in range(10):
        await limiter.wait("http://127.0.0.1:9")
    with anyio.move_on_after(0):
        await limiter.wait("http://127.0.0.1:9")
    began = anyio.current_time()
    async with anyio.create_task_group() as group, anyio.create_task_group() as leaving:
        for _ in range(1000):
            leaving.start_soon(limiter.wait, "http://127.0.0.1:9")
        await anyio.sleep(0.01)
        group.start_soon(limiter.wait, "http://127.0.0.1:9")
        await anyio.sleep(0.01)
        leaving.cancel_scope.cancel()
    assert anyio.current_time() - began <= 1.0 + 1e-6


async def test_hosts_have_lines_of_their_own() -> None:
    """A host that ten thousand wait for does not hold up another one; two paths of one host are one line."""
    limiter = RenewalLimiter(1)
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(limiter.wait, "https://one.example/ilink/")
        await anyio.sleep(0.01)
        before = anyio.current_time()
        await limiter.wait("https://other.example/")
        assert anyio.current_time() == before
        await limiter.wait("https://ONE.example/")
        assert anyio.current_time() - before > 5
        group.cancel_scope.cancel()


async def test_a_limit_below_one_in_a_second_is_refused() -> None:
    """It would keep sessions deaf for longer than any policy may."""
    with pytest.raises(DefinitionError, match=r"renewals_per_s is 0\.5"):
        RenewalLimiter(0.5)


# --- what it does to a fleet -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["expired", "reset", "outage"])
async def test_sessions_that_are_dropped_together_come_back_in_line(what: str) -> None:
    """
    P1 and P8 hold on the wire, and P6 with ``N / renewals_per_s`` added; each session is back by then.

    Of 60 sessions with 2 renewals a second the last one has its turn after 30 s. None fails by its own deadline of
    10 s meanwhile: that begins when it is let through.
    """
    count, per_s = 60, 2.0
    server = FakeServer(hold_s=35.0)
    async with fleet(count, server=server, renewals_per_s=per_s) as w:
        await w.until_ready()
        begun = [entry.started_s for entry in w.requests("notifystart")]
        assert most_in_a_second(begun) <= per_s
        await w.until(lambda: all(entry.ended_s is None for entry in w.server.log.requests("getupdates")[-20:]))
        dropped = anyio.current_time()
        if what == "expired":
            server.apply(faults.Expire(answer_held=True))
        elif (
            what == "reset"
        ):  # every connection, also those that were held for less than 10 s; it is well again at once
            server.apply(faults.Outage(for_s=0.01))
        else:
            server.apply(faults.Outage(for_s=60.0))
        await anyio.sleep(0.1)
        assert w.manager.status().queued > 0 or what == "outage"
        well_s = dropped + {"expired": 0.0, "reset": 0.02, "outage": 60.0}[what]

        def back_again() -> int:
            polls = w.requests("getupdates")
            return len({e.account for e in polls if e.started_s > well_s and e.answer not in ("refused", "-14")})

        await w.until(lambda: back_again() == count)
        back = anyio.current_time()
        renewals = [entry.started_s for entry in w.requests("notifystart") if entry.started_s >= dropped]
        assert most_in_a_second(renewals) <= per_s
        if what == "expired":
            assert len(renewals) == count
            assert back - dropped <= count / per_s + 2.0
        await w.until_ready()
        assert w.manager.status().queued == 0


async def test_a_renewal_that_hangs_is_ended_by_its_own_deadline_after_its_turn() -> None:
    """Its 10 s begin when it is let through: the record shows how long the request was out, and not the line."""
    server = FakeServer(hold_s=20.0)
    async with fleet(30, server=server, renewals_per_s=1) as w:
        await w.until_ready()
        server.apply(faults.Hang(endpoint="notifystart", times=30))
        server.apply(faults.Expire(answer_held=True))
        await w.until(lambda: sum(record.trigger == "renewal_failed" for record in w.records) == 30, limit_s=100)
        held = [record.held_s for record in w.records if record.trigger == "renewal_failed"]
        assert held == pytest.approx([w.policy.renewal_deadline_s] * 30, abs=0.1)


async def test_ten_thousand_that_start_do_not_stand_before_one_that_renews() -> None:
    """Beginners come to the line a few at a time: a session that is lost meanwhile waits for them alone."""
    server = FakeServer(hold_s=20.0)
    async with fleet(1, server=server, renewals_per_s=100) as w:
        await w.until_ready()
        w.add(*range(1, 1000))
        await anyio.sleep(0.5)
        began = anyio.current_time()
        w.account(0).expire(answer_held=True)
        await w.until(lambda: len(w.requests("notifystart", 0)) == 2)
        assert anyio.current_time() - began <= 64 / 100 * 1.2 + 0.1
        assert w.manager.status().without_session > 500
        assert token_of(0).startswith(name_of(0))


async def test_an_account_says_that_it_stands_in_line() -> None:
    """Health and status tell the wait from a hang."""
    async with fleet(5, renewals_per_s=1) as w:
        await anyio.sleep(0.5)
        assert w.manager.status().queued == 4
        assert [w.health(number).detail for number in range(5)].count("in line behind others that renew") == 4
        await w.manager.wait_started()
        assert w.manager.status().queued == 0
        assert anyio.current_time() == pytest.approx(4, abs=1)
