"""What a session costs while nothing happens, and the gate before new beginnings."""

import anyio
import pytest

from sessionfsm import MemoryStore, Message
from sessionfsm.testing import faults

from .world import tasks, world

pytestmark = pytest.mark.anyio


def workers() -> int:
    """How many tasks deliver messages, besides the one that has called ``deliver``."""
    return sum("_further" in (task.name or "") for task in anyio.get_running_tasks())


async def test_a_quiet_session_has_one_worker_and_a_busy_one_as_many_as_it_may() -> None:
    """Ten thousand quiet sessions are not a hundred and sixty thousand tasks; when the rush is over, workers end."""
    running = most = 0

    async def handler(_message: Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(1)
        running -= 1

    async with world() as w, tasks() as group:

        async def deliver() -> None:
            await w.session.deliver(handler, at_once=8)

        group.start_soon(deliver)
        await w.until_polling_well()
        assert workers() == 0
        for number in range(40):
            w.account.push(sender=f"user{number}@im.wechat")
        await w.until(lambda: running == 8)
        assert workers() == 7
        await w.until(lambda: not w.session.health().in_hand and not running)
        await anyio.sleep(2)
        assert workers() <= 2
        for _ in range(5):  # one message at a time starts no more of them
            w.account.push()
            await anyio.sleep(3)
        assert workers() <= 2
        await w.session.stop()
    assert most == 8


async def test_every_message_finds_a_worker_when_all_that_wait_are_woken_late() -> None:
    """Messages that come while the idle worker has just taken one, and those that come again, are not forgotten."""
    store = MemoryStore()
    failed: set[str] = set()
    done: list[str] = []

    async def handler(message: Message) -> None:
        await anyio.sleep(0.01)
        if message.text not in failed:
            failed.add(message.text)
            raise ValueError
        done.append(message.text)

    async with world(store=store) as w, tasks() as group:
        group.start_soon(w.session.deliver, handler)
        await w.until_polling_well()
        for number in range(50):
            w.account.push(f"{number}", sender=f"user{number % 9}@im.wechat")
            await anyio.sleep(0.005)
        await w.until(lambda: len(done) == 50)
        assert store.pending(w.account.name) == []
        await w.session.stop()


async def test_a_worker_that_ends_leaves_its_senders_next_message_to_another() -> None:
    """Two others wait already, so it is not needed any more; what came meanwhile behind its own message is."""
    release = {name: anyio.Event() for name in "abc"}
    done: list[str] = []

    async def handler(message: Message) -> None:
        if message.text in release:
            await release[message.text].wait()
        done.append(message.text)

    async with world() as w, tasks() as group:
        group.start_soon(w.session.deliver, handler)
        await w.until_polling_well()
        for name in release:
            w.account.push(name, sender=name)
        await w.until(lambda: w.session.health().in_hand == 3)
        w.account.push("behind c", sender="c")
        await anyio.sleep(1)
        for name in release:
            release[name].set()
            await anyio.sleep(1)
        assert done == ["a", "b", "c", "behind c"]
        await w.session.stop()


async def test_the_gate_is_asked_before_what_begins_anew_and_no_deadline_runs_meanwhile() -> None:
    """Renewals, polls on a new connection, the goodbye; not the polls of a session that is well, and no sends."""
    asked: list[str] = []

    async def gate(base_url: str) -> None:
        asked.append(base_url)
        await anyio.sleep(60)  # far longer than a renewal may take

    async with world(gate=gate, late_s=65.0) as w:
        await w.until_polling_well()
        assert len(asked) == 1
        await w.session.send_text("user@im.wechat", "hello")
        for _ in range(5):
            await w.until_polling_well()
        assert len(asked) == 1
        w.account.expire(answer_held=True)
        await w.until(lambda: len(asked) == 2)
        await w.until_polling_well()
        renewed = [record for record in w.records if record.trigger == "session_renewed"]
        assert len(renewed) == 2
        assert all(record.held_s is not None and record.held_s < 1 for record in renewed)
        w.server.apply(faults.Reset(endpoint="getupdates", held_s=15))
        await w.until(lambda: len(asked) == 3)
        await w.until_polling_well()
        assert not any(record.trigger in ("renewal_failed", "poll_failed") for record in w.records)
    assert len(asked) == 4
    assert w.requests("notifystop") == []  # nobody waits a minute for a goodbye
