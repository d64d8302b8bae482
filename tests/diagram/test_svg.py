"""The SVG picture, read back from its text: nothing lies on anything else, nothing is missing, all is well-formed."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sessionfsm.diagram import Detail, Diagram, diagram_of, svg
from sessionfsm.diagram.layout_place import layout_of
from sessionfsm.diagram.text_width import text_width
from sessionfsm.examples import backoff_reset_by_renewal, official_client, quiet_hours
from sessionfsm.lifecycle import (
    Assign,
    AtLeast,
    Count,
    Is,
    Machine,
    Order,
    Pause,
    Policy,
    Row,
    StateEntry,
    Table,
)

from .tables import MACHINES

DETAILS: tuple[Detail, ...] = ("overview", "full")
SVG = "{http://www.w3.org/2000/svg}"


def diagram_from(table: Table) -> Diagram:
    return diagram_of(Machine(table=table))


DIAGRAMS = {
    "default": diagram_of(Machine()),
    "renewal required": diagram_of(Machine(Policy(renewal="required"))),
    "other figures": diagram_of(Machine(Policy(renewal_deadline_s=25))),
    "official client": diagram_from(official_client(Policy())),
    "backoff reset": diagram_from(backoff_reset_by_renewal(Policy())),
    "quiet hours": diagram_from(quiet_hours(Policy())),
}


# Reading a picture back, from its text alone.


@dataclass(frozen=True)
class Area:
    """A rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Area, by: float = 0.2) -> bool:
        """Return whether they have more in common than rounding explains."""
        return (
            min(self.right, other.right) - max(self.left, other.left) > by
            and min(self.bottom, other.bottom) - max(self.top, other.top) > by
        )

    def within(self, other: Area) -> bool:
        return (
            other.left <= self.left
            and other.top <= self.top
            and self.right <= other.right
            and self.bottom <= other.bottom
        )


@dataclass
class Picture:
    """What is seen. Texts and ways are kept with the number of the group in which they are."""

    sheet: Area
    texts: list[tuple[int, Area]] = field(default_factory=list)
    boxes: list[tuple[int, Area]] = field(default_factory=list)
    ways: list[tuple[int, list[tuple[float, float]]]] = field(default_factory=list)
    frame: Area | None = None


def read_back(text: str) -> Picture:
    root = ET.fromstring(text)
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    picture = Picture(Area(left, top, left + width, top + height))
    for number, group in enumerate(root):
        for element in group.iter():
            name, looks = element.tag.removeprefix(SVG), element.get("class")
            if name == "text":
                picture.texts.append((number, area_of_text(element)))
            elif name == "rect" and looks == "box":
                picture.boxes.append((number, area_of_rect(element)))
            elif name == "rect" and looks == "frame":
                picture.frame = area_of_rect(element)
            elif name == "path" and looks == "path" and group.get("class", "").startswith(("arrow", "entry")):
                numbers = [float(each) for each in re.findall(r"-?[\d.]+", element.attrib["d"])]
                picture.ways.append((number, list(zip(numbers[::2], numbers[1::2], strict=True))))
    return picture


def area_of_text(element: ET.Element) -> Area:
    runs = list(element.iter(f"{SVG}tspan"))
    sizes = [float(run.attrib["font-size"]) for run in runs]
    width = sum(
        text_width(run.text or "", size, bold=run.get("font-weight") == "bold")
        for run, size in zip(runs, sizes, strict=True)
    )
    x, y = float(element.attrib["x"]), float(element.attrib["y"])
    return Area(x, y - 0.75 * max(sizes), x + width, y + 0.22 * max(sizes))


def area_of_rect(element: ET.Element) -> Area:
    x, y = float(element.attrib["x"]), float(element.attrib["y"])
    return Area(x, y, x + float(element.attrib["width"]), y + float(element.attrib["height"]))


def segments(way: list[tuple[float, float]]) -> Iterator[Area]:
    """Yield each part of a path as a rectangle without a breadth; at a round corner they go through the corner."""
    for (x, y), (to_x, to_y) in itertools.pairwise(way):
        yield Area(min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y))


def crosses(part: Area, other: Area) -> bool:
    """Return whether a part of a path goes through an area, deeper than rounding to tenths explains."""
    wide = Area(part.left - 0.2, part.top - 0.2, part.right + 0.2, part.bottom + 0.2)
    return wide.meets(other, by=0.39)


def flaws_of(text: str) -> list[str]:
    """Return everything that lies where it should not."""
    picture = read_back(text)
    flaws = []
    for (_, one), (_, other) in itertools.combinations(picture.texts, 2):
        if one.meets(other):
            flaws.append(f"two texts overlap: {one}, {other}")
    for (_, one), (_, other) in itertools.combinations(picture.boxes, 2):
        if one.meets(other):
            flaws.append(f"two boxes overlap: {one}, {other}")
    for (at, label), (number, box) in itertools.product(picture.texts, picture.boxes):
        if at == number and not label.within(box):
            flaws.append(f"a text sticks out of its box: {label}, {box}")
        if at != number and label.meets(box):
            flaws.append(f"a box lies on a text: {label}, {box}")
    for (at, way), (number, label) in itertools.product(picture.ways, picture.texts):
        if any(crosses(part, label) for part in segments(way)):
            flaws.append(f"arrow {at} goes through a text of {number}: {label}")
    for (at, way), (_, box) in itertools.product(picture.ways, picture.boxes):
        if any(crosses(part, box) for part in segments(way)):
            flaws.append(f"arrow {at} goes through a box: {box}")
    everything = [area for _, area in (*picture.texts, *picture.boxes)]
    everything += [part for _, way in picture.ways for part in segments(way)]
    if picture.frame:
        for edge in edges_of(picture.frame):
            flaws += [f"the frame goes through {area}" for _, area in picture.texts if crosses(edge, area)]
            flaws += [f"the frame goes through {area}" for _, area in picture.boxes if crosses(edge, area)]
        everything.append(picture.frame)
    return flaws + [f"{area} is outside" for area in everything if not area.within(picture.sheet)]


def edges_of(area: Area) -> tuple[Area, ...]:
    left, top, right, bottom = area.left, area.top, area.right, area.bottom
    return (
        Area(left, top, right, top),
        Area(left, bottom, right, bottom),
        Area(left, top, left, bottom),
        Area(right, top, right, bottom),
    )


def crossings_of(text: str) -> int:
    """Return how often two arrows meet."""
    return sum(
        crosses(one, Area(other.left - 0.5, other.top - 0.5, other.right + 0.5, other.bottom + 0.5))
        for (_, way), (_, to) in itertools.combinations(read_back(text).ways, 2)
        for one, other in itertools.product(segments(way), segments(to))
    )


def ids_of(text: str) -> Counter[str]:
    return Counter(element.attrib["id"] for element in ET.fromstring(text).iter() if "id" in element.attrib)


@pytest.mark.parametrize(
    ("part", "flaw"),
    [
        ('<text x="20" y="52"><tspan font-size="10">under it</tspan></text>', "two texts overlap"),
        ('<g class="state"><rect class="box" x="10" y="5" width="90" height="20"/></g>', "two boxes overlap"),
        ('<g><rect class="box" x="5" y="45" width="50" height="30"/></g>', "a box lies on a text"),
        (
            '<g class="state"><rect class="box" x="5" y="80" width="10" height="15"/>'
            '<text x="7" y="90"><tspan font-size="10">wide</tspan></text></g>',
            "a text sticks out of its box",
        ),
        ('<g class="arrow"><path class="path" d="M30 40L30 70"/></g>', "goes through a text"),
        ('<g class="arrow"><path class="path" d="M5 40Q5 20 60 20"/></g>', "goes through a box"),
        ('<rect class="frame" x="30" y="30" width="80" height="65"/>', "the frame goes through"),
        ('<rect class="frame" x="2" y="2" width="150" height="20"/>', "is outside"),
    ],
)
def test_a_flaw_is_seen(part: str, flaw: str) -> None:
    """What the tests below look for they do find: a picture with one flaw is one that they refuse."""
    picture = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 100">'
        '<g class="state"><rect class="box" x="10" y="10" width="90" height="20"/>'
        '<text x="12" y="24"><tspan font-size="10">name</tspan></text></g>'
        '<g class="arrow"><path class="path" d="M15 30L15 45"/>'
        '<text x="20" y="50"><tspan font-size="10">label</tspan></text></g>{}</svg>'
    )
    assert flaws_of(picture.format("")) == []
    assert any(flaw in each for each in flaws_of(picture.format(part)))


# The tables that we know.


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", [*DIAGRAMS, *(name for name in MACHINES if name not in DIAGRAMS)])
def test_nothing_lies_on_anything_else(name: str, detail: Detail) -> None:
    """No text overlaps another one or a box, no arrow goes through a text or a box, and all is inside the picture."""
    diagram = DIAGRAMS[name] if name in DIAGRAMS else diagram_of(MACHINES[name])
    assert flaws_of(svg(diagram, detail=detail)) == []


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", DIAGRAMS)
def test_no_two_arrows_cross(name: str, detail: Detail) -> None:
    """In the pictures that we show each arrow is one straight line, and none meets another."""
    text = svg(DIAGRAMS[name], detail=detail)
    assert crossings_of(text) == 0
    assert all(len(way) == 2 for _, way in read_back(text).ways)


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", DIAGRAMS)
def test_every_state_and_every_arc_has_its_element(name: str, detail: Detail) -> None:
    """The ids of the model are those in the picture, each once: a recorded run finds every arc that it took."""
    diagram = DIAGRAMS[name]
    wanted = [each.id for each in (*diagram.boxes, *diagram.arcs)] + ["lifecycle-title", "lifecycle-desc"]
    assert ids_of(svg(diagram, detail=detail)) == Counter(wanted)


@pytest.mark.parametrize("name", DIAGRAMS)
def test_every_arc_says_what_it_does(name: str) -> None:
    """An arc's element has its trigger, its guards and, as a tooltip, its reason; its command is on the same arrow."""
    diagram = DIAGRAMS[name]
    root = ET.fromstring(svg(diagram))
    groups = {element.get("id"): element for element in root.iter() if "id" in element.attrib}
    above = {child: element for element in root.iter() for child in element}
    for arc in diagram.arcs:
        words = seen_in(groups[arc.id])
        assert words.startswith(arc.trigger)
        assert all(guard in words for guard in arc.guards)
        assert arc.reason in "".join(title.text or "" for title in groups[arc.id].iter(f"{SVG}title"))
        whole = above[groups[arc.id]]
        while whole.get("class") == "arc":
            whole = above[whole]
        assert f"→ {arc.command}" in seen_in(whole) or not arc.command
        assert arc.figure in seen_in(whole)
        for update in arc.updates:
            cell, _, value = update.rpartition(" ")
            assert cell.split()[0] in seen_in(whole)
            assert value in seen_in(whole)


def seen_in(element: ET.Element) -> str:
    return " ".join("".join(text.itertext()) for text in element.iter(f"{SVG}text"))


def test_the_policy_is_on_the_picture() -> None:
    """The figures are those of the policy that the machine has."""
    assert "at most 25 s" in seen_in(ET.fromstring(svg(DIAGRAMS["other figures"])))
    assert "at most 25 s" not in seen_in(ET.fromstring(svg(DIAGRAMS["default"])))


def test_states_have_their_place_by_meaning() -> None:
    """A session begins and ends above, lives in the frame, and its trouble is below what it lives for."""
    layout = layout_of(DIAGRAMS["default"])
    at = {placed.box.name: placed.rect for placed in layout.boxes}
    assert layout.frame is not None
    assert max(at["stopped"].bottom, at["stopping"].bottom) < layout.frame.y
    assert layout.frame.y < at["recovering"].y < at["active"].y < at["backoff"].y < layout.frame.bottom
    assert at["stopped"].right < at["stopping"].x


def test_what_all_live_states_share_leaves_the_frame_once() -> None:
    """There is one arrow for ``stop``, from the frame, whether the table has one row for it or one for each state."""
    for name in ("default", "official client"):
        arrows = [arrow for arrow in layout_of(DIAGRAMS[name]).arrows if arrow.target == "stopping"]
        assert [arrow.source for arrow in arrows] == [""]
        assert {each for row in arrows[0].arcs for each in row} == {
            arc.id for arc in DIAGRAMS[name].arcs if arc.trigger == "stop"
        }


def test_a_front_page_has_room_for_it() -> None:
    """On a page 830 pixels wide no letter of the default picture is smaller than nine and a half pixels."""
    root = ET.fromstring(svg(DIAGRAMS["default"]))
    smallest = min(float(run.attrib["font-size"]) for run in root.iter(f"{SVG}tspan"))
    assert smallest * 830 / float(root.attrib["width"]) > 9.5


# What it is made of.


@pytest.mark.parametrize("scheme", ["auto", "light", "dark"])
def test_it_loads_nothing_and_runs_nothing(scheme: Literal["auto", "light", "dark"]) -> None:
    """A picture refers to nothing outside itself and has no script, so that any page may show it."""
    text = svg(DIAGRAMS["default"], scheme=scheme)
    elements = {element.tag.removeprefix(SVG) for element in ET.fromstring(text).iter()}
    assert elements <= {"svg", "title", "desc", "style", "rect", "circle", "path", "g", "text", "tspan"}
    assert re.findall(r"url\(|@import|@font-face|href|https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]


def test_blanks_between_words_are_kept() -> None:
    """A trigger and its guards stay apart in programs that trim each part of a line (librsvg 2.54 does)."""
    root = ET.fromstring(svg(DIAGRAMS["default"]))
    assert root.attrib["{http://www.w3.org/XML/1998/namespace}space"] == "preserve"
    assert "session_expired [trusted] hollow [doubts ≥ 2, trusted] → renew at most 10 s" in seen_in(root)


def test_it_is_dark_where_the_reader_wants_that() -> None:
    """One file serves both; where nobody asks it is light, and so it is where style sheets are not understood."""
    auto, light, dark = (svg(DIAGRAMS["default"], scheme=scheme) for scheme in ("auto", "light", "dark"))
    assert "prefers-color-scheme: dark" in auto
    assert "prefers-color-scheme" not in light + dark
    for text, paper in ((auto, "#ffffff"), (light, "#ffffff"), (dark, "#12171d")):
        sheet = next(rect for rect in ET.fromstring(text).iter(f"{SVG}rect"))
        assert sheet.attrib["fill"] == paper


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_texts_can_be_read_on_what_is_behind_them(scheme: Literal["light", "dark"]) -> None:
    """Each colour of a text has a contrast of 4.5 to 1 or more with each ground it stands on (WCAG 2.1, level AA)."""
    text = svg(DIAGRAMS["default"], scheme=scheme)
    root = ET.fromstring(text)
    paper = next(root.iter(f"{SVG}rect")).attrib["fill"]
    frame = next(rect.attrib["fill"] for rect in root.iter(f"{SVG}rect") if rect.get("class") == "frame")
    for group in root:
        boxes = [rect.attrib["fill"] for rect in group.iter(f"{SVG}rect") if rect.get("class") == "box"]
        for run in group.iter(f"{SVG}tspan"):
            for ground in boxes or (paper, frame):
                assert contrast(run.attrib["fill"], ground) >= 4.5


def contrast(one: str, other: str) -> float:
    first, second = sorted((luminance(one), luminance(other)))
    return (second + 0.05) / (first + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_draws_the_same(seed: str) -> None:
    """The text hangs on the table alone, not on the order in which a process happens to keep its sets."""
    code = (
        "import sys; from sessionfsm.diagram import diagram_of, svg; "
        "from sessionfsm.lifecycle import Machine; d = diagram_of(Machine()); "
        "sys.stdout.buffer.write((svg(d) + svg(d, detail='overview')).encode())"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed}
    drawn = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment, timeout=60)
    diagram = DIAGRAMS["default"]
    assert drawn.stdout.decode() == svg(diagram) + svg(diagram, detail="overview")


# Tables of one's own.

WILD = "\"><script>alert(1)</script>&amp; 'x' ]]> \x00\x1b\u202e\u2066 \ud800 名前\n\t\u0627\u0644 e\u0301"


def table_of(names: tuple[str, ...], rows: tuple[Row, ...], initial: str | None = None) -> Table:
    triggers = tuple(dict.fromkeys(str(row.trigger) for row in rows))
    return Table(
        name=names[0],
        states=tuple(StateEntry(name=name, meaning=f"What {name} means.") for name in names),
        rows=rows,
        signals=(),
        initial=initial or names[0],
        external=triggers,
    )


@pytest.mark.parametrize("detail", DETAILS)
def test_any_words_can_be_drawn(detail: Detail) -> None:
    """Names with markup, control characters, half characters and turned writing become harmless text that fits."""
    row = Row(
        trigger=WILD, sources=(WILD,), target="end", order=Pause(WILD, 5), reason=WILD, guards=(Is("trusted", True),)
    )
    loop = Row(trigger=f"{WILD} 2", sources=(WILD,), target=WILD, order=Order.NOTHING, reason=WILD)
    diagram = diagram_from(table_of((WILD, "end"), (row, loop)))
    text = svg(diagram, detail=detail)
    assert "<script" not in text
    assert not set(text) & set("\x00\x1b\u202e\u2066\ud800")
    assert "名前" in text
    assert flaws_of(text) == []
    text.encode()


def test_very_long_words_are_broken_and_do_not_burst_the_picture() -> None:
    """A name of 10,000 letters is cut where it is written; the picture stays as wide as with any other."""
    long = "long" * 2500
    rows = tuple(
        Row(trigger=f"{long}{at}", sources=("a", "b"), target="c", order=Pause(long, 5), reason="") for at in range(3)
    )
    text = svg(diagram_from(table_of(("a", "b", "c", long), rows)))
    assert flaws_of(text) == []
    assert read_back(text).sheet.right < 1200


def test_a_large_table_is_drawn_too() -> None:
    """With 30 states and 90 arcs the picture is large, and whole: no text is covered, and no arc is missing."""
    names = tuple(f"state {at}" for at in range(30))
    rows = tuple(
        Row(
            trigger=f"event {step}",
            sources=(name,),
            target=names[(at * 7 + step * step + 1) % 30],
            order=Order.RENEW,
            reason="so",
        )
        for at, name in enumerate(names)
        for step in range(3)
    )
    diagram = diagram_from(table_of(names, rows))
    text = svg(diagram)
    assert flaws_of(text) == []
    assert {each.id for each in (*diagram.boxes, *diagram.arcs)} < set(ids_of(text))


@pytest.mark.parametrize("count", [1, 2])
def test_the_smallest_tables_are_drawn(count: int) -> None:
    """A state without any arc, and two that do not know of each other, make a picture."""
    text = svg(diagram_from(table_of(("one", "two")[:count], ())))
    assert flaws_of(text) == []
    assert len(read_back(text).boxes) == count


WORDS = st.sampled_from(
    [
        "stopped",
        "recovering",
        "a",
        "waiting for the second answer",
        "x" * 40,
        "名前と状態",
        "état",
        "polling",
        "IIII",
        "@W@W",
    ]
)


@st.composite
def tables(draw: Any) -> Table:
    """Tables with up to ten states and thirty arcs; rows with several sources count for each."""
    count = draw(st.integers(1, 10))
    names = tuple(f"{word} {at}" for at, word in enumerate(draw(st.lists(WORDS, min_size=count, max_size=count))))
    states = st.sampled_from(names)
    guards = st.sampled_from([(), (Is("trusted", True),), (AtLeast("doubts", 2), Is("expired", False))])
    updates = st.sampled_from([(), (Assign("expired", True), Count("hurries"))])
    orders = st.sampled_from([Order.POLL, Order.RENEW, Order.NOTHING, Pause("a short nap", 5), Pause("sleep", 5, 60)])
    rows: list[Row] = []
    left = draw(st.integers(0, 30))
    while left > 0:
        sources = tuple(draw(st.lists(states, min_size=1, max_size=min(4, left), unique=True)))
        rows.append(
            Row(
                trigger=draw(WORDS),
                sources=sources,
                target=draw(states),
                guards=draw(guards),
                updates=draw(updates),
                order=draw(orders),
                reason="because it is so",
            )
        )
        left -= len(sources)
    return table_of(names, tuple(rows), draw(states))


# A table that fails is shown as it was drawn: to look for the smallest one takes minutes.
@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(tables(), st.sampled_from(DETAILS))
def test_no_table_makes_labels_overlap(table: Table, detail: Detail) -> None:
    """Whatever a table of up to ten states and thirty arcs says, nothing is covered and nothing is missing."""
    diagram = diagram_from(table)
    text = svg(diagram, detail=detail)
    assert flaws_of(text) == []
    found = ids_of(text)
    assert set(found.values()) == {1}
    assert {each.id for each in (*diagram.boxes, *diagram.arcs)} < set(found)
