"""How late an event loop does what is due: a figure without which no latency says whose it is."""

from __future__ import annotations

import gc
import time
from typing import Any

import anyio

__all__ = ["Lateness"]

_BEAT_S = 0.02


class Lateness:
    """
    Wakes up again and again, and notes how late.

    The garbage collector, which stops everything, is watched as well.
    """

    def __init__(self) -> None:
        self._late_s = self._gc_s = self._gc_began_s = 0.0
        gc.callbacks.append(self._collects)

    def take(self) -> dict[str, float]:
        """Return how late it was, and how long one collection took, at most since the last time."""
        found = {"late_s": self._late_s, "gc_s": self._gc_s}
        self._late_s = self._gc_s = 0.0
        return found

    def _collects(self, phase: str, _: dict[str, Any]) -> None:
        if phase == "start":
            self._gc_began_s = time.perf_counter()
        else:
            self._gc_s = max(self._gc_s, time.perf_counter() - self._gc_began_s)

    async def run(self) -> None:
        """Watch, until this is cancelled."""
        while True:
            due_s = anyio.current_time() + _BEAT_S
            await anyio.sleep_until(due_s)
            self._late_s = max(self._late_s, anyio.current_time() - due_s)
