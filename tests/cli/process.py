"""Processes for tests: started, watched with deadlines, and never left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.known_secrets import shown_in

DEADLINE_S = 20.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "SESSIONFSM_TOKEN"}
TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"


class Process:
    """A running ``sessionfsm`` whose output can be read while it runs."""

    def __init__(self, popen: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.popen = popen
        self._out = out
        self._err = err

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def wait(self) -> int:
        return self.popen.wait(DEADLINE_S)

    def wait_for(self, pattern: str, *, err: bool = False) -> re.Match[str]:
        """Wait until the output has *pattern*."""

        def found() -> re.Match[str] | None:
            return re.search(pattern, self.err if err else self.out)

        wait_until(lambda: found() is not None or self.popen.poll() is not None)
        match = found()
        assert match is not None, f"no {pattern!r} in:\n{self.out}\n{self.err}"
        return match


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


@contextmanager
def started(folder: Path, *arguments: str, stdout: int | None = None, **variables: str) -> Iterator[Process]:
    """Start ``sessionfsm`` with *arguments*; kill it at the end if it still runs. It must have shown no secret."""
    name = f"{arguments[0]}-{time.monotonic_ns()}"
    out, err = folder / f"{name}.out", folder / f"{name}.err"
    with (
        out.open("wb") as out_file,
        err.open("wb") as err_file,
        subprocess.Popen(
            [sys.executable, "-m", "sessionfsm", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out_file if stdout is None else stdout,
            stderr=err_file,
            env=ENVIRONMENT | {"XDG_DATA_HOME": os.environ["XDG_DATA_HOME"]} | variables,
            # Whoever runs the tests in the background has SIGINT ignored, and a child would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as popen,
    ):
        try:
            yield Process(popen, out, err)
        finally:
            if popen.poll() is None:
                popen.kill()
    for file in (out, err):
        name = shown_in(file.read_text(errors="replace"))
        assert name is None, f"{file.name} shows a secret: {name}"


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[Process, str]]:
    """Start the fake server; hand out its process and its address."""
    with started(folder, "server", *arguments) as process:
        yield process, process.wait_for(r"http://127\.0\.0\.1:\d+")[0]
