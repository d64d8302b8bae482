"""``sessionfsm verify`` as its users meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sessionfsm.cli import ExitCode, main
from sessionfsm.verify import STATEMENTS

BUG = "tests.verify.lifecycles:polls_at_once"


def test_the_default_machine_is_proved(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "5,759 configurations and 44,535 transitions" in out
    assert out.endswith("20 of 20 proved\n")
    for number in STATEMENTS:
        assert f"\n{number:<4}proved" in out


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--json"]) == ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    assert (report["states"], report["transitions"]) == (5759, 44535)
    assert report["policy"]["session_ceiling_s"] == 300
    assert [entry["id"] for entry in report["properties"]] == list(STATEMENTS)
    assert {entry["verdict"] for entry in report["properties"]} == {"proved"}
    figures = {entry["id"]: entry["figure"] for entry in report["properties"]}
    assert figures["P6"] == {"value": 430, "unit": "s"}
    assert figures["P7"] == {"value": 570, "unit": "s"}


def test_another_policy_is_what_is_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("session_ceiling_s = 40\ntransport_ceiling_s = 8\nrenewal = 'required'\n")
    assert main(["verify", "--json", "--policy", str(file)]) == ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    assert report["policy"]["session_ceiling_s"] == 40
    assert report["table"] == "session, renewal required"
    assert next(entry for entry in report["properties"] if entry["id"] == "P6")["figure"]["value"] == 170


def test_a_bug_is_refuted_with_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--machine", BUG, "--sequence"]) == ExitCode.FAILED
    out = capsys.readouterr().out
    assert "P1  REFUTED" in out
    assert "3. 2.5 to 300 s  retry_due        backoff → active      getupdates\n" in out
    assert "        sequenceDiagram\n" in out
    assert out.splitlines()[-1] == "18 of 20 proved, 2 of 20 refuted"


def test_what_is_not_searched_to_the_end_is_undecided(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--limit", "50"]) == ExitCode.UNDECIDED
    assert "20 of 20 undecided" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--machine", "nowhere:table"], "no module 'nowhere'"),
        (["--machine", "nowhere"], "not MODULE:ATTR"),
        (["--policy", "/nowhere.toml"], "cannot be read"),
        (["--limit", "0"], "not a whole number above 0"),
        (["--limit", "many"], "not a whole number above 0"),
        (["--prove", "--limit", "5"], "this asks for none"),
        (["extra"], "an argument too many"),
    ],
)
def test_misuse(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *arguments]) == ExitCode.MISUSE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert captured.err.count("\n") == 1
