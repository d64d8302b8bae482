"""The page that replays a run, read back: it is whole, it calls nobody, and no word of a run is markup."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest

from sessionfsm.diagram.words import shown
from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine
from sessionfsm.session import Quiet, SendRecord
from sessionfsm.show import Run, run_from
from sessionfsm.show.page import MOST_REPLAYED, page
from sessionfsm.show.times import length_of

from .page_runs import CLOCK, WILD, diagram_ids, eventful, hostile, long, record

_EMPTY = {"meta", "input", "br", "link", "img"}


class Page(HTMLParser):
    """A page as a parser sees it; every element that is opened has to be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.unclosed: list[str] = []
        self.feed(text)
        self.close()
        assert self.unclosed == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")
        if tag not in _EMPTY:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.unclosed:
            self.texts[self.unclosed[-1]][-1] += data

    @property
    def data(self) -> dict[str, Any]:
        """What the script replays."""
        at = next(number for number, script in enumerate(self.scripts) if script.get("id") == "run")
        return dict(json.loads(self.texts["script"][at]))

    @property
    def scripts(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == "script"]

    def records(self) -> list[dict[str, Any]]:
        data = self.data
        return [dict(zip(data["columns"], row, strict=True)) for row in data["records"]]


def one_poll() -> Run:
    return run_from([record(7, "polled", "active", "active", news=2)], Machine())


RUNS = {
    "eventful": eventful,
    "hostile": hostile,
    "one record": lambda: run_from([record(1, "start", "stopped", "recovering")], Machine()),
    "live, its start forgotten": one_poll,
    "a stretch without a record": lambda: run_from(long(5), Machine()).between(1.2, 1.7),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_page_calls_nobody(name: str) -> None:
    """It needs nothing but itself: no element in it loads anything, and its own rules forbid that, too."""
    text = page(RUNS[name]())
    read = Page(text)
    allowed = {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"[a-z]+://[^\s\"'<>)]*", text)) <= allowed
    loading = {"src", "href", "xlink:href", "srcset", "data", "action", "formaction", "poster", "background", "style"}
    for tag, attributes in read.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "form", "base", "image", "use", "foreignobject"}
        assert not loading & set(attributes)
        assert not [each for each in attributes if each.startswith("on")]
    assert "@import" not in text
    assert "url(" not in text


@pytest.mark.parametrize("name", RUNS)
def test_only_its_own_script_may_run(name: str) -> None:
    """The rules name one script by its hash, and that is the one that is there; the other element is data."""
    read = Page(page(RUNS[name]()))
    rules = next(each["content"] for tag, each in read.elements if tag == "meta" and "http-equiv" in each)
    assert [each.get("type") for each in read.scripts] == ["application/json", None]
    found = base64.b64encode(hashlib.sha256(read.texts["script"][1].encode()).digest()).decode()
    assert rules == (
        f"default-src 'none'; script-src 'sha256-{found}'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_no_word_of_a_run_is_markup() -> None:
    """Whatever stands in a trace, or in a table of one's own, is text, and nothing that a reader cannot see."""
    text = page(hostile())
    read = Page(text)
    assert len(read.scripts) == 2
    assert "alert" not in {tag for tag, _ in read.elements}
    assert "<script>alert" not in text
    assert not set(text) & set("\x00\x1b\u202e\u2066\u2028\ud800")
    inside = text[text.index('id="run">') + 9 : text.rindex("</script>\n<script>")]
    assert inside.isascii()
    assert not set(inside) & set("<>&")
    texts = read.data["texts"]
    assert shown(WILD) in texts
    assert shown(WILD * 200) in texts
    text.encode()


@pytest.mark.parametrize("name", RUNS)
def test_every_record_is_there(name: str) -> None:
    """Each record has its number, its time, its words and its arc; requests, waits, sends and stays are all there."""
    run = RUNS[name]()
    read = Page(page(run))
    data, texts = read.data, read.data["texts"]
    rows = read.records()
    assert [row["number"] for row in rows] == [step.record.number for step in run.steps]
    for row, step in zip(rows, run.steps, strict=True):
        told = step.record
        assert row["at"] == pytest.approx(step.at_s, abs=1e-6)
        assert data["arcs"][row["arc"]] == step.arc
        for cell in ("trigger", "reason", "detail", "operation", "account"):
            assert texts[row[cell]] == shown(getattr(told, cell))
        assert [data["states"][row[end]][0] for end in ("source", "target")] == [shown(told.source), shown(told.target)]
        assert tuple(data["memories"][row["memory"]]) == tuple(told.memory)
        assert (row["wait"], row["news"]) == (pytest.approx(told.wait_s, abs=1e-6), told.news)
    assert [len(data[lane]) for lane in ("requests", "waits", "sends", "stays")] == [
        len(run.requests),
        len(run.waits),
        len(run.sends),
        len(run.stays),
    ]
    assert (data["from"], data["until"]) == (pytest.approx(run.from_s, abs=1e-6), pytest.approx(run.until_s, abs=1e-6))


@pytest.mark.parametrize("name", RUNS)
def test_ids_are_there_once_and_lead_to_the_diagram(name: str) -> None:
    """Several pictures stand in one document, and yet each id is there once; every arc and state can be found by it."""
    run = RUNS[name]()
    read = Page(page(run))
    ids = Counter(attributes["id"] for _, attributes in read.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    assert diagram_ids(run) <= set(ids)
    assert {*read.data["arcs"], *(state[1] for state in read.data["states"])} == diagram_ids(run)
    labels = [each.get("aria-labelledby") or "" for _, each in read.elements]
    assert {part for label in labels for part in label.split()} <= set(ids)


def test_quiet_polls_count_for_their_arc() -> None:
    """Polls that were only counted are on the record that tells of them, with the arc that they took."""
    quiet = Quiet(polls=12, first_started_s=CLOCK, last_started_s=CLOCK + 9, longest_gap_s=1, news=3, since_news=4)
    poll = record(3, "session_expired", "active", "recovering", at_s=10, quiet=quiet)
    read = Page(page(run_from([poll], Machine())))
    (row,) = read.records()
    assert (row["quiet_polls"], row["quiet_news"]) == (12, 3)
    assert read.data["arcs"][row["quiet_arc"]] == "arc-active-polled-active"


def test_trouble_is_where_somebody_looks_for_it() -> None:
    """A bad answer, a signal that goes up and the way into a wait are trouble; a good poll is none."""
    run = eventful()
    rows = {row["number"]: row for row in Page(page(run)).records()}
    for step in run.steps:
        told = step.record
        if told.trigger == "polled":
            assert not rows[told.number]["trouble"]
        if told.raised or told.trigger in ("poll_failed", "renewal_failed", "session_expired", "session_lapsed"):
            assert rows[told.number]["trouble"]


def test_signals_that_are_up_stay_up_until_they_are_cleared() -> None:
    """Each record says which signals are up after it."""
    first = record(1, "start", "stopped", "recovering", raised=("one",))
    second = record(2, "session_renewed", "recovering", "active", raised=("two",), cleared=("one",))
    third = record(3, "polled", "active", "active")
    read = Page(page(run_from([first, second, third], Machine())))
    assert [read.data["texts"][row["up"]] for row in read.records()] == ["one", "two", "two"]


def test_without_scripts_it_shows_how_the_run_ended() -> None:
    """The pictures and the totals of the whole run are there without a script, and it says what is missing."""
    run = eventful()
    text = page(run)
    read = Page(text)
    assert "Without scripts" in "".join(read.texts["p"])
    assert {"hidden": None}.items() <= next(each for _, each in read.elements if each.get("id") == "player").items()
    totals = text[text.index('id="totals"') : text.index("</table>")]
    words = [
        " ".join(row.split()) for row in re.sub(r"<[^>]*>", " ", totals).replace("until now in all", "").split("\n")
    ]
    polls = sum(request.polls for request in run.requests if request.kind == "poll")
    assert f"records {len(run.steps)}" in words
    assert any(row.startswith(f"polls (getupdates) {polls}, ") for row in words)
    assert "sends 3, 1 failed" in words
    there = sum(stay.until_s - stay.from_s for stay in run.stays if stay.state == "active")
    assert any(row.startswith(f"in active {length_of(there)} (") for row in words)


def test_a_sequence_diagram_has_its_place() -> None:
    """One that is given is put in whole; without one there is no empty place."""
    picture = '<svg xmlns="http://www.w3.org/2000/svg"><title id="sequence-title">who said what</title></svg>\n'
    assert picture in page(one_poll(), sequence=picture)
    assert 'id="sequence"' not in page(one_poll())


def test_what_a_page_cannot_replay_it_says() -> None:
    """A run with too many records, or sends, is refused with the way out, instead of a page that nobody can use."""
    run = one_poll()
    many = replace(run, steps=run.steps * (MOST_REPLAYED + 1))
    with pytest.raises(DefinitionError, match=r"20,001 records.*20,000.*--from S --to S"):
        page(many)
    send = run_from(
        [record(1, "start", "stopped", "recovering")],
        Machine(),
        sends=[SendRecord(account="", started_s=CLOCK, held_s=1, state="active", failed="", detail="")],
    ).sends
    with pytest.raises(DefinitionError, match="20,001 sends"):
        page(replace(run, sends=send * (MOST_REPLAYED + 1)))


def test_the_largest_page_is_still_a_small_file() -> None:
    """The most records that a page replays come to a few megabytes."""
    text = page(run_from(long(MOST_REPLAYED), Machine()))
    assert len(text) < 6_000_000
    assert len(Page(text).records()) == MOST_REPLAYED


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_makes_the_same_page(seed: str) -> None:
    """The same run makes the same page, to the last byte: it hangs on no clock, no place and no order of a set."""
    code = (
        "import sys; from tests.show.page_runs import hostile; from sessionfsm.show.page import page; "
        "sys.stdout.buffer.write(page(hostile()).encode())"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": "Asia/Shanghai", "LC_ALL": "C"}
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment, timeout=60)
    assert made.stdout.decode() == page(hostile())


def test_its_parts_belong_to_the_package() -> None:
    """What the page is made of is found where the package is, so that an installed one makes it, too."""
    parts = [part for part in files("sessionfsm.show").iterdir() if part.name.endswith((".css", ".js"))]
    assert len(parts) == 6
    text = page(one_poll())
    for part in parts:
        written = part.read_text(encoding="utf-8")
        assert written in text
        assert "</s" not in written.lower()
        assert "<!--" not in written
