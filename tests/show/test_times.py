"""Times in words."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfsm.show.times import length_of, moment_of


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.0000004, "0 ms"),
        (0.00523, "5.23 ms"),
        (0.0099999, "10 ms"),
        (0.48, "480 ms"),
        (0.9996, "1 s"),
        (1.234, "1.23 s"),
        (9.999, "10 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (200, "3 min 20 s"),
        (3599.6, "1 h"),
        (7500, "2 h 5 min"),
        (86_390, "1 d"),
        (273_600, "3 d 4 h"),
        (1e8, "1,157 d 10 h"),
        (1e15, "1.16e+10 d"),
        (-1.2, "-1.2 s"),
    ],
)
def test_lengths_are_said_in_two_units_at_most(seconds: float, words: str) -> None:
    """A length is as exact as a reader needs it, and never says 60 s."""
    assert length_of(seconds) == words


@given(st.floats(0, 1e15))
def test_no_length_has_sixty_of_anything(seconds: float) -> None:
    """Rounding carries over to the next unit."""
    words = length_of(seconds).split(" ")
    for much, unit in (("1000", "ms"), ("60", "s"), ("60", "min"), ("24", "h")):
        assert (much, unit) not in pairwise(words)


@given(st.floats(0, 1e8))
def test_a_length_says_how_long_it_was(seconds: float) -> None:
    """Whoever adds it up again gets what it was, to a few per cent."""
    units = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"([\d.,]+) (\w+)", length_of(seconds))
    assert 1 <= len(parts) <= 2
    total = sum(float(count.replace(",", "")) * units[unit] for count, unit in parts)
    assert total == pytest.approx(seconds, rel=0.06, abs=0.0006)


@pytest.mark.parametrize(
    ("epoch_s", "digits", "words"),
    [
        (1_700_000_000.9, 0, "2023-11-14 22:13:20 UTC"),
        (1_700_000_000.9, 3, "2023-11-14 22:13:20.900 UTC"),
        (-1.0, 3, "1969-12-31 23:59:59.000 UTC"),
        (1e15, 0, "1000000000000000 s since 1970 UTC"),
        (-1e15, 3, "-1000000000000000 s since 1970 UTC"),
        (-5e10, 0, "-50000000000 s since 1970 UTC"),
    ],
)
def test_moments_are_told_by_the_calendar_in_utc(epoch_s: float, digits: int, words: str) -> None:
    """A clock that is far off the calendar has its number, and no error."""
    assert moment_of(epoch_s, digits=digits) == words
