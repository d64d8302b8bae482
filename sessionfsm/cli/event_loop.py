"""The event loop of what runs for long: uvloop, where it is installed (``pip install 'sessionfsm[uvloop]'``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import anyio

__all__ = ["run_loop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run_loop(function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """Run *function* to its end, on asyncio. One request and its answer do not pay for loading uvloop."""
    installed = importlib.util.find_spec("uvloop") is not None
    return anyio.run(function, *args, backend="asyncio", backend_options={"use_uvloop": installed})
