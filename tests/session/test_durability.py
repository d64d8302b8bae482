"""Nothing is lost, nothing comes twice, and nobody takes anybody's messages: the session with its store and logins."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import httpx
import pytest

from sessionfsm import (
    AccountInUse,
    CredentialsExposed,
    CredentialsMissing,
    DefinitionError,
    MemoryCredentials,
    MemoryStore,
    Message,
    MessageState,
    Secret,
    Session,
    State,
    StorageFull,
    StoreError,
)
from sessionfsm.store import Batch, Committed, Credentials, Incoming
from sessionfsm.testing import FakeServer

from .world import OTHER_TOKEN, TOKEN, URL, world

pytestmark = pytest.mark.anyio

ACCOUNT, OTHER = "0a1b2c3d4e5f@im.bot", "ffeeddccbbaa@im.bot"
OURS = Credentials(token=Secret(TOKEN), base_url=URL, user_id="u@im.wechat")
NEWER = Credentials(token=Secret(OTHER_TOKEN), base_url=URL, user_id="u@im.wechat")


BEFORE = Incoming(
    key="id:1",
    sender="u@im.wechat",
    body=b'{"message_id":1,"item_list":[{"type":1,"text_item":{"text":"before"}}]}',
)


class Interrupted(BaseException):
    """What Ctrl-C raises, as a test can bear it: that itself goes through asyncio's loop, past whoever waits."""


class CountingStore(MemoryStore):
    """Counts its transactions, and has no room when it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.full = False

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        if self.full and any(batch.messages for batch in batches):
            raise StorageFull("no room")
        self.commits += 1
        return super().commit(batches)


class Slow:
    """A store's thread that takes a hundredth of a second for everything; or marks hang in it."""

    def __init__(self) -> None:
        self.hangs = False

    async def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        await (anyio.sleep_forever() if self.hangs and function.__name__ == "done" else anyio.sleep(0.01))
        return function(*args, **kwargs)


# --- marks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["stopped", "left", "raised", "cancelled"])
async def test_however_a_session_ends_what_was_handled_is_marked(way: str) -> None:
    """Marks wait for company; a session that ends does not leave before they are written. Only a kill cuts them off."""
    store, handled = MemoryStore(), list[str]()

    async def live() -> None:
        async with world(store=store, run_store=Slow()) as w, anyio.create_task_group() as group:

            async def handler(message: Message) -> None:
                handled.append(message.text)
                if len(handled) == 30:
                    match way:
                        case "stopped":
                            await w.session.stop()
                            assert len(store.pending(ACCOUNT)) == 1  # the one that asked for it
                        case "left":
                            group.cancel_scope.cancel()
                        case "raised":
                            raise Interrupted
                        case _:
                            whole.cancel()

            for number in range(30):
                w.account.push(f"{number}", sender=f"{number % 7}@im.wechat")
            group.start_soon(w.session.deliver, handler)

    with anyio.CancelScope() as whole:
        if way == "raised":
            with pytest.raises(BaseExceptionGroup):
                await live()
        else:
            await live()
    assert len(handled) == 30
    assert len(store.pending(ACCOUNT)) <= 1  # the last one's handler may have been cut off
    assert whole.cancelled_caught == (way == "cancelled")


async def test_while_marks_hang_no_more_than_two_hundred_are_handled_without_a_mark() -> None:
    """What a kill would bring back stays bounded, however fast handlers are and however long the disk takes."""
    run, handled = Slow(), 0

    async def handler(_: Message) -> None:
        nonlocal handled
        handled += 1
        run.hangs = True

    async with world(run_store=run, store_fails=True) as w, anyio.create_task_group() as group:
        for number in range(600):
            w.account.push(sender=f"{number % 40}@im.wechat")
        await w.until(lambda: not w.account.unread)
        await w.until_polling_well()
        group.start_soon(w.session.deliver, handler)
        await anyio.sleep(60)
        assert 200 <= handled <= 216
        group.cancel_scope.cancel()


# --- handlers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["raises", "hangs"])
async def test_a_handler_that_fails_for_one_sender_costs_the_others_nothing(way: str) -> None:
    """The others' messages come at once, as ever; the bad one is parked after five attempts; polling never pauses."""
    latencies: list[float] = []
    pushed: dict[str, float] = {}
    attempts = 0

    async def handler(message: Message) -> None:
        nonlocal attempts
        if message.sender == "bad@im.wechat":
            attempts += 1
            if way == "raises":
                raise ValueError("always")
            await anyio.sleep_forever()
        latencies.append(anyio.current_time() - pushed[message.text])

    async with world(server=FakeServer(hold_s=20.0)) as w, anyio.create_task_group() as group:
        group.start_soon(lambda: w.session.deliver(handler, at_once=4, limit_s=10.0))
        await w.until_polling_well()
        w.account.push("poison", sender="bad@im.wechat")
        for number in range(40):
            pushed[f"{number}"] = anyio.current_time()
            w.account.push(f"{number}", sender="good@im.wechat")
            await anyio.sleep(2.0)
        assert (attempts, len(latencies)) == (5, 40)
        assert max(latencies) < 0.01
        (parked,) = await w.session.parked()
        assert parked.attempts == 5
        assert parked.error == ("ValueError: always" if way == "raises" else "TimeoutError: no end after 10 s")
        assert {record.target for record in w.records[2:]} <= {State.ACTIVE}
        await w.session.stop()


async def test_a_handler_that_is_not_async_is_refused_and_its_message_stays() -> None:
    """The most likely slip: a lambda that prints. It is said at the first message, and nothing counts as a failure."""
    async with world() as w:
        w.account.push("one")
        with pytest.raises(
            DefinitionError, match="returned NoneType, which cannot be awaited: write it as 'async def'"
        ):
            await w.session.deliver(lambda _: None)  # type: ignore[arg-type, return-value]
        async for message in w.session:
            assert message.text == "one"
            break
        (stored,) = w.session._writer.store.pending(ACCOUNT)
        assert stored.attempts == 0


async def test_a_parked_message_is_tried_again_or_given_up_when_somebody_says_so() -> None:
    """retry() hands it out anew, after all others; drop() never again; both say what is not possible."""
    works = False
    seen: list[str] = []

    async def handler(message: Message) -> None:
        seen.append(message.text)
        if not works:
            raise ValueError

    async with world() as w, anyio.create_task_group() as group:
        group.start_soon(w.session.deliver, handler)
        w.account.push("one", sender="a@im.wechat")
        w.account.push("two", sender="b@im.wechat")
        await w.until(lambda: len(seen) == 10)
        await anyio.sleep(1)
        one, two = await w.session.parked()
        works = True
        again = await w.session.retry(one.number)
        assert (again.state, again.attempts, again.number > two.number) == (MessageState.OPEN, 0, True)
        await w.until(lambda: len(seen) == 11)
        await w.session.drop(two.number)
        await anyio.sleep(100)
        assert seen[10:] == ["one"]
        assert await w.session.parked() == []
        for refused in (w.session.retry, w.session.drop):
            with pytest.raises(StoreError, match="no message 999"):
                await refused(999)
        await w.session.stop()


async def test_a_message_that_waits_for_its_next_attempt_can_be_dropped() -> None:
    """It is not handed out any more, though it was read from the store long ago; the sender's next one is."""
    seen: list[str] = []

    async def handler(message: Message) -> None:
        seen.append(message.text)
        if message.text == "bad":
            raise ValueError

    async with world() as w, anyio.create_task_group() as group:
        group.start_soon(w.session.deliver, handler)
        w.account.push("bad")
        await w.until(lambda: seen == ["bad"])
        await anyio.sleep(0.1)
        await w.session.drop(1)
        w.account.push("good")
        await anyio.sleep(100)
        assert seen == ["bad", "good"]
        await w.session.stop()


async def test_a_message_that_somebody_dropped_while_its_handler_failed_does_not_come_again() -> None:
    """The store says that it is open no more; the session believes it."""
    store, seen = MemoryStore(), 0

    async def handler(_: Message) -> None:
        nonlocal seen
        seen += 1
        store.drop(1)
        raise ValueError

    async with world(store=store) as w, anyio.create_task_group() as group:
        group.start_soon(w.session.deliver, handler)
        w.account.push("bad")
        await anyio.sleep(100)
        assert seen == 1
        await w.session.stop()


# --- the store -------------------------------------------------------------------------------------------------------


async def test_idle_polls_cost_no_transaction_each_and_the_last_cursor_is_kept() -> None:
    """A fresh cursor comes with every poll. They are written every five seconds at most, and when the session stops."""
    store = CountingStore()
    server = FakeServer(hold_s=1.0)
    async with world(store=store, server=server) as w:
        await anyio.sleep(100)
        polls = w.session.health().polls
        assert polls > 90
        assert store.commits <= 100 / 5
    polled = [entry for entry in server.log.requests("getupdates", ACCOUNT) if entry.good]
    assert store.cursor(ACCOUNT) == w.session._driver.operations.cursor
    assert len(polled) > store.commits


async def test_a_store_without_room_pauses_polling_and_says_storage() -> None:
    """What came stays in memory and is committed first; health and record say why; it heals when there is room."""
    store = CountingStore()
    async with world(store=store, store_fails=True) as w:
        await w.until_polling_well()
        store.full = True
        w.account.push("one")
        await w.until(lambda: w.session.state == State.BACKOFF)
        health = w.session.health()
        assert (health.storage, health.reason.partition(":")[0], health.uncommitted) == ("no room", "storage", 1)
        polls = len(w.requests("getupdates"))
        w.account.push("two")
        await anyio.sleep(300)
        assert len(w.requests("getupdates")) == polls
        assert w.session.health().storage == "no room"
        store.full = False
        await w.until_polling_well()
        assert (w.session.health().storage, w.session.health().uncommitted) == ("", 0)
        assert [stored.number for stored in store.pending(ACCOUNT)] == [1, 2]


async def test_a_replayed_backlog_of_ten_thousand_is_handled_once_each() -> None:
    """The server is asked from the beginning and hands everything out again: nobody notices."""
    store, server = MemoryStore(), FakeServer(hold_s=20.0, delivery="replay")
    account = server.account(TOKEN)
    handled: list[str] = []

    async def handler(message: Message) -> None:
        handled.append(message.text)

    for number in range(10_000):
        account.push(f"{number}", sender=f"{number % 7}@im.wechat")
    for last in ("first life", "second life"):
        async with world(store=store, server=server) as w, anyio.create_task_group() as group:
            group.start_soon(w.session.deliver, handler)
            account.push(last, sender="0@im.wechat")
            await w.until(lambda last=last: last in handled)
            await w.until(lambda: len(handled) >= 10_001)
            await w.session.stop()
        store.commit([Batch(account=ACCOUNT, cursor=Secret(""))])
    assert len(handled) == len(set(handled)) == 10_002
    assert sum(account.handed_out.values()) > 20_000


async def test_an_old_message_that_comes_again_does_not_bring_its_old_context_token_back() -> None:
    """The token of the message that was written last is the one that answers carry."""
    store = MemoryStore()

    def message(key: str, token: str, sent_ms: int | None) -> Batch:
        one = Incoming(key=key, sender="u", body=b"{}", context_token=Secret(token), sent_ms=sent_ms)
        return Batch(account=ACCOUNT, cursor=None, messages=(one,))

    store.commit([message("1", "first", 1000), message("2", "second", 2000), message("1", "replayed", 1000)])
    assert store.context_token(ACCOUNT, "u") == Secret("second")
    store.commit([message("2", "second again", 2000)])
    assert store.context_token(ACCOUNT, "u") == Secret("second again")
    store.commit([message("3", "timeless", None)])
    assert store.context_token(ACCOUNT, "u") == Secret("timeless")


# --- one poller for each account -------------------------------------------------------------------------------------


async def test_a_second_session_on_the_account_is_refused_until_the_first_has_ended() -> None:
    """Refused before anything is sent; free again after a stop, a cancellation, and a start that failed."""
    store, server = MemoryStore(), FakeServer(hold_s=20.0)
    async with world(store=store, server=server) as w:
        second = Session(token=TOKEN, base_url=URL, http=w.http, store=store)
        with pytest.raises(AccountInUse, match=f"account {ACCOUNT} is in use by process"):
            await second.__aenter__()
        await w.until_polling_well()
        async with Session(token=OTHER_TOKEN, base_url=URL, http=w.http, store=store):
            pass  # another account is another matter
    async with httpx.AsyncClient(transport=server.transport()) as http:
        with anyio.CancelScope() as scope:
            async with Session(token=TOKEN, base_url=URL, http=http, store=store):
                scope.cancel()
                await anyio.sleep(1)

        def broken(_: str) -> Secret:
            raise StoreError("cannot be read")

        cursor, store.cursor = store.cursor, broken  # type: ignore[method-assign]
        with pytest.raises(StoreError, match="cannot be read"):
            await Session(token=TOKEN, base_url=URL, http=http, store=store).__aenter__()
        store.cursor = cursor  # type: ignore[method-assign]
        async with Session(token=TOKEN, base_url=URL, http=http, store=store) as session:
            assert session.account == ACCOUNT


# --- logins ----------------------------------------------------------------------------------------------------------


async def test_a_session_takes_its_token_and_its_server_from_the_login() -> None:
    """The only one, or the one that is named; what is missing or not clear is said."""
    logins = MemoryCredentials()
    with pytest.raises(CredentialsMissing, match="pass token="):
        Session()
    with pytest.raises(CredentialsMissing, match="no credentials are stored: log in"):
        Session(credentials=logins)
    logins.save(OURS)
    assert Session(credentials=logins).account == ACCOUNT
    logins.save(Credentials(token=Secret(OTHER_TOKEN), base_url=URL, user_id="another"))
    with pytest.raises(DefinitionError, match=f"pass account= to choose: {ACCOUNT}, {OTHER}"):
        Session(credentials=logins)
    assert Session(credentials=logins, account=OTHER).account == OTHER
    with pytest.raises(CredentialsMissing, match="for account nobody"):
        Session(credentials=logins, account="nobody")
    with pytest.raises(DefinitionError, match="the token is of account"):
        Session(token=TOKEN, account=OTHER)


async def test_after_another_login_the_old_bots_messages_are_handled_even_by_the_next_process() -> None:
    """The session goes on as the new bot; what it had not handled is the new bot's, also after a restart."""
    store, logins, server = MemoryStore(), MemoryCredentials(), FakeServer(hold_s=20.0)
    logins.save(OURS)
    new = server.account(OTHER_TOKEN)
    async with world(store=store, server=server, credentials=logins) as w:
        await w.until_polling_well()
        w.account.push("to the old bot")
        await w.until_polling_well()
        w.account.take_over()
        await w.until(lambda: w.losses)
        assert logins.save(NEWER) == [ACCOUNT]
        await w.until(lambda: w.session.account == OTHER)
        assert store.cursor(ACCOUNT) is None
        assert store.context_token(ACCOUNT, "user@im.wechat") is None
        # The new account is held, the old one is free.
        with pytest.raises(AccountInUse):
            store.acquire(OTHER)
        store.acquire(ACCOUNT)
        await w.until(lambda: [e for e in server.log.requests("getupdates", OTHER) if e.good])
        new.push("to the new bot")
        await w.until(lambda: len(store.pending(OTHER)) == 2)
    texts: list[str] = []
    async with (
        httpx.AsyncClient(transport=server.transport()) as http,
        Session(credentials=logins, http=http, store=store) as session,
    ):
        async for message in session:
            texts.append(message.text)
            if len(texts) == 2:
                await session.stop()
    assert texts == ["to the old bot", "to the new bot"]
    assert store.pending(OTHER) == []


async def test_an_idle_cursor_does_not_open_the_account_again_that_another_login_has_replaced() -> None:
    """A cursor that waits to be written is of the old account: written after it was retired it would bring it back."""
    store, logins, server = MemoryStore(), MemoryCredentials(), FakeServer(hold_s=2.0)
    logins.save(OURS)
    server.account(OTHER_TOKEN)
    async with world(store=store, server=server, credentials=logins) as w:
        await w.until(lambda: w.session._writer._lazy)
        w.account.take_over()
        await w.until(lambda: w.losses)
        logins.save(NEWER)
        await w.until(lambda: w.session.account == OTHER)
        await anyio.sleep(30)
    assert store.cursor(ACCOUNT) is None
    assert store.cursor(OTHER) is not None


async def test_a_message_in_hand_while_another_login_is_adopted_comes_once() -> None:
    """It has moved to the new account under its handler, with its number: done is done."""
    store, logins, server = MemoryStore(), MemoryCredentials(), FakeServer(hold_s=20.0)
    logins.save(OURS)
    server.account(OTHER_TOKEN)
    seen: list[str] = []
    release = anyio.Event()

    async def handler(message: Message) -> None:
        seen.append(message.text)
        await release.wait()

    async with world(store=store, server=server, credentials=logins) as w, anyio.create_task_group() as group:
        group.start_soon(w.session.deliver, handler)
        w.account.push("in hand")
        w.account.push("behind it")
        await w.until(lambda: seen)
        w.account.take_over()
        logins.save(NEWER)
        await w.until(lambda: w.session.account == OTHER)
        await anyio.sleep(1)
        release.set()
        await w.until(lambda: len(seen) == 2)
        await anyio.sleep(10)
        assert seen == ["in hand", "behind it"]
        assert store.pending(OTHER) == []
        await w.session.stop()


async def test_a_login_that_another_session_uses_already_is_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    """Two pollers would take each other's messages. It is said once, and the login is taken when it is free."""
    store, logins, server = MemoryStore(), MemoryCredentials(), FakeServer(hold_s=20.0)
    logins.save(OURS)
    server.account(OTHER_TOKEN)
    async with world(store=store, server=server, credentials=logins) as w:
        await w.until_polling_well()
        store.acquire(OTHER)
        logins.save(NEWER)
        w.account.take_over()
        await w.until(lambda: "login_required" in w.session.signals)
        assert w.session.account == ACCOUNT
        assert sum("another login was found" in record.message for record in caplog.records) == 1
        store.release(OTHER)
        await w.until(lambda: w.session.account == OTHER)
        await w.until(lambda: w.session.health().ready)


async def test_a_token_that_was_passed_is_not_replaced_by_what_was_stored_before() -> None:
    """The login of the same account in the folder is older; one that is stored later is adopted."""
    logins, server = MemoryCredentials(), FakeServer(hold_s=20.0)
    stale = Credentials(token=Secret(f"{ACCOUNT}:11111111111111111111111111111111"), base_url=URL)
    logins.save(stale)
    async with world(server=server, credentials=logins) as w:
        await w.until_polling_well()
        w.account.expire()
        await w.until(lambda: w.losses)
        await w.until_polling_well()
        assert "credentials_changed" not in [record.trigger for record in w.records]
        logins.save(Credentials(token=Secret(f"{ACCOUNT}:22222222222222222222222222222222"), base_url=URL))
        w.account.expire()
        await w.until(lambda: "credentials_changed" in [record.trigger for record in w.records])
        assert w.session.account == ACCOUNT


@pytest.mark.parametrize("error", [CredentialsExposed, StoreError])
async def test_credentials_that_cannot_be_used_are_not_used_and_that_is_said_once(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """The session goes on with what it has: it is not made deaf by a wrong mode, nor by a file that cannot be read."""

    class Unusable(MemoryCredentials):
        def current(self, _: str) -> Credentials | None:
            raise error("write: chmod 600 it")

    caplog.set_level(logging.ERROR)
    async with world(credentials=Unusable()) as w:
        for number in (1, 2):
            await w.until_polling_well()
            w.account.expire()
            await w.until(lambda number=number: len(w.losses) == number)
        await w.until_polling_well()
    assert sum("chmod 600" in record.message for record in caplog.records) == 1


async def test_a_login_while_nobody_runs_leaves_no_message_behind() -> None:
    """The next start is on the new account, and hands out what the old one had not dealt with."""
    store, logins = MemoryStore(), MemoryCredentials()
    logins.save(OURS)
    store.commit([Batch(account=ACCOUNT, cursor=Secret("c"), messages=(BEFORE,))])
    logins.save(NEWER)
    async with world(token=OTHER_TOKEN, store=store, credentials=logins) as w:
        assert w.session.account == OTHER
        async for message in w.session:
            assert message.text == "before"
            break
    assert [stored.account for stored in store.pending(OTHER)] == [OTHER]
    store.acquire(ACCOUNT)


async def test_what_somebody_still_polls_for_is_left_to_them(caplog: pytest.LogCaptureFixture) -> None:
    """Another process has not noticed the new login yet: its messages are not taken out of its hands."""
    store, logins = MemoryStore(), MemoryCredentials()
    logins.save(OURS)
    store.commit([Batch(account=ACCOUNT, cursor=Secret("c"), messages=(BEFORE,))])
    store.acquire(ACCOUNT)
    logins.save(NEWER)
    async with world(token=OTHER_TOKEN, store=store, credentials=logins) as w:
        await w.until_polling_well()
        assert len(store.pending(ACCOUNT)) == 1
    assert "what is left of account 0a1b2c3d4e5f@im.bot is not taken over" in caplog.text


class Late:
    """A runner whose calls of one function are answered late: the call was carried out, or is when all have gone."""

    def __init__(self, name: str, *, carried_out: str, times: int = 1) -> None:
        self.name, self.carried_out, self.times = name, carried_out, times
        self.left: list[Callable[[], object]] = []

    async def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if function.__name__ != self.name or not self.times:
            return function(*args, **kwargs)
        self.times -= 1
        if self.carried_out == "at once":
            function(*args, **kwargs)
        else:
            self.left.append(lambda: function(*args, **kwargs))
        await anyio.sleep(1000)
        return None


@pytest.mark.parametrize("carried_out", ["at once", "later"])
async def test_an_account_that_is_taken_too_late_is_given_back(carried_out: str) -> None:
    """The start has given up by then: the next one must not be told that the account is in use."""
    store, late = MemoryStore(), Late("acquire", carried_out=carried_out)
    with pytest.raises(StoreError, match="did not answer in time"):
        async with Session(token=TOKEN, store=store, run_store=late):
            raise AssertionError("it has begun")
    for call in late.left:
        call()
    store.acquire(ACCOUNT)


@pytest.mark.parametrize("carried_out", ["at once", "later"])
async def test_a_login_whose_account_was_taken_too_late_is_adopted_the_next_time(carried_out: str) -> None:
    """It is not in use by ourselves for ever; and the old account is free when the new one is in force."""
    store, logins = MemoryStore(), MemoryCredentials()
    late = Late("acquire", carried_out=carried_out, times=0)
    logins.save(OURS)
    async with world(store=store, run_store=late, credentials=logins, store_fails=True) as w:
        await w.until_polling_well()
        late.times = 1
        logins.save(NEWER)
        w.account.take_over()
        await w.until(lambda: any("did not answer in time" in record.detail for record in w.records))
        for call in late.left:
            call()
        await w.until(lambda: w.session.account == OTHER)
        store.acquire(ACCOUNT)


async def test_logins_that_nobody_noticed_leave_no_message_behind() -> None:
    """Two logins in a row: whoever began with the first token gets what is left of the second as well."""
    store, logins = MemoryStore(), MemoryCredentials()
    logins.save(OURS)
    between = Credentials(token=Secret("111111111111@im.bot:11"), base_url=URL, user_id="u@im.wechat")
    logins.save(between)
    store.commit([Batch(account=between.account, cursor=Secret("c"), messages=(BEFORE,))])
    logins.save(NEWER)
    async with world(store=store, credentials=logins) as w:
        async for message in w.session:
            assert (w.session.account, message.text) == (OTHER, "before")
            break
