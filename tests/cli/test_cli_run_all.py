"""``run --all`` as a process: every stored account, each message with its account, and an end in order."""

from __future__ import annotations

import array
import fcntl
import json
import os
import signal
import termios
from pathlib import Path

import pytest

from sessionfsm.cli import main
from sessionfsm.secret import Secret
from sessionfsm.store import CredentialFolder, Credentials

from .process import serving, started, wait_until

SECRET = "00112233445566778899aabbccddeeff"
ACCOUNTS = [f"{number:012x}@im.bot" for number in range(3)]


def keep(folder: Path, url: str, *accounts: str) -> CredentialFolder:
    kept = CredentialFolder(folder / "credentials")
    for account in accounts:
        kept.save(Credentials(token=Secret(f"{account}:{SECRET}"), base_url=url))
    return kept


def run_all(folder: Path, *arguments: str, **more: object):  # type: ignore[no-untyped-def]
    where = ["--credentials", str(folder / "credentials"), "--store", str(folder / "bots.db")]
    return started(folder, "run", "--all", *where, *arguments, **more)  # type: ignore[arg-type]


def lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines(keepends=True) if line.endswith("\n")]


def test_all_accounts_are_served_and_those_that_come_and_go(tmp_path: Path) -> None:
    """Each line says whose it is; a login that is added is served, one that is removed is not; the end is in order."""
    with serving(tmp_path, "--message-every", "0.2") as (server, url):
        kept = keep(tmp_path, url, *ACCOUNTS[:2])
        with run_all(tmp_path, SESSIONFSM_TOKEN="not:used") as run:
            wait_until(lambda: {line["account"] for line in lines(run.out)} == set(ACCOUNTS[:2]))
            run.wait_for("2 of 2 accounts have a session", err=True)
            keep(tmp_path, url, ACCOUNTS[2])
            kept.remove(ACCOUNTS[0])
            wait_until(lambda: {line["account"] for line in lines(run.out)} == set(ACCOUNTS))
            run.wait_for(f"{ACCOUNTS[0]}: its credentials are gone: stopping it", err=True)
            server.wait_for("notifystop .* ok")
            run.signal(signal.SIGINT)
            assert run.wait() == 0
        wait_until(lambda: server.out.count("notifystop") == 3)
        assert server.out.count("notifystop") == 3
    first = lines(run.out)[0]
    assert list(first) == ["account", "message_id", "from", "text", "create_time_ms", "type", "message"]
    assert "SESSIONFSM_TOKEN is not used" in run.err
    assert "serving 2 accounts" in run.err
    assert run.err.rstrip().endswith("stopped")


def test_one_of_two_is_locked_and_the_other_is_served(tmp_path: Path) -> None:
    """The one that another process has is named, and taken over when that process has ended."""
    with serving(tmp_path, "--message-every", "0.2") as (_, url):
        keep(tmp_path, url, *ACCOUNTS[:2])
        credentials = ["--credentials", str(tmp_path / "credentials"), "--account", ACCOUNTS[0]]
        with started(tmp_path, "run", *credentials, "--store", str(tmp_path / "other.db")) as other:
            other.wait_for("text")
            with run_all(tmp_path) as run:
                run.wait_for("1 of 2 accounts have a session", err=True)
                run.wait_for(f"account {ACCOUNTS[0]} is in use by process {other.popen.pid}", err=True)
                wait_until(lambda: bool(lines(run.out)))
                assert {line["account"] for line in lines(run.out)} == {ACCOUNTS[1]}
                other.signal(signal.SIGTERM)
                assert other.wait() == 0
                wait_until(lambda: ACCOUNTS[0] in {line["account"] for line in lines(run.out)})
                assert ACCOUNTS[0] in {line["account"] for line in lines(run.out)}
                run.signal(signal.SIGTERM)
                assert run.wait() == 0


def test_a_second_one_on_the_same_accounts_ends_with_code_4(tmp_path: Path) -> None:
    """If all are taken, it was started twice; it names the process that has them."""
    with serving(tmp_path, "--message-every", "0.2") as (_, url):
        keep(tmp_path, url, *ACCOUNTS)
        with run_all(tmp_path) as first:
            first.wait_for("3 of 3 accounts have a session", err=True)
            with run_all(tmp_path) as second:
                assert second.wait() == 4
            assert f"is in use by process {first.popen.pid}" in second.err.splitlines()[-1]
            first.signal(signal.SIGINT)
            assert first.wait() == 0


def test_no_accounts_are_an_error_with_a_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is empty, or is not there, is most likely the wrong one."""
    assert main(["run", "--all", "--credentials", str(tmp_path / "nowhere"), "--store", str(tmp_path / "b.db")]) == 5
    words = f"no credentials are stored in {tmp_path / 'nowhere'}; 'sessionfsm account add' stores them"
    assert words in capsys.readouterr().err
    (tmp_path / "open").mkdir(mode=0o755)
    os.chmod(tmp_path / "open", 0o755)
    assert main(["run", "--all", "--credentials", str(tmp_path / "open"), "--store", str(tmp_path / "b.db")]) == 1
    assert "chmod 700" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--token", "x:y"), ("--token-file", "x"), ("--base-url", "x"), ("--account", "x"), ("--trace", "x")],
)
def test_what_is_for_one_account_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is passed over in silence; the line says why, and shows no value."""
    assert main(["run", "--all", option, value]) == 2
    err = capsys.readouterr().err
    assert f"--all and {option} do not go together: " in err
    assert "x:y" not in err


def test_a_closed_stdout_stops_all_in_order(tmp_path: Path) -> None:
    """``run --all | head -1`` ends soon, with code 0; lines that could not be written are not done."""
    read_end, write_end = os.pipe()
    with serving(tmp_path, "--message-every", "0.1") as (server, url):
        keep(tmp_path, url, *ACCOUNTS)
        with run_all(tmp_path, stdout=write_end) as run:
            os.close(write_end)
            with os.fdopen(read_end, "rb") as reader:
                assert reader.readline().startswith(b'{"account":')
            assert run.wait() == 0
        wait_until(lambda: server.out.count("notifystop") == 3)
    assert "standard output was closed: stopping" in run.err
    assert "did not end in time" not in run.err
    assert "Traceback" not in run.err


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """A reader that does not read keeps the drain waiting; a second Ctrl-C is not kept."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    with serving(tmp_path, "--message-every", "0.02") as (server, url):
        keep(tmp_path, url, *ACCOUNTS)
        with run_all(tmp_path, stdout=write_end) as run:
            os.close(write_end)
            run.wait_for("3 of 3 accounts have a session", err=True)
            wait_until(lambda: _waiting(read_end) > 3000)
            polls = server.out.count("getupdates")
            # A line has more than 20 bytes: with that many messages more, one of them waits for room.
            wait_until(lambda: server.out.count("getupdates") > polls + 100)
            run.signal(signal.SIGINT)
            run.wait_for("a second signal ends at once", err=True)
            run.signal(signal.SIGINT)
            assert run.wait() == 130
    os.close(read_end)


def _waiting(read_end: int) -> int:
    """How many bytes nobody has read."""
    waiting = array.array("i", [0])
    fcntl.ioctl(read_end, termios.FIONREAD, waiting)
    return waiting[0]
