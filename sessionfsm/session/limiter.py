"""So many renewals a second and host, and no more: sessions that were dropped together come back in a line."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable
from urllib.parse import urlsplit

import anyio

from sessionfsm.errors import DefinitionError

__all__ = ["RENEWALS_PER_S", "RenewalLimiter"]

RENEWALS_PER_S = 200.0
"""What is let through in a second, for each host."""

_CATCH_UP_S = 0.05
"""What a busy event loop was late by is made up for, up to this."""


class RenewalLimiter:
    """
    Lets renewals through: first come, first served, for each host by itself.

    In no second are there more than *per_s*, and they are spread over it. Nobody who has left the line costs the
    others anything. A session is in the line at most once, so with N sessions on a host nobody waits longer than
    ``(N + 1) / per_s`` seconds.

    Args:
        per_s: How many in a second, 1 or more.
        draw: Draws a number in [0, 1). Each turn comes up to half a gap late by it, so that processes that were started
            together do not fall into step; the next one is not later for that.

    Raises:
        DefinitionError: If *per_s* is below 1.
    """

    def __init__(self, per_s: float = RENEWALS_PER_S, *, draw: Callable[[], float] = random.random) -> None:
        if not 1 <= per_s <= 1e6:
            raise DefinitionError(f"renewals_per_s is {per_s:g}; it must be between 1 and 1,000,000")
        self.per_s = per_s
        self._draw = draw
        self._lines: dict[str, _Line] = {}  # by host
        self._hosts: dict[str, str] = {}  # by base URL

    @property
    def waiting(self) -> int:
        """How many stand in line now."""
        return sum(len(line) for line in self._lines.values())

    async def wait(self, base_url: str) -> None:
        """Wait for one's turn at the host of *base_url*."""
        host = self._hosts.get(base_url)
        if host is None:
            host = self._hosts[base_url] = urlsplit(base_url).netloc.lower()
        line = self._lines.get(host)
        if line is None:
            line = self._lines[host] = _Line(self.per_s, self._draw)
        await line.wait()


class _Line:
    """Who waits for one host. The first one watches the clock, all others sleep until they are the first."""

    __slots__ = ("_draw", "_gap_s", "_granted", "_jitter_s", "_slot_s", "_waiting")

    def __init__(self, per_s: float, draw: Callable[[], float]) -> None:
        self._gap_s = 1.0 / per_s
        self._draw = draw
        self._slot_s = self._jitter_s = 0.0  # when the next one may go, and how much later it does
        self._granted: deque[float] = deque(maxlen=int(per_s))  # when the last ones were let through
        self._waiting: OrderedDict[anyio.Event, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self) -> None:
        if not self._waiting and self._due_s() <= (now := anyio.current_time()):
            self._grant(now)
            return
        me = anyio.Event()
        self._waiting[me] = None
        try:
            if next(iter(self._waiting)) is not me:
                await me.wait()
                if me not in self._waiting:  # the one before me has let me through
                    return
            while (due_s := self._due_s()) > anyio.current_time():  # noqa: ASYNC110 - a time, and no event
                await anyio.sleep_until(due_s)
            self._let_through(anyio.current_time())
        finally:
            if me in self._waiting:
                was_first = next(iter(self._waiting)) is me
                del self._waiting[me]
                if was_first and self._waiting:
                    next(iter(self._waiting)).set()

    def _let_through(self, now: float) -> None:
        """
        Let the first one through, and all whose time has come as well; then the next one watches the clock.

        One for each turn of the event loop would be fewer than *per_s* as soon as a turn takes longer than the gap.
        """
        self._waiting.popitem(last=False)
        self._grant(now)
        while self._waiting and self._due_s() <= now:
            each, _ = self._waiting.popitem(last=False)
            self._grant(now)
            each.set()
        if self._waiting:
            next(iter(self._waiting)).set()

    def _due_s(self) -> float:
        granted = self._granted
        full = len(granted) == granted.maxlen
        due_s = self._slot_s + self._jitter_s
        return max(due_s, granted[0] + 1.0) if full else due_s

    def _grant(self, now: float) -> None:
        self._slot_s = max(self._slot_s, now - max(_CATCH_UP_S, self._gap_s)) + self._gap_s
        self._jitter_s = 0.5 * self._gap_s * self._draw()
        self._granted.append(now)
