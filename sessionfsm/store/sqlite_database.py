"""The database of a SQLite store: opened when it is needed, used by one at a time, and made whole after trouble."""

from __future__ import annotations

import logging
import sqlite3
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sessionfsm.errors import StoreError

from .files import make_private_folder
from .sqlite_file import Damaged, Identity, alone, check_reachable, identity, in_plain_words, open_file, primary_code
from .sqlite_healing import begin_after, mend
from .sqlite_rows import LAST_NUMBER

__all__ = ["Database"]

logger = logging.getLogger("sessionfsm")

# After these a new connection may do better: one that was opened while the disk was read-only stays so.
_OPEN_ANEW = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)

_NUMBERS_PER_S = 100_000


class Database:
    """
    A connection, and what becomes of it. It may be used by several threads, which wait for each other.

    Args:
        path: The file, without links.
        busy_s: How long another program is waited for.
        wall: Seconds since the epoch.
        clock: Monotonic seconds.

    Attributes:
        seen: The largest number that anybody may know a message by; larger ones are kept here by who hands them out.
    """

    def __init__(self, path: Path, *, busy_s: float, wall: Callable[[], float], clock: Callable[[], float]) -> None:
        self.path = path
        self.seen = 0
        self._busy_s = busy_s
        self._wall = wall
        self._clock = clock
        self._started: float | None = None  # what the store's own clock says when `clock` says zero
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity = (None, None, None)  # which files it has open
        self._heals = True
        self._astray = False  # the files at the path are not those that are open
        self._damaged = False
        self._closed = False
        self._synchronous = ""
        self._version = 0  # of the data, as others change it
        self._new = False  # it is another file than sessions know

    def open(self, *, heal: bool) -> None:
        """
        Open it now.

        Args:
            heal: Whether it is made, brought up to date and mended when that is needed, from now on.

        Raises:
            StoreError: If it cannot be opened.
        """
        self._heals = heal
        with self.using():
            pass

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """
        Have the connection in a transaction, which is committed at the end, and rolled back after an error.

        Args:
            durable: Whether it survives a power failure. Else it costs no fsync, and survives only the process.

        Raises:
            StoreError: If anything goes wrong.
        """
        with self.using() as connection:
            synchronous = "FULL" if durable else "NORMAL"
            if synchronous != self._synchronous:
                connection.execute(f"PRAGMA synchronous = {synchronous}")
                self._synchronous = synchronous
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def in_place(self) -> None:
        """
        Make sure that what was just written is at the path.

        Files that were deleted meanwhile may have been put back by another process already, without it.

        Raises:
            StoreError: If it is not; it is put back with the next call.
        """
        with self._mutex:
            if self._connection is not None:
                self._check_place()

    @contextmanager
    def using(self) -> Iterator[sqlite3.Connection]:
        """
        Have the connection, ready and alone among threads.

        Raises:
            StoreError: If anything goes wrong.
        """
        with self._mutex:
            try:
                yield self._ready()
            except BaseException as error:
                self._roll_back()
                if isinstance(error, StoreError) or not isinstance(error, Exception):
                    raise
                # Without its frames: what they hold are rows, and rows hold secrets.
                raise self._trouble(error) from error.with_traceback(None)

    def changed(self) -> bool:
        """
        Return whether another connection has written since this was last asked.

        Raises:
            StoreError: If the file cannot be read.
        """
        with self._mutex:
            changed, self._new = self._new, False
            if self._connection is not None:
                try:
                    version = _data_version(self._connection)
                except sqlite3.Error as error:
                    raise self._trouble(error) from error.with_traceback(None)
                changed, self._version = changed or version != self._version, version
            return changed

    def now(self) -> float:
        """Seconds by the store's own clock: by the time of day when it was opened, and steady from then on."""
        assert self._started is not None
        return self._started + self._clock()

    def close(self) -> None:
        """Let go of the files; what was deleted while it was open is put back before, if that can be."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            if self._connection is not None and self._heals:
                try:
                    self._check()
                except StoreError:
                    if self._astray:
                        self._save()
            self._drop()

    def _save(self) -> None:
        try:
            self._mend()
        except (StoreError, sqlite3.Error, OSError) as error:
            logger.error("%s could not be put back: %s", self.path, error)

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                self._drop()

    def _trouble(self, error: Exception) -> StoreError:
        """Return what to raise for *error*, and see to it that the next call can do better."""
        trouble = in_plain_words(error, self.path, self._busy_s)
        if not isinstance(error, sqlite3.Error | OSError):  # a bug: say where, but not with what
            logger.error("the store failed unexpectedly:\n%s", "".join(traceback.format_tb(error.__traceback__)))
        if isinstance(trouble, Damaged):
            self._damaged = True
        elif primary_code(error) in _OPEN_ANEW:
            try:
                self._astray = self._astray or identity(self.path) != self._identity
            except OSError:
                return trouble  # as long as nobody can see what is there, what is open is kept
            if not self._astray:  # else it could not be opened again
                self._drop()
        return trouble

    def _ready(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError("the store is closed")
        if self._heals and (self._astray or self._damaged):
            self._mend()
        elif self._connection is None:
            self._open()
        self._check()
        assert self._connection is not None
        return self._connection

    def _open(self) -> None:
        try:
            self._adopt(*open_file(self.path, busy_s=self._busy_s, make=self._heals))
        except Damaged:
            if not self._heals:
                raise
            self._identity, self._damaged = identity(self.path), True
            self._mend()

    def _mend(self) -> None:
        make_private_folder(self.path.parent)
        with alone(self.path, self._busy_s):
            main = mend(
                self.path,
                self._connection,
                self._identity,
                damaged=self._damaged,
                seen=self._unused(),
                busy_s=self._busy_s,
            )
            if main == self._identity[0] and self._connection is not None:  # it is there again, as it was
                self._astray = False
                return
            connection, found = open_file(self.path, busy_s=self._busy_s, make=False, guarded=True)
            if found[0] != main:  # what was just put there is gone again: what was open before is still needed
                connection.close()
                raise StoreError(f"{self.path} was deleted or replaced while it was being mended; try again")
            self._drop()
            self._astray = self._damaged = False
            self._adopt(connection, found)

    def _unused(self) -> int:
        """
        Return a number that no message has. Other processes may have files of their own by now, of which they know
        messages by number; nobody adds messages as fast as this counts.
        """
        return max(self.seen, int(self._wall() * _NUMBERS_PER_S))

    def _adopt(self, connection: sqlite3.Connection, found: Identity) -> None:
        """Go on with this connection, to these files."""
        try:
            row = connection.execute("SELECT kept_at FROM message ORDER BY number DESC LIMIT 1").fetchone()
            now = self._wall() if self._started is None else self.now()
            started = max(now, row[0] if row else now) - self._clock()
            (last,) = connection.execute(LAST_NUMBER).fetchone()
            if last < self.seen and self._heals:  # another file than before: what handlers have in hand is not in it
                begin_after(connection, self._unused())
            version = _data_version(connection)
        except sqlite3.Error as error:
            connection.close()
            raise in_plain_words(error, self.path, self._busy_s) from error
        if self._started is not None:
            self._new = True  # whatever is in it, sessions have not seen all of it come
        self._connection, self._identity, self._started, self._version = connection, found, started, version
        self.seen = max(self.seen, last)
        self._synchronous = ""

    def _drop(self) -> None:
        """Let go of the connection. If its file is not at its place, SQLite leaves alone what is there."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _check(self) -> None:
        """Raise unless the files that are open are those at the path, and could be opened again."""
        self._check_place()
        try:
            check_reachable(self.path)
        except OSError as error:
            raise in_plain_words(error, self.path, self._busy_s) from error

    def _check_place(self) -> None:
        """Raise unless the files that are open are those at the path."""
        try:
            if identity(self.path) == self._identity:
                return
        except OSError as error:
            raise in_plain_words(error, self.path, self._busy_s) from error
        if not self._heals:
            self._drop()
            raise StoreError(f"{self.path} was deleted or replaced while it was open; try again")
        self._astray = True
        raise StoreError(f"{self.path} was deleted or replaced while it was open; it will be put back")


def _data_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)
