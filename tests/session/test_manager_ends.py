"""How sessions of a manager end: what is in hand then, and what a bug or a stray cancellation may touch."""

from __future__ import annotations

import asyncio
import functools
import gc
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sessionfsm import Cure, DefinitionError, MemoryStore, Message, Record, Session
from sessionfsm.session.fleet import Fleet
from sessionfsm.session.inbox import LAST_S, Inbox
from sessionfsm.session.operations import Operations
from sessionfsm.testing import backend_options

from .fleet import fleet, name_of
from .world import tasks

pytestmark = pytest.mark.anyio

on_asyncio = pytest.mark.parametrize("anyio_backend", [backend_options("asyncio")], ids=["asyncio"])


async def a_turn_later(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A store that is not called in place."""
    await anyio.lowlevel.checkpoint()
    return function(*args, **kwargs)


class Watched(MemoryStore):
    """Notes how many messages of an account were open when it was given back."""

    def __init__(self) -> None:
        super().__init__()
        self.open_at_release: list[int] = []

    def release(self, account: str) -> None:
        self.open_at_release.append(len(self.pending(account)))
        super().release(account)


@pytest.mark.parametrize("how", ["remove", "stop", "crash", "cancel", "session.stop"])
@pytest.mark.parametrize("turns", [-1, 0, 1, 20])
async def test_a_handler_that_is_cut_off_and_returns_is_marked_before_the_account_is_given_back(
    how: str, turns: int
) -> None:
    """Whoever has the account next, in another process perhaps, does not handle its message once more."""
    for _ in range(8):  # in which order tasks have their turns is a matter of chance
        store = Watched()

        async def handler(session: Session, _message: Message) -> None:
            try:
                await (session.stop() if how == "session.stop" else anyio.sleep_forever())
            except anyio.get_cancelled_exc_class():
                if turns >= 0:
                    with anyio.CancelScope(shield=True):
                        for _ in range(turns):
                            await anyio.lowlevel.checkpoint()

        with anyio.CancelScope() as scope:
            async with (
                fleet(1, store=store, run_store=a_turn_later, judged=False) as w,
                anyio.create_task_group() as group,
            ):
                group.start_soon(functools.partial(w.manager.deliver, handler, limit_s=None))
                await w.until_ready()
                w.account(0).push()
                await anyio.sleep(1)
                if how == "remove":
                    await w.manager.remove(name_of(0))
                    assert store.open_at_release == [0]
                elif how == "crash":
                    driver = w.manager.session(name_of(0))._driver
                    driver._broken = ValueError("a bug")  # type: ignore[assignment]
                    driver.stop()
                    await anyio.sleep(20)
                elif how == "cancel":
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()
                await w.manager.stop()
        assert set(store.open_at_release) == {0}
        assert not store.pending(name_of(0))


async def test_a_handler_that_does_not_let_itself_be_cut_off_holds_up_the_end_for_a_second() -> None:
    """Its message comes again: the account is given back without it."""

    async def handler(_session: Session, _message: Message) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(60)

    store = MemoryStore()
    async with fleet(2, store=store) as w, tasks() as group:
        group.start_soon(functools.partial(w.manager.deliver, handler, limit_s=None))
        await w.until_ready()
        w.account(0).push()
        await anyio.sleep(1)
        began = anyio.current_time()
        await w.manager.stop()
        assert anyio.current_time() - began <= w.policy.drain_deadline_s + LAST_S + 0.1
        assert len(store.pending(name_of(0))) == 1


@on_asyncio
async def test_who_cancels_the_poll_of_one_account_by_asyncios_means_ends_that_one_only() -> None:
    """An observer, or a transport, that calls cancel() on its task: the session is started again, the others go on."""
    cancels = True

    def observers(account: str) -> list[Callable[[Record], None]]:
        def observer(record: Record) -> None:
            nonlocal cancels
            if account == name_of(1) and record.trigger == "polled" and cancels:
                cancels = False
                task = asyncio.current_task()
                assert task is not None
                task.cancel()

        return [observer]

    async with fleet(3, observers=observers) as w:  # type: ignore[arg-type]
        await w.until(lambda: not cancels)
        await w.until(lambda: w.manager.status().without_session == 1)
        (down,) = w.manager.down()
        assert (down.account, down.cure) == (name_of(1), Cure.RESTART)
        assert down.reason == "it was cancelled from within (CancelledError)"
        await w.until_ready(3)
        assert w.manager.status().restarts == 1


@on_asyncio
@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("keeps_it", [False, True])
async def test_a_handler_that_cancels_its_own_task_fails_and_the_others_are_served(busy: bool, keeps_it: bool) -> None:
    """In the first worker of an account or, while that is busy, in another; also if it keeps the first to itself."""
    served: list[str] = []

    async def handler(session: Session, message: Message) -> None:
        if message.text == "busy":
            await anyio.sleep(5)
        elif message.text == "bad":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                if not keeps_it:
                    raise
        elif message.text == "worse":
            raise asyncio.CancelledError
        else:
            served.append(session.account)

    async with fleet(3) as w, tasks() as group:
        group.start_soon(w.manager.deliver, handler)
        await w.until_ready()
        if busy:
            w.account(0).push("busy", sender="busy@im.wechat")
            await anyio.sleep(0.5)
        for text in ("bad", "worse", "bad", "worse"):
            w.account(0).push(text, sender="bad@im.wechat")
            await anyio.sleep(40)
        for number in range(3):
            w.account(number).push()
        await anyio.sleep(1)
        assert sorted(served) == [name_of(0), name_of(1), name_of(2)]
        assert len(await w.manager.session(name_of(0)).parked()) == (2 if keeps_it else 4)
        assert w.manager.status().handlers == 0
        await w.manager.stop()


@pytest.mark.parametrize("where", ["say_goodbye", "commit_rest"])
async def test_a_bug_in_the_end_of_a_session_is_named(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one error at one place, whatever group of tasks it came out of."""

    async def broken(*_: object, **__: object) -> None:
        raise KeyError("something secret")

    async with fleet(1, judged=False) as w:
        await w.until_ready()
        with monkeypatch.context() as patch:
            patch.setattr(Operations, where, broken)
            await w.manager.session(name_of(0)).stop()
            await anyio.sleep(0.2)
            (down,) = w.manager.down()
        assert down.reason.startswith("unexpected KeyError (at ")
        assert "something secret" not in down.reason
        await w.until_ready()


async def test_a_bug_in_the_last_marks_keeps_nobody_from_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given back whatever happens, and starts again."""

    async def broken(_: Inbox) -> None:
        raise KeyError

    async with fleet(1) as w:
        await w.until_ready()
        with monkeypatch.context() as patch:
            patch.setattr(Inbox, "mark_last", broken)
            await w.manager.session(name_of(0)).stop()
            await anyio.sleep(0.1)
        await w.until_ready()
        assert w.manager.status().restarts == 1


async def test_a_session_that_could_not_be_taken_up_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for its end does not wait for ever, and the account is counted as one without a session."""
    sessions: list[Session] = []

    def broken(_: Fleet, session: Session) -> None:
        sessions.append(session)
        raise KeyError

    async with fleet(1) as w:
        with monkeypatch.context() as patch:
            patch.setattr(Fleet, "up", broken)
            await w.until(lambda: sessions)
            with anyio.fail_after(1):
                await sessions[0].stop()
            assert w.manager.status().without_session == 1
        await w.until_ready()
        assert w.manager.status().states == {"active": 1}


async def test_a_session_that_has_crashed_is_not_kept_by_its_error() -> None:
    """Its frames have all that it had, and its token; what is told of it is in words."""
    async with fleet(1) as w:
        await w.until_ready()

        def broken(*_: object) -> None:
            raise KeyError

        session: Session | None = w.manager.session(name_of(0))
        assert session is not None
        session._driver._handle = broken  # type: ignore[method-assign]
        gone = weakref.ref(session)
        w.account(0).push()
        await w.until(lambda: w.manager.status().without_session == 1)
        session = None
        gc.collect()
        assert gone() is None
        await w.until_ready()


async def test_what_is_said_of_a_wrong_handler_shows_no_message() -> None:
    """A tool that shows the variables of each frame would print what a user wrote."""

    def handler(_session: Session, _message: Message) -> None:
        pass

    async with fleet(2) as w:
        w.account(1).push("something private")
        with pytest.raises(DefinitionError, match="write it as 'async def'") as caught:
            await w.manager.deliver(handler)  # type: ignore[arg-type]
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert "something private" not in "".join(shown.format())
