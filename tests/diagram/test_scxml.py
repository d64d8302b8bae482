"""The SCXML is a machine: another library loads it, and takes the same states as ours, whatever happens to it."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ET
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from statemachine.io import load
from statemachine.io.scxml.reader import parse_scxml

from sessionfsm.diagram import diagram_of, scxml
from sessionfsm.errors import DefinitionError, TriggerRefused
from sessionfsm.lifecycle import Lifecycle, Machine, Memory, Order, Pause, Perform, Policy, Signal, Table

from .tables import MACHINES, tables

NAMESPACE = "{http://www.w3.org/2005/07/scxml}"
EXAMPLES = [name for name in MACHINES if name not in ("default", "no rows")]
SEQUENCES = 1000
EVENTS = 12


class Document:
    """Our machine, loaded by python-statemachine, which knows nothing of it but the text."""

    def __init__(self, machine: Machine, text: str) -> None:
        self.names, self.events = read_names(machine, text)
        self._loaded = cast(Any, load(text, format="scxml"))
        self._first = self._loaded()
        self._data = {cell: value for cell, value in vars(self._first.model).items() if cell != "state"}

    def session(self) -> Theirs:
        # What is loaded fills in its data for the first session only; the others get a copy of that.
        return Theirs(self._loaded(model=SimpleNamespace(**self._data)), self.names, self.events)


class Theirs:
    """A session of theirs, in our words."""

    def __init__(self, chart: Any, names: dict[str, str], events: dict[str, str]) -> None:
        self._chart = chart
        self._names = {identifier: name for name, identifier in names.items()}
        self._events = events

    def send(self, trigger: str) -> None:
        self._chart.send(self._events[trigger])

    @property
    def state(self) -> str:
        (only,) = self._chart.configuration
        return self._names[only.id]

    @property
    def memory(self) -> Memory:
        cells = [getattr(self._chart.model, cell) for cell in Memory._fields]
        return Memory(bool(cells[0]), bool(cells[1]), *cells[2:])

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset(signal for signal in Signal if getattr(self._chart.model, f"signal_{signal}", 0))


def read_names(machine: Machine, text: str) -> tuple[dict[str, str], dict[str, str]]:
    """What a state and a trigger are called in *text*: the states by their order, the events by that of the rows."""
    states = ET.fromstring(text).findall(f"{NAMESPACE}state")
    names = {entry.name: state.get("id", "") for entry, state in zip(machine.table.states, states, strict=True)}
    events: dict[str, str] = {}
    for entry, state in zip(machine.table.states, states, strict=True):
        rows = [row for row in machine.table.rows if entry.name in row.sources]
        for row, way in zip(rows, state.findall(f"{NAMESPACE}transition"), strict=True):
            event = way.get("event", "")
            assert events.setdefault(row.trigger, event) == event
            assert way.get("target") == names[row.target]
    assert len(set(events.values())) == len(events)
    assert len(set(names.values()) | set(Memory._fields)) == len(names) + len(Memory._fields)
    return names, events


def tell(ours: Lifecycle, trigger: str) -> None:
    serial = ours.outstanding.serial if ours.outstanding is not None else None
    with suppress(TriggerRefused):  # then the other one has to stay as it is
        ours.handle(trigger, serial=serial)


def run_both(machine: Machine, seed: int, sequences: int, events: int) -> int:
    """Tell both the same at random; return in how many different states and memories they were found alike."""
    document = Document(machine, scxml(diagram_of(machine)))
    chance = random.Random(seed)
    seen = set()
    for _ in range(sequences):
        ours, theirs = machine.session(), document.session()
        for _ in range(events):
            # Mostly what is possible, so that a run gets somewhere; else anything that the table knows.
            possible = ours.accepted if chance.random() < 0.9 else machine.table.triggers
            trigger = chance.choice(possible or machine.table.triggers)
            if trigger == "stop" and chance.random() < 0.8:
                continue
            if trigger not in machine.external and ours.outstanding is None:
                continue  # an outcome of nothing: a number that only our driver has would be missing
            tell(ours, trigger)
            theirs.send(trigger)
            assert (theirs.state, theirs.memory, theirs.signals) == (ours.state, ours.memory, ours.signals)
            seen.add((ours.state, ours.memory, ours.signals))
    return len(seen)


def test_another_library_takes_the_same_states() -> None:
    """Over 1,000 random sequences it is in the same state, remembers the same and raises the same signals."""
    assert run_both(MACHINES["default"], 1, SEQUENCES, EVENTS) > 100


@pytest.mark.parametrize("name", EXAMPLES)
def test_another_library_takes_the_same_states_of_other_tables(name: str) -> None:
    """So it does with the official client's loop, pauses, operations of one's own, and hostile names."""
    assert run_both(MACHINES[name], 2, 40, 25) > 3


@pytest.mark.parametrize("name", ["default", "quiet hours"])
def test_another_library_climbs_the_ladders_to_their_end(name: str) -> None:
    """Counters stop where ours stop, and signals are raised once, at the same failure."""
    machine = MACHINES[name]
    document = Document(machine, scxml(diagram_of(machine)))
    for loss in ("session_expired", "poll_failed"):
        ours, theirs = machine.session(), document.session()
        for trigger in ["start", *["session_renewed", loss, "retry_due"] * 9, "renewal_failed", "polled"]:
            tell(ours, trigger)
            theirs.send(trigger)
            assert (theirs.state, theirs.memory, theirs.signals) == (ours.state, ours.memory, ours.signals)


def test_a_broken_document_is_noticed() -> None:
    """The comparison is worth something: a guard turned round makes the two part."""
    machine = MACHINES["default"]
    text = scxml(diagram_of(machine))
    broken = text.replace('cond="trusted == 1"', 'cond="trusted == 0"', 1)
    assert broken != text
    ours, theirs = machine.session(), Document(machine, broken).session()
    for trigger in ("start", "session_renewed", "polled", "session_expired"):
        tell(ours, trigger)
        theirs.send(trigger)
    assert theirs.state != ours.state


@pytest.mark.parametrize("name", [*EXAMPLES, "default"])
def test_another_reader_finds_every_command(name: str) -> None:
    """Each row sends its command, with its seconds as parameters, and nothing else but signals."""
    table = MACHINES[name].table
    states = list(parse_scxml(scxml(diagram_of(MACHINES[name]))).states.values())
    for entry, state in zip(table.states, states, strict=True):
        rows = [row for row in table.rows if entry.name in row.sources]
        for row, way in zip(rows, state.transitions, strict=True):
            sent = [action for action in cast(Any, way.on).actions if type(action).__name__ == "SendAction"]
            match row.order:
                case Order.GO_ON | Order.NOTHING:
                    assert sent == []
                case Pause() as pause:
                    assert [each.event for each in sent] == ["command.pause"]
                    figures = {each.name: each.expr for each in sent[0].params}
                    assert float(figures["length_s"]) == pause.length_s
                    assert float(figures["longest_s"]) == pause.longest_s
                case Perform() as perform:
                    assert [each.event for each in sent] == ["command.perform"]
                    assert float({each.name: each.expr for each in sent[0].params}["deadline_s"]) == perform.deadline_s
                case order:
                    assert [each.event for each in sent] == [f"command.{order.name.lower()}"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables())
def test_any_table_is_a_whole_document(table: Table) -> None:
    """Whatever words are in it: it is well-formed, ids are ids, and each is given once."""
    machine = Machine(table=table)
    text = scxml(diagram_of(machine))
    names, events = read_names(machine, text)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", each) for each in (*names.values(), *events.values()))
    assert ET.fromstring(text).get("initial") == names[table.initial]
    assert Document(machine, text).session().state == table.initial


def test_there_is_no_overview_of_a_machine() -> None:
    """Half a machine would run, and do something else."""
    with pytest.raises(DefinitionError, match="no overview"):
        scxml(diagram_of(Machine(Policy())), detail="overview")
