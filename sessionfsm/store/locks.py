"""One poller per account: a lock of the operating system, which ends with the process that has it."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from sessionfsm.errors import AccountInUse, StoreError
from sessionfsm.printable import printable

from .files import file_name, make_private_folder, read_file, way_out
from .lock_files import FilePerLock, LockFiles, NoLocks, Parts, parts_can_be_locked
from .places import locks_folder

__all__ = ["AccountLocks"]

_LONGEST_NOTE = 4096
_LONGEST_WORD = 80
_TRIES, _PAUSE_S = 20, 0.01  # a holder writes its note right after it has taken the lock


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder says of itself, beside its lock. It is shown to people, and nothing is decided by it."""

    pid: Annotated[int, msgspec.Meta(gt=0, lt=2**31)]
    since: Annotated[float, msgspec.Meta(ge=0, lt=2**37)]  # wall time, seconds since the epoch
    command: str
    host: str


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
            raise _in_use(account, self._note_path(name))
        with suppress(OSError):  # the account is locked all the same; only nobody can be told by whom
            _write_note(self._note_path(name))

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
            os.unlink(self._note_path(name))
        try:
            self._locks.unlock(name)
        except OSError as error:
            path = self._locks.path(name)
            raise StoreError(f"account {account} cannot be unlocked: {path}: {error.strerror or error}") from error

    def _note_path(self, name: str) -> str:
        return os.path.join(self._folder, f"{name}.json")


def _write_note(path: str) -> None:
    """Write who holds the lock. Whoever calls this holds it, so that nobody else writes; who reads half of it waits."""
    note = _Note(pid=os.getpid(), since=time.time(), command=_program(), host=os.uname().nodename)
    how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, how, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask
        os.write(descriptor, msgspec.json.encode(note))
    finally:
        os.close(descriptor)


def _program() -> str:
    """Return what is running, without its arguments: one of them may be a token."""
    path = Path(sys.argv[0] if getattr(sys, "argv", None) else "")
    if path.name == "__main__.py":
        return f"python -m {path.parent.name}"
    return "python" if path.name in ("", "-c", "-") else path.name


def _in_use(account: str, path: str) -> AccountInUse:
    for _ in range(_TRIES):
        note = _read_note(path)
        if note is not None:
            since = datetime.fromtimestamp(note.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            mine = note.pid == os.getpid() and note.host == os.uname().nodename
            where = "" if note.host == os.uname().nodename else f" on {_word(note.host)}"
            who = "this very process" if mine else f"{_word(note.command)}{where}"
            return AccountInUse(account, pid=note.pid, holder=f"{who}, since {since}")
        time.sleep(_PAUSE_S)
    return AccountInUse(account)


def _read_note(path: str) -> _Note | None:
    """Return what the holder says of itself, and nothing for what is odd or was left by a process that has ended."""
    try:
        note = msgspec.json.decode(read_file(Path(path), _LONGEST_NOTE)[0], type=_Note)
    except (OSError, ValueError):  # msgspec's own errors are the second
        return None
    return None if note.host == os.uname().nodename and _has_ended(note.pid) else note


def _has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's, and not ours to signal
        return False
    return False


def _word(text: str) -> str:
    return printable(text[:_LONGEST_WORD])
