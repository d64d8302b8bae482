"""Cutting text into messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfsm.ilink.text import MAX_BYTES, MAX_CHARACTERS, fits, split_text


@given(st.text(), st.integers(0, 9000), st.sampled_from(["a", "é", "😀", "\n", " ", "e\u0301", "👩\u200d👧", "\u200d"]))
def test_nothing_is_lost_and_every_piece_fits(text: str, times: int, filler: str) -> None:
    """Joined, the pieces are the text; each can be sent."""
    whole = text + filler * times + text
    pieces = split_text(whole)
    assert "".join(pieces) == whole
    assert all(pieces)
    assert all(len(p) <= MAX_CHARACTERS and len(p.encode()) <= MAX_BYTES and fits(p) for p in pieces)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("", []),
        ("a" * 2000, [2000]),
        ("a" * 2001, [2000, 1]),
        ("a" * 1500 + "\n" + "b" * 400 + " " + "c" * 1000, [1501, 1401]),
        ("a" * 1500 + " " + "b" * 1000, [1501, 1000]),
        ("a\n" + "b" * 3000, [2000, 1002]),
        ("a" * 1999 + "e\u0301" + "b", [1999, 3]),
        ("a" * 1998 + "👩\u200d👧", [1998, 3]),
        ("a" * 1999 + "👍🏽", [1999, 2]),
    ],
)
def test_where_the_cut_is(text: str, lengths: list[int]) -> None:
    """After a newline, else after a space, else between characters as people see them; never a tiny piece for it."""
    assert [len(piece) for piece in split_text(text)] == lengths
