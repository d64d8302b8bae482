"""What the pages show of verdicts, figures and runs is what the program says, and a machine of one's own runs."""

from __future__ import annotations

import re
from typing import Any

import anyio
import httpx
import pytest

from sessionfsm import examples
from sessionfsm.lifecycle import Policy
from sessionfsm.testing import BENCH_TOKEN, FakeServer, run
from sessionfsm.testing.bench import BENCH_URL
from sessionfsm.verify import STATEMENTS
from sessionfsm.verify.counterexample import narrate
from tests.examples.blocks import CLOSING, OPENING, PAGES, TIMED, blocks_of, printed, report
from tests.examples.pages import DOCS, snippets, text

ROOT = DOCS.parent
OWN_PAGE = "how-to/prove-your-own-machine.md"
BUGS = ("official_client", "retry_every_5_s", "backoff_reset_by_renewal")

REFUTED = {
    "official_client": "P1 P2 P5 P6 P8 P10 P13 P14 P15 P16 P18",
    "retry_every_5_s": "P1 P5 P8 P10 P13 P14 P15 P16 P18",
    "backoff_reset_by_renewal": "P8 P9 P10 P19",
    "quiet_hours_wrong": "P1 P16",
    "quiet_hours": "",
}


@pytest.mark.parametrize("name", examples.__all__)
def test_what_is_refuted(name: str) -> None:
    """Each example is refuted for what is wrong with it, and never for rows that are missing."""
    found = report(name, verdicts_only=True)
    refuted = [number for number, finding in found.properties.items() if finding.verdict == "refuted"]
    assert refuted == REFUTED[name].split()
    assert found["P4"].holds


@pytest.mark.parametrize(
    ("name", "number", "triggers"),
    [
        ("official_client", "P1", "start session_expired"),
        ("official_client", "P2", "start session_renewed session_expired"),
        ("official_client", "P6", "start session_renewed session_expired retry_due"),
        ("official_client", "P8", "start session_renewed hurried hurried"),
        ("official_client", "P16", "start session_renewed session_lapsed"),
        ("backoff_reset_by_renewal", "P9", "start session_expired retry_due session_renewed session_expired"),
        ("quiet_hours_wrong", "P1", "start session_expired quiet_hours retry_due"),
    ],
)
def test_the_shortest_run_is_the_one_that_was_reported(name: str, number: str, triggers: str) -> None:
    found = report(name, verdicts_only=number not in TIMED)[number]
    assert [str(arc.move.trigger) for arc in found.counterexample] == triggers.split()


@pytest.mark.parametrize(
    "page", [str(path.relative_to(ROOT)) for path in PAGES if f"\n{OPENING}" in path.read_text("utf-8")]
)
def test_a_page_shows_what_the_program_prints(page: str) -> None:
    """Every verdict, figure and run that a page has from `sessionfsm verify`, letter by letter."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = blocks_of(text)
    comments = [len(re.findall(f"^{comment}", text, re.MULTILINE)) for comment in (OPENING, CLOSING)]
    assert comments == [len(blocks)] * 2, "a comment without its other one"
    for name, shown in blocks:
        assert shown == printed(name), f"{page}: {name}: write: make pages"


def test_the_pages_show_the_bug_and_the_properties() -> None:
    """The comparison has something to compare: the runs that refute the bug, and every property of ours."""
    names = [name for name, _ in blocks_of(text("explanation/the-original-bug.md"))]
    assert {f"run official_client {number}" for number in ("P1", "P6", "P8", "P16")} < set(names)
    assert f"verdicts {' '.join(BUGS)}" in names
    shown = dict(blocks_of(text("explanation/what-is-proved.md")))
    assert set(shown) == {"properties", "figures", "ladders"}
    for number in STATEMENTS:
        assert f"| {number} | {STATEMENTS[number]} | proved |" in shown["properties"]


def test_what_is_worth_knowing_is_said_of_every_property() -> None:
    """The page has a paragraph of each property, and a line of each promise; what it names is there."""
    page = text("explanation/what-is-proved.md")
    section = page.partition("## What each of them is worth")[2].partition("\n## ")[0]
    told = {
        number for head in re.findall(r"^\*\*(P.*?)\*\*", section, re.MULTILINE) for number in re.findall(r"P\d+", head)
    }
    assert told == set(STATEMENTS)
    assert re.findall(r"^\| (R\d+) \|", page, re.MULTILINE) == [f"R{number}" for number in range(1, 14)]
    for word, target in re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", page):
        assert target.endswith(f"/{word}.py")


def test_the_page_about_a_machine_of_ones_own_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """Its snippets are run one after another; the wrong table is refuted, the mended one is the shipped example."""
    names: dict[str, Any] = {}
    for snippet in snippets(OWN_PAGE, "python"):
        exec(snippet, names)
    assert capsys.readouterr().out == "refuted\n"
    assert narrate(names["report"]["P1"]) in dict(blocks_of(text(OWN_PAGE)))["run quiet_hours_wrong P1"]
    mended, shipped = names["mended"](Policy()), examples.quiet_hours(Policy())
    assert (mended.name, mended.states, mended.external) == (shipped.name, shipped.states, shipped.external)
    assert set(mended.rows) == set(shipped.rows)
    *day, night, morning, poll = run_the_night(names["bot"])
    assert [request for request, _ in day] == ["notifystart", "getupdates", "getupdates"]
    assert [request for request, _ in (night, morning, poll)] == ["getupdates", "notifystart", "getupdates"]
    assert 300 <= morning[1] - night[1] <= 600 + 30  # a pause, once the poll that was out has ended


def run_the_night(bot: Any) -> list[tuple[str, float]]:
    """Run the bot of the page into its pause and out of it; return what it asked for, but for sends, and when."""
    server = FakeServer(hold_s=30)
    account = server.account(BENCH_TOKEN)

    async def night_falls() -> None:
        await anyio.sleep(40)

    async def story() -> None:
        async with httpx.AsyncClient(transport=server.transport()) as http:
            with anyio.move_on_after(700):
                account.push("hello")
                await bot(BENCH_TOKEN, night_falls, base_url=BENCH_URL, http=http)

    run(story)
    assert [sent.text for sent in account.sent] == ["you said: hello"]
    return [(entry.endpoint, entry.started_s) for entry in server.log if entry.endpoint != "sendmessage"][:6]
