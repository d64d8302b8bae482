"""How a store's blocking functions are called from async code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import anyio.to_thread

__all__ = ["run_in_thread", "run_inline"]

P = ParamSpec("P")
R = TypeVar("R")


async def run_inline(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call it here and now: for stores that never block, and under virtual time, where a thread stops the clock."""
    return function(*args, **kwargs)


async def run_in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call it in a worker thread. A cancelled caller goes on at once; the call goes on alone, to its end."""
    return await anyio.to_thread.run_sync(functools.partial(function, *args, **kwargs), abandon_on_cancel=True)
