"""``sessionfsm simulate`` as its users meet it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from sessionfsm.cli import ExitCode, main
from sessionfsm.testing import Schedule, faults

from .process import started, wait_until

BUG = "sessionfsm.examples:official_client"


def test_twenty_hours_on_all_cores(capsys: pytest.CaptureFixture[str]) -> None:
    """A small part of what `make simulate-long` does: nothing is broken, and both event loops were used."""
    assert main(["simulate", "--seeds", "10", "--hours", "2", "--json", "--plain"]) == ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    assert (report["seeds"], report["backends"]) == (10, {"asyncio": 5, "trio": 5})
    assert report["hours"] >= 20
    assert report["broken"] == []
    assert report["shrunk"] is None
    assert report["stopped"] is None
    assert sum(report[name] for name in ("handled", "parked", "lost", "unfetched")) == report["messages"] > 50
    assert min(report["kills"], report["logins"]) > 0
    assert report["hours_per_s"] == pytest.approx(report["hours"] / report["took_s"], rel=0.01)


def test_a_bug_is_made_small_told_saved_and_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The official client's table breaks; the file that is written breaks it again, alone."""
    file = tmp_path / "small.toml"
    arguments = ["--machine", BUG, "--save", str(file)]
    assert main(["simulate", "--first", "1", "--seeds", "1", *arguments]) == ExitCode.FAILED
    out = capsys.readouterr().out
    assert out.startswith("the shortest schedule that breaks P13: 1 of ")
    assert "\nwhat happens then:\n" in out
    assert "BROKEN  P13: " in out
    assert f"\nthe whole of it: sessionfsm simulate --seed 1 --machine {BUG}\n" in out
    assert "\nseed 1 on trio broke P13 at " in out
    assert file.read_text().count("[[fault]]") == 1
    assert main(["simulate", "--faults", str(file), "--machine", BUG]) == ExitCode.FAILED
    again = capsys.readouterr().out
    assert again.startswith("seed 1 on asyncio: 1 happening in ")
    assert "broke P13 at " in again


def test_a_file_that_cannot_be_written_takes_nothing_away(capsys: pytest.CaptureFixture[str]) -> None:
    """The shortest schedule is printed all the same, then what is wrong with the file."""
    arguments = ["--machine", BUG, "--save", "/nowhere/at/all"]
    assert main(["simulate", "--first", "1", "--seeds", "1", *arguments]) == ExitCode.FAILED
    out, err = capsys.readouterr()
    assert out.startswith("the shortest schedule that breaks P13: 1 of ")
    assert "the file /nowhere/at/all cannot be written" in err


def test_one_seed_is_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What happens, what the session does, and the verdict."""
    assert main(["simulate", "--seed", "5", "--hours", "0.5"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert out.startswith("seed 5 on trio: ")
    assert "      0.0 s  stopped -> recovering  start\n" in out
    assert "*       everything bad is over" in out
    assert "\nnothing is broken\n1 seed: 1 on trio\n" in out


def test_a_file_of_faults_takes_the_place_of_what_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its faults strike in the world of the seed, which goes on living."""
    file = tmp_path / "faults.toml"
    file.write_text("[[fault]]\nkind = 'takeover'\nat_s = 60\nfor_s = 90\nanswer_held = true\n")
    assert main(["simulate", "--seed", "8", "--faults", str(file), "--json"]) == ExitCode.OK
    schedule = json.loads(capsys.readouterr().out)["schedule"]
    kinds = [entry["kind"] for entry in schedule["fault"]]
    assert kinds.count("takeover") == 1
    assert set(kinds) <= {"takeover", "message", "send", "handler", "again", "wake", "restart", "login"}
    assert len(kinds) > 3


def test_without_trio_all_runs_on_asyncio(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, and what to install."""
    monkeypatch.setattr("sessionfsm.cli.simulating.find_spec", lambda name: None if name == "trio" else sys)
    assert main(["simulate", "--seed", "5", "--hours", "0.1"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "for both: pip install 'sessionfsm[testing]'" in out
    assert "seed 5 on asyncio" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seeds", "0"], "not a whole number above 0"),
        (["--seed", "-1"], "not a whole number from 0 to 999999999999999"),
        (["--hours", "0"], "not a number of hours above 0"),
        (["--hours", "nan"], "not a number of hours above 0"),
        (["--seed", "1", "--seeds", "2"], "give one or the other"),
        (["--jobs", "none"], "not a whole number above 0"),
        (["--faults", "/nowhere.toml"], "cannot be read"),
        (["--machine", "nowhere:table"], "no module 'nowhere'"),
        (["--policy", "/nowhere.toml"], "cannot be read"),
    ],
)
def test_misuse(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *arguments]) == ExitCode.MISUSE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert captured.err.count("\n") == 1


def test_ctrl_c_ends_it_with_what_there_is(tmp_path: Path) -> None:
    """At once, in order, and with the code of the signal; no process stays behind."""
    with started(tmp_path, "simulate", "--seeds", "5000", "--hours", "0.05", "--jobs", "1", "--plain") as process:
        children = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children")
        while process.popen.poll() is None and not (found := children.read_text().split()):
            pass
        process.signal(signal.SIGINT)
        assert process.wait() == 128 + signal.SIGINT
    assert "nothing is broken\n" in process.out
    assert "interrupted: " in process.out
    assert "of 5,000 seeds were not simulated\n" in process.out
    assert process.err == ""
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in found))
    assert not any(Path(f"/proc/{child}").exists() for child in found)


def test_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    """As in `sessionfsm simulate --seed 5 | head -1`."""
    read_end, write_end = os.pipe()
    with started(tmp_path, "simulate", "--seed", "4", "--hours", "200", stdout=write_end) as process:
        os.close(write_end)
        with os.fdopen(read_end, "rb") as reader:
            assert reader.readline().startswith(b"seed 4 on asyncio: ")
        assert process.wait() == 0
    assert process.err == ""


def test_a_schedule_that_is_misuse_of_the_machine_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A trigger that the table does not have."""
    file = tmp_path / "told.toml"
    file.write_text("[world]\n[[fault]]\nkind = 'trigger'\nname = 'nap'\nat_s = 5\n")
    assert main(["simulate", "--faults", str(file)]) == ExitCode.MISUSE
    assert "the table has no external trigger 'nap'" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "world.toml"
    file.write_text(Schedule(duration_s=30, entries=(faults.Outage(at_s=11, for_s=1),)).to_toml())
    arguments = ["simulate", "--faults", str(file), "--machine", BUG, "--save", "/nowhere/at/all"]
    assert main(arguments) == ExitCode.FAILED
    assert "the file /nowhere/at/all cannot be written" in capsys.readouterr().err
