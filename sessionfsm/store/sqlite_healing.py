"""What is saved from the file of a SQLite store that was deleted, replaced or damaged, into the one in its place."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .files import sync_folder
from .sqlite_file import Damaged, Identity, Inode, identity, open_file, primary_code
from .sqlite_room import COUNT

__all__ = ["Saved", "begin_after", "mend", "take_over"]

logger = logging.getLogger("sessionfsm")

GAP = 1_000_000
"""How far the numbers of a new file begin behind the old one's, if the time of day does not say."""

_MOST_GAPS = 10_000  # every one costs some hundred searches
_LARGEST_NUMBER = 2**62
_SPOILT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_ERROR)

_ACCOUNTS = "SELECT id, name, cursor, successor FROM account WHERE id > ? ORDER BY id"
_MESSAGES = """
    SELECT number, account, key, sender, body, received_at, kept_at, state, attempts, error
    FROM message NOT INDEXED WHERE number > ? ORDER BY number
"""
_TOKENS = "SELECT account, user, token, sent_ms FROM context_token"

_ADD_ACCOUNT = "INSERT INTO account (name) VALUES (?) ON CONFLICT DO NOTHING"
_GIVE_CURSOR = "UPDATE account SET cursor = ? WHERE id = ? AND cursor IS NULL"
_GIVE_SUCCESSOR = "UPDATE account SET successor = ? WHERE id = ? AND successor IS NULL"
# A number is what handlers at work know their message by. A stranger who has it gets another one.
_MAKE_WAY = """
    UPDATE message SET number = (SELECT max(seq) FROM sqlite_sequence WHERE name = 'message') + ?
    WHERE number = ? AND (account, key) <> (?, ?)
"""
_ADD_MESSAGE = """
    INSERT INTO message (number, account, key, sender, body, received_at, kept_at, state, attempts, error)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (account, key) DO UPDATE
    SET state = excluded.state, attempts = excluded.attempts, error = excluded.error
    WHERE state = 'open' AND excluded.state <> 'open'
"""
_LARGEST = """
    SELECT max((SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'message'),
               (SELECT coalesce(max(number), 0) FROM message))
"""
_ADD_TOKEN = "INSERT INTO context_token (account, user, token, sent_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"


@dataclass(slots=True)
class Saved:
    """
    What was taken over.

    Attributes:
        waiting: Messages that are open or parked.
        finished: Messages that are done or dropped; they are known when they come again.
        accounts: Accounts, with their cursors.
        tokens: Context tokens.
        unread: Whether there are places that could not be read, or what was there was no message.
    """

    waiting: int = 0
    finished: int = 0
    accounts: int = 0
    tokens: int = 0
    unread: bool = False

    def __str__(self) -> str:
        lost = "; parts could not be read" if self.unread else ""
        return (
            f"{self.waiting} waiting and {self.finished} finished messages, "
            f"{self.accounts} accounts and {self.tokens} context tokens{lost}"
        )


def mend(
    path: Path, old: sqlite3.Connection | None, opened: Identity, *, damaged: bool, seen: int, busy_s: float
) -> Inode | None:
    """
    Have a whole store at *path*, with everything that can be read in *old* and in what is there; return which it is.

    The caller is :func:`~sessionfsm.store.sqlite_file.alone`. Until the end nothing at the path is changed: a store
    beside it is filled first.

    Args:
        old: The store that was open; its files need not be at the path.
        opened: Which files these are, or which were damaged when *old* could not be opened.
        damaged: Whether they are damaged.
        seen: New messages get larger numbers than this.

    Raises:
        StoreError: If there is something else at the path, or the new store cannot be made.
        sqlite3.Error: If it cannot be written; nothing was lost.
        OSError: If it cannot be put in its place; nothing was lost.
    """
    found = identity(path)
    if found == opened and not damaged:
        return found[0]  # somebody has put it back
    saved = Saved()
    replaced = found[0] is not None and found[0] != opened[0]
    if replaced:
        # Beside another database our -wal would be taken for its own. Who has it open can read it all the same.
        for suffix, ours, here in (("-wal", opened[1], found[1]), ("-shm", opened[2], found[2])):
            if here is not None and here == ours:
                os.unlink(f"{path}{suffix}")
        try:
            database, there = open_file(path, busy_s=busy_s, make=True, guarded=True)
            with closing(database):
                if old is not None:
                    take_over(old, database, seen, saved)
            logger.error("%s was replaced while it was open; added to what is there: %s", path, saved)
            return there[0]
        except Damaged:
            pass
    new = path.with_name(f"{path.name}.mending")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(f"{new}{suffix}")
    database, made = open_file(new, busy_s=busy_s, make=True, guarded=True)
    with closing(database):
        if old is not None:
            take_over(old, database, seen, saved)
        if found[0] is not None:
            _salvage(path, database, seen, saved)
    strange = any(here not in (None, ours) for here, ours in zip(found, opened, strict=True))
    if damaged or strange or saved.unread:
        aside = _set_aside(path)
        os.rename(new, path)
        logger.error("%s was damaged; it is kept as %s, and a new one has %s", path, aside, saved)
    else:  # what is still there has been taken over whole
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(f"{path}{suffix}")
        os.rename(new, path)
        logger.error("%s was deleted while it was open; put back: %s", path, saved)
    sync_folder(path.parent)
    return made[0]


def _set_aside(path: Path) -> Path:
    name = f"{path}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    aside, number = Path(name), 1
    while any(Path(f"{aside}{suffix}").exists() for suffix in ("", "-wal", "-shm")):
        number += 1
        aside = Path(f"{name}-{number}")
    for suffix in ("-shm", "-wal"):  # a -wal must not meet another file
        with suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    with suppress(FileNotFoundError):
        try:
            os.link(path, aside)  # the new one takes its place then: at no moment is there none
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links
            os.rename(path, aside)
    return aside


def take_over(source: sqlite3.Connection, target: sqlite3.Connection, seen: int, saved: Saved) -> None:
    """
    Add to *target* what *source* has and it has not, in one durable transaction. Messages keep their numbers.

    What is damaged in *source* is left out.

    Args:
        seen: New messages get larger numbers than this.
        saved: What was taken over is added up here.

    Raises:
        sqlite3.Error: If *target* cannot be written, or *source* not be read now; nothing was taken over then.
    """
    target.execute("PRAGMA synchronous = FULL")
    target.execute("BEGIN IMMEDIATE")
    try:
        ids = _take_accounts(source, target, saved)
        _take_messages(source, target, ids, saved)
        _take_tokens(source, target, ids, saved)
        begin_after(target, seen)
        target.execute(COUNT)
        target.execute("COMMIT")
    except BaseException:
        if target.in_transaction:
            target.execute("ROLLBACK")
        raise


def _take_accounts(source: sqlite3.Connection, target: sqlite3.Connection, saved: Saved) -> dict[int, int]:
    ids: dict[int, int] = {}
    successors: dict[int, int] = {}
    for row in _readable(source, _ACCOUNTS, saved):
        if not isinstance(row[1], bytes):
            saved.unread = True
            continue
        saved.accounts += target.execute(_ADD_ACCOUNT, row[1:2]).rowcount
        (ids[row[0]],) = target.execute("SELECT id FROM account WHERE name = ?", row[1:2]).fetchone()
        with suppress(sqlite3.IntegrityError):
            target.execute(_GIVE_CURSOR, (row[2], ids[row[0]]))
        if row[3] is not None:
            successors[row[0]] = row[3]
    for account, successor in successors.items():
        if successor in ids:
            target.execute(_GIVE_SUCCESSOR, (ids[successor], ids[account]))
    return ids


def _take_messages(source: sqlite3.Connection, target: sqlite3.Connection, ids: dict[int, int], saved: Saved) -> None:
    strangers = target.execute("SELECT 1 FROM message LIMIT 1").fetchone() is not None
    moved = 0
    for row in _readable(source, _MESSAGES, saved):
        if row[1] not in ids:
            saved.unread = True
            continue
        try:
            if strangers:
                moved += 1
                target.execute(_MAKE_WAY, (GAP + moved, row[0], ids[row[1]], row[2]))
            added = target.execute(_ADD_MESSAGE, (row[0], ids[row[1]], *row[2:])).rowcount
        except sqlite3.IntegrityError:  # nonsense from a damaged page
            saved.unread = True
            continue
        if row[7] in ("open", "parked"):
            saved.waiting += added
        else:
            saved.finished += added


def _take_tokens(source: sqlite3.Connection, target: sqlite3.Connection, ids: dict[int, int], saved: Saved) -> None:
    try:
        for row in source.execute(_TOKENS):
            with suppress(sqlite3.IntegrityError):
                saved.tokens += target.execute(_ADD_TOKEN, (ids.get(row[0]), *row[1:])).rowcount
    except sqlite3.DatabaseError as error:
        if not _spoilt(error):
            raise
        saved.unread = True


def _readable(source: sqlite3.Connection, query: str, saved: Saved) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that can be read, going around those that cannot. The first column counts upward."""
    after: int | None = 0
    for _ in range(_MOST_GAPS):
        try:
            for row in source.execute(query, (after,)):
                after = row[0]
                yield row
            return
        except sqlite3.DatabaseError as error:
            if not _spoilt(error):
                raise
            saved.unread = True
            after = _behind_the_gap(source, query, after or 0)
            if after is None:
                return


def _behind_the_gap(source: sqlite3.Connection, query: str, after: int) -> int | None:
    """Return the smallest number, about, after which a row can be read again; ``None`` if there is none."""

    def readable(number: int) -> bool:
        try:
            return source.execute(f"{query} LIMIT 1", (number,)).fetchone() is not None
        except sqlite3.DatabaseError:
            return False

    step = 1
    while not readable(after + step):
        step *= 2
        if after + step > _LARGEST_NUMBER:
            return None
    low, high = after + step // 2, after + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if readable(middle) else (middle, high)
    return high


def _spoilt(error: sqlite3.DatabaseError) -> bool:
    """Whether trying again would not help."""
    return primary_code(error) in _SPOILT


def begin_after(target: sqlite3.Connection, number: int) -> None:
    """
    Let the numbers of new messages be larger than *number*, and than all that were ever used in *target*.

    If the second are larger, then by :data:`GAP`: others who have had the same numbers may have counted on.
    """
    (used,) = target.execute(_LARGEST).fetchone()
    number = number if number > used else used + GAP
    if not target.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'message'", (number,)).rowcount:
        target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('message', ?)", (number,))


def _salvage(path: Path, target: sqlite3.Connection, seen: int, saved: Saved) -> None:
    """Take over into *target* what can be read in a damaged file, which stays as it is."""
    for how in ("mode=ro", "mode=ro&immutable=1"):  # with its -wal, and without
        with suppress(_Unreadable), closing(_connect(f"file:{quote(os.fsencode(path))}?{how}")) as source:
            take_over(source, target, seen, saved)
            return
    saved.unread = True


class _Unreadable(Exception):
    pass


def _connect(uri: str) -> sqlite3.Connection:
    source = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        source.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except sqlite3.DatabaseError:
        source.close()
        raise _Unreadable from None
    return source
