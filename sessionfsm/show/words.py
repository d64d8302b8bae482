"""Words that every picture of a run uses: counts, what a request is called, and somebody else's words with an end."""

from __future__ import annotations

from collections.abc import Mapping

from sessionfsm.diagram.words import shown

__all__ = ["LONGEST", "REQUESTS", "counted", "cut_off"]

LONGEST = 300
"""Characters of somebody else's text that are written."""
REQUESTS: Mapping[str, str] = {"poll": "poll", "renew": "renewal (notifystart)", "close": "close (notifystop)"}
"""What each kind of request is called."""


def counted(count: int, one: str) -> str:
    """Return how many of something there are."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def cut_off(text: str, most: int = LONGEST) -> str:
    """Return somebody else's words in one line of *most* characters at most."""
    # What is far too long is cut before anything is done with it.
    line = shown(text[: 4 * most])
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[: most - 1]}…"
