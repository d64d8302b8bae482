"""
How wide texts are thought to be, and how wide a browser makes them.

The figures were read once, from Chromium 156 on Debian 12: a page with one ``<text>`` for each line of the table below,
in Liberation Sans (the widths of Arial) and in DejaVu Sans, whose script writes down ``getComputedTextLength()`` of
each, run by ``chromium --headless --dump-dom``. The 430 texts of the five pictures looked at then were 0.88 to 0.91
times as wide as ours in the first font, which is the margin of 10 %. In the second, which is wide and comes last in the
list, they were 0.97 to 1.12 times as wide: there a label may use up the room beside it, 18 pixels, and no more.
"""

from __future__ import annotations

import pytest

from sessionfsm.diagram.layout_columns import GAP
from sessionfsm.diagram.layout_text import LABEL_WIDTH
from sessionfsm.diagram.text_width import fits, text_width

MEASURED = [
    # text, size, bold, width in Liberation Sans, width in DejaVu Sans
    ("session_expired", 13, False, 94.0, 103.3),
    ("[not trusted, not expired]", 12, False, 129.4, 152.0),
    ("→ wait transport", 13, True, 102.6, 120.7),
    ("5 s … 300 s", 12, False, 64.0, 70.3),
    ("recovering", 17, True, 86.9, 102.8),
    ("STOPPED", 17, True, 80.9, 88.9),
    ("trusted = no; waits, denials = 0", 11, False, 149.2, 175.1),
    ("A long poll (getupdates) is outstanding.", 12, False, 206.8, 237.6),
    ("doubts ≥ 2, hurries ≤ 3", 12, False, 119.2, 141.2),
    ("illicit trill", 13, False, 44.8, 55.7),
    ("WWW MMM @@@", 13, False, 116.1, 119.5),
    ("~!#$%&'*+,-./:;<=>?^_`{|}\\ \\\"", 13, False, 158.6, 208.1),
    ("0123456789 abcdefghijklmnopqrstuvwxyz", 13, False, 241.4, 277.2),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 13, True, 232.6, 255.2),
    ("AVATAR To Ty We", 13, False, 105.2, 108.7),  # kerned by the browser, not by us
]


@pytest.mark.parametrize(("text", "size", "bold", "liberation", "dejavu"), MEASURED)
def test_a_text_has_the_room_that_a_browser_needs(
    text: str, size: float, bold: bool, liberation: float, dejavu: float
) -> None:
    """A browser makes no text wider than the picture has room for, and the room is a tenth too large, not a half."""
    room = text_width(text, size, bold=bold)
    assert 1.09 * liberation < room < 1.18 * liberation
    assert dejavu < 1.2 * room


def test_the_wide_font_does_not_reach_the_next_arrow() -> None:
    """The widest label, in the widest font of the list, ends before the lane to the right of it."""
    words = [row for row in MEASURED if any(letter.isalpha() for letter in row[0]) and "il" not in row[0]]
    worst = max(dejavu / text_width(text, size, bold=bold) for text, size, bold, _, dejavu in words)
    assert LABEL_WIDTH * worst < LABEL_WIDTH + GAP


def test_letters_of_other_scripts_have_room() -> None:
    """East Asian letters fill a square, marks on letters add nothing, and what is not known counts as wide."""
    assert text_width("名前", 10) == pytest.approx(22)
    assert text_width("e\u0301", 10) == text_width("e", 10)
    assert text_width("ж", 10) > text_width("x", 10)


def test_a_text_is_cut_where_it_does_not_fit() -> None:
    """As many letters as there is room for, and at least one, so that what is cut comes to an end."""
    assert text_width("abcdef"[: fits("abcdefgh", 40, 12)], 12) <= 40
    assert fits("abc", 0, 12) == 1
    assert fits("abc", 1000, 12) == 3
