"""A whole server as data, and the life of a real session under it in virtual time: what happened, and the verdict."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import anyio
import httpx

from sessionfsm.errors import ILinkError
from sessionfsm.lifecycle import Machine, Own, Policy
from sessionfsm.session import RecordMonitor, Session
from sessionfsm.testing.account import Delivery
from sessionfsm.testing.bench import BENCH_TOKEN, BENCH_URL
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.judge import WireVerdict, judge_wire
from sessionfsm.testing.server import FakeServer
from sessionfsm.testing.virtual_time import Backend, run
from sessionfsm.testing.wirelog import Exchange

__all__ = ["ServerScript", "Trial"]

_SEND_EVERY_S = 97.0
_ROUNDING_S = 1e-6


@dataclass(frozen=True, kw_only=True)
class ServerScript:
    """
    What a server is like, and everything that goes wrong on it.

    Attributes:
        schedule: The faults, each at its ``at_s``.
        hold_s: How long it holds a poll.
        delivery: Whether it honours the cursor; see :class:`~sessionfsm.testing.FakeServer`.
        round_trip_s: How far away it is.
    """

    schedule: tuple[Fault, ...] = ()
    hold_s: float = 35.0
    delivery: Delivery = "replay"
    round_trip_s: float = 0.01

    def server(self) -> FakeServer:
        """Return a new server that is like this; its faults are to be played."""
        return FakeServer(hold_s=self.hold_s, delivery=self.delivery)


class Trial:
    """
    A session under one server, while somebody sends all the time.

    Args:
        script: The server.
        machine: What the session runs on; the default machine if absent.
        choices: What operations of the machine's own report, one number after the other and from the front again: an
            index into their outcomes, or one that is none of them for an error. Empty: always an error.

    Attributes:
        server: The fake server, and its log.
        monitor: What the session's own records say.
        attempts: When sends were tried.
        log: The session's requests, after :meth:`live`.
        ready: Whether the session was polling well at the end, or could not be.
    """

    def __init__(self, script: ServerScript, machine: Machine | None = None, choices: Sequence[int] = ()) -> None:
        self.script = script
        self.machine = machine if machine is not None else Machine(Policy())
        self.server = script.server()
        self.account = self.server.account(BENCH_TOKEN)
        self.monitor = RecordMonitor(self.machine)
        self.attempts: list[float] = []
        self.log: list[Exchange] = []
        self.ready = False
        self._choices = cycle(choices or (-1,))

    def __repr__(self) -> str:
        return f"Trial({self.script!r})"

    @property
    def policy(self) -> Policy:
        """The figures that the session runs on."""
        return self.machine.policy

    def live(self, backend: Backend = "asyncio") -> None:
        """Play the script to its end in virtual time, and go on for as long as a session may need to be well again."""
        run(self._live, backend=backend)
        self.log = self.server.log.session_requests(self.account.name)

    def verdict(self) -> WireVerdict:
        """Judge what was on the wire."""
        return judge_wire(self.log, self.policy, slack_s=_ROUNDING_S, own_s=self.machine.table.own_s)

    def late_sends(self) -> list[float]:
        """
        Return when sends were tried that did not go out at once.

        At once is the moment they were tried, or when the one before had ended.
        """
        sends = self.server.log.requests("sendmessage")
        if len(sends) != len(self.attempts):
            return self.attempts
        ends = [0.0, *(entry.ended_s or entry.started_s for entry in sends)]
        return [
            tried
            for tried, entry, before in zip(self.attempts, sends, ends, strict=False)
            if entry.started_s > max(tried, before) + self.script.round_trip_s + _ROUNDING_S
        ]

    async def _live(self) -> None:
        async with (
            httpx.AsyncClient(transport=self.server.transport(round_trip_s=self.script.round_trip_s)) as http,
            Session(
                token=BENCH_TOKEN,
                base_url=BENCH_URL,
                http=http,
                machine=self.machine,
                operations={order.name: self._perform for order in self.machine.table.performed},
                observers=[self.monitor],
            ) as session,
            anyio.create_task_group() as group,
        ):
            group.start_soon(self._send_now_and_then, session)
            group.start_soon(_read, session)
            await self.server.play(self.script.schedule)
            # What is still in the way strikes a few requests more; then comes the longest resumption.
            await anyio.sleep(max(1800.0, 3 * self.policy.resumption_bound_s))
            self.ready = session.health().ready or self.account.state == "taken_over"
            group.cancel_scope.cancel()

    async def _send_now_and_then(self, session: Session) -> None:
        while True:
            self.attempts.append(anyio.current_time())
            with contextlib.suppress(ILinkError):
                await session.send_text("user@im.wechat", f"{len(self.attempts)}")
            await anyio.sleep(_SEND_EVERY_S)

    async def _perform(self, command: Own) -> str:
        choice = next(self._choices)
        if not 0 <= choice < len(command.outcomes):
            raise RuntimeError(f"the operation {command.name!r} is made to fail")
        return command.outcomes[choice]


async def _read(session: Session) -> None:
    async for _ in session:
        pass
