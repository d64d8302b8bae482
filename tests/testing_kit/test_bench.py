"""The bench: a whole bot in virtual time, what becomes of it, and what is said when something is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from sessionfsm import DefinitionError, MemoryStore, Policy, Session
from sessionfsm.lifecycle import Machine
from sessionfsm.testing import Bench, FakeServer, faults, run
from sessionfsm.testing.virtual_time import Backend

from .tables import naive


async def echo(session: Session) -> None:
    async for message in session:
        await session.reply(message, f"you said {message.text}")


@pytest.fixture(params=["asyncio", "trio"])
def play(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[object]]], object]:
    """Run a story in virtual time, on either backend."""
    backend: Backend = request.param
    return lambda story: run(story, backend=backend, limit_s=86_400)


Play = Callable[[Callable[[], Awaitable[object]]], object]


@pytest.mark.parametrize(
    "fault",
    [faults.Expire(answer_held=True), faults.Outage(for_s=600), faults.Lapse(answer_held=True), faults.Hang(times=2)],
    ids=lambda fault: fault.kind,
)
def test_settle_waits_until_everything_is_over(play: Play, fault: faults.Fault) -> None:
    """After settle every message is answered, once, and the session polls well, whatever has happened."""

    async def story() -> None:
        async with Bench(echo) as bench:
            bench.push("one")
            bench.apply(fault)
            bench.push("two", sender="other@im.wechat")
            bench.push_duplicate()
            await bench.settle()
            assert bench.session.health().ready
            assert bench.account.unread == 0
            assert sorted(bench.replies) == ["you said one", "you said two"]

    play(story)


def test_settle_says_what_is_still_open(play: Play) -> None:
    """When it takes too long, the message names what has not come to its end."""

    async def story() -> None:
        async with Bench() as bench:
            await bench.settle()
            bench.push("nobody handles this")
            with pytest.raises(TimeoutError, match="not settled after 100 s: 1 messages have not been handled"):
                await bench.settle(limit_s=100)
            bench.apply(faults.Takeover())
            with pytest.raises(TimeoutError, match="the server thinks that the session is taken_over"):
                await bench.settle(limit_s=100)

    play(story)


def test_what_the_bot_raises_is_raised_as_it_is(play: Play) -> None:
    """From settle and from the block, in no group; what the block itself raises goes before it."""

    async def broken(session: Session) -> None:
        async for _ in session:
            raise LookupError("a bug")

    async def settled() -> None:
        async with Bench(broken) as bench:
            bench.push()
            await bench.settle()

    async def left() -> None:
        async with Bench(broken) as bench:
            bench.push()
            await anyio.sleep(1)

    async def mine() -> None:
        async with Bench(broken) as bench:
            bench.push()
            await anyio.sleep(1)
            raise AssertionError("mine")

    for story, error in ((settled, LookupError), (left, LookupError), (mine, AssertionError)):
        with pytest.raises(error, match="mine" if story is mine else "a bug"):
            play(story)


def test_a_handler_that_hangs_does_not_keep_the_bench_up(play: Play) -> None:
    """It is given the policy's deadline, and then cancelled."""

    async def stuck(session: Session) -> None:
        await session.deliver(lambda _: anyio.sleep_forever())

    async def story() -> float:
        async with Bench(stuck, policy=Policy(drain_deadline_s=7)) as bench:
            bench.push()
            await anyio.sleep(1)
        return anyio.current_time()

    assert play(story) == pytest.approx(8, abs=0.1)


def test_a_second_bench_on_the_same_store_is_a_restart(play: Play) -> None:
    """What was not handled is handled by the next one, and replies are those since it was put up."""

    async def story() -> None:
        server, store = FakeServer(delivery="once"), MemoryStore()
        async with Bench(server=server, store=store) as bench:
            bench.push("hello")
            await anyio.sleep(1)
        async with Bench(echo, server=server, store=store) as bench:
            await bench.settle()
            assert bench.replies == ["you said hello"]
        async with Bench(echo, server=server, store=store) as bench:
            await bench.settle()
            assert bench.replies == []

    play(story)


def test_an_unsafe_machine_is_found_out_when_the_bench_is_taken_down(play: Play) -> None:
    """A lifecycle that polls a lost session without notifystart fails the test that ran on it, with the trace."""

    async def story() -> None:
        async with Bench(echo, machine=naive()) as bench:
            bench.apply(faults.Takeover(for_s=60))
            await anyio.sleep(200)

    with pytest.raises(AssertionError, match=r"P1: a poll started after a loss") as raised:
        play(story)
    assert "> " in str(raised.value)
    assert "getupdates   -14" in str(raised.value)


def test_a_bench_takes_a_policy_or_a_machine() -> None:
    """A machine has a policy of its own."""
    with pytest.raises(DefinitionError, match="not both"):
        Bench(policy=Policy(), machine=Machine())
