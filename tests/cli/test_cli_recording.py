"""``sessionfsm run --trace`` as a process: signals, a kill, a restart, a disk that is full."""

from __future__ import annotations

import os
import re
import signal
import stat
from pathlib import Path

import pytest

from sessionfsm import TraceWriter, check_trace
from sessionfsm.cli import ExitCode, main

from .process import TOKEN, serving, started, wait_until


def recording(folder: Path, url: str, trace: str | Path):  # type: ignore[no-untyped-def]
    return started(folder, "run", "--base-url", url, "--trace", str(trace), SESSIONFSM_TOKEN=TOKEN)


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    with serving(tmp_path_factory.mktemp("server"), "--message-every", "0.1") as (_, url):
        yield url


def test_a_run_is_recorded_until_it_is_stopped_killed_and_begun_again(tmp_path: Path, url: str) -> None:
    """``kill -9`` leaves whole lines, an orderly stop a whole run; what comes next comes after it."""
    path = tmp_path / "run.jsonl"
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 0)):
        before = lines_in(path)
        with recording(tmp_path, url, path) as run:
            wait_until(lambda before=before: lines_in(path) > before + 5)  # type: ignore[misc]
            run.signal(number)
            assert run.wait() == code
            assert "Traceback" not in run.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    report = check_trace(path)
    assert [run_.end for run_ in report.runs] == ["cut", "closed"]
    assert report.wrong == []
    assert all(run_.records > 4 and run_.polls > 2 for run_ in report.runs)
    assert main(["trace", "check", str(path)]) == ExitCode.UNDECIDED
    assert TOKEN.partition(":")[2] not in path.read_text()


def test_a_full_disk_does_not_end_the_session(tmp_path: Path, url: str) -> None:
    """It is said at once, messages go on, and the code says at the end that the trace is not whole."""
    with recording(tmp_path, url, "/dev/full") as run:
        run.wait_for("ERROR .*the trace /dev/full is broken off at record 1: No space left on device", err=True)
        run.wait_for(r"(.*\n){3}")
        run.signal(signal.SIGTERM)
        assert run.wait() == 1
    assert run.err.count("broken off") == 1
    assert run.err.splitlines()[-1].endswith("the trace /dev/full is not whole: No space left on device")


def test_a_file_that_cannot_be_a_trace_is_refused_before_anything_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one line: another file, a folder, a pipe, and a trace that another run writes."""
    diary, pipe, taken = tmp_path / "diary", tmp_path / "pipe", tmp_path / "run.jsonl"
    diary.write_text("dear diary\n")
    os.mkfifo(pipe)
    refused = {
        diary: "is no trace of version 1; it is left",
        tmp_path: "Is a directory",
        pipe: "no file",
        taken: "another session",
    }
    with TraceWriter(taken):
        for target, words in refused.items():
            arguments = ["run", "--token", TOKEN, "--base-url", "http://127.0.0.1:9", "--trace", str(target)]
            assert main(arguments) == ExitCode.MISUSE
            out, err = capsys.readouterr()
            assert out == ""
            assert re.fullmatch(r"sessionfsm: error: [^\n]+\n", err)
            assert words in err
    assert diary.read_text() == "dear diary\n"
