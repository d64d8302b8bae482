"""
The store on disk: one SQLite file for all accounts.

What was committed survives ``kill -9`` and a power failure: a commit ends when it is on the disk. Marks (done, failed)
survive the end of the process; a power failure may open the last of them again.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from sessionfsm.errors import DefinitionError, StorageFull, StoreError
from sessionfsm.secret import Secret

from .base import Batch, Committed, MessageState, Stored
from .locks import AccountLocks
from .places import store_file
from .sqlite_database import Database
from .sqlite_room import DAY_S, Bounds, Tally, forget_old, make_room
from .sqlite_rows import (
    COLUMNS,
    FAILED,
    KEEP_ACCOUNT,
    KEEP_TOKEN,
    LAST_NUMBER,
    MESSAGE,
    NEXT_NUMBER,
    OPEN_AGAIN,
    PENDING,
    RETIRE,
    add_messages,
    as_stored,
    blob,
    committed_of,
    integer,
    keep_cursors,
    mark_done,
    move_one,
    newest_tokens,
    require,
    secret_blob,
    tallies_of,
    text,
)

__all__ = ["SQLiteStore"]

_NOTHING_NEW = Committed(new=())  # of thousands of idle polls the same is said
_SWEPT_FOR = 8
"""For so many cursors that come alone, one account more is looked through: theirs are not, when they are written."""
_OLD_AT_ONCE = 16

_OPEN, _DONE, _PARKED, _DROPPED = MessageState.OPEN, MessageState.DONE, MessageState.PARKED, MessageState.DROPPED


class SQLiteStore:
    """
    Keeps everything in one SQLite file; see :class:`~sessionfsm.store.Store` for what each method promises.

    The file is made when it is first needed, for its owner alone. It may be used by several processes at once, on a
    local file system. One that is deleted while it is open is put back, with everything in it; one that is damaged is
    set aside, and what can be read in it is saved. Both are logged as errors, and the call that meets it raises
    :class:`~sessionfsm.errors.StoreError`; the next one goes on.

    Args:
        path: The file; by default in the user's data folder.
        locks: Who locks accounts; by default the locks in the user's data folder. They are released by :meth:`close`.
        keep_s: How long finished messages are kept, and recognised when they come again; a day is the least.
        max_messages: How many messages one account may have, finished ones included.
        max_bytes: How many bytes they may have together. At either bound finished messages go first, but none is
            forgotten within a day; when that is not enough, :meth:`commit` raises
            :class:`~sessionfsm.errors.StorageFull`.
        busy_s: How long another program is waited for.
        wall: Seconds since the epoch.
        clock: Monotonic seconds. Ages are counted by it, so that a step of the time of day makes no message new again.

    Attributes:
        path: The file, without links.

    Raises:
        DefinitionError: If an argument is out of its range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        locks: AccountLocks | None = None,
        keep_s: float = 7 * DAY_S,
        max_messages: int = 100_000,
        max_bytes: int = 256 * 2**20,
        busy_s: float = 2.0,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not keep_s >= DAY_S:
            raise DefinitionError(f"keep_s is {keep_s}; a message may come again for a day, write keep_s=86400 or more")
        if max_messages < 1 or max_bytes < 1:
            raise DefinitionError("max_messages and max_bytes must be at least 1")
        if not 0 <= busy_s <= 60:
            raise DefinitionError(f"busy_s is {busy_s}; it must be from 0 to 60 seconds")
        # Links are followed once and for all: what is renamed later is the file, not a link to it.
        self.path = Path(os.path.realpath(store_file() if path is None else path))
        self._locks = locks
        self._keep_s = keep_s
        self._bounds = Bounds(max_messages, max_bytes)
        self._wall = wall
        self._database = Database(self.path, busy_s=busy_s, wall=wall, clock=clock)
        self._mutex = threading.Lock()
        self._closed = False
        self._opened_again = False
        self._swept = 0  # the account that was last looked through for old messages

    def open(self, *, heal: bool = True) -> None:
        """
        Open the file now, and not when it is first needed.

        Args:
            heal: Whether a missing file is made, an older one brought up to date, a damaged one set aside. Who only
                wants to look at messages does without.

        Raises:
            StoreError: If it cannot be opened; the message says why, and what to do.
        """
        self._database.open(heal=heal)

    @property
    def shared(self) -> bool:
        return True

    # --- accounts ----------------------------------------------------------------------------------------------------

    def acquire(self, account: str) -> None:
        self._account_locks().acquire(account)

    def release(self, account: str) -> None:
        self._account_locks().release(account)

    def _account_locks(self) -> AccountLocks:
        with self._mutex:
            if self._closed:
                raise StoreError("the store is closed")
            if self._locks is None:
                self._locks = AccountLocks()
            return self._locks

    # --- what sessions need ------------------------------------------------------------------------------------------

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        with self._database.transaction(durable=True) as connection:
            now = self._database.now()
            cursors = {batch.account: batch.cursor for batch in batches if batch.cursor is not None}
            talking = {batch.account for batch in batches if batch.messages or batch.cursor is None}
            # Of thousands of idle polls nothing else is to be written, and nothing to be read.
            idle = {account: cursor for account, cursor in cursors.items() if account not in talking}
            keep_cursors(connection, idle)
            tallies = tallies_of(connection, (batch.account for batch in batches if batch.account in talking))
            names = [[(blob(message.key), blob(message.sender)) for message in batch.messages] for batch in batches]
            numbers = add_messages(
                connection,
                (
                    (tallies[batch.account].id, key, sender, message.body, batch.received_at, now)
                    for batch, named in zip(batches, names, strict=True)
                    for message, (key, sender) in zip(batch.messages, named, strict=True)
                ),
            )
            committed, first = list[Committed](), 0
            for batch, named in zip(batches, names, strict=True):
                if not named:
                    committed.append(_NOTHING_NEW)
                    continue
                committed.append(
                    committed_of(batch, named, tallies[batch.account], numbers[first : first + len(named)])
                )
                first += len(named)
            self._database.seen = max(self._database.seen, *(each.new[-1].number for each in committed if each.new), 0)
            for tally in tallies.values():
                tally.messages += tally.new
                tally.bytes += tally.new_bytes
            self._keep_tokens(connection, batches, tallies)
            self._make_room(connection, tallies, now)
            for _ in range(1 + len(idle) // _SWEPT_FOR):
                self._sweep(connection, tallies, now)
            connection.executemany(
                KEEP_ACCOUNT,
                (
                    (secret_blob(cursors.get(account)), tally.messages, tally.bytes, tally.id)
                    for account, tally in tallies.items()
                ),
            )
        self._database.in_place()
        return committed

    def _keep_tokens(self, connection: sqlite3.Connection, batches: Sequence[Batch], tallies: dict[str, Tally]) -> None:
        newest = newest_tokens(batches, self._wall())
        connection.executemany(
            KEEP_TOKEN,
            (
                (tallies[account].id, blob(sender), secret_blob(token), sent_ms)
                for (account, sender), tokens in newest.items()
                for sent_ms, token in tokens
            ),
        )

    def _make_room(self, connection: sqlite3.Connection, tallies: dict[str, Tally], now: float) -> None:
        for account, tally in tallies.items():
            forget_old(connection, tally, now - self._keep_s, _OLD_AT_ONCE + 2 * tally.new)
            if not tally.new or self._bounds.holds(tally.messages, tally.bytes):
                continue
            if not make_room(connection, tally, self._bounds, now):
                raise StorageFull(
                    f"account {account} would have {tally.messages} messages of {tally.bytes} bytes in {self.path}, "
                    f"and may have {self._bounds.messages} of {self._bounds.bytes}; see `sessionfsm inbox list` for "
                    "what handlers have not done, or raise max_messages or max_bytes"
                )

    def _sweep(self, connection: sqlite3.Connection, tallies: dict[str, Tally], now: float) -> None:
        """Look through one account more, in turn: one that gets no messages any more has old ones too."""
        query = "SELECT id, name, messages, bytes FROM account WHERE id > ? ORDER BY id LIMIT 1"
        row = connection.execute(query, (self._swept,)).fetchone()
        if row is None:
            self._swept = 0
            return
        self._swept = row[0]
        if text(row[1]) not in tallies:
            tally = Tally(row[0], row[2], row[3])
            forget_old(connection, tally, now - self._keep_s, _OLD_AT_ONCE * _SWEPT_FOR)
            if tally.messages != row[2]:
                connection.execute(
                    "UPDATE account SET messages = ?, bytes = ? WHERE id = ?", (tally.messages, tally.bytes, tally.id)
                )

    def cursor(self, account: str) -> Secret | None:
        return self._secret("SELECT cursor FROM account WHERE name = ?", blob(account))

    def pending(self, account: str, *, after: int = 0, limit: int = 100) -> list[Stored]:
        found = self._stored(PENDING, (blob(account), integer(after), integer(limit)))
        if found:
            self._database.seen = max(self._database.seen, found[-1].number)
        return found

    def done(self, numbers: Sequence[int]) -> None:
        with self._database.transaction(durable=False) as connection:
            mark_done(connection, numbers)

    def failed(self, number: int, error: str, *, park: bool) -> bool:
        with self._database.transaction(durable=False) as connection:
            state = _PARKED if park else _OPEN
            return connection.execute(FAILED, (blob(error), state, integer(number))).rowcount == 1

    def context_token(self, account: str, user: str) -> Secret | None:
        query = "SELECT token FROM context_token WHERE account = (SELECT id FROM account WHERE name = ?) AND user = ?"
        return self._secret(query, blob(account), blob(user))

    def retire(self, account: str, successor: str) -> None:
        if account == successor:
            return
        with self._database.transaction(durable=True) as connection:
            tallies = tallies_of(connection, (account, successor))
            both = {"old": tallies[account].id, "new": tallies[successor].id}
            for statement in RETIRE:
                connection.execute(statement, both)

    def changed(self) -> bool:
        opened_again, self._opened_again = self._opened_again, False
        return self._database.changed() or opened_again

    # --- for people --------------------------------------------------------------------------------------------------

    def messages(
        self,
        *,
        account: str | None = None,
        states: Collection[MessageState] = tuple(MessageState),
        after: int = 0,
        limit: int = 100,
    ) -> list[Stored]:
        if not states:
            return []
        wanted = " OR ".join(f"state = '{state}'" for state in sorted(set(map(MessageState, states))))
        whose = "" if account is None else "AND account = (SELECT id FROM account WHERE name = ?)"
        return self._stored(
            f"SELECT {COLUMNS} FROM message WHERE number > ? AND ({wanted}) {whose} ORDER BY number LIMIT ?",
            (integer(after), *(() if account is None else (blob(account),)), integer(limit)),
        )

    def message(self, number: int) -> Stored | None:
        found = self._stored(MESSAGE, (integer(number),))
        return found[0] if found else None

    def retry(self, number: int) -> Stored:
        with self._database.transaction(durable=True) as connection:
            require(connection, number, _PARKED, _DROPPED, _DONE)
            (emptied,) = connection.execute("SELECT body IS NULL FROM message WHERE number = ?", (number,)).fetchone()
            if emptied:
                raise StoreError(f"the body of message {number} is kept no longer; it cannot be opened again")
            move_one(connection, number)
            connection.execute(NEXT_NUMBER)
            (last,) = connection.execute(LAST_NUMBER).fetchone()
            connection.execute(OPEN_AGAIN, (last, self._database.now(), number))
            self._database.seen = max(self._database.seen, last)
            opened = as_stored(connection.execute(MESSAGE, (last,)).fetchone())
        self._opened_again = True
        return opened

    def drop(self, number: int) -> None:
        with self._database.transaction(durable=True) as connection:
            require(connection, number, _OPEN, _PARKED)
            connection.execute("UPDATE message SET state = 'dropped' WHERE number = ?", (number,))

    def close(self) -> None:
        self._database.close()
        with self._mutex:
            self._closed = True
            if self._locks is not None:
                self._locks.close()

    def _stored(self, query: str, arguments: Sequence[object]) -> list[Stored]:
        with self._database.using() as connection:
            return [as_stored(row) for row in connection.execute(query, arguments)]

    def _secret(self, query: str, *arguments: bytes) -> Secret | None:
        with self._database.using() as connection:
            row = connection.execute(query, arguments).fetchone()
            return None if row is None or row[0] is None else Secret(text(row[0]))
