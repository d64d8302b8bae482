"""The exact figures of a machine: counted again in a plain way, and for tables of a user's own."""

from __future__ import annotations

import json
import math

import pytest

from sessionfsm.cli import ExitCode, main
from sessionfsm.lifecycle import (
    Assign,
    Machine,
    Order,
    Perform,
    Policy,
    Poll,
    Renew,
    Row,
    State,
    StateEntry,
    Table,
    Trigger,
    Wait,
    table_for,
)
from sessionfsm.verify import Graph, decide, explore
from sessionfsm.verify.request_figures import SCENARIOS, most_requests, most_requests_in

SMALL = Policy(
    session_first_s=2,
    session_ceiling_s=8,
    transport_first_s=1,
    transport_ceiling_s=2,
    pace_ceiling_s=2,
    jitter=0.25,
    login_required_denials=1,
)


def counted_by_hand(graph: Graph, scenario: str, window_s: float) -> int:
    """Step by step over the whole graph: the soonest that each configuration can be reached with so many requests."""
    script = {Renew: {Trigger.SESSION_RENEWED}, Poll: {Trigger.SESSION_EXPIRED}, Wait: {Trigger.RETRY_DUE}}
    ends_the_run = {Trigger.START, Trigger.STOP, Trigger.CLOSED, Trigger.CREDENTIALS_CHANGED}

    def may_happen(node: int, trigger: str) -> bool:
        if trigger in ends_the_run or trigger == Trigger.WAKE:
            return False
        if scenario == "denied":
            return trigger in script[type(graph.nodes[node].outstanding)]
        return scenario != "no good poll" or trigger not in (Trigger.POLLED, Trigger.HURRIED)

    soonest = {node: 0.0 for node, at in enumerate(graph.nodes) if isinstance(at.outstanding, Renew | Poll)}
    count = 0
    while soonest:
        count += 1
        following: dict[int, float] = {}
        pending = list(soonest.items())
        passed: dict[int, float] = {}
        while pending:
            node, at = pending.pop()
            for arc in graph.arcs[node]:
                when = at + arc.least_s
                if when > window_s or arc.move.news or not may_happen(node, arc.move.trigger):
                    continue
                times = following if isinstance(arc.command, Renew | Poll) else passed
                if when < times.get(arc.target, math.inf):
                    times[arc.target] = when
                    if times is passed:
                        pending.append((arc.target, when))
        soonest = following
    return count


@pytest.mark.parametrize("renewal", ["attempted", "required"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_most_requests_are_counted_exactly(scenario: str, renewal: str) -> None:
    """A search that goes forward, keeps everything and knows nothing of means finds the same numbers."""
    policy = Policy.from_mapping({**{name: getattr(SMALL, name) for name in SMALL.__slots__}, "renewal": renewal})
    graph = explore(Machine(policy))
    for window_s in (0.0, 0.75, 1.0, 7.5, 20.0):
        assert most_requests_in(graph, scenario, window_s) == counted_by_hand(graph, scenario, window_s)


def test_the_default_policy() -> None:
    """What a server can draw from a session in its worst second, minute and hour."""
    assert most_requests(explore(Machine())) == {
        "any server": {"second": 6, "minute": 203, "hour": 12_003},
        "no good poll": {"second": 5, "minute": 53, "hour": 2_708},
        "denied": {"second": 3, "minute": 11, "hour": 59},
    }


def test_the_figures_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of the official client: an hour of silence, and a loop without bound."""
    assert main(["verify", "--machine", "sessionfsm.examples:official_client", "--json"]) == ExitCode.FAILED
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert figures["longest_silence_s"] == 3600 + 130
    assert figures["most_requests"]["any server"] == {"second": None, "minute": None, "hour": None}
    assert figures["most_requests"]["denied"]["hour"] == 4


def test_verdicts_alone_are_the_same_verdicts() -> None:
    """Without figures and shortest runs everything that is broken is found all the same."""
    from sessionfsm import examples

    machine = Machine(Policy(), examples.official_client(Policy()))
    whole, alone = decide(machine), decide(machine, verdicts_only=True)
    assert alone.figures is None
    assert {number: found.verdict for number, found in whole.properties.items()} == {
        number: found.verdict for number, found in alone.properties.items()
    }
    assert all(found.counterexample for found in alone.properties.values() if found.id in ("P1", "P6", "P8", "P16"))


def looks_before_it_renews(policy: Policy, *, again: bool) -> Table:
    """After a wait an operation of one's own looks whether there is a network; *again*: until there is one."""
    table = table_for(policy)
    look = Perform("look", ("up", "down") if again else ("up",), "down", deadline_s=5)
    forget = (Assign("trusted", False), Assign("doubts", 0))
    rows = [
        Row(
            trigger="up", sources=("looking",), target=State.RECOVERING, order=Order.RENEW, reason="there is a network"
        ),
        Row(
            trigger="down",
            sources=("looking",),
            target="looking" if again else State.RECOVERING,
            order=look if again else Order.RENEW,
            reason="look again" if again else "try all the same",
        ),
    ]
    for row in table.rows:
        if row.trigger in (Trigger.RETRY_DUE, Trigger.WAKE):
            rows.append(Row(**{**_cells(row), "target": "looking", "order": look, "updates": forget}))
        elif row.trigger == Trigger.STOP:
            rows.append(Row(**{**_cells(row), "sources": (*row.sources, "looking")}))
        else:
            rows.append(row)
    states = (*table.states, StateEntry(name="looking", meaning="A look at the network is outstanding."))
    return Table(name="looks first", states=states, rows=tuple(rows), signals=table.signals)


def _cells(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in Row.__slots__}


def test_an_operation_of_ones_own_is_a_part_of_the_resumption() -> None:
    """It may take until its deadline, and then the session resumes: that is proved, and the figure is exact."""
    report = decide(Machine(SMALL, looks_before_it_renews(SMALL, again=False)))
    assert {number: found.why for number, found in report.properties.items() if not found.holds} == {}
    assert report.figures is not None
    # a poll that ends badly (130), a wait (8), the look (5), a renewal (10), and a good poll (130)
    assert report.figures.longest_resumption_s == 130 + 8 + 5 + 10 + 130


def test_an_operation_that_may_report_failure_for_ever_keeps_a_session_from_resuming() -> None:
    """An outcome that leads back to the same operation is one that good answers do not lead out of."""
    report = decide(Machine(SMALL, looks_before_it_renews(SMALL, again=True)))
    assert report["P7"].verdict == "refuted"
    assert report["P6"].verdict == "refuted"
    assert report.figures is not None
    assert report.figures.longest_resumption_s is None


def test_a_request_that_nothing_can_follow_is_counted() -> None:
    """A table without a row for what a request brings is refuted, and its figures are told all the same."""
    table = table_for(SMALL)
    silent = [
        Row(**{**_cells(row), "target": "limbo"}) if row.trigger == Trigger.SILENT else row
        for row in table.rows
        if row.trigger != Trigger.STOP
    ]
    states = (*table.states, StateEntry(name="limbo", meaning="A poll is outstanding, and nobody hears its end."))
    report = decide(Machine(SMALL, Table(name="limbo", states=states, rows=tuple(silent), signals=())))
    assert report["P4"].verdict == "refuted"
    start = tuple(row for row in table.rows if row.trigger == Trigger.START)
    only_start = Machine(SMALL, Table(name="deaf", states=table.states, rows=start, signals=()))
    assert most_requests(explore(only_start))["any server"] == {"second": 1, "minute": 1, "hour": 1}


def test_what_somebody_tells_the_session_is_none_of_the_servers_doing() -> None:
    """A trigger of one's own that hurries an operation along is counted no more than a wake."""
    table = looks_before_it_renews(SMALL, again=False)
    told = Row(
        trigger="network_up", sources=("looking",), target=State.RECOVERING, order=Order.RENEW, reason="somebody knows"
    )
    seldom = [Row(**{**_cells(row), "order": Order.RENEW}) for row in table.rows if row.trigger == "up"]
    rows = tuple(row for row in table.rows if row.trigger not in ("up", "down"))
    never = Table(name="told", states=table.states, rows=(*rows, told), signals=(), external=("network_up",))
    asked = Table(name="asks", states=table.states, rows=(*rows, *seldom), signals=())
    assert most_requests(explore(Machine(SMALL, never)))["denied"]["hour"] == 3
    assert most_requests_in(explore(Machine(SMALL, asked)), "denied", 60.0) == 25
