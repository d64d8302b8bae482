"""Somebody else's words where people read them: nothing in them moves a cursor, or is there without being seen."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str, *, keep: str = "") -> str:
    """
    Return *text* with U+FFFD for every character that nobody sees, but for those in *keep*.

    Those are not only controls: marks that turn the direction of writing make a line read otherwise than it stands.
    """
    return "".join(
        character if character.isprintable() or character in keep else "\N{REPLACEMENT CHARACTER}" for character in text
    )
