"""Times in a sequence diagram: short enough to be read, exact enough to be told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfsm.lifecycle import Poll, Renew
from sessionfsm.show.sequence_words import asked, moment, second
from sessionfsm.show.words import cut_off


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.000 s"),
        (12.3456, "12.346 s"),
        (59.9996, "1 min 0.0 s"),
        (3599.94, "59 min 59.9 s"),
        (3599.96, "1 h 0 s"),
        (7503.21, "2 h 5 min 3 s"),
        (259_206.3, "3 d 6 s"),
        (-0.5, "-0.500 s"),
    ],
)
def test_a_moment_is_as_exact_as_there_is_room_for(seconds: float, words: str) -> None:
    """To a millisecond in the first minute, to a tenth of a second in the first hour, then to a second."""
    assert moment(seconds) == words


@given(st.floats(0, 1e9))
def test_whoever_goes_on_from_there_misses_nothing(seconds: float) -> None:
    """What is written for --from is a number, no later than what it stands for, and hardly earlier."""
    assert seconds - 0.0011 <= float(second(seconds)) <= seconds


def test_a_poll_is_asked_as_it_was_ordered() -> None:
    """A pace and a fresh connection are told, in the words of the counterexamples; of several polls, how many."""
    assert asked("poll", Poll(serial=1, pace_s=2, fresh=True), 1) == "getupdates, paced 2 s, on a fresh connection"
    assert asked("poll", Poll(serial=1, pace_s=2, fresh=True), 1200) == "getupdates × 1,200"
    assert asked("renew", Renew(serial=1, deadline_s=10), 1) == "notifystart"
    assert asked("poll", None, 1) == "getupdates"


def test_a_long_text_ends_and_says_so() -> None:
    """Of 10,000 characters 300 are written; what is short is written whole, in one line."""
    assert cut_off("a\nb") == "a b"
    assert cut_off("x" * 300) == "x" * 300
    assert cut_off("x" * 10_000) == "x" * 299 + "…"
    assert cut_off(" " * 10_000 + "x").endswith("…")
