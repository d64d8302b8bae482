"""``sessionfsm trace check`` as its users meet it."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionfsm import Policy
from sessionfsm.cli import ExitCode, main
from sessionfsm.examples import quiet_hours
from sessionfsm.lifecycle import Machine
from sessionfsm.testing import Bench, run
from tests.trace.recorded import parsed, recorded, unparsed, whole_run

CLEAN = """\
run 1: 0a1b2c3d4e5f@im.bot, DATE UTC, lines 1 to 84
  10 min 44 s: 83 records, 44 polls (20 good), 21 renewals (9 failed), 17 losses, 16 waits (4 min 32 s), 1 message
  longest time between two requests 56.3 s, without a good poll 3 min 36 s
  raised: login_required, renewal_blocked
FILE: nothing is wrong
"""

BROKEN = """\
FILE:11: P2: a wait of 3600 s is ordered, outside [0.5 s, 60 s]
   4         0.020 s  polled            active → active        getupdates
   5        20.030 s  polled            active → active        getupdates
   6        20.040 s  session_expired   active → recovering    notifystart  (getupdates: the session is lost (-14: \
session timeout))
   7        20.050 s  session_renewed   recovering → active    getupdates
   8        40.060 s  polled            active → active        getupdates
   9        60.070 s  polled            active → active        getupdates
  10        80.080 s  polled            active → active        getupdates
> 11        80.090 s  poll_failed       active → backoff       wait 1 s (transport, wait 1, at most 60 s), \
for 3600.0 s  (getupdates: HTTP status 502)

run 1: 0a1b2c3d4e5f@im.bot, DATE UTC, lines 1 to 11
  1 min 20 s: 10 records, 7 polls (5 good), 2 renewals, 1 loss, 1 wait (1 h 0 min), 1 message
  longest time between two requests 20.0 s, without a good poll 20.0 s
  it was read no further; --all goes on
FILE: 1 thing is wrong: P2
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "run.jsonl"
    file.write_bytes(whole_run())
    return file


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[[Path], tuple[str, str]]:
    """What was printed, without what differs from run to run."""

    def read(path: Path) -> tuple[str, str]:
        out, err = (text.replace(str(path), "FILE") for text in capfd.readouterr())
        return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", out), err

    return read


Said = Callable[[Path], tuple[str, str]]


def tampered(path: Path) -> None:
    lines = parsed(whole_run())
    lines[10]["wait_s"] = 3600.0
    path.write_bytes(unparsed(lines))


def test_a_run_that_is_well(path: Path, said: Said) -> None:
    assert main(["trace", "check", str(path)]) == ExitCode.OK
    assert said(path) == (CLEAN, "")


def test_the_first_line_that_is_wrong_is_shown_with_what_came_before(path: Path, said: Said) -> None:
    tampered(path)
    assert main(["trace", "check", str(path)]) == ExitCode.FAILED
    assert said(path) == (BROKEN, "")


def test_all_of_it(path: Path, said: Said) -> None:
    """With ``--all`` the rest of the file is judged, too."""
    tampered(path)
    assert main(["trace", "check", "--all", str(path)]) == ExitCode.FAILED
    out, _ = said(path)
    assert re.findall(r"^FILE:(\d+): (\w+):", out, re.MULTILINE) == [("11", "P2"), ("12", "P2")]
    assert "lines 1 to 84" in out
    assert out.endswith("FILE: 2 things are wrong: P2\n")


def test_as_json(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "check", "--json", str(path)]) == ExitCode.OK
    report = json.loads(capfd.readouterr().out)
    assert (report["verdict"], report["lines"], report["wrong"], report["unreadable"]) == ("clean", 84, [], None)
    (run_,) = report["runs"]
    assert (run_["end"], run_["polls"], run_["losses"], run_["account"]) == ("closed", 44, 17, "0a1b2c3d4e5f@im.bot")
    tampered(path)
    assert main(["trace", "check", "--json", str(path)]) == ExitCode.FAILED
    report = json.loads(capfd.readouterr().out)
    assert report["verdict"] == "broken"
    (wrong,) = report["wrong"]
    assert (wrong["line"], wrong["property"], wrong["record"]["wait_s"]) == (11, "P2", 3600)


@pytest.mark.parametrize("cut", [1, 3], ids=["between lines", "in a line"])
def test_a_process_that_was_killed_leaves_it_undecided(path: Path, said: Said, cut: int) -> None:
    """What is on file is well; what the session did then, nobody knows: code 3."""
    lines = whole_run().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:40]) + lines[40][: cut * 100 - 100])
    assert main(["trace", "check", str(path)]) == ExitCode.UNDECIDED
    out, err = said(path)
    assert ("killed, or goes on" in out, "its last line is torn" in out) == (cut == 1, cut == 3)
    assert out.endswith("nothing is wrong on file, but a run has no end there, and nobody knows what came after\n")
    assert err == ""


def test_standard_input(monkeypatch: pytest.MonkeyPatch, said: Said, path: Path) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(whole_run())))
    assert main(["trace", "check", "-"]) == ExitCode.OK
    assert said(path)[0] == CLEAN.replace("FILE", "standard input")
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["trace", "check", "-"]) == ExitCode.MISUSE
    assert "standard input is closed" in said(path)[1]


def test_a_table_of_ones_own(path: Path, said: Said) -> None:
    """It is named by --machine; without that, and with a wrong one, it is said what is the matter."""

    async def a_night(bench: Bench) -> None:
        await bench.settle()
        bench.session.trigger("quiet_hours")
        await bench.settle()

    machine = Machine(Policy(jitter=0.25), quiet_hours(Policy()))
    path.write_bytes(run(lambda: recorded(a_night, machine)))
    assert main(["trace", "check", str(path)]) == ExitCode.MISUSE
    out, err = said(path)
    assert out == ""
    assert err == (
        "sessionfsm: error: FILE:1: it ran on a table of its own, 'quiet hours'; "
        "name that (--machine MODULE:ATTR, or machine=...)\n"
    )
    assert main(["trace", "check", "--machine", "sessionfsm.examples:quiet_hours", str(path)]) == ExitCode.OK
    assert said(path)[1] == ""
    assert main(["trace", "check", "--machine", "sessionfsm.examples:official_client", str(path)]) == ExitCode.FAILED
    out, err = said(path)
    assert "FILE:2: " in out
    assert err.startswith(
        "sessionfsm: note: FILE: line 1: it ran on the table 'quiet hours', and not on this 'official"
    )
    # A machine has figures of its own; the ones of the trace are other ones, and that is said.
    assert main(["trace", "check", "--machine", "tests.cli.test_cli_trace:MACHINE", str(path)]) == ExitCode.OK
    assert "it ran with another jitter" in said(path)[1]


MACHINE = Machine(Policy(), quiet_hours(Policy()))


def test_another_policy(path: Path, tmp_path: Path, said: Said) -> None:
    """What --policy says is what is judged by, and that it is another one is said."""
    policy = tmp_path / "policy.toml"
    policy.write_text("jitter = 0.0\n")
    assert main(["trace", "check", "--policy", str(policy), str(path)]) == ExitCode.FAILED
    out, err = said(path)
    assert "FILE:11: P2: a wait of " in out
    assert err == "sessionfsm: note: FILE: line 1: it ran with another jitter: it is judged by what was asked for\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "required: COMMAND; see 'sessionfsm trace --help'", id="no command"),
        pytest.param(["fly"], "no such command; the commands are check", id="unknown command"),
        pytest.param(["check"], "required: FILE", id="no file"),
        pytest.param(["check", "a", "b"], "an argument too many", id="two files"),
        pytest.param(["check", "--bogus", "a"], "unknown arguments: --bogus; see 'sessionfsm trace check", id="flag"),
        pytest.param(["check", "/nowhere"], "/nowhere cannot be read: No such file", id="no such file"),
        pytest.param(["check", "/"], "/ cannot be read: Is a directory", id="a folder"),
        pytest.param(["check", "/dev/null"], "/dev/null is empty", id="empty"),
        pytest.param(["check", sys.executable], ":1: it is not UTF-8", id="binary"),
        pytest.param(["check", "--machine", "nowhere:x", "FILE"], "no module 'nowhere'", id="no machine"),
        pytest.param(["check", "--policy", "/nowhere", "FILE"], "/nowhere cannot be read", id="no policy"),
    ],
)
def test_misuse(arguments: list[str], words: str, path: Path, said: Said) -> None:
    """One line that says why, and code 2."""
    assert main(["trace", *(str(path) if word == "FILE" else word for word in arguments)]) == ExitCode.MISUSE
    out, err = said(path)
    assert out == ""
    assert re.fullmatch(r"sessionfsm: error: [^\n]+\n", err), err
    assert words in err


def test_what_was_found_before_a_line_that_cannot_be_read_is_told(path: Path, said: Said) -> None:
    """With ``--all``: the property is broken, whatever the rest of the file is."""
    tampered(path)
    with path.open("ab") as file:
        file.write(b"rubbish\n")
    assert main(["trace", "check", "--all", str(path)]) == ExitCode.FAILED
    out, err = said(path)
    assert "FILE:11: P2: " in out
    assert err.startswith("sessionfsm: error: FILE:85: it is not JSON")


def test_words_in_a_file_do_not_move_the_cursor(path: Path, said: Said) -> None:
    """Escape sequences and line ends in it are shown as what they are: none of the terminal's business."""
    lines = parsed(whole_run())
    lines[10].update(wait_s=3600.0, detail="\x1b[2J\nrun.jsonl: nothing is wrong" + "x" * 3000, trigger="\x1b[31m")
    path.write_bytes(unparsed(lines))
    assert main(["trace", "check", str(path)]) == ExitCode.FAILED
    out, _ = said(path)
    assert "\x1b" not in out
    assert "\nrun.jsonl" not in out
    assert max(map(len, out.splitlines())) < 600


@pytest.mark.parametrize("command", [["trace"], ["trace", "check"]])
def test_help_has_examples(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert "examples:\n  sessionfsm " in capfd.readouterr().out
