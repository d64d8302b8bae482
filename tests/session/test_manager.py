"""Many accounts in one process: isolation, restarts with reasons, add, remove and replace, stop, status."""

import asyncio
import gc
import traceback
from pathlib import Path
from typing import Any

import anyio
import pytest

from sessionfsm import (
    AccountInUse,
    CredentialsMissing,
    Cure,
    DefinitionError,
    Machine,
    MemoryStore,
    Message,
    Policy,
    PropertyBroken,
    Record,
    Session,
    SessionFSMError,
    SessionManager,
    State,
    StorageFull,
    StoreError,
)
from sessionfsm.secret import Secret
from sessionfsm.session import Observer
from sessionfsm.store import Batch, Committed, StoreWriter
from sessionfsm.testing import FakeServer, backend_options, faults

from .fleet import fleet, name_of, token_of
from .world import URL, tasks

pytestmark = pytest.mark.anyio


async def reply(session: Session, message: Message) -> None:
    await session.reply(message, f"you said {message.text}")


async def test_each_account_answers_its_own_users() -> None:
    """One handler for all; it is told whose message it is, and each bot answers as itself."""
    async with fleet(20) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, reply)
        await w.until_ready()
        for number in range(20):
            w.account(number).push(f"hello {number}")
        await w.until(lambda: all(w.account(number).sent for number in range(20)))
        await w.manager.stop()
    assert [[sent.text for sent in w.account(number).sent] for number in range(20)] == [
        [f"you said hello {number}"] for number in range(20)
    ]
    assert len(w.requests("notifystop")) == 20


# --- one is nothing to the others ------------------------------------------------------------------------------------


async def test_a_handler_that_hangs_raises_or_is_flooded_holds_up_nobody_else() -> None:
    """Of ten accounts one hangs, one raises, one gets hundreds of messages: the others answer as if they were alone."""
    late: list[float] = []

    async def handler(session: Session, message: Message) -> None:
        number = int(session.account.partition("@")[0], 16)
        if number == 0:
            await anyio.sleep_forever()
        if number == 1:
            raise ValueError("the handler's own")
        if number == 2:
            await anyio.sleep(0.5)
        else:
            late.append(anyio.current_time() - float(message.text))
        await session.reply(message, "yes")

    async with fleet(10) as w, anyio.create_task_group() as group:

        async def deliver() -> None:
            await w.manager.deliver(handler, limit_s=None)

        group.start_soon(deliver)
        await w.until_ready()
        for each in range(400):
            w.account(0).push(f"for ever {each}", sender=f"user{each}@im.wechat")
            w.account(2).push(f"one of many {each}", sender=f"user{each}@im.wechat")
        w.account(1).push("raise")
        for _ in range(20):
            await anyio.sleep(1)
            for number in range(3, 10):
                w.account(number).push(str(anyio.current_time()))
        await w.until(lambda: len(late) == 7 * 20)
        assert w.manager.status().ready == 10
        assert w.health(0).in_hand == 16
        await w.until(lambda: w.manager.status().parked == 1)
        assert [stored.error for stored in await w.manager.session(name_of(1)).parked()] == [
            "ValueError: the handler's own"
        ]
        await w.manager.stop()
    assert max(late) < 0.05


async def test_an_account_that_is_quiet_takes_two_tasks() -> None:
    """One that polls, and one that waits for a message: of ten thousand accounts each task more is many megabytes."""
    async with fleet(10) as w, tasks() as group:
        group.start_soon(w.manager.deliver, reply)
        await w.until_ready()
        before = len(anyio.get_running_tasks())
        w.add(*range(10, 60))
        await w.until_ready()
        assert len(anyio.get_running_tasks()) == before + 2 * 50
        await w.manager.stop()


async def test_more_handlers_than_there_are_places_stand_in_line_and_polling_goes_on() -> None:
    """Two places for five accounts: two handlers run at a time, each gets its turn, and all keep polling."""
    running: set[str] = set()
    most = 0

    async def handler(session: Session, _message: Message) -> None:
        nonlocal most
        running.add(session.account)
        most = max(most, len(running))
        await anyio.sleep(100)
        running.discard(session.account)

    async with fleet(5) as w, anyio.create_task_group() as group:

        async def deliver() -> None:
            await w.manager.deliver(handler, at_once_in_all=2)

        group.start_soon(deliver)
        await w.until_ready()
        for number in range(5):
            w.account(number).push()
        await anyio.sleep(90)
        assert w.manager.status().handlers == 2
        assert w.manager.status().ready == 5
        await anyio.sleep(250)
        assert [w.health(number).in_hand for number in range(5)] == [0] * 5
        await w.manager.stop()
    assert most == 2


async def test_an_account_is_removed_at_once_while_others_have_all_the_places() -> None:
    """Its message, which had no place yet, stays in the store and comes again."""
    store = MemoryStore()

    async def hangs(_session: Session, _message: Message) -> None:
        await anyio.sleep_forever()

    async with fleet(2, store=store) as w, anyio.create_task_group() as group:

        async def deliver() -> None:
            await w.manager.deliver(hangs, at_once_in_all=1)

        group.start_soon(deliver)
        await w.until_ready()
        w.account(0).push()
        await anyio.sleep(1)
        w.account(1).push()
        await anyio.sleep(1)
        assert w.health(1).in_hand == 1
        await w.manager.remove(name_of(1))
        assert [stored.attempts for stored in store.pending(name_of(1))] == [0]
        await w.manager.stop()


class FullForOne(MemoryStore):
    """A store that has no room for one account."""

    full: str | None = None

    def commit(self, batches: list[Batch]) -> list[Committed]:
        if any(batch.account == self.full and batch.messages for batch in batches):
            raise StorageFull(f"account {self.full} has as many messages as it may have")
        return super().commit(batches)


async def test_an_account_whose_part_of_the_store_is_full_waits_alone() -> None:
    """It pauses and says why; the others commit in the same moments; once there is room it has lost nothing."""
    store = FullForOne()
    store.full = name_of(0)
    got: list[str] = []

    async def handler(session: Session, message: Message) -> None:
        got.append(f"{session.account} {message.text}")

    async with fleet(5, store=store, judged=False) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, handler)
        await w.until_ready()
        for number in range(5):
            w.account(number).push("hello")
        await w.until(lambda: len(got) == 4)
        await w.until(lambda: w.manager.status().storage_trouble == 1)
        status = w.manager.status()
        assert (status.ready, status.storage) == (4, f"account {name_of(0)} has as many messages as it may have")
        assert w.health(0).storage == status.storage
        store.full = None
        await w.until(lambda: len(got) == 5)
        await w.until_ready()
        assert (w.manager.status().storage_trouble, w.manager.status().storage) == (0, "")
        await w.manager.stop()


async def test_a_dead_token_is_one_signal_and_one_session_that_is_not_ready() -> None:
    """The status counts it, so that an operator sees one login to be renewed among many that are well."""
    async with fleet(10) as w:
        await w.until_ready()
        w.account(3).take_over(notifystart="denied", answer_held=True)
        await w.until(lambda: w.manager.status().signals)
        status = w.manager.status()
        assert status.signals == {"login_required": 1}
        assert (status.ready, status.not_ready) == (9, 1)
        w.account(3).end_takeover()
        await w.until(lambda: not w.manager.status().signals)
        await w.until_ready()


# --- started again, with a reason ------------------------------------------------------------------------------------


async def test_a_session_that_ends_by_a_bug_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """The others do not notice; the reason names the error and the place, and no message of an unknown error."""
    async with fleet(3) as w:
        await w.until_ready()

        def broken(*_: object) -> None:
            raise KeyError("something secret")

        w.manager.session(name_of(1))._driver._handle = broken  # type: ignore[method-assign]
        w.account(1).push()
        await w.until(lambda: w.manager.status().without_session == 1)
        (down,) = w.manager.down()
        assert (down.account, down.cure, down.failures, down.error) == (name_of(1), Cure.RESTART, 1, None)
        assert down.reason.startswith("unexpected KeyError (at ")
        assert down.next_try_s is not None
        assert 0.4 <= down.next_try_s <= 1.0  # it is looked at every 50 ms
        health = w.health(1)
        assert (health.state, health.ready, health.reason) == (State.STOPPED, False, down.reason)
        assert health.next_retry_s == pytest.approx(down.next_try_s)
        assert health.last_poll_age_s is not None
        with pytest.raises(SessionFSMError, match="has no session now: unexpected KeyError"):
            w.manager.session(name_of(1))
        await w.until_ready()
        assert w.manager.status().restarts == 1
        assert [len(w.requests("notifystart", number)) for number in range(3)] == [1, 2, 1]
        w.monitors.clear()  # of the run that broke off
    assert "something secret" not in caplog.text


async def test_an_account_that_cannot_start_is_tried_again_after_growing_jittered_waits() -> None:
    """A store that cannot be read is the account's own trouble: 1, 2, 4 … 60 s, at most half less."""

    class Unreadable(MemoryStore):
        tries: list[float]

        def cursor(self, account: str) -> None:
            if account == name_of(0):
                self.tries.append(anyio.current_time())
                raise StoreError("the store cannot be read")

    store = Unreadable()
    store.tries = []
    async with fleet(2, store=store) as w:
        await w.until(lambda: len(store.tries) == 12)
        assert w.manager.status().ready == 1
    gaps = [after - before for before, after in zip(store.tries, store.tries[1:], strict=False)]
    rungs = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
    assert all(rung / 2 <= gap <= rung + 0.01 for rung, gap in zip(rungs, gaps, strict=True))
    assert len({round(gap, 3) for gap in gaps[6:]}) > 1


async def test_an_account_that_another_manager_has_is_taken_over_when_that_one_ends() -> None:
    """It says who has it, and that the cure is elsewhere; two never poll for one account."""
    store, server = MemoryStore(), FakeServer(hold_s=20.0)
    async with fleet(3, store=store, server=server) as first:
        await first.until_ready()
        async with fleet(1, store=store, server=server) as second:
            await second.until(lambda: second.manager.status().restarts == 3)
            (down,) = second.manager.down()
            assert down.cure is Cure.ELSEWHERE
            assert isinstance(down.error, AccountInUse)
            assert down.error.__traceback__ is None
            assert str(down.error) == down.reason
            await first.manager.remove(name_of(0))
            await second.until_ready()


async def test_an_address_that_is_not_allowed_is_not_tried_again() -> None:
    """What only a person can mend is not hammered; what is wrong is said at once to whoever asks for it."""
    async with fleet(1) as w:
        with pytest.raises(DefinitionError, match="allow_hosts"):
            w.manager.add(token_of(1), base_url="https://example.com")
        with pytest.raises(CredentialsMissing):
            w.manager.add("")
        with pytest.raises(DefinitionError, match=f"account {name_of(0)} is kept already"):
            w.manager.add(token_of(0), base_url=URL)
        with pytest.raises(DefinitionError, match="not kept here"):
            w.manager.health("nobody")
        assert w.manager.accounts == [name_of(0)]


async def test_a_session_that_its_handler_has_stopped_stays_stopped_until_it_is_woken() -> None:
    """That was somebody's will; the account is kept, and says so."""

    async def handler(session: Session, message: Message) -> None:
        if message.text == "quit":
            await session.stop()

    async with fleet(2, judged=False) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, handler)
        await w.until_ready()
        w.account(0).push("quit")
        await w.until(lambda: w.manager.status().without_session == 1)
        await anyio.sleep(1000)
        (down,) = w.manager.down()
        assert (down.cure, down.error, down.next_try_s) == (Cure.BY_HAND, None, None)
        assert down.reason == "it was stopped by session.stop()"
        assert w.manager.status().restarts == 0
        w.manager.wake(name_of(0))
        await w.until_ready()
        await w.manager.stop()


# --- while it runs ---------------------------------------------------------------------------------------------------


async def test_accounts_come_and_go_under_load_and_no_message_is_lost() -> None:
    """A third of the accounts is added late, another third removed and added again: each message is answered once."""
    texts = {number: [f"{number} {each}" for each in range(30)] for number in range(30)}
    async with fleet(20, store=MemoryStore()) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, reply)

        async def write(number: int) -> None:
            for text in texts[number]:
                w.account(number).push(text)
                await anyio.sleep(1.3)

        async with anyio.create_task_group() as users:
            for number in range(30):
                users.start_soon(write, number)
            await anyio.sleep(5)
            w.add(*range(20, 30))
            for number in range(10):
                await w.manager.remove(name_of(number))
                assert name_of(number) not in w.manager.accounts
                await anyio.sleep(0.5)
            w.add(*range(10))
        await w.until(lambda: all(len(w.account(number).sent) >= 30 for number in range(30)))
        await w.manager.stop()
    answered = {number: [sent.text.removeprefix("you said ") for sent in w.account(number).sent] for number in texts}
    assert answered == texts


async def test_another_token_is_taken_and_what_is_left_of_the_old_account_comes_along() -> None:
    """The old bot gets no goodbye, which could reach the new one; what it had not handled the new session does."""
    store = MemoryStore()
    got: list[str] = []

    async def handler(session: Session, message: Message) -> None:
        if session.account == name_of(0):
            await anyio.sleep_forever()
        got.append(f"{session.account} {message.text}")

    async with fleet(2, store=store) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, handler)
        await w.until_ready()
        w.account(0).push("to the old bot")
        await w.until(lambda: w.health(0).in_hand == 1)
        with pytest.raises(DefinitionError, match="is kept already"):
            await w.manager.replace(name_of(0), token_of(1), base_url=URL)
        assert await w.manager.replace(name_of(0), token_of(7), base_url=URL) == name_of(7)
        assert name_of(7) in w.manager.accounts
        await w.until_ready()
        w.account(7).push("to the new bot")
        await w.until(lambda: len(got) == 2)
        assert sorted(w.manager.accounts) == [name_of(1), name_of(7)]
        await w.manager.stop()
    assert got == [f"{name_of(7)} to the old bot", f"{name_of(7)} to the new bot"]
    assert w.requests("notifystop", 0) == []
    assert len(w.requests("notifystop", 7)) == 1


async def test_a_token_is_replaced_before_it_was_ever_used() -> None:
    """A manager that has not begun takes the last one; a handler may ask for it, and is not waited for."""
    manager = SessionManager()
    manager.add(token_of(0), base_url=URL)
    assert await manager.replace(name_of(0), token_of(1), base_url=URL) == name_of(1)
    assert manager.accounts == [name_of(1)]
    await manager.remove(name_of(1))
    assert manager.accounts == []

    async def handler(session: Session, _message: Message) -> None:
        await w.manager.replace(session.account, token_of(9), base_url=URL)

    async with fleet(1) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, handler)
        await w.until_ready()
        w.account(0).push()
        began = anyio.current_time()
        await w.until(lambda: w.manager.accounts == [name_of(9)])
        assert anyio.current_time() - began < 1
        await w.until_ready()
        await w.manager.stop()


async def test_of_two_new_tokens_the_later_one_counts_and_nobody_waits_for_the_other() -> None:
    """Two calls at once: both end, and both say what the account is called now."""
    async with fleet(1) as w:
        await w.until_ready(1)
        called: list[str] = []

        async def replace(number: int) -> None:
            called.append(await w.manager.replace(name_of(0), token_of(number), base_url=URL))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(replace, 1)
                group.start_soon(replace, 2)
        assert w.manager.accounts == [called[0]]
        assert called[0] == called[1]
        await w.until_ready(1)


async def test_an_account_that_is_being_removed_is_given_no_token() -> None:
    """Neither call says yes and does nothing, and neither cuts its handlers short."""
    done: list[str] = []

    async def slow(_session: Session, message: Message) -> None:
        await anyio.sleep(2)
        done.append(message.text)

    async with fleet(2) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, slow)
        await w.until_ready(2)
        w.account(0).push("first")
        await w.until(lambda: w.health(0).in_hand)
        group.start_soon(w.manager.remove, name_of(0))
        await anyio.sleep(0.1)
        with pytest.raises(DefinitionError, match="is being removed"):
            await w.manager.replace(name_of(0), token_of(0), base_url=URL)
        with pytest.raises(DefinitionError, match="is being removed"):
            w.add(0)
        await w.until(lambda: w.manager.accounts == [name_of(1)])
        assert done == ["first"]

        w.account(1).push("second")
        await w.until(lambda: w.health(1).in_hand)
        group.start_soon(w.manager.stop)
        await anyio.sleep(0.1)
        with pytest.raises(DefinitionError, match="the manager has stopped"):
            await w.manager.replace(name_of(1), token_of(1), base_url=URL)
    assert done == ["first", "second"]


async def test_a_new_token_that_comes_to_nothing_is_not_said_to_be_in_force() -> None:
    """The account is removed while its session ends for the new one."""

    async def slow(_session: Session, _message: Message) -> None:
        await anyio.sleep(2)

    async with fleet(1) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, slow)
        await w.until_ready(1)
        w.account(0).push()
        await w.until(lambda: w.health(0).in_hand)

        async def remove() -> None:
            await anyio.sleep(0.1)
            await w.manager.remove(name_of(0))

        group.start_soon(remove)
        with pytest.raises(DefinitionError, match="was removed"):
            await w.manager.replace(name_of(0), token_of(1), base_url=URL)
        await w.manager.stop()


async def test_an_account_that_is_added_again_at_once_keeps_its_new_token() -> None:
    """Two wait until it is removed, and the first of them adds it again before the second one has its turn."""
    async with fleet(1) as w:
        await w.until_ready(1)

        async def remove_and_add() -> None:
            await w.manager.remove(name_of(0))
            w.add(0)

        async with anyio.create_task_group() as group:
            group.start_soon(remove_and_add)
            group.start_soon(w.manager.remove, name_of(0))
        assert w.manager.accounts == [name_of(0)]
        await w.manager.wait_started()
        assert list(w.manager.down()) == []
        await w.until_ready(1)


async def test_a_session_that_its_monitor_has_ended_stays_down(caplog: pytest.LogCaptureFixture) -> None:
    """Who says that a broken property ends the session means that; the reason names the property."""

    def strict(_account: str) -> list[Observer]:
        def judge(record: Record) -> None:
            if record.trigger == "polled" and record.account == name_of(1):
                raise PropertyBroken("record 3 breaks P1: in this test", property="P1", number=3)

        return [judge]

    async with fleet(2, observers=strict, judged=False) as w:
        await w.until(lambda: w.manager.status().without_session == 1)
        await anyio.sleep(200)
        (down,) = w.manager.down()
        assert (down.account, down.cure, down.reason) == (name_of(1), Cure.BY_HAND, "record 3 breaks P1: in this test")
        assert w.manager.status().ready == 1
    assert f"{name_of(1)}: there is no session: record 3 breaks P1: in this test; not tried again" in caplog.text


async def test_a_wake_while_all_is_well_does_not_shorten_a_later_wait() -> None:
    """Waits are as long as they are meant to be, whatever was pressed before; and no wake makes a hot loop."""

    class Unreadable(MemoryStore):
        broken = False
        tries = 0

        def cursor(self, account: str) -> Secret | None:
            self.tries += 1
            if self.broken:
                raise StoreError("the store cannot be read")
            return super().cursor(account)

    store = Unreadable()
    async with fleet(1, store=store) as w:
        await w.until_ready()
        w.manager.wake(name_of(0))
        store.broken = True
        w.manager.session(name_of(0))._driver._handle = None  # type: ignore[method-assign,assignment]
        w.account(0).push()
        await w.until(lambda: w.manager.status().restarts == 6)
        tries = store.tries
        await anyio.sleep(15)
        assert store.tries == tries
        for _ in range(100):
            w.manager.wake(name_of(0))
            await anyio.sleep(0.1)
        assert store.tries <= tries + 1 + 10 / 0.5  # no two closer than half of the first rung
        store.broken = False
        w.manager.wake(name_of(0))
        await w.until_ready()
        w.monitors.clear()  # of the run that broke off


async def test_credentials_are_replaced_while_the_account_waits_to_be_tried_again() -> None:
    """The new ones are tried at once, and not at the end of the wait."""
    store = MemoryStore()
    store.acquire(name_of(0))
    async with fleet(1, store=store) as w:
        await w.until(lambda: w.manager.status().restarts == 9)
        before = anyio.current_time()
        await w.manager.replace(name_of(0), token_of(5), base_url=URL)
        await w.until(lambda: w.requests("getupdates", 5))
        assert anyio.current_time() - before < 1


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_two_hundred_sessions_stop_within_the_deadline_of_one() -> None:
    """Handlers that do not end are cut off together, every goodbye is said, and what was in hand comes again."""
    store = MemoryStore()

    async def hangs(_session: Session, _message: Message) -> None:
        await anyio.sleep_forever()

    async with fleet(200, store=store) as w, anyio.create_task_group() as group:

        async def deliver() -> None:
            await w.manager.deliver(hangs, limit_s=None)

        group.start_soon(deliver)
        await w.until_ready()
        for number in range(200):
            w.account(number).push()
        await w.until(lambda: w.manager.status().handlers == 200)
        began = anyio.current_time()
        await w.manager.stop()
        assert anyio.current_time() - began <= w.policy.drain_deadline_s + 0.1
        assert w.manager.status().handlers == 0
    assert len(w.requests("notifystop")) == 200
    assert all(len(store.pending(name_of(number))) == 1 for number in range(200))


async def test_a_server_that_hangs_does_not_hold_the_end_of_many() -> None:
    """Goodbyes that are not answered end by their own deadline, side by side."""
    async with fleet(100, judged=False) as w:
        await w.until_ready()
        w.server.apply(faults.Hang(endpoint="notifystop", times=1000))
        began = anyio.current_time()
        await w.manager.stop()
        assert anyio.current_time() - began <= w.policy.notifystop_deadline_s + 0.1


async def test_a_handler_may_end_everything() -> None:
    """Who is told "quit all" stops the manager from there; the message is done, and deliver() returns."""
    store = MemoryStore()

    async def handler(_session: Session, message: Message) -> None:
        if message.text == "quit all":
            await w.manager.stop()

    async with fleet(5, store=store) as w:
        w.account(2).push("quit all")
        began = anyio.current_time()
        await w.manager.deliver(handler)
        assert anyio.current_time() - began < 1
        assert store.pending(name_of(2)) == []


async def test_a_manager_that_is_cancelled_leaves_nothing_behind() -> None:
    """In all states at once: starting, polling, waiting, with handlers. No request stays open, no account locked."""
    store, server = MemoryStore(), FakeServer(hold_s=20.0)

    async def hangs(_session: Session, _message: Message) -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(30):
        async with fleet(50, store=store, server=server, renewals_per_s=1) as w, anyio.create_task_group() as group:
            group.start_soon(w.manager.deliver, hangs)
            for number in range(10):
                server.account(token_of(number)).push()
            w.account(11).take_over()
            await anyio.sleep_forever()
    assert all(entry.ended_s is not None for entry in server.log)
    assert w.manager.accounts == []
    for number in range(50):
        store.acquire(name_of(number))
    assert server.log.requests("notifystop") == []


@pytest.mark.parametrize("anyio_backend", [backend_options("asyncio")], ids=["asyncio"])
async def test_sessions_that_are_cancelled_together_are_no_work_for_the_garbage_collector() -> None:
    """What ten thousand of them leave in rings has it look through the whole heap in the middle of their end."""

    async def handler(_session: Session, _message: Message) -> None: ...

    def left() -> int:
        return sum(isinstance(each, asyncio.CancelledError) for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = left()  # of other tests
        with anyio.CancelScope() as scope:
            async with fleet(20) as w, anyio.create_task_group() as group:
                group.start_soon(w.manager.deliver, handler)
                await w.until_ready()
                scope.cancel()
                await anyio.sleep_forever()
        await anyio.sleep(1)
        assert left() - before < 10
    finally:
        gc.enable()


async def test_what_the_block_raises_stops_all_in_order_and_gets_out() -> None:
    """As with one session: an exception of the application's own is no reason to say no goodbye."""
    worlds = []

    async def application() -> None:
        async with fleet(5) as w:
            worlds.append(w)
            await w.until_ready()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await application()
    assert len(worlds[0].requests("notifystop")) == 5


async def test_a_manager_is_stopped_before_and_after_and_twice() -> None:
    """A stop that comes early makes the block empty; one that comes late changes nothing."""
    manager = SessionManager()
    manager.add(token_of(0), base_url=URL)
    await manager.stop()
    async with manager:
        await manager.deliver(reply)
        await manager.stop()
    await manager.stop()
    with pytest.raises(SessionFSMError, match="entered once"):
        async with manager:
            pass
    with pytest.raises(DefinitionError, match="has stopped"):
        manager.add(token_of(1), base_url=URL)


async def test_a_handler_that_is_not_async_is_refused_once() -> None:
    """Ten sessions find it out at the same time, and the user reads one sentence."""

    def handler(_session: Session, _message: Message) -> None:
        pass

    async with fleet(10) as w:
        for number in range(10):
            w.account(number).push()
        with pytest.raises(DefinitionError, match="write it as 'async def'"):
            await w.manager.deliver(handler)  # type: ignore[arg-type]
        with pytest.raises(DefinitionError, match="at_once_in_all is 0"):
            await w.manager.deliver(reply, at_once_in_all=0)
        with pytest.raises(DefinitionError, match="a whole number"):
            await w.manager.deliver(reply, at_once_in_all=1.5)  # type: ignore[arg-type]
        with anyio.move_on_after(1):  # and then a right one is taken
            await w.manager.deliver(reply)
        assert all(w.account(number).sent for number in range(10))


async def test_a_handler_that_takes_something_else_is_refused_before_it_spoils_a_message() -> None:
    """That of a single session is one: called so, it would fail on every message of every account."""

    async def of_one_session(_message: Message) -> None: ...

    store = MemoryStore()
    async with fleet(1, store=store) as w:
        await w.until_ready(1)
        w.account(0).push("still there")
        for wrong in (of_one_session, None, 5):
            with pytest.raises(DefinitionError, match=r"write 'async def handler\(session, message\)'"):
                await w.manager.deliver(wrong)  # type: ignore[arg-type]
        await w.until(lambda: store.pending(name_of(0)))
        assert [(stored.attempts, stored.error) for stored in store.pending(name_of(0))] == [(0, "")]


async def test_messages_are_delivered_by_one_call_at_a_time() -> None:
    """A second deliver() would take messages from the first without a word, so it is refused."""
    async with fleet(1) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, reply)
        await anyio.sleep(1)
        with pytest.raises(DefinitionError, match="being delivered already"):
            await w.manager.deliver(reply)
        await w.manager.stop()


def test_arguments_that_contradict_each_other_are_refused() -> None:
    """Each with the sentence that says what to pass instead."""
    with pytest.raises(DefinitionError, match="renewals_per_s is 0"):
        SessionManager(renewals_per_s=0)
    with pytest.raises(DefinitionError, match="pass policy= or machine="):
        SessionManager(policy=Policy(), machine=Machine())
    with pytest.raises(DefinitionError, match="pass writer= or store="):
        SessionManager(store=MemoryStore(), writer=StoreWriter(MemoryStore()))
    given: dict[str, Any]
    for given, words in (
        ({"store": "messages.db"}, "store is a path; write store=SQLiteStore"),
        ({"credentials": Path("folder")}, "credentials is a path; write credentials=CredentialFolder"),
        ({"allow_hosts": "bots.example.com"}, "allow_hosts is a collection of hosts"),
    ):
        with pytest.raises(DefinitionError, match=words):
            SessionManager(**given)
        with pytest.raises(DefinitionError, match=words):
            Session(token=token_of(0), base_url=URL, **given)


def test_what_is_refused_leaves_no_token_in_a_traceback() -> None:
    """Whoever logs the locals of every frame of ours sees a secret, and not what is in it."""
    manager = SessionManager()
    manager.add(token_of(0), base_url=URL)
    for call in (
        lambda: manager.add(token_of(0), base_url=URL),
        lambda: manager.add(token_of(1) + "\n\x00", base_url=URL),
        lambda: manager.add(token_of(1), base_url="https://example.com"),
    ):
        with pytest.raises(SessionFSMError) as caught:
            call()
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        ours = [frame for frame in frames if "sessionfsm" in frame.f_code.co_filename.rsplit("/", 3)[1:3]]
        shown = " ".join(repr(value) for frame in ours for value in frame.f_locals.values())
        assert ours
        assert "00112233445566778899aabbccddeeff" not in shown
