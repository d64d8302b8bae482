"""A fake server, an HTTP client to it in memory, and sessions: what every test of the driver starts from."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc
import httpx

from sessionfsm import Policy, Record, RecordMonitor, Session
from sessionfsm.testing import Exchange, FakeAccount, FakeServer
from sessionfsm.testing.judge import WireVerdict, judge_wire

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"
OTHER_TOKEN = "ffeeddccbbaa@im.bot:ffeeddccbbaa99887766554433221100"
URL = "http://127.0.0.1:9"


@dataclass
class World:
    """What a test looks at. The server's log is the evidence; the records are our own account of it."""

    server: FakeServer
    http: httpx.AsyncClient
    policy: Policy
    account: FakeAccount
    session: Session
    monitor: RecordMonitor
    records: list[Record] = field(default_factory=list)

    @property
    def log(self) -> list[Exchange]:
        return self.server.log.session_requests(self.account.name)

    @property
    def losses(self) -> list[Exchange]:
        """Polls that were answered -14."""
        return [entry for entry in self.log if entry.code == -14 and entry.endpoint == "getupdates"]

    def next_after(self, entry: Exchange) -> Exchange | None:
        """The session request that follows *entry*, if there is one yet."""
        return next((other for other in self.log if other.number > entry.number), None)

    def requests(self, endpoint: str, since: float = 0.0) -> list[Exchange]:
        return [entry for entry in self.server.log.requests(endpoint, self.account.name) if entry.started_s >= since]

    def verdict(self) -> WireVerdict:
        return judge_wire(self.log, self.policy, slack_s=1e-6)

    async def until(self, condition: Callable[[], object], limit_s: float = 3600.0) -> float:
        """Wait until the condition holds; return the time."""
        with anyio.fail_after(limit_s):
            while not condition():
                with anyio.move_on_after(0.5):
                    await self.server.log.wait_changed()
                # What was noted on the wire has to reach the session before it shows there.
                await anyio.sleep(0.001)
        return anyio.current_time()

    async def until_polling_well(self) -> None:
        """Wait until a good poll has ended, so that the session is trusted, and the next poll is out."""
        good = len([entry for entry in self.log if entry.good and entry.ended_s is not None])
        await self.until(lambda: len([e for e in self.log if e.good and e.ended_s is not None]) > good)
        await self.until(lambda: self.log[-1].endpoint == "getupdates" and self.log[-1].ended_s is None)


@asynccontextmanager
async def tasks() -> AsyncIterator[anyio.abc.TaskGroup]:
    """A task group whose block must come to its end: one that a delivery has cancelled would look like success."""
    reached = False
    async with anyio.create_task_group() as group:
        yield group
        reached = True
    assert reached


@asynccontextmanager
async def world(
    *,
    token: str = TOKEN,
    policy: Policy | None = None,
    server: FakeServer | None = None,
    store_fails: bool = False,
    late_s: float = 5.0,
    setup: Callable[[FakeServer, FakeAccount], None] | None = None,
    **options: Any,
) -> AsyncIterator[World]:
    """A running session. When the block is left, nothing that was broken on the wire goes unnoticed."""
    policy = policy or Policy()
    server = server or FakeServer(hold_s=20.0)
    account = server.account(token)
    if setup is not None:
        setup(server, account)
    async with httpx.AsyncClient(transport=server.transport(round_trip_s=0.001)) as http:
        monitor, records = RecordMonitor(policy, late_s=late_s), []
        session = Session(
            token=token, base_url=URL, http=http, policy=policy, observers=[monitor, records.append], **options
        )
        made = World(server, http, policy, account, session, monitor, records)
        async with session:
            yield made
    if not store_fails:  # then nothing is fetched, for as long as the trouble lasts (R10): silence is what is promised
        assert made.verdict().violations == ()
    assert monitor.violations == []
    assert not any(entry.deviations for entry in server.log)
    assert not any(entry.overlapping for entry in server.log)
