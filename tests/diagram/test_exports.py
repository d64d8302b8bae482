"""The committed pictures and tables are what the code says, to the letter, and leave nothing out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sessionfsm.diagram import FORMATS, Diagram, diagram_of, markdown, mermaid
from sessionfsm.lifecycle import Machine, Memory, Order, Policy, Row, StateEntry, Table, table_for

from .exports import EXPORTS, RUN, RUN_EXPORTS
from .tables import MACHINES

ROOT = Path(__file__).parent.parent.parent
POLICIES = {"attempted": Policy(), "required": Policy(renewal="required")}


def drawing_of(table: Table) -> Diagram:
    """Read off something that has a table and figures and nothing else: no session, and no way to make one."""
    return diagram_of(cast(Machine, SimpleNamespace(table=table, policy=Policy())), figures=False)


# What is committed.


@pytest.mark.parametrize("name", EXPORTS)
def test_the_committed_export_is_what_the_code_says(name: str) -> None:
    """The drawings in the repository are those of the machine that runs, character for character."""
    export = EXPORTS[name]
    committed = (ROOT / "diagrams" / name).read_bytes().decode()
    assert committed == export.drawn(), f"write: {export.command} --output diagrams/{name}"


def test_nothing_else_is_committed_and_no_format_is_left_out() -> None:
    """Each format is shown, of our machine and of the official client's loop, and each file is compared."""
    kept = {path.name for path in (ROOT / "diagrams").iterdir()}
    assert kept == {*EXPORTS, RUN, *RUN_EXPORTS}
    assert {export.format for export in EXPORTS.values()} == set(FORMATS)


def test_the_readme_shows_the_picture() -> None:
    """The picture on the front page is the committed one."""
    assert "](diagrams/lifecycle.svg)" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_draws_the_same(seed: str) -> None:
    """The text hangs on the table alone, not on the order in which a process happens to keep its sets."""
    code = (
        "import sys; from sessionfsm.diagram import FORMATS, diagram_of; from tests.diagram.tables import MACHINES; "
        "drawn = ''.join(each.render(diagram_of(machine), detail='full') "
        "for machine in MACHINES.values() for each in FORMATS.values()); sys.stdout.buffer.write(drawn.encode())"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", code]
    drawn = subprocess.run(command, check=True, capture_output=True, env=environment, timeout=60, cwd=ROOT)
    here = [
        each.render(diagram_of(machine), detail="full") for machine in MACHINES.values() for each in FORMATS.values()
    ]
    assert drawn.stdout.decode() == "".join(here)


# The picture.


def arcs_in(picture: str) -> Counter[tuple[str, str, str]]:
    """Read a picture back: (from, to, a line of the label) of every arrow, and of every loop inside a state."""
    arcs: Counter[tuple[str, str, str]] = Counter()
    frame = re.search(r"state live \{\n(.*?)\n    \}", picture, re.DOTALL)
    framed = dict.fromkeys(re.findall(r"^ {8}(\w+) ", frame[1], re.MULTILINE)) if frame else {}
    for line in picture.splitlines():
        if arrow := re.fullmatch(r" +(\w+) --> (\w+) : (.*)", line):
            for source in framed if arrow[1] == "live" else [arrow[1]]:
                arcs.update((source, arrow[2], text) for text in arrow[3].split("<br>"))
        elif (loop := re.fullmatch(r" +(\w+) : (.*)", line)) and loop[2] != loop[1]:
            arcs[loop[1], loop[1], loop[2]] += 1
    return arcs


@pytest.mark.parametrize("name", POLICIES)
def test_every_row_is_in_the_picture(name: str) -> None:
    """Each row is drawn once from each of its sources, and there is no arrow without a row."""
    table = table_for(POLICIES[name])
    wanted = Counter((source, row.target, str(row.trigger)) for row in table.rows for source in row.sources)
    drawn: Counter[tuple[str, str, str]] = Counter()
    for (source, target, text), count in arcs_in(mermaid(drawing_of(table))).items():
        trigger = text.split()[0]
        if trigger in table.triggers:
            drawn[source, target, trigger] += count
    assert drawn == wanted


@pytest.mark.parametrize("name", POLICIES)
def test_every_guard_and_every_command_is_in_the_picture(name: str) -> None:
    """What the memory must satisfy stands in brackets behind the trigger, and the command stands behind an arrow."""
    table = table_for(POLICIES[name])
    said = " ".join(f"{source} {target} {text}" for source, target, text in arcs_in(mermaid(drawing_of(table))))
    for row in table.rows:
        for guard in row.guards:
            assert str(guard).replace("<", "below") in said
        if row.order is not Order.NOTHING:
            assert f"→ {row.order}" in said


def test_the_picture_has_a_beginning_and_an_end() -> None:
    """A session begins and ends in ``stopped``."""
    lines = mermaid(drawing_of(table_for(Policy()))).splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert [line.strip() for line in lines if "[*]" in line] == ["[*] --> stopped", "stopped --> [*]"]


def test_the_picture_is_legible() -> None:
    """No two arrows with the same command lead from one state to another, and no line of a label is long."""
    arrows = re.findall(r"(\w+) --> (\w+) : (.*)", mermaid(drawing_of(table_for(Policy()))))
    commands = [(source, target, label.rpartition("→")[2]) for source, target, label in arrows]
    assert len(set(commands)) == len(commands) == 10
    assert all(len(line) <= 24 for _, _, label in arrows for line in label.split("<br>"))


def test_labels_have_nothing_that_mermaid_takes_for_its_own() -> None:
    """A table of one's own may use any words: its names become identifiers, and its labels plain text."""
    wild = 'a: b; c # d % e "f" <g> & `h`\ni'
    row = Row(trigger=wild, sources=(wild,), target="end of it", order=Order.RENEW, reason=wild)
    loop = Row(trigger=wild, sources=(wild,), target=wild, order=Order.NOTHING, reason=wild)
    states = (StateEntry(name=wild, meaning=wild), StateEntry(name="end of it", meaning=""))
    picture = mermaid(
        drawing_of(Table(name=wild, states=states, rows=(row, loop), signals=(), initial=wild, external=(wild,)))
    )
    for line in picture.splitlines()[1:]:
        shape, _, label = line.strip().partition(" : ")
        assert re.fullmatch(r"\w+( --> \w+)?|\[\*\] --> \w+|\w+ --> \[\*\]", shape)
        assert not set(label.replace("<br>", "")) & set(':;#%"<>&`')
    assert "end_of_it : end of it" in picture


# The table.


def cells_in(text: str) -> list[list[list[str]]]:
    """Read Markdown tables back, without their heads."""
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    return [[re.split(r" \| ", line.removeprefix("| ").removesuffix(" |")) for line in lines[2:]] for lines in tables]


@pytest.mark.parametrize("name", POLICIES)
def test_every_row_is_in_the_table(name: str) -> None:
    """One line for each row, in the order of the rows, with everything that the row says."""
    table = table_for(POLICIES[name])
    states, rows, signals = cells_in(markdown(drawing_of(table)))
    assert states == [[f"`{entry.name}`", entry.meaning] for entry in table.states]
    assert len(rows) == len(table.rows)
    for line, row in zip(rows, table.rows, strict=True):
        trigger, sources, when, target, memory, command, reason = line
        assert trigger == f"`{row.trigger}`"
        assert sources.split(", ") == [str(source) for source in row.sources]
        assert [part for part in when.split(", ") if part] == [str(guard) for guard in row.guards]
        assert target == row.target
        assert [part for part in memory.split(", ") if part] == [str(update) for update in row.updates]
        assert (command, reason) == (str(row.order), row.reason)
    assert [signal[0] for signal in signals] == [f"`{rule.signal}`" for rule in table.signals]


def test_the_table_speaks_of_all_that_is_remembered() -> None:
    """Every cell of the memory is changed by some row that the document shows."""
    _, rows, _ = cells_in(markdown(drawing_of(table_for(Policy()))))
    changed = {word.split()[0] for line in rows for word in line[4].split(", ") if word}
    assert changed == set(Memory._fields)


def test_a_bar_does_not_break_the_table() -> None:
    """Words of one's own with a bar in them stay in their column."""
    row = Row(trigger="a|b", sources=("s",), target="s", order=Order.NOTHING, reason="this | that")
    table = Table(
        name="t", states=(StateEntry(name="s", meaning="x|y"),), rows=(row,), signals=(), initial="s", external=("a|b",)
    )
    _, rows = cells_in(markdown(drawing_of(table)))
    assert len(rows) == 1
    assert len(rows[0]) == 7
