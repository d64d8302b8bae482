"""The timeline as SVG, read back from its text: what stands where, and that nothing is missing or covered."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionfsm import DefinitionError
from sessionfsm.examples import quiet_hours
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.session import Quiet
from sessionfsm.show import Run, SendMark, run_from, run_of
from sessionfsm.show.timeline import timeline_mermaid, timeline_svg
from sessionfsm.show.timeline_lanes import lanes_of
from sessionfsm.show.timeline_time import TIMES
from sessionfsm.testing import Bench, FakeServer
from sessionfsm.testing import run as in_virtual_time
from tests.diagram.test_svg import SVG, Area, area_of_rect, area_of_text, contrast

from .timeline_runs import HOSTILE_TEXT, build, busy, few, hostile, in_states, sent, uneven, wait_of


def shifted(element: ET.Element) -> Area:
    """The area of a text, wherever its anchor is."""
    area = area_of_text(element)
    back = (area.right - area.left) * {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "start")]
    return Area(area.left - back, area.top, area.right - back, area.bottom)


def flaws_of(text: str) -> list[str]:
    """Everything that lies where it should not."""
    root = ET.fromstring(text)
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    sheet = Area(left, top, left + width, top + height)
    texts = [shifted(element) for element in root.iter(f"{SVG}text")]
    frames = [area_of_rect(rect) for rect in root.iter(f"{SVG}rect") if rect.get("class") == "frame"]
    lanes = [
        [[area_of_rect(rect) for rect in mark.iter(f"{SVG}rect")] for mark in lane.iter() if is_mark(mark)]
        for lane in root.iter()
        if is_lane(lane)
    ]
    flaws = [f"two texts overlap: {one}, {other}" for one, other in pairs(texts) if one.meets(other)]
    flaws += [f"two panels overlap: {one}, {other}" for one, other in pairs(frames) if one.meets(other)]
    for lane in lanes:
        marks = [area for mark in lane for area in mark]
        for before, after in itertools.pairwise(lane):
            if any(one.meets(other) for one in before for other in after):
                flaws.append(f"two marks of a lane overlap: {before}, {after}")
        flaws += [f"{mark} is in no panel" for mark in marks if not any(mark.within(frame) for frame in frames)]
        for words in texts:
            # Words stand in a mark or beside it; not on its edge.
            if any(words.meets(mark) for mark in marks) and not any(words.within(mark) for mark in marks):
                flaws.append(f"a text lies on the edge of a mark: {words}")
    return flaws + [f"{area} is outside" for area in (*texts, *frames) if not area.within(sheet)]


def pairs(areas: list[Area]) -> Iterator[tuple[Area, Area]]:
    """Those that are near enough to overlap: in a large picture all pairs would be millions."""
    by_left = sorted(areas, key=lambda area: area.left)
    for at, area in enumerate(by_left):
        for other in by_left[at + 1 :]:
            if other.left >= area.right:
                break
            yield area, other


def is_mark(element: ET.Element) -> bool:
    return element.get("class", "").startswith("mark ")


def is_lane(element: ET.Element) -> bool:
    return element.get("class", "").startswith("lane ")


def lane_of(text: str, name: str) -> list[ET.Element]:
    """The marks of a lane; none if there is no such lane."""
    lanes = [element for element in ET.fromstring(text).iter() if element.get("id") == f"timeline-{name}"]
    return [element for lane in lanes for element in lane if is_mark(element)]


def counted(text: str, name: str) -> int:
    return sum(int(mark.get("data-count", "1")) for mark in lane_of(text, name))


def state_lane(run: Run, name: str) -> str:
    return f"state-{[box.name for box in run.diagram.boxes].index(name)}"


def tip(mark: ET.Element) -> str:
    return mark.find(f"{SVG}title").text or ""  # type: ignore[union-attr]


def words_of(text: str) -> str:
    return " ".join("".join(element.itertext()) for element in ET.fromstring(text).iter(f"{SVG}text"))


def covered(text: str, mark: ET.Element) -> tuple[float, float]:
    """From where to where a mark reaches on the axis, in seconds."""
    root = ET.fromstring(text)
    x0, x1, t0, t1 = (float(root.attrib[f"data-{name}"]) for name in ("x0", "x1", "t0", "t1"))
    area = area_of_rect(next(rect for rect in mark.iter(f"{SVG}rect")))
    return tuple(t0 + (x - x0) / (x1 - x0) * (t1 - t0) for x in (area.left, area.right))  # type: ignore[return-value]


RUNS: dict[str, Callable[[], Run]] = {
    "few": few,
    "uneven": uneven,
    "hostile": hostile,
    "very long words": lambda: hostile("long" * 2500),
    "very long words, wide": lambda: hostile("名" * 10_000),
    "one record": lambda: build((0, "start", "recovering", {})),
    "busy": lambda: busy(3000),
    "a stretch": lambda: few().between(5.5, 9.0),
    "a moment": lambda: few().between(12.0, 12.0),
    "pairs with little room between": lambda: replace(
        few(),
        sends=tuple(
            SendMark(from_s=at, until_s=at, state="active", failed="")
            for number in range(20)
            for at in (number * 0.6, number * 0.6 + 0.001)
        ),
    ),
    "a fifth of a millisecond": lambda: build(
        (0, "start", "recovering", {}), (0.0002, "session_renewed", "active", {"held_s": 0.0001})
    ),
    "torn": lambda: few(end="torn"),
    "many states": lambda: in_states(40),
    "quiet hours": lambda: build((0, "start", "recovering", {}), machine=Machine(table=quiet_hours(Policy()))),
    "ages": lambda: build((0, "start", "recovering", {}), (1e15, "session_renewed", "active", {"held_s": 1e14})),
}


@pytest.mark.parametrize("name", RUNS)
def test_nothing_lies_on_anything_else(name: str) -> None:
    """No text overlaps another or the edge of a mark, no mark overlaps its neighbour, and all is in the picture."""
    run = RUNS[name]()
    for width in (480, 830, 1600):
        assert flaws_of(timeline_svg(run, width=width)) == []


@pytest.mark.parametrize(
    ("old", "new", "flaw"),
    [
        ('y="28"', 'y="46"', "two texts overlap"),
        ('text-anchor="end"', 'text-anchor="middle"', "on the edge of a mark|overlap|outside"),
        ('x="16" y="28"', 'x="700" y="28"', "is outside"),
    ],
)
def test_a_flaw_is_seen(old: str, new: str, flaw: str) -> None:
    """What the tests here look for they do find."""
    text = timeline_svg(few())
    assert old in text
    assert re.search(flaw, " ".join(flaws_of(text.replace(old, new))))


def test_a_mark_that_covers_its_neighbour_is_seen() -> None:
    """And so is one mark upon another, or one outside its panel."""
    text = timeline_svg(few())
    rect = next(rect for mark in lane_of(text, "polls") for rect in mark.iter(f"{SVG}rect"))
    wide = text.replace(f'x="{rect.attrib["x"]}"', 'x="20"', 1)
    wider = text.replace(f'width="{rect.attrib["width"]}"', 'width="900"')
    assert any("in no panel" in flaw or "edge" in flaw for flaw in flaws_of(wide))
    assert any("two marks of a lane overlap" in flaw for flaw in flaws_of(wider))


# What stands where.


def test_three_seconds_cover_three_seconds_of_the_axis() -> None:
    """A wait from 7 s to 10 s stands there, to less than a pixel, and so does everything else that is long enough."""
    text = timeline_svg(few())
    pixel = 20 / 600
    for lane, begin, end in (("waits", 7, 10), ("renewals", 0, 1), ("polls", 1, 4), ("sends-failed", 8, 10)):
        first, last = covered(text, lane_of(text, lane)[0])
        assert first == pytest.approx(begin, abs=pixel)
        assert last == pytest.approx(end, abs=pixel)
    signal = covered(text, lane_of(text, "signal-0")[0])
    assert signal == pytest.approx((7, 15), abs=pixel)


def test_marks_carry_their_seconds_and_their_record() -> None:
    """A script finds when each mark was, to a millisecond, and which record tells of it."""
    run = few()
    text = timeline_svg(run)
    found = [mark for name in ("polls", "polls-failed") for mark in lane_of(text, name)]
    wanted = {
        (f"{each.from_s:.3f}", f"{each.until_s:.3f}", str(each.number)) for each in run.requests if each.kind == "poll"
    }
    assert {(m.attrib["data-from"], m.attrib["data-until"], m.attrib["data-record"]) for m in found} == wanted
    assert [mark.attrib["data-record"] for mark in lane_of(text, "records")] == [str(n + 1) for n in range(12)]


def test_a_wait_that_was_cut_short_shows_what_was_left() -> None:
    """Of 10 s that were planned 4 s passed: those are solid, and a dashed rest reaches to where it would have ended."""
    run = build(
        (0, "start", "recovering", {}),
        (1, "renewal_failed", "active", {"held_s": 1.0}),
        (2, "session_expired", "backoff", {"held_s": 1.0, **wait_of(10.0)}),
        (6, "wake", "recovering", {}),
        (20, "session_renewed", "active", {"held_s": 14.0}),
    )
    text = timeline_svg(run)
    (mark,) = lane_of(text, "waits")
    rest, solid = sorted(mark.iter(f"{SVG}rect"), key=lambda rect: -float(rect.attrib["x"]))
    assert "stroke-dasharray" in rest.attrib
    assert solid.attrib["class"] == "line"
    assert covered(text, mark)[1] == pytest.approx(12, abs=0.05)
    assert tip(mark) == "wait of 10 s (session): cut short after 4 s\nat 2.000 s"
    assert "1, 1 cut short" in words_of(text)
    assert "a wait, cut short" in words_of(text)


def test_what_failed_stands_in_a_lane_of_its_own() -> None:
    """Who sees no colours sees it all the same: bad requests and sends are under the good ones."""
    text = timeline_svg(few())
    assert [counted(text, name) for name in ("polls", "polls-failed", "renewals", "renewals-failed")] == [4, 2, 2, 1]
    assert [counted(text, name) for name in ("sends", "sends-failed", "notifystop")] == [1, 1, 0]
    assert counted(text, "notifystops") == 1
    assert all(area_of(mark).top > area_of(lane_of(text, "polls")[0]).bottom for mark in lane_of(text, "polls-failed"))


def area_of(mark: ET.Element) -> Area:
    return area_of_rect(next(mark.iter(f"{SVG}rect")))


def test_tooltips_say_what_when_how_long_and_why() -> None:
    """A pointer on a mark is answered from the record."""
    text = timeline_svg(few())
    assert tip(lane_of(text, "polls-failed")[0]) == "poll: session_expired\nat 4.000 s, for 1 s\nerrcode -14\nrecord 4"
    assert tip(lane_of(text, "sends-failed")[0]).startswith("send: failed: SendFailed\nat 8.000 s, for 2 s\n")
    assert tip(lane_of(text, "records")[0]).startswith("record 1: start\nstopped → recovering, at 0.000 s\n")
    assert tip(lane_of(text, "messages")[0]) == "2 messages, at 4.000 s\nrecord 3"
    assert "until it was cleared" in tip(lane_of(text, "signal-0")[0])


def test_five_milliseconds_are_seen_beside_three_days() -> None:
    """What is shorter than a pixel has a mark that is two pixels wide; 12,000 quiet polls are one, and say so."""
    run = uneven()
    text = timeline_svg(run)
    stays = lane_of(text, state_lane(run, "recovering"))
    assert len(stays) == 2
    assert all(area_of(mark).right - area_of(mark).left > 2 for mark in stays)
    assert tip(stays[0]).startswith("recovering: 5 ms\n")
    assert counted(text, "polls") == 12_001
    assert f"{TIMES} 12,000" in words_of(text)
    assert "12,000 quiet polls: 3 messages" in tip(lane_of(text, "polls")[0])
    assert counted(text, "messages") == 4


def test_the_heading_says_when_it_began_and_how_it_ends() -> None:
    """The first line that a stranger reads is whose run it is, from when, and whether that is all."""
    said = words_of(timeline_svg(few()))
    assert "Run of bot@im.bot" in said
    assert "began 2023-11-14 22:13:20 UTC · 20 s, from its start · closed in stopped" in said
    assert "torn off in the middle of a line: in stopped" in words_of(timeline_svg(few(end="torn")))
    assert "broken off in stopped: No space" in words_of(timeline_svg(few(end="broken_off", why="No space left")))
    stretch = words_of(timeline_svg(few().between(5.5, 9.0)))
    assert "3.5 s, from 5.500 s on · goes on after that, from backoff" in stretch


@pytest.mark.parametrize(
    ("run", "begin", "end"),
    [(few(), False, False), (few(end="torn"), False, True), (few().between(5, 9), True, True)],
)
def test_an_end_that_is_not_one_is_dashed(run: Run, begin: bool, end: bool) -> None:
    """Where the run goes on beyond the picture its edge is dashed; where it begins or is closed it is a line."""
    edges = {group.get("class", "").split()[0]: group for group in ET.fromstring(timeline_svg(run)).iter(f"{SVG}g")}
    dashed = ["stroke-dasharray" in ET.tostring(edges[which], "unicode") for which in ("begin", "end")]
    assert dashed == [begin, end]


def test_a_live_session_has_a_timeline() -> None:
    """From ``session.history`` the last part is drawn; that its start is not there is said."""

    async def read(session: Any) -> None:
        async for _ in session:
            pass

    async def story() -> Run:
        async with Bench(read, server=FakeServer(hold_s=20.0)) as bench:
            bench.push("hello")
            await bench.settle()
            return run_of(bench.session)

    run = in_virtual_time(story)
    text = timeline_svg(run)
    assert flaws_of(text) == []
    assert counted(text, "records") == len(run.steps)
    later = replace(run, whole=False, steps=run.steps[1:])
    assert "its start is not here" in words_of(timeline_svg(later))
    assert "first record 2" in words_of(timeline_svg(later))


def test_a_signal_that_was_raised_before_reaches_in_from_the_left() -> None:
    """A history that begins late may know only that a signal was cleared: it was up until then."""
    run = build(
        (0, "start", "recovering", {}),
        (5, "session_renewed", "active", {"held_s": 1.0}),
        (8, "polled", "active", {"held_s": 1.0, "cleared": ("login_required",)}),
        (10, "polled", "active", {"held_s": 1.0, "raised": ("renewal_blocked",)}),
        (20, "polled", "active", {"held_s": 1.0}),
    )
    text = timeline_svg(run)
    assert covered(text, lane_of(text, "signal-0")[0]) == pytest.approx((0, 8), abs=0.05)
    assert covered(text, lane_of(text, "signal-1")[0]) == pytest.approx((10, 20), abs=0.05)


# Nothing is missing.


def missing_from(run: Run, text: str) -> dict[str, tuple[int, int]]:
    """What is not there as often as it happened, with both numbers."""
    wanted: Counter[str] = Counter({"records": len(run.steps)})
    names = {"poll": "polls", "renew": "renewals", "close": "notifystops"}
    for request in run.requests:
        wanted[names[request.kind] + ("" if request.good else "-failed")] += request.polls
        wanted["messages"] += request.news
    wanted["waits"] = sum(wait.planned_s is not None for wait in run.waits)
    wanted["operations"] = sum(wait.planned_s is None for wait in run.waits)
    for send in run.sends:
        wanted["sends-failed" if send.failed else "sends"] += 1
    found = {name: counted(text, name) for name in wanted}
    stays = sum(counted(text, f"state-{number}") for number in range(len(run.diagram.boxes)))
    found["stays"], wanted["stays"] = stays + counted(text, "state-others"), len(run.stays)
    return {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}


@pytest.mark.parametrize("name", RUNS)
def test_everything_is_there_or_counted(name: str) -> None:
    """Each record, stay, request, message, wait and send has a mark, or is one of those that a mark stands for."""
    run = RUNS[name]()
    for width in (480, 830):
        assert missing_from(run, timeline_svg(run, width=width)) == {}


@st.composite
def runs(draw: Any) -> Run:
    """Runs with times far apart and close together, and with sends that overlap."""
    step = st.one_of(st.floats(0, 0.01), st.floats(0.1, 30), st.floats(1e3, 1e6))
    at = 0.0
    changes: list[tuple[float, str, str, dict[str, Any]]] = [(0, "start", "recovering", {})]
    state = "recovering"
    for _ in range(draw(st.integers(0, 40))):
        passed = draw(step)
        at += passed
        held = {"held_s": passed * draw(st.floats(0, 1))}
        match state:
            case "recovering":
                trigger, state, more = draw(st.sampled_from(["session_renewed", "renewal_failed"])), "active", held
            case "active" if draw(st.booleans()):
                quiet = None
                if passed > 1 and draw(st.booleans()):
                    begin = 1000 + at - passed
                    quiet = Quiet(
                        polls=draw(st.integers(1, 10**6)),
                        first_started_s=begin,
                        last_started_s=begin + passed / 2,
                        longest_gap_s=1.0,
                        news=draw(st.integers(0, 3)),
                        since_news=0,
                    )
                    held = {"held_s": passed / 4}
                trigger, more = "polled", {**held, "quiet": quiet, "news": draw(st.integers(0, 3))}
            case "active":
                trigger, state, more = "session_expired", "backoff", {**held, **wait_of(draw(st.floats(0, 1e4)))}
            case _:
                trigger, state, more = draw(st.sampled_from(["retry_due", "wake"])), "recovering", {}
        changes.append((at, trigger, state, more))
    moments = st.tuples(st.floats(0, max(at, 1)), st.floats(0, max(at, 1) / 3), st.sampled_from(["", "SendFailed"]))
    sends = [sent(*each) for each in draw(st.lists(moments, max_size=20))]
    run = build(*changes, sends=sends)
    if draw(st.booleans()):
        begin, end = sorted((draw(st.floats(0, run.until_s)), draw(st.floats(0, run.until_s))))
        return run.between(begin, end)
    return run


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs(), st.integers(480, 1400))
def test_whatever_happened_all_of_it_is_there_and_nothing_overlaps(run: Run, width: int) -> None:
    """No run of up to forty changes has a picture in which something is missing or covered."""
    text = timeline_svg(run, width=width)
    assert flaws_of(text) == []
    assert missing_from(run, text) == {}


def test_fifty_thousand_records_make_a_picture_that_can_be_sent() -> None:
    """A run of 50,000 records and 5,000 sends has less than 1 MB, and still each of them is counted."""
    run = busy(50_000)
    text = timeline_svg(run)
    assert len(run.steps) > 49_990
    assert len(text.encode()) < 1_000_000
    assert missing_from(run, text) == {}
    assert flaws_of(text) == []


def test_no_run_bursts_the_picture() -> None:
    """As many marks as there is room for, each with the longest words, stay below 2 MB."""
    long = "&" * 10_000
    run = hostile(long)
    step, request, wait = run.steps[0], run.requests[0], run.waits[0]
    many = [number * 20 / 150 for number in range(150)]
    full = replace(
        run,
        steps=tuple(replace(step, at_s=at) for at in many),
        requests=tuple(replace(request, from_s=at, until_s=at) for at in many),
        waits=tuple(replace(wait, from_s=at, until_s=at) for at in many),
        sends=tuple(replace(run.sends[0], from_s=at, until_s=at) for at in many),
    )
    text = timeline_svg(full)
    assert missing_from(full, text) == {}
    assert len(text.encode()) < 2_000_000


# What it is made of.


def test_any_words_become_harmless_text() -> None:
    """Markup and characters that nobody sees, in names, details and reasons, are text and nothing else."""
    text = timeline_svg(hostile())
    assert "<script" not in text
    assert not set(text) & set("\x00\x1b\u202e\u2066\ud800")
    assert "名前" in text
    text.encode()
    assert HOSTILE_TEXT[:18] in words_of(text)


@pytest.mark.parametrize("scheme", ["auto", "light", "dark"])
def test_it_loads_nothing_and_runs_nothing(scheme: Literal["auto", "light", "dark"]) -> None:
    """A picture refers to nothing outside itself and has no script, so that any page may show it."""
    text = timeline_svg(few(), scheme=scheme)
    elements = {element.tag.removeprefix(SVG) for element in ET.fromstring(text).iter()}
    assert elements <= {"svg", "title", "desc", "style", "rect", "circle", "path", "g", "text", "tspan"}
    assert re.findall(r"url\(|@import|@font-face|href|https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert ("prefers-color-scheme" in text) == (scheme == "auto")


def test_its_ids_are_its_own() -> None:
    """A page may show it beside the lifecycle: each id is there once, and begins with the picture's name."""
    ids = Counter(
        element.attrib["id"] for element in ET.fromstring(timeline_svg(few())).iter() if "id" in element.attrib
    )
    assert set(ids.values()) == {1}
    assert all(name.startswith("timeline-") for name in ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_texts_can_be_read_on_what_is_behind_them(scheme: Literal["light", "dark"]) -> None:
    """Each colour of a text has a contrast of 4.5 to 1 or more with what it stands on (WCAG 2.1, level AA)."""
    root = ET.fromstring(timeline_svg(busy(400), scheme=scheme))
    rects = [(area_of_rect(rect), rect.attrib["fill"]) for rect in list(root.iter(f"{SVG}rect"))[1:]]
    paper = next(root.iter(f"{SVG}rect")).attrib["fill"]
    for element in root.iter(f"{SVG}text"):
        under = [fill for area, fill in rects if shifted(element).within(area)]
        assert contrast(next(element.iter(f"{SVG}tspan")).attrib["fill"], under[-1] if under else paper) >= 4.5


def test_letters_are_large_enough_for_a_front_page() -> None:
    """On a page 830 pixels wide no letter is smaller than ten pixels."""
    sizes = [float(run.attrib["font-size"]) for run in ET.fromstring(timeline_svg(few())).iter(f"{SVG}tspan")]
    assert min(sizes) >= 10


@pytest.mark.parametrize("width", [0, 479, 20_001])
def test_a_width_that_nothing_fits_in_is_refused(width: int) -> None:
    """The message names the bounds."""
    with pytest.raises(DefinitionError, match=r"480 to 20,000 pixels wide"):
        timeline_svg(few(), width=width)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_draws_the_same(seed: str) -> None:
    """The text hangs on the run alone: not on a process, its time zone or its clock."""
    code = (
        "import sys; from sessionfsm.show.timeline import timeline_mermaid, timeline_svg; "
        "from tests.show.timeline_runs import hostile; r = hostile(); "
        "sys.stdout.buffer.write((timeline_svg(r) + timeline_mermaid(r)).encode())"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": "Asia/Kolkata", "LC_ALL": "C"}
    drawn = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment, timeout=60)
    assert drawn.stdout.decode() == timeline_svg(hostile()) + timeline_mermaid(hostile())


def test_a_poll_that_was_only_counted_is_not_said_to_have_taken_no_time() -> None:
    """Of it the beginning is known, and neither its end nor when its message came."""
    quiet = Quiet(polls=1, first_started_s=1005.0, last_started_s=1005.0, longest_gap_s=3.0, news=1, since_news=0)
    run = build((0.0, "start", "recovering", {}), (1.0, "session_renewed", "active", {"held_s": 0.5}))
    run = run_from([step.record for step in run.steps], Machine(), quiet=quiet)
    said = timeline_svg(run)
    assert "1 quiet poll: 1 message\nstarted at 5.000 s\ncounted since the last record" in said
    assert "1 message, after 5.000 s\ncounted since the last record" in said
    assert "for 0 ms" not in said


def test_a_signal_that_was_raised_before_the_stretch_has_its_lane() -> None:
    raised = {"raised": ("login_required",)}
    run = build(
        (0.0, "start", "recovering", {}), (5.0, "session_expired", "backoff", raised), (90.0, "stop", "stopping", {})
    )
    (lane,) = [lane for lane in lanes_of(run.between(20.0, 60.0)) if lane.panel == "signals"]
    (mark,) = lane.marks
    assert (lane.name, mark.from_s, mark.until_s, mark.number) == ("login_required", 20.0, 60.0, None)
    assert "raised before this" in timeline_svg(run.between(20.0, 60.0))
