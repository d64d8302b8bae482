"""Somebody else's words in a picture: in one line, without characters that a reader cannot see, and as identifiers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from sessionfsm.printable import printable

if TYPE_CHECKING:
    from .model import Box, Diagram

__all__ = ["identifiers", "share_of", "shown", "told", "wrapped"]


def shown(text: str) -> str:
    """Return *text* in one line, with U+FFFD for every character that nobody sees."""
    return printable(" ".join(str(text).split()))


def identifiers(names: Iterable[str], reserved: Collection[str] = ()) -> Mapping[str, str]:
    """
    Return for each of *names* an identifier of ASCII letters, digits and underscores: a different one for each.

    Args:
        reserved: Words in lower case that may not be one, in whatever case.
    """
    found: dict[str, str] = {}
    taken = set(reserved)
    for name in names:
        first = re.sub(r"[^A-Za-z0-9_]", "_", str(name))
        if not first or first[0].isdigit():
            first = f"_{first}"
        identifier, number = first, 1
        while identifier.lower() in taken:
            number += 1
            identifier = f"{first}_{number}"
        taken.add(identifier.lower())
        found[name] = identifier
    return found


def wrapped(parts: Iterable[str], width: int) -> list[str]:
    """Return *parts* one after another, with a space between, in lines of *width* characters; no part is cut."""
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + 1 + len(part) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {part}".strip()
    return lines


def told(diagram: Diagram, box: Box) -> str:
    """Return what a run made of a state, in words; empty if no run is drawn."""
    if box.share is None:
        return ""
    words = [f"{share_of(box.share)} of the time"] if box.share else []
    if box.stays > 1:
        words.append(f"{box.stays:,} stays")
    if box.name == diagram.now:
        words.append("the run ended here" if diagram.over else "here at the end")
    return ", ".join(words) or "no time was spent here"


def share_of(share: float) -> str:
    """Return a part of a whole in per cent: never 0 % of what was there, nor 100 % of what was not all."""
    if 0 < share < 0.01:
        return "less than 1 %"
    if 0.995 <= share < 1 - 1e-9:
        return "more than 99 %"
    return f"{100 * share:.0f} %"
