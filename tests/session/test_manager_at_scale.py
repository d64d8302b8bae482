"""Many hundred sessions in one process, for minutes of trouble. Slow: ``pytest -m slow tests/session``."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from sessionfsm import Message, Session
from sessionfsm.testing import FakeServer, faults

from .fleet import fleet
from .test_limiter import most_in_a_second

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

COUNT = 1200
MINUTES = 6


async def test_twelve_hundred_sessions_lose_nothing_in_minutes_of_trouble() -> None:
    """
    One in a hundred expires each minute, and once everything is reset: every message is handled once.

    P1, P8 and P6 with ``N / renewals_per_s`` hold on the wire of each (:func:`fleet` looks), there are never more than
    200 renewals a second, all are back in time, tasks do not become more with the minutes, and the end is in time.
    """
    server = FakeServer(hold_s=35.0)
    got: Counter[str] = Counter()
    tasks: list[int] = []

    async def handler(session: Session, message: Message) -> None:
        got[f"{session.account} {message.text}"] += 1

    async with fleet(COUNT, server=server) as w, anyio.create_task_group() as group:
        group.start_soon(w.manager.deliver, handler)
        await w.manager.wait_started()
        assert anyio.current_time() <= COUNT / 200 + 1
        await w.until_ready()
        sent = 0
        for minute in range(MINUTES):
            for number in range(minute, COUNT, 100):
                w.account(number).expire(answer_held=True)
            for number in range(minute, COUNT, 7):
                w.account(number).push(f"minute {minute}")
                sent += 1
            if minute == 3:
                server.apply(faults.Outage(for_s=0.01))
            await anyio.sleep(60)
            assert w.manager.status().ready == COUNT
            tasks.append(len(anyio.get_running_tasks()))
        assert len(got) == sent
        assert set(got.values()) == {1}
        began = anyio.current_time()
        await w.manager.stop()
        assert anyio.current_time() - began <= w.policy.drain_deadline_s + 0.1
    assert most_in_a_second([entry.started_s for entry in w.requests("notifystart")]) <= 200
    # A session that has had a message has a spare worker, or two.
    assert tasks[0] <= tasks[-1] <= tasks[0] + 2 * COUNT
    assert tasks[-1] <= COUNT * 8
