"""Whose cancellation it is."""

from __future__ import annotations

import asyncio
import math

import anyio

__all__ = ["cancelled_from_outside"]


def cancelled_from_outside(error: BaseException) -> bool:
    """Whether somebody cancels this task. On asyncio code that awaits what it has cancelled raises the same."""
    if not isinstance(error, asyncio.CancelledError) or anyio.current_effective_deadline() == -math.inf:
        return True
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
