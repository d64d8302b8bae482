"""Lengths of time and moments in words; ``page_words.js`` says the same."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

__all__ = ["length_of", "moment_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_MOST_DAYS = 9999
"""Longer ones are not written out: a hostile trace has times up to 10¹⁵ s."""


def length_of(seconds: float) -> str:
    """Return a length of time: ``5.2 ms``, ``338 ms``, ``1.23 s``, ``12.3 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 0:
        return f"-{length_of(-seconds)}"
    if seconds < 0.9995:
        return f"{_rounded(seconds * 1000, 2 if seconds < 0.009995 else 0)} ms"
    if seconds < 59.95:
        return f"{_rounded(seconds, 2 if seconds < 9.995 else 1)} s"
    if seconds < _HOUR - 0.5:
        return _two(math.floor(seconds + 0.5), 60, "min", "s")
    if seconds < _DAY - 30:
        return _two(math.floor(seconds / _MINUTE + 0.5), 60, "h", "min")
    hours = math.floor(seconds / _HOUR + 0.5)
    return _two(hours, 24, "d", "h") if hours < _MOST_DAYS * 24 else f"{seconds / _DAY:.3g} d"


def moment_of(epoch_s: float, *, digits: int = 0) -> str:
    """
    Return a moment by the calendar, in UTC; a number of seconds where the calendar has no date for it.

    Args:
        digits: Of the seconds, behind the point: 0 or 3.
    """
    try:
        # Not a second that has not come yet.
        milliseconds = round(epoch_s * 1000) if digits else math.floor(epoch_s) * 1000
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        moment = _EPOCH.replace(year=1)
    if moment.year < 1000:
        return f"{epoch_s:.0f} s since 1970 UTC"
    return f"{moment:%Y-%m-%d %H:%M:%S}{f'.{moment.microsecond // 1000:03}' if digits else ''} UTC"


def _rounded(value: float, digits: int) -> str:
    return f"{math.floor(value * 10**digits + 0.5) / 10**digits:g}"


def _two(count: int, large: int, unit: str, small_unit: str) -> str:
    whole, rest = divmod(count, large)
    return f"{whole:,} {unit}" + (f" {rest} {small_unit}" if rest else "")
