"""Found by attacking it: stores, handlers, credentials and hosts that do what nobody expects of them."""

from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from sessionfsm import MemoryStore, Message, Policy, Session, State, Stored
from sessionfsm.secret import Secret
from sessionfsm.store import Credentials, MemoryCredentials, MessageState, run_inline
from sessionfsm.testing import FakeServer, backend_options

from .world import OTHER_TOKEN, TOKEN, URL, World, world

pytestmark = pytest.mark.anyio


async def texts(w: World, count: int) -> list[str]:
    found: list[str] = []
    async for message in w.session:
        found.append(message.text)
        if len(found) == count:
            break
    return found


class Logins(MemoryCredentials):
    """Finds a login, once it is there."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self.login, self.there = credentials, False

    def current(self, _: str) -> Credentials | None:
        return self.login if self.there else None


class Late:
    """A runner whose calls of one function take long, and are carried out although nobody waits any more."""

    def __init__(self, name: str, delay_s: float) -> None:
        self.name, self.delay_s, self.times = name, delay_s, 1

    async def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer = function(*args, **kwargs)
        if function.__name__ == self.name and self.times:
            self.times -= 1
            await anyio.sleep(self.delay_s)
        return answer


async def test_a_message_that_was_committed_too_late_is_handed_out_and_in_order() -> None:
    """The commit is done but its answer misses the deadline; the second commit finds nothing new; none is forgotten."""
    late = Late("commit", 1000)
    late.times = 0
    async with world(store=MemoryStore(), run_store=late, store_fails=True, server=FakeServer(hold_s=5.0)) as w:
        await w.until_polling_well()
        w.account.push("one")
        assert await texts(w, 1) == ["one"]
        late.times = 1
        w.account.push("two")
        await w.until(lambda: w.session.state == State.BACKOFF)
        w.account.push("three")
        assert await texts(w, 3) == ["one", "two", "three"]  # "one" was left by break, so it comes first again


@pytest.mark.parametrize("way", ["stop", "cancel"])
async def test_a_commit_that_hangs_holds_up_neither_a_stop_nor_a_cancellation(way: str) -> None:
    """R7: stop ends within its deadlines; a cancelled session is left at once."""
    server = FakeServer(hold_s=5.0, hint_ms=120_000)
    account = server.account(TOKEN)
    late = Late("commit", 1e6)
    async with httpx.AsyncClient(transport=server.transport(round_trip_s=0.001)) as http:
        with anyio.CancelScope() as scope:
            async with Session(token=TOKEN, base_url=URL, http=http, store=MemoryStore(), run_store=late) as session:
                late.times = 100
                account.push("x")
                await anyio.sleep(5)
                began = anyio.current_time()
                if way == "cancel":
                    scope.cancel()
                    await anyio.sleep(1)
        policy = Policy()
        most = policy.drain_deadline_s + policy.notifystop_deadline_s if way == "stop" else 0.0
        assert anyio.current_time() - began <= most + 0.01
        assert session.state == State.STOPPED or way == "cancel"
        assert not session.health().ready


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(token=Secret(OTHER_TOKEN), base_url="https://evil.example.com"),
        Credentials(token=Secret(""), base_url=URL),
        Credentials(token=Secret("two words"), base_url=URL),
    ],
    ids=["foreign host", "empty", "no header"],
)
async def test_credentials_that_cannot_be_used_are_told_of_once_and_change_nothing(
    credentials: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    """P1 holds all the same: notifystart is called with the old ones, and the session recovers."""
    stored = Logins(credentials)
    async with world(credentials=stored) as w:
        await w.until_polling_well()
        stored.there = True
        for number in (1, 2):
            w.account.expire()
            await w.until(lambda number=number: len(w.losses) == number)
            await w.until_polling_well()
        assert len(w.requests("notifystart")) == 3
        assert w.session.account == w.account.name
    assert sum("cannot be used" in record.message for record in caplog.records) == 1


async def test_a_store_that_takes_the_whole_renewal_is_a_store_that_failed() -> None:
    """No time is left for notifystart: so it was not called, so no poll may follow."""

    async def slow(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if function.__name__ == "current" and slow_now:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(20)
        return await run_inline(function, *args, **kwargs)

    slow_now = False
    options = {"store": MemoryStore(), "run_store": slow, "credentials": MemoryCredentials()}
    async with world(store_fails=True, **options) as w:
        await w.until_polling_well()
        slow_now = True
        w.account.expire()
        await w.until(lambda: w.losses)
        polls = len(w.requests("getupdates"))
        await anyio.sleep(300)
        assert len(w.requests("getupdates")) == polls
        assert any("the store" in record.detail for record in w.records)
        slow_now = False
        await w.until_polling_well()


@pytest.mark.parametrize("anyio_backend", [backend_options("asyncio")])
async def test_a_handler_that_is_cancelled_from_within_has_failed_and_nothing_else() -> None:
    """On asyncio a handler that awaits what it has cancelled raises CancelledError; deliver() does not end of it."""
    import asyncio

    served: list[str] = []

    async def handler(message: Message) -> None:
        served.append(message.text)
        if message.text == "bad":
            raise asyncio.CancelledError

    async with world() as w, anyio.create_task_group() as group:
        group.start_soon(w.session.deliver, handler)
        w.account.push("bad", sender="a@im.wechat")
        w.account.push("good", sender="b@im.wechat")
        await w.until(lambda: served.count("bad") == 5)
        w.account.push("later", sender="b@im.wechat")
        await w.until(lambda: "later" in served)
        await w.session.stop()


def parked(store: MemoryStore) -> list[Stored]:
    return store.messages(states=(MessageState.PARKED,))


class Rude(MemoryStore):
    """Raises what no store should, in one method, when told to."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.broken = False

        original = getattr(self, method)

        def broken(*args: Any, **kwargs: Any) -> Any:
            if self.broken:
                raise KeyError("I am no StoreError")
            return original(*args, **kwargs)

        broken.__name__ = method
        setattr(self, method, broken)


@pytest.mark.parametrize("method", ["commit", "pending", "done", "failed", "context_token", "cursor"])
async def test_whatever_a_store_raises_nothing_foreign_comes_out_and_nothing_is_lost(method: str) -> None:
    """It is broken for a while, in any method; sends go out, and every message is handled in the end."""
    store = Rude(method)
    handled: list[str] = []
    failures = 0

    async def handler(message: Message) -> None:
        nonlocal failures
        if message.text == "difficult" and failures < 2:
            failures += 1
            raise ValueError
        handled.append(message.text)

    async with (
        world(store=store, store_fails=True, server=FakeServer(hold_s=5.0)) as w,
        anyio.create_task_group() as group,
    ):
        group.start_soon(w.session.deliver, handler)
        await w.until_polling_well()
        store.broken = True
        w.account.push("easy", sender="a@im.wechat")
        w.account.push("difficult", sender="b@im.wechat")
        await anyio.sleep(30)
        assert (await w.session.send_text("user@im.wechat", "hi")).confirmed
        w.account.expire()
        await anyio.sleep(30)
        store.broken = False
        await w.until(lambda: sorted(handled) == ["difficult", "easy"])
        await w.until_polling_well()
        await w.session.stop()
    assert store.pending(w.account.name) == []


async def test_a_message_whose_parking_fails_is_parked_later() -> None:
    """Neither parked nor lost would be forgotten: it stays in line until the store takes it."""
    store = Rude("failed")

    async def handler(_: Message) -> None:
        raise ValueError("always")

    async with world(store=store) as w, anyio.create_task_group() as group:
        group.start_soon(w.session.deliver, handler)
        store.broken = True
        w.account.push("poison")
        await anyio.sleep(120)
        assert parked(store) == []
        assert len(store.pending(w.account.name)) == 1
        store.broken = False
        await w.until(lambda: len(parked(store)) == 1)
        await w.session.stop()


async def test_what_cannot_be_marked_now_does_not_hold_up_the_others() -> None:
    """Somebody else closed a message that is in hand; the marks of the rest arrive."""
    store = MemoryStore()
    async with world(store=store) as w:
        for number in range(6):
            w.account.push(f"{number}")
        seen = []
        async for message in w.session:
            seen.append(message.text)
            if len(seen) == 3:
                store.done([3])
            if len(seen) == 6:
                break
        assert [m.number for m in store.pending(w.account.name)] == [6]


async def test_health_does_not_call_an_abandoned_session_ready() -> None:
    """R8: after a cancelled exit nobody polls, whatever state that left behind."""
    server = FakeServer(hold_s=5.0)
    async with httpx.AsyncClient(transport=server.transport(round_trip_s=0.001)) as http:
        with anyio.move_on_after(20):
            async with Session(token=TOKEN, base_url=URL, http=http) as session:
                await anyio.sleep(1000)
        assert not session.health().ready


async def test_a_bug_of_ours_in_a_renewal_waits_and_is_no_licence_to_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something nobody foresaw: it cannot be known whether notifystart was called, so no poll follows; it heals."""
    async with world(store_fails=True) as w:
        await w.until_polling_well()

        async def broken(**_: object) -> None:
            raise TypeError("a bug")

        monkeypatch.setattr(w.session._client, "notify_start", broken)
        w.account.expire()
        await w.until(lambda: w.losses)
        polls = len(w.requests("getupdates"))
        await anyio.sleep(300)
        assert len(w.requests("getupdates")) == polls
        assert any(record.detail == "unexpected TypeError" for record in w.records)
        monkeypatch.undo()
        await w.until_polling_well()
