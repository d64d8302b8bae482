"""Whatever the server does, for hours: P1, P6, P8 and R2 on the wire, decided from the server's log."""

import contextlib
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionfsm import ILinkError, Policy, Record, RecordMonitor, Session
from sessionfsm.testing import FakeServer, faults, run
from sessionfsm.testing.judge import judge_wire

from .world import TOKEN, URL

SESSION_ENDPOINTS = ("getupdates", "notifystart")

seconds = st.one_of(st.floats(0.01, 5), st.floats(5, 150), st.floats(150, 1200)).map(lambda value: round(value, 2))
endpoints = st.sampled_from([None, "getupdates", "notifystart", "sendmessage"])
times = st.integers(1, 8)
texts = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b'{"ret":0}',
            b'{"msgs":[]}',
            b'{"msgs":null,"get_updates_buf":null}',
            b'{"msgs":[1,null,{}],"get_updates_buf":"x"}',
            b'{"ret":-1,"errmsg":"system error"}',
            b'{"ret":"-14"}',
            b'{"errcode":-14,"msgs":[],"get_updates_buf":"x"}',
            b'{"msgs":[{"message_id":1e400}]}',
            b'{"ret":1e309}',
            b"[" * 5000,
            b'{"msgs":[],"longpolling_timeout_ms":3600000}',
            b'{"msgs":[],"longpolling_timeout_ms":-1}',
        ]
    ),
)
hints = st.sampled_from(["1", "0", "-5", "3600000", "1e300", '"soon"', "null", "[]", "35000"])


def timed(fault: type, **more: Any) -> st.SearchStrategy[Any]:
    return st.builds(fault, at_s=seconds, **more)


schedules = st.lists(
    st.one_of(
        timed(faults.Expire, held_s=st.sampled_from([0.0, 2.0, 5.0]), answer_held=st.booleans()),
        timed(faults.Expire, shape=st.sampled_from(["errcode", "ret", "both", "ret_zero"])),
        timed(faults.Takeover, for_s=seconds, notifystart=st.sampled_from(["works", "denied"])),
        timed(
            faults.Lapse, shape=st.sampled_from(["empty", "empty_cursor", "null"]), held_s=st.sampled_from([0.0, 20.0])
        ),
        timed(faults.Code, endpoint=endpoints, code=st.sampled_from([-14, -1, -2, -3, -4, 1]), times=times),
        timed(
            faults.Status,
            endpoint=endpoints,
            status=st.sampled_from([302, 401, 403, 404, 405, 408, 429, 500, 501, 502, 503, 504, 524]),
            times=times,
            held_s=st.sampled_from([0.0, 9.0, 17.0]),
            retry_after=st.sampled_from([None, "0", "3", "3600", "1e9", "-1", "nan", "soon"]),
        ),
        timed(faults.Body, endpoint=endpoints, body=texts, times=times),
        timed(faults.Html, endpoint=endpoints, times=times),
        timed(faults.Garbage, endpoint=endpoints, times=times),
        timed(faults.Truncated, endpoint=endpoints, times=times, held_s=st.sampled_from([0.0, 15.0])),
        timed(faults.Drip, endpoint=endpoints, times=times),
        timed(faults.Reset, endpoint=endpoints, times=times, held_s=st.sampled_from([0.0, 12.0])),
        timed(faults.Hang, endpoint=endpoints, times=times),
        timed(faults.Redirect, endpoint=endpoints, times=times),
        timed(faults.Instant, for_s=seconds),
        timed(faults.Hint, hint=hints, for_s=seconds),
        timed(faults.Outage, for_s=seconds),
        timed(faults.Message, copies=st.integers(1, 3)),
    ),
    max_size=14,
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    schedule=schedules,
    renewal=st.sampled_from(["attempted", "required"]),
    hold_s=st.sampled_from([0.0, 2.0, 35.0]),
    delivery=st.sampled_from(["once", "replay"]),
    round_trip_s=st.sampled_from([0.001, 0.3]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_whatever_the_server_does_the_wire_shows_p1_p6_p8_and_sends_are_never_gated(
    backend: Any, schedule: list[faults.Fault], renewal: Any, hold_s: float, delivery: Any, round_trip_s: float
) -> None:
    """Any mix of faults and any bytes as body, for simulated hours: no property breaks, and sends go out throughout."""
    policy = Policy(renewal=renewal)
    server = FakeServer(hold_s=hold_s, delivery=delivery)
    account = server.account(TOKEN)
    monitor, records = RecordMonitor(policy), list[Record]()
    attempts: list[float] = []

    async def main() -> None:
        async with (
            httpx.AsyncClient(transport=server.transport(round_trip_s=round_trip_s)) as http,
            Session(
                token=TOKEN, base_url=URL, http=http, policy=policy, observers=[monitor, records.append]
            ) as session,
            anyio.create_task_group() as group,
        ):

            async def send_now_and_then() -> None:
                while True:
                    before = len(records), session.state
                    attempts.append(anyio.current_time())
                    with contextlib.suppress(ILinkError):
                        await session.send_text("user@im.wechat", f"{len(attempts)}")
                    assert before[0] <= len(records)
                    await anyio.sleep(97)

            async def read() -> None:
                async for _ in session:
                    pass

            group.start_soon(send_now_and_then)
            group.start_soon(read)
            await server.play(schedule)
            await anyio.sleep_until(anyio.current_time() + 1800)
            assert session.health().ready or account.state == "taken_over"
            group.cancel_scope.cancel()

    run(main, backend=backend)
    verdict = judge_wire(server.log.session_requests(account.name), policy, slack_s=1e-6)
    assert verdict.violations == ()
    assert monitor.violations == []
    # R2: every send that was tried is on the wire, whatever state the session was in.
    assert len(server.log.requests("sendmessage")) == len(attempts)
    assert not any(entry.overlapping for entry in server.log)
    assert not any(entry.deviations for entry in server.log)
