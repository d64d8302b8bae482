"""What is measured without a row: a machine's trigger, the start of the command line, the disk, durable messages."""

from __future__ import annotations

import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio

from benchmarks import durability
from sessionfsm import Machine, Policy
from sessionfsm.lifecycle import Trigger

__all__ = ["disk_sync_ms", "durable", "help_start", "trigger_us"]

_SENDERS = 16


def trigger_us(count: int = 20_000, rounds: int = 5) -> float:
    """Return the microseconds of CPU of the trigger that follows a good poll; the best of the rounds."""
    lifecycle = Machine(Policy()).session()
    step = lifecycle.handle(Trigger.START)
    assert step is not None
    assert step.command is not None
    step = lifecycle.handle(Trigger.SESSION_RENEWED, serial=step.command.serial)
    times, handle, polled = [], lifecycle.handle, Trigger.POLLED
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(count):
            assert step is not None
            assert step.command is not None
            step = handle(polled, serial=step.command.serial)
        times.append(time.process_time() - began)
    return min(times) / count * 1e6


def help_start(rounds: int = 15) -> dict[str, float]:
    """Return the milliseconds of CPU that ``sessionfsm --help`` and a bare interpreter take; medians, in turns."""
    # As installed: the modules are compiled by the first start, and not by each.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    commands = {"bare": ["-c", "pass"], "help": ["-m", "sessionfsm", "--help"]}
    subprocess.run([sys.executable, *commands["help"]], stdout=subprocess.DEVNULL, env=environment, check=True)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, arguments in commands.items():
            before = _children_s()
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, env=environment, check=True)
            spent = _children_s() - before
            times[name].append(spent * 1000)
    return {f"{name}_ms": statistics.median(each) for name, each in times.items()}


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def disk_sync_ms(count: int = 50, folder: Path | None = None) -> float:
    """Return the median milliseconds of 4 KiB appended to a file and synced: no durable message can be faster."""
    times, block = [], b"x" * 4096
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(count):
            began = time.perf_counter()
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def durable(*, messages: int = 3000, rounds: int = 3, folder: Path | None = None) -> dict[str, float]:
    """
    Return messages per second of CPU of one session, in batches of a hundred: ours, and one transaction for each.

    It is what ``benchmarks/durability.py`` measures; the naive one is its ``plain``. Medians, in turns.
    """
    kinds = {"ours": "durable", "naive": "plain"}
    spent: dict[str, list[float]] = {name: [] for name in kinds}
    before = logging.root.manager.disable
    logging.disable()
    try:
        with durability.serving() as url, tempfile.TemporaryDirectory(dir=folder) as place:
            for number in range(rounds):
                for name, kind in kinds.items():
                    own = Path(place) / f"{name}-{number}"
                    own.mkdir()
                    with closing(durability.KINDS[kind](own)) as store:

                        async def run(of: Any = store) -> tuple[float, float]:
                            return await durability.one_session(url, of, _SENDERS, messages)

                        spent[name].append(anyio.run(run)[1])
    finally:
        logging.disable(before)
    return {f"{name}_per_cpu_s": messages / statistics.median(each) for name, each in spent.items()}
