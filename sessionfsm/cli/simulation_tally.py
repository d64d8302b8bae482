"""The figures of a simulation: counted up, and put in words."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sessionfsm.testing.simulation import COUNTS, SimulationResult

__all__ = ["Tally", "counted"]


def counted(number: int, name: str) -> str:
    """Return how many there are, as one says it."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


class Tally:
    """
    Counts results.

    Attributes:
        wanted: How many seeds there are to be.
        seeds: How many were simulated.
        hours: How many hours that were.
        broken: The results in which something was broken.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.seeds = 0
        self.hours = 0.0
        self.broken: list[SimulationResult] = []
        self._counts: Counter[str] = Counter()
        self._backends: Counter[str] = Counter()
        self._began = time.monotonic()
        self._ended: float | None = None

    def add(self, result: SimulationResult) -> None:
        """Count one more."""
        self.seeds += 1
        self.hours += result.hours
        self._backends[result.schedule.backend] += 1
        self._counts.update({name: getattr(result, name) for name in COUNTS})
        if not result.ok:
            self.broken.append(result)
            self.broken.sort(key=lambda each: each.schedule.seed)  # they come in any order

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = time.monotonic()

    @property
    def took_s(self) -> float:
        """Real seconds since the beginning, or from there to the end."""
        return (self._ended if self._ended is not None else time.monotonic()) - self._began

    @property
    def rate(self) -> float:
        """Simulated hours per real second."""
        return self.hours / self.took_s if self.took_s else 0.0

    @property
    def left_s(self) -> float | None:
        """How much longer it will take, in real seconds; ``None`` while that cannot be known."""
        return (self.wanted - self.seeds) * self.took_s / self.seeds if self.seeds else None

    def progress(self) -> str:
        """Return how far it is, in one line."""
        left = "" if self.left_s is None else f", {self.left_s:.0f} s left"
        broken = f", {len(self.broken)} broken" if self.broken else ""
        return f"{self.seeds} of {self.wanted} seeds, {self.hours:.1f} h at {self.rate:.1f} h/s{left}{broken}"

    def lines(self) -> Iterator[str]:
        """Yield the summary."""
        counts = self._counts
        loops = ", ".join(f"{number} on {backend}" for backend, number in sorted(self._backends.items())) or "none"
        yield f"{counted(self.seeds, 'seed')}: {loops}"
        rate = f"{self.rate:.1f}" if self.rate >= 0.1 else f"{self.rate:.1g}"
        yield f"{self.hours:,.1f} simulated hours in {self.took_s:.1f} s: {rate} h per second"
        wire = (counted(counts[f"{name}s"], name) for name in ("session", "kill", "login", "poll", "renewal", "send"))
        yield ", ".join(wire)
        became = (f"{counts[name]:,} {name}" for name in ("handled", "parked", "lost", "unfetched"))
        yield f"{counted(counts['messages'], 'message')} written: {', '.join(became)}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {
            "seeds": self.seeds,
            "hours": round(self.hours, 3),
            "took_s": round(self.took_s, 3),
            "hours_per_s": round(self.rate, 3),
            "backends": dict(sorted(self._backends.items())),
            **{name: self._counts[name] for name in COUNTS},
            "broken": [result.to_dict() for result in self.broken],
        }
