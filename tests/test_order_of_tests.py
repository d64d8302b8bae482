"""The order in which test files are run."""

from __future__ import annotations

from pathlib import Path

from .conftest import LONG


def test_the_long_files_are_files() -> None:
    """A file that has moved would be begun last again, and hold up the rest."""
    here = Path(__file__).parent
    assert [name for name in LONG if not (here / name).is_file()] == []
