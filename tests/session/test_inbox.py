"""The window that the inbox holds of its store: nothing falls out of it while it is being filled."""

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sessionfsm import MemoryStore, SQLiteStore, Stored, StoreError
from sessionfsm.session.inbox import ATTEMPTS, Inbox
from sessionfsm.store import AccountLocks, Batch, Incoming, StoreWriter, run_inline
from sessionfsm.store.writer import LAZY_S, LOOK_S

pytestmark = pytest.mark.anyio

ACCOUNT = "0a1b2c3d4e5f@im.bot"


def batch(*keys: str) -> Batch:
    messages = tuple(Incoming(key=key, sender="user@im.wechat", body=b"{}") for key in keys)
    return Batch(account=ACCOUNT, cursor=None, messages=messages)


async def test_what_is_committed_while_the_store_is_being_read_hides_nothing_that_is_older() -> None:
    """The answer to a commit may come before the page that was asked for earlier: old messages still come first."""
    store = MemoryStore()
    store.commit([batch("1", "2", "3")])

    async def run(function: Any, *args: Any, **kwargs: Any) -> Any:
        await anyio.sleep(1)  # as long as the store's thread is busy with the commit
        return function(*args, **kwargs)

    inbox, handled = Inbox(StoreWriter(store, run), ACCOUNT), list[Stored]()

    async def handle() -> None:
        while (stored := await inbox.next()) is not None:
            handled.append(stored)
            await inbox.done(stored)

    async with anyio.create_task_group() as group:
        group.start_soon(handle)
        await anyio.sleep(0.5)
        (answer,) = store.commit([batch("4")])
        inbox.arrived(answer.new)
        await anyio.sleep(60)
        inbox.close()
    assert [stored.number for stored in handled] == [1, 2, 3, 4]


async def test_who_is_cancelled_on_the_way_to_its_next_message_leaves_it_to_the_others() -> None:
    """Whoever has handled a message takes its sender's next one; if it is gone by then, somebody else does."""
    store, slow = MemoryStore(), False
    store.commit([batch("1", "2")])

    async def run(function: Any, *args: Any, **kwargs: Any) -> Any:
        if slow:
            await anyio.sleep(1)
        return function(*args, **kwargs)

    inbox, handled = Inbox(StoreWriter(store, run), ACCOUNT), list[int]()

    async def wait_for_one() -> None:
        stored = await inbox.next()
        assert stored is not None
        handled.append(stored.number)

    async with anyio.create_task_group() as group:
        first = await inbox.next()
        assert first is not None
        group.start_soon(wait_for_one)
        await anyio.sleep(0.1)
        slow = True
        with anyio.move_on_after(0.5):
            await inbox.done(first)
        assert handled == []
        await anyio.sleep(0.1)
        assert handled == [2]


async def test_what_another_process_opens_once_more_is_found_though_newer_ones_have_come_since(tmp_path: Path) -> None:
    """Its number is smaller than that of the message which came before anybody looked."""
    ours, theirs = (SQLiteStore(tmp_path / "store.db", locks=AccountLocks(tmp_path)) for _ in range(2))
    (first,) = ours.commit([batch("parked")])
    ours.failed(first.new[0].number, "no", park=True)
    handled: list[int] = []
    async with StoreWriter(ours, run_inline) as writer:
        inbox = Inbox(writer, ACCOUNT)
        writer.listen(inbox.recheck)

        async def handle() -> None:
            while (stored := await inbox.next()) is not None:
                handled.append(stored.number)
                await inbox.done(stored)

        async with anyio.create_task_group() as group:
            group.start_soon(handle)
            await anyio.sleep(0.1)
            again = theirs.retry(first.new[0].number)
            (second,) = await writer.commit([batch("new")], by=anyio.current_time() + 5)
            inbox.arrived(second.new)
            await anyio.sleep(2 * LOOK_S)
            inbox.close()
    assert again.number < second.new[0].number
    assert handled == [second.new[0].number, again.number]
    assert ours.pending(ACCOUNT) == []


async def test_what_is_being_marked_is_not_handed_out_again_when_everything_is_read_anew() -> None:
    """A mark that failed is told again with the next one: meanwhile the store still has the message as open."""
    store, broken = MemoryStore(), True
    store.commit([batch("1", "2")])

    async def run(function: Any, *args: Any, **kwargs: Any) -> Any:
        if function == store.done:
            if broken:
                raise StoreError("the disk is broken")
            await anyio.sleep(1)
        return function(*args, **kwargs)

    inbox, handled = Inbox(StoreWriter(store, run), ACCOUNT), list[int]()

    async def handle() -> None:
        while (stored := await inbox.next()) is not None:
            handled.append(stored.number)
            await inbox.done(stored)

    async with anyio.create_task_group() as group:
        for _ in range(2):
            first = await inbox.next()
            assert first is not None
            handled.append(first.number)
            if first.number == 1:
                await inbox.done(first)
        broken = False
        group.start_soon(inbox.done, first)  # and of the first, once more
        await anyio.sleep(0.1)
        inbox.recheck()
        group.start_soon(handle)
        await anyio.sleep(60)
        inbox.close()
    assert handled == [1, 2]
    assert store.pending(ACCOUNT) == []


async def test_who_is_cancelled_while_a_message_is_parked_loses_nothing() -> None:
    """The store may never have heard of it: the message is still its sender's next one, and comes to the others."""
    store, parked = MemoryStore(), list[int]()
    ((first, _),) = [answer.new for answer in store.commit([batch("1", "2")])]
    for _ in range(ATTEMPTS - 1):
        store.failed(first.number, "x", park=False)

    async def run(function: Any, *args: Any, **kwargs: Any) -> Any:
        if function == store.failed:
            await anyio.sleep_forever()  # others are before it, so that it is dropped
        return function(*args, **kwargs)

    inbox = Inbox(StoreWriter(store, run), ACCOUNT)
    inbox.on_parked = lambda: parked.append(1)
    for _ in range(2):
        with anyio.fail_after(60):
            stored = await inbox.next()
        assert stored is not None
        assert stored.number == first.number
        with anyio.move_on_after(1):
            await inbox.failed(stored, ValueError())
        assert parked == []


async def test_a_store_that_takes_no_marks_gets_no_more_than_two_hundred_to_wait_for() -> None:
    """A full disk can still be read: were all that is in it handled, all of it would come twice after a kill."""
    store, well, handled = MemoryStore(), False, list[int]()
    store.commit([batch(*map(str, range(1000)))])

    async def run(function: Any, *args: Any, **kwargs: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        if function == store.done and not well:
            raise StoreError("no")
        return function(*args, **kwargs)

    writer = StoreWriter(store, run)
    inbox = Inbox(writer, ACCOUNT)

    async def handle() -> None:
        while (stored := await inbox.next()) is not None:
            handled.append(stored.number)
            await inbox.done(stored)

    async with anyio.create_task_group() as group:
        group.start_soon(writer.work)
        async with anyio.create_task_group() as handlers:
            handlers.start_soon(handle)
            await anyio.sleep(100)
            assert handled == list(range(1, 201))
            well = True
            await anyio.sleep(20)
            assert handled == list(range(1, 1001))
            await inbox.mark()
            assert store.pending(ACCOUNT, after=0, limit=1000) == []
            well = False
            store.commit([batch(*(f"more {number}" for number in range(1000)))])
            inbox.recheck()
            await anyio.sleep(100)
            assert len(handled) == 1200
            inbox.end()  # nobody waits for it then
        group.cancel_scope.cancel()


async def test_a_store_that_cannot_be_read_is_asked_every_few_seconds_however_many_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Sixteen who wait for a message ask once, and say so once."""
    asked = 0

    async def run(*_: Any, **__: Any) -> Any:
        nonlocal asked
        asked += 1
        raise StoreError("the disk is broken")

    inbox = Inbox(StoreWriter(MemoryStore(), run), ACCOUNT)
    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(inbox.next)
        await anyio.sleep(61)
        inbox.close()
    assert asked == len(caplog.records) == 13


async def test_whoever_waits_for_a_store_that_hangs_is_free_at_the_end() -> None:
    """Reading, marking and noting a failure: none of them outlives the session."""
    store, hangs = MemoryStore(), False
    store.commit([batch("1", "2")])

    async def run(function: Any, *args: Any, **kwargs: Any) -> Any:
        if hangs:
            await anyio.sleep_forever()
        return function(*args, **kwargs)

    inbox = Inbox(StoreWriter(store, run), ACCOUNT)
    stored = await inbox.next()
    assert stored is not None
    hangs = True
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(inbox.done, stored)
            group.start_soon(inbox.failed, stored, ValueError())
            inbox.recheck()
            group.start_soon(inbox.next)
            await anyio.sleep(1)
            inbox.end()
        await inbox.done(stored)  # of a handler that was late


async def test_handlers_that_wait_for_nothing_let_others_run() -> None:
    """A burst of a hundred messages, and handlers that only count: everything else has its turn in between."""
    store, turns, seen = MemoryStore(), 0, list[int]()
    store.commit([batch(*map(str, range(100)))])
    inbox = Inbox(StoreWriter(store), ACCOUNT)

    async def handle() -> None:
        for _ in range(100):
            stored = await inbox.next()
            assert stored is not None
            seen.append(turns)
            await inbox.done(stored)

    async with anyio.create_task_group() as group:
        group.start_soon(handle)
        while len(seen) < 100:
            turns += 1
            await anyio.lowlevel.checkpoint()
    assert max(map(seen.count, seen)) <= 16  # trio lets them go first by chance


async def test_what_a_handler_finishes_after_the_end_is_marked_before_anything_else_can_end() -> None:
    """Its mark waits for no company: the writer may end right after it, and the message would be handled twice."""
    store = MemoryStore()
    store.commit([batch("1")])

    async def run(function: Any, *args: Any, **kwargs: Any) -> Any:
        await anyio.sleep(0.001)
        return function(*args, **kwargs)

    async with StoreWriter(store, run) as writer:
        inbox = Inbox(writer, ACCOUNT)
        stored = await inbox.next()
        assert stored is not None
        inbox.end()
        await inbox.mark_last()
        await inbox.done(stored)
    assert store.pending(ACCOUNT) == []


async def test_the_last_marks_of_a_session_outlive_a_moment_of_trouble() -> None:
    """Others share the store and go on: once it is well it hears what a session handled that has ended meanwhile."""
    store, broken = MemoryStore(), True
    store.commit([batch("1", "2")])

    async def run(function: Any, *args: Any, **kwargs: Any) -> Any:
        if broken and function == store.done:
            raise StoreError("the disk is broken")
        return function(*args, **kwargs)

    async with StoreWriter(store, run) as writer:
        inbox = Inbox(writer, ACCOUNT)
        with pytest.raises(StoreError):
            await writer.done([99])  # somebody else has found out already
        for _ in range(2):
            stored = await inbox.next()
            assert stored is not None
            await inbox.done(stored)
        inbox.end()
        await inbox.mark_last()
        assert [stored.number for stored in store.pending(ACCOUNT)] == [1, 2]
        broken = False
        await anyio.sleep(2 * LAZY_S)
        assert store.pending(ACCOUNT) == []
