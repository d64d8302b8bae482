"""What the original report asks for, each a test on the real driver, judged by the server's log."""

import itertools

import anyio
import pytest

from sessionfsm import BadRequest, ConversationClosed, SessionLost, Signal, State, TransportError
from sessionfsm.testing import FakeServer, faults

from .world import OTHER_TOKEN, World, world

pytestmark = pytest.mark.anyio


async def test_minus_14_on_a_good_session_triggers_notifystart_before_any_wait() -> None:
    """On a session that has polled well, -14 is answered by notifystart at once: no 60 minutes, not even 5 seconds."""
    async with world() as w:
        await w.until_polling_well()
        w.account.expire()
        await w.until(lambda: w.losses and w.next_after(w.losses[0]))
        following = w.next_after(w.losses[0])
        assert following.endpoint == "notifystart"
        assert following.started_s - w.losses[0].ended_s < 0.01


async def test_successful_notifystart_is_followed_by_getupdates_at_once() -> None:
    """A renewal that worked costs no wait: the next request is the poll, in the same instant."""
    async with world() as w:
        await w.until_polling_well()
        w.account.expire()
        await w.until(lambda: len(w.requests("notifystart")) == 2)
        renewal = w.requests("notifystart")[1]
        await w.until(lambda: w.next_after(renewal))
        following = w.next_after(renewal)
        assert renewal.answer == "ok"
        assert following.endpoint == "getupdates"
        assert following.started_s - renewal.ended_s < 0.01


@pytest.mark.parametrize(
    "broken",
    [
        faults.Status(endpoint="notifystart", status=500, times=100),
        faults.Code(endpoint="notifystart", code=-1, times=100),
        faults.Hang(endpoint="notifystart", times=100),
        faults.Garbage(endpoint="notifystart", times=100),
        faults.Reset(endpoint="notifystart", times=100),
    ],
    ids=lambda fault: fault.kind,
)
async def test_failing_notifystart_leads_to_short_waits_never_an_hour(broken: faults.Fault) -> None:
    """A handshake that fails, in whatever way, is tried again within a minute and the longest poll, for an hour."""
    async with world() as w:
        await w.until_polling_well()
        w.server.apply(broken)
        w.account.take_over()
        await anyio.sleep(3600)
        renewals = [e.started_s for e in w.requests("notifystart")][1:]
        gaps = [later - earlier for earlier, later in itertools.pairwise(renewals)]
        assert len(renewals) > 30
        assert max(gaps) <= w.policy.transport_ceiling_s + w.policy.renewal_deadline_s + 1
        assert w.verdict().longest_gap_s <= w.policy.silence_bound_s


async def test_persistent_minus_14_second_notifystart_within_seconds_and_the_rate_stays_bounded() -> None:
    """A session that is renewed and denied all the same is renewed again within 5 s, and does not spin."""
    async with world() as w:
        await w.until_polling_well()
        w.account.take_over()
        await w.until(lambda: w.losses)
        began = w.losses[0].started_s
        await anyio.sleep(3600)
        requests = [e.started_s - began for e in w.log if e.started_s > began - 1e-6]
        renewals = [e.started_s - began for e in w.requests("notifystart", since=began - 0.01)]
        assert renewals[0] < 0.01
        assert renewals[1] <= 5.01
        for start in requests:
            assert sum(start <= other <= start + 60 for other in requests) <= 11
            assert sum(start <= other <= start + 3600 for other in requests) <= 59


async def test_normal_traffic_calls_notifystart_once_at_the_start_and_never_again() -> None:
    """A day of good polls, messages and quiet, has one notifystart."""
    async with world() as w:
        for number in range(100):
            await anyio.sleep(864)
            w.account.push(f"message {number}")
        assert len(w.requests("notifystart")) == 1
        assert w.log[0].endpoint == "notifystart"
        assert len(w.requests("getupdates")) > 2000


async def test_minus_14_after_an_earlier_recovery_recovers_again() -> None:
    """Recovery is not used up: twenty losses, twenty recoveries, each at once."""
    async with world() as w:
        for number in range(1, 21):
            await w.until_polling_well()
            w.account.expire()
            await w.until(lambda number=number: len(w.losses) == number)
        await w.until_polling_well()
        recoveries = w.verdict().recoveries
        assert len(recoveries) == 20
        assert max(r.lasted_s for r in recoveries if r.lasted_s is not None) < 0.01


def in_active(w: World) -> None:
    """Nothing is wrong."""


def in_recovering(w: World) -> None:
    w.server.apply(faults.Hang(endpoint="notifystart", times=100))
    w.account.expire(answer_held=True)


def in_backoff(w: World) -> None:
    w.server.apply(faults.Status(endpoint="notifystart", status=500, times=1000))
    w.account.take_over(answer_held=True)


@pytest.mark.parametrize(
    ("bring_about", "state"),
    [(in_active, State.ACTIVE), (in_recovering, State.RECOVERING), (in_backoff, State.BACKOFF)],
)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, None),
        (faults.Code(endpoint="sendmessage", code=-14), SessionLost),
        (faults.Code(endpoint="sendmessage", code=-2), ConversationClosed),
        (faults.Code(endpoint="sendmessage", code=-2, errmsg="invalid arguments"), BadRequest),
        (faults.Status(endpoint="sendmessage", status=502), TransportError),
        (faults.Hang(endpoint="sendmessage"), TransportError),
    ],
    ids=["well", "-14", "-2", "invalid", "502", "hang"],
)
async def test_a_send_works_in_every_state_and_never_moves_the_lifecycle(
    bring_about: object, state: State, answer: faults.Fault | None, error: type[Exception] | None
) -> None:
    """R2: outbound asks nobody's leave, and its own errors, -14 among them, are its own."""
    async with world() as w:
        await w.until_polling_well()
        bring_about(w)  # type: ignore[operator]
        await w.until(lambda: w.session.state == state)
        if answer is not None:
            w.server.apply(answer)
        lifecycle = w.session._driver.lifecycle
        before, records = lifecycle.snapshot(), len(w.records)
        if answer is not None and answer.kind == "hang":
            # Meanwhile the session goes on by itself; what counts is that the send has no part in it.
            with pytest.raises(TransportError):
                await w.session.send_text("user@im.wechat", "hi")
            assert not any("sendmessage" in record.detail for record in w.records)
            return
        if error is None:
            sent = await w.session.send_text("user@im.wechat", "hi")
            assert sent.confirmed
            assert [message.text for message in w.account.sent] == ["hi"]
        else:
            with pytest.raises(error):
                await w.session.send_text("user@im.wechat", "hi")
        assert lifecycle.snapshot() == before
        assert len(w.records) == records


async def test_a_send_works_before_the_first_poll_has_answered_and_while_stopping() -> None:
    """The two ends of a session's life do not gate sends either."""
    async with world(setup=lambda server, _: server.apply(faults.Hang(endpoint="notifystart"))) as w:
        assert (await w.session.send_text("user@im.wechat", "early")).confirmed
        await w.until_polling_well()
        w.account.push("work")
        iterator = aiter(w.session)
        await anext(iterator)
        async with anyio.create_task_group() as group:
            group.start_soon(w.session.stop)
            await w.until(lambda: w.session.state == State.STOPPING)
            assert (await w.session.send_text("user@im.wechat", "late")).confirmed
            with pytest.raises(StopAsyncIteration):
                await anext(iterator)
    assert [message.text for message in w.account.sent] == ["early", "late"]


@pytest.mark.parametrize("shape", ["ret", "errcode", "both", "ret_zero"])
async def test_minus_14_is_understood_wherever_it_stands(shape: faults.CodeShape) -> None:
    """-14 in ret only, in errcode only, in both, and in errcode beside a ret of 0, all renew."""
    async with world() as w:
        await w.until_polling_well()
        w.account.expire(shape=shape)
        await w.until(lambda: w.losses)
        await w.until_polling_well()
        assert [r.trigger for r in w.records[3:5]] == ["session_expired", "session_renewed"]
        assert len(w.requests("notifystart")) == 2


async def test_a_takeover_climbs_to_the_ceiling_raises_login_required_once_and_ends() -> None:
    """While another bot has the account the waits grow to 300 s; the operator hears once; when it ends, so does it."""
    async with world() as w:
        await w.until_polling_well()
        w.account.take_over()
        await anyio.sleep(2 * 3600)
        waits = [r.wait_s for r in w.records if r.wait_s is not None]
        for wait, rung in zip(waits, itertools.chain([5, 10, 20, 40, 80, 160], itertools.repeat(300)), strict=False):
            assert rung / 2 <= wait <= rung
        assert len(waits) > 20
        assert [r.raised for r in w.records if r.raised] == [(Signal.LOGIN_REQUIRED,)]
        assert w.session.signals == {Signal.LOGIN_REQUIRED}
        assert "login_required" in w.session.health().signals
        w.account.end_takeover()
        ended = anyio.current_time()
        await w.until_polling_well()
        assert anyio.current_time() - ended <= 300 + 20 + 1
        assert w.session.signals == set()
        assert [r.cleared for r in w.records if r.cleared] == [(Signal.LOGIN_REQUIRED,)]


async def test_a_handshake_broken_for_good_and_one_transient_minus_14_do_not_make_the_bot_deaf() -> None:
    """The round ends with a poll although notifystart failed, so a session that heals by itself is noticed at once."""
    async with world() as w:
        await w.until_polling_well()
        w.server.apply(faults.Status(endpoint="notifystart", status=500, times=10_000))
        w.server.apply(faults.Code(endpoint="getupdates", code=-14, times=1))
        await w.until(lambda: w.losses)
        lost = w.losses[0]
        await w.until(lambda: w.log[-1].number >= lost.number + 2)
        renewal, poll = (entry for entry in w.log if entry.number in (lost.number + 1, lost.number + 2))
        assert renewal.answer == "status 500"
        assert poll.endpoint == "getupdates"
        assert poll.started_s - lost.ended_s < 0.01
        w.account.push("are you there?")
        assert (await anext(aiter(w.session))).text == "are you there?"


async def test_a_300_s_outage_does_not_make_the_first_minus_14_after_it_slow() -> None:
    """Two ladders: what an outage has climbed does not count for a denial."""
    async with world() as w:
        await w.until_polling_well()
        w.server.apply(faults.Outage(for_s=300))
        await anyio.sleep(299)
        w.account.take_over()
        await w.until(lambda: len(w.losses) == 2)
        denied = next(r for r in w.records if r.command is not None and getattr(r.command, "ladder", "") == "session")
        assert denied.wait_s is not None
        assert denied.wait_s <= 5


async def test_minus_14_every_5_s_for_a_minute_leaves_the_session_live_95_percent_of_the_time() -> None:
    """Losing the session twelve times a minute costs milliseconds each, not minutes."""
    async with world(server=FakeServer(hold_s=2.0)) as w:
        await w.until_polling_well()
        start = anyio.current_time()
        for number in range(12):
            await anyio.sleep_until(start + 5 * number)
            w.account.expire(answer_held=True)
        await anyio.sleep_until(start + 60)
        polled = sum(
            min(e.ended_s if e.ended_s is not None else start + 60, start + 60) - max(e.started_s, start)
            for e in w.requests("getupdates")
            if (e.ended_s is None or e.ended_s > start) and e.code != -14
        )
        held_until_lost = sum(e.ended_s - e.started_s for e in w.requests("getupdates", since=start) if e.code == -14)
        assert (polled + held_until_lost) / 60 >= 0.95
        assert len([e for e in w.log if e.code == -14]) == 12


async def test_two_sessions_in_one_process_do_not_touch_each_other() -> None:
    """R13: one account is taken over for an hour; the other polls, receives and keeps its memory as if alone."""

    server = FakeServer(hold_s=20.0)
    async with (
        world(server=server) as one,
        world(server=server, token=OTHER_TOKEN) as other,
    ):
        await one.until_polling_well()
        await other.until_polling_well()
        before = other.session._driver.lifecycle.snapshot()
        one.account.take_over()
        for number in range(60):
            await anyio.sleep(60)
            other.account.push(f"{number}")
            assert (await anext(aiter(other.session))).text is not None
        assert other.session._driver.lifecycle.snapshot() == before
        assert len(other.requests("notifystart")) == 1
        assert other.verdict().recoveries == ()
        assert one.session.state != State.ACTIVE
