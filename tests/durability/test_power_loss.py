"""A power failure, as far as it can be shown: a real bot under strace, and what its disk may hold at any instant."""

from __future__ import annotations

import base64
import json
import logging
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import pytest

from sessionfsm import SQLiteStore
from sessionfsm.testing import FakeServer

from .bot import Order, text_of
from .campaign import ROOT
from .judge import read_diary
from .power import STRACE, Call, Disk, judge_order, polls, read_trace, wal_syncs

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"
ACCOUNT = "0a1b2c3d4e5f@im.bot"
HOLD_S = 1.0  # a poll that was held a second is an ordinary one, and is followed by the next at once


def _why_not() -> str:
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, timeout=20, check=False)
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.decode()[-200:]}"


WHY_NOT = _why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@dataclass
class Traced:
    """A run that was traced. *idle_polls* and *idle_syncs* were made while nobody wrote."""

    folder: Path
    calls: list[Call]
    idle_polls: int
    idle_syncs: int

    @property
    def diary(self) -> str:
        return str(self.folder / "diary")


async def traced(folder: Path, *, kind: str = "ours", rounds: int = 40, idle_s: float = 0.0) -> Traced:
    """Run a bot under strace; users write in bursts, each after the poll that follows the one before."""
    server = FakeServer(hold_s=HOLD_S)
    account, draw, number = server.account(TOKEN), random.Random(0), 0
    async with server.listen() as listening:
        order = Order(
            life=1,
            token=TOKEN,
            url=listening.url,
            store=str(folder / "data" / "store.db"),
            locks=str(folder / "locks"),
            diary=str(folder / "diary"),
            seed=0,
            kind=kind,
        )
        trace = folder / "trace"
        process = await anyio.open_process(
            [*STRACE, "-o", str(trace), sys.executable, "-m", f"{__package__}.alone", json.dumps(asdict(order))],
            stdin=subprocess.PIPE,
            stdout=None,
            stderr=None,
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            with anyio.fail_after(60):

                async def next_poll() -> None:
                    """Wait until a poll is out after everything was handed out."""
                    while account.unread or not _polls_on(server):
                        await server.log.wait_changed()

                await next_poll()
                for _ in range(rounds):
                    for _ in range(draw.choice((1, 2, 40, 60))):
                        number += 1
                        account.push(text_of(number), sender=f"{draw.randrange(6)}@im.wechat")
                    await next_poll()
                idle_polls = idle_syncs = 0
                if idle_s:
                    while _marked(folder / "diary") < number:  # noqa: ASYNC110 - another process marks them
                        await anyio.sleep(0.05)
                    idle_polls, idle_syncs = len(server.log.requests("getupdates")), trace.read_text().count("sync(")
                    await anyio.sleep(idle_s)
                    idle_polls = len(server.log.requests("getupdates")) - idle_polls
                    idle_syncs = trace.read_text().count("sync(") - idle_syncs
                assert process.stdin is not None
                await process.stdin.aclose()
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            await process.aclose()
    return Traced(folder, read_trace(trace.read_text()), idle_polls, idle_syncs)


def _polls_on(server: FakeServer) -> bool:
    requests = server.log.requests("getupdates")
    return bool(requests) and requests[-1].ended_s is None and not requests[-1].answer


def _marked(diary: Path) -> int:
    return sum(len(line.numbers) for line in read_diary(diary.read_text()) if line.word == "marked")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    async def run() -> Traced:
        return await traced(tmp_path_factory.mktemp("traced"), idle_s=6.0)

    return anyio.run(run)


def test_the_sync_has_returned_before_a_handler_begins_and_before_the_next_poll_is_written(ours: Traced) -> None:
    """R3: who polls again has said that the messages arrived, and by then they are on the disk, not in a cache."""
    assert len(polls(ours.calls)) == 40
    assert judge_order(ours.calls, ours.diary) == []


def test_without_the_sync_of_any_one_batch_it_would_be_found_out(ours: Traced) -> None:
    """Each batch needs a sync of its own: a run in which that of one of them is left out does not pass."""
    syncs, needed = wal_syncs(ours.calls), 0
    for poll in polls(ours.calls):
        # A commit that moves the log into the database syncs it twice.
        its = {id(sync) for sync in syncs if poll.answered < sync.begin < poll.sent}
        needed += bool(judge_order([call for call in ours.calls if id(call) not in its], ours.diary))
    assert needed == 40


@pytest.mark.parametrize("kind", ["unsynced", pytest.param("never synced", marks=pytest.mark.slow)])
def test_a_store_that_does_not_sync_is_found_out(tmp_path: Path, kind: str) -> None:
    """SQLite with `synchronous=NORMAL` is what many take: it survives kill -9, and a power failure takes messages."""

    async def run() -> Traced:
        return await traced(tmp_path, kind=kind, rounds=3)

    found = anyio.run(run)
    wrong = judge_order(found.calls, found.diary)
    assert len([words for words in wrong if words.startswith("the poll")]) == 3
    assert any(words.startswith("the handler") for words in wrong)
    kept = kept_after_failures(found, tmp_path, instants=0)
    assert any(missing for missing, _ in kept)


def test_idle_polls_cost_no_sync_each(ours: Traced) -> None:
    """Every poll brings a fresh cursor; with no messages they are written together, once in five seconds at most."""
    assert ours.idle_polls >= 5
    assert ours.idle_syncs <= 2


def kept_after_failures(run: Traced, folder: Path, *, instants: int) -> list[tuple[set[int], set[int]]]:
    """
    Let the power fail at each poll that follows messages, and at so many other instants.

    Return for each failure what is missing: of what had been polled past, and of what the stored cursor leads past.
    """
    draw = random.Random(1)
    disk, found = Disk(run.folder / "data"), []
    due = sorted(poll.sent for poll in polls(run.calls))
    answers = sorted((poll.sent, poll.messages) for poll in polls(run.calls))
    last = run.calls[-1].end
    due = sorted([*due * 3, *(draw.randrange(last) for _ in range(instants))])
    for call in run.calls:
        while due and due[0] < call.end:
            line = due.pop(0)
            into = folder / f"after-{len(found)}"
            disk.fail(into, draw)
            promised = {number for sent, messages in answers if sent <= line for number in messages}
            found.append(_missing(into / "store.db", promised))
        disk.perform(call)
    return found


def _missing(path: Path, promised: set[int]) -> tuple[set[int], set[int]]:
    store = SQLiteStore(path)
    try:
        there = {_number(stored.body) for stored in store.messages(account=ACCOUNT, limit=10_000)}
        cursor = store.cursor(ACCOUNT)
    finally:
        store.close()
    position = 0 if cursor is None else int(base64.b64decode(cursor.reveal()).split()[0])
    return promised - there, set(range(1, position + 1)) - there


def _number(body: bytes) -> int:
    found = re.search(rb"#(\d+)#", body)
    assert found is not None
    return int(found[1])


def test_whatever_the_disk_holds_after_a_power_failure_nothing_is_missing(
    ours: Traced, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    What was synced is there, the rest in part, torn at sectors: every message that was polled past is in the store.

    And no stored cursor leads past a message that is not: the server would not hand it out again. Nor is a file ever
    taken for damaged.
    """
    caplog.set_level(logging.WARNING, "sessionfsm")
    failures = kept_after_failures(ours, tmp_path, instants=60)
    assert len(failures) >= 140
    assert [failure for failure in failures if failure != (set(), set())] == []
    assert caplog.records == []
    assert len(wal_syncs(ours.calls)) >= 40
    first = polls(ours.calls)[0].sent
    checkpoints = [c for c in ours.calls if c.name == "pwrite64" and c.about.endswith("store.db") and c.begin > first]
    assert checkpoints, sum(c.about.endswith("-wal") for c in ours.calls)  # the log was copied into the file meanwhile
