"""How late an event loop does what is due: a figure without which no latency says whose it is."""

from __future__ import annotations

import anyio

__all__ = ["Lateness"]

_BEAT_S = 0.02


class Lateness:
    """
    Wakes up again and again, and notes how late.

    Attributes:
        most_s: The most since :meth:`take` was called last.
    """

    def __init__(self) -> None:
        self.most_s = 0.0

    def take(self) -> float:
        """Return the most since the last time."""
        most_s, self.most_s = self.most_s, 0.0
        return most_s

    async def run(self) -> None:
        """Watch, until this is cancelled."""
        while True:
            due_s = anyio.current_time() + _BEAT_S
            await anyio.sleep_until(due_s)
            self.most_s = max(self.most_s, anyio.current_time() - due_s)
