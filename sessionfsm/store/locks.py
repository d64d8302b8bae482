"""One poller per account: a lock of the operating system, which ends with the process that has it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sessionfsm.errors import AccountInUse, StoreError
from sessionfsm.printable import printable

from .files import file_name, make_private_folder, way_out
from .lock_files import FilePerLock, LockFiles, NoLocks, Parts, parts_can_be_locked
from .lock_notes import LockNotes, holder_of
from .places import locks_folder

__all__ = ["AccountLocks"]

_LONGEST_WORD = 80
_TRIES, _PAUSE_S = 20, 0.01  # a holder writes its note right after it has taken the lock


class AccountLocks:
    """
    Locks accounts: each for one holder, in this process or in any other that uses the same folder.

    The lock is the kernel's, on a part of a file that all accounts share, or by ``flock`` on a file for each account
    where parts cannot be locked; a file's presence means nothing. The kernel drops it when its process has ended,
    however it did. It was tried on Linux with local file systems; where there are no locks, an account cannot be
    locked, and is not. A program that is started does not inherit a lock, and a child made by :func:`os.fork` has
    let go of its parent's when the call returns. The folder must not be removed while a lock in it is held: the lock
    would stay behind with the files that were removed.

    It may be used by several threads.

    Args:
        folder: Where the locks are; by default in the user's data folder, the same for every store. It is made when it
            is missing, for its owner alone.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = locks_folder() if folder is None else Path(folder)
        self._locks: LockFiles = Parts(self._folder) if parts_can_be_locked() else FilePerLock(self._folder)
        self._notes = LockNotes(self._folder)

    def acquire(self, account: str) -> None:
        """
        Lock *account*, or raise at once.

        Raises:
            AccountInUse: If it is locked; it says by whom, as far as the holder has told.
            StoreError: If the lock cannot be had for another reason.
        """
        name = file_name(account)
        try:
            make_private_folder(self._folder)
            taken = self._lock(name)
        except OSError as error:
            path = self._locks.path(name)
            raise StoreError(
                f"account {account} cannot be locked: {path}: {error.strerror or error}; {way_out(error)}"
            ) from error
        if not taken:
            raise _in_use(account, self._folder, name)
        with suppress(OSError):  # the account is locked all the same; only nobody can be told by whom
            self._notes.write(name)

    def release(self, account: str) -> None:
        """
        Unlock *account*. If it is not locked through this object, it does nothing.

        Raises:
            StoreError: If the system refuses; the lock ends with the process then.
        """
        self._release(file_name(account), account)

    def close(self) -> None:
        """Unlock every account that is locked through this object."""
        for name in self._locks.names():
            self._release(name, name)

    def _lock(self, name: str) -> bool:
        try:
            return self._locks.lock(name)
        except NoLocks:  # nor are there any for any other process
            self._locks = FilePerLock(self._folder)
            return self._locks.lock(name)

    def _release(self, name: str, account: str) -> None:
        if not self._locks.holds(name):
            return
        with suppress(OSError):
            self._notes.erase(name)
        try:
            self._locks.unlock(name)
        except OSError as error:
            path = self._locks.path(name)
            raise StoreError(f"account {account} cannot be unlocked: {path}: {error.strerror or error}") from error


def _in_use(account: str, folder: Path, name: str) -> AccountInUse:
    for _ in range(_TRIES):
        if (found := holder_of(folder, name)) is not None:
            holder, since_s = found
            since = datetime.fromtimestamp(since_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            where = "" if holder.is_here else f" on {_word(holder.host)}"
            mine = holder.is_here and holder.pid == os.getpid()
            who = "this very process" if mine else f"{_word(holder.command)}{where}"
            return AccountInUse(account, pid=holder.pid, holder=f"{who}, since {since}")
        time.sleep(_PAUSE_S)
    return AccountInUse(account)


def _word(text: str) -> str:
    return printable(text[:_LONGEST_WORD])
