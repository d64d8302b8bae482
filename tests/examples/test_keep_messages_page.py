"""The examples of "Keep messages on disk", pasted as they stand, against a running fake server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sessionfsm import MessageState, SQLiteStore
from tests.cli.process import serving, wait_until

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
    with serving(tmp_path, "--message-every", "0.2", "--hold", "2") as (_, url):
        (tmp_path / "bot.py").write_text(snippet.replace("http://127.0.0.1:8765", url), encoding="utf-8")
        with subprocess.Popen([sys.executable, "bot.py"], cwd=tmp_path, stdout=subprocess.DEVNULL) as bot:
            try:
                wait_until(lambda: len(handled(tmp_path / "bot.db")) >= accounts or bot.poll() is not None)
            finally:
                bot.kill()
    assert len(handled(tmp_path / "bot.db")) == accounts


def handled(file: Path) -> set[str]:
    """Return the accounts of which the store has a message that is done."""
    if not file.exists():
        return set()
    store = SQLiteStore(file)
    try:
        return {stored.account for stored in store.messages(states=[MessageState.DONE])}
    finally:
        store.close()
