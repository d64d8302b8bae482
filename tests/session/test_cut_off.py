"""Handlers that are cut off, by their limit or by the end of the session, in the middle of a run of messages."""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sessionfsm import MemoryStore, Message, Session
from sessionfsm.session.delivery import LATE_S
from sessionfsm.store import Runner

from .test_workers import workers
from .world import World, tasks, world

pytestmark = pytest.mark.anyio

LIMIT_S = 10.0


async def in_turn(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a store as a thread would: not in place. Then messages that come together are handled in one run."""
    await anyio.lowlevel.checkpoint()
    return function(*args, **kwargs)


@pytest.fixture(params=["in a run", "each alone"])
def run_store(request: pytest.FixtureRequest) -> Runner | None:
    return in_turn if request.param == "in a run" else None


def push(w: World, *texts: str) -> None:
    """Have messages of as many senders come with one poll."""
    for text in texts:
        w.account.push(text, sender=f"{text}@im.wechat")


async def test_a_handler_that_hangs_behind_quick_ones_is_cut_off_after_its_own_limit(run_store: Runner | None) -> None:
    """The clock of the first does not run for the last: none is cut off early, and one that hangs not much later."""
    began: list[float] = []
    done: list[str] = []

    async def handler(message: Message) -> None:
        if message.text == "hangs":
            began.append(anyio.current_time())
            await anyio.sleep_forever()
        await anyio.sleep(LIMIT_S * 0.9)
        done.append(message.text)

    async with world(run_store=run_store) as w, tasks() as group:
        push(w, "a", "b", "c", "hangs", "d")
        group.start_soon(lambda: w.session.deliver(handler, at_once=1, limit_s=LIMIT_S))
        await w.until(lambda: len(done) == 4)
        assert done == ["a", "b", "c", "d"]
        await w.until(lambda: len(began) == 2)
        assert len(done) == 4
        # Cut off at its limit, or a little later; "d" then takes nine tenths of one, and it is tried again.
        assert LIMIT_S * 1.9 <= began[1] - began[0] <= LIMIT_S * 1.9 + LATE_S + 0.1
        group.cancel_scope.cancel()


async def test_whatever_is_left_when_a_handler_is_cut_off_is_handled(run_store: Runner | None) -> None:
    """One in three hangs the first time: the others are done at once, and each of them in the end."""
    tried: set[str] = set()
    done: list[str] = []
    store = MemoryStore()

    async def handler(message: Message) -> None:
        if int(message.text) % 3 == 0 and message.text not in tried:
            tried.add(message.text)
            await anyio.sleep_forever()
        done.append(message.text)

    async with world(store=store, run_store=run_store) as w, tasks() as group:
        push(w, *map(str, range(60)))
        group.start_soon(lambda: w.session.deliver(handler, at_once=4, limit_s=LIMIT_S))
        await w.until(lambda: len(done) == 60)
        assert sorted(done, key=int) == [str(number) for number in range(60)]
        await anyio.sleep(1)
        assert store.pending(w.account.name) == []
        group.cancel_scope.cancel()


@pytest.mark.parametrize("before", [0, 1, 6, 7, 8])  # after eight others have their turn
async def test_a_handler_that_returns_in_the_moment_of_its_limit_ends_nobody_elses(
    before: int, run_store: Runner | None
) -> None:
    """Whoever is faster: it was handled, or comes again. What follows is not cut off, and no worker is lost."""
    done: list[str] = []
    began = 0

    async def handler(message: Message) -> None:
        nonlocal began
        if message.text == "just":
            began += 1
            await anyio.sleep(LIMIT_S if began == 1 else 0.0)
        elif message.text == "after":
            await anyio.sleep(LIMIT_S / 2)
        done.append(message.text)

    async with world(run_store=run_store) as w, tasks() as group:
        push(w, *map(str, range(before)), "just", "after")
        group.start_soon(lambda: w.session.deliver(handler, at_once=1, limit_s=LIMIT_S))
        await w.until(lambda: {"just", "after"} <= set(done))
        assert sorted(done) == sorted([*map(str, range(before)), "just", "after"])
        push(w, "later")
        await w.until(lambda: "later" in done)
        group.cancel_scope.cancel()


async def test_a_handler_that_returns_although_it_was_cut_off_has_returned(run_store: Runner | None) -> None:
    """It has dealt with its cancellation, so its message is done; the next one's handler is not cancelled for that."""
    done: list[str] = []
    store = MemoryStore()

    async def handler(message: Message) -> None:
        if message.text == "deaf":
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                pass
        else:
            await anyio.sleep(1)
        done.append(message.text)

    async with world(store=store, run_store=run_store) as w, tasks() as group:
        push(w, "a", "deaf", "b", "c")
        group.start_soon(lambda: w.session.deliver(handler, at_once=1, limit_s=LIMIT_S))
        await w.until(lambda: len(done) == 4)
        assert done == ["a", "deaf", "b", "c"]
        await anyio.sleep(1)
        assert store.pending(w.account.name) == []
        group.cancel_scope.cancel()


async def test_what_a_handler_raises_while_it_is_cut_off_is_what_is_noted(
    run_store: Runner | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A clean-up that fails says more than that there was no end."""

    async def handler(_: Message) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("the file was gone")

    async with world(run_store=run_store) as w, tasks() as group:
        push(w, "a")
        group.start_soon(lambda: w.session.deliver(handler, limit_s=LIMIT_S))
        await w.until(lambda: "attempt 1 of 5" in caplog.text)
        assert "attempt 1 of 5: ValueError: the file was gone" in caplog.text
        group.cancel_scope.cancel()


async def test_the_end_of_a_session_cuts_a_run_short_and_no_mark_is_lost(run_store: Runner | None) -> None:
    """Those before are done, the one that hangs comes again, those behind were never begun."""
    store, begun = MemoryStore(), list[str]()

    async def handler(message: Message) -> None:
        begun.append(message.text)
        if message.text == "hangs":
            await anyio.sleep_forever()

    async with world(store=store, run_store=run_store) as w, tasks() as group:
        push(w, "a", "b", "hangs", "c")
        group.start_soon(lambda: w.session.deliver(handler, at_once=1, limit_s=None))
        await w.until(lambda: "hangs" in begun)
        with anyio.fail_after(60):
            await w.session.stop()
    assert begun == ["a", "b", "hangs"]
    left = store.pending(w.account.name)
    assert [stored.sender for stored in left] == ["hangs@im.wechat", "c@im.wechat"]
    assert [stored.attempts for stored in left] == [0, 0]


async def test_a_delivery_that_is_cancelled_in_a_run_marks_what_was_handled_and_nothing_else(
    run_store: Runner | None,
) -> None:
    """A bot's own scope around ``deliver`` is cancelled from outside: what is in hand is open, and another has it."""
    store, done = MemoryStore(), list[str]()

    async def first(message: Message) -> None:
        if message.text == "hangs":
            await anyio.sleep_forever()
        done.append(message.text)

    async def second(message: Message) -> None:
        done.append(f"again {message.text}")

    async with world(store=store, run_store=run_store) as w, tasks() as group:
        push(w, "a", "b", "hangs", "c")
        with anyio.move_on_after(30):
            await w.session.deliver(first, at_once=1)
        assert done == ["a", "b"]
        group.start_soon(w.session.deliver, second)
        await w.until(lambda: len(done) == 4)
        assert sorted(done[2:]) == ["again c", "again hangs"]
        group.cancel_scope.cancel()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_handler_that_awaits_what_it_has_cancelled_fails_alone(run_store: Runner | None) -> None:
    """asyncio raises the same as if the handler were cancelled. The run goes on with the next message."""
    done: list[str] = []

    async def handler(message: Message) -> None:
        if message.text == "odd":
            task = asyncio.ensure_future(asyncio.sleep(60))
            task.cancel()
            await task
        await anyio.sleep(1)
        done.append(message.text)

    async with world(run_store=run_store) as w, tasks() as group:
        push(w, "a", "odd", "b")
        group.start_soon(lambda: w.session.deliver(handler, at_once=1, limit_s=LIMIT_S))
        await w.until(lambda: w.session.health().in_hand == 0 and len(done) == 2)
        (parked,) = await until_parked(w.session)
        assert parked == "odd@im.wechat"
        group.cancel_scope.cancel()


async def until_parked(session: Session) -> list[str]:
    found: list[str] = []
    while not found:
        await anyio.sleep(1)
        found = [stored.sender for stored in await session.parked()]
    return found


async def test_handlers_that_wait_for_nothing_need_no_worker_for_each_sender() -> None:
    """A rush of a hundred senders is over before another worker could begin; one that waits still holds up nobody."""
    most, done = 0, list[str]()

    async def handler(message: Message) -> None:
        nonlocal most
        most = max(most, workers())
        if message.text == "waits":
            await anyio.sleep_forever()
        done.append(message.text)

    async with world(run_store=in_turn) as w, tasks() as group:
        push(w, "waits", *map(str, range(100)))
        group.start_soon(w.session.deliver, handler)
        await w.until(lambda: len(done) == 100)
        assert most <= 3
        group.cancel_scope.cancel()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_handler_that_keeps_a_cancellation_to_itself_ends_nothing() -> None:
    """Some code catches what it was cancelled by and goes on. The next handler that hangs is cut off as any other."""
    done: list[str] = []

    async def handler(message: Message) -> None:
        if message.text == "swallows":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await anyio.lowlevel.checkpoint()
        elif message.text == "hangs" and "late" not in done:
            await anyio.sleep_forever()
        done.append(message.text)

    async with world(run_store=in_turn) as w, tasks() as group:
        push(w, "a", "swallows", "hangs", "late")
        group.start_soon(lambda: w.session.deliver(handler, at_once=1, limit_s=LIMIT_S))
        await w.until(lambda: len(done) == 4)
        group.cancel_scope.cancel()
    assert done == ["a", "swallows", "late", "hangs"]  # out here: a delivery that is cancelled ends the block above
