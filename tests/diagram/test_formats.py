"""Each format is accepted by a program that is not ours, and says there what the table says, whatever its words."""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace

import mermaidx
import pytest
from hypothesis import HealthCheck, given, settings
from markdown_it import MarkdownIt

from sessionfsm.diagram import FORMATS, Arc, Detail, Diagram, diagram_of, dot, markdown, mermaid, overview_of, plantuml
from sessionfsm.diagram import text as terminal
from sessionfsm.diagram.arrows import arrows, shared
from sessionfsm.diagram.mermaid import plain
from sessionfsm.diagram.text import COLUMNS, _width
from sessionfsm.diagram.words import identifiers, shown
from sessionfsm.lifecycle import Machine, Policy, Table, table_for

from .tables import HOSTILE, MACHINES, hostile_table, tables

with warnings.catch_warnings():
    # At its import pydot 4.0 calls pyparsing 3.3 by names that are to go.
    warnings.simplefilter("ignore", DeprecationWarning)
    import pydot.dot_parser

DETAILS: tuple[Detail, ...] = ("full", "overview")
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def arrows_of(diagram: Diagram) -> list[Arc]:
    """The arcs of which there is one arrow each: those that a frame's states share are drawn once."""
    common = {arc.row for arc in shared(diagram)}
    ways = arrows([arc for arc in diagram.arcs if arc.row not in common]) + arrows(shared(diagram))
    return [arrow.arcs[0] for arrow in ways]


# Mermaid, by Mermaid itself.


def drawn_by_mermaid(code: str) -> tuple[list[str], int]:
    """Have Mermaid draw; return every text in the picture, and how many arrows there are."""
    root = ET.fromstring(mermaidx.render(code).svg())
    texts = []
    for element in root.iter():
        if element.tag.rpartition("}")[2] in ("p", "span", "text"):
            lines = re.split(r"<(?:\w+:)?br ?/>", ET.tostring(element, "unicode", method="xml"))
            texts += [" ".join("".join(ET.fromstring(f"<p>{bare(line)}</p>").itertext()).split()) for line in lines]
    return texts, sum(1 for element in root.iter() if element.get("data-edge") == "true")


def bare(line: str) -> str:
    """A piece of XML without its tags."""
    return re.sub(r"<[^>]*>", "", line)


@pytest.mark.parametrize(
    ("name", "detail"),
    [("default", "full"), ("official client", "full"), ("quiet hours", "overview"), ("reserved words", "overview")],
)
def test_mermaid_draws_it(name: str, detail: Detail) -> None:
    """Mermaid shows every state, every trigger, and an arrow for each arrow, with two more for beginning and end."""
    diagram = diagram_of(MACHINES[name])
    texts, edges = drawn_by_mermaid(mermaid(diagram, detail=detail))
    drawn = overview_of(diagram) if detail == "overview" else diagram
    assert {plain(box.name) for box in drawn.boxes} <= set(texts)
    words = {word for line in texts for word in line.split()}
    assert {plain(arc.trigger) for arc in drawn.arcs} <= words
    assert edges == len(arrows_of(drawn)) + 2


def test_mermaid_draws_hostile_words_as_words() -> None:
    """Markup, statements and keywords in somebody's names are text in the picture, and make no arrows."""
    diagram = diagram_of(Machine(table=hostile_table(HOSTILE[:8])))
    texts, edges = drawn_by_mermaid(mermaid(diagram))
    assert {plain(box.name) for box in diagram.boxes} <= set(texts)
    assert edges == len(arrows_of(diagram)) + 2


# DOT, by a parser.


def unquoted(value: str | None) -> str:
    """What is in a DOT string: its escapes and entities are read."""
    assert value is not None
    inner = value.removeprefix('"').removesuffix('"')
    inner = re.sub(r"\\([nl])", "\n", re.sub(r"\\\\", "\0", inner)).replace('\\"', '"').replace("\0", "\\")
    return inner.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def read_dot(code: str) -> pydot.Dot:
    graphs = pydot.graph_from_dot_data(code)
    assert graphs is not None
    assert len(graphs) == 1
    return graphs[0]


def check_dot(diagram: Diagram, detail: Detail) -> None:
    graph = read_dot(dot(diagram, detail=detail))
    drawn = overview_of(diagram) if detail == "overview" else diagram
    named = [node for part in (graph, *graph.get_subgraph_list()) for node in part.get_node_list()]
    nodes = {unquoted(node.get_name()): node for node in named if unquoted(node.get_name()).startswith("state-")}
    assert sorted(nodes) == sorted(box.id for box in drawn.boxes)
    for box in drawn.boxes:
        label = unquoted(nodes[box.id].get("label"))
        assert label.split("\n")[0] == shown(box.name)
        assert unquoted(nodes[box.id].get("tooltip")) == shown(box.meaning)
    edges = [edge for edge in graph.get_edge_list() if edge.get_source() != "begin"]
    assert sorted(unquoted(edge.get("id")) for edge in edges) == sorted(arc.id for arc in arrows_of(drawn))
    ids = {box.name: box.id for box in drawn.boxes}
    ends = Counter(
        (unquoted(edge.get_source()), unquoted(edge.get_destination())) for edge in edges if not edge.get("ltail")
    )
    common = {arc.row for arc in shared(drawn)}
    assert ends == Counter((ids[a.source], ids[a.target]) for a in arrows_of(drawn) if a.row not in common)


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", MACHINES)
def test_a_parser_of_dot_finds_the_table(name: str, detail: Detail) -> None:
    """Every state is a node with its name and meaning, every arrow an edge with the same ends."""
    check_dot(diagram_of(MACHINES[name]), detail)


@few
@given(tables())
def test_a_parser_of_dot_finds_any_table(table: Table) -> None:
    """Whatever words are in a table, its DOT is read as that table."""
    check_dot(diagram_of(Machine(table=table)), "full")


# Markdown, by a parser.


def tables_in(code: str) -> list[list[list[str]]]:
    """Parse Markdown; return the text of each cell of each table, and refuse everything else but paragraphs."""
    found: list[list[list[str]]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(code)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            assert following is not None
            children = following.children or []
            assert {child.type for child in children} <= {"text", "code_inline", "text_special"}, children
            found[-1][-1].append("".join(child.content for child in children))
        else:
            assert re.fullmatch(r"(table|thead|tbody|tr|th|td|paragraph)_(open|close)|inline", token.type), token.type
    return found


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", MACHINES)
def test_a_parser_of_markdown_finds_the_table(name: str, detail: Detail) -> None:
    """Names and reasons are cells of their rows, and are no markup."""
    diagram = diagram_of(MACHINES[name])
    found = tables_in(markdown(diagram, detail=detail))
    drawn = overview_of(diagram) if detail == "overview" else diagram
    assert [line[0] for line in found[0][1:]] == [shown(box.name) for box in drawn.boxes]
    rows = found[1][1:]
    assert all(len(line) == len(found[1][0]) for line in rows)
    if detail == "full":
        of_row = {arc.row: arc for arc in drawn.arcs}
        assert [(line[0], line[3], line[6]) for line in rows] == [
            (shown(arc.trigger), shown(arc.target), shown(arc.reason)) for _, arc in sorted(of_row.items())
        ]


@few
@given(tables())
def test_a_parser_of_markdown_finds_any_table(table: Table) -> None:
    """Whatever words are in a table, they are text in its cells."""
    diagram = diagram_of(Machine(table=table))
    found = tables_in(markdown(diagram))
    assert [line[0] for line in found[0][1:]] == [shown(box.name) for box in diagram.boxes]
    assert [line[0] for line in found[1][1:]] == [shown(row.trigger) for row in table.rows if row.sources]


# PlantUML: `make check-formats` has PlantUML read it; here it is the lines that it could take for something else.


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", MACHINES)
def test_plantuml_has_no_line_but_states_and_arrows(name: str, detail: Detail) -> None:
    """No word of somebody's begins a statement, ends the diagram or includes a file."""
    check_plantuml(diagram_of(MACHINES[name]), detail)


@few
@given(tables())
def test_plantuml_has_no_other_line_for_any_table(table: Table) -> None:
    """Whatever words are in a table, its PlantUML has states and arrows in it, and nothing else."""
    check_plantuml(diagram_of(Machine(table=table)), "full")


def check_plantuml(diagram: Diagram, detail: Detail) -> None:
    drawn = overview_of(diagram) if detail == "overview" else diagram
    first, *lines, last = plantuml(diagram, detail=detail).splitlines()
    assert (first, last) == ("@startuml", "@enduml")
    plain = r"(?:[\w .,:;()\[\]=≥…→+/-]|<U\+[0-9A-F]{4,6}>)*"
    kinds = {
        "title": rf"title {plain}|hide empty description",
        "edge": rf"(?:\[\*\]|\w+) --> (?:\[\*\]|\w+)(?: : (?:{plain}|\\n)*)?",
        "state": rf'state \w+|state "{plain}" as \w+|state live {{|}}',
        "line": rf"\w+ : {plain}",
    }
    found: Counter[str] = Counter()
    for line in lines:
        kind = next((kind for kind, pattern in kinds.items() if re.fullmatch(pattern, line.strip())), None)
        assert kind is not None, line
        found[kind] += 1
    assert found["edge"] == len(arrows_of(drawn)) + 2
    assert found["state"] == len(drawn.boxes) + (2 if drawn.frame else 0)


# The terminal.


def check_terminal(diagram: Diagram, detail: Detail) -> str:
    drawn = terminal(diagram, detail=detail)
    assert drawn.endswith("\n")
    for line in drawn.removesuffix("\n").split("\n"):
        assert _width(line) <= COLUMNS
        assert line.isprintable()
    return drawn


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("name", MACHINES)
def test_a_terminal_of_80_columns_is_wide_enough(name: str, detail: Detail) -> None:
    """No line is longer, no character moves the cursor, and the frames are closed."""
    drawn = check_terminal(diagram_of(MACHINES[name]), detail)
    widths = {_width(line) for line in drawn.splitlines() if line[:1] in "╭│├╰" and line}
    assert len(widths) == 1
    assert drawn.count("╭") == drawn.count("╮") == drawn.count("╰") == drawn.count("╯")


@few
@given(tables())
def test_a_terminal_is_wide_enough_for_any_table(table: Table) -> None:
    """Words that are too long for a line are cut into several, and nothing reaches the terminal as a command."""
    check_terminal(diagram_of(Machine(table=table)), "full")


def test_the_terminal_shows_every_row() -> None:
    """What a row says stands in its state's box: trigger, guards, target, command with its figure, memory."""
    diagram = diagram_of(Machine())
    said = " ".join(re.sub(r"[│╭╮╰╯├┤─]", " ", terminal(diagram)).split())
    for arc in diagram.arcs:
        guards = f" [{', '.join(arc.guards)}]" if arc.guards else ""
        target = "↻" if arc.source == arc.target else f"→ {arc.target}"
        command = f" · {arc.command}{f' ({arc.figure})' if arc.figure else ''}" if arc.command else ""
        memory = f" {', '.join(arc.updates)}" if arc.updates else ""
        assert f"{arc.trigger}{guards} {target}{command}{memory}" in said


# All of them.


@pytest.mark.parametrize("name", FORMATS)
def test_the_figures_of_a_policy_are_on_it(name: str) -> None:
    """Whoever names a policy sees its seconds, in every format but JSON, which is the table and nothing else."""
    policy = Policy(session_first_s=7, session_ceiling_s=77, renewal_deadline_s=17)
    drawn = FORMATS[name].render(diagram_of(Machine(policy)), detail="full")
    assert ("7 s … 77 s" in drawn.replace("<br>", " ")) is (name != "json")
    assert ("at most 17 s" in drawn) is (name != "json")


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_diagram_gives_the_same_text(name: str) -> None:
    """Drawing leaves no trace in what is drawn."""
    diagram = diagram_of(MACHINES["hostile"])
    render = FORMATS[name].render
    assert render(diagram, detail="full") == render(diagram_of(MACHINES["hostile"]), detail="full")
    drawn = render(diagram, detail="full")
    assert drawn.endswith("\n")
    assert "\r" not in drawn
    assert all(each.isprintable() or each == "\n" for each in drawn)


def test_an_overview_is_three_boxes() -> None:
    """A slide has room for three boxes and three words: of ours, and of the official client's loop."""
    for name in ("default", "official client", "quiet hours", "renewal required"):
        overview = overview_of(diagram_of(MACHINES[name]))
        assert [box.name for box in overview.boxes] == ["stopped", "live", "stopping"]
        assert [arc.trigger for arc in overview.arcs] == ["start", "stop", "closed"]
        assert {name for box in overview.boxes for name in box.inside} | {"stopped", "stopping"} == {
            box.name for box in diagram_of(MACHINES[name]).boxes
        }


@few
@given(tables())
def test_an_overview_has_an_arrow_for_every_way_out_of_a_box(table: Table) -> None:
    """Nothing that leads from one box to another is left out, and ids are given once."""
    diagram = diagram_of(Machine(table=table))
    overview = overview_of(diagram)
    place = {name: box.name for box in overview.boxes for name in (box.inside or (box.name,))}
    assert set(place) == {box.name for box in diagram.boxes}
    ways = {(place[arc.source], arc.trigger, place[arc.target]) for arc in diagram.arcs}
    assert {(arc.source, arc.trigger, arc.target) for arc in overview.arcs} == {way for way in ways if way[0] != way[2]}
    assert overview.initial in place.values()
    ids = [each.id for each in (*overview.boxes, *overview.arcs)]
    assert len(set(ids)) == len(ids)


def test_a_state_that_is_called_live_keeps_its_box() -> None:
    """The box of the live states is called something else then, and has an id of its own."""
    table = MACHINES["default"].table
    rows = tuple(replace(row, target="live" if row.target == "stopping" else row.target) for row in table.rows)
    closed = next(row for row in rows if row.trigger == "closed")
    rows = tuple(replace(row, sources=("live",)) if row is closed else row for row in rows)
    states = tuple(replace(entry, name="live") if entry.name == "stopping" else entry for entry in table.states)
    overview = overview_of(diagram_of(Machine(table=replace(table, rows=rows, states=states))))
    assert [box.name for box in overview.boxes] == ["stopped", "live states", "live"]
    assert len({each.id for each in (*overview.boxes, *overview.arcs)}) == 6


def test_identifiers_differ_and_are_no_keywords() -> None:
    """Two names that differ in what an identifier cannot have get two identifiers, and keywords are not used."""
    names = ("a b", "a_b", "a-b", "A B", "end", "End", "9", "", "状", "态", "a_b_2")
    ids = identifiers(names, {"end"})
    assert len({each.lower() for each in ids.values()}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z_]\w*", each, re.ASCII) for each in ids.values())
    assert "end" not in {each.lower() for each in ids.values()}
    assert identifiers(["stopped"])["stopped"] == "stopped"


def test_the_default_diagram_needs_no_session() -> None:
    """A table is drawn as it is, also one that would never be run."""
    assert diagram_of(Machine(table=table_for(Policy()))) == diagram_of(Machine())
