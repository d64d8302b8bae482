"""The window that the inbox holds of its store: nothing falls out of it while it is being filled."""

from typing import Any

import anyio
import pytest

from sessionfsm import MemoryStore, Stored
from sessionfsm.session.inbox import Inbox
from sessionfsm.store import Batch, Incoming, StoreWriter

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
