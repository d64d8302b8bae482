"""What it takes to start: a store that is slow, and credentials that are replaced meanwhile."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from sessionfsm import Cure, MemoryStore, Message, Session
from sessionfsm.store import run_inline
from sessionfsm.testing import FakeServer

from .fleet import fleet, name_of, token_of
from .world import URL

pytestmark = pytest.mark.anyio


class OneByOne:
    """A store's only thread, that takes so long for each call."""

    def __init__(self, each_s: float) -> None:
        self._each_s = each_s
        self._thread = anyio.Semaphore(1)

    async def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        async with self._thread:
            await anyio.sleep(self._each_s)
            return function(*args, **kwargs)


async def test_a_slow_store_makes_the_start_of_many_slow_and_none_of_them_fail() -> None:
    """A session that stands behind others that start has not failed: nobody is restarted, nobody's store is in trouble.

    At 0.2 s for each call 64 that ask at once would stand for 13 s, and give up after 10.
    """
    server = FakeServer(hold_s=20.0)
    async with fleet(150, server=server, store=MemoryStore(), run_store=OneByOne(0.2)) as w:
        await w.manager.wait_started()
        assert list(w.manager.down()) == []
        assert w.manager.status().restarts == 0
        assert w.manager.status().storage_trouble == 0
        assert {record.detail for record in w.records} == {""}


async def test_those_who_wait_for_the_store_can_be_stopped_removed_and_replaced() -> None:
    """Nobody who leaves takes a place along: all others still start, and the end comes at once."""
    async with fleet(200, store=MemoryStore(), run_store=OneByOne(0.2)) as w:
        await anyio.sleep(1.0)
        for number in range(30):  # those who have a place, and those who wait for one
            await w.manager.remove(name_of(number))
        assert await w.manager.replace(name_of(30), token_of(700), base_url=URL) == name_of(700)
        await w.until_ready()
        assert len(w.manager.accounts) == 170
        w.add(*range(1000, 1100))
        await anyio.sleep(1.0)
        began = anyio.current_time()
        await w.manager.stop()
        assert anyio.current_time() - began < w.policy.drain_deadline_s + 1.0


@pytest.mark.parametrize("begins_anew", [False, True])
@pytest.mark.parametrize("call", [1, 2, 3])
async def test_who_is_ended_just_when_it_has_begun_ends_and_gives_everything_back(call: int, begins_anew: bool) -> None:
    """At each answer of the store to a start, the last one as well, after which nothing could be cancelled any more."""
    calls = 0

    async def ends_it(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        answer, calls = await run_inline(function, *args, **kwargs), calls + 1
        if calls == call:
            each = w.manager._fleet.kept[name_of(7)]
            each.begin_anew() if begins_anew else each.end()
        return answer

    async with fleet(store=MemoryStore(), run_store=ends_it) as w:
        w.add(7)
        await anyio.sleep(1)
        assert w.manager.accounts == [name_of(7)] * begins_anew
        assert len(w.requests("notifystart")) == begins_anew
        assert not w.requests("notifystop")
        if begins_anew:
            assert not w.manager._fleet.kept[name_of(7)].begins_anew
        else:
            w.add(7)
        await w.until_ready()
    assert calls >= call


async def test_a_replacement_before_the_first_start_is_not_remembered_as_a_later_end() -> None:
    """Its handler stops it later on: it stays stopped, as any other."""

    async def handler(session: Session, _message: Message) -> None:
        await session.stop()

    async with fleet(0) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, handler)
        w.add(0)
        await w.manager.replace(name_of(0), token_of(1), base_url=URL)
        await w.until_ready(1)
        w.account(1).push()
        await w.until(lambda: any(w.manager.down()))
        [down] = w.manager.down()
        assert down.cure is Cure.BY_HAND
        await w.manager.stop()


async def test_a_new_token_of_the_same_account_is_waited_for_as_one_of_another() -> None:
    """When replace() returns, the session with the old token has ended, and what it had in hand is done."""
    done: list[str] = []

    async def handler(_session: Session, message: Message) -> None:
        await anyio.sleep(2.0)
        done.append(message.text)

    async with fleet(1) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, handler)
        await w.until_ready()
        before = w.manager.session(name_of(0))
        w.account(0).push("in hand")
        await w.until(lambda: w.health(0).in_hand == 1)
        await w.manager.replace(name_of(0), f"{name_of(0)}:ffeeddccbbaa99887766554433221100", base_url=URL)
        assert done == ["in hand"]
        assert before.state == "stopped"
        await w.manager.stop()


async def test_a_handler_that_asks_for_a_new_token_of_its_own_account_is_not_called_again() -> None:
    """It is the one that waits: its message is done when it returns, and does not come a second time."""
    calls: list[str] = []

    async def handler(session: Session, message: Message) -> None:
        calls.append(message.text)
        await w.manager.replace(session.account, token_of(0), base_url=URL)

    async with fleet(1) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, handler)
        await w.until_ready()
        w.account(0).push("once")
        await w.until(lambda: calls)
        await anyio.sleep(5.0)
        await w.until_ready()
        assert calls == ["once"]
        await w.manager.stop()
