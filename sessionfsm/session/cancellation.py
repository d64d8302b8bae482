"""Whose cancellation it is, whether it has come already, and where it ends."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import TracebackType

import anyio

__all__ = ["TASK_ENDS", "being_cancelled", "cancellations", "cancelled_from_outside", "taken_back"]


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


def taken_back(error: BaseException, before: int) -> bool:
    """
    Whether *error* is a cancellation that no scope around this task has asked for; then the task is as before.

    It is for tasks that only scopes may end: asyncio's own ``cancel()`` of such a task is the work of what runs in it.

    Args:
        error: What was raised.
        before: What :func:`cancellations` has counted before.
    """
    if not isinstance(error, asyncio.CancelledError) or anyio.current_effective_deadline() == -math.inf:
        return False
    task = asyncio.current_task()
    while task is not None and task.cancelling() > before:
        task.uncancel()
    return True


def being_cancelled(scope: anyio.CancelScope) -> bool:
    """
    Whether what is around *scope* is cancelled, the innermost one that this task is in, and not *scope* itself.

    Then all that is in it is being cancelled already. To cancel it once more, as a task group does that is left by an
    exception, goes through its tasks again and again until they have ended: for each of ten thousand that end together.
    """
    return anyio.current_effective_deadline() == -math.inf and not scope.cancel_called


class _TaskEnds:
    """
    Stands around all that a task does: that it is cancelled ends it, and is raised no further. Nobody would hear it.

    On asyncio a task group that looks at what a task has raised makes a ring of it: the exception, the frames that it
    has passed, its own. Of ten thousand that end together these are so many that the garbage collector looks through
    the whole heap in the middle of their end.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        # One that asyncio itself has cancelled says so to its group, which is not cancelled yet.
        return (
            kind is not None
            and issubclass(kind, anyio.get_cancelled_exc_class())
            and anyio.current_effective_deadline() == -math.inf
        )


TASK_ENDS = _TaskEnds()
