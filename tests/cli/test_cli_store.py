"""Real processes on one store: what is killed is gone on with, what is in use is refused, what failed can be mended."""

import json
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionfsm import MessageState, SQLiteStore
from sessionfsm.cli import main
from sessionfsm.cli.exit_codes import ExitCode
from sessionfsm.secret import Secret
from sessionfsm.session.inbox import _UNMARKED
from sessionfsm.store import Batch, CredentialFolder, Credentials, Incoming

from .process import TOKEN, Process, serving, started, wait_until

ACCOUNT = TOKEN.partition(":")[0]


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("SESSIONFSM_TOKEN", raising=False)


def quiet(folder: Path) -> Any:
    """A server on which nobody writes."""
    return serving(folder, "--message-every", "9999")


def texts(process: Process) -> list[str]:
    return [json.loads(line)["text"] for line in process.out.splitlines()]


def fill(path: Path, *bodies: bytes) -> None:
    store = SQLiteStore(path)
    messages = tuple(
        Incoming(key=f"id:{number}", sender="u@im.wechat", body=body) for number, body in enumerate(bodies, start=1)
    )
    store.commit([Batch(account=ACCOUNT, cursor=Secret("c"), messages=messages, received_at=1790000000.0)])
    store.close()


def body(text: str) -> bytes:
    return json.dumps(
        {
            "message_id": 1,
            "from_user_id": "u@im.wechat",
            "message_type": 1,
            "item_list": [{"type": 1, "text_item": {"text": text}}],
            "context_token": "a context token that nobody may see",
        }
    ).encode()


def test_what_a_killed_run_had_not_written_out_the_next_one_writes(tmp_path: Path) -> None:
    """
    kill -9 in the middle of the output: between them the two runs write every message.

    Those that the store had not been told of yet are written twice, no more than may wait for that.
    """
    store = tmp_path / "bot.db"
    fill(store, *(body(f"message {number}") for number in range(400)))
    with quiet(tmp_path) as (_, url):
        arguments = ["run", "--base-url", url, "--token", TOKEN, "--store", str(store)]
        with started(tmp_path, *arguments) as first:
            wait_until(lambda: first.out.count("\n") > 20)
            first.signal(signal.SIGKILL)
            first.wait()
        whole = first.out.rpartition("\n")[0].splitlines()
        with started(tmp_path, *arguments) as second:
            second.wait_for('"message 399"')
            second.signal(signal.SIGTERM)
            assert second.wait() == ExitCode.OK
    written = Counter([json.loads(line)["text"] for line in whole] + texts(second))
    assert set(written) == {f"message {number}" for number in range(400)}
    assert sum(written.values()) <= 400 + _UNMARKED + 1  # and the one that was being written


def test_a_second_run_on_the_account_ends_at_once_and_names_the_first(tmp_path: Path) -> None:
    """In whatever store; and the account is free as soon as the first is killed."""
    with serving(tmp_path) as (_, url), started(tmp_path, "run", "--base-url", url, "--token", TOKEN) as first:
        first.wait_for("serving", err=True)
        with started(
            tmp_path, "run", "--base-url", url, "--token", TOKEN, "--store", str(tmp_path / "other")
        ) as second:
            assert second.wait() == ExitCode.IN_USE
        assert f"account {ACCOUNT} is in use by process {first.popen.pid} (" in second.err
        assert "Traceback" not in second.err
        first.signal(signal.SIGKILL)
        first.wait()
        with started(tmp_path, "run", "--base-url", url, "--token", TOKEN) as third:
            third.wait_for("serving", err=True)
            third.signal(signal.SIGTERM)
            assert third.wait() == ExitCode.OK


@pytest.mark.parametrize("rounds", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_of_two_runs_that_start_at_the_same_moment_exactly_one_polls(tmp_path: Path, rounds: int) -> None:
    """On the server's own log: the requests of one process, while the other one ends with exit code 4."""
    starter = "import sys; sys.stdin.readline(); from sessionfsm.cli import main; sys.exit(main(sys.argv[1:]))"
    with serving(tmp_path, "--hold", "0.2") as (server, url):
        for number in range(rounds):
            token = f"{number:012x}@im.bot:0011"
            arguments = [sys.executable, "-c", starter, "run", "--base-url", url, "--token", token]
            pair = [
                subprocess.Popen(
                    arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
                for _ in range(2)
            ]
            for process in pair:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            wait_until(lambda pair=pair: any(process.poll() is not None for process in pair))
            name = token.partition(":")[0]
            wait_until(lambda name=name: len(requests(server, name, "getupdates")) > 2)
            refused = [process for process in pair if process.poll() is not None]
            assert [process.returncode for process in refused] == [ExitCode.IN_USE]
            (winner,) = (process for process in pair if process not in refused)
            winner.terminate()
            errors = [process.communicate(timeout=20)[1] for process in pair]
            assert winner.returncode == ExitCode.OK
            assert any(f"in use by process {winner.pid} " in error for error in errors)
            assert len(requests(server, name, "notifystart")) == 1
            assert not any("overlap" in line for line in requests(server, name, ""))


def requests(server: Process, account: str, endpoint: str) -> list[str]:
    return [line for line in server.out.splitlines() if account in line and endpoint in line]


def test_a_run_takes_the_stored_login_and_goes_over_to_a_newer_one(tmp_path: Path) -> None:
    """No token on the command line; after another login of the same user it goes on as the new bot."""
    with serving(tmp_path, "--token", "bbb@im.bot:2", "--message-every", "0.2") as (_, url):
        logins = CredentialFolder()
        logins.save(Credentials(token=Secret("aaa@im.bot:1"), base_url=url, user_id="u@im.wechat"))
        with started(tmp_path, "run") as process:
            process.wait_for("trouble", err=True)  # this token is dead
            assert (
                main(["account", "add", "--token", "bbb@im.bot:2", "--base-url", url, "--user-id", "u@im.wechat"]) == 0
            )
            process.wait_for(r"other credentials were found and are used now \(account bbb@im.bot\)", err=True)
            wait_until(lambda: process.out.count("\n") > 2)
            process.signal(signal.SIGTERM)
            assert process.wait() == ExitCode.OK
    assert texts(process)


def test_without_a_token_and_without_a_login_there_is_an_exit_code_for_that(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """5; with several logins one has to be chosen, which is misuse."""
    for arguments in (["run"], ["send", "--to", "u", "hi"], ["run", "--account", ACCOUNT]):
        assert main(arguments) == ExitCode.NO_CREDENTIALS
        assert "account add" in capsys.readouterr().err
    for name in ("a", "b"):
        CredentialFolder().save(Credentials(token=Secret(f"{name}@im.bot:1"), base_url="http://127.0.0.1:9"))
    assert main(["run"]) == ExitCode.MISUSE
    assert "choose one with --account: a@im.bot, b@im.bot" in capsys.readouterr().err
    assert main(["run", "--token", TOKEN, "--account", "a@im.bot"]) == ExitCode.MISUSE
    assert "the token is of account" in capsys.readouterr().err


# --- sessionfsm inbox ------------------------------------------------------------------------------------------------


@pytest.fixture
def inbox(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A store with an open, a parked, a done and a hostile message, and a function that asks about it."""
    path = tmp_path / "bot.db"
    fill(path, body("open"), body("parked"), body("done"), body("\x1b[2J\n" * 30))
    store = SQLiteStore(path)
    store.done([3])
    for attempt in range(1, 6):
        store.failed(2, "ValueError: no\nnewline", park=attempt == 5)
    store.close()

    def ask(*arguments: str, code: int = ExitCode.OK) -> str:
        assert main(["inbox", *arguments, "--store", str(path)]) == code
        captured = capsys.readouterr()
        assert "context token" not in captured.out + captured.err
        return captured.out if code == ExitCode.OK else captured.err

    return ask


def test_inbox_list_says_what_is_open_and_what_failed(inbox: Callable[..., str]) -> None:
    """A line each, in order; what people wrote cannot write to the terminal; the rest on demand."""
    lines = inbox("list").splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["1", "open", ACCOUNT],
        ["2", "parked", ACCOUNT],
        ["4", "open", ACCOUNT],
    ]
    assert lines[1].endswith("parked  [5 failed: ValueError: no newline]")
    assert "\x1b" not in lines[2]
    assert inbox("list", "--state", "done").split()[:2] == ["3", "done"]
    assert inbox("list", "--account", "nobody") == ""
    document = json.loads(inbox("list", "--json", "--limit", "1"))
    assert (document["more"], document["messages"][0]["text"]) == (True, "open")
    assert json.loads(inbox("list", "--json", "--after", "2"))["messages"][0]["number"] == 4


def test_inbox_show_prints_the_whole_message(inbox: Callable[..., str]) -> None:
    """For people, and as JSON; an unknown number is said to be one."""
    shown = inbox("show", "2")
    assert "state        parked" in shown
    assert '"text": "parked"' in shown
    assert "\x1b" not in inbox("show", "4")
    assert json.loads(inbox("show", "2", "--json"))["message"]["from_user_id"] == "u@im.wechat"
    assert "no message 99" in inbox("show", "99", code=ExitCode.FAILED)


def test_without_standard_error_notes_do_not_go_among_the_messages(tmp_path: Path) -> None:
    """`2>&-`: what is not a message is told to nobody, rather than to whoever reads the messages."""
    fill(tmp_path / "bot.db")
    command = f"exec {shlex.quote(sys.executable)} -m sessionfsm inbox list --store bot.db 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, timeout=20)
    assert (done.returncode, done.stdout) == (ExitCode.OK, b"")


def test_inbox_retry_and_drop_do_what_they_say(inbox: Callable[..., str], tmp_path: Path) -> None:
    """Each number that can be dealt with is; the others are errors of their own."""
    assert inbox("retry", "2") == "2 is open again, as 5\n"
    assert "message 3 is done" in inbox("drop", "1", "3", code=ExitCode.FAILED)
    assert "message 4 is open" in inbox("retry", "4", code=ExitCode.FAILED)
    store = SQLiteStore(tmp_path / "bot.db")
    found = {stored.number: stored.state for stored in store.messages()}
    store.close()
    assert found == {1: MessageState.DROPPED, 3: MessageState.DONE, 4: MessageState.OPEN, 5: MessageState.OPEN}


def test_a_running_bot_notices_what_was_opened_again(tmp_path: Path) -> None:
    """Another process opens a done message; the run that is under way writes it out within some seconds."""
    store = tmp_path / "bot.db"
    fill(store, body("again and again"))
    with (
        quiet(tmp_path) as (_, url),
        started(tmp_path, "run", "--base-url", url, "--token", TOKEN, "--store", str(store)) as process,
    ):
        wait_until(lambda: process.out.count("\n") == 1)
        time.sleep(0.2)  # the mark follows the line
        assert main(["inbox", "retry", "1", "--store", str(store)]) == ExitCode.OK
        wait_until(lambda: process.out.count("\n") == 2)
        process.signal(signal.SIGTERM)
        assert process.wait() == ExitCode.OK
    assert texts(process) == ["again and again"] * 2


def test_who_only_looks_makes_no_store_and_touches_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store that is not there, and one that is damaged, are said to be; nothing is made or set aside."""
    missing, broken = tmp_path / "missing.db", tmp_path / "broken.db"
    broken.write_bytes(b"this is no store" * 1000)
    broken.chmod(0o600)
    for path in (missing, broken):
        assert main(["inbox", "list", "--store", str(path)]) == ExitCode.FAILED
        assert str(path) in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["broken.db"]
