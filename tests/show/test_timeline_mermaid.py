"""The timeline as a Mermaid gantt chart: Mermaid itself draws it, whatever the words, and it stays small."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import mermaidx
import pytest

from sessionfsm.diagram.mermaid import plain
from sessionfsm.show.run import Run
from sessionfsm.show.timeline import timeline_mermaid
from sessionfsm.show.timeline_gantt import MOST_TASKS
from sessionfsm.show.timeline_time import TIMES

from .timeline_runs import build, busy, few, hostile, in_states, uneven

TASK = re.compile(r"^ {8}[^:]+ :(?:active, |crit, |done, )?(\d+), (\d+)$")


def tasks_of(code: str) -> dict[str, list[tuple[int, int]]]:
    """For each section, from when to when its tasks are, in thousandths of the axis's unit."""
    found: dict[str, list[tuple[int, int]]] = {}
    section = ""
    for line in code.partition("\ngantt\n")[2].splitlines():
        if line.startswith("    section "):
            section = line.removeprefix("    section ")
            found[section] = []
        elif task := TASK.match(line):
            found[section].append((int(task[1]), int(task[2])))
        else:
            assert re.match(r"    (title|dateFormat|axisFormat|todayMarker) ", line), line
    return found


def texts_of(code: str) -> tuple[list[str], int]:
    """Have Mermaid draw; return the texts in the picture, and how many tasks there are."""
    root = ET.fromstring(mermaidx.render(code).svg())
    named = [element for element in root.iter() if element.tag.rpartition("}")[2] == "text"]
    bars = [e for e in root.iter() if e.tag.rpartition("}")[2] == "rect" and "task" in e.get("class", "").split()]
    return [" ".join("".join(element.itertext()).split()) for element in named], len(bars)


def test_mermaid_draws_it() -> None:
    """Every lane has its section, every task its bar, and the axis tells seconds."""
    code = timeline_mermaid(few())
    texts, bars = texts_of(code)
    sections = tasks_of(code)
    assert list(sections) == [
        *("stopped", "recovering", "active", "backoff", "stopping"),
        *("polls", "failed polls", "renewals", "failed renewals", "notifystop", "messages"),
        *("waits", "sends", "failed sends", "login_required"),
    ]
    assert set(sections) <= set(texts)
    assert bars == sum(map(len, sections.values()))
    assert {"0 s", "20 s", "8.5 s", "Run of bot@im.bot, 2023-11-14 22:13:20 UTC, 20 s"} <= set(texts)


def test_mermaid_draws_hostile_words_as_words() -> None:
    """Statements and comments in an account's name are text in the title, and make no section."""
    run = hostile('a"<b>; #59; ` $$x$$\n    section b\n%%{init: {}}%%\n    click x call y()\u202e').between(3.5, 6.5)
    code = timeline_mermaid(run)
    texts, bars = texts_of(code)
    sections = tasks_of(code)
    assert set(sections) == {"recovering", "active", "polls", "failed polls", "failed renewals", "messages"}
    assert bars == sum(map(len, sections.values()))
    assert any(text.startswith(f"Run of {plain(run.account)[:20]}") for text in texts)


def test_mermaid_draws_states_with_any_names() -> None:
    """The names of a table of one's own are sections, cut where they are long."""
    code = timeline_mermaid(in_states(13))
    texts, bars = texts_of(code)
    sections = tasks_of(code)
    assert len(sections) == 13
    assert set(sections) <= set(texts)
    assert bars == 13


def test_three_seconds_are_three_thousand_milliseconds() -> None:
    """What is long enough stands where it was."""
    sections = tasks_of(timeline_mermaid(few()))
    assert sections["waits"] == [(7000, 10000)]
    assert sections["polls"][0] == (1000, 4000)


@pytest.mark.parametrize(
    ("length_s", "axis", "end"),
    [
        (4, "%Q ms", 4000),
        (90, "%s s", 90_000),
        (3600, "%s min", 60_000),
        (86_400, "%s h", 24_000),
        (1e8, "%s d", 1157407),
    ],
)
def test_the_axis_has_a_unit_that_fits(length_s: float, axis: str, end: int) -> None:
    """A run of seconds is told in milliseconds, one of years in days."""
    run = build((0, "start", "recovering", {}), (length_s, "session_renewed", "active", {"held_s": length_s}))
    code = timeline_mermaid(run)
    assert f"    axisFormat {axis}\n" in code
    assert tasks_of(code)["renewals"] == [(0, end)]


@pytest.mark.parametrize("make", [lambda: busy(20_000), lambda: in_states(60), uneven, few, hostile])
def test_it_has_no_more_tasks_than_can_be_read(make: Callable[[], Run]) -> None:
    """Of 20,000 records it is as large as of a hundred, and says that much is gathered; neighbours do not overlap."""
    run = make()
    code = timeline_mermaid(run)
    sections = tasks_of(code)
    assert sum(map(len, sections.values())) <= MOST_TASKS
    assert len(code) < 20_000
    assert (f"({TIMES} n: several, gathered)" in code) == (len(run.steps) > 100)
    for tasks in sections.values():
        assert all(first < last for first, last in tasks)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(tasks))


def test_a_run_of_one_record_has_a_chart() -> None:
    """So has a session that has just begun."""
    assert tasks_of(timeline_mermaid(build((0, "start", "recovering", {}))))["recovering"] == [(0, 5)]
