"""Where an axis has its ticks, and what is written at them."""

from __future__ import annotations

import math
from collections.abc import Iterator

__all__ = ["TIMES", "tick_steps", "tick_words", "ticks"]

TIMES = "\N{MULTIPLICATION SIGN}"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_ROUND = (1, 2, 5, 10, 15, 30)
"""Of these many seconds and minutes people make steps."""


def tick_steps(least_s: float) -> Iterator[float]:
    """Yield the steps that an axis may have, from the smallest one that is *least_s* or longer, without an end."""
    power = min(0, math.floor(math.log10(least_s)))
    steps = [part * 10.0**exponent for exponent in range(power, 0) for part in (1, 2, 5)]
    steps += [part * unit for unit in (1, _MINUTE) for part in _ROUND]
    steps += [part * _HOUR for part in (1, 2, 3, 6, 12)]
    yield from (step for step in steps if step >= least_s)
    unit = float(_DAY)
    while True:
        yield from (part * unit for part in (1, 2, 5) if part * unit >= least_s)
        unit *= 10


def ticks(from_s: float, until_s: float, step_s: float) -> list[float]:
    """Return the multiples of *step_s* between two times."""
    first, last = math.ceil(from_s / step_s - 1e-9), math.floor(until_s / step_s + 1e-9)
    return [number * step_s for number in range(first, last + 1)]


def tick_words(at_s: float, step_s: float) -> str:
    """Return a time on an axis, as exactly as the step needs: no part of it that is zero is written."""
    if at_s < 0:
        return f"-{tick_words(-at_s, step_s)}"
    digits = max(0, -math.floor(math.log10(step_s) + 1e-9))
    # In units of the last digit, so that 59.9999999 is a minute.
    count = round(at_s * 10**digits)
    days, rest = divmod(count, _DAY * 10**digits)
    hours, rest = divmod(rest, _HOUR * 10**digits)
    minutes, rest = divmod(rest, _MINUTE * 10**digits)
    parts = [f"{part:,} {unit}" for part, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if part]
    if rest or not parts:
        parts.append(f"{rest / 10**digits:.{digits}f} s" if digits else f"{rest} s")
    return " ".join(parts)
