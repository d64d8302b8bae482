"""The examples of "Keep messages on disk", pasted as they stand, against a running fake server."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sessionfsm import MessageState, SQLiteStore

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "keep-messages.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
TWO = '\n\nanyio.run(main, ["aaaaaaaaaaaa@im.bot:1", "bbbbbbbbbbbb@im.bot:2"])\n'


@pytest.mark.parametrize(
    ("snippet", "accounts"),
    [(SNIPPETS[0], 1), (SNIPPETS[1] + TWO, 2)],
    ids=["one session", "two sessions that share a store"],
)
def test_an_example_handles_messages_and_its_store_knows(snippet: str, accounts: int, tmp_path: Path) -> None:
    """After a kill -9 the store has what was handled, of each account, and nobody is left to wait for."""
    server = subprocess.Popen(
        [sys.executable, "-m", "sessionfsm", "server", "--message-every", "0.2", "--hold", "2"],
        stdout=subprocess.PIPE,
        text=True,
    )
    bot = None
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        (tmp_path / "bot.py").write_text(snippet.replace("http://127.0.0.1:8765", url), encoding="utf-8")
        bot = subprocess.Popen([sys.executable, "bot.py"], cwd=tmp_path, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 20
        found: set[str] = set()
        while len(found) < accounts and time.monotonic() < end and bot.poll() is None:
            time.sleep(0.2)
            if (tmp_path / "bot.db").exists():
                store = SQLiteStore(tmp_path / "bot.db")
                found = {stored.account for stored in store.messages(states=[MessageState.DONE])}
                store.close()
        assert len(found) == accounts
    finally:
        for process in (bot, server):
            if process is not None:
                process.kill()
                process.wait(timeout=10)
        if server.stdout is not None:
            server.stdout.close()
