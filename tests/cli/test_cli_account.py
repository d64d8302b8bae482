"""``sessionfsm account``: what is kept, shown and forgotten, and what is refused."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from sessionfsm.cli import ExitCode, main
from sessionfsm.cli.problems import code_of
from sessionfsm.errors import AccountInUse, CredentialsExposed, CredentialsMissing
from sessionfsm.store import CredentialFolder

from .process import started

SECRET = "cafe0123456789deadbeef"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SESSIONFSM_TOKEN", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessionfsm" / "credentials"


def add(name: str, *arguments: str) -> int:
    return main(["account", "add", "--token", f"{name}@im.bot:{SECRET}", *arguments])


def test_an_account_is_kept_shown_and_forgotten(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three commands for the life of an account; what is printed can be read by a script and shows no token."""
    assert add("a", "--user-id", "u@im.wechat") == ExitCode.OK
    assert add("b", "--base-url", "http://127.0.0.1:8080") == ExitCode.OK
    assert main(["account", "list"]) == ExitCode.OK
    assert main(["account", "remove", "a@im.bot"]) == ExitCode.OK
    assert main(["account", "list"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "stored a@im.bot",
        "stored b@im.bot",
        "a@im.bot https://ilinkai.weixin.qq.com u@im.wechat",
        "b@im.bot http://127.0.0.1:8080",
        "removed a@im.bot",
        "b@im.bot http://127.0.0.1:8080",
    ]
    assert err == ""
    assert {entry.name for entry in place.iterdir()} == {"b@im.bot.json", ".lock"}


def test_a_second_login_says_what_it_retires(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever adds a user's next account is told which ones have ended, and so is who asks for those."""
    add("a", "--user-id", "u@im.wechat")
    add("b", "--user-id", "u@im.wechat")
    assert capsys.readouterr().out == "stored a@im.bot\nstored b@im.bot\nretired a@im.bot\n"
    assert main(["account", "remove", "a@im.bot"]) == ExitCode.NO_CREDENTIALS
    assert capsys.readouterr().err == (
        "sessionfsm: error: there are no credentials of a@im.bot; its user has logged in again since, as b@im.bot\n"
    )


def test_the_token_may_come_from_a_file_or_the_environment(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token need not stand on the command line; white space around it is not kept."""
    (tmp_path / "token").write_text(f" a@im.bot:{SECRET}\n")
    assert main(["account", "add", "--token-file", str(tmp_path / "token")]) == ExitCode.OK
    monkeypatch.setenv("SESSIONFSM_TOKEN", f"b@im.bot:{SECRET}")
    assert main(["account", "add"]) == ExitCode.OK
    kept = [CredentialFolder(place).current(account) for account in ("a@im.bot", "b@im.bot")]
    assert [each and each.token.reveal() for each in kept] == [f"a@im.bot:{SECRET}", f"b@im.bot:{SECRET}"]


def test_the_folder_can_be_named(tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--credentials is another folder for all three commands."""
    elsewhere = ["--credentials", str(tmp_path / "elsewhere")]
    add("a", *elsewhere)
    assert not place.exists()
    main(["account", "list", *elsewhere])
    main(["account", "remove", "a@im.bot", *elsewhere])
    assert capsys.readouterr().out == "stored a@im.bot\na@im.bot https://ilinkai.weixin.qq.com\nremoved a@im.bot\n"


def test_the_list_as_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object, the same form for what is well and what is not; a problem is exit code 1."""
    assert main(["account", "list", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"accounts": []}
    add("a", "--user-id", "u@im.wechat")
    add("b")
    (place / "a@im.bot.json").chmod(0o644)
    capsys.readouterr()
    assert main(["account", "list", "--json"]) == ExitCode.FAILED
    first, second = json.loads(capsys.readouterr().out)["accounts"]
    assert re.fullmatch(r"others can read or change .*; type: chmod 600 .*", first.pop("problem"))
    assert first == {"account": "a@im.bot", "base_url": None, "user_id": None}
    url = "https://ilinkai.weixin.qq.com"
    assert second == {"account": "b@im.bot", "base_url": url, "user_id": None, "problem": None}


def test_one_account_that_cannot_be_used_does_not_hide_the_others(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list goes on after a broken file, says what is wrong with it, and ends with code 1."""
    add("a")
    add("b")
    (place / "a@im.bot.json").write_text(f'{{"token": "{SECRET}')
    capsys.readouterr()
    assert main(["account", "list"]) == ExitCode.FAILED
    out, err = capsys.readouterr()
    assert out == "b@im.bot https://ilinkai.weixin.qq.com\n"
    assert err == (
        f"sessionfsm: error: the credentials in {place}/a@im.bot.json are damaged; remove the file, and log in again\n"
    )
    assert main(["account", "remove", "a@im.bot"]) == ExitCode.OK
    assert main(["account", "list"]) == ExitCode.OK


def test_an_empty_list_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on standard output for a script, and a word on standard error for people; it is no failure."""
    assert main(["account", "list"]) == ExitCode.OK
    assert capsys.readouterr() == ("", "no account is kept; 'sessionfsm account add' keeps one\n")


def test_what_is_not_there_cannot_be_removed(capsys: pytest.CaptureFixture[str]) -> None:
    """An account that is not kept is exit code 5, and the message says where to look."""
    assert main(["account", "remove", "nobody@im.bot"]) == ExitCode.NO_CREDENTIALS
    assert capsys.readouterr().err == (
        "sessionfsm: error: there are no credentials of nobody@im.bot; 'sessionfsm account list' shows what there is\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "required: COMMAND", id="no command"),
        pytest.param(["steal"], "no such command; the commands are add, list, remove", id="unknown command"),
        pytest.param(["add"], "no bot token; pass --token-file FILE, or set SESSIONFSM_TOKEN", id="no token"),
        pytest.param(["add", "--token", " "], "--token is empty", id="empty token"),
        pytest.param(["add", "--token", f"{SECRET} x"], "has a space", id="token with a space"),
        pytest.param(["add", SECRET], "an argument too many", id="the token in the wrong place"),
        pytest.param(["add", f"--tokn={SECRET}"], "unknown arguments: --tokn", id="mistyped option"),
        pytest.param(
            ["add", "--token", SECRET, "--base-url", "https://example.com"], "--allow-host example.com", id="host"
        ),
        pytest.param(["add", "--token", SECRET, "--base-url", "http://weixin.qq.com"], "in clear", id="no TLS"),
        pytest.param(["add", "--token", SECRET, "--credentials", ""], "the name is empty", id="no folder"),
        pytest.param(["list", "--bogus"], "--bogus; see 'sessionfsm account list --help'", id="unknown flag"),
        pytest.param(["remove"], "required: ACCOUNT", id="nobody to remove"),
        pytest.param(["remove", " "], "the account's name is empty", id="empty account"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input names the fact and the way out, shows no secret, and keeps nothing."""
    assert main(["account", *arguments]) == ExitCode.MISUSE
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"sessionfsm: error: [^\n]+\n", err), err
    assert words in err
    assert SECRET not in err
    assert not place.exists()


def test_a_host_that_was_allowed_is_kept(place: Path) -> None:
    """With --allow-host another server is kept; whoever uses it must allow it again."""
    assert add("a", "--base-url", "https://bots.example.com:8443/", "--allow-host", "bots.example.com") == ExitCode.OK
    kept = CredentialFolder(place).current("a@im.bot")
    assert kept is not None
    assert kept.base_url == "https://bots.example.com:8443"


@pytest.mark.parametrize("command", [["add", "--token", f"a@im.bot:{SECRET}"], ["list"]])
def test_an_exposed_folder_is_exit_code_1(command: list[str], place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that others can read is not used; the message is what to type, and the token is not in it."""
    place.mkdir(parents=True)
    place.chmod(0o755)
    assert main(["account", *command, "-v"]) == ExitCode.FAILED
    out, err = capsys.readouterr()
    assert out == ""
    last = err.splitlines()[-1]
    assert last == f"sessionfsm: error: others can read or change {place}, so it is not used; type: chmod 700 {place}"
    assert SECRET not in err
    assert os.listdir(place) == []


def test_the_exit_code_of_each_fact() -> None:
    """Scripts tell by the code: in use, none there, and anything else."""
    assert code_of(AccountInUse("a")) == ExitCode.IN_USE
    assert code_of(CredentialsMissing("none")) == ExitCode.NO_CREDENTIALS
    assert code_of(CredentialsExposed("open")) == ExitCode.FAILED


@pytest.mark.parametrize("command", [[], ["add"], ["list"], ["remove"]])
def test_help_has_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Help is on standard output, ends well, and shows how the command is used."""
    assert main(["account", *command, "--help"]) == ExitCode.OK
    assert "examples:\n  sessionfsm account " in capsys.readouterr().out


def test_as_a_process(tmp_path: Path) -> None:
    """From the shell, token in the environment, output to a file, and a full disk below it."""
    variables = {"XDG_DATA_HOME": str(tmp_path), "SESSIONFSM_TOKEN": f"a@im.bot:{SECRET}"}
    with started(tmp_path, "account", "add", **variables) as process:
        assert process.wait() == ExitCode.OK
        assert (process.out, process.err) == ("stored a@im.bot\n", "")
    with (
        open("/dev/full", "wb") as nowhere,
        started(tmp_path, "account", "list", stdout=nowhere.fileno(), **variables) as process,
    ):
        assert process.wait() == ExitCode.FAILED
        assert process.err == "sessionfsm: error: standard output cannot be written: No space left on device\n"


def test_no_standard_output_at_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`>&-` is one line that says so, and no bug of ours."""
    monkeypatch.setattr("sys.stdout", None)
    assert main(["account", "list", "--json"]) == ExitCode.FAILED
    assert capsys.readouterr().err.splitlines()[0].startswith("sessionfsm: error: standard output is closed; send it")


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The how-to page's Python runs as it stands."""
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "how-to" / "accounts-and-credentials.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(snippet, "page", "exec"), {})
    out = capsys.readouterr().out
    assert out.startswith("['0a1b2c3d4e5f@im.bot'] instead of []\nCredentials(token=Secret('…')")
    assert ":0123" not in out
