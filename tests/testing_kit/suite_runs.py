"""Runs of pytest as somebody at a shell starts them, and what they are started on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["BRIEF", "BROKEN", "SUITE", "pytest_in"]

SUITE = "sessionfsm.testing.suite"

BROKEN = """
from dataclasses import replace
from sessionfsm.lifecycle import Order, table_for

def table(policy):
    ours = table_for(policy)
    rows = [
        replace(row, target="active", order=Order.POLL) if row.trigger in ("retry_due", "wake") else row
        for row in ours.rows
    ]
    return replace(ours, name="naive", rows=tuple(rows))
"""

BRIEF = """
from hypothesis import settings
settings.register_profile("brief", max_examples=10)
settings.load_profile("brief")
"""


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder as somebody at a shell does."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180)
