"""What the page about seeing a run shows is what happens."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sessionfsm import Session
from sessionfsm.cli import ExitCode, main
from sessionfsm.testing import Bench, run
from tests.diagram.exports import RUN
from tests.examples.pages import commands, snippets

PAGE = "how-to/see-a-run.md"
ROOT = Path(__file__).parent.parent.parent


def test_the_commands_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each draws the run; the demo, which takes half a minute, has been recorded before."""
    shutil.copy(ROOT / "diagrams" / RUN, tmp_path / "run.jsonl")
    monkeypatch.chdir(tmp_path)
    drawn = []
    for command in commands(PAGE):
        program, *arguments = command.split()
        assert program == "sessionfsm"
        if arguments[0] == "trace":
            assert main(arguments) == ExitCode.OK
            drawn += [arguments[-1]] if "--output" in arguments else []
    assert drawn == ["run.html", "path.svg", "timeline.svg", "sequence.svg"]
    assert all((tmp_path / name).stat().st_size > 1000 for name in drawn)


def test_the_snippet_draws_a_session_that_is_alive() -> None:
    (snippet,) = snippets(PAGE, "python")
    names: dict[str, Any] = {}
    exec(snippet, names)

    async def read(session: Session) -> None:
        async for message in session:
            await session.reply(message, "yes")

    async def live() -> None:
        async with Bench(read) as bench:
            bench.push("hello")
            await bench.settle()
            pictures = names["pictures"](bench.session)
            assert sorted(pictures) == ["path.svg", "run.html", "timeline.svg"]
            assert "1 ×" in pictures["path.svg"]
            assert "sends" in pictures["timeline.svg"]

    run(live)
