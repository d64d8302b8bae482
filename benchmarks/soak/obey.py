"""A child process that does what its standard input says (see ``compare.pipe``)."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import suppress

import anyio
import anyio.from_thread
import anyio.lowlevel

from benchmarks.compare.pipe import answer

__all__ = ["obey"]


async def obey(commands: object, *, first: object) -> None:
    """
    Answer *first*, then call what each line names, a method of *commands*, until standard input is closed.

    A thread reads the lines, which costs the event loop nothing; the methods are called in the loop.
    """
    token, ended = anyio.lowlevel.current_token(), anyio.Event()

    def done(line: str) -> object:
        name, arguments = json.loads(line)
        try:
            return anyio.from_thread.run_sync(lambda: getattr(commands, name)(**arguments), token=token)
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}"}

    def read() -> None:
        for line in sys.stdin:
            answer(done(line))
        with suppress(RuntimeError):  # the loop has ended before, by an error
            anyio.from_thread.run_sync(ended.set, token=token)

    threading.Thread(target=read, daemon=True).start()
    answer(first)
    await ended.wait()
