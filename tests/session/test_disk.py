"""A session on a disk that is in trouble: it pauses and says so, loses nothing, and goes on by itself (R10)."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from sessionfsm import Message, SQLiteStore, State
from sessionfsm.store import run_inline
from sessionfsm.store.locks import AccountLocks
from sessionfsm.testing import FakeServer

from .world import world

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


@contextmanager
def full(path: Path, store: SQLiteStore) -> Iterator[None]:  # noqa: ARG001
    """No page more may be used: what SQLite says then is what it says when the disk is full."""
    connection = store._database._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    connection.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def locked(path: Path, store: SQLiteStore) -> Iterator[None]:  # noqa: ARG001
    """Another program writes, and does not come to an end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def deleted(path: Path, store: SQLiteStore) -> Iterator[None]:  # noqa: ARG001
    """Somebody tidies up, and puts a folder in its place, so that it cannot be put back at once."""
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    path.mkdir()
    yield
    path.rmdir()


@contextmanager
def out_of_reach(path: Path, store: SQLiteStore) -> Iterator[None]:  # noqa: ARG001
    """The permission to enter the folder is taken away."""
    path.parent.chmod(0o000)
    yield
    path.parent.chmod(0o700)


TROUBLES = [full, locked, deleted]


async def live_through(trouble: Callable[..., object], path: Path) -> None:
    """A session meets the trouble while messages come; in the end each was handled once, and polling was paused."""
    store = SQLiteStore(path, locks=AccountLocks(path.parent.parent / "locks"), busy_s=0.0)
    handled: list[str] = []

    async def handler(message: Message) -> None:
        handled.append(message.text)

    options = {"store": store, "run_store": run_inline, "store_fails": True}
    try:
        async with (
            world(server=FakeServer(hold_s=5.0, delivery="once"), **options) as w,
            anyio.create_task_group() as group,
        ):
            group.start_soon(w.session.deliver, handler)
            await w.until_polling_well()
            w.account.push("before " + "x" * 5000)
            await w.until(lambda: len(handled) == 1)
            await anyio.sleep(1)
            with trouble(path, store):  # type: ignore[attr-defined]
                w.account.push("during " + "x" * 50_000)
                await w.until(lambda: w.session.state == State.BACKOFF)
                health = w.session.health()
                assert health.storage, trouble
                assert health.reason.startswith("storage")
                assert health.uncommitted == 1
                assert not health.ready
                polls = len(w.requests("getupdates"))
                w.account.push("meanwhile")
                await anyio.sleep(300)
                assert len(w.requests("getupdates")) == polls
                assert (await w.session.send_text("user@im.wechat", "hi")).confirmed  # R2
            await w.until(lambda: len(handled) == 3)
            await w.until_polling_well()
            assert w.session.health().storage == ""
            await w.session.stop()
        assert [text.partition(" ")[0] for text in handled] == ["before", "during", "meanwhile"]
        assert store.pending(w.account.name) == []
    finally:
        store.close()


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_trouble_pauses_polling_loses_nothing_and_passes(trouble: Callable[..., object], tmp_path: Path) -> None:
    """The server hands each message out once: what could not be committed is nowhere but in memory, and is kept."""
    await live_through(trouble, tmp_path / "data" / "store.db")


DROPPED = """
import os, pathlib, sys
from sessionfsm.testing import run
from tests.session.test_disk import full, live_through, out_of_reach

folder = pathlib.Path(sys.argv[1])
for trouble in (full, out_of_reach):
    for backend in ("asyncio", "trio"):
        run(live_through, trouble, folder / trouble.__name__ / backend / "data" / "store.db", backend=backend)
    if os.geteuid() == 0:  # everything is imported by now: root's Python need not be there for others
        os.chown(folder, 65534, 65534)
        os.chdir(folder)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
print("lived through it")
"""


def test_permissions_that_are_taken_away_pause_polling_until_they_are_given_back() -> None:
    """In a process of a user for whom permissions mean something."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are root's alone
        os.chmod(folder, 0o755)
        done = subprocess.run(
            [sys.executable, "-B", "-c", DROPPED, folder], capture_output=True, text=True, timeout=60, cwd=ROOT
        )
    assert done.stdout == "lived through it\n", done.stderr


async def test_a_deleted_store_is_put_back_with_all_that_was_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The messages that nobody has handled yet are handled by the next process, from the file that was put back."""
    path = tmp_path / "data" / "store.db"
    locks = AccountLocks(tmp_path / "locks")
    server = FakeServer(hold_s=5.0, delivery="once")
    store = SQLiteStore(path, locks=locks)
    async with world(server=server, store=store, run_store=run_inline, store_fails=True) as w:
        await w.until_polling_well()
        for number in range(20):
            w.account.push(f"{number}")
        await w.until_polling_well()
        for each in path.parent.glob("*"):
            each.unlink()
        path.parent.rmdir()
        w.account.push("20")
        await w.until(lambda: w.session.state == State.BACKOFF)
        await w.until_polling_well()
    store.close()
    assert "was deleted while it was open; put back" in caplog.text
    again = SQLiteStore(path, locks=locks)
    texts: list[str] = []
    async with world(server=server, store=again, run_store=run_inline) as w:
        async for message in w.session:
            texts.append(message.text)
            if len(texts) == 21:
                await w.session.stop()
    again.close()
    assert texts == [f"{number}" for number in range(21)]
