"""The lifecycle with the path that a run took: every count and every share is that of the records."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import pytest

from sessionfsm.diagram import Detail, mermaid, overview_of, svg
from sessionfsm.diagram.text_width import text_width
from sessionfsm.diagram.words import share_of, told
from sessionfsm.show import Run, read_run, run_diagram
from tests.diagram.test_formats import arrows_of, drawn_by_mermaid
from tests.diagram.test_svg import flaws_of
from tests.trace.recorded import whole_run


@pytest.fixture(scope="module")
def whole() -> Run:
    return read_run(io.BytesIO(whole_run()))


def test_the_counts_add_up(whole: Run) -> None:
    diagram = run_diagram(whole)
    assert sum(arc.taken or 0 for arc in diagram.arcs) == len(whole.steps)
    assert sum(box.share or 0.0 for box in diagram.boxes) == pytest.approx(1.0)
    into = {box.name: sum(arc.taken or 0 for arc in diagram.arcs if arc.target == box.name) for box in diagram.boxes}
    out = {box.name: sum(arc.taken or 0 for arc in diagram.arcs if arc.source == box.name) for box in diagram.boxes}
    assert into == out  # it began and ended in one state


def test_the_overview_loses_no_time_and_no_way(whole: Run) -> None:
    """The states that are gathered have the time of all of them, and the arrows out of them are counted together."""
    overview = overview_of(run_diagram(whole))
    assert sum(box.share or 0.0 for box in overview.boxes) == pytest.approx(1.0)
    assert {(arc.trigger, arc.taken) for arc in overview.arcs} == {("start", 1), ("stop", 1), ("closed", 1)}


def test_what_was_never_taken_fades_and_what_was_taken_says_how_often(whole: Run) -> None:
    diagram = run_diagram(whole)
    picture = svg(diagram)
    words = "".join(ET.fromstring(picture).itertext())
    for arc in diagram.arcs:
        if arc.taken and sum(other.row == arc.row for other in diagram.arcs) == 1:
            assert re.search(rf"{arc.taken:,} × *{arc.trigger}", words), arc
    faded = [group for group in ET.fromstring(picture).iter() if group.get("opacity")]
    assert faded
    for group in faded:
        ids = [each.get("id") for each in group.iter() if each.get("class") == "arc"]
        assert all(not arc.taken for arc in diagram.arcs if arc.id in ids)


@pytest.mark.parametrize("detail", ["full", "overview"])
def test_nothing_overlaps(whole: Run, detail: Detail) -> None:
    """Counts and shares have room like everything else."""
    for drawn in (whole, whole.between(0, 30), whole.between(200, 200)):
        assert flaws_of(svg(run_diagram(drawn), detail=detail)) == []


def test_mermaid_has_the_counts_and_where_the_run_is(whole: Run) -> None:
    text = mermaid(run_diagram(whole.between(0, 300)))
    assert re.search(r"\d+ × polled → poll", text)
    assert re.search(r"active : \d+ percent of the time, \d+ stays", text)
    assert "class stopped,stopping never" in text or "class stopping,stopped never" in text
    assert "%" not in text.replace("%%", "")


@pytest.mark.parametrize("detail", ["full", "overview"])
def test_mermaid_itself_draws_it(whole: Run, detail: Detail) -> None:
    """With every count, and what the run made of each state."""
    diagram = run_diagram(whole)
    texts, edges = drawn_by_mermaid(mermaid(diagram, detail=detail))
    drawn = overview_of(diagram) if detail == "overview" else diagram
    words = " ".join(texts)
    assert edges == len(arrows_of(drawn)) + 2
    for arc in drawn.arcs:
        if arc.taken and sum(other.row == arc.row for other in drawn.arcs) == 1:
            assert f"{arc.taken:,} × {arc.trigger}" in words
    assert "the run ended here" in words


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0 %"), (1e-9, "less than 1 %"), (0.5, "50 %"), (0.9999, "more than 99 %"), (1.0, "100 %")],
)
def test_a_share_never_says_nothing_of_something(share: float, words: str) -> None:
    assert share_of(share) == words


def test_a_state_outside_the_stretch_is_not_said_to_have_been_passed_by() -> None:
    """The run began in it: that no time was spent there is true of the whole and of a part."""
    run = read_run(io.BytesIO(whole_run()))
    for drawn in (run, run.between(1.0, 20.0)):
        assert "never here" not in svg(run_diagram(drawn))
    (stopped,) = [box for box in run_diagram(run.between(1.0, 20.0)).boxes if box.name == "stopped"]
    words = told(run_diagram(run.between(1.0, 20.0)), stopped)
    assert words == "no time was spent here"
    # A box is as wide as these need, and the page writes others into it.
    assert text_width(words, 10) >= text_width("not here until now", 10)
