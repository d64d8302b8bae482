"""
The tutorial, walked through as a newcomer does: its files, its commands, and what it says that one sees.

Only the port is another one, users write more often, and faults come sooner.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest

import sessionfsm
from sessionfsm.testing import FakeServer, load_faults, run
from tests.examples.pages import commands, snippets

PAGE = "tutorial/first-session.md"
BOT, TESTS = snippets(PAGE, "python")
EXPIRE, TAKEOVER = snippets(PAGE, "toml")
SETUP, SERVE, RUN, SERVE_WITH_FAULTS, RUN_AGAIN, TEST = commands(PAGE)
DEADLINE_S = 30.0

assert SETUP == "make setup"  # whoever runs this test has typed it


class Terminal:
    """A command of the page that runs, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path) -> None:
        self.process = process
        self._said = said

    @property
    def said(self) -> str:
        return self._said.read_text(encoding="utf-8")

    def wait_for(self, what: str) -> str:
        """Wait until it has said something that the expression *what* matches; return that."""
        self._wait_until(lambda: re.search(what, self.said) is not None, what)
        found = re.search(what, self.said)
        assert found is not None
        return found[0]

    def wait_for_lines(self, lines: str) -> None:
        """Wait until it has said these lines in this order, with others at most between them."""
        self._wait_until(lambda: _in_order(lines, self.said), lines)

    def _wait_until(self, happened: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not happened():
            assert self.process.poll() is None, f"it has ended:\n{self.said}"
            assert time.monotonic() < end, f"it never said\n{what}\nbut\n{self.said}"
            time.sleep(0.02)


def _in_order(lines: str, said: str) -> bool:
    left = iter(said.splitlines())
    return all(line in left for line in lines.splitlines())


@contextmanager
def typed(command: str, folder: Path, *more: str) -> Iterator[Terminal]:
    """Run a command of the page in *folder*, and end it by Ctrl-C."""
    program, *arguments = command.split()
    known = {
        ".venv/bin/python": [sys.executable],
        ".venv/bin/sessionfsm": [sys.executable, "-m", "sessionfsm"],
    }
    said = folder / f"said-{time.monotonic_ns()}"
    with (
        said.open("wb") as file,
        subprocess.Popen(
            [*known[program], *arguments, *more],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            # Whoever runs the tests in the background has SIGINT ignored, and a child would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process,
    ):
        try:
            yield Terminal(process, said)
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE_S) == 0
        finally:
            if process.poll() is None:
                process.kill()


@contextmanager
def served(command: str, folder: Path) -> Iterator[tuple[Terminal, Terminal]]:
    """Run a server by *command*, and the bot of the page against it; hand out server and bot."""
    assert "--port 8765" in command
    assert "http://127.0.0.1:8765" in BOT
    free = command.replace("--port 8765", "--port 0")
    with typed(free, folder, "--message-every", "0.2") as server:
        url = server.wait_for(r"http://127\.0\.0\.1:\d+")
        (folder / "bot.py").write_text(BOT.replace("http://127.0.0.1:8765", url), encoding="utf-8")
        with typed(RUN, folder) as bot:
            yield server, bot


def shown(*having: str) -> str:
    """Return what the page shows of the output that has these words."""
    (block,) = [block for block in snippets(PAGE, "text") if all(words in block for words in having)]
    return block


def sooner(fault: str) -> str:
    """Return a fault of the page at several moments: on a slow machine the bot has not polled yet at the first."""
    entries = [re.sub(r"at_s = \d+", f"at_s = {at_s}", fault) for at_s in (2, 5, 10, 20)]
    assert entries[0] != fault
    return "\n".join(entries)


def test_a_bot_answers(tmp_path: Path) -> None:
    """Steps 2 and 3: what one sees is on the page, and Ctrl-C ends both without a traceback."""
    with served(SERVE, tmp_path) as (server, bot):
        assert server.said.startswith("listening on http://127.0.0.1:")
        bot.wait_for_lines(re.sub("user@.*\n", "", shown("wrote: message 1")))
        bot.wait_for(r"user@im\.wechat wrote: message \d+\n")
        server.wait_for(r"notifystart +t-2a97516c354b6884 +ok")
        server.wait_for(r"getupdates +t-2a97516c354b6884 +1 message")
        server.wait_for(r"sendmessage +t-2a97516c354b6884 +ok")


def test_a_lost_session_comes_back_at_once(tmp_path: Path) -> None:
    """Step 4: after -14 the session is renewed, and messages are answered again."""
    assert RUN_AGAIN == RUN
    (tmp_path / "faults.toml").write_text(sooner(EXPIRE), encoding="utf-8")
    with served(SERVE_WITH_FAULTS, tmp_path) as (server, bot):
        bot.wait_for_lines(shown("active → recovering"))
        server.wait_for(r"FAULT +-14, cured by notifystart\n.* getupdates .* -14, .*\n.* notifystart .* ok, ")
        bot.wait_for("trouble: getupdates: the session is lost .-14: session timeout.; renewing it at once")
        bot.wait_for(r"trouble over: polling again after [\d.]+ s(.*\n)+user@im.wechat wrote: ")


def test_a_denied_session_waits(tmp_path: Path) -> None:
    """Step 5: a session that is denied though it was renewed waits, and renews again."""
    (tmp_path / "faults.toml").write_text(sooner(TAKEOVER), encoding="utf-8")
    with served(SERVE_WITH_FAULTS, tmp_path) as (server, bot):
        bot.wait_for_lines(shown("backoff → recovering"))
        server.wait_for("FAULT +taken over: -14, and notifystart does not help for 20 s")


def test_what_the_page_says_is_logged(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Steps 4 and 5 in one, with the faults of the page at their own times: which lines go to standard error."""
    (tmp_path / "faults.toml").write_text(f"{EXPIRE}\n{TAKEOVER}", encoding="utf-8")
    schedule = load_faults(tmp_path / "faults.toml")
    server = FakeServer()

    async def story() -> None:
        async with (
            httpx.AsyncClient(transport=server.transport()) as http,
            sessionfsm.Session(token="demo", base_url="http://127.0.0.1:8765", http=http) as session,
            anyio.create_task_group() as group,
        ):
            group.start_soon(server.play, schedule)
            for _ in range(24):
                await anyio.sleep(5)
                server.account("demo").push("hello")
            assert session.health().ready

    with caplog.at_level("WARNING", logger="sessionfsm"):
        run(story)
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert _in_order(shown("trouble over"), logged)
    assert _in_order(shown("login_required"), logged)
    assert "login_required is over" in logged


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    """Step 6, as it is typed."""
    (tmp_path / "test_bot.py").write_text(TESTS, encoding="utf-8")
    program, *arguments = TEST.split()
    assert program == ".venv/bin/python"
    done = subprocess.run([sys.executable, *arguments, "-q"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
