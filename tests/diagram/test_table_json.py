"""A table as JSON: nothing is lost on the way there and back, and what is no table is refused by the place."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sessionfsm.diagram import diagram_of, scxml, table_from_json, table_json
from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Assign, AtLeast, Below, Count, Is, Machine, Order, Pause, Perform, Table
from sessionfsm.verify import decide

from .tables import MACHINES, tables

ROOT = Path(__file__).parents[2]
few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", MACHINES)
def test_there_and_back_is_the_same_table(name: str) -> None:
    """Table to JSON to table gives an equal table, and JSON to table to JSON the same bytes."""
    table = MACHINES[name].table
    text = table_json(table)
    back = table_from_json(text)
    assert back == table
    assert table_json(back) == text
    assert table_from_json(text.encode()) == table


@few
@given(tables())
def test_there_and_back_is_the_same_for_any_table(table: Table) -> None:
    """Whatever words and numbers are in it."""
    text = table_json(table)
    assert table_from_json(text) == table
    assert table_json(table_from_json(text)) == text
    assert all(each.isprintable() or each == "\n" for each in text)


def test_a_table_that_was_read_is_run_as_the_one_that_was_written() -> None:
    """It is no likeness: the search finds the same configurations and the same verdicts."""
    read = Machine(table=table_from_json(table_json(MACHINES["quiet hours"].table)))
    assert scxml(diagram_of(read)) == scxml(diagram_of(MACHINES["quiet hours"]))
    theirs, ours = decide(read), decide(MACHINES["quiet hours"])
    assert (theirs.states, theirs.transitions) == (ours.states, ours.transitions)
    assert {each.id: each.verdict for each in theirs.properties.values()} == {
        each.id: each.verdict for each in ours.properties.values()
    }


def test_a_row_is_a_line() -> None:
    """A change of one row is one line in a comparison of two versions."""
    table = MACHINES["default"].table
    other = replace(table, rows=(*table.rows[:3], replace(table.rows[3], reason="otherwise"), *table.rows[4:]))
    lines = zip(table_json(table).splitlines(), table_json(other).splitlines(), strict=True)
    assert sum(one != two for one, two in lines) == 1


# The page about it.


def test_the_page_about_the_format_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its snippet runs, it names every key and every command, and its examples are read as it says."""
    page = (ROOT / "docs" / "reference" / "table-format.md").read_text("utf-8")
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)
    assert names["machine"].table == MACHINES["official client"].table
    document = json.loads(table_json(MACHINES["default"].table))
    documented = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert documented == [*document, *document["rows"][0], *document["signals"][0]]
    assert re.findall(r"`([^`]+)`", page.partition("of the session's own is its name: ")[2].partition("\n")[0]) == [
        *Order
    ]
    examples = [json.loads(each) for each in re.findall(r"^- `(\{.*\})`", page, re.MULTILINE)]
    guards, updates, orders = examples[:3], examples[3:5], examples[5:]
    for order in orders:
        row = {"command": order, "when": guards, "memory": updates}
        document["rows"] = [{**document["rows"][0], **row}]
        table = table_from_json(json.dumps(document))
        assert [type(guard) for guard in table.rows[0].guards] == [Is, Below, AtLeast]
        assert [type(update) for update in table.rows[0].updates] == [Assign, Count]
        assert type(table.rows[0].order) is (Pause if "pause" in order else Perform)


# What is refused.


def changed(*path: str | int, to: Any) -> str:
    """The table with quiet hours as JSON, with one value replaced; ``...`` takes it away."""
    document = json.loads(table_json(MACHINES["quiet hours"].table))
    place = document
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        (b"\xff\xfe\xfa", "cannot be read"),
        ("[]", "the document is no object: a list"),
        ("null", "the document is no object: null"),
        ("[" * 100_000, "nested too deeply"),
        ('{"format": NaN}', "has NaN"),
        ('{"format": 1, "format": 2}', 'the key "format" twice'),
        ("1" * 5000, "cannot be read"),
        (changed("format", to="trace"), "format is not 'sessionfsm table': \"trace\""),
        (changed("version", to=2), "version is not 1"),
        (changed("version", to=True), "version is no whole number: true"),
        (changed("name", to=None), "name is no text: null"),
        (changed("name", to="\ud800"), "name has half a character"),
        (changed("external", to="quiet_hours"), "external is no list"),
        (changed("comment", to="x"), 'the document has the unknown key "comment"'),
        (changed("rows", to=...), "the document has no 'rows'"),
        (changed("states", 1, "meaning", to=...), "states[1] has no 'meaning'"),
        (
            changed("states", 0, "colour", to="red"),
            'states[0] has the unknown key "colour" (known here: name, meaning)',
        ),
        (changed("rows", 3, to=[]), "rows[3] is no object: a list"),
        (changed("rows", 3, "from", 0, to=7), "rows[3].from[0] is no text: 7"),
        (changed("rows", 3, "to", to="nowhere"), "names the state 'nowhere'"),
        (changed("rows", 3, "clears_signals", to=0), "rows[3].clears_signals is neither true nor false: 0"),
        (changed("rows", 7, "when", 0, "below", to=2.5), "rows[7].when[0].below is no whole number: 2.5"),
        (changed("rows", 7, "when", 0, "counter", to="hours"), "says 'hours < 2', and no memory can hold that"),
        (changed("rows", 7, "when", 0, to={"counter": "doubts"}), "rows[7].when[0] has no 'at_least'"),
        (
            changed("rows", 7, "when", 0, to={"flag": "trusted", "is": 1}),
            "rows[7].when[0].is is neither true nor false",
        ),
        (changed("rows", 1, "memory", 0, "to", to="no"), "rows[1].memory[0].to is no whole number"),
        (changed("rows", 1, "memory", 2, "to", to=True), "says 'waits = yes', and no memory can hold that"),
        (changed("rows", 0, "command", to="lock"), "rows[0].command is none of 'renew'"),
        (changed("rows", 0, "command", to=5), "rows[0].command is no object: 5"),
        (changed("rows", 0, "command", to={"pause": "x"}), "rows[0].command has no 'ceiling_s'"),
        (changed("rows", -3, "command", "length_s", to=-1), "command: the pause 'quiet hours' needs a length above 0"),
        (changed("rows", -3, "command", "length_s", to="1 h"), 'command.length_s is no number of seconds: "1 h"'),
        (changed("rows", -3, "command", "length_s", to=10**400), "command.length_s is too large"),
        (changed("rows", 0, "trigger", to="mine"), "nobody reports 'mine'"),
        (changed("signals", 0, "signal", to="alarm"), "signals[0].signal is none of 'login_required'"),
    ],
)
def test_what_is_no_table_is_refused_by_its_place(text: str | bytes, says: str) -> None:
    """Somebody who wrote it by hand is told where it is wrong and what is there."""
    with pytest.raises(DefinitionError) as caught:
        table_from_json(text)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 500


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@few
@given(st.data())
def test_a_damaged_table_is_a_table_or_is_refused(data: st.DataObject) -> None:
    """Whatever stands in the place of any value: there is a table, or one clear error, and nothing else is raised."""
    document = json.loads(table_json(MACHINES["hostile"].table))
    place = document
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(_json)
    try:
        table = table_from_json(json.dumps(document))
    except DefinitionError:
        return
    assert table_from_json(table_json(table)) == table


@few
@given(st.text() | st.binary())
@example("\ufeff{}")
def test_any_text_is_refused(text: str | bytes) -> None:
    """Nothing that is no table gets through, and nothing but one error comes out."""
    with pytest.raises(DefinitionError):
        table_from_json(text)


def test_half_a_character_is_not_written() -> None:
    """A lone surrogate is no text: no file could hold it."""
    with pytest.raises(DefinitionError, match="half a character"):
        table_json(replace(MACHINES["default"].table, name="\ud800"))
