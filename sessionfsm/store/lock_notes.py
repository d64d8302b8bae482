"""
Who holds which lock: a file for each process, beside the locks, with a line for each.

It is told to people, and nothing is decided by it. A file for each lock would take longer to make and remove than
everything else that a session does at its beginning and its end: a millisecond on a disk, in which nobody else goes on.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec

from sessionfsm.printable import printable

from .files import read_file

if sys.platform != "win32":
    import fcntl

__all__ = ["Holder", "LockNotes", "holder_of"]

_PREFIX, _SUFFIX = "holder-", ".notes"
_HEAD_BYTES = 1024
_KEY_BYTES = 32
_LINE_BYTES = 48
_LONGEST_WORD = 80
_LONGEST = 64 * 1024 * 1024  # a million lines


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """
    A process that holds locks.

    Attributes:
        pid: Its number.
        command: What it runs, without arguments.
        host: Where.
    """

    pid: Annotated[int, msgspec.Meta(gt=0, lt=2**31)]
    command: str
    host: str

    @property
    def is_here(self) -> bool:
        """Whether it is on this computer."""
        return self.host == _host()


class LockNotes:
    """
    What this process says of the locks that it holds. It may be used by several threads.

    The file is locked as long as it is open: so one that a kill has left is known. A child made by :func:`os.fork` has
    said nothing, and leaves alone what its parent has.

    Args:
        folder: Where the locks are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path, self._descriptor = "", -1
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._mutex = threading.Lock()  # that of a parent may be held by a thread that is not here
        self._lines: dict[str, int] = {}  # the number of each one's line
        self._free: list[int] = []  # lines that were used before

    def __del__(self) -> None:
        self._close()

    def write(self, name: str) -> None:
        """
        Say that this process holds *name* from now on. Whoever calls this does hold it.

        Raises:
            OSError: If it cannot be written.
        """
        if self._pid != os.getpid():
            self._close()
            self._begin()
        with self._mutex:
            if self._descriptor < 0:
                self._open()
            line = self._free.pop() if self._free else len(self._lines)
            try:
                self._put(line, b"%b %.3f" % (_key(name), time.time()))
            except BaseException:
                self._free.append(line)
                raise
            self._lines[name] = line

    def erase(self, name: str) -> None:
        """
        Say no more that it holds *name*. The file goes with the last one.

        Raises:
            OSError: If it cannot be written.
        """
        if self._pid != os.getpid():
            return
        with self._mutex:
            line = self._lines.pop(name, None)
            if line is None:
                return
            if not self._lines:
                self._free.clear()
                self._close()
                return
            self._free.append(line)
            self._put(line, b"")

    def _put(self, line: int, text: bytes) -> None:
        os.pwrite(self._descriptor, text.ljust(_LINE_BYTES - 1) + b"\n", _HEAD_BYTES + line * _LINE_BYTES)

    def _open(self) -> None:
        head = Holder(pid=self._pid, command=_program(), host=_host())
        descriptor, path = tempfile.mkstemp(_SUFFIX, _PREFIX, self._folder)
        self._descriptor, self._path = descriptor, path
        try:
            os.fchmod(descriptor, 0o600)  # the umask may have taken something away
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # before there is a head: without one it is nobody's
            os.pwrite(descriptor, msgspec.json.encode(head).ljust(_HEAD_BYTES - 1) + b"\n", 0)
        except BaseException:
            self._close()
            raise
        for each in _files(self._folder):  # nobody else clears up after those that were killed
            with suppress(OSError, ValueError):
                if each != path and _was_left(each, _head(read_file(Path(each), _LONGEST)[0])):
                    os.unlink(each)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
            if self._pid == os.getpid():
                with suppress(OSError):
                    os.unlink(self._path)


def holder_of(folder: Path, name: str) -> tuple[Holder, float] | None:
    """Return who says that it holds *name*, and since when, in seconds since the epoch; ``None`` if nobody does."""
    key = _key(name)
    for path in _files(folder):
        with suppress(OSError, ValueError):  # it was removed just now, or is odd; msgspec's errors are the second
            data = read_file(Path(path), _LONGEST)[0]
            at = data.find(key, _HEAD_BYTES)
            if at < 0 or _was_left(path, holder := _head(data)):
                continue
            since = float(data[at + _KEY_BYTES : at + _LINE_BYTES])
            if 0 <= since < 2**37:
                return holder, since
    return None


def _files(folder: Path) -> Iterator[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                yield entry.path


def _key(name: str) -> bytes:
    """Return what stands for *name*, which may be of any length."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_BYTES].encode("ascii")


def _head(data: bytes) -> Holder:
    """Read who it is. Raises a ValueError if that is odd."""
    return msgspec.json.decode(data[:_HEAD_BYTES], type=Holder)


def _was_left(path: str, holder: Holder) -> bool:
    """Whether a kill has left the file: nobody has it open any more, or only a child of who has ended."""
    if sys.platform != "win32":
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
    if not holder.is_here:
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's, and not ours to signal
        return False
    return False


def _host() -> str:
    return printable(os.uname().nodename)[:_LONGEST_WORD]


def _program() -> str:
    """Return what is running, without its arguments: one of them may be a token."""
    path = Path(sys.argv[0] if getattr(sys, "argv", None) else "")
    if path.name == "__main__.py":
        name = f"python -m {path.parent.name}"
    else:
        name = "python" if path.name in ("", "-c", "-") else path.name
    return printable(name)[:_LONGEST_WORD]
