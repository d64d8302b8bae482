"""Whose cancellation it is."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import anyio

__all__ = ["cancellations", "cancelled_from_outside"]


def cancelled_from_outside(error: BaseException) -> bool:
    """Whether somebody cancels this task. On asyncio code that awaits what it has cancelled raises the same."""
    if not isinstance(error, asyncio.CancelledError) or anyio.current_effective_deadline() == -math.inf:
        return True
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def cancellations() -> Callable[[], int]:
    """Return what counts how often this task was asked to end by asyncio's own means, and has not taken that back."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # it is not asyncio's loop
        task = None
    return int if task is None else task.cancelling
