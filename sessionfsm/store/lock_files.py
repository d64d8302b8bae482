"""
Names that are locked by the operating system: in parts of a few files, or in a file for each.

A part of a file is locked for an *open file description*: the lock ends when nobody has that open any more, and not,
as older locks of parts do, when anything in the process closes the same file. So any number of locks need a handful of
descriptors. Linux has it; elsewhere each name has a file, and ``flock``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import struct
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .files import lock_file

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from filelock import UnixFileLock

__all__ = ["FILES", "FilePerLock", "LockFiles", "NoLocks", "Parts", "parts_can_be_locked"]

FILES = 16
"""So many files share the locks: the kernel walks a list of those that a file has."""

_SET: int | None = None if sys.platform == "win32" else getattr(fcntl, "F_OFD_SETLK", None)
_FLOCK = struct.Struct("hhqqi")  # type, whence, start, length, and a process, which is 0 here
_REFUSED = (errno.EAGAIN, errno.EACCES)

_mutex = threading.RLock()  # taken by os.fork() as well: no child may inherit what is not on the list yet
_all: weakref.WeakSet[Parts] = weakref.WeakSet()
_forks_watched = False


def parts_can_be_locked() -> bool:
    """Return whether this system has such locks."""
    return _SET is not None


class NoLocks(Exception):
    """The system has no locks of this kind."""


class LockFiles(Protocol):
    """
    Locks names, each for one holder. It may be used by several threads; a child made by :func:`os.fork` has none.

    The presence of its files means nothing.
    """

    def lock(self, name: str) -> bool:
        """
        Lock *name*; return whether it was free.

        Raises:
            NoLocks: If this system has no such locks.
            OSError: If it cannot be locked.
        """

    def unlock(self, name: str) -> None:
        """
        Unlock *name*, if it is locked through this object.

        Raises:
            OSError: If the system refuses.
        """

    def holds(self, name: str) -> bool:
        """Return whether *name* is locked through this object."""

    def names(self) -> list[str]:
        """Return what is locked through this object."""

    def path(self, name: str) -> Path:
        """Return the file in which the lock is."""


class FilePerLock:
    """
    A file for each name, locked by ``flock``.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, UnixFileLock] = {}
        self._mutex = threading.Lock()

    def lock(self, name: str) -> bool:
        if (lock := lock_file(self.path(name), timeout_s=0.0)) is None:
            return False
        with self._mutex:
            self._held[name] = lock
        return True

    def unlock(self, name: str) -> None:
        with self._mutex:
            lock = self._held.pop(name, None)
        if lock is not None:
            lock.release()

    def holds(self, name: str) -> bool:
        lock = self._held.get(name)
        return lock is not None and lock.is_locked  # it is not in a child made by fork, where the parent has it

    def names(self) -> list[str]:
        return list(self._held)

    def path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


class Parts:
    """
    A byte of a file for each name. The files are closed with the last lock.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[int, int] = {}  # number and descriptor of each file
        self._held: set[str] = set()

    def lock(self, name: str) -> bool:
        _watch_forks()
        with _mutex:
            if name in self._held:  # the kernel would let this very description have it twice
                return False
            number, start = _place(name)
            try:
                _set(self._opened(number), fcntl.F_WRLCK, start)
            except OSError as error:
                if error.errno in _REFUSED:
                    return False
                raise
            self._held.add(name)
            return True

    def unlock(self, name: str) -> None:
        with _mutex:
            if name not in self._held:
                return
            self._held.remove(name)
            number, start = _place(name)
            try:
                _set(self._open[number], fcntl.F_UNLCK, start)
            finally:
                if not self._held:
                    self._close()

    def holds(self, name: str) -> bool:
        return name in self._held

    def names(self) -> list[str]:
        return list(self._held)

    def path(self, name: str) -> Path:
        return self._file(_place(name)[0])

    def __del__(self) -> None:
        self._close()

    def _file(self, number: int) -> Path:
        return self._folder / f"accounts-{number:x}.lock"

    def _opened(self, number: int) -> int:
        """Return the descriptor of a file. A lock in one that was removed would be seen by nobody."""
        path, descriptor = self._file(number), self._open.get(number)
        if descriptor is not None:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.lstat(path), os.fstat(descriptor)):
                    return descriptor
            if any(_place(name)[0] == number for name in self._held):
                raise OSError(errno.ESTALE, "it was removed while there were locks in it, which nobody can see now")
            os.close(self._open.pop(number))
        _all.add(self)
        descriptor = self._open[number] = _opened(path)
        return descriptor

    def _close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


def _place(name: str) -> tuple[int, int]:
    """Return which file, and which byte of it, stands for *name*; the file need not be so long."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return digest[0] % FILES, int.from_bytes(digest[8:16], "big") >> 2


def _set(descriptor: int, kind: int, start: int) -> None:
    assert _SET is not None
    try:
        fcntl.fcntl(descriptor, _SET, _FLOCK.pack(kind, os.SEEK_SET, start, 1, 0))
    except OSError as error:
        if error.errno == errno.EINVAL:  # what a kernel says to a command that it does not know
            raise NoLocks from None
        raise


def _opened(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, 0o600)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not an ordinary file", os.fspath(path))
        if stat.S_IMODE(mode) != 0o600:  # the umask may have taken something away
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _watch_forks() -> None:
    global _forks_watched
    if not _forks_watched:
        with _mutex:
            if not _forks_watched:
                _forks_watched = True
                os.register_at_fork(before=_mutex.acquire, after_in_parent=_mutex.release, after_in_child=_in_child)


def _in_child() -> None:
    """Let go of what the parent has. It has it still: its own descriptors are open."""
    for each in tuple(_all):
        each._close()
        each._held.clear()
    _mutex.release()
