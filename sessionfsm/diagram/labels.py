"""What an arc says, in the notation of UML: trigger, guards in brackets, and after a stroke what is remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .model import Arc
from .words import shown, wrapped

__all__ = ["lines_of", "listed"]


def lines_of(arc: Arc, width: int, escaped: Callable[[str], str] = shown) -> list[str]:
    """
    Return the trigger, the guards and the memory of *arc* in lines of *width* characters.

    Args:
        escaped: What a line becomes before all but the first are indented.
    """
    first, *rest = wrapped((arc.trigger, *listed(arc.guards, "[", "]")), width)
    rest += wrapped(listed(arc.updates, "/ ", ""), width)
    return [escaped(first), *(f"   {escaped(line)}" for line in rest if line)]


def listed(parts: Sequence[str], opening: str, closing: str) -> list[str]:
    """Return *parts* with commas between and something around them all, cut where a line may end."""
    commas = [f"{part}," for part in parts[:-1]] + [f"{part}{closing}" for part in parts[-1:]]
    return [f"{opening}{part}" if number == 0 else part for number, part in enumerate(commas)]
