"""Commands to a child process, and its answers: a line of JSON each, on its standard input and output."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self

__all__ = ["Child", "ChildFailed", "answer"]

_END_S = 20.0
# A proxy would stand between the rows and the loopback server.
_NOT_INHERITED = ("http_proxy", "https_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir")


class ChildFailed(Exception):
    """A child process ended, or did not answer in time, or says that it could not do what it was told."""


class Child:
    """
    A child process that is told what to do, one thing after the other.

    Args:
        arguments: For the interpreter: ``-m``, a module, its own arguments.
        environment: Variables it gets besides ours.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        kept = {name: value for name, value in os.environ.items() if name.lower() not in _NOT_INHERITED}
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=kept | dict(environment or {}),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(self._out,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def __call__(self, command: str, within_s: float = 60.0, **arguments: Any) -> Any:
        """
        Have *command* done, and return what it answers.

        Raises:
            ChildFailed: If it could not, or if there is no answer within *within_s* seconds.
        """
        try:
            self._in.write(json.dumps([command, arguments]) + "\n")
            self._in.flush()
        except OSError:
            raise ChildFailed(f"{command}: the process has ended (code {self._process.poll()})") from None
        return self.heard(command, within_s)

    def heard(self, command: str, within_s: float) -> Any:
        """Return the next answer. Raises what a call raises."""
        try:
            line = self._lines.get(timeout=within_s)
        except queue.Empty:
            raise ChildFailed(f"{command}: no answer within {within_s:g} s") from None
        if not line:
            raise ChildFailed(f"{command}: the process has ended (code {self._process.wait(_END_S)})")
        found = json.loads(line)
        if isinstance(found, dict) and "failed" in found:
            raise ChildFailed(f"{command}: {found['failed']}")
        return found

    def end(self) -> None:
        """Close its standard input, on which it ends; if it does not, end it."""
        with suppress(OSError):
            self._in.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._out.close()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._lines.put(line)
        self._lines.put("")


def answer(found: Any) -> None:
    """Answer a command, in the child."""
    print(json.dumps(found), flush=True)
