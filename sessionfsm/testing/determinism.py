"""The same seed, the same run: chance and the order of tasks are taken into hand."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sessionfsm.testing.virtual_time import Backend

__all__ = ["determined", "living_tasks"]


@contextmanager
def determined(seed: int, backend: Backend) -> Iterator[random.Random]:
    """Draw all chance from *seed* inside the block; hand out a source of chance for whoever else needs one."""
    state = random.getstate()
    random.seed(f"sessionfsm jitter {seed}")
    try:
        with _trio_in_order(seed) if backend == "trio" else _as_it_is():
            yield random.Random(f"sessionfsm operations {seed}")
    finally:
        random.setstate(state)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _trio_in_order(seed: int) -> Iterator[None]:
    """
    Let trio run tasks in the same order each time.

    It shuffles them on purpose, and has no public way to choose how; these two names are what hypothesis uses. Without
    them a run may differ from its replay where two things happen at the same instant.
    """
    from trio._core import _run

    chance, flag = getattr(_run, "_r", None), "_ALLOW_DETERMINISTIC_SCHEDULING"
    if not isinstance(chance, random.Random) or not hasattr(_run, flag):
        yield
        return
    state, allowed = chance.getstate(), getattr(_run, flag)
    chance.seed(f"sessionfsm order {seed}")
    setattr(_run, flag, True)
    try:
        yield
    finally:
        setattr(_run, flag, allowed)
        chance.setstate(state)


def living_tasks() -> int:
    """Return how many tasks the event loop has."""
    if "trio" in sys.modules:
        import trio

        try:
            return trio.lowlevel.current_statistics().tasks_living
        except RuntimeError:  # another event loop runs
            pass
    return len(asyncio.all_tasks())
