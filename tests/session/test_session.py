"""The session as its user meets it: starting, stopping, cancelling, waking, health, credentials, secrets."""

import asyncio
import logging

import anyio
import anyio.lowlevel
import httpx
import pytest

from sessionfsm import AddressError, CredentialsMissing, MemoryStore, Policy, Session, SessionFSMError, State
from sessionfsm.secret import Secret
from sessionfsm.session.cancellation import being_cancelled
from sessionfsm.store import Batch, Credentials, MemoryCredentials
from sessionfsm.testing import FakeServer, backend_options, faults

from .world import OTHER_TOKEN, TOKEN, URL, world

pytestmark = pytest.mark.anyio


async def test_leaving_the_block_stops_in_order_and_says_goodbye() -> None:
    """notifystop is the last request, after the poll was aborted; the record says why."""
    async with world() as w:
        await w.until_polling_well()
    assert w.server.log[-1].endpoint == "notifystop"
    assert w.server.log[-2].aborted
    assert [r.trigger for r in w.records[-2:]] == ["stop", "closed"]
    assert w.session.state == State.STOPPED


async def test_a_lost_session_is_not_told_goodbye() -> None:
    """After a takeover notifystop could do harm (protocol, section 2.4), so it is not sent."""
    async with world() as w:
        await w.until_polling_well()
        w.account.take_over()
        await w.until(lambda: w.session.state == State.BACKOFF)
    assert w.requests("notifystop") == []


async def test_a_stop_waits_for_what_is_in_hand_but_not_for_ever() -> None:
    """A handler may finish within the drain deadline; one that hangs is given up, and stop returns."""
    finished = []

    async with world() as w, anyio.create_task_group() as group:

        async def handler(message: object) -> None:
            await anyio.sleep(5 if not finished else 1000)
            finished.append(message)

        group.start_soon(w.session.deliver, handler)
        w.account.push("takes 5 s")
        await w.until(lambda: w.session.health().in_hand == 1)
        began = anyio.current_time()
        await w.session.stop()
        assert len(finished) == 1
        assert anyio.current_time() - began == pytest.approx(5, abs=0.1)
    async with world() as w, anyio.create_task_group() as group:
        group.start_soon(w.session.deliver, handler)
        w.account.push("takes for ever")
        await w.until(lambda: w.session.health().in_hand == 1)
        began = anyio.current_time()
        await w.session.stop()
        assert anyio.current_time() - began == pytest.approx(w.policy.drain_deadline_s, abs=0.1)


async def test_a_handler_that_does_not_end_is_cut_off_at_the_end_and_its_message_comes_again() -> None:
    """Whoever leaves the block waits for the drain deadline, not for the handler; that is no failure of the message."""
    store = MemoryStore()
    async with world(store=store) as w, anyio.create_task_group() as group:

        async def handler(_: object) -> None:
            await anyio.sleep_forever()

        async def deliver() -> None:
            await w.session.deliver(handler, limit_s=None)

        group.start_soon(deliver)
        w.account.push("takes for ever")
        await w.until(lambda: w.session.health().in_hand == 1)
        began = anyio.current_time()
        await w.session.stop()
    assert anyio.current_time() - began == pytest.approx(w.policy.drain_deadline_s, abs=0.1)
    assert w.session.health().in_hand == 0
    assert [stored.attempts for stored in store.pending(w.account.name)] == [0]


@pytest.mark.parametrize("way", ["loop", "handler"])
async def test_a_stop_from_inside_a_handler_does_not_wait_for_that_handler(way: str) -> None:
    """Whoever is told "quit" may stop the session from there: it ends at once, and the message is done."""
    store = MemoryStore()
    async with world(store=store) as w:
        w.account.push("quit")
        began: list[float] = []

        async def quit_now(_: object) -> None:
            began.append(anyio.current_time())
            await w.session.stop()
            assert anyio.current_time() - began[0] < 0.1

        if way == "loop":
            async for message in w.session:
                await quit_now(message)
        else:
            await w.session.deliver(quit_now)
        assert w.session.state == State.STOPPED
        assert store.pending(w.account.name) == []


async def test_a_session_that_was_stopped_before_it_began_says_nothing() -> None:
    """Neither notifystart nor notifystop: the block is entered and left, and the loop over it is empty."""
    server = FakeServer()
    async with httpx.AsyncClient(transport=server.transport()) as http:
        session = Session(token=TOKEN, base_url=URL, http=http)
        await session.stop()
        async with session:
            assert [message async for message in session] == []
    assert len(server.log) == 0


async def test_a_goodbye_that_hangs_does_not_hold_the_stop() -> None:
    """R7: stop ends within its deadlines, whatever the server does."""
    async with world() as w:
        await w.until_polling_well()
        w.server.apply(faults.Hang(endpoint="notifystop"))
        began = anyio.current_time()
        await w.session.stop()
        assert anyio.current_time() - began <= w.policy.notifystop_deadline_s + 0.1


async def test_a_second_stop_and_a_wake_outside_a_wait_change_nothing() -> None:
    """Both are no-ops, at any time."""
    async with world() as w:
        await w.until_polling_well()
        w.session.wake()
        await anyio.sleep(1)
        assert w.session.state == State.ACTIVE
        async with anyio.create_task_group() as group:
            group.start_soon(w.session.stop)
            group.start_soon(w.session.stop)
        await w.session.stop()
        w.session.wake()
        assert [r.trigger for r in w.records].count("stop") == 1
        assert [m async for m in w.session] == []


async def test_wake_cuts_a_wait_short_but_never_below_the_first_rung() -> None:
    """The network is back: no need to sit out 300 s. But a caller that wakes in a loop gets no hot loop."""
    async with world() as w:
        await w.until_polling_well()
        w.account.take_over()
        await w.until(lambda: len(w.losses) == 6)
        await w.until(lambda: w.session.state == State.BACKOFF)
        long = w.session.health().next_retry_s
        assert long is not None
        assert long > 30
        began = anyio.current_time()
        for _ in range(1000):
            w.session.wake()
            await anyio.sleep(0.001)
        await w.until(lambda: w.session.state != State.BACKOFF)
        assert anyio.current_time() - began == pytest.approx(5, abs=0.1)
        assert [r.trigger for r in w.records].count("wake") == 1


@pytest.mark.parametrize("situation", ["starting", "polling", "waiting", "handling", "committing"])
async def test_a_cancelled_session_leaves_no_task_and_swallows_nothing(situation: str) -> None:
    """R7: cancelled in any situation, it ends at once; the cancellation reaches the caller's scope."""
    server = FakeServer(hold_s=20.0)
    account = server.account(TOKEN)
    if situation == "starting":
        server.apply(faults.Hang(endpoint="notifystart"))
    if situation == "waiting":
        server.apply(faults.Outage(for_s=1e6))
    if situation == "handling":
        account.push("x")
    after_block = False
    async with httpx.AsyncClient(transport=server.transport(round_trip_s=0.001)) as http:
        with anyio.CancelScope() as scope:
            async with (
                Session(token=TOKEN, base_url=URL, http=http) as session,
                anyio.create_task_group() as group,
            ):

                async def handle() -> None:
                    async for _ in session:
                        await anyio.sleep_forever()

                group.start_soon(handle)
                await anyio.sleep(5)
                began = anyio.current_time()
                scope.cancel()
                await anyio.sleep_forever()
            after_block = True
        assert scope.cancelled_caught
        assert not after_block
        assert anyio.current_time() == began
        await anyio.sleep(100)
    assert all(entry.ended_s is not None and entry.ended_s <= began + 1e-6 for entry in server.log)


@pytest.mark.parametrize("anyio_backend", [backend_options("asyncio")], ids=["asyncio"])
async def test_a_session_that_is_cancelled_from_outside_is_not_cancelled_once_more() -> None:
    """Of ten thousand that end together each would go through its own tasks again and again: a fifth of their end."""
    server = FakeServer(hold_s=20.0)
    server.account(TOKEN).push("x")
    async with httpx.AsyncClient(transport=server.transport(round_trip_s=0.001)) as http:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group, Session(token=TOKEN, base_url=URL, http=http) as session:
                group.start_soon(session.deliver, lambda _: anyio.sleep_forever())
                await anyio.sleep(5)
                own = session._group
                assert own is not None
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert session._driver.closed.is_set()
        assert not own.cancel_scope.cancel_called


async def test_what_the_block_raises_ends_the_tasks_of_its_session() -> None:
    """Nobody outside has cancelled anything: the session does it itself, also for what is no error but an end."""
    server = FakeServer(hold_s=20.0)
    server.account(TOKEN)
    async with httpx.AsyncClient(transport=server.transport(round_trip_s=0.001)) as http:
        sessions = []

        async def bot(raised: type[BaseException]) -> None:
            async with Session(token=TOKEN, base_url=URL, http=http) as session:
                sessions.append(session)
                await anyio.sleep(5)
                raise raised

        for raised in (ZeroDivisionError, SystemExit):
            with pytest.raises(raised):
                await bot(raised)
            assert sessions.pop()._driver.closed.is_set()
    assert all(entry.ended_s is not None for entry in server.log)


@pytest.mark.parametrize("anyio_backend", [backend_options("asyncio")], ids=["asyncio"])
async def test_a_task_that_asyncio_itself_cancels_takes_its_session_along() -> None:
    """An application that knows nothing of scopes cancels the task: within the same moment nothing of it is left."""
    server = FakeServer(hold_s=20.0)
    account = server.account(TOKEN)
    async with httpx.AsyncClient(transport=server.transport(round_trip_s=0.001)) as http:
        ended = []

        async def bot(delivers: bool) -> None:
            async with Session(token=TOKEN, base_url=URL, http=http) as session:
                try:
                    if delivers:
                        await session.deliver(lambda _: anyio.sleep_forever())
                    else:
                        async for _ in session:
                            pass
                finally:
                    ended.append(session._driver)

        for delivers in (False, True):
            before = asyncio.all_tasks()
            task = asyncio.create_task(bot(delivers))
            await anyio.sleep(5)
            account.push("x")
            account.push("y", sender="bob@im.wechat")
            await anyio.sleep(5)
            began = anyio.current_time()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert anyio.current_time() == began
            assert ended.pop().closed.is_set()
            assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("outer", "inner", "shielded", "expected"),
    [(False, False, False, False), (True, False, False, True), (True, True, False, False), (True, False, True, False)],
)
async def test_what_is_around_a_scope_is_told_from_the_scope_itself(
    outer: bool, inner: bool, shielded: bool, expected: bool
) -> None:
    """A scope that is cancelled itself has to catch its own cancellation; one behind a shield sees none."""
    found = None
    with anyio.CancelScope() as around, anyio.CancelScope(shield=shielded) as scope:
        if outer:
            around.cancel()
        if inner:
            scope.cancel()
        found = being_cancelled(scope)
        await anyio.lowlevel.checkpoint()
    assert found == expected


async def test_health_tells_the_truth_about_a_deaf_session() -> None:
    """R8: a session whose polls vanish is alive, active, and not ready; the age of its last good poll says so."""
    async with world() as w:
        await w.until_polling_well()
        assert w.session.health().ready
        w.server.apply(faults.Hang(endpoint="getupdates", for_s=1e6, times=None))
        await anyio.sleep(3600)
        health = w.session.health()
        assert health.state == State.ACTIVE
        assert not health.ready
        assert health.last_poll_age_s is not None
        assert health.last_poll_age_s > 3500
        assert "no complete answer" in health.detail
        assert health.to_dict()["signals"] == []


async def test_a_hint_that_was_too_short_does_not_make_the_session_deaf() -> None:
    """A server that once said 1 ms and holds for 20 s is heard again: a hint is believed while polls are answered."""
    async with world(setup=lambda server, _: server.apply(faults.Hint(hint="1"))) as w:
        await anyio.sleep(300)
        assert w.session.health().ready
        assert len([e for e in w.requests("getupdates") if e.aborted]) <= 2


@pytest.mark.parametrize("anyio_backend", [backend_options("asyncio")], ids=["asyncio"])  # trio draws lots
async def test_a_handler_has_its_message_before_the_next_poll_is_sent() -> None:
    """Somebody waits for the answer; the server has nothing new to say yet."""
    polls: list[int] = []

    async def handler(_: object) -> None:
        polls.append(len(w.requests("getupdates")))

    async with world() as w, anyio.create_task_group() as group:
        group.start_soon(w.session.deliver, handler)
        await w.until_polling_well()
        before = len(w.requests("getupdates"))
        w.account.push("hello")
        await w.until(lambda: bool(polls))
        assert polls == [before]
        group.cancel_scope.cancel()


async def test_a_quiet_poll_is_counted_and_not_recorded() -> None:
    """A quiet day makes no records; the next change says how many polls there were."""
    async with world() as w:
        await anyio.sleep(86400)
        assert len(w.records) == 3
        polls = len([e for e in w.requests("getupdates") if e.good])
        assert w.session.health().polls == polls
        await w.session.stop()
        quiet = next(r for r in w.records if r.trigger == "stop").quiet
        assert quiet is not None
        assert quiet.polls == polls - 1
        assert quiet.longest_gap_s == pytest.approx(20, abs=0.1)


async def test_an_observer_that_raises_does_not_disturb_the_session(caplog: pytest.LogCaptureFixture) -> None:
    """Observers are guests."""

    def rude(_: object) -> None:
        raise RuntimeError("I am an observer")

    async with world() as w:
        w.session.observe(rude)
        await w.until_polling_well()
        w.account.expire()
        await w.until_polling_well()
    assert any("an observer raised" in record.message for record in caplog.records)


async def test_other_credentials_in_the_store_are_adopted_with_their_own_cursor() -> None:
    """Somebody logged in while we were taken over: the next renewal uses the new token, its cursor, a clean memory."""
    store = MemoryStore()
    new = "ffeeddccbbaa@im.bot"
    store.commit([Batch(account=new, cursor=Secret("their cursor"))])
    server = FakeServer(hold_s=20.0)
    other = server.account(OTHER_TOKEN)
    logins = MemoryCredentials()
    logins.save(Credentials(token=Secret(TOKEN), base_url=URL, user_id="u"))
    async with world(store=store, server=server, credentials=logins) as w:
        await w.until_polling_well()
        w.account.push("to the old bot")
        await w.until_polling_well()
        w.account.take_over()
        await w.until(lambda: "login_required" in w.session.signals)
        logins.save(Credentials(token=Secret(OTHER_TOKEN), base_url=URL, user_id="u"))
        await w.until(lambda: w.session.account == new)
        await w.until(lambda: [e for e in server.log.requests("getupdates", new) if e.good])
        assert w.session.signals == set()
        assert w.session._driver.lifecycle.memory.denials == 0
        assert [e.endpoint for e in server.log.session_requests(new)][:2] == ["notifystart", "getupdates"]
        assert "credentials_changed" in [r.trigger for r in w.records]
        other.push("to the new bot")
        texts = set()
        async for message in w.session:
            texts.add(message.text)
            if len(texts) == 2:
                break
        assert texts == {"to the old bot", "to the new bot"}
    assert store.cursor(new) != Secret("their cursor")


async def test_bad_arguments_are_refused_before_anything_is_sent() -> None:
    """No token, a foreign host, a table that cannot run: each says what is wrong."""
    with pytest.raises(CredentialsMissing, match="token is empty"):
        Session(token="  ")
    with pytest.raises(AddressError):
        Session(token=TOKEN, base_url="http://example.com")
    session = Session(token=TOKEN, base_url=URL)
    await session._client.aclose()
    async with world() as w:
        with pytest.raises(SessionFSMError, match="entered once"):
            await w.session.__aenter__()


async def test_no_secret_is_logged_or_shown_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    """R11: token, context token and cursor are in no log line, record, repr or health, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    async with world(policy=Policy()) as w:
        await w.until_polling_well()
        w.account.push("hi")
        message = await anext(aiter(w.session))
        await w.session.reply(message, "hello")
        cursor = w.session._driver.operations.cursor
        assert cursor
        context = message.context_token
        assert context
        w.account.take_over()
        await w.until(lambda: len(w.losses) > 2)
        w.account.end_takeover()
        await w.until_polling_well()
        shown = "\n".join(
            [record.getMessage() for record in caplog.records]
            + [repr(w.records), repr(w.session.health()), repr(message), repr(w.session), repr(w.session._client)]
            + [repr([r.to_dict() for r in w.records])]
        )
    for secret in (TOKEN, TOKEN.partition(":")[2], cursor.reveal(), context.reveal()):
        assert secret not in shown


async def test_a_server_without_the_handshake_is_polled_all_the_same_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """404, 405 and 501 on notifystart mean: this server needs none."""
    caplog.set_level(logging.INFO)
    missing = faults.Status(endpoint="notifystart", status=404, times=1000)
    async with world(setup=lambda server, _: server.apply(missing)) as w:
        await w.until_polling_well()
        w.server.apply(faults.Status(endpoint="getupdates", status=502, times=3))
        await w.until(lambda: len(w.requests("notifystart")) == 4)
        await w.until_polling_well()
        assert len(w.requests("notifystart")) == 4
    told = [record for record in caplog.records if "has no notifystart" in record.message]
    assert len(told) == 1


async def test_retry_after_lengthens_a_wait_up_to_its_ceiling_and_no_further() -> None:
    """The server's wish is clamped: an hour asked for is 60 s waited."""
    busy = faults.Status(endpoint="getupdates", status=429, retry_after="3600", times=1)
    async with world() as w:
        await w.until_polling_well()
        w.server.apply(busy)
        await w.until(lambda: any(r.wait_s is not None for r in w.records))
        assert next(r.wait_s for r in w.records if r.wait_s is not None) == 60


async def test_silent_polls_are_polled_again_at_once_on_a_fresh_connection() -> None:
    """A hang, a 524 after 17 s and a lost connection are weather: no wait, no renewal."""
    async with world() as w:
        await w.until_polling_well()
        for number, fault in enumerate(
            (
                faults.Hang(endpoint="getupdates"),
                faults.Status(endpoint="getupdates", status=524, held_s=17),
                faults.Reset(endpoint="getupdates", held_s=17),
            ),
            1,
        ):
            w.server.apply(fault)
            await w.until(lambda number=number: [r.trigger for r in w.records].count("silent") == number)
            await w.until_polling_well()
        silent = [r for r in w.records if r.trigger == "silent"]
        assert len(silent) == 3
        assert all(getattr(r.command, "fresh", False) for r in silent)
        assert len(w.requests("notifystart")) == 1
