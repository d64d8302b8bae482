"""The file of a SQLite store: how it is made, recognised and brought up to date, and what SQLite's errors mean."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from urllib.parse import quote

from filelock import Timeout, UnixFileLock

from sessionfsm.errors import StoreError

from .files import make_private_folder, sync_folder

__all__ = [
    "APPLICATION_ID",
    "STEPS",
    "Damaged",
    "Identity",
    "Inode",
    "alone",
    "check_reachable",
    "identity",
    "in_plain_words",
    "open_file",
    "primary_code",
]

APPLICATION_ID = 0x6966736D
"""In the header of the file: "ifsm"."""

# Texts are BLOBs, in UTF-8 with lone surrogates as they come ("\ud800" is valid JSON): SQLite's own TEXT takes none,
# and has its doubts about NUL. `kept_at` is by the store's own clock (see sqlite.py), other times by other people's.
# A finished message is in one of two indexes, by whether its body is still there, so that neither search meets the
# other's. `successor` is the account that has taken this one's place.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        """CREATE TABLE account (
            id INTEGER PRIMARY KEY,
            name BLOB NOT NULL UNIQUE,
            cursor BLOB,
            successor INTEGER REFERENCES account (id),
            messages INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0
        ) STRICT""",
        """CREATE TABLE message (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            account INTEGER NOT NULL REFERENCES account (id),
            key BLOB NOT NULL,
            sender BLOB NOT NULL,
            body BLOB,
            received_at REAL NOT NULL,
            kept_at REAL NOT NULL,
            state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'parked', 'dropped')),
            attempts INTEGER NOT NULL DEFAULT 0,
            error BLOB NOT NULL DEFAULT x'',
            UNIQUE (account, key)
        ) STRICT""",
        "CREATE INDEX message_open ON message (account) WHERE state = 'open'",
        "CREATE INDEX message_parked ON message (account) WHERE state = 'parked'",
        """CREATE INDEX message_finished ON message (account, kept_at)
            WHERE state IN ('done', 'dropped') AND body IS NOT NULL""",
        """CREATE INDEX message_emptied ON message (account, kept_at)
            WHERE state IN ('done', 'dropped') AND body IS NULL""",
        """CREATE TABLE context_token (
            account INTEGER NOT NULL REFERENCES account (id),
            user BLOB NOT NULL,
            token BLOB NOT NULL,
            sent_ms INTEGER,
            PRIMARY KEY (account, user)
        ) STRICT, WITHOUT ROWID""",
    ),
)
"""What makes a file of version n one of version n + 1. Each step is one transaction; none is ever changed."""

_WAL_KEPT_BYTES = 16 * 2**20
_GUARD = ".heal"  # it is made with the store, and stays
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_EFFECTIVE = os.access in os.supports_effective_ids

Inode = tuple[int, int]
Identity = tuple[Inode | None, Inode | None, Inode | None]


class Damaged(StoreError):
    """What is in the file is no database, or a broken one."""


# --- making and opening ----------------------------------------------------------------------------------------------


def open_file(
    path: Path, *, busy_s: float, make: bool, guarded: bool = False, steps: Sequence[Sequence[str]] = STEPS
) -> tuple[sqlite3.Connection, Identity]:
    """
    Open the store at *path*; return a connection, and which files it has open.

    Args:
        busy_s: How long another program is waited for.
        make: Whether it is made where there is none, and brought up to date where it is older.
        guarded: Whether the caller is :func:`alone`.

    Raises:
        Damaged: If it is broken, or no database at all.
        StoreError: If it is something else, or cannot be opened.
    """
    try:
        if not path.exists():
            if not make:
                raise StoreError(f"there is no store at {path}; a run makes one")
            _create(path)
        main = _inode(path)
        _check_kind(path)
        check_reachable(path)
        connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        try:
            _set_up(connection, path, steps, make, nullcontext() if guarded else alone(path, busy_s))
            connection.execute("SELECT 1 FROM account LIMIT 1").fetchone()  # now the -wal and -shm are there too
            found = identity(path)
            if found[0] != main:
                raise StoreError(f"{path} was replaced while it was being opened; try again")
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise in_plain_words(error, path, busy_s) from error
    return connection, found


def _create(path: Path) -> None:
    make_private_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process was faster
        return
    try:
        os.fchmod(descriptor, 0o600)  # the umask may have taken something away
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def _check_kind(path: Path) -> None:
    """Raise for what is not ours, without touching it. SQLite itself reads it: closing a file drops SQLite's locks."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise StoreError(f"{path} is not a file; give the store another path")
    if not about.st_size and Path(f"{path}-wal").exists():
        # SQLite would take it for a new file, and delete the log of the old one.
        raise Damaged(f"{path} is empty, but its -wal is there; whoever runs on it sets both aside")
    # What is wrong with the file alone may be right with its -wal, such as after a kill in the middle of a checkpoint:
    # only opening it in earnest shows whether it is damaged. But nobody's notes are set aside as a damaged store: what
    # others can read was not made by us.
    no_database = False
    try:
        with closing(sqlite3.connect(_immutable(path), uri=True)) as connection:
            _check_owner(connection, path)
    except sqlite3.DatabaseError as error:
        no_database = primary_code(error) == sqlite3.SQLITE_NOTADB
    if about.st_mode & 0o077:
        raise StoreError(f"{path} can be read or changed by others; if it is the store, write: chmod 600 {path}")
    if no_database and not any(os.path.lexists(f"{path}{suffix}") for suffix in (_GUARD, "-wal")):
        # No store was ever made here: a token file, named in the wrong place, must not be set aside.
        raise StoreError(f"{path} is not a store, and never was one; give the store another path")


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    if kind != APPLICATION_ID and (kind or connection.execute("SELECT 1 FROM sqlite_schema").fetchone()):
        raise StoreError(f"{path} belongs to another program; give the store another path")


def _immutable(path: Path) -> str:
    return f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1"


def check_reachable(path: Path) -> None:
    """
    Raise if the file could not be opened now, though it may be open.

    Raises:
        StoreError: If this process may not read or write it, or make files beside it.
    """
    for place, mode in ((path, os.R_OK | os.W_OK), (path.parent, os.R_OK | os.W_OK | os.X_OK)):
        if not os.access(place, mode, effective_ids=_EFFECTIVE):
            if os.statvfs(place).f_flag & os.ST_RDONLY:
                raise StoreError(f"{place} is on a file system that is read-only now; mount it writable again")
            raise StoreError(f"{place} cannot be read and written by this user; give the permission back")


def _set_up(
    connection: sqlite3.Connection,
    path: Path,
    steps: Sequence[Sequence[str]],
    make: bool,
    guard: AbstractContextManager[None],
) -> None:
    _check_owner(connection, path)
    version = _version(connection)
    if version > len(steps):
        raise StoreError(
            f"{path} has version {version}, this sessionfsm knows up to {len(steps)}; "
            "update sessionfsm, or use another --store"
        )
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if version < len(steps) or mode != "wal":
        if not make:
            raise StoreError(f"{path} has version {version}, not {len(steps)}; the next run brings it up to date")
        with guard:
            connection.execute("PRAGMA synchronous = FULL")
            _migrate(connection, path, steps)
            # Only now: what says whose file it is must be in the file itself, not in a -wal that may be lost.
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(f"{path} cannot have a write-ahead log; keep the store on a local file system")
        sync_folder(path.parent)
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")


def _migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]]) -> None:
    for version in range(len(steps)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) == version:  # else it had this step before, perhaps from another process just now
                _check_owner(connection, path)
                for statement in steps[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


@contextmanager
def alone(path: Path, busy_s: float) -> Iterator[None]:
    """
    Keep other processes from making, mending or changing the file's layout meanwhile.

    Raises:
        StoreError: If another one is at it for longer than *busy_s* seconds.
    """
    lock = UnixFileLock(f"{path}{_GUARD}", timeout=busy_s, mode=0o600, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(f"another process is mending {path}; it will be tried again") from None
    try:
        yield
    finally:
        lock.release()


def identity(path: Path) -> Identity:
    """
    Return which files are at *path* now: the database, its -wal and its -shm; ``None`` where there is none. A database
    that was emptied is none.

    Raises:
        OSError: If that cannot be seen, such as for want of permission.
    """
    return _inode(path, empty=False), _inode(f"{path}-wal"), _inode(f"{path}-shm")


def _inode(path: str | Path, *, empty: bool = True) -> Inode | None:
    try:
        about = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not (about.st_size or empty):
        return None
    return about.st_dev, about.st_ino


# --- errors ----------------------------------------------------------------------------------------------------------


def primary_code(error: BaseException) -> int | None:
    """Return SQLite's primary result code, or ``None`` if the error has none."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None and type(error) is sqlite3.DatabaseError and "not a database" in str(error):
        return sqlite3.SQLITE_NOTADB
    return None if code is None else code & 0xFF


def in_plain_words(error: BaseException, path: Path, busy_s: float) -> StoreError:
    """Return what to raise for an error of SQLite or of the system, with the way out."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"the store at {path} {_WORDS[sqlite3.SQLITE_FULL]}")
    if isinstance(error, OSError):
        words = error.strerror or type(error).__name__
        return StoreError(f"the store at {path} cannot be used: {words}; it needs a folder of this user's own")
    code = primary_code(error)
    if code in _DAMAGE:
        return Damaged(f"{path} is damaged; whoever runs on it sets it aside, and saves what can be read in it")
    if code is None:  # its own words are left out: nobody knows what is in them
        return StoreError(f"the store at {path} failed: {type(error).__name__}")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    words = _WORDS.get(code, "cannot be used ({name})")
    return StoreError(f"the store at {path} {words.format(name=name, busy_s=busy_s)}")


_WORDS = {
    sqlite3.SQLITE_FULL: "cannot grow: the disk or the quota is full; make room, and it goes on",
    sqlite3.SQLITE_READONLY: "cannot be written ({name}); give the permission back, or mount the disk writable",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error ({name}); look at the disk",
    sqlite3.SQLITE_BUSY: "has been locked by another program for more than {busy_s:g} s; close that program",
    sqlite3.SQLITE_LOCKED: "has been locked by another program for more than {busy_s:g} s; close that program",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened ({name}); the file and its folder must be this user's own, and not full",
    sqlite3.SQLITE_PERM: "cannot be opened ({name}); the file and its folder must be this user's own",
    sqlite3.SQLITE_NOMEM: "found no memory; make room, and it goes on",
}
