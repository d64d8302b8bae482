"""What the pages about traces say is what the program does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from sessionfsm import check_trace
from sessionfsm.testing import BENCH_TOKEN, FakeServer
from sessionfsm.testing.bench import BENCH_URL
from sessionfsm.trace import VERSION, lines
from tests.cli.test_cli_trace import BROKEN, CLEAN

DOCS = Path(__file__).parents[2] / "docs"
HOW_TO = (DOCS / "how-to" / "record-and-check-a-run.md").read_text(encoding="utf-8")
FORMAT = (DOCS / "reference" / "trace-format.md").read_text(encoding="utf-8")


@pytest.mark.anyio
async def test_the_snippets_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bot that records itself, the check of its trace, and a bot that is watched live."""
    monkeypatch.chdir(tmp_path)
    record, check, live = re.findall(r"```python\n(.*?)```", HOW_TO, re.DOTALL)
    names: dict[str, Any] = {}
    server = FakeServer(hold_s=20)
    account = server.account(BENCH_TOKEN)
    async with httpx.AsyncClient(transport=server.transport()) as http:
        exec(record, names)
        await _served(names["bot"], account, http)
        exec(check, names)
        exec(live, names)
        await _served(names["watched"], account, http)
    assert re.fullmatch(r"[34] polls, at most 20 s between two requests\n", capsys.readouterr().out)
    assert names["monitor"].violations == []
    assert check_trace("run.jsonl").run_count == 1
    assert [sent.text for sent in account.sent] == ["you said: hello"] * 2


async def _served(bot: Any, account: Any, http: httpx.AsyncClient) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: bot(BENCH_TOKEN, base_url=BENCH_URL, http=http))
        await anyio.sleep(1)
        account.push("hello")
        await anyio.sleep(21)
        account.push("bye")


def test_the_page_shows_what_the_program_prints() -> None:
    """Letter by letter, but for the name of the file and the date."""
    clean, broken = re.findall(r"```text\n(.*?)```", HOW_TO, re.DOTALL)
    date = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.sub(date, "DATE", clean).replace("run.jsonl", "FILE") == CLEAN
    assert broken.replace("run.jsonl", "FILE") == BROKEN.partition("\n\n")[0] + "\n"


def table(heading: str) -> list[str]:
    """Return the first column of the table under this heading."""
    section = re.split(r"\n##+ ", FORMAT.partition(f"# {heading}\n")[2])[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_every_key_is_on_the_page_and_no_other() -> None:
    """The page lists the keys that the reader takes, and says which version it is about."""
    for heading, shape in (
        ("run", lines._Run),
        ("record", lines._Record),
        ("send", lines._Send),
        ("broken_off", lines._BrokenOff),
        ("quiet", lines._Quiet),
    ):
        assert sorted(table(heading)) == sorted(shape.__struct_fields__), heading
    for shape in lines._COMMANDS:
        row = next(line for line in FORMAT.splitlines() if line.startswith(f"| `{shape.__struct_config__.tag}` |"))
        keys = re.findall(r"`(\w+)`", row.replace("`notifystop`", ""))[1:]
        assert sorted([*keys, "serial"]) == sorted(shape.__struct_fields__)
    memory = next(line for line in FORMAT.splitlines() if line.startswith("| `memory` |"))
    assert re.findall(r"`(\w+)`", memory)[1:] == list(lines._Memory.__struct_fields__)
    assert f"Version {VERSION}." in FORMAT
