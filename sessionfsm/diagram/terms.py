"""The words of this package."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["Detail"]

Detail: TypeAlias = Literal["full", "overview"]
"""``full``: every row with guards, memory and command. ``overview``: a few boxes, for a slide."""
