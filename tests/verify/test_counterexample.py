"""A refutation is told so that a reader recognises it: as lines, as a sequence diagram, as data."""

from __future__ import annotations

import json

from sessionfsm.lifecycle import Close, Machine, Own, Policy, Poll, Wait
from sessionfsm.verify import decide
from sessionfsm.verify.counterexample import narrate, ordered, sequence_diagram

from . import lifecycles

REPORT = decide(Machine(Policy(), lifecycles.polls_at_once(Policy())))


def test_the_shortest_run_is_told_line_by_line() -> None:
    """Four facts are enough: it starts, it is denied, it waits, it polls. No shorter run can show it."""
    assert narrate(REPORT["P1"]) == (
        "1.          0 s  start            stopped → recovering  notifystart\n"
        "2.    0 to 10 s  session_expired  recovering → backoff  wait 5 s (session, wait 1, at most 300 s)\n"
        "3. 2.5 to 300 s  retry_due        backoff → active      getupdates\n"
        "a poll is ordered after a loss although no notifystart has ended since"
    )


def test_the_sequence_diagram_shows_what_goes_over_the_wire() -> None:
    assert sequence_diagram(REPORT["P1"]) == (
        "sequenceDiagram\n"
        "    participant S as session\n"
        "    participant W as server\n"
        "    Note over S: start\n"
        "    S->>W: notifystart\n"
        "    W-->>S: -14\n"
        "    Note over S: wait 5 s (session, wait 1, at most 300 s)\n"
        "    S->>W: getupdates\n"
        "    Note over S,W: P1: a poll is ordered after a loss although no notifystart has ended since\n"
    )


def test_every_operation_has_words() -> None:
    assert ordered(None) == ""
    assert ordered(Poll(serial=1, pace_s=2.0)) == "getupdates, paced 2 s"
    assert ordered(Poll(serial=1, fresh=True)) == "getupdates, on a fresh connection"
    assert ordered(Close(serial=1, notify=False)) == "close, without notifystop"
    own = Own(serial=1, name="ask", deadline_s=3.0, outcomes=("yes",), otherwise="no")
    assert ordered(own) == "perform ask, at most 3 s"
    pause = Wait(serial=1, ladder="nap", attempt=1, rung_s=60.0, first_s=60.0, ceiling_s=60.0)
    assert ordered(pause) == "wait 60 s (nap, wait 1)"


def test_as_data_it_has_the_same_steps() -> None:
    data = json.loads(json.dumps(REPORT.to_dict(), allow_nan=False))
    assert data["states"] == REPORT.states
    assert data["transitions"] == REPORT.transitions
    assert data["verdict"] == "refuted"
    first = next(entry for entry in data["properties"] if entry["id"] == "P1")
    steps = first["counterexample"]["steps"]
    assert [step["trigger"] for step in steps] == ["start", "session_expired", "retry_due"]
    assert steps[1]["command"]["kind"] == "wait"
    assert steps[2]["after_s"] == [2.5, 300.0]
    assert first["counterexample"]["sequence_diagram"].startswith("sequenceDiagram\n")
    proved = next(entry for entry in data["properties"] if entry["id"] == "P3")
    assert proved["verdict"] == "proved"
    assert proved["counterexample"] is None


def test_a_search_that_gives_up_proves_nothing_but_keeps_what_it_found() -> None:
    """Undecided is not rounded up to proved, and a break that was met is a break whatever else there is."""
    few = decide(Machine(), limit=50)
    assert {finding.verdict for finding in few.properties.values()} == {"undecided"}
    assert "gave up at" in few["P3"].why
    broken = decide(Machine(Policy(), lifecycles.polls_at_once(Policy())), limit=50)
    assert broken["P1"].verdict == "refuted"
    assert broken["P3"].verdict == "undecided"
    assert broken.verdict == "refuted"
