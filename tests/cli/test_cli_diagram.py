"""``sessionfsm diagram`` as its users meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessionfsm.cli import ExitCode, main
from sessionfsm.cli import diagram as command
from sessionfsm.diagram import FORMATS, diagram_of, mermaid, table_from_json
from sessionfsm.examples import official_client
from sessionfsm.lifecycle import Machine, Policy
from tests.diagram.exports import EXPORTS

ROOT = Path(__file__).parents[2]
OFFICIAL = "sessionfsm.examples:official_client"


def written(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["diagram", *arguments]) == ExitCode.OK
    captured = capfd.readouterr()
    assert captured.err == ""
    return captured.out


def test_without_options_it_is_the_picture_of_the_front_page(capfd: pytest.CaptureFixture[str]) -> None:
    """Mermaid, to standard output."""
    assert written(capfd) == (ROOT / "diagrams" / "lifecycle.mmd").read_text("utf-8")


def test_the_help_names_every_format() -> None:
    """What can be asked for is what there is, and each is explained."""
    assert tuple(FORMATS) == command.FORMATS
    assert all(f"\n  {name} " in command._EPILOG for name in FORMATS)


@pytest.mark.parametrize("name", EXPORTS)
def test_the_committed_drawings_are_what_it_writes(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The format is known by the file's name; --check finds nothing to say about what --output has written."""
    export = EXPORTS[name]
    own = ["--machine", OFFICIAL] if export.machine == "official client" else []
    options = [*own, "--detail", export.detail]
    file = tmp_path / name
    assert written(capfd, *options, "--output", str(file)) == ""
    assert file.read_bytes() == (ROOT / "diagrams" / name).read_bytes()
    assert written(capfd, *options, "--check", str(file)) == f"{file}: as the table has it\n"
    assert written(capfd, *options, "--format", export.format) == file.read_text("utf-8")
    assert os.listdir(tmp_path) == [name]


def test_a_policy_puts_its_figures_on_the_picture(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a policy the front page's picture shows the table; with one, how long it waits."""
    file = tmp_path / "policy.toml"
    file.write_text("session_ceiling_s = 40\nrenewal = 'required'\n")
    drawn = written(capfd, "--policy", str(file))
    assert "(5 s … 40 s)" in drawn
    assert "renewal_failed [expired]<br>" in drawn  # where the renewal is required, the table is another one, too
    without = written(capfd)
    assert " s)" not in without
    assert "[expired]<br>" not in without
    assert "5 s … 300 s" in written(capfd, "--format", "dot")


def test_a_table_can_be_taken_elsewhere(capfd: pytest.CaptureFixture[str]) -> None:
    """What --format json writes is the table, for whoever reads it."""
    assert table_from_json(written(capfd, "--format", "json", "--machine", OFFICIAL)) == official_client(Policy())


def test_the_first_line_that_differs_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A stale picture fails the build, with the line, both versions of it, and what to write."""
    file = tmp_path / "old.mmd"
    lines = mermaid(diagram_of(Machine(), figures=False)).splitlines(keepends=True)
    file.write_text("".join(lines).replace("polled → poll", "polled → pause"), "utf-8")
    assert main(["diagram", "--check", str(file)]) == ExitCode.FAILED
    err = capfd.readouterr().err
    assert f"{file}:{next(n for n, line in enumerate(lines, 1) if 'polled' in line)}:" in err
    assert "polled → pause" in err
    assert "polled → poll" in err
    assert f"--output {file}" in err
    for stale, says in (
        ("".join(lines[:-1]), "here is the end"),
        ("".join([*lines, "more\n"]), "the table says the end"),
        ("".join(lines).removesuffix("\n"), r"[*]', the table says '"),
        ("".join(lines).replace("\n", "\r\n"), r"here is 'stateDiagram-v2\r\n'"),
        ("", "old.mmd:1:1: the file and the table disagree: here is the end"),
    ):
        file.write_bytes(stale.encode())
        assert main(["diagram", "--check", str(file)]) == ExitCode.FAILED
        err = capfd.readouterr().err
        assert says in err
        assert err.count("\n") == 1
    file.write_bytes(b"\xff\0" * 9_000_000)
    assert main(["diagram", "--check", str(file)]) == ExitCode.FAILED
    assert "longer than any lifecycle" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--format", "pdf"], ExitCode.MISUSE, "invalid choice"),
        (["--detail", "half"], ExitCode.MISUSE, "invalid choice"),
        (["--format", "json", "--detail", "overview"], ExitCode.MISUSE, "no overview of it: leave the detail out"),
        (["--format", "scxml", "--detail", "overview"], ExitCode.MISUSE, "no overview of it: leave the detail out"),
        (["--output", "a.mmd", "--check", "a.mmd"], ExitCode.MISUSE, "not allowed with"),
        (["--output", "picture"], ExitCode.MISUSE, "does not say which format it is in; add --format"),
        (["--check", "nowhere/a.mmd"], ExitCode.MISUSE, "cannot be read: No such file"),
        (["--check", ".", "--format", "dot"], ExitCode.MISUSE, "cannot be read: Is a directory"),
        (["--output", "nowhere/a.mmd"], ExitCode.FAILED, "cannot be written: No such file"),
        (["--machine", "nowhere:table"], ExitCode.MISUSE, "no module 'nowhere'"),
        (["--policy", "/nowhere.toml"], ExitCode.MISUSE, "cannot be read"),
        (["extra"], ExitCode.MISUSE, "an argument too many"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    arguments: list[str],
    code: ExitCode,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One line with the way out, nothing on standard output, and no file."""
    monkeypatch.chdir(tmp_path)
    assert main(["diagram", *arguments]) == code
    captured = capfd.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A disk that is full leaves the old picture where it was, and nothing beside it."""
    file = tmp_path / "picture.dot"
    file.write_text("the old one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["diagram", "--output", str(file)]) == ExitCode.FAILED
    assert "No space left on device" in capfd.readouterr().err
    assert file.read_text() == "the old one"
    assert os.listdir(tmp_path) == ["picture.dot"]


def test_a_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Writing a picture anew changes what is in it, and nothing else about it."""
    file, link = tmp_path / "picture.dot", tmp_path / "link.dot"
    file.write_text("the old one")
    file.chmod(0o640)
    link.symlink_to(file)
    written(capfd, "--output", str(link))
    assert link.is_symlink()
    assert file.read_text("utf-8").startswith("digraph")
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_device_is_written_to_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    """/dev/null is not replaced by a picture."""
    written(capfd, "--output", "/dev/null", "--format", "dot")
    assert Path("/dev/null").is_char_device()


def test_a_reader_that_has_gone_is_no_failure() -> None:
    """``sessionfsm diagram | head -1`` ends well, and says nothing."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "sessionfsm", "diagram"],
            stdout=gone,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_that_knows_only_ascii_gets_utf_8(tmp_path: Path) -> None:
    """What is written is the same bytes everywhere, so that it can be compared."""
    done = subprocess.run(
        [sys.executable, "-m", "sessionfsm", "diagram", "--format", "text"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
        timeout=60,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.decode() == (ROOT / "diagrams" / "lifecycle.txt").read_text("utf-8")
