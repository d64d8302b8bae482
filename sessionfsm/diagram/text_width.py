"""How wide a text will be in a picture: a picture is placed before anybody renders it, and by any program."""

from __future__ import annotations

import unicodedata

__all__ = ["FONTS", "fits", "text_width"]

FONTS = "Arial, Helvetica, 'Liberation Sans', 'Nimbus Sans', Roboto, 'DejaVu Sans', sans-serif"
"""The fonts that a picture asks for. The first four have the widths below, to a thousandth."""

MARGIN = 1.10
"""Room for hinting, for kerning that is switched off, and for a font that is a little wider than those above."""

# Advance widths of U+0020 to U+007E in thousandths of the font's size, as Arial has them, and Liberation Sans which was
# made to the same measure. tests/diagram/test_svg_widths.py says how they were compared with a browser.
_REGULAR = (
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556),
    *(1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556),
    *(333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556),
    *(556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584),
)
_BOLD = (
    *(278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 333, 333, 584, 584, 584, 611),
    *(975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556),
    *(333, 556, 611, 556, 611, 556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611),
    *(611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584),
)
_OTHER = {"→": 1000, "…": 1000, "≥": 838, "≤": 838, "·": 333}
_WIDE = 1000
"""East Asian characters fill a square."""
_UNKNOWN = 900
"""Any other character: most letters of most scripts are narrower."""


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of *text* at *size*, in the same unit, with the margin."""
    table = _BOLD if bold else _REGULAR
    total = 0
    for character in text:
        code = ord(character)
        if 32 <= code < 127:
            total += table[code - 32]
        elif character in _OTHER:
            total += _OTHER[character]
        elif not unicodedata.combining(character):
            total += _WIDE if unicodedata.east_asian_width(character) in "WF" else _UNKNOWN
    return total * size * MARGIN / 1000


def fits(text: str, room: float, size: float, *, bold: bool = False) -> int:
    """Return how many characters of *text*, from its beginning, are not wider than *room*; at least one."""
    end = 1
    while end < len(text) and text_width(text[: end + 1], size, bold=bold) <= room:
        end += 1
    return end
