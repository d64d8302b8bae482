"""What the command line accepts, what it refuses, and how it says so."""

from __future__ import annotations

import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from sessionfsm import __version__
from sessionfsm.cli import ExitCode, main
from sessionfsm.cli.options import token_of
from sessionfsm.cli.problems import CommandError, one_line

EXIT_CODES = Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md"
SECRET = "very-secret-token"


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SESSIONFSM_TOKEN", raising=False)


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "required: COMMAND", id="no command"),
        pytest.param(["fly"], "no such command; the commands are demo, run, send, account, ", id="unknown command"),
        pytest.param(["run", "--bogus"], "--bogus; see 'sessionfsm run --help'", id="unknown flag"),
        pytest.param(["--bogus", "run"], "--bogus", id="unknown flag before the command"),
        pytest.param(
            ["account", "add"], "no bot token; pass --token-file FILE, or set SESSIONFSM_TOKEN", id="no token"
        ),
        pytest.param(["run", "--token", " \t"], "--token is empty", id="white space as token"),
        pytest.param(["send", "--to", "u", "--token", "", "hi"], "--token is empty", id="empty token"),
        pytest.param(["run", "--token", f"{SECRET} x"], "has a space", id="token with a space"),
        pytest.param(["run", "--token-file", "/nowhere/at/all"], "cannot be read: No such file", id="no token file"),
        pytest.param(["run", "--token-file", "/"], "cannot be read", id="token file is a folder"),
        pytest.param(
            ["run", "--token", SECRET, "--base-url", "https://example.com"],
            "https://example.com is not allowed: it is neither at or below weixin.qq.com nor on the loopback; "
            "to trust it with a token, --allow-host example.com",
            id="host",
        ),
        pytest.param(["run", "--token", SECRET, "--base-url", "weixin.qq.com"], "starts with https://", id="no scheme"),
        pytest.param(
            ["run", "--token", SECRET, "--policy", "/nowhere"], "/nowhere cannot be read", id="no policy file"
        ),
        pytest.param(["send", "--token", SECRET, "--to", "u", ""], "the text is empty", id="empty text"),
        pytest.param(["send", "--token", SECRET, "--to", "u", " "], "the text is empty", id="blank text"),
        pytest.param(["send", "--token", SECRET, "--to", "", "hi"], "--to is empty", id="empty user"),
        pytest.param(["send", "--token", SECRET, "--to", "u", "--base-url", "", "hi"], "URL is empty", id="send's URL"),
        pytest.param(["run", "--token", SECRET, "--base-url", ""], "the base URL is empty", id="run's URL"),
        pytest.param(["run", "--tokn", SECRET], "unknown arguments: --tokn;", id="mistyped option"),
        pytest.param(["run", f"--tokn={SECRET}"], "unknown arguments: --tokn;", id="mistyped option with ="),
        pytest.param(["run", f"--verbose={SECRET}"], "it takes no value", id="a value for a flag"),
        pytest.param(["run", SECRET], "an argument too many", id="stray positional"),
        pytest.param(["--tokn", SECRET, "run"], "no such command", id="mistyped option before the command"),
        pytest.param([SECRET], "no such command", id="token as command"),
        pytest.param(["send", "--token", SECRET, "hi"], "required: --to", id="nobody to send to"),
        pytest.param(["server", "--port", "70000"], "'70000' is not a port", id="port"),
        pytest.param(["server", "--faults", "/nowhere"], "/nowhere cannot be read", id="no faults file"),
        pytest.param(["server", "--hold", "-1"], "'-1' is not a number of seconds, 0 or more", id="hold"),
        pytest.param(["server", "--token", " "], "--token is empty", id="empty strict token"),
        pytest.param(["demo", "--duration", "nan"], "'nan' is not a number of seconds above 0", id="duration"),
        pytest.param(["demo", "--duration", "1e9"], "and at most 86400", id="a duration that eats all memory"),
        pytest.param(["demo", "--duration", "2"], "too short for anything to go wrong", id="short duration"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input ends with code 2 and one line that names the fact and the way out, and no secret."""
    assert main(arguments) == ExitCode.MISUSE
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"sessionfsm: error: [^\n]+\n", err), err
    assert words in err
    assert SECRET not in err


def test_an_impossible_policy_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy that could break a property ends the command before it begins, and says which property."""
    policy = write(tmp_path / "policy.toml", "session_ceiling_s = 3600")
    assert main(["run", "--token", SECRET, "--policy", policy]) == ExitCode.MISUSE
    assert "P6" in capsys.readouterr().err
    assert main(["demo", "--policy", policy]) == ExitCode.MISUSE


def test_a_faults_file_is_checked_before_anything_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong in a file of faults is named: file, entry, field."""
    faults = write(tmp_path / "faults.toml", '[[fault]]\nkind = "expire"\nheld = 1')
    assert main(["server", "--faults", faults]) == ExitCode.MISUSE
    out, err = capsys.readouterr()
    assert out == ""
    assert "fault 1: expire: unknown field 'held'" in err


def test_what_is_nested_too_deeply_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that exhausts the parser's stack is refused like any other that is wrong."""
    deep = write(tmp_path / "deep.toml", f"fault = {'[' * 5000}{']' * 5000}")
    for arguments in (["demo", "--policy", deep], ["server", "--faults", deep]):
        assert main(arguments) == ExitCode.MISUSE
        assert re.fullmatch(r"sessionfsm: error: [^\n]+ nested too deeply\n", capsys.readouterr().err)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sessionfsm {__version__}\n"


@pytest.mark.parametrize("command", ["", "demo", "run", "send", "server"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help is on standard output, ends well, and shows how the command is used."""
    assert main([*command.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert "examples:\n  sessionfsm " in out


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["trace", "check", "--help"], ["demo", "--bogus"]]
)
def test_nothing_heavy_is_imported_for_help(arguments: list[str]) -> None:
    """Help, version and misuse need no HTTP client, no event loop and no state machine."""
    code = (
        "import sys; from sessionfsm.cli import main; main(sys.argv[1:]);"
        "heavy = {'httpx', 'anyio', 'asyncio', 'transitions', 'msgspec', 'rich'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


def test_help_costs_little_more_than_a_few_starts_of_the_interpreter() -> None:
    """``--help`` waits for no command's module, and for none of what takes Python itself long to import."""
    code = (
        "import sys; from sessionfsm.cli import main; main(['--help']);"
        "slow = {'typing', 'shutil', 'pathlib', 'secrets', 'sessionfsm.cli.run', 'sessionfsm.cli.demo'};"
        "slow &= set(sys.modules); sys.exit(f'imported: {slow}' if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


def test_help_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """COLUMNS says how wide help may be; what is no width is passed over, and without a terminal it is 80."""
    widths = {}
    for columns in ("200", "60", "0", "wide", "-3"):
        monkeypatch.setenv("COLUMNS", columns)
        assert main(["send", "--help"]) == 0
        options = capsys.readouterr().out.split("options:")[1].split("\n\n")[0]
        widths[columns] = max(map(len, options.splitlines()))
    assert widths["60"] <= 58 < widths["0"] <= 78 < widths["200"]
    assert widths["0"] == widths["wide"] == widths["-3"]


def test_the_first_token_that_is_given_counts(tmp_path: Path) -> None:
    """``--token`` goes before ``--token-file``, that before the environment; several are no error."""
    file = write(tmp_path / "token", "  from-file\n")
    environment = {"SESSIONFSM_TOKEN": "from-environment"}

    def chosen(token: str | None, token_file: str | None) -> str:
        found = token_of(Namespace(token=token, token_file=token_file), environment)
        return found.reveal() if found is not None else "none"

    assert chosen("from-option", file) == "from-option"
    assert chosen(None, file) == "from-file"
    assert chosen(None, None) == "from-environment"
    with pytest.raises(CommandError, match="--token is empty"):
        chosen(" ", file)
    environment.clear()
    assert chosen(None, None) == "none"


def test_the_exit_codes_are_those_of_the_documentation() -> None:
    """The table in the reference lists each code of the enum, and no other."""
    rows = re.findall(r"^\| (\d+|128 \+ n) \|", EXIT_CODES.read_text(), re.MULTILINE)
    assert rows == [*(str(int(code)) for code in ExitCode), "128 + n"]


def test_an_error_is_one_line_whatever_is_in_it() -> None:
    """A server's or a file's words cannot move the cursor or begin a line of their own."""
    assert one_line("a\nb\x1b[2J\tc") == "a b\N{REPLACEMENT CHARACTER}[2J c"
