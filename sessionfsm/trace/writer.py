"""Writes what a session does to a file, a line for each record, while it happens."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec

from sessionfsm._version import __version__
from sessionfsm.errors import DefinitionError, TraceError
from sessionfsm.lifecycle import Machine, Trigger
from sessionfsm.session import Record, SendRecord

from .digest import table_digest
from .lines import VERSION
from .reader import LONGEST_LINE, begins_a_run, name_of

__all__ = ["TraceWriter"]

logger = logging.getLogger("sessionfsm")

_LONGEST = 500
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY


class TraceWriter:
    """
    Records a session on file. It is an observer, to be passed to one session at a time when that is made.

    .. code-block:: python

        with TraceWriter("run.jsonl") as trace:
            async with Session(token=token, observers=[trace]) as session:
                ...

    Each record is with the operating system when the session goes on, so a process that is killed leaves every line
    but, at worst, half of the last one. That takes microseconds, as long as the file is on a disk that works: a network
    file system that hangs would hold up the session, and so would a pipe, which is refused.

    A file that exists is gone on with: the run comes after those that are in it. A new one can be read by its owner
    only. No token, cursor, context token or message stands in it, but the account's name does.

    When it cannot be written any more (the disk is full), that is logged once as an error and the run on file is marked
    as broken off, as far as there is room for that; the session goes on.

    Args:
        target: A file by its name, or one that is open for writing bytes; that one is left open.

    Attributes:
        problem: Why the trace is broken off; ``None`` while it is whole.

    Raises:
        TraceError: If the file cannot be opened, is in use by another writer, or holds something else than a trace.
    """

    def __init__(self, target: str | os.PathLike[str] | BinaryIO) -> None:
        self.problem: str | None = None
        self._mine = isinstance(target, str | os.PathLike)
        self._size = 0
        self._file: BinaryIO
        if isinstance(target, str | os.PathLike):
            name = os.fsdecode(target)
            self._name = f"the trace {name}"
            self._file = _opened(name)
            self._size = _go_on(self._file, name)
        else:
            self._name = name_of(target)
            self._file = target
        self._run: dict[str, Any] | None = None
        self._number = 0
        self._marked = False

    def begin_run(self, machine: Machine) -> None:
        """
        A session has been made that will run on *machine*. Where an earlier one was broken off, this one is tried anew.

        Raises:
            DefinitionError: If another session's run has not ended: one writer records one session at a time.
        """
        if self._run is not None and self._number:
            raise DefinitionError(f"{self._name} records a session that has not ended; give each session its own trace")
        self._run, self._number = _run_of(machine), 0
        self.problem, self._marked = None, False

    def __call__(self, record: Record) -> None:
        """Write *record*."""
        if self.problem is not None:
            self._mark(record.at_s)
        else:
            self._record(record)
        if record.trigger == Trigger.CLOSED:
            self._run = None

    def sent(self, send: SendRecord) -> None:
        """Write *send*, if its run has begun and has not ended: what is sent before or afterwards is not on file."""
        if self.problem is not None or self._run is None or not self._number:
            return
        try:
            self._write(_line({"kind": "send", **send.to_dict(), "detail": _clean(send.detail)}))
        except (OSError, ValueError) as error:
            at_s = send.started_s + send.held_s
            self._break_off(error, at_s=at_s, at="a text that was sent", account=send.account)

    def _record(self, record: Record) -> None:
        try:
            if self._run is None:
                raise ValueError("pass a trace to the session when that is made: Session(observers=[trace])")
            if record.number != self._number + 1:
                raise ValueError(
                    f"record {record.number} came after {self._number}: it is told of two sessions at once"
                )
            first = b"" if self._number else self._first_line(self._run, record)
            self._write(first + _line({"kind": "record", **record.to_dict(), "detail": _clean(record.detail)}))
            self._number = record.number
        except (OSError, ValueError) as error:
            self._break_off(error, at_s=record.at_s, at=f"record {record.number}", account=record.account)

    def close(self) -> None:
        """Close the file, if the writer has opened it. A second time it changes nothing."""
        if self._mine:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _first_line(self, run: dict[str, Any], record: Record) -> bytes:
        moment = {"account": record.account, "at_s": record.at_s, "wall_s": record.wall_s}
        line = _line({"kind": "run", "version": VERSION, "library": __version__, **moment, **run})
        torn = self._size and os.pread(self._file.fileno(), 1, self._size - 1) != b"\n"
        return b"\n" + line if torn else line

    def _write(self, data: bytes) -> None:
        """Write all of *data*, or raise."""
        if self._mine:
            rest = memoryview(data)
            while rest:
                written = self._file.write(rest)
                if written is None:  # a terminal that somebody has halted
                    raise BlockingIOError(errno.EAGAIN, "nobody takes what is written")
                rest = rest[written:]
            self._size += len(data)
        else:
            self._file.write(data)
            self._file.flush()

    def _break_off(self, error: OSError | ValueError, *, at_s: float, at: str, account: str) -> None:
        self.problem = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        logger.error(
            "%s: %s is broken off at %s: %s; the session goes on without it",
            account,
            self._name,
            at,
            self.problem,
        )
        self._mark(at_s)

    def _mark(self, at_s: float) -> None:
        """Say on file that there is no more to come, as soon as there is room for it."""
        if self._marked or not self._number:
            return
        if self._mine:
            with suppress(OSError, ValueError):
                self._file.truncate(self._size)  # no half line, and with it perhaps the room for the mark
        with suppress(OSError, ValueError):
            self._write(_line({"kind": "broken_off", "at_s": at_s, "why": _clean(self.problem or "")}))
            self._marked = True


def _run_of(machine: Machine) -> dict[str, Any]:
    return {
        "table": {"name": machine.table.name, "digest": table_digest(machine.table)},
        "policy": asdict(machine.policy),
    }


def _line(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(fields) + b"\n"


def _clean(words: str) -> str:
    """Return what somebody else said, in a form and a length that stand on a line."""
    return words if words.isascii() and len(words) <= _LONGEST else words[:_LONGEST].encode("utf-8", "replace").decode()


def _opened(name: str) -> BinaryIO:
    try:
        descriptor = os.open(name, _FLAGS, 0o600)
    except OSError as error:
        raise TraceError(f"the trace {name} cannot be opened: {error.strerror or error}", name=name) from None
    return open(descriptor, "r+b", buffering=0)


def _go_on(file: BinaryIO, name: str) -> int:
    """Make sure that *file* may be written to; return its size."""
    try:
        kind = os.fstat(file.fileno())
        if stat.S_ISCHR(kind.st_mode):
            return 0
        if not stat.S_ISREG(kind.st_mode):
            raise TraceError(f"{name} is no file; a session could be held up by what is at its other end", name=name)
        _lock(file, name)
        size = os.fstat(file.fileno()).st_size
        first = os.pread(file.fileno(), LONGEST_LINE, 0).partition(b"\n")[0]
        if size and not begins_a_run(first):
            words = f"{name} is there, and is no trace of version {VERSION}; it is left as it is, name another file"
            raise TraceError(words, name=name)
        return size
    except BaseException:
        file.close()
        raise


def _lock(file: BinaryIO, name: str) -> None:
    """Keep other writers out; the lock ends with the process."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TraceError(f"{name} is written by another session; give each session its own trace", name=name) from None
    except OSError:  # a file system without locks
        pass
