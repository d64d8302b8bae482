"""Simulations in processes of their own: results come back, and so does whatever goes wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial

import pytest

from sessionfsm.errors import DefinitionError
from sessionfsm.testing import SimulationResult, simulate
from sessionfsm.testing.simulation import Pool, WorkerDied

Job = Callable[[int], SimulationResult]


def brief(what: str = "") -> Job:
    """Return what a process does; it is imported there."""
    if what == "refused":
        raise DefinitionError("there is no such machine")

    def job(seed: int) -> SimulationResult:
        if seed == 3 and what == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if seed == 3 and what == "exits":
            os._exit(7)
        if seed == 3 and what == "raises":
            raise KeyError("a bug")
        return simulate(seed, hours=0.02)

    return job


def test_every_seed_comes_back_once() -> None:
    """From two processes, in any order; leaving the block leaves no process behind."""
    with Pool(brief, 2) as pool:
        found = [result for result in pool.results(range(5), look_s=0.2) if result is not None]
        processes = list(pool._workers.values())
    assert sorted(result.schedule.seed for result in found) == [0, 1, 2, 3, 4]
    assert all(result.ok for result in found)
    for process in processes:
        with pytest.raises(ValueError, match="closed"):
            process.is_alive()


@pytest.mark.parametrize(
    ("what", "error", "says"),
    [
        ("killed", WorkerDied, "seed 3 has ended without an answer: killed by SIGKILL"),
        ("exits", WorkerDied, "seed 3 has ended without an answer: exit code 7"),
        ("raises", RuntimeError, "seed 3: KeyError: 'a bug'"),
        ("refused", DefinitionError, "there is no such machine"),
    ],
)
def test_what_goes_wrong_in_a_process_is_told_and_hangs_nobody(what: str, error: type[Exception], says: str) -> None:
    """A process that dies is an error, and names the seed that it was at."""
    with Pool(partial(brief, what), 1) as pool, pytest.raises(error, match=says):
        list(pool.results(range(3, 9)))
