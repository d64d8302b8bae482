"""Which event loop a command runs on."""

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from sessionfsm.cli import main
from sessionfsm.cli.event_loop import run_loop
from sessionfsm.cli.exit_codes import ExitCode


async def _loop_module(*words: str) -> str:
    import asyncio

    await anyio.lowlevel.checkpoint()
    return " ".join((type(asyncio.get_running_loop()).__module__, *words))


def test_a_command_runs_on_uvloop_where_it_is_installed() -> None:
    """The extra is taken without being asked for, and what is called gets its arguments."""
    pytest.importorskip("uvloop")
    assert run_loop(_loop_module, "a", "b") == "uvloop a b"


def test_without_uvloop_a_command_runs_on_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is one: nothing else changes where it is missing."""
    find = importlib.util.find_spec

    def absent(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "uvloop" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", absent)
    assert run_loop(_loop_module).startswith("asyncio.")


@pytest.mark.parametrize("command", [["run", "--token", "a@im.bot:0"], ["run", "--all"], ["server"]], ids=" ".join)
def test_every_command_that_runs_for_long_runs_on_it(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One account, all accounts, and the fake server: all of them take uvloop where it is installed."""
    pytest.importorskip("uvloop")
    asked: list[object] = []
    monkeypatch.setattr(anyio, "run", lambda _function, *_args, **options: asked.append(options) or ExitCode.OK)
    where = [] if command == ["server"] else ["--store", str(tmp_path / "store.db")]
    assert main([*command, *where]) == 0
    assert asked == [{"backend": "asyncio", "backend_options": {"use_uvloop": True}}]
