"""Lines for another program. A reader that does not read holds up nobody but itself."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from concurrent.futures import Future

from .exit_codes import ExitCode
from .problems import CommandError, unwritable

__all__ = ["LineWriter", "standard_output"]

_Job = tuple[bytes, "Future[None] | None"]


class LineWriter:
    """
    Writes lines to a file descriptor, in a thread of its own.

    The thread does not keep the process alive, and no buffer lies between a line and the descriptor: what was written
    is with the reader, and at the end nothing is left to be flushed into a closed pipe.

    Args:
        descriptor: Where to write.
        limit: How many lines may wait; those that come beyond it are left out, and counted in a line of their own.

    Attributes:
        error: Why the descriptor can no longer be written.
    """

    def __init__(self, descriptor: int, *, limit: int = 10_000) -> None:
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._limit = limit
        self._failure: Future[OSError] = Future()
        self._failure.set_running_or_notify_cancel()  # nobody who waits for it may cancel it for others
        self._left_out = 0
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="lines", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Have *line* written; do not wait for it."""
        if self._jobs.qsize() >= self._limit:
            self._left_out += 1
            return
        if self._left_out:
            self._jobs.put((b"(%d lines left out: nobody was reading)\n" % self._left_out, None))
            self._left_out = 0
        self._jobs.put((_encoded(line), None))

    async def write(self, line: str | bytes) -> None:
        """
        Write *line*, and wait until all of it is written.

        Raises:
            OSError: If it cannot be; part of it may have been.
        """
        written: Future[None] = Future()
        self._jobs.put((line + b"\n" if isinstance(line, bytes) else _encoded(line), written))
        await asyncio.wrap_future(written)

    async def wait_failed(self) -> OSError:
        """Wait until the descriptor can no longer be written, perhaps for ever; return why."""
        return await asyncio.wrap_future(self._failure)

    def close(self, timeout_s: float | None = None) -> bool:
        """
        Wait until everything is written, or *timeout_s* is over. Nothing may be written afterwards.

        Returns:
            Whether all is over; else this can be called again.
        """
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def check(self) -> None:
        """
        Return if everything could be written, or if the reader has gone: that is no failure.

        Raises:
            CommandError: If the descriptor cannot be written for another reason.
        """
        if self.error is not None and not isinstance(self.error, ConnectionError):  # a broken pipe is one
            raise CommandError(unwritable(self.error), ExitCode.FAILED)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            line, written = job
            if written is not None and not written.set_running_or_notify_cancel():
                continue
            try:
                if self.error is not None:
                    raise self.error
                _write_all(self._descriptor, line)
            except OSError as error:
                if self.error is None:
                    self.error = error
                    self._failure.set_result(error)
                if written is not None:
                    written.set_exception(error)
            else:
                if written is not None:
                    written.set_result(None)


def standard_output() -> int:
    """
    Return the descriptor of standard output.

    Raises:
        CommandError: If the process was started without one. Its number may be a socket's by now.
    """
    if sys.stdout is None:
        raise CommandError("standard output is closed; send it somewhere, at least to /dev/null")
    sys.stdout.flush()
    return sys.stdout.fileno()


def _encoded(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
