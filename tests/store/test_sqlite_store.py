"""The SQLite store: its file, its layout, what it forgets, and how much of it a call touches."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sessionfsm import DefinitionError, MessageState, Secret, SQLiteStore, StorageFull, StoreError
from sessionfsm.store import Batch, Incoming, sqlite_file, sqlite_room, sqlite_rows

from .kit import DAY, A, B, Clock, batch, incoming, of, rows, sqlite_store

PARKED = MessageState.PARKED


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[SQLiteStore]:
    made = sqlite_store(tmp_path, clock)
    yield made
    made.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def numbers(store: SQLiteStore, account: str = A) -> list[int]:
    return [stored.number for stored in store.pending(account, limit=10_000)]


def finish(store: SQLiteStore, account: str = A) -> None:
    store.done(numbers(store, account))


def counted(store: SQLiteStore) -> None:
    """Assert that the counters say what is there."""
    counters = "SELECT name, messages, bytes FROM account ORDER BY name"
    really = f"""
        SELECT name, count(number), coalesce(sum({sqlite_room.SIZE}), 0)
        FROM account LEFT JOIN message ON message.account = account.id GROUP BY name ORDER BY name
    """
    assert rows(store.path, counters) == rows(store.path, really)


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Nobody else can read messages or cursors, not in the file, its log, its index, nor its folder."""
    folder = tmp_path / "new" / "er"
    before = os.umask(umask)
    try:
        store = sqlite_store(folder)
        store.commit([batch("1")])
        for name in ("store.db", "store.db-wal", "store.db-shm"):
            assert mode(folder / name) == 0o600, name
        assert mode(folder) == mode(folder.parent) == 0o700
        store.close()
    finally:
        os.umask(before)
    for path in folder.iterdir():
        assert not mode(path) & 0o077, path


def test_a_file_that_others_can_read_is_refused_and_says_what_to_write(tmp_path: Path) -> None:
    """A copy that was made carelessly is noticed before anything is written to it."""
    with closing(sqlite_store(tmp_path)) as store:
        store.commit([batch("1")])
    store.path.chmod(0o640)
    before = store.path.read_bytes()
    with closing(sqlite_store(tmp_path)) as again:
        with pytest.raises(StoreError, match=f"write: chmod 600 {store.path}"):
            again.open()
        assert store.path.read_bytes() == before
        store.path.chmod(0o600)
        assert len(again.pending(A)) == 1


def test_everything_is_there_after_the_store_was_closed(tmp_path: Path) -> None:
    """Another run finds what this one committed, and nothing of what it marked done."""
    with closing(sqlite_store(tmp_path)) as store:
        (committed,) = store.commit([of(incoming("1", token="t"), incoming("2"), cursor="c")])
        store.done([committed.new[0].number])
    with closing(sqlite_store(tmp_path)) as again:
        assert again.pending(A) == [committed.new[1]]
        assert (again.cursor(A), again.context_token(A, "u@im.wechat")) == (Secret("c"), Secret("t"))
        assert again.commit([batch("1", "2")])[0].new == ()


def test_two_stores_on_one_file_see_each_other(tmp_path: Path) -> None:
    """The command line and a run use the same file at the same time, and a retry is noticed by who did not make it."""
    with closing(sqlite_store(tmp_path)) as store, closing(sqlite_store(tmp_path)) as other:
        (committed,) = store.commit([batch("1", "2")])
        assert numbers(other) == [m.number for m in committed.new]
        store.failed(committed.new[0].number, "x", park=True)
        store.changed()
        assert not store.changed()
        opened = other.retry(committed.new[0].number)
        assert (store.changed(), store.changed()) == (True, False)
        assert store.pending(A)[-1] == opened
        counted(store)


def test_many_threads_may_call_at_once(store: SQLiteStore) -> None:
    """Each call is whole, and none gets in another's way."""
    found: list[int] = []

    def work(name: str) -> None:
        for n in range(20):
            (committed,) = store.commit([batch(f"{name}{n}", "shared")])
            found.extend(m.number for m in committed.new)
            store.done([m.number for m in committed.new])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 81
    assert store.pending(A) == []
    counted(store)


def test_a_closed_store_says_so_and_can_be_closed_again(tmp_path: Path) -> None:
    """Nothing is half open: every call after the end is refused, and locks are free."""
    store = sqlite_store(tmp_path)
    store.acquire(A)
    store.close()
    store.close()
    calls = (
        lambda: store.commit([]),
        lambda: store.cursor(A),
        lambda: store.open(),
        lambda: store.done([]),
        lambda: store.acquire(A),
    )
    for call in calls:
        with pytest.raises(StoreError, match="the store is closed"):
            call()
    with closing(sqlite_store(tmp_path)) as other:
        other.acquire(A)


def test_who_only_looks_makes_nothing(tmp_path: Path) -> None:
    """`sessionfsm inbox list` with a mistyped path leaves no file behind."""
    with closing(sqlite_store(tmp_path / "typo")) as store:
        with pytest.raises(StoreError, match="there is no store at"):
            store.open(heal=False)
        with pytest.raises(StoreError, match="there is no store at"):
            store.messages()
    assert list(tmp_path.iterdir()) == []


def test_who_only_looks_can_look_and_retry(tmp_path: Path) -> None:
    """At a store that is there, the inbox commands work."""
    with closing(sqlite_store(tmp_path)) as store, closing(sqlite_store(tmp_path)) as looking:
        (committed,) = store.commit([batch("1")])
        store.failed(committed.new[0].number, "x", park=True)
        looking.open(heal=False)
        (parked,) = looking.messages(states=[PARKED])
        assert looking.retry(parked.number).attempts == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep_s": DAY - 1}, "keep_s=86400"),
        ({"keep_s": float("nan")}, "keep_s=86400"),
        ({"max_messages": 0}, "at least 1"),
        ({"max_bytes": 0}, "at least 1"),
        ({"busy_s": -1.0}, "from 0 to 60"),
    ],
)
def test_options_that_would_lose_messages_are_refused(tmp_path: Path, options: dict[str, float], words: str) -> None:
    """A message may come again for a day, so that its key is kept for a day at least."""
    with pytest.raises(DefinitionError, match=words):
        SQLiteStore(tmp_path / "store.db", **options)  # type: ignore[arg-type]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, or a device, is no place for a store."""
    (tmp_path / "store.db").mkdir()
    with closing(sqlite_store(tmp_path)) as store, pytest.raises(StoreError, match="is not a file"):
        store.open()
    with closing(SQLiteStore("/dev/null")) as store, pytest.raises(StoreError, match="is not a file"):
        store.open()


def test_the_store_at_the_end_of_a_link_is_used(tmp_path: Path) -> None:
    """A link to another disk stays a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "store.db").symlink_to(tmp_path / "disk" / "real.db")
    with closing(sqlite_store(tmp_path)) as store:
        store.commit([batch("1")])
    assert (tmp_path / "store.db").is_symlink()
    assert (tmp_path / "disk" / "real.db").stat().st_size > 0


# --- versions --------------------------------------------------------------------------------------------------------


def test_a_newer_file_is_refused_politely(tmp_path: Path) -> None:
    """Going back to an older sessionfsm harms nothing: it says which versions, and the ways out."""
    with closing(sqlite_store(tmp_path)) as store:
        store.commit([batch("1")])
    with closing(sqlite3.connect(store.path)) as database:
        database.execute("PRAGMA user_version = 9")
    with closing(sqlite_store(tmp_path)) as again:
        with pytest.raises(StoreError, match=r"version 9, this sessionfsm knows up to 1; update .* another --store"):
            again.commit([batch("2")])
        assert rows(store.path, "SELECT count(*) FROM message") == [(1,)]


NEXT = (*sqlite_file.STEPS, ("ALTER TABLE message ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'",))


def test_an_older_file_is_brought_up_to_date_and_keeps_what_it_has(tmp_path: Path) -> None:
    """The next version is one more step; whoever only looks leaves the file as it is."""
    with closing(sqlite_store(tmp_path)) as store:
        store.commit([batch("1")])
    with pytest.raises(StoreError, match="has version 1, not 2"):
        sqlite_file.open_file(store.path, busy_s=1, make=False, steps=NEXT)
    with closing(sqlite_file.open_file(store.path, busy_s=1, make=True, steps=NEXT)[0]) as database:
        assert database.execute("SELECT colour FROM message").fetchall() == [("red",)]
    with closing(sqlite_file.open_file(store.path, busy_s=1, make=True, steps=NEXT)[0]) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)
    with closing(sqlite_store(tmp_path)) as old, pytest.raises(StoreError, match="version 2"):
        old.open()


def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    """A full disk in the middle of an update leaves the old version, which the next try updates."""
    with closing(sqlite_store(tmp_path)) as store:
        store.commit([batch("1")])
    broken = (*sqlite_file.STEPS, (*NEXT[-1], "INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(StoreError):
        sqlite_file.open_file(store.path, busy_s=1, make=True, steps=broken)
    assert rows(store.path, "PRAGMA user_version") == [(1,)]
    with closing(sqlite_file.open_file(store.path, busy_s=1, make=True, steps=NEXT)[0]) as database:
        assert database.execute("SELECT count(colour) FROM message").fetchone() == (1,)


@pytest.mark.parametrize("wal", [False, True])
@pytest.mark.parametrize("kind", [0, 7])
def test_the_database_of_another_program_is_left_alone(tmp_path: Path, kind: int, wal: bool) -> None:
    """A --store that names somebody else's database is refused, and not a byte of it changes."""
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE bookmarks (url)")
        database.execute(f"PRAGMA application_id = {kind}")
        if wal:
            database.execute("PRAGMA journal_mode = WAL")
    path.chmod(0o600)
    before = path.read_bytes()
    with closing(sqlite_store(tmp_path)) as store, pytest.raises(StoreError, match="belongs to another program"):
        store.commit([batch("1")])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["store.db"]


def test_what_others_can_read_is_not_set_aside_as_damaged(tmp_path: Path) -> None:
    """A --store that names a text file leaves the text where it is."""
    path = tmp_path / "store.db"
    path.write_text("shopping list\n" * 100)
    path.chmod(0o644)
    with closing(sqlite_store(tmp_path)) as store, pytest.raises(StoreError, match="chmod 600"):
        store.open()
    assert path.read_text().startswith("shopping list")
    assert [p.name for p in tmp_path.iterdir()] == ["store.db"]


def test_what_was_never_a_store_is_not_set_aside_as_damaged(tmp_path: Path) -> None:
    """A --store that names the token file, which nobody else can read either, leaves the token where it is."""
    path = tmp_path / "store.db"
    path.write_text("0a1b2c3d4e5f@im.bot:0123")
    path.chmod(0o600)
    with closing(sqlite_store(tmp_path)) as store, pytest.raises(StoreError, match="is not a store"):
        store.open()
    assert path.read_text() == "0a1b2c3d4e5f@im.bot:0123"
    assert [p.name for p in tmp_path.iterdir()] == ["store.db"]


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    """What was left by a process that was killed while it made the file, or made by `touch`, is used."""
    (tmp_path / "store.db").touch(mode=0o600)
    (tmp_path / "store.db").chmod(0o600)
    with closing(sqlite_store(tmp_path)) as store:
        assert len(store.commit([batch("1")])[0].new) == 1


def test_processes_that_make_the_file_at_the_same_moment_share_it(tmp_path: Path) -> None:
    """Whoever is first makes it; the others use it, and each message is new to one of them."""
    script = (
        "import sys; from pathlib import Path; from tests.store.kit import *\n"
        "store = sqlite_store(Path(sys.argv[1]), busy_s=30); sys.stdin.readline()\n"
        "print(len(store.commit([batch('1', sys.argv[2])])[0].new)); store.close()"
    )
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
        )
        for name in "abc"
    ]
    for process in processes:
        process.stdin.write("go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert sorted(answers) == ["1", "1", "2"]


# --- what is forgotten -----------------------------------------------------------------------------------------------


def test_a_step_of_the_time_of_day_between_runs_forgets_nothing_young(tmp_path: Path, clock: Clock) -> None:
    """A clock that was set back between two runs makes no message old, and none stays for ever."""
    with closing(sqlite_store(tmp_path, clock)) as store:
        store.commit([batch("1")])
        finish(store)
    clock.wall_s -= 3000 * DAY
    clock.steady_s = 5.0  # the machine was started again
    with closing(sqlite_store(tmp_path, clock)) as store:
        assert store.commit([batch("1")])[0].new == ()
        clock.pass_by(6.9 * DAY)
        assert store.commit([batch("1")])[0].new == ()
        clock.pass_by(0.2 * DAY)
        store.commit([batch("2")])
        assert len(store.commit([batch("1")])[0].new) == 1


def test_what_waits_is_never_forgotten(store: SQLiteStore, clock: Clock) -> None:
    """Open and parked messages stay until somebody has dealt with them."""
    store.commit([batch("1", "2")])
    one, two = numbers(store)
    store.failed(two, "x", park=True)
    clock.pass_by(400 * DAY)
    store.commit([batch("3")])
    assert numbers(store)[0] == one
    assert [m.number for m in store.messages(states=[PARKED])] == [two]


def test_old_messages_go_a_few_with_each_commit(store: SQLiteStore, clock: Clock) -> None:
    """A week's backlog is not forgotten in one long transaction, and not left lying either."""
    store.commit([batch(*(str(n) for n in range(500)))])
    finish(store)
    clock.pass_by(8 * DAY)
    store.commit([batch("new")])
    (left,) = rows(store.path, "SELECT count(*) FROM message")
    assert 400 < left[0] < 500
    for _ in range(60):
        store.commit([batch(cursor="c")])
    assert rows(store.path, "SELECT count(*) FROM message") == [(1,)]
    counted(store)


def test_accounts_that_get_no_messages_any_more_are_cleared_too(store: SQLiteStore, clock: Clock) -> None:
    """What a retired bot has left behind goes with the commits of others."""
    for n in range(5):
        store.commit([batch("1", account=f"old{n}")])
        finish(store, f"old{n}")
    clock.pass_by(8 * DAY)
    for _ in range(12):
        store.commit([batch(cursor="c", account=B)])
    assert rows(store.path, "SELECT count(*) FROM message") == [(0,)]
    counted(store)


def test_a_message_that_is_retried_is_remembered_from_then_on(store: SQLiteStore, clock: Clock) -> None:
    """Its week begins anew: it is not forgotten the moment its handler is done with it."""
    store.commit([batch("1")])
    store.failed(numbers(store)[0], "x", park=True)
    clock.pass_by(30 * DAY)
    store.retry(store.messages()[0].number)
    finish(store)
    store.commit([batch("2")])
    assert store.commit([batch("1")])[0].new == ()


def test_a_done_message_can_be_retried_until_its_body_is_gone(tmp_path: Path, clock: Clock) -> None:
    """A handler that was wrong can be run again; what has been emptied says so."""
    with closing(sqlite_store(tmp_path, clock, max_bytes=300)) as store:
        store.commit([batch("1", size=200)])
        finish(store)
        again = store.retry(store.messages()[0].number)
        assert again.body.startswith(b'{"k":"1"}')
        finish(store)
        store.commit([batch("2", size=200)])
        assert store.message(again.number).body == b""  # type: ignore[union-attr]
        with pytest.raises(StoreError, match="is kept no longer"):
            store.retry(again.number)
        counted(store)


def test_a_finished_message_of_a_retired_account_is_retried_for_its_successor(store: SQLiteStore) -> None:
    """Somebody polls for the successor; nobody would ever see it under the old name."""
    store.commit([batch("1", "2")])
    one, two = numbers(store)
    store.done([one])
    store.drop(two)
    store.retire(A, B)
    store.commit([batch("2", account="c@im.bot")])
    store.retire(B, "c@im.bot")
    for number in (one, two):
        assert store.retry(number).account == "c@im.bot"
    assert len(numbers(store, "c@im.bot")) == 3
    counted(store)
    store.retire("c@im.bot", A)  # the first bot is back
    assert len(numbers(store)) == 3
    counted(store)


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_at_the_bound_the_account_is_full_until_its_handlers_go_on(tmp_path: Path, clock: Clock) -> None:
    """Polling pauses, and says why and what to do; nothing of the batch is kept, nothing that is there is lost."""
    with closing(sqlite_store(tmp_path, clock, max_messages=5)) as store:
        store.commit([batch("1", "2", "3", "4", cursor="c")])
        with pytest.raises(
            StorageFull, match=rf"account {A} .*may have 5 .*sessionfsm inbox list.*max_messages"
        ) as full:
            store.commit([batch("9", account=B), batch("5", "6", cursor="d")])
        assert isinstance(full.value, StoreError)
        assert (len(numbers(store)), numbers(store, B), store.cursor(A)) == (4, [], Secret("c"))
        store.commit([batch("5")])
        store.commit([batch("1", "2", cursor="e")])  # what brings nothing new is no trouble at the bound
        finish(store)
        with pytest.raises(StorageFull):  # they are done, but younger than a day, and may come again
            store.commit([batch("6")])
        clock.pass_by(DAY + 1)
        assert len(store.commit([batch("6")])[0].new) == 1
        assert store.commit([batch("2")])[0].new == ()  # only as many were forgotten as had to be, the oldest
        counted(store)


def test_one_account_at_its_bound_is_no_other_accounts_trouble(tmp_path: Path) -> None:
    """The flood of one bot pauses nobody else."""
    with closing(sqlite_store(tmp_path, max_messages=2)) as store:
        store.commit([batch("1", "2")])
        with pytest.raises(StorageFull):
            store.commit([batch("3")])
        assert len(store.commit([batch("1", "2", account=B)])[0].new) == 2


def test_bodies_of_finished_messages_make_room_before_polling_pauses(tmp_path: Path, clock: Clock) -> None:
    """The oldest bodies go first; every key stays known for a day."""
    with closing(sqlite_store(tmp_path, clock, max_bytes=1000)) as store:
        for n in range(20):
            clock.pass_by(60)
            store.commit([batch(str(n), size=200)])
            finish(store)
        bodies = [len(stored.body) for stored in store.messages()]
        assert bodies == sorted(bodies)
        assert bodies[0] == 0
        assert bodies[-1] == 200
        assert store.commit([batch(*(str(n) for n in range(20)))])[0].new == ()
        ((held,),) = rows(store.path, "SELECT bytes FROM account")
        assert held <= 1000
        counted(store)


def test_bytes_that_wait_are_not_given_up(tmp_path: Path) -> None:
    """Open messages fill the account, and it is full."""
    with closing(sqlite_store(tmp_path, max_bytes=1000)) as store:
        store.commit([batch("1", "2", "3", "4", size=200)])
        with pytest.raises(StorageFull):
            store.commit([batch("5", size=200)])
        assert [len(stored.body) for stored in store.pending(A)] == [200] * 4


@pytest.mark.parametrize("options", [{"max_messages": 3}, {"max_bytes": 500}])
def test_a_batch_that_is_larger_than_the_bound_does_not_stop_the_account_for_ever(
    tmp_path: Path, options: dict[str, int]
) -> None:
    """The server hands it out again and again: when nothing else waits, it is let in."""
    with closing(sqlite_store(tmp_path, **options)) as store:
        for first in (0, 10):
            large = batch(*(str(n) for n in range(first, first + 6)), size=200)
            store.commit([batch(f"small{first}")]) if not first else None
            if numbers(store):
                with pytest.raises(StorageFull):
                    store.commit([large])
                finish(store)
            assert len(store.commit([large])[0].new) == 6
            finish(store)
        counted(store)


# --- amounts ---------------------------------------------------------------------------------------------------------


def test_a_replayed_backlog_of_ten_thousand_is_new_once(store: SQLiteStore) -> None:
    """A server that forgot where it was sends everything again: nothing is handed out twice."""
    batches = [batch(*(str(n) for n in range(first, first + 100))) for first in range(0, 10_000, 100)]
    assert sum(len(committed.new) for committed in store.commit(batches)) == 10_000
    while found := store.pending(A, limit=1000):
        store.done([stored.number for stored in found])
    again = store.commit(batches)
    assert sum(committed.duplicates for committed in again) == 10_000
    assert not any(committed.new for committed in again)
    assert store.pending(A) == []
    counted(store)


def test_a_commit_of_a_hundred_messages_is_a_handful_of_statements(store: SQLiteStore) -> None:
    """What a batch costs does not grow by round trips."""
    store.open()
    said: list[str] = []
    assert store._database._connection is not None
    store._database._connection.set_trace_callback(said.append)
    store.commit([of(*(incoming(str(n), token=f"t{n}") for n in range(100)))])
    store._database._connection.set_trace_callback(None)
    others = [s for s in said if "INSERT INTO message" not in s and "INSERT INTO context_token" not in s]
    assert len(others) < 15
    assert len(said) - len(others) == 2  # of all messages one, and of the one sender's token


def test_a_thousand_idle_cursors_are_a_handful_of_statements(store: SQLiteStore) -> None:
    """Of an account from which nobody writes nothing is looked up; the newest cursor stays, and no count changes."""
    store.commit([batch("1", account="0", cursor="before")])
    said: list[str] = []
    assert store._database._connection is not None
    store._database._connection.set_trace_callback(said.append)
    answers = store.commit([batch(account=str(n), cursor=c) for c in ("old", "new") for n in range(1000)])
    store._database._connection.set_trace_callback(None)
    assert len([s for s in said if "account" in s and "SELECT" not in s]) == 10
    assert len(said) < 300  # most of them look for old messages of one account after the other
    assert [(answer.new, answer.duplicates) for answer in answers] == [((), 0)] * 2000
    assert {str(n): store.cursor(str(n)) for n in range(1000)} == {str(n): Secret("new") for n in range(1000)}
    counted(store)


def test_an_idle_cursor_after_messages_of_the_same_commit_is_the_newer(store: SQLiteStore) -> None:
    """And the other way round: of one account, what comes later in a commit holds."""
    store.commit([batch("1", cursor="one"), batch(cursor="two")])
    assert store.cursor(A) == Secret("two")
    store.commit([batch(cursor="three"), batch("2", cursor="four"), batch("1")])
    assert store.cursor(A) == Secret("four")
    counted(store)


def test_a_store_opens_though_another_program_writes(tmp_path: Path) -> None:
    """To open it nothing has to be written; only the first commit waits."""
    with closing(sqlite_store(tmp_path)) as store:
        store.commit([batch("1")])
    path = store.path
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with closing(sqlite_store(tmp_path, busy_s=0.01)) as store:
            assert numbers(store) == [1]
            other.execute("ROLLBACK")
            store.commit([batch("2")])
            assert numbers(store) == [1, 2]


QUERIES = {
    "pending": (sqlite_rows.PENDING, (b"a", 0, 100)),
    "added": (sqlite_rows.ADDED, (0,)),
    "done": (sqlite_rows.DONE_IF_OPEN.format(numbers="?, ?"), (1, 2)),
    "oldest": (sqlite_room.OLDEST, {"account": 1, "before": 1.0, "limit": 10}),
    "fullest": (sqlite_room.FULLEST, (1,)),
    "waiting": (sqlite_room.WAITING, {"account": 1}),
    "forget": (sqlite_room.FORGET, (1,)),
    "empty": (sqlite_room.EMPTY, (1,)),
    **{f"retire {n}": (statement, {"old": 1, "new": 2}) for n, statement in enumerate(sqlite_rows.RETIRE)},
    "message": (sqlite_rows.MESSAGE, (1,)),
}


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_of_a_session_looks_at_every_message(store: SQLiteStore, name: str) -> None:
    """A million messages of the last week cost nothing when one comes in."""
    query, arguments = QUERIES[name]
    store.open()
    plan = [row[-1] for row in rows(store.path, f"EXPLAIN QUERY PLAN {query}", arguments)]
    assert plan
    assert not [line for line in plan if line.startswith("SCAN message") or "TEMP B-TREE" in line], plan


# --- secrets and surprises -------------------------------------------------------------------------------------------


SECRET = "".join(["can", "ary"])  # not in the source as it is in the data


@pytest.mark.parametrize(
    "message",
    [
        Incoming(key="1", sender=None, body=SECRET.encode(), context_token=Secret(SECRET)),  # type: ignore[arg-type]
        Incoming(key="1", sender="u", body=[SECRET], context_token=Secret(SECRET)),  # type: ignore[arg-type]
    ],
)
def test_an_unforeseen_error_is_a_store_error_and_shows_no_secret(store: SQLiteStore, message: Incoming) -> None:
    """Whatever goes wrong inside, the worker goes on, nothing is kept by half, and a traceback with locals is clean."""
    store.commit([batch("0", cursor=SECRET)])
    with pytest.raises(StoreError) as caught:
        store.commit([of(incoming("fine", token=SECRET), message, cursor=SECRET)])
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert SECRET not in shown
    assert [len(numbers(store)), store.cursor(A)] == [1, Secret(SECRET)]
    assert len(store.commit([batch("fine")])[0].new) == 1


def test_a_batch_that_cannot_be_kept_shows_no_secret(tmp_path: Path) -> None:
    """Also when the account is full, which is ordinary."""
    with closing(sqlite_store(tmp_path, max_messages=1)) as store:
        store.commit([batch("1")])
        message = Incoming(key="2", sender="u", body=SECRET.encode(), context_token=Secret(SECRET))
        with pytest.raises(StorageFull) as caught:
            store.commit([Batch(account=A, cursor=Secret(SECRET), messages=(message,))])
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert SECRET not in shown
    assert "batches" in shown  # locals were shown


def test_the_package_does_without_sqlite_until_a_store_is_made() -> None:
    """A Python that was built without SQLite can keep messages in memory."""
    script = "import sys; sys.modules['sqlite3'] = None; import sessionfsm; print(sessionfsm.MemoryStore().cursor('a'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "None"
