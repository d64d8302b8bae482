"""Ctrl-C and SIGTERM: the first one asks, the second one ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from .exit_codes import SIGNALLED

TYPE_CHECKING = False  # see sessionfsm/__init__.py
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Self

__all__ = ["StopSignals"]


class StopSignals:
    """
    Inside the block, the first SIGINT or SIGTERM only ends :meth:`wait`; a second one ends the process at once.

    The handlers are Python's own and not the event loop's, so that the second signal works even if a message handler
    blocks the loop. A signal that comes before there is a loop is not lost.

    Attributes:
        caught: The first signal, once there was one.
        last_words: Called before the second signal ends the process: to leave the terminal in order.
    """

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None
        self.last_words: Callable[[], object] = lambda: None
        self._tell: Callable[[], object] = lambda: None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for each in (signal.SIGINT, signal.SIGTERM):
            # A shell that starts a background job has SIGINT ignored, and means it.
            if signal.getsignal(each) not in (signal.SIG_IGN, None):
                with suppress(ValueError):  # not the main thread: no signal comes here
                    self._before[each] = signal.signal(each, self._catch)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def release(self) -> None:
        """Let signals do what they did before the block; one that was caught does it now."""
        self._restore()
        if self.caught is not None:
            signal.raise_signal(self.caught)

    def _restore(self) -> None:
        for each, before in self._before.items():
            signal.signal(each, before)
        self._before = {}

    async def wait(self) -> None:
        """Wait for the first signal. Works on asyncio."""
        import asyncio

        loop, event = asyncio.get_running_loop(), asyncio.Event()
        self._tell = lambda: loop.call_soon_threadsafe(event.set)
        try:
            if self.caught is None:
                await event.wait()
        finally:
            self._tell = lambda: None

    def _catch(self, number: int, _frame: FrameType | None) -> None:
        if self.caught is not None:
            try:
                self.last_words()
            finally:
                # Not sys.exit(): that would wait for threads, handlers and buffers.
                os._exit(SIGNALLED + number)
        self.caught = signal.Signals(number)
        self._tell()
