"""A server that may do anything, as hypothesis draws it, and the life of a real session under it in virtual time."""

import contextlib
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import httpx
from hypothesis import strategies as st

from sessionfsm import ILinkError, Policy, RecordMonitor, Session
from sessionfsm.testing import Exchange, FakeServer, faults, run
from sessionfsm.testing.judge import WireVerdict, judge_wire

from .world import TOKEN, URL

__all__ = ["Trial", "circumstances", "schedules"]

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


@dataclass(kw_only=True)
class Trial:
    """
    What a server does, and what came of it.

    Attributes:
        schedule: The faults.
        renewal: The policy's.
        hold_s: How long the server holds polls.
        delivery: Whether it honours the cursor.
        round_trip_s: How far away it is.
        attempts: When sends were tried.
        log: The session's requests.
    """

    schedule: list[faults.Fault]
    renewal: Literal["attempted", "required"]
    hold_s: float
    delivery: Literal["once", "replay"]
    round_trip_s: float
    attempts: list[float] = field(default_factory=list)
    log: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.policy = Policy(renewal=self.renewal)
        self.monitor = RecordMonitor(self.policy)
        self.server = FakeServer(hold_s=self.hold_s, delivery=self.delivery)
        self.account = self.server.account(TOKEN)

    def live(self, backend: Literal["asyncio", "trio"]) -> None:
        """Run a session while the server does all that, and for half an hour more; somebody sends all the time."""
        run(self._live, backend=backend)
        self.log = self.server.log.session_requests(self.account.name)

    def verdict(self) -> WireVerdict:
        return judge_wire(self.log, self.policy, slack_s=1e-6)

    async def _live(self) -> None:
        async with (
            httpx.AsyncClient(transport=self.server.transport(round_trip_s=self.round_trip_s)) as http,
            Session(token=TOKEN, base_url=URL, http=http, policy=self.policy, observers=[self.monitor]) as session,
            anyio.create_task_group() as group,
        ):

            async def send_now_and_then() -> None:
                while True:
                    self.attempts.append(anyio.current_time())
                    with contextlib.suppress(ILinkError):
                        await session.send_text("user@im.wechat", f"{len(self.attempts)}")
                    await anyio.sleep(97)

            async def read() -> None:
                async for _ in session:
                    pass

            group.start_soon(send_now_and_then)
            group.start_soon(read)
            await self.server.play(self.schedule)
            await anyio.sleep(1800)
            assert session.health().ready or self.account.state == "taken_over"
            group.cancel_scope.cancel()


def circumstances() -> st.SearchStrategy[Trial]:
    """Draw a server, and everything that goes wrong on it."""
    return st.builds(
        Trial,
        schedule=schedules,
        renewal=st.sampled_from(["attempted", "required"]),
        hold_s=st.sampled_from([0.0, 2.0, 35.0]),
        delivery=st.sampled_from(["once", "replay"]),
        round_trip_s=st.sampled_from([0.001, 0.3]),
    )
