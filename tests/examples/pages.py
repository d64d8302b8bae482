"""What the pages of ``docs/`` show, to be run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["DOCS", "commands", "snippets", "text"]

DOCS = Path(__file__).parents[2] / "docs"


def text(page: str) -> str:
    """Return a page of ``docs/``."""
    return (DOCS / page).read_text(encoding="utf-8")


def snippets(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page that are in *language*, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """Return the commands of a page, which are indented by four, in order."""
    outside = re.sub(r"^```.*?^```", "", text(page), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^    (\S.*)$", outside, re.MULTILINE)
