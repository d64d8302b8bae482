"""What the fields of faults accept. A field means the same in every kind, so one rule for each name does."""

from __future__ import annotations

import math
from typing import cast

__all__ = ["wanted"]


def wanted(name: str, value: object, choices: tuple[str, ...] | None) -> str | None:
    """Return in words what field *name* accepts when *value* is not that, else ``None``."""
    if choices is not None:
        return None if value in choices else "one of " + ", ".join(choices)
    if name.endswith("_s"):
        least = 0.001 if name in ("for_s", "each_s") else 0.0
        fine = isinstance(value, int | float) and not isinstance(value, bool)
        fine = fine and math.isfinite(cast(float, value)) and cast(float, value) >= least
        return None if fine else f"a number of seconds, {least:g} or more"
    whole = value if isinstance(value, int) and not isinstance(value, bool) else None
    if name in ("times", "size", "copies"):
        return None if whole is not None and whole >= 1 else "a whole number, 1 or more"
    if name == "status":
        return None if whole is not None and 200 <= whole <= 599 else "a whole number from 200 to 599"
    if name == "code":
        return None if whole else "a whole number that is not 0"
    if name == "answer_held":
        return None if isinstance(value, bool) else "true or false"
    if name == "body":
        return None if isinstance(value, bytes) else "bytes (in a file: text, or body_hex)"
    if name in ("location", "retry_after") and isinstance(value, str):
        # A line end here would be a header of its own.
        return None if value.isascii() and value.isprintable() else "printable ASCII"
    if name == "token":
        return None if isinstance(value, str) and value else "a token or the name of an account"
    return None if isinstance(value, str) else "text"
