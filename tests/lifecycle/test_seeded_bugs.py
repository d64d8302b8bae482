"""Every property can fail: a machine with one bug sown into it is caught by the property that speaks of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sessionfsm.lifecycle import (
    Close,
    Command,
    Ladder,
    Lifecycle,
    Machine,
    Memory,
    Order,
    OwnOrder,
    Policy,
    Renew,
    Row,
    State,
    StateEntry,
    Step,
    Trigger,
    Wait,
    table_for,
)
from sessionfsm.lifecycle.table import Assign, AtLeast, Below, Count, Is, SignalRule
from sessionfsm.verify import STATEMENTS, Finding, decide

S, T = State, Trigger

SMALL = Policy(
    session_first_s=5,
    session_ceiling_s=10,
    transport_first_s=1,
    transport_ceiling_s=2,
    pace_first_s=1,
    pace_ceiling_s=1,
    login_required_denials=2,
)
"""Two rungs on each ladder: enough for a first, a next and a last wait, and a graph that is searched in no time."""

PATHS = set(STATEMENTS) - {"P0", "P2", "P4", "P11"}
"""The properties of runs: a break of one comes with the run that shows it. The others can be broken before any run."""


def unchecked(policy: Policy, **figures: float) -> Policy:
    """A policy that could not be made: its bounds are passed by."""
    policy = replace(policy)
    for name, value in figures.items():
        object.__setattr__(policy, name, value)
    return policy


def changed(
    trigger: Trigger, when: Callable[[Row], bool] | None = None, *, policy: Policy = SMALL, **changes: Any
) -> Machine:
    """A machine in whose table the rows for *trigger* are different."""
    table = table_for(policy)
    rows = [
        replace(row, **changes) if row.trigger == trigger and (when is None or when(row)) else row for row in table.rows
    ]
    assert tuple(rows) != table.rows, "the bug was not sown"
    return Machine(policy, replace(table, rows=tuple(rows)))


def with_rows(edit: Callable[[list[Row]], None]) -> Machine:
    """A machine with other rows."""
    table = table_for(SMALL)
    rows = list(table.rows)
    edit(rows)
    assert tuple(rows) != table.rows, "the bug was not sown"
    return Machine(SMALL, replace(table, rows=tuple(rows)))


def without(*gone: Row) -> Machine:
    """A machine with fewer rows."""
    table = table_for(SMALL)
    return Machine(SMALL, replace(table, rows=tuple(row for row in table.rows if row not in gone)))


def row_for(trigger: Trigger, number: int = 0) -> Row:
    return [row for row in table_for(SMALL).rows if row.trigger == trigger][number]


def added(*updates: Assign | Count, to: Trigger) -> tuple[Assign | Count, ...]:
    return (*row_for(to).updates, *updates)


WAIT_TRANSPORT = (Count("waits"), Assign("trusted", False), Assign("doubts", 0))
WAIT_SESSION = (Count("denials"), Assign("expired", True), Assign("trusted", False), Assign("doubts", 0))


# What cannot be said in a table.


class AlwaysSaysGoodbye(Machine):
    def _command(self, order: Order | OwnOrder, before: Memory, after: Memory) -> Command | None:
        command = super()._command(order, before, after)
        return replace(command, notify=True) if isinstance(command, Close) else command


class SkipsTheFirstRung(Machine):
    def _wait(self, ladder: Ladder, attempt: int) -> Wait:
        return super()._wait(ladder, attempt + 1)


class IgnoresSerials(Machine):
    class Session(Lifecycle):
        __slots__ = ()

        def handle(self, trigger: str, *, serial: int | None = None) -> Step | None:
            current = self.outstanding.serial if self.outstanding is not None else serial
            return super().handle(trigger, serial=current)

    def session(self) -> Lifecycle:
        return self.Session(self)


def gives_up(rows: list[Row]) -> None:
    """What some SDKs do: after so many failures in a row the loop ends."""
    at = rows.index(row_for(T.POLL_FAILED))
    rows[at : at + 1] = [
        replace(rows[at], guards=(Below("waits", 2),)),
        replace(
            rows[at],
            guards=(AtLeast("waits", 2),),
            target=S.STOPPING,
            updates=row_for(T.STOP).updates,
            order=Order.CLOSE,
        ),
    ]


def renews_twice(rows: list[Row]) -> None:
    at = rows.index(row_for(T.SESSION_RENEWED))
    rows[at : at + 1] = [
        replace(rows[at], guards=(Is("expired", True),), target=S.RECOVERING, order=Order.RENEW),
        replace(rows[at], guards=(Is("expired", False),)),
    ]


def hollow_limit(number: int) -> Callable[[list[Row]], None]:
    def edit(rows: list[Row]) -> None:
        for at, row in enumerate(rows):
            if row.trigger == T.HOLLOW:
                guards = [
                    replace(guard, limit=number - 1) if isinstance(guard, Below | AtLeast) else guard
                    for guard in row.guards
                ]
                rows[at] = replace(row, guards=tuple(guards))

    return edit


def polls_without_notifystart(rows: list[Row]) -> None:
    """What all twenty clients do, the official one first: wait, then poll again."""
    for at, row in enumerate(rows):
        if row.trigger in (T.RETRY_DUE, T.WAKE):
            rows[at] = replace(row, target=S.ACTIVE, order=Order.POLL)


def ends_elsewhere() -> Machine:
    """After the close the session is somewhere else than where it began, and cannot be started again."""
    table = table_for(SMALL)
    rows = tuple(replace(row, target="ended") if row.trigger == T.CLOSED else row for row in table.rows)
    states = (*table.states, StateEntry(name="ended", meaning="Nothing more can happen."))
    return Machine(SMALL, replace(table, states=states, rows=rows))


@dataclass(frozen=True)
class Bug:
    """
    A machine with a bug.

    Attributes:
        of: The property that it breaks first and foremost.
        make: Makes the machine.
        also: Every other property that it breaks, because what they say overlaps.
    """

    of: str
    make: Callable[[], Machine]
    also: str = ""


def with_signals(change: Callable[[SignalRule], SignalRule]) -> Machine:
    """A machine whose signal rules are others."""
    table = table_for(SMALL)
    return Machine(SMALL, replace(table, signals=tuple(change(rule) for rule in table.signals)))


def late(rule: SignalRule) -> SignalRule:
    limits = tuple(
        replace(g, limit=g.limit + 1) if isinstance(g, AtLeast) and g.counter == "denials" else g for g in rule.guards
    )
    return replace(rule, guards=limits)


def without_guards(rule: SignalRule) -> SignalRule:
    return replace(rule, guards=tuple(guard for guard in rule.guards if not isinstance(guard, Is)))


REQUIRED = replace(SMALL, renewal="required")
ONE_RUNG = replace(SMALL, session_ceiling_s=5, login_required_denials=3)

BUGS: Mapping[str, Bug] = {
    "a good poll is unknown": Bug("P0", lambda: without(row_for(T.POLLED), row_for(T.HURRIED)), also="P4 P7"),
    "the end is nowhere": Bug("P0", ends_elsewhere, also="P4"),
    "after the close it starts again": Bug(
        "P0", lambda: changed(T.CLOSED, target=S.RECOVERING, order=Order.RENEW), also="P5 P17"
    ),
    "it waits and polls again": Bug("P1", lambda: with_rows(polls_without_notifystart), also="P16"),
    "a loss is answered with a poll": Bug(
        "P1",
        lambda: changed(T.SESSION_EXPIRED, lambda row: row.order is Order.RENEW, target=S.ACTIVE, order=Order.POLL),
        also="P16",
    ),
    "an attempt is enough although success is required": Bug("P1", lambda: Machine(REQUIRED, table_for(SMALL))),
    "a wait of more than 15 minutes": Bug(
        "P2", lambda: Machine(unchecked(SMALL, session_first_s=500, session_ceiling_s=1000))
    ),
    "a first rung of half a second": Bug("P2", lambda: Machine(unchecked(SMALL, transport_first_s=0.5)), also="P8"),
    "a pace of half a second": Bug("P2", lambda: Machine(unchecked(SMALL, pace_first_s=0.5, pace_ceiling_s=0.5))),
    "nothing is outstanding after a silent poll": Bug("P3", lambda: changed(T.SILENT, order=Order.GO_ON)),
    "a timer in active": Bug("P3", lambda: changed(T.POLL_FAILED, target=S.ACTIVE), also="P4 P7"),
    "two rows apply": Bug(
        "P4", lambda: with_rows(lambda rows: rows.append(replace(row_for(T.POLLED), reason="twice")))
    ),
    "no row applies": Bug("P4", lambda: without(row_for(T.WAKE))),
    "the third hollow answer of a trusted session is forgotten": Bug("P4", lambda: without(row_for(T.HOLLOW, 1))),
    "a second stop starts the close again": Bug(
        "P4", lambda: changed(T.STOP, sources=(S.RECOVERING, S.ACTIVE, S.BACKOFF, S.STOPPING))
    ),
    "goodbye to a session that the server does not know": Bug("P5", lambda: AlwaysSaysGoodbye(SMALL)),
    "stop lets the operation go on": Bug("P5", lambda: changed(T.STOP, order=Order.GO_ON), also="P0 P3 P4"),
    "an hour of waiting": Bug(
        "P6", lambda: Machine(unchecked(SMALL, session_first_s=1800, session_ceiling_s=3600)), also="P2"
    ),
    "an hour of polling": Bug("P6", lambda: Machine(unchecked(SMALL, hold_ceiling_s=3600))),
    "waits for ever": Bug(
        "P6",
        lambda: changed(T.RETRY_DUE, target=S.BACKOFF, updates=WAIT_TRANSPORT, order=Order.WAIT_TRANSPORT),
        also="P7",
    ),
    "a renewed session waits": Bug(
        "P7",
        lambda: changed(
            T.SESSION_RENEWED,
            target=S.BACKOFF,
            updates=(*WAIT_TRANSPORT, Assign("expired", False)),
            order=Order.WAIT_TRANSPORT,
        ),
        also="P6",
    ),
    "renews twice": Bug("P7", lambda: with_rows(renews_twice), also="P6 P8 P17"),
    "a session ladder that begins at one second": Bug("P8", lambda: Machine(unchecked(SMALL, session_first_s=1))),
    "chance takes nearly all of a wait": Bug("P8", lambda: Machine(unchecked(SMALL, jitter=0.95))),
    "an instant answer counts as held": Bug("P8", lambda: Machine(unchecked(SMALL, quick_s=0))),
    "a lapse at once": Bug("P8", lambda: Machine(unchecked(SMALL, lapse_after_s=0))),
    "hurried polls are not paced": Bug("P8", lambda: changed(T.HURRIED, order=Order.POLL), also="P15"),
    "the first wait is the second rung": Bug("P9", lambda: SkipsTheFirstRung(SMALL)),
    "a renewal resets the transport ladder": Bug(
        "P9",
        lambda: changed(T.SESSION_RENEWED, updates=added(Assign("waits", 0), to=T.SESSION_RENEWED)),
        also="P8 P10 P19",
    ),
    "a silent poll takes denials back": Bug(
        "P10",
        lambda: changed(T.SILENT, policy=ONE_RUNG, updates=added(Assign("denials", 0), to=T.SILENT)),
        also="P9 P19",
    ),
    "a hurried poll proves the session": Bug(
        "P10", lambda: changed(T.HURRIED, updates=added(Assign("trusted", True), to=T.HURRIED)), also="P16 P17"
    ),
    "late outcomes count": Bug("P11", lambda: IgnoresSerials(SMALL)),
    "it starts with a poll": Bug("P12", lambda: changed(T.START, target=S.ACTIVE, order=Order.POLL)),
    "it gives up": Bug("P12", lambda: with_rows(gives_up), also="P5 P7 P10 P14 P19"),
    "a denied handshake is taken for the weather": Bug(
        "P13",
        lambda: changed(
            T.SESSION_EXPIRED,
            lambda row: row.sources == (S.RECOVERING,),
            updates=(*WAIT_TRANSPORT, Assign("expired", True)),
            order=Order.WAIT_TRANSPORT,
        ),
    ),
    "a broken handshake is taken for a denial": Bug(
        "P13",
        lambda: changed(
            T.SESSION_EXPIRED,
            lambda row: row.order is Order.WAIT_TRANSPORT,
            updates=WAIT_SESSION,
            order=Order.WAIT_SESSION,
        ),
    ),
    "a renewal does not heal": Bug("P14", lambda: changed(T.SESSION_RENEWED, updates=()), also="P5 P13 P19"),
    "a lapse is not remembered": Bug(
        "P14",
        lambda: changed(T.SESSION_LAPSED, updates=(Assign("trusted", False), Assign("doubts", 0))),
        also="P5 P13 P19",
    ),
    "a connection that may be dead is used again": Bug("P15", lambda: changed(T.SILENT, order=Order.POLL)),
    "a renewed session is paced": Bug("P15", lambda: changed(T.SESSION_RENEWED, order=Order.POLL_PACED)),
    "a session that has proved itself waits": Bug(
        "P16",
        lambda: changed(
            T.SESSION_EXPIRED,
            lambda row: row.order is Order.RENEW,
            target=S.BACKOFF,
            updates=WAIT_SESSION,
            order=Order.WAIT_SESSION,
        ),
    ),
    "a lapse waits": Bug(
        "P16",
        lambda: changed(T.SESSION_LAPSED, target=S.BACKOFF, updates=WAIT_SESSION, order=Order.WAIT_SESSION),
        also="P13",
    ),
    "a session that has proved nothing is renewed at once": Bug(
        "P16",
        lambda: changed(
            T.SESSION_EXPIRED,
            lambda row: row.order is Order.WAIT_SESSION and row.sources == (S.ACTIVE,),
            target=S.RECOVERING,
            updates=WAIT_SESSION[1:],
            order=Order.RENEW,
        ),
        also="P8 P17",
    ),
    "every good poll renews": Bug(
        "P17",
        lambda: changed(
            T.POLLED, target=S.RECOVERING, updates=added(Assign("trusted", False), to=T.POLLED), order=Order.RENEW
        ),
    ),
    "two hollow answers are a loss": Bug("P18", lambda: with_rows(hollow_limit(2)), also="P5 P13 P14 P17 P19"),
    "three hollow answers are no loss": Bug("P18", lambda: with_rows(hollow_limit(4)), also="P1 P5 P13 P14 P16 P19"),
    "login_required a denial late": Bug("P19", lambda: with_signals(late)),
    "renewal_blocked for a session that is not lost": Bug("P19", lambda: with_signals(without_guards)),
    "a renewal clears the signals": Bug("P19", lambda: changed(T.SESSION_RENEWED, clears_signals=True)),
    "a hurried poll leaves them up": Bug("P19", lambda: changed(T.HURRIED, clears_signals=False)),
}


@cache
def found(name: str) -> tuple[Machine, dict[str, Finding]]:
    """The machine with the bug, and what was found about it."""
    machine = BUGS[name].make()
    return machine, decide(machine).properties


@pytest.mark.parametrize("name", BUGS)
def test_the_bug_is_caught(name: str) -> None:
    """The bug breaks the property that it is about, and of the others just those that say the same in other words."""
    bug = BUGS[name]
    _, findings = found(name)
    assert {number for number, finding in findings.items() if not finding.holds} == {bug.of, *bug.also.split()}
    assert findings[bug.of].why


@pytest.mark.parametrize("name", BUGS)
def test_a_broken_property_of_runs_is_shown_by_a_run(name: str) -> None:
    """The counterexample is a run without gaps; if it has a beginning, the broken machine can be led along it."""
    machine, findings = found(name)
    for number, finding in findings.items():
        path = finding.counterexample
        assert not (finding.holds and path)
        assert finding.holds or path or number not in PATHS
        for arc, following in pairwise(path):
            assert arc.target == following.source
            assert (arc.step.target, arc.step.after) == (following.step.source, following.step.before)
        if path and path[0].move.trigger is T.START:
            session = machine.session()
            for arc in path:
                serial = session.outstanding.serial if session.outstanding is not None else None
                step = session.handle(arc.move.trigger, serial=serial)
                assert step is not None
                assert (step.target, step.after, type(step.command)) == (
                    arc.step.target,
                    arc.step.after,
                    type(arc.command),
                )


class AnHourFromSomeFailureOn(Machine):
    """What it counts stands in the session, where no snapshot has it."""

    class Session(Lifecycle):
        def __init__(self, machine: Machine) -> None:
            super().__init__(machine)
            self.failures = 0

        def handle(self, trigger: str, *, serial: int | None = None) -> Step | None:
            step = super().handle(trigger, serial=serial)
            if step is not None and isinstance(step.command, Wait):
                self.failures += 1
                if self.failures >= 10_000:  # no search goes so far, and it begins anew each time
                    self.outstanding = replace(step.command, rung_s=3600.0, ceiling_s=3600.0)
            return step

    def session(self) -> Lifecycle:
        return self.Session(self)


def test_what_a_snapshot_does_not_have_is_not_proved() -> None:
    """A machine whose sessions have a memory of their own is undecided: the search puts them where it wants them."""
    report = decide(AnHourFromSomeFailureOn(SMALL))
    assert report.verdict == "undecided"
    assert {finding.verdict for finding in report.properties.values()} == {"undecided"}
    assert "remember more than the search can see (failures)" in report["P2"].why
    assert report.figures is None


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("waits for ever", {"P6": 4, "P7": 4}),  # start, a denial, and two waits: the second is the first once more
        ("a renewed session waits", {"P6": 6, "P7": 6}),
    ],
)
def test_what_goes_on_for_ever_is_shown_by_the_shortest_run(name: str, steps: dict[str, int]) -> None:
    """A run into a cycle, and once round it: no shorter one leads to where it has been before."""
    _, findings = found(name)
    for number, length in steps.items():
        path = findings[number].counterexample
        assert len(path) == length
        places = [arc.source for arc in path]
        assert path[-1].target in places
        assert all(one.target == next_one.source for one, next_one in pairwise(path))


def test_every_property_can_fail() -> None:
    """Each property has a bug of its own."""
    assert {bug.of for bug in BUGS.values()} == set(STATEMENTS)


def test_the_page_lists_the_bugs() -> None:
    """The page about the proof of the proof says of every bug which property it is about, and which others catch it."""
    page = Path(__file__).parents[2] / "docs" / "explanation" / "proof-of-the-proof.md"
    told = [line for line in page.read_text(encoding="utf-8").splitlines() if line.count(" | ") == 2]
    in_order = sorted(BUGS.items(), key=lambda named: int(named[1].of[1:]))
    rows = [f"| {bug.of} | {name} | {', '.join(bug.also.split()) or 'none'} |" for name, bug in in_order]
    assert [line for line in told if line in rows] == rows
    assert len([line for line in told if line.startswith("| P")]) == len(rows)


@pytest.mark.parametrize("policy", [SMALL, REQUIRED, ONE_RUNG], ids=["small", "required", "one rung"])
def test_without_a_bug_nothing_is_found(policy: Policy) -> None:
    """The machines that the bugs were sown into keep every property: it is the bug that is found."""
    assert all(finding.holds for finding in decide(Machine(policy)).properties.values())


def test_a_ladder_that_does_not_climb_is_decided_too() -> None:
    """A first rung of nothing, past the check, stays nothing for ever: the search ends all the same, and refutes it."""
    report = decide(Machine(unchecked(SMALL, transport_first_s=0.0)))
    assert report["P2"].verdict == report["P8"].verdict == "refuted"
    assert report.figures is not None
    assert report.figures.most_requests["no good poll"]["second"] is None


# What only code can do wrong, and no table.


class GivesNumbersAgain(Machine):
    class Session(Lifecycle):
        __slots__ = ()

        def handle(self, trigger: str, *, serial: int | None = None) -> Step | None:
            step = super().handle(trigger, serial=serial)
            self._serial %= 4
            return step

    def session(self) -> Lifecycle:
        return self.Session(self)


class HasOneSession(Machine):
    def session(self) -> Lifecycle:
        if "only" not in vars(self):
            vars(self)["only"] = super().session()
        only: Lifecycle = vars(self)["only"]
        return only


class TellsAnotherStory(Machine):
    class Session(Lifecycle):
        __slots__ = ()

        def handle(self, trigger: str, *, serial: int | None = None) -> Step | None:
            step = super().handle(trigger, serial=serial)
            return step._replace(target=S.ACTIVE) if step is not None and trigger == T.STORE_FAILED else step

    def session(self) -> Lifecycle:
        return self.Session(self)


class GivesNoTime(Machine):
    def _command(self, order: Order | OwnOrder, before: Memory, after: Memory) -> Command | None:
        command = super()._command(order, before, after)
        return replace(command, deadline_s=0.0) if isinstance(command, Renew) else command


class MiscountsWaits(Machine):
    def _wait(self, ladder: Ladder, attempt: int) -> Wait:
        return replace(super()._wait(ladder, attempt), attempt=99)


@pytest.mark.parametrize(
    ("machine", "number"),
    [
        (GivesNumbersAgain, "P11"),
        (HasOneSession, "P11"),
        (TellsAnotherStory, "P4"),
        (GivesNoTime, "P6"),
        (MiscountsWaits, "P9"),
    ],
)
def test_a_bug_in_the_code_of_a_machine_is_caught(machine: type[Machine], number: str) -> None:
    """Numbers that come again, sessions that share what they remember, steps that lie: each is refuted."""
    assert decide(machine(SMALL))[number].verdict == "refuted"
