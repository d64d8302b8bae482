"""The page about the simulation: its snippet runs, what it shows is what is printed, and it names every bug."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sessionfsm.cli import ExitCode, main
from tests.simulation.bugs import BUGS

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "simulation.md").read_text(encoding="utf-8")


def test_its_snippet_is_a_test_module_that_passes() -> None:
    names: dict[str, Any] = {}
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(snippet, names)
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) == 2
    for name in tests:
        names[name]()


def test_it_shows_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A broken seed, made small."""
    machine = "sessionfsm.examples:backoff_reset_by_renewal"
    assert main(["simulate", "--first", "1", "--seeds", "1", "--machine", machine]) == ExitCode.FAILED
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert capsys.readouterr().out.startswith(shown)


def test_it_names_every_bug_that_is_looked_for() -> None:
    for bug in BUGS:
        assert f"\n| {bug.__name__.replace('_', ' ')} | " in PAGE
