"""kill -9 on real processes with real sockets and a real disk; `make kill-long` does it a thousand times."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from .campaign import Campaign, campaign


def carried_out(folder: Path, **options: Any) -> Campaign:
    todo = Campaign(folder=folder, **options)
    anyio.run(campaign, todo)
    return todo


@pytest.mark.parametrize("delivery", ["once", "replay"])
def test_what_was_committed_is_handled_whenever_the_bot_is_killed(tmp_path: Path, delivery: str) -> None:
    """
    No committed message is lost, none is handled twice but the one in hand, and each sender's stay in order.

    If the server hands messages out again when it is asked to, none at all is lost.
    """
    todo = carried_out(tmp_path, kills=20, delivery=delivery)
    assert todo.verdict.broken == {}
    assert todo.log == ""  # nothing was damaged, and nothing set aside
    counts = todo.verdict.counts
    assert counts["kills"] == 20
    assert counts["handled"] > 100


# Without them a run that finds nothing would say nothing.
_MISTAKES = [
    ("cursor first", "replay", "committed and never handled"),
    ("commit last", "once", "committed and never handled"),
    pytest.param("cursor first", "once", "committed and never handled", marks=pytest.mark.slow),
    pytest.param("commit last", "replay", "handled again after its mark had returned", marks=pytest.mark.slow),
    pytest.param("marked first", "replay", "committed and never handled", marks=pytest.mark.slow),
    pytest.param("no marks", "replay", "handled again after its mark had returned", marks=pytest.mark.slow),
    pytest.param("lifo", "replay", "out of its sender's order", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "delivery", "broken"), _MISTAKES)
def test_a_store_with_a_mistake_is_found_out(tmp_path: Path, kind: str, delivery: str, broken: str) -> None:
    """What other clients do, such as storing the cursor before the handlers run, does not survive two dozen kills."""
    todo = carried_out(tmp_path, kills=24, delivery=delivery, kind=kind, rest_s=1.0)
    assert broken in todo.verdict.broken
