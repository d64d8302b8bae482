"""The page about many accounts: its code answers the users of all of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import sessionfsm
from sessionfsm.cli.commands import build_parser
from sessionfsm.secret import Secret
from sessionfsm.session.fleet import _LOADING, _STARTING
from sessionfsm.session.following import _LONGEST_LOOK_S, LOOK_S
from sessionfsm.session.limiter import RENEWALS_PER_S
from sessionfsm.store import CredentialFolder, Credentials
from sessionfsm.testing import FakeServer
from tests.examples.pages import snippets, text

SCRIPT, FOLLOW, READY = snippets("how-to/many-accounts.md", "python")
URL = "http://127.0.0.1:8765"
DEADLINE_S = 20.0


def names_of(snippet: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "a_page"}
    exec(compile(snippet, "a page", "exec"), names)
    return names


async def until(is_so: Callable[[], bool]) -> None:
    with anyio.move_on_after(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110 - another process sets no event
            await anyio.sleep(0.02)
    assert is_so()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_script_answers_the_users_of_three_accounts(tmp_path: Path) -> None:
    """Pasted into a file it runs, and each answer is of the account that was written to."""
    server = FakeServer()
    accounts = [server.account(f"demo-{number}") for number in (1, 2, 3)]
    async with server.listen() as listening:
        for account in accounts:
            account.push("hello")
        script = tmp_path / "script.py"
        assert URL in SCRIPT
        script.write_text(SCRIPT.replace(URL, listening.url), encoding="utf-8")
        async with await anyio.open_process([sys.executable, str(script)], stderr=subprocess.STDOUT) as process:
            try:
                await until(lambda: all(account.sent for account in accounts))
            finally:
                process.kill()
    assert [account.sent[0].text for account in accounts] == [f"{account.name} heard: hello" for account in accounts]


@pytest.mark.anyio
async def test_stored_logins_are_served_and_the_readiness_check_is_green(tmp_path: Path) -> None:
    """A login that is saved while it runs is answered too; what the check says is the status, as plain data."""
    server = FakeServer(hold_s=0.5)
    folder = CredentialFolder(tmp_path / "credentials")
    managers: list[sessionfsm.SessionManager] = []
    check = names_of(READY)["ready"]

    class Manager(sessionfsm.SessionManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            managers.append(self)

    async def handler(session: sessionfsm.Session, message: sessionfsm.Message) -> None:
        await session.reply(message, "yes")

    names = names_of(FOLLOW)
    names["sessionfsm"] = type("module", (), {"SessionManager": Manager, "SQLiteStore": sessionfsm.SQLiteStore})
    async with server.listen() as listening, anyio.create_task_group() as group:
        for number in (1, 2):
            folder.save(Credentials(token=Secret(f"demo-{number}"), base_url=listening.url))
        group.start_soon(names["serve"], handler, tmp_path / "credentials", tmp_path / "bots.db")
        await until(lambda: bool(managers) and check(managers[0])[0] == 200 and managers[0].status().accounts == 2)
        server.account("demo-2").push()
        await until(lambda: len(server.account("demo-2").sent) == 1)
        folder.save(Credentials(token=Secret("demo-3"), base_url=listening.url))
        server.account("demo-3").push()
        await until(lambda: len(server.account("demo-3").sent) == 1)
        code, why = check(managers[0])
        assert (code, why["accounts"]) == (200, 3)
        await managers[0].stop()


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    """The rate, the bound that follows from it, how often is looked, how many begin at once, the handler's limit."""
    page = text("how-to/many-accounts.md")
    policy = sessionfsm.Policy()
    assert f"at most {RENEWALS_PER_S:g} in a second for each host" in page
    assert f"which makes {policy.silence_bound_s:g} s + {10_000 / RENEWALS_PER_S:g} s for ten thousand" in page
    assert f"every {LOOK_S:g} s, and less often, at most {_LONGEST_LOOK_S:g} s apart" in page
    assert f"come to the line {_STARTING} at a time" in page
    assert f"; {_LOADING} of them at a time read what the store has" in page
    assert f"has its {policy.renewal_deadline_s:g} s from" in page
    assert f"there are {policy.notifystop_deadline_s:g} s for them" in page
    for cure in sessionfsm.Cure:
        assert f"| `{cure}` |" in page


def test_what_the_page_calls_is_there() -> None:
    """Every method that it names, and the option of the command line."""
    page = text("how-to/many-accounts.md")
    names = "add remove replace wake session stop down status health healths wait_started freeze deliver"
    for name in names.split(" "):
        assert f"manager.{name}(" in page or f"`{name}`" in page
        assert callable(getattr(sessionfsm.SessionManager, name))
    assert build_parser().parse_known_args(["run", "--all"])[0].all is True
