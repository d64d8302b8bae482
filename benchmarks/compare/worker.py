"""
One row in a process of its own, which does what standard input says (see ``pipe``) until that is closed.

    python -m benchmarks.compare.worker --row ours --backend asyncio --url URL --folder FOLDER
"""

from __future__ import annotations

import argparse
import cProfile
import functools
import gc
import io
import json
import logging
import os
import pstats
import ssl
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel

from .pipe import answer
from .rows import ROWS, Live, World, load

__all__ = ["BACKENDS", "run"]

BACKENDS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}
_STEP, _PAUSE_S = 50, 0.005
"""Sessions are started so many at a time, so that a server's queue of connections does not overflow."""


class Worker:
    """
    Runs the sessions of one row. Commands are answered by a thread, which costs next to nothing while it waits.

    Args:
        live: Runs one session.
        world: What it tells.
    """

    def __init__(self, live: Live, world: World) -> None:
        self._live = live
        self._world = world
        self._scope = anyio.CancelScope()
        self._done = anyio.Event()
        self._begun = 0
        self._profile = cProfile.Profile()

    async def run(self) -> None:
        """Do what standard input says, until it is closed."""
        token = anyio.lowlevel.current_token()
        ended = anyio.Event()

        def obey() -> None:
            for line in sys.stdin:
                name, arguments = json.loads(line)
                try:
                    if name == "sample":
                        answer(self.sample(**arguments))
                    else:
                        command = functools.partial(getattr(self, name), **arguments)
                        answer(anyio.from_thread.run(command, token=token))
                except Exception as error:
                    answer({"failed": f"{type(error).__name__}: {error}"})
            with suppress(RuntimeError):  # the loop has ended before, by an error
                anyio.from_thread.run_sync(ended.set, token=token)

        async with anyio.create_task_group() as group:
            group.start_soon(self._sessions)
            threading.Thread(target=obey, daemon=True).start()
            answer("ready")
            await ended.wait()
            self._scope.cancel()

    async def _sessions(self) -> None:
        with self._scope:
            async with anyio.create_task_group() as self._group:
                await anyio.sleep_forever()
        self._done.set()

    # --- commands ----------------------------------------------------------------------------------------------------

    def sample(self, *, collect: bool = False) -> dict[str, Any]:
        """Return what has been spent so far; the latencies since the last time."""
        if collect:
            gc.collect()
        world = self._world
        latencies, world.latencies_ns = world.latencies_ns, []
        return {
            "cpu_s": time.process_time(),
            "rss_kb": _resident_kb(),
            "errors": world.errors,
            "latencies_ms": [each / 1e6 for each in latencies],
        }

    async def start(self, *, count: int) -> dict[str, Any]:
        """Start so many more sessions."""
        for number in range(count):
            self._group.start_soon(self._live, self._begun)
            self._begun += 1
            if number % _STEP == _STEP - 1:
                await anyio.sleep(_PAUSE_S)
        return {}

    async def cancel(self) -> dict[str, Any]:
        """Cancel every session, and wait until all have ended."""
        began, cpu = time.monotonic(), time.process_time()
        self._scope.cancel()
        await self._done.wait()
        return {"s": time.monotonic() - began, "cpu_s": time.process_time() - cpu}

    async def profile(self, *, on: bool) -> dict[str, Any]:
        """Begin or end profiling; at the end return the dearest functions, by their own time."""
        if on:
            self._profile.enable()
            return {}
        self._profile.disable()
        text = io.StringIO()
        statistics = pstats.Stats(self._profile, stream=text)
        statistics.sort_stats("tottime").print_stats(400)
        statistics.sort_stats("cumulative").print_stats(90)
        return {"text": text.getvalue()}


def _resident_kb() -> float:
    """Return the memory that the process has, in KB. What the kernel keeps for its sockets is not in it."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


async def run(row: str, url: str, folder: Path) -> None:
    """Run a row."""
    trusted = os.environ.get("SSL_CERT_FILE")
    tls = ssl.create_default_context(cafile=trusted) if url.startswith("https") else None
    world = World(base_url=url, folder=folder, tls=tls)
    async with load(row)(world) as live:
        await Worker(live, world).run()


def main() -> None:
    """Run one row on one backend."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--row", choices=list(ROWS), required=True)
    parser.add_argument("--backend", choices=list(BACKENDS), required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    logging.disable()  # what goes wrong here is arranged
    try:
        anyio.run(run, args.row, args.url, args.folder, **BACKENDS[args.backend])
    except Exception as error:
        # Of ten thousand sessions that failed alike, the first one says it.
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        sys.exit(f"{args.row}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
