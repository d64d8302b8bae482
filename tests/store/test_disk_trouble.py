"""The SQLite store in trouble: the disk full, permission gone, locked, deleted, replaced, damaged. Nothing is lost."""

import logging
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sessionfsm import MessageState, Secret, SQLiteStore, StoreError

from .kit import A, B, batch, incoming, of, rows, sqlite_store

ROOT = Path(__file__).parents[2]
PARKED, DONE = MessageState.PARKED, MessageState.DONE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    made = sqlite_store(tmp_path / "home", busy_s=0.05)
    yield made
    made.close()


def fill(store: SQLiteStore) -> list[int]:
    """Put some of everything in: five messages of two accounts, of which one is done and one parked."""
    one, other = store.commit(
        [of(*(incoming(str(n), token=f"t{n}") for n in range(4)), cursor="ca"), batch("x", account=B, cursor="cb")]
    )
    numbers = [m.number for m in (*one.new, *other.new)]
    store.done(numbers[:1])
    store.failed(numbers[1], "boom", park=True)
    return numbers


def has_everything(store: SQLiteStore, numbers: list[int]) -> None:
    """Assert that what :func:`fill` put in is there, under the same numbers."""
    assert [m.number for m in store.pending(A, limit=4)][:2] == numbers[2:4]
    assert [m.number for m in store.pending(B)] == numbers[4:]
    assert [(m.number, m.attempts, m.error) for m in store.messages(states=[PARKED])] == [(numbers[1], 1, "boom")]
    assert (store.cursor(A), store.cursor(B)) == (Secret("ca"), Secret("cb"))
    assert store.context_token(A, "u@im.wechat") == Secret("t3")
    for committed in store.commit([batch(*"0123"), batch("x", account=B)]):
        assert committed.new == ()


def files(store: SQLiteStore) -> list[str]:
    return sorted(path.name for path in store.path.parent.iterdir() if not path.name.startswith("store.db.heal"))


# --- full ------------------------------------------------------------------------------------------------------------


def big(first: int) -> list[str]:
    return [str(n) for n in range(first, first + 50)]


def test_a_file_that_may_not_grow_is_full_and_goes_on_when_it_may(store: SQLiteStore) -> None:
    """The quota is used up: the batch is refused whole, marks still work, and later the same batch is committed."""
    numbers = fill(store)
    assert store._database._connection is not None
    ((pages,),) = store._database._connection.execute("PRAGMA page_count").fetchall()
    store._database._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="full; make room"):
        store.commit([batch(*big(100), size=2000, cursor="later")])
    has_everything(store, numbers)
    store._database._connection.execute("PRAGMA max_page_count = 1000000")
    assert len(store.commit([batch(*big(100), size=2000, cursor="later")])[0].new) == 50
    assert store.cursor(A) == Secret("later")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True, capture_output=True, timeout=30
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small file system can be mounted here (needs root); max_page_count is tried above")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=30)


def test_a_full_disk_refuses_whole_batches_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    """Another program fills the disk: every batch is committed or refused whole, and the refused one comes in later."""
    hog = small_disk / "hog"
    hog.write_bytes(b"x" * 500_000)
    kept = 0

    def commit_one_more() -> None:
        nonlocal kept
        store.commit([batch(*big(1000 * (kept + 1)), size=1000, cursor=f"c{kept + 1}")])
        kept += 1

    with closing(sqlite_store(small_disk)) as store:
        numbers = fill(store)
        with pytest.raises(StoreError, match=r"store\.db cannot grow: the disk or the quota is full; make room"):
            [commit_one_more() for _ in range(100)]
        assert kept
        for _ in range(3):
            with pytest.raises(StoreError):
                commit_one_more()
        hog.unlink()
        assert store.cursor(A) == Secret(f"c{kept}")
        commit_one_more()
    with closing(sqlite_store(small_disk)) as store:
        assert sum(len(m.body) >= 1000 for m in store.pending(A, limit=10_000)) == 50 * kept
        assert store.cursor(A) == Secret(f"c{kept}")
        assert [m.number for m in store.pending(A, limit=2)] == numbers[2:4]


def test_a_kill_in_the_middle_of_a_checkpoint_is_no_damage(small_disk: Path) -> None:
    """The file alone is torn then, but with its -wal it is whole: nothing is set aside."""
    store = sqlite_store(small_disk)
    for n in range(7):
        store.commit([batch(*big(100 * n + 100), size=1000)])
    with (small_disk / "hog").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    store.close()  # writes the -wal back into the file, as far as there is room
    (small_disk / "hog").unlink()
    torn = f"file:{store.path}?mode=ro&immutable=1"
    with closing(sqlite3.connect(torn, uri=True)) as alone, pytest.raises(sqlite3.DatabaseError, match="malformed"):
        alone.execute("SELECT count(*) FROM message").fetchone()
    with closing(sqlite_store(small_disk)) as again:
        assert len(again.pending(A, limit=1000)) == 350
    assert asides(small_disk) == []


def test_a_full_disk_makes_no_half_store(small_disk: Path) -> None:
    """Not even the layout fits: the first call says so, and succeeds when there is room."""
    hog = small_disk / "hog"
    with hog.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with closing(sqlite_store(small_disk)) as store:
        for _ in range(2):
            with pytest.raises(StoreError, match="full; make room"):
                store.commit([batch("1")])
        hog.unlink()
        assert len(store.commit([batch("1")])[0].new) == 1


# --- locked and forbidden --------------------------------------------------------------------------------------------


def test_another_program_that_locks_the_file_is_waited_for_and_then_named(store: SQLiteStore) -> None:
    """A second writer that does not let go: the store says so, and goes on when it has."""
    numbers = fill(store)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for call in (lambda: store.commit([batch("9")]), lambda: store.done(numbers), lambda: store.retry(numbers[0])):
            with pytest.raises(StoreError, match=r"locked by another program for more than 0.05 s; close"):
                call()
        other.execute("ROLLBACK")
    has_everything(store, numbers)


def test_a_file_that_is_locked_from_the_start_is_no_damage(tmp_path: Path) -> None:
    """A store that is just being copied by somebody is left where it is."""
    with closing(sqlite_store(tmp_path)) as store:
        numbers = fill(store)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with closing(sqlite_store(tmp_path, busy_s=0.05)) as again:
            with pytest.raises(StoreError, match="locked by another program"):
                again.commit([batch("9")])
            other.execute("ROLLBACK")
            other.close()
            has_everything(again, numbers)


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from tests.store.kit import *
from sessionfsm import StoreError
os.setgroups([]); os.setgid(65534); os.setuid(65534)
folder = Path(sys.argv[1]) / "home"
store = sqlite_store(folder)
store.commit([batch("0", cursor="c")])
def refused(words):
    for _ in range(2):
        try:
            store.commit([batch("1", cursor="d")])
        except StoreError as error:
            assert words in str(error), error
            assert "permission" in str(error).lower(), error
        else:
            raise AssertionError("it was committed")
for place, without, back in (
    (store.path, 0o000, 0o600), (store.path, 0o400, 0o600), (folder, 0o000, 0o700), (folder, 0o500, 0o700),
):
    os.chmod(place, without)
    refused(str(place) if place == store.path or without == 0o500 else "store.db")
    os.chmod(place, back)
    assert store.cursor(A).reveal() == "c"
assert len(store.commit([batch("1", cursor="d")])[0].new) == 1
os.chmod(store.path, 0o000)
other = sqlite_store(folder)
try:
    other.open()
except StoreError as error:
    assert "permission" in str(error).lower(), error
else:
    raise AssertionError("it was opened")
os.chmod(store.path, 0o600)
assert len(other.pending(A)) == 2
other.close(); store.close(); print("well")
"""


def test_permission_that_is_taken_away_is_noticed_and_its_return_too() -> None:
    """Of the file or of its folder: it pauses, says what is missing, loses nothing, and goes on by itself."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to start a child that is somebody else: root may read and write everything")
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is in a folder that is root's alone
        os.chmod(folder, 0o777)
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, folder],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            check=False,
        )
    assert done.stdout.strip() == "well", done.stderr


# --- deleted and replaced --------------------------------------------------------------------------------------------


def remove(path: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        Path(f"{path}{suffix}").unlink()


@pytest.mark.parametrize(
    "suffixes",
    [("",), ("", "-wal"), ("", "-wal", "-shm"), ("-wal",), ("-shm",), ("-wal", "-shm"), ("", "-shm")],
    ids=lambda suffixes: "+".join(suffix or "db" for suffix in suffixes),
)
def test_files_that_are_deleted_are_put_back_with_everything_in_them(
    store: SQLiteStore, suffixes: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """The call that meets it raises, so that it is seen; the next one puts everything back, and says so loudly."""
    numbers = fill(store)
    remove(store.path, *suffixes)
    with pytest.raises(StoreError, match="was deleted or replaced while it was open; it will be put back"):
        store.commit([batch("new")])
    with caplog.at_level(logging.ERROR, logger="sessionfsm"):
        (committed,) = store.commit([batch("new")])
    assert "4 waiting and 1 finished messages, 2 accounts and 1 context tokens" in caplog.text
    assert committed.new[0].number > numbers[-1]
    has_everything(store, numbers)
    assert store.changed()
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        assert (store.path.parent / name).stat().st_mode & 0o777 == 0o600
    store.close()
    with closing(sqlite_store(store.path.parent)) as again:
        has_everything(again, numbers)
        assert [m.number for m in again.pending(A)][-1] == committed.new[0].number


def test_a_folder_that_is_deleted_is_put_back_too(store: SQLiteStore) -> None:
    """`rm -r` of the whole folder, under a running bot."""
    numbers = fill(store)
    shutil.rmtree(store.path.parent)
    with pytest.raises(StoreError, match="was deleted"):
        store.pending(A)
    has_everything(store, numbers)
    assert store.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_message_that_is_with_its_handler_meanwhile_is_marked_done(store: SQLiteStore) -> None:
    """Numbers stay what they were, so that nobody's mark goes astray."""
    numbers = fill(store)
    remove(store.path, "")
    with pytest.raises(StoreError):
        store.done(numbers[2:3])
    store.done(numbers[2:3])
    assert [m.number for m in store.pending(A)] == numbers[3:4]


def test_what_was_deleted_is_put_back_at_the_latest_when_the_store_is_closed(store: SQLiteStore) -> None:
    """An orderly stop loses nothing either, though nobody has noticed before."""
    numbers = fill(store)
    remove(store.path, "", "-wal", "-shm")
    store.close()
    with closing(sqlite_store(store.path.parent)) as again:
        has_everything(again, numbers)


def test_a_file_that_is_moved_away_and_back_is_used_on(store: SQLiteStore, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing has happened, after all."""
    numbers = fill(store)
    names = [name for name in files(store) if name.startswith("store.db")]
    for name in names:
        (store.path.parent / name).rename(store.path.parent / f"away-{name}")
    with pytest.raises(StoreError):
        store.cursor(A)
    for name in names:
        (store.path.parent / f"away-{name}").rename(store.path.parent / name)
    has_everything(store, numbers)
    assert caplog.text == ""


def test_while_it_cannot_be_put_back_nothing_is_given_up(store: SQLiteStore) -> None:
    """Something is in the way: each call says so, and when it is gone everything comes back."""
    numbers = fill(store)
    remove(store.path, "", "-wal", "-shm")
    store.path.mkdir()
    for _ in range(3):
        with pytest.raises(StoreError):
            store.commit([batch("new")])
    store.path.rmdir()
    has_everything(store, numbers)


def test_a_backup_that_is_put_in_its_place_gets_what_is_newer(store: SQLiteStore, tmp_path: Path) -> None:
    """Who copies yesterday's file over today's under a running bot loses nothing that waits."""
    store.commit([batch("old", account="c@im.bot", cursor="cc")])
    store.close()
    backup = tmp_path / "backup.db"
    shutil.copy(store.path, backup)
    with closing(sqlite_store(store.path.parent)) as running:
        (committed,) = running.commit([of(incoming("new", token="t"), cursor="ca")])
        os.replace(backup, store.path)
        with pytest.raises(StoreError, match="replaced"):
            running.pending(A)
        assert [m.number for m in running.pending(A)] == [committed.new[0].number]
        assert len(running.pending("c@im.bot")) == 1
        assert (running.cursor(A), running.cursor("c@im.bot")) == (Secret("ca"), Secret("cc"))
        assert rows(store.path, "PRAGMA integrity_check") == [("ok",)]


def test_strangers_in_the_new_file_do_not_take_anybodys_number(store: SQLiteStore, tmp_path: Path) -> None:
    """Another store is in its place: a mark goes to the message it was meant for, not to one of the same number."""
    numbers = fill(store)
    with closing(sqlite_store(tmp_path / "other")) as other:
        (strangers,) = other.commit([batch("p", "q", "r", account="s@im.bot")])
        assert strangers.new[0].number == numbers[0]
    os.replace(other.path, store.path)
    with pytest.raises(StoreError):
        store.cursor(A)
    has_everything(store, numbers)
    store.done(numbers)
    assert store.pending(A) == store.pending(B) == []
    assert len(store.pending("s@im.bot")) == 3
    (later,) = store.commit([batch("later")])
    assert later.new[0].number > max(m.number for m in store.pending("s@im.bot"))


def test_two_stores_whose_file_is_deleted_find_each_other_again(store: SQLiteStore, tmp_path: Path) -> None:
    """Each puts back what it has, and both go on with one file, in which nothing is twice and nothing is missing."""
    with closing(sqlite_store(tmp_path / "home", busy_s=2.0)) as other:
        numbers = fill(store)
        (more,) = other.commit([batch("more", account="c@im.bot")])
        remove(store.path, "", "-wal", "-shm")
        for each in (store, other):
            with pytest.raises(StoreError):
                each.cursor(A)
        store.done(numbers[2:3])  # heals, and marks
        (new,) = store.commit([batch("new")])
        assert [m.number for m in other.pending("c@im.bot")] == [more.new[0].number]
        assert [m.number for m in other.pending(A)] == [numbers[3], new.new[0].number]
        other.done([new.new[0].number])
        assert [m.number for m in store.pending(A)] == numbers[3:4]
        assert rows(store.path, "SELECT count(*) FROM message") == [(7,)]


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_commit_to_a_file_that_is_deleted_meanwhile_does_not_count(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have put the file back by then, without what is committed; and this one may be killed."""
    path = tmp_path / "store.db"
    store, other = sqlite_store(tmp_path), sqlite_store(tmp_path)
    store.open()
    other.open()

    def make_room(*_: object) -> None:
        os.unlink(f"{path}{suffix}")
        monkeypatch.undo()
        for _ in range(2):  # who meets the trouble is told, and the next call goes on
            with suppress(StoreError):
                other.pending(A)

    monkeypatch.setattr(store, "_make_room", make_room)
    with pytest.raises(StoreError, match="deleted or replaced"):
        store.commit([batch("1")])
    assert store.commit([batch("1")])[0].duplicates == 1
    with suppress(StoreError):
        other.pending(A)
    assert len(other.pending(A)) == len(store.pending(A)) == 1


def test_who_only_looks_puts_nothing_back(store: SQLiteStore) -> None:
    """`sessionfsm inbox` beside a run leaves healing to the run."""
    fill(store)
    with closing(sqlite_store(store.path.parent)) as looking:
        looking.open(heal=False)
        remove(store.path, "", "-wal", "-shm")
        with pytest.raises(StoreError, match="deleted or replaced"):
            looking.messages()
        with pytest.raises(StoreError, match="there is no store"):
            looking.messages()
        assert not store.path.exists()


# --- damaged ---------------------------------------------------------------------------------------------------------


def asides(folder: Path) -> list[Path]:
    return [path for path in folder.glob("store.db.corrupt-*") if not path.name.endswith(("-wal", "-shm"))]


def damage(path: Path, offset: int, length: int = 4096) -> None:
    """Overwrite a part of the file, as a failing disk does."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(os.urandom(64) * (length // 64))


def test_a_file_that_is_overwritten_is_set_aside_loudly_and_a_new_one_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Garbage from the first byte on: it is kept under a dated name, and the bot goes on with a new file."""
    with closing(sqlite_store(tmp_path)) as store:
        fill(store)
    garbage = os.urandom(20_000)
    store.path.write_bytes(garbage)
    with closing(sqlite_store(tmp_path)) as again:
        with pytest.raises(StoreError, match="is damaged"), closing(sqlite_store(tmp_path)) as looking:
            looking.open(heal=False)
        assert files(store) == ["locks", "store.db"] or files(store) == ["store.db"]
        with caplog.at_level(logging.ERROR, logger="sessionfsm"):
            assert len(again.commit([batch("1")])[0].new) == 1
        (aside,) = asides(tmp_path)
        assert re.fullmatch(r"store\.db\.corrupt-\d{8}T\d{6}Z", aside.name)
        assert aside.read_bytes() == garbage
        assert str(aside) in caplog.text
        assert again.path.stat().st_mode & 0o777 == 0o600
    assert store.path.exists()
    store.path.write_bytes(garbage)  # and once more, perhaps in the same second: the first is not overwritten
    with closing(sqlite_store(tmp_path)) as third:
        third.open()
    assert len(asides(tmp_path)) == 2


@pytest.mark.parametrize("while_open", [False, True])
def test_what_can_be_read_around_a_damaged_page_is_saved(
    tmp_path: Path, while_open: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """One page in the middle is garbage: the messages on it are lost, all others are kept under their numbers."""
    store = sqlite_store(tmp_path)
    store.commit([batch(*(str(n) for n in range(2000)), size=300, cursor="c")])
    store.close()
    ((pages, page),) = (
        rows(
            store.path,
            "SELECT count(*), max(pageno) FILTER (WHERE path = '/064/') FROM dbstat WHERE name = 'message'",
        )
        if has_dbstat()
        else [(0, 100)]
    )
    assert pages >= 0
    if not while_open:
        damage(store.path, (page - 1) * 4096)
    with closing(sqlite_store(tmp_path)) as again, caplog.at_level(logging.ERROR, logger="sessionfsm"):
        if while_open:
            again.open()
            damage(store.path, (page - 1) * 4096)
        with suppress(StoreError):  # the call that meets the damage says so
            again.pending(A, limit=5000)
        found = again.pending(A, limit=5000)
        assert 1900 < len(found) < 2000
        assert all(m.body.startswith(b'{"k":') for m in found)
        assert again.cursor(A) == Secret("c")
        assert "parts could not be read" in caplog.text
        assert len(asides(tmp_path)) == 1
        assert len(again.commit([batch("new")])[0].new) == 1
        assert rows(store.path, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_that_is_emptied_under_a_running_bot_gets_everything_back(store: SQLiteStore) -> None:
    """`: > store.db`, while the -wal has the rest: what the open store can still read is in the new file."""
    numbers = fill(store)
    os.truncate(store.path, 0)
    with pytest.raises(StoreError, match="deleted or replaced"):
        store.cursor(A)
    has_everything(store, numbers)
    assert rows(store.path, "PRAGMA integrity_check") == [("ok",)]


def test_an_empty_file_with_a_log_is_not_taken_for_a_new_store(
    store: SQLiteStore, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite would delete the log, and nobody would ever know: it is set aside, and that is said."""
    fill(store)
    store.path.with_name("copy-wal").write_bytes(store.path.with_name("store.db-wal").read_bytes())
    store.close()
    store.path.with_name("copy-wal").rename(store.path.with_name("store.db-wal"))
    os.truncate(store.path, 0)
    with closing(sqlite_store(store.path.parent)) as again:
        assert len(again.commit([batch("1")])[0].new) == 1
    (aside,) = asides(store.path.parent)
    assert aside.with_name(f"{aside.name}-wal").stat().st_size > 0
    assert str(aside) in caplog.text


def has_dbstat() -> bool:
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute("SELECT 1 FROM dbstat").fetchone()
        except sqlite3.OperationalError:
            return False
    return True


def test_numbers_never_come_again_after_damage(store: SQLiteStore) -> None:
    """A handler that is at work on message 5 does not mark another message 5, though nothing could be saved."""
    numbers = fill(store)
    for name in ("store.db", "store.db-wal"):
        path = store.path.parent / name
        damage(path, 0, path.stat().st_size // 64 * 64)
    with suppress(StoreError):
        store._database._connection.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
        store.messages()
    (committed,) = store.commit([batch("new")])
    assert committed.new[0].number > numbers[-1]
    store.done(numbers)
    assert committed.new[0].number in [m.number for m in store.pending(A)]


# --- errors of the disk ----------------------------------------------------------------------------------------------


def test_a_store_that_cannot_be_made_says_what_is_needed(tmp_path: Path) -> None:
    """The path leads through a file: one line, which names it."""
    (tmp_path / "file").write_text("")
    with closing(sqlite_store(tmp_path / "file" / "x")) as store, pytest.raises(StoreError, match=r"file/x/store\.db"):
        store.open()


def test_an_error_of_the_disk_pauses_and_the_same_batch_is_committed_later(store: SQLiteStore) -> None:
    """Writing fails in the middle of a batch: it is refused whole, and the store opens its file anew by itself."""
    numbers = fill(store)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = batch(*big(100), size=5000, cursor="later")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # a write behind that fails with EFBIG
    try:
        for _ in range(2):
            with pytest.raises(StoreError, match=r"cannot be read or written: the disk reports an error .*look at"):
                store.commit([large])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    has_everything(store, numbers)
    assert len(store.commit([large])[0].new) == 50
    assert rows(store.path, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_system_that_is_read_only_is_said_to_be(small_disk: Path) -> None:
    """As it becomes after an error: the store pauses, says so, and goes on when it is writable again."""
    with closing(sqlite_store(small_disk)) as store:
        numbers = fill(store)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, timeout=30)
    try:
        with closing(sqlite_store(small_disk)) as store:
            for _ in range(2):
                with pytest.raises(StoreError, match="file system that is read-only now; mount it writable again"):
                    store.pending(A)
            subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True, timeout=30)
            has_everything(store, numbers)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=False, timeout=30)


def test_no_trouble_leaves_a_transaction_open(store: SQLiteStore) -> None:
    """After any refusal the next call begins anew."""
    numbers = fill(store)
    for call in (
        lambda: store.retry(10**6),
        lambda: store.drop(numbers[0]),
    ):
        with pytest.raises(StoreError):
            call()
        assert store._database._connection is not None
        assert not store._database._connection.in_transaction
    has_everything(store, numbers)
