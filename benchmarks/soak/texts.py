"""What a message says of itself, and the tokens of the sessions."""

from __future__ import annotations

__all__ = ["name_of", "parts_of", "text_of", "token_of"]


def token_of(number: int) -> str:
    """Return the token of a session; made up."""
    return f"{number:012x}@im.bot:{number:032x}"


def name_of(number: int) -> str:
    """Return what that account is called."""
    return f"{number:012x}@im.bot"


def text_of(number: int, serial: int, sent_ns: int) -> str:
    """Return a text: for which session, the how manieth of it, and when it was sent, by the clock of both processes."""
    return f"{number} {serial} {sent_ns}"


def parts_of(text: str) -> tuple[int, int, int]:
    """Return what :func:`text_of` was given."""
    number, serial, sent_ns = map(int, text.split())
    return number, serial, sent_ns
