"""``sessionfsm trace show`` as its users meet it."""

from __future__ import annotations

import io
import os
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from sessionfsm.cli import ExitCode, main
from sessionfsm.cli.trace import FORMATS, VIEWS
from sessionfsm.show.sequence_story import MOST
from tests.trace.recorded import parsed, unparsed, whole_run

VIEWS_AND_FORMATS = [(view, each) for view in VIEWS for each in ("mermaid", "svg")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "run.jsonl"
    file.write_bytes(whole_run())
    return file


@pytest.mark.parametrize(("view", "each"), VIEWS_AND_FORMATS)
def test_every_view_in_every_language(path: Path, capfd: pytest.CaptureFixture[str], view: str, each: str) -> None:
    """It is written to standard output, and the same into a file; and twice it is the same."""
    assert main(["trace", "show", str(path), "--view", view, "--format", each]) == ExitCode.OK
    out, err = capfd.readouterr()
    assert err == ""
    file = path.with_suffix(".svg" if each == "svg" else ".mmd")
    assert main(["trace", "show", str(path), "--view", view, "--output", str(file)]) == ExitCode.OK
    assert file.read_text("utf-8") == out
    if each == "svg":
        assert ET.fromstring(out).tag == "{http://www.w3.org/2000/svg}svg"
    else:
        begin = {"path": "stateDiagram-v2", "timeline": "gantt", "sequence": "sequenceDiagram"}[view]
        assert re.search(rf"^{begin}$", out, re.MULTILINE)


def test_without_anything_it_is_the_path_for_github(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "show", str(path)]) == ExitCode.OK
    assert re.match(r"stateDiagram-v2\n(.*\n)*.*\d+ × polled", capfd.readouterr().out)


def test_a_page(path: Path) -> None:
    """By the name of the file alone."""
    assert main(["trace", "show", str(path), "--output", str(path.with_suffix(".html"))]) == ExitCode.OK
    page = path.with_suffix(".html").read_text("utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert page.count("<svg") >= 3


def test_words_for_a_terminal(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every record is a line; what somebody else said cannot move the cursor."""
    lines = parsed(whole_run())
    lines[9]["detail"] = "red \x1b[31m text"
    path.write_bytes(unparsed(lines))
    assert main(["trace", "show", str(path), "--format", "text"]) == ExitCode.OK
    out = capfd.readouterr().out
    assert len(out.splitlines()) == len(lines) - 1
    assert "\x1b" not in out
    assert out.splitlines()[0].split()[:3] == ["0.000", "s", "start"]


def test_sends_stand_among_the_records_by_their_time(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = parsed(whole_run())
    send = {"kind": "send", "account": "a", "held_s": 1.0, "state": "active", "failed": "StatusError", "detail": ""}
    path.write_bytes(unparsed([*lines[:-1], {**send, "started_s": lines[0]["at_s"] + 49.0}, lines[-1]]))
    assert main(["trace", "show", str(path), "--format", "text"]) == ExitCode.OK
    shown = capfd.readouterr().out.splitlines()
    times = [float(line.split()[0]) for line in shown]
    assert times == sorted(times)
    assert "50.000 s  sendmessage       while active: StatusError" in shown[times.index(50.0)]


def test_a_stretch(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "show", str(path), "--format", "text", "--from", "100", "--to", "200"]) == ExitCode.OK
    times = [float(line.split()[0]) for line in capfd.readouterr().out.splitlines()]
    assert times
    assert 100 <= min(times) <= max(times) <= 200


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(whole_run())))
    assert main(["trace", "show", "-", "--run", "1"]) == ExitCode.OK
    assert "stateDiagram-v2" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--output", "run.pdf"], "does not say which format it is in; add --format"),
        (["--format", "html", "--view", "path"], "html has every view; leave --view out"),
        (["--view", "timeline", "--detail", "full"], "--detail is for the view 'path' alone"),
        (["--most", "3"], "--most is for the view 'sequence' alone"),
        (["--from", "9", "--to", "3"], "--from 9 is later than --to 3"),
        (["--run", "0"], "'0' is not a whole number above 0"),
        (["--run", "2"], "has 1 run, and no run 2"),
        (["--from", "7000"], "the run has nothing from 7000 s on: it is told from 0.000 s to"),
        (["--view", "map"], "invalid choice: 'map'"),
        (["--policy", "absent.toml"], "absent.toml"),
        (["--machine", "nowhere:nothing"], "nowhere"),
    ],
)
def test_misuse_is_said_in_one_line(
    path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["trace", "show", str(path), *arguments]) == ExitCode.MISUSE
    out, err = capfd.readouterr()
    assert out == ""
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_what_is_no_trace(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text("hello\n")
    assert main(["trace", "show", str(file)]) == ExitCode.MISUSE
    assert "run.jsonl:1:" in capfd.readouterr().err
    assert main(["trace", "show", str(tmp_path / "absent")]) == ExitCode.MISUSE
    assert "cannot be read: No such file or directory" in capfd.readouterr().err


def test_another_policy_than_it_ran_with_is_said(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    policy = path.with_name("policy.toml")
    policy.write_text("session_ceiling_s = 120\n")
    assert main(["trace", "show", str(path), "--policy", str(policy), "--format", "svg"]) == ExitCode.OK
    out, err = capfd.readouterr()
    assert "5 s … 120 s" in "".join(ET.fromstring(out).itertext())
    assert "note: " in err
    assert "it ran with another session_ceiling_s: it is drawn on what was asked for" in err


def test_a_table_of_ones_own_has_to_be_named(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = parsed(whole_run())
    lines[0]["table"] = {"name": "my own", "digest": "0" * 64}
    path.write_bytes(unparsed(lines))
    assert main(["trace", "show", str(path)]) == ExitCode.MISUSE
    assert "it ran on a table of its own, 'my own'; name that (--machine" in capfd.readouterr().err


def test_the_file_stays_as_it_was_if_the_disk_is_full(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    assert main(["trace", "show", str(path), "--format", "svg", "--output", "/dev/full"]) == ExitCode.FAILED
    assert "/dev/full cannot be written: No space left on device" in capfd.readouterr().err


def test_a_drawing_does_not_take_the_place_of_its_trace(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither by its name, nor by a link to it, nor while it is standard input: the record is the only one."""
    link = path.with_name("link.svg")
    link.symlink_to(path)
    for output in (path, link):
        assert main(["trace", "show", str(path), "--format", "svg", "--output", str(output)]) == ExitCode.MISUSE
        assert f"{output} is the trace itself, which would be lost" in capfd.readouterr().err
    with path.open() as stdin, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        assert main(["trace", "show", "-", "--format", "svg", "--output", str(path)]) == ExitCode.MISUSE
    assert path.read_bytes() == whole_run()


def test_the_help_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "show", "--help"]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert f"at most (default: {MOST})" in " ".join(shown.split())
    for name in (*VIEWS, *FORMATS):
        assert re.search(rf"^  {name} ", shown, re.MULTILINE)


def test_the_trace_is_not_lost_to_its_own_picture(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A slip of the hand, by whatever name, leaves the record of the run as it is."""
    link = path.with_name("link.svg")
    link.symlink_to(path)
    for output in (path, link):
        assert main(["trace", "show", str(path), "--format", "svg", "--output", str(output)]) == ExitCode.MISUSE
        assert "is the trace itself, which would be lost; name another file" in capfd.readouterr().err
    assert path.read_bytes() == whole_run()


def test_another_account_is_named_where_the_session_goes_over_to_it(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = parsed(whole_run())
    changed = next(at for at, line in enumerate(lines) if line.get("trigger") == "session_renewed")
    lines[changed:changed] = [
        lines[changed]
        | {"trigger": "credentials_changed", "target": "recovering", "command": None, "started_s": None, "held_s": None}
    ]
    for number, line in enumerate((line for line in lines if line["kind"] == "record"), 1):
        line["number"] = number
    for line in lines[changed:]:
        line["account"] = "second@im.bot"
    path.write_bytes(unparsed(lines))
    assert main(["trace", "show", str(path), "--format", "text"]) == ExitCode.OK
    (told,) = [line for line in capfd.readouterr().out.splitlines() if "credentials_changed" in line]
    assert told.endswith("(account second@im.bot)")
    for view in ("timeline", "sequence"):
        assert main(["trace", "show", str(path), "--view", view, "--format", "svg"]) == ExitCode.OK
        assert f"{lines[0]['account']}, then second@im.bot" in "".join(ET.fromstring(capfd.readouterr().out).itertext())
