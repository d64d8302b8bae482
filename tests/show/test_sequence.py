"""The sequence diagram of a run, read back from its SVG: what stands on which row, and that nothing is covered."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionfsm import DefinitionError, TraceWriter
from sessionfsm.examples import quiet_hours
from sessionfsm.lifecycle import Machine, Memory, Own, Policy, Poll, Renew, Wait
from sessionfsm.session import Quiet, Record, SendRecord
from sessionfsm.show import Run, run_from
from sessionfsm.show.reading import read_run
from sessionfsm.show.sequence import sequence_svg
from tests.diagram.test_svg import SVG, WILD, contrast, flaws_of

from .sequence_runs import bug, lived, long_run

ALL = 10_000


@dataclass(frozen=True)
class Row:
    """A row of the picture, as a reader of the SVG finds it."""

    looks: frozenset[str]
    facts: dict[str, str]
    words: str
    time: str

    @property
    def at(self) -> float:
        return float(self.facts["at"])


def rows_of(text: str) -> list[Row]:
    return list(_rows(ET.fromstring(text)))


def _rows(root: ET.Element) -> Iterator[Row]:
    for group in root:
        if "data-at" in group.attrib:
            facts = {name.removeprefix("data-"): value for name, value in group.attrib.items() if "data-" in name}
            texts = [("".join(text.itertext()), float(text.attrib["x"])) for text in group.iter(f"{SVG}text")]
            yield Row(
                looks=frozenset(group.attrib["class"].split()),
                facts=facts,
                words=" ".join(text for text, x in texts if x > 100),
                time=" ".join(text for text, x in texts if x < 100),
            )


def last_words(text: str) -> str:
    notes = [group for group in ET.fromstring(text) if (group.get("class") or "").startswith("notes")]
    return " ".join("".join(each.itertext()) for each in notes[0].iter(f"{SVG}text"))


def exchange_of(row: Row) -> tuple[str, str, str]:
    """Which exchange a row belongs to: its kind, when it was asked, and when it was answered."""
    kind = next(iter(row.looks & {"poll", "renew", "close", "send"}))
    return kind, row.facts["from"], row.facts["until"]


def unhealed(rows: list[Row]) -> list[Row]:
    """The polls that begin after a loss although notifystart was not called since: there are none where P1 holds."""
    lost, found = False, []
    for row in rows:
        if {"answered", "bad"} <= row.looks and "-14" in row.words:
            lost = True
        elif {"asked", "renew"} <= row.looks:
            lost = False
        elif {"asked", "poll"} <= row.looks and lost:
            found.append(row)
    return found


def the_run() -> Run:
    return lived().run()


# What it says.


def test_rows_stand_in_the_order_of_time() -> None:
    """Who reads downward reads what happened, in that order, and each exchange has its time written at it."""
    rows = rows_of(sequence_svg(the_run(), most=ALL))
    times = [row.at for row in rows]
    assert times == sorted(times)
    assert len(rows) > 60
    assert all(row.time for row in rows if row.looks & {"asked", "answered"})


def test_each_request_has_one_answer_after_it() -> None:
    """No arrow is without its answer, and none comes before its request; a notifystop's answer is not on record."""
    run = the_run()
    rows = rows_of(sequence_svg(run, most=ALL))
    asked = [exchange_of(row) for row in rows if "asked" in row.looks]
    answered = [exchange_of(row) for row in rows if "answered" in row.looks]
    assert Counter(answered) == Counter(each for each in asked if each[0] != "close")
    for at, row in enumerate(rows):
        if "answered" in row.looks:
            assert any("asked" in other.looks and exchange_of(other) == exchange_of(row) for other in rows[:at])
            assert row.facts["at"] == row.facts["until"]
    assert [each[0] for each in asked].count("close") == 1
    assert [each[0] for each in asked].count("send") == len(run.sends) == 3


def test_no_request_is_missing() -> None:
    """Polls that are told as one are counted: with them there are as many as the run had."""
    run = the_run()
    told: Counter[str] = Counter()
    for row in rows_of(sequence_svg(run, most=ALL)):
        if "asked" in row.looks:
            several = re.search("× ([0-9,]+)$", row.words)
            told[exchange_of(row)[0]] += int(several[1].replace(",", "")) if several else 1
    wanted: Counter[str] = Counter()
    for request in run.requests:
        wanted[request.kind] += request.polls
    assert told == wanted | {"send": len(run.sends)}


def test_that_notifystart_comes_between_a_loss_and_the_next_poll_can_be_seen() -> None:
    """P1 is read off the picture: ours renews after each loss; the official client polls, and that shows as well."""
    rows = rows_of(sequence_svg(the_run(), most=ALL))
    assert sum("-14" in row.words and "answered" in row.looks for row in rows) > 3
    assert unhealed(rows) == []
    assert unhealed(rows_of(sequence_svg(bug().run(), most=ALL)))


def test_a_change_of_state_stands_with_its_trigger_and_its_reason() -> None:
    """Each record that changes the state has a row that says why, and the state's name is on the lifeline."""
    run = the_run()
    text = sequence_svg(run, most=ALL)
    rows = {row.facts["record"]: row for row in rows_of(text) if "changed" in row.looks}
    states = [
        "".join(word.itertext())
        for group in ET.fromstring(text)
        if (group.get("class") or "").startswith("state")
        for word in group.iter(f"{SVG}text")
    ]
    changes = [step.record for step in run.steps if step.record.source != step.record.target]
    assert states == ["session", "server", "stopped", *(record.target for record in changes)]
    for record in changes:
        assert f"{record.trigger} · {record.reason}" in rows[str(record.number)].words


def test_a_wait_says_how_long_it_is_and_what_became_of_it() -> None:
    """Each wait has its row with its length and its ladder; one that was cut short says so; the lifeline has a gap."""
    run = the_run()
    text = sequence_svg(run, most=ALL)
    rows = [row for row in rows_of(text) if "waited" in row.looks]
    assert len(rows) == len(run.waits) > 4
    assert {row.words.split(" (")[1].split(",")[0] for row in rows} == {"session", "transport"}
    cut = [row for row, waiting in zip(rows, run.waits, strict=True) if waiting.cut]
    assert [row.words for row in rows if "cut short after " in row.words] == [row.words for row in cut]
    assert len(cut) == 1
    assert text.count('class="paper path"') == len(rows)


def test_what_the_server_said_is_told() -> None:
    """An HTTP status, -14, silence, messages, a refused send, a poll given up at a stop: each in words on its arrow."""
    rows = rows_of(sequence_svg(the_run(), most=ALL))
    told = [
        (row.looks & {"poll", "renew", "send"}, row.looks & {"good", "bad", "lost", "cut"}, row.words) for row in rows
    ]
    for kind, outcome, words in (
        ("renew", "good", "ok · after 10 ms"),
        ("poll", "bad", "-14 · after 10 ms, the session is lost (-14: session timeout)"),
        ("poll", "lost", "HTTP status 502"),
        ("renew", "lost", "HTTP status 502"),
        ("poll", "lost", "no answer · after 45 s"),
        ("poll", "good", "1 message"),
        ("poll", "good", "held, nothing new · after 35 s"),
        ("poll", "good", "quiet · the last one began"),
        ("poll", "good", "at once, nothing new"),
        ("poll", "cut", "given up: stop"),
        ("send", "good", "sendmessage: ok · after 3.01 s"),
        ("send", "bad", "ConversationClosed"),
    ):
        assert any(kinds == {kind} and how == {outcome} and words in said for kinds, how, said in told), words


def test_an_answer_that_comes_later_says_whose_it_is() -> None:
    """A poll can be answered while a send is under way: what does not follow its request names the endpoint."""
    rows = rows_of(sequence_svg(the_run(), most=ALL))
    apart = 0
    for before, row in pairwise(rows):
        if "answered" in row.looks:
            follows = "asked" in before.looks and exchange_of(before) == exchange_of(row)
            named = row.words.startswith(("getupdates: ", "sendmessage: ", "notifystart: "))
            assert named != follows
            apart += named
    assert apart > 1


def test_signals_are_told_when_they_go_up_and_down() -> None:
    """An operator sees when login_required was raised, and when it was over."""
    words = [row.words for row in rows_of(sequence_svg(the_run(), most=ALL))]
    assert [text.rpartition("signal ")[2] for text in words if "signal" in text] == [
        "login_required is up",
        "login_required is down",
    ]


# How much of it.


@pytest.mark.parametrize("most", [1, 2, 7, 20])
def test_there_is_an_end_to_it_and_it_says_where_to_go_on(most: int) -> None:
    """At most so many exchanges are told; whoever goes on where the last line says has the whole run in the end."""
    whole = {exchange_of(row) for row in rows_of(sequence_svg(the_run(), most=ALL)) if "asked" in row.looks}
    run, told = the_run(), set[tuple[str, str, str]]()
    for _ in range(200):
        text = sequence_svg(run, most=most)
        found = [exchange_of(row) for row in rows_of(text) if "asked" in row.looks]
        assert len(found) <= most
        told |= set(found)
        further = re.search(
            r"([\d,]+) more exchanges? (?:is|are) left out, from ([\d.]+) s on \(--from \2\)", last_words(text)
        )
        if further is None:
            break
        assert int(further[1]) > 0
        run = run.between(float(further[2]), math.inf)
    if most > 2:  # what reaches into a stretch is told again, and must leave room for something new
        assert told == whole


def test_what_is_left_out_is_counted() -> None:
    """With those that are told it makes all of them."""
    run = the_run()
    everything = sum("asked" in row.looks for row in rows_of(sequence_svg(run, most=ALL)))
    assert f"{everything - 5} more exchanges are left out" in last_words(sequence_svg(run, most=5))
    assert "left out" not in last_words(sequence_svg(run, most=everything))


def test_none_at_all_is_refused() -> None:
    """A picture of nothing is a mistake of the caller's."""
    with pytest.raises(DefinitionError, match="one exchange or more, and not 0"):
        sequence_svg(the_run(), most=0)


def test_a_run_with_10_000_records_makes_a_picture_of_bounded_size() -> None:
    """However long the run, the picture is as long as what is told."""
    text = sequence_svg(long_run(10_000))
    assert len(text) < 150_000
    assert "more exchanges are left out" in last_words(text)


def test_a_table_that_changes_its_state_without_requests_is_bounded_too() -> None:
    """A thousand changes without one exchange are no picture of a thousand rows."""
    machine = Machine(table=quiet_hours(Policy()))
    flip = (_made(1, 0, "quiet_hours", "active", "quiet"), _made(2, 1, "retry_due", "quiet", "recovering"))
    back = _made(3, 2, "session_renewed", "recovering", "active")
    records = [replace((*flip, back)[at % 3], number=at + 1, at_s=float(at)) for at in range(1000)]
    text = sequence_svg(run_from(records, machine), most=10)
    assert len(rows_of(text)) <= 30
    assert "left out, from" in last_words(text)


# Parts of a run.


def test_a_stretch_keeps_whole_what_reaches_beyond_it() -> None:
    """A poll that was out when the stretch began is told with its beginning, and in the state in which that was."""
    run = the_run()
    poll = next(request for request in run.requests if request.until_s - request.from_s > 20 and request.polls == 1)
    middle = (poll.from_s + poll.until_s) / 2
    text = sequence_svg(run.between(middle, middle + 1), most=ALL)
    rows = rows_of(text)
    assert [row.looks & {"asked", "answered"} for row in rows] == [{"asked"}, {"answered"}]
    assert ">active<" in text
    assert flaws_of(text) == []
    assert "Told up to" in last_words(text)


@pytest.mark.parametrize("tenth", range(10))
def test_any_stretch_can_be_told(tenth: int) -> None:
    """Wherever it is cut, rows are in order, arrows have their answers, and nothing is covered."""
    run = the_run()
    length = run.until_s / 10
    text = sequence_svg(run.between(tenth * length, (tenth + 1) * length), most=ALL)
    rows = rows_of(text)
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    asked = Counter(exchange_of(row) for row in rows if "asked" in row.looks and "close" not in row.looks)
    assert asked == Counter(exchange_of(row) for row in rows if "answered" in row.looks)
    assert flaws_of(text) == []


def test_a_run_of_one_record_can_be_told() -> None:
    """A process that was killed after its start leaves a run, and what it had ordered last is told."""
    text = sequence_svg(replace(lived().run(0, 1), sends=(), end="torn"))
    assert [row.words for row in rows_of(text)] == ["start · starting is recovering: there is one way into a session"]
    assert "Ordered last: notifystart. What came of it is not on record." in last_words(text)
    assert "its process was killed" in last_words(text)
    assert flaws_of(text) == []


def test_a_wait_that_is_not_over_is_told() -> None:
    """Of a session that waits the picture says for how long."""
    records = lived().records
    waits = next(at for at, record in enumerate(records) if record.wait_s is not None)
    text = sequence_svg(replace(lived().run(0, waits + 1), sends=()))
    assert re.match(r"wait \S+ (s|ms) \(transport, wait 1\) · not over here", rows_of(text)[-1].words)
    assert 'class="paper path"' in text


def test_the_last_part_of_a_live_session_can_be_told() -> None:
    """Its history does not reach back to its start: it is told from the state in which that begins."""
    run = lived().run(7, -2)
    assert not run.whole
    rows = rows_of(sequence_svg(run, most=ALL))
    assert "start" not in {row.words.split(" ")[0] for row in rows}
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    assert flaws_of(sequence_svg(run, most=ALL)) == []


@pytest.mark.parametrize(
    ("end", "words"), [("broken_off", "could not be written any more: No space"), ("open", "Told up to")]
)
def test_how_the_record_ends_is_told(end: Literal["broken_off", "open"], words: str) -> None:
    """A reader knows whether the run is over, or only what is known of it."""
    run = replace(lived().run(0, -1), end=end, why="No space left on device")
    assert words in last_words(sequence_svg(run, most=ALL))
    assert "The run is over." in last_words(sequence_svg(the_run(), most=ALL))


# How it looks.


@pytest.mark.parametrize("scheme", ["auto", "light", "dark"])
def test_nothing_lies_on_anything_else(scheme: Literal["auto", "light", "dark"]) -> None:
    """No text is covered or leaves its box, no arrow goes through a text, and all is inside a README's width."""
    for run in (the_run(), bug().run()):
        text = sequence_svg(run, scheme=scheme, most=ALL)
        assert flaws_of(text) == []
        assert float(ET.fromstring(text).attrib["width"]) <= 830


def test_it_loads_nothing_and_its_ids_are_its_own() -> None:
    """It can stand in a page beside the other pictures: nothing is fetched, and no id is theirs."""
    text = sequence_svg(the_run())
    root = ET.fromstring(text)
    elements = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert elements <= {"svg", "title", "desc", "style", "rect", "path", "g", "text", "tspan"}
    assert re.findall(r"url\(|@import|@font-face|href|https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert [element.attrib["id"] for element in root.iter() if "id" in element.attrib] == [
        "sequence-title",
        "sequence-desc",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_texts_can_be_read_on_what_is_behind_them(scheme: Literal["light", "dark"]) -> None:
    """Each colour of a text has a contrast of 4.5 to 1 or more with its ground (WCAG 2.1, level AA)."""
    root = ET.fromstring(sequence_svg(the_run(), scheme=scheme, most=ALL))
    paper = next(root.iter(f"{SVG}rect")).attrib["fill"]
    for group in root:
        boxes = [rect.attrib["fill"] for rect in group.iter(f"{SVG}rect") if rect.get("class") == "box"]
        for run in group.iter(f"{SVG}tspan"):
            assert contrast(run.attrib["fill"], boxes[0] if boxes else paper) >= 4.5


def test_another_process_draws_the_same(tmp_path: Path) -> None:
    """The text hangs on the run alone: of a recorded one it is the same wherever and whenever it is drawn."""
    file = tmp_path / "run.jsonl"
    with TraceWriter(file) as writer:
        writer.begin_run(lived().machine)
        for record in lived().records[:1] + tuple(replace(each, quiet=None) for each in lived().records[1:]):
            writer(record)
    code = (
        "import sys; from sessionfsm.show.reading import read_run; "
        "from sessionfsm.show.sequence import sequence_mermaid, sequence_svg; run = read_run(sys.argv[1]); "
        "sys.stdout.buffer.write((sequence_svg(run) + sequence_mermaid(run)).encode())"
    )
    drawn = []
    for seed, zone in (("1", "UTC"), ("2", "Asia/Shanghai")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"}
        command = [sys.executable, "-c", code, str(file)]
        drawn.append(subprocess.run(command, check=True, capture_output=True, env=environment, timeout=60).stdout)
    assert drawn[0] == drawn[1]
    assert drawn[0].decode().startswith(sequence_svg(read_run(file)))


# Anybody's words, and any run.


def test_any_words_can_be_told() -> None:
    """Accounts, details, reasons and signals full of markup and unseen characters become harmless text that fits."""
    records = [
        replace(
            record,
            account=WILD * 20,
            detail=record.detail and f"{record.detail} {WILD * 20}",
            reason=f"{WILD} {'reason' * 2000}",
            raised=(WILD, "long" * 300) if record.raised else (),
        )
        for record in lived().records
    ]
    sends = [replace(send, failed=send.failed and WILD) for send in lived().sends]
    text = sequence_svg(run_from(records, lived().machine, sends=sends), most=ALL)
    assert "<script" not in text
    assert not set(text) & set("\x00\x1b\u202e\u2066\ud800")
    assert "名前" in text
    assert flaws_of(text) == []
    text.encode()


def test_times_that_are_far_apart_have_room() -> None:
    """Milliseconds beside years: each time is written whole, in its column."""
    records = [replace(record, at_s=record.at_s + 10.0 ** (at / 2)) for at, record in enumerate(lived().records)]
    records = [replace(record, started_s=None) for record in records]
    text = sequence_svg(run_from(records, lived().machine), most=ALL)
    assert flaws_of(text) == []
    assert " d " in rows_of(text)[-1].time


def _made(number: int, at: float, trigger: str, source: str, target: str | None = None, **facts: Any) -> Record:
    memory = Memory(expired=False, trusted=False, waits=0, denials=0, doubts=0, hurries=0)
    plain: dict[str, Any] = {
        "account": "a",
        "wall_s": 1e9,
        "serial": None,
        "operation": "",
        "memory": memory,
        "command": None,
        "wait_s": None,
        "started_s": None,
        "held_s": None,
        "news": 0,
        "reason": "so",
        "detail": "",
        "raised": (),
        "cleared": (),
        "quiet": None,
    }
    return Record(number=number, at_s=at, trigger=trigger, source=source, target=target or source, **{**plain, **facts})


MACHINES = {"default": Machine(), "quiet hours": Machine(table=quiet_hours(Policy()))}
COMMANDS = (
    None,
    Renew(serial=1, deadline_s=10),
    Poll(serial=2, pace_s=4, fresh=True),
    Wait(serial=3, ladder="transport", attempt=3, rung_s=4, first_s=1, ceiling_s=60),
    Own(serial=4, name="look <b>around</b>", deadline_s=5, outcomes=("seen",), otherwise="blind"),
)
GAPS = st.sampled_from([0.0, 0.0, 0.001, 0.5, 40.0, 3e5])


@st.composite
def runs(draw: Any) -> Run:
    """Runs that a session need not be able to have: any arcs of a table one after the other, and anything beside."""
    machine = MACHINES[draw(st.sampled_from(list(MACHINES)))]
    arcs = [(str(row.trigger), str(source), str(row.target)) for row in machine.table.rows for source in row.sources]
    state, at, records = draw(st.sampled_from([source for _, source, _ in arcs])), 0.0, []
    for number in range(1, draw(st.integers(1, 30)) + 1):
        trigger, _, target = draw(st.sampled_from([arc for arc in arcs if arc[1] == state]))
        quiet = None
        if draw(st.booleans()):
            first, last = at, at + draw(GAPS)
            quiet = Quiet(
                polls=draw(st.integers(1, 2000)),
                first_started_s=first,
                last_started_s=last,
                longest_gap_s=1,
                news=draw(st.sampled_from([0, 0, 3])),
                since_news=0,
            )
            at = last
        begun = at + draw(GAPS)
        held = draw(GAPS)
        at = begun + held
        out = draw(st.booleans())
        records.append(
            _made(
                number,
                at,
                trigger,
                state,
                target,
                operation=draw(st.sampled_from(["poll", "renew"])) if out else "",
                serial=draw(st.integers(1, 4)),
                command=(command := draw(st.sampled_from(COMMANDS))),
                wait_s=draw(st.sampled_from([0.2, 9000.0])) if isinstance(command, Wait) else None,
                started_s=begun if out else None,
                held_s=draw(st.sampled_from([None, held])) if out else None,
                news=draw(st.sampled_from([0, 0, 1, 1000])),
                detail=draw(st.sampled_from(["", "", "getupdates: HTTP status 502", "x" * 500])),
                raised=draw(st.sampled_from([(), (), ("login_required",)])),
                quiet=quiet,
            )
        )
        state = target
    sends = [
        SendRecord(
            account="a",
            started_s=draw(st.floats(0, at)),
            held_s=draw(GAPS),
            state="active",
            failed=draw(st.sampled_from(["", "ConnectFailed"])),
            detail="",
        )
        for _ in range(draw(st.integers(0, 6)))
    ]
    return run_from(records, machine, sends=sends)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(runs(), st.integers(1, 60))
def test_no_run_breaks_the_picture(run: Run, most: int) -> None:
    """Whatever is on record: rows are in order, every request has one answer, and nothing is covered."""
    text = sequence_svg(run, most=most)
    assert flaws_of(text) == []
    rows = rows_of(text)
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    asked = Counter(exchange_of(row) for row in rows if "asked" in row.looks and "close" not in row.looks)
    assert asked == Counter(exchange_of(row) for row in rows if "answered" in row.looks)
    assert asked.total() <= most
