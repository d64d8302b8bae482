"""A fake server and a manager with many accounts on it: what the tests of the manager start from."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from sessionfsm import Health, Policy, Record, RecordMonitor, SessionManager
from sessionfsm.session import Observer
from sessionfsm.store import run_inline
from sessionfsm.testing import Exchange, FakeAccount, FakeServer
from sessionfsm.testing.judge import judge_wire

from .world import URL


def token_of(number: int) -> str:
    """The token of the account of this number; made up."""
    return f"{number:012x}@im.bot:00112233445566778899aabbccddeeff"


def name_of(number: int) -> str:
    """What that account is called."""
    return f"{number:012x}@im.bot"


@dataclass
class FleetWorld:
    """What a test looks at."""

    server: FakeServer
    manager: SessionManager
    policy: Policy
    renewals_per_s: float
    monitors: list[RecordMonitor] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    most: int = 0

    def account(self, number: int) -> FakeAccount:
        """The server's side of an account."""
        return self.server.account(token_of(number))

    def add(self, *numbers: int) -> list[str]:
        """Keep accounts by their tokens."""
        self.most += len(numbers)
        return [self.manager.add(token_of(number), base_url=URL) for number in numbers]

    def requests(self, endpoint: str | None = None, number: int | None = None) -> list[Exchange]:
        return self.server.log.requests(endpoint, None if number is None else name_of(number))

    def health(self, number: int) -> Health:
        return self.manager.health(name_of(number))

    @property
    def queue_s(self) -> float:
        """How long the line can be."""
        return max(self.most, len(self.manager.accounts)) / self.renewals_per_s

    async def until(self, is_so: Callable[[], object], limit_s: float = 3600.0) -> float:
        """Wait until it is so; return the time."""
        with anyio.fail_after(limit_s):
            while not is_so():  # noqa: ASYNC110 - nobody sets an event for it
                await anyio.sleep(0.05)
        return anyio.current_time()

    async def until_ready(self, count: int | None = None) -> float:
        """Wait until so many sessions are ready, by default all."""
        return await self.until(
            lambda: self.manager.status().ready == (len(self.manager.accounts) if count is None else count)
        )


@asynccontextmanager
async def fleet(
    count: int = 0,
    *,
    server: FakeServer | None = None,
    policy: Policy | None = None,
    renewals_per_s: float = 200.0,
    observers: Callable[[str], list[Observer]] | None = None,
    judged: bool = True,
    **options: Any,
) -> AsyncIterator[FleetWorld]:
    """A running manager with *count* accounts. When the block is left, what was broken on the wire is found."""
    policy = policy or Policy()
    server = server or FakeServer(hold_s=20.0)
    monitors: list[RecordMonitor] = []
    records: list[Record] = []

    def watched(account: str) -> list[Observer]:
        monitors.append(RecordMonitor(policy, late_s=5.0 + made.queue_s))
        return [monitors[-1], records.append, *(observers(account) if observers is not None else [])]

    async with httpx.AsyncClient(transport=server.transport(round_trip_s=0.001)) as http:
        if "writer" not in options:
            options.setdefault("run_store", run_inline)
        manager = SessionManager(
            http=http,
            policy=policy,
            renewals_per_s=renewals_per_s,
            observers=watched,
            **options,
        )
        made = FleetWorld(server, manager, policy, renewals_per_s, monitors, records)
        made.add(*range(count))
        async with manager:
            yield made
    assert manager.accounts == []
    if judged:
        for account in server.accounts:
            log = server.log.session_requests(account.name)
            assert judge_wire(log, policy, slack_s=1e-6, own_s=made.queue_s).violations == ()
    assert [violation for monitor in monitors for violation in monitor.violations] == []
    assert not any(entry.deviations or entry.overlapping for entry in server.log)
