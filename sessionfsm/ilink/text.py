"""How much text one message holds (docs/reference/protocol.md, section 2.6)."""

from __future__ import annotations

import unicodedata

__all__ = ["MAX_BYTES", "MAX_CHARACTERS", "fits", "split_text"]

MAX_CHARACTERS = 2000
# Cannot be reached as long as 2000 characters are at most 8000 bytes; it stands for the server's own, larger limit.
MAX_BYTES = 16_000

_JOINER = "\u200d"
_LONGEST_CLUSTER = 32


def fits(text: str) -> bool:
    """Tell whether *text* can be sent as one message."""
    return len(text) <= MAX_CHARACTERS and len(text.encode("utf-8", "replace")) <= MAX_BYTES


def split_text(text: str) -> list[str]:
    """
    Return *text* in pieces that each fit into one message; joined, they are *text* again.

    A piece ends after a newline if there is one in its second half, else after a space, else between two
    characters, but not inside an accented letter or a joined emoji. There is no piece for an empty text.
    """
    pieces: list[str] = []
    start = 0
    while start < len(text):
        end = start + MAX_CHARACTERS
        if end < len(text):
            end = _cut(text, start, end)
        pieces.append(text[start:end])
        start = end
    return pieces


def _cut(text: str, start: int, end: int) -> int:
    middle = start + (end - start) // 2
    for separator in ("\n", " "):
        found = text.rfind(separator, middle, end)
        if found >= 0:
            return found + 1
    for cut in range(end, end - _LONGEST_CLUSTER, -1):
        if text[cut - 1] != _JOINER and not _continues(text[cut]):
            return cut
    return end


def _continues(character: str) -> bool:
    """Tell whether *character* belongs to the one before it: accents, variation selectors, joiners, skin tones."""
    return (
        character == _JOINER
        or unicodedata.category(character) in ("Mn", "Me", "Mc")
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )
