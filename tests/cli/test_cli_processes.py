"""The commands as processes: real sockets, real signals, real pipes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from sessionfsm import check_trace

from .process import DEADLINE_S, ENVIRONMENT, TOKEN, serving, started, wait_until

KEYS = {
    "recoveries",
    "longest_recovery_s",
    "delivered",
    "lost",
    "handled_twice",
    "sends_ok",
    "sends_failed",
    "longest_silence_s",
    "violations",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module", autouse=True)
def demos(folder: Path) -> Iterator[dict[str, Future[tuple[int, str]]]]:
    """The demos take their time, so they run beside the other tests."""
    with ThreadPoolExecutor() as pool:
        yield {
            "json": pool.submit(
                _finished_demo, folder, "--json", "--duration", "14", "--trace", str(folder / "demo.jsonl")
            ),
            "terminal": pool.submit(_demo_in_a_terminal, 4.5),
            "interrupted": pool.submit(_interrupted_demo, folder),
        }


def _finished_demo(folder: Path, *arguments: str) -> tuple[int, str]:
    with started(folder, "demo", *arguments) as process:
        return process.popen.wait(DEADLINE_S + 20), process.out


def _interrupted_demo(folder: Path) -> tuple[int, str]:
    with started(folder, "demo", "--duration", "30", "--seed", "1") as process:
        process.wait_for("backoff for ")
        process.signal(signal.SIGINT)
        return process.wait(), process.out


def _demo_in_a_terminal(duration_s: float) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-m", "sessionfsm", "demo", "--duration", str(duration_s)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=ENVIRONMENT | {"TERM": "xterm-256color"},
    ) as popen:
        os.close(theirs)
        try:
            while data := _read(ours):
                shown += data
            return popen.wait(DEADLINE_S), shown.decode()
        finally:
            os.close(ours)
            if popen.poll() is None:
                popen.kill()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux: the other end is closed
        return b""


# --- run ---------------------------------------------------------------------------------------------------------


def _run(folder: Path, url: str, *arguments: str, **variables: str):  # type: ignore[no-untyped-def]
    return started(folder, "run", "--base-url", url, *arguments, **({"SESSIONFSM_TOKEN": TOKEN} | variables))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_writes_messages_and_stops_in_order(folder: Path, number: signal.Signals) -> None:
    """Messages come as JSON lines; a signal ends with code 0, after ``notifystop``; no log shows the token."""
    with serving(folder, "--message-every", "0.1") as (server, url), _run(folder, url, "-v") as run:
        run.wait_for(r"(.*\n){2}")
        run.signal(number)
        assert run.wait() == 0
        first = json.loads(run.out.splitlines()[0])
        server.wait_for("notifystop .* ok")
    assert first["text"].startswith("message ")
    assert set(first) == {"message_id", "from", "text", "create_time_ms", "type", "message"}
    assert "serving 0a1b2c3d4e5f@im.bot at http://127.0.0.1" in run.err
    assert TOKEN.partition(":")[2] not in run.out + run.err + server.out


def test_a_closed_stdout_stops_run_in_order(folder: Path) -> None:
    """``run | head -1`` ends with code 0, without a traceback, and the server is told goodbye."""
    read_end, write_end = os.pipe()
    with serving(folder, "--message-every", "0.1") as (server, url):
        with started(folder, "run", "--base-url", url, "--token", TOKEN, stdout=write_end) as run:
            os.close(write_end)
            with os.fdopen(read_end, "rb") as reader:
                assert reader.readline().startswith(b"{")
            assert run.wait() == 0
        server.wait_for("notifystop .* ok")
    assert "standard output was closed: stopping" in run.err
    assert "Traceback" not in run.err
    assert "BrokenPipe" not in run.err


def test_a_full_disk_fails_run(folder: Path) -> None:
    """A line that cannot be written for any other reason is a failure, in words."""
    with (
        serving(folder, "--message-every", "0.1") as (_, url),
        open("/dev/full", "wb") as full,
        started(folder, "run", "--base-url", url, "--token", TOKEN, stdout=full.fileno()) as run,
    ):
        assert run.wait() == 1
    assert "standard output cannot be written: No space left on device" in run.err


def test_a_reader_that_does_not_read_stops_no_poll_and_a_second_signal_ends_at_once(folder: Path) -> None:
    """Polling goes on while a line cannot be written; that line is waited for, until a second signal says enough."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    with (
        serving(folder, "--message-every", "0.02") as (server, url),
        started(folder, "run", "--base-url", url, "--token", TOKEN, stdout=write_end) as run,
    ):
        os.close(write_end)
        wait_until(lambda: server.out.count("getupdates") > 60)
        assert server.out.count("getupdates") > 60  # the pipe was full after a few
        run.signal(signal.SIGTERM)
        run.wait_for("a second signal ends at once", err=True)
        run.signal(signal.SIGTERM)
        assert run.wait() == 128 + signal.SIGTERM
    os.close(read_end)


def test_run_says_both_edges_of_trouble(folder: Path) -> None:
    """A server that is down at the start is tried again and again; that is said once, and so is the end of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with _run(folder, f"http://127.0.0.1:{port}") as run:
        run.wait_for("WARNING .*trouble: .*no connection", err=True)
        with serving(folder, "--port", port, "--message-every", "0.2"):
            run.wait_for("WARNING .*trouble over", err=True)
            run.signal(signal.SIGINT)
            assert run.wait() == 0
    assert run.err.count("trouble: ") == 1


# --- send --------------------------------------------------------------------------------------------------------


def test_send(folder: Path) -> None:
    """A text is sent and its id printed; a long one goes in pieces; a lost session is one line and code 1."""
    with serving(folder, "--token", TOKEN, "--message-every", "0") as (server, url):
        arguments = ("send", "--base-url", url, "--to", "ada@im.wechat")
        with started(folder, *arguments, "hello", SESSIONFSM_TOKEN=TOKEN) as short:
            assert short.wait() == 0
        with started(folder, *arguments, "--json", "x" * 4001, SESSIONFSM_TOKEN=TOKEN) as long:
            assert long.wait() == 0
        with started(folder, *arguments, "hello", "--token", "unknown") as lost:
            assert lost.wait() == 1
        server.wait_for("sendmessage .* -14")
    assert short.out.startswith("sent 7498")
    assert [one["confirmed"] for one in json.loads(long.out)["sent"]] == [True, True, True]
    assert lost.out == ""
    assert lost.err.startswith("sessionfsm: error: sendmessage: the session is lost (-14")
    assert lost.err.count("\n") == 1


def test_a_success_without_an_id_is_undecided(folder: Path) -> None:
    """The server said yes and gave no id: nobody knows whether it was delivered, and the exit code says so."""
    faults = folder / "no-id.toml"
    faults.write_text('[[fault]]\nkind = "body"\nendpoint = "sendmessage"\nbody = "{}"\n')
    with serving(folder, "--faults", str(faults)) as (server, url):
        server.wait_for("FAULT")
        with started(folder, "send", "--base-url", url, "--to", "u", "--token", TOKEN, "hello") as process:
            assert process.wait() == 3
    assert process.out == "unconfirmed\n"


def test_send_sends_every_piece_whatever_becomes_of_its_lines(folder: Path) -> None:
    """A full disk is code 1 and one line, a closed pipe keeps the code of the pieces; both after all were sent."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with serving(folder, "--token", TOKEN, "--message-every", "0") as (server, url), open("/dev/full", "wb") as full:
        arguments = ("send", "--base-url", url, "--to", "ada@im.wechat", "--token")
        with started(folder, *arguments, TOKEN, "x" * 8001, stdout=full.fileno()) as on_full_disk:
            assert on_full_disk.wait() == 1
        wait_until(lambda: len(re.findall("sendmessage .* ok", server.out)) == 5)
        assert len(re.findall("sendmessage .* ok", server.out)) == 5
        with started(folder, *arguments, TOKEN, "x" * 8001, stdout=write_end) as unread:
            assert unread.wait() == 0
        wait_until(lambda: len(re.findall("sendmessage .* ok", server.out)) == 10)
        assert len(re.findall("sendmessage .* ok", server.out)) == 10
        with started(folder, *arguments, "unknown", "hello", stdout=write_end) as lost:
            assert lost.wait() == 1
    os.close(write_end)
    assert on_full_disk.err == "sessionfsm: error: standard output cannot be written: No space left on device\n"
    assert unread.err == ""


def test_send_interrupted_does_not_know(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with started(folder, "send", "--base-url", url, "--to", "u", "--token", TOKEN, "hi") as process:
            connection, _ = silent.accept()
            process.signal(signal.SIGINT)
            assert process.wait() == 130
            connection.close()
    assert process.err == "sessionfsm: error: interrupted; it is not known whether it was sent\n"


# --- server ------------------------------------------------------------------------------------------------------


def test_the_server_speaks_json_and_stops_in_order(folder: Path) -> None:
    """With ``--json`` each line is an object, faults included; a signal ends it with code 0."""
    faults = folder / "faults.toml"
    faults.write_text('[[fault]]\nkind = "expire"\nat_s = 0.1\n')
    with serving(folder, "--json", "--faults", str(faults)) as (server, url):
        server.wait_for('"event": "fault"')
        with started(folder, "send", "--base-url", url, "--to", "u", "--token", TOKEN, "hi") as process:
            assert process.wait() == 0
        server.wait_for('"event": "request"')
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    events = [json.loads(line) for line in server.out.splitlines()]
    assert events[0] == {"event": "listening", "url": url}
    assert {event["event"] for event in events[1:]} == {"fault", "request"}


def test_the_first_line_of_the_server_is_its_address(folder: Path) -> None:
    with serving(folder, "--duration", "0.2") as (server, url):
        assert server.wait() == 0
    assert server.out.splitlines()[0] == f"listening on {url}"


def test_a_port_in_use_is_misuse(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started(folder, "server", "--port", str(port)) as server:
            assert server.wait() == 2
    assert server.err == (
        f"sessionfsm: error: port {port} is in use; choose another one, or --port 0 for any that is free\n"
    )
    assert server.out == ""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["server", "--duration", "5"], ["demo", "--plain"]],
    ids=["help", "version", "server", "demo"],
)
def test_output_that_cannot_be_written_is_a_failure(folder: Path, arguments: list[str]) -> None:
    """Whatever the command: code 1 and one line."""
    with open("/dev/full", "wb") as full, started(folder, *arguments, stdout=full.fileno()) as process:
        assert process.wait() == 1
    assert process.err == "sessionfsm: error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    "command", [["demo"], ["run", "--token", TOKEN, "--base-url", "http://127.0.0.1:9"], ["server"]]
)
def test_a_signal_while_it_starts_ends_in_order(command: list[str]) -> None:
    """A signal that comes while modules are imported is not lost, and shows no traceback."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from sessionfsm.cli import main;"
        "sys.meta_path.insert(0, type('Finder', (), {'find_spec': staticmethod(lambda name, *_:"
        " signal.raise_signal(signal.SIGINT) if name == sys.argv[1] else None)}));"
        "sys.exit(main(sys.argv[2:]))"
    )
    for module in ("sessionfsm.cli.commands", "anyio"):
        done = subprocess.run(
            [sys.executable, "-c", code, module, *command], capture_output=True, text=True, env=ENVIRONMENT, timeout=20
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_help_into_a_closed_pipe_is_quiet(folder: Path) -> None:
    """``sessionfsm --help | true`` prints no traceback."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with started(folder, "--help", stdout=write_end) as process:
        os.close(write_end)
        assert process.wait() == 0
    assert process.err == ""


def test_a_report_that_is_not_read_to_its_end_is_no_failure() -> None:
    """``sessionfsm verify | head`` says nothing more, and shows no error."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        arguments = [sys.executable, "-u", "-m", "sessionfsm", "verify", "--limit", "50"]
        done = subprocess.run(arguments, stdout=writing, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=DEADLINE_S)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


# --- demo --------------------------------------------------------------------------------------------------------


def test_an_interrupted_demo_sums_up(demos: dict[str, Future[tuple[int, str]]]) -> None:
    """Ctrl-C in the middle of trouble: what was received is answered, and the summary says that it ended early."""
    code, out = demos["interrupted"].result(DEADLINE_S)
    assert "ended early" in out
    assert " 0 lost, 0 handled twice" in out
    assert out.endswith("nothing was lost, no property is broken\n")
    assert code == 0


def test_a_demo_that_nobody_reads_any_more_ends(folder: Path) -> None:
    """``demo --plain | head -1`` ends before anything went wrong, in order and without a traceback."""
    read_end, write_end = os.pipe()
    with started(folder, "demo", "--plain", stdout=write_end) as process:
        os.close(write_end)
        with os.fdopen(read_end, "rb") as reader:
            assert reader.readline().startswith(b"sessionfsm demo")
        assert process.wait() == 0
    assert process.err == ""


@pytest.mark.parametrize("arguments", [["--plain"], ["--json", "--duration", "4.5"]], ids=["plain", "json"])
def test_one_signal_ends_a_demo_whose_reader_does_not_read(folder: Path, arguments: list[str]) -> None:
    """The pipe is full: the signal is obeyed all the same, and the code says that the end was not written."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(write_end, b"x" * 512):
            pass
    os.set_blocking(write_end, True)
    with started(folder, "demo", *arguments, stdout=write_end) as process:
        threads = Path(f"/proc/{process.popen.pid}/task")
        wait_until(lambda: len(list(threads.iterdir())) > 1)  # the demo has begun, and writes
        time.sleep(1)
        process.signal(signal.SIGTERM)
        assert process.wait() == 1
    os.close(read_end)
    os.close(write_end)
    assert process.err == "sessionfsm: error: nobody read standard output: the end of it was not written\n"


def test_the_live_view(demos: dict[str, Future[tuple[int, str]]]) -> None:
    """In a terminal the view is drawn on the second screen, which is left before the summary."""
    code, shown = demos["terminal"].result(DEADLINE_S)
    view, left, summary = shown.partition("\x1b[?1049l")
    assert "\x1b[?1049h" in view
    assert left
    assert "ACTIVE" in view
    assert "what goes wrong" in view
    assert "nothing was lost, no property is broken" in summary
    assert code == 0


def test_the_demo_loses_nothing_and_breaks_nothing(folder: Path, demos: dict[str, Future[tuple[int, str]]]) -> None:
    """One JSON object: everything was delivered once, every fault was recovered from, the rest is named; the trace is
    of all of it."""
    code, out = demos["json"].result(DEADLINE_S + 20)
    figures = json.loads(out)
    assert code == 0
    assert set(figures) == KEYS | {"faults", "left_out", "duration_s", "states"}
    assert figures["lost"] == figures["handled_twice"] == 0
    assert figures["violations"] == []
    assert figures["delivered"] > 10
    assert figures["sends_ok"] > 5
    assert figures["recoveries"] == len(figures["faults"]) >= 3
    assert all(fault["recovered_after_s"] is not None for fault in figures["faults"])
    assert "takeover" in figures["left_out"]
    assert figures["duration_s"] < 15
    report = check_trace(folder / "demo.jsonl")
    assert report.verdict == "clean"
    assert report.runs[0].losses >= 1
