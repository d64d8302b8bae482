"""The page about a policy of one's own: its files load, its test passes, and refusals are in its words."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from sessionfsm import load_policy
from sessionfsm.lifecycle import Machine
from sessionfsm.verify import decide
from tests.examples.pages import snippets

PAGE = "how-to/prove-your-own-policy.md"
POLICY, REQUIRED = snippets(PAGE, "toml")
TEST, REFUSALS = snippets(PAGE, "python")


def test_its_test_passes_beside_its_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pasted into a project, both as they stand."""
    name = POLICY.splitlines()[0].removeprefix("# ")
    (tmp_path / name).write_text(POLICY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(TEST, names)
    (test,) = [names[name] for name in names if name.startswith("test_")]
    test()


def test_what_is_refused_is_refused_in_these_words(capsys: pytest.CaptureFixture[str]) -> None:
    """The property that a figure would break stands in the message."""
    exec(REFUSALS, {})
    (_, said) = snippets(PAGE, "text")
    assert capsys.readouterr().out == said


def test_a_policy_that_requires_the_renewal_is_proved_to_succeed(tmp_path: Path) -> None:
    """Its file is a policy, every property is proved of it, and only the way of renewal is another one."""
    file = tmp_path / "required.toml"
    file.write_text(REQUIRED, encoding="utf-8")
    assert tomllib.loads(REQUIRED) == {"renewal": "required"}
    assert decide(Machine(load_policy(file)), verdicts_only=True).holds
