"""What a timeline has in its lanes: every stay, request, wait, send, signal and record of a run as a mark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sessionfsm.diagram.layout import Kind
from sessionfsm.diagram.layout_arrows import kind_of_state
from sessionfsm.diagram.words import share_of

from .run import Request, Run, SendMark, Stay, StepMark, Waiting
from .timeline_time import TIMES
from .times import length_of

__all__ = ["About", "Lane", "Look", "Mark", "Raised", "lanes_of"]

MOST_STATES = 16
"""States that have a lane of their own; where a table has more, those with the shortest time share the last lane."""
MOST_SIGNALS = 6
"""The same for signals: the lifecycle has two."""

Look: TypeAlias = Literal["stay", "bar", "dot", "wait", "tick"]


@dataclass(frozen=True, slots=True)
class Raised:
    """A signal that is up, from the record that raised it until the one that cleared it."""

    signal: str
    from_s: float
    until_s: float
    cleared: bool
    number: int | None


About: TypeAlias = Stay | Request | Waiting | SendMark | Raised | StepMark


@dataclass(frozen=True, slots=True)
class Mark:
    """
    One thing that happened.

    Attributes:
        from_s: When it began.
        until_s: When it ended.
        kind: Which colour it has.
        count: How many it stands for: more than 1 for quiet polls, and for messages.
        about: What it shows.
        number: The number of the record that tells of it; ``None`` if there is none.
    """

    from_s: float
    until_s: float
    kind: Kind
    count: int
    about: About
    number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """
    Marks side by side.

    Attributes:
        id: What it is called in ids and classes; a number follows for each state and signal.
        name: What is written at its left.
        what: What its marks are, for one and for several: ``poll``, ``polls``.
        look: How its marks are drawn.
        kind: The colour of what is gathered in it.
        marks: In the order of their beginnings.
        total: What is written at its right.
        trouble: Whether it is the lane of what did not go well, under the lane of what did.
        panel: Lanes of one panel stand together.
    """

    id: str
    name: str
    what: tuple[str, str]
    look: Look
    kind: Kind
    marks: tuple[Mark, ...]
    total: str
    trouble: bool = False
    panel: str


def lanes_of(run: Run) -> tuple[Lane, ...]:
    """Return the lanes, from above; what did not happen in this run has none, but for polls."""
    seen = {stay.state for stay in run.stays} | {step.record.target for step in run.steps}
    kinds = {name: kind_of_state(run.diagram, name) for name in seen}
    return (
        *_states(run, kinds),
        *_requests(run),
        *_messages(run),
        *_waits(run),
        *_sends(run),
        *_signals(run),
        *_records(run, kinds),
    )


def _states(run: Run, kinds: Mapping[str, Kind]) -> list[Lane]:
    known = {box.name: number for number, box in enumerate(run.diagram.boxes)}
    stays: dict[str, list[Stay]] = {}
    for stay in run.stays:
        stays.setdefault(stay.state, []).append(stay)
    whole = run.until_s - run.from_s
    times = {name: run.time_in(name) for name in stays}
    longest = sorted(stays, key=lambda name: (-times[name], known[name]))
    own = longest if len(longest) <= MOST_STATES else longest[: MOST_STATES - 1]
    lanes = [
        Lane(
            id=f"state-{known[name]}",
            name=name,
            what=("stay", "stays"),
            look="stay",
            kind=kinds[name],
            marks=tuple(Mark(stay.from_s, stay.until_s, kinds[name], 1, stay) for stay in stays[name]),
            total=_share(times[name], whole),
            panel="states",
        )
        for name in sorted(own, key=known.__getitem__)
    ]
    if others := longest[len(own) :]:
        rest = sorted((stay for name in others for stay in stays[name]), key=lambda stay: stay.from_s)
        lanes.append(
            Lane(
                id="state-others",
                name=f"{len(others)} other states",
                what=("stay", "stays"),
                look="stay",
                kind="plain",
                marks=tuple(Mark(stay.from_s, stay.until_s, "plain", 1, stay) for stay in rest),
                total=_share(sum(times[name] for name in others), whole),
                panel="states",
            )
        )
    return lanes


def _share(time_s: float, whole_s: float) -> str:
    if not whole_s:
        return length_of(time_s)
    return f"{share_of(time_s / whole_s)} · {length_of(time_s)}"


def _requests(run: Run) -> list[Lane]:
    lanes: list[Lane] = []
    names = {"poll": ("poll", "polls"), "renew": ("renewal", "renewals"), "close": ("notifystop", "notifystops")}
    kinds: dict[str, Kind] = {"poll": "happy", "renew": "renewal", "close": "plain"}
    for which, what in names.items():
        found = [request for request in run.requests if request.kind == which]
        for good in (True, False):
            kind: Kind = kinds[which] if good else "trouble"
            marks = tuple(
                Mark(request.from_s, request.until_s, kind, request.polls, request, _record_of(request))
                for request in found
                if request.good == good
            )
            if marks or (which == "poll" and good):
                total = f"{sum(mark.count for mark in marks):,}"
                lanes.append(_lane("requests", what, "bar", kind, marks, total, trouble=not good))
    return lanes


def _record_of(request: Request) -> int | None:
    return None if request.quiet_arc else request.number


def _lane(
    panel: str, what: tuple[str, str], look: Look, kind: Kind, marks: Iterable[Mark], total: str, *, trouble: bool
) -> Lane:
    return Lane(
        id=f"{what[1]}-failed" if trouble else what[1],
        name="failed" if trouble else what[0] if what[0] == "notifystop" else what[1],
        what=(f"failed {what[0]}", f"failed {what[1]}") if trouble else what,
        look=look,
        kind=kind,
        marks=tuple(marks),
        total=total,
        trouble=trouble,
        panel=panel,
    )


def _messages(run: Run) -> list[Lane]:
    found = sorted((request for request in run.requests if request.news), key=lambda request: request.until_s)
    # Those of quiet polls came at some time from the first of them to the last.
    marks = [
        Mark(
            request.from_s if request.polls > 1 else request.until_s,
            request.until_s,
            "happy",
            request.news,
            request,
            _record_of(request),
        )
        for request in found
    ]
    marks.sort(key=lambda mark: mark.from_s)
    total = f"{sum(mark.count for mark in marks):,}"
    return [_lane("requests", ("message", "messages"), "dot", "happy", marks, total, trouble=False)] if marks else []


def _waits(run: Run) -> list[Lane]:
    waits = [wait for wait in run.waits if wait.planned_s is not None]
    own = [wait for wait in run.waits if wait.planned_s is None]
    lanes = []
    if waits:
        marks = [Mark(wait.from_s, wait.until_s, "trouble", 1, wait) for wait in waits]
        lanes.append(_lane("between", ("wait", "waits"), "wait", "trouble", marks, _cut(waits), trouble=False))
    if own:
        marks = [Mark(wait.from_s, wait.until_s, "renewal", 1, wait) for wait in own]
        lanes.append(_lane("between", ("operation", "operations"), "bar", "renewal", marks, _cut(own), trouble=False))
    return lanes


def _cut(waits: Sequence[Waiting]) -> str:
    cut = sum(wait.cut for wait in waits)
    return f"{len(waits):,}" + (f", {cut:,} cut short" if cut else "")


def _sends(run: Run) -> list[Lane]:
    lanes = []
    for failed in (False, True):
        kind: Kind = "trouble" if failed else "happy"
        marks = [Mark(send.from_s, send.until_s, kind, 1, send) for send in run.sends if bool(send.failed) == failed]
        total = f"{len(marks):,}"
        if marks or (run.sends and not failed):
            lanes.append(_lane("between", ("send", "sends"), "bar", kind, marks, total, trouble=failed))
    return lanes


def _signals(run: Run) -> list[Lane]:
    found: dict[str, list[Raised]] = {}
    up: dict[str, StepMark | None] = dict.fromkeys(run.up)  # raised before what is on record here
    for step in run.steps:
        for signal in step.record.cleared:
            begin = up.pop(signal, None)
            since = begin.at_s if begin else run.from_s
            number = begin.record.number if begin else step.record.number
            found.setdefault(signal, []).append(Raised(signal, since, step.at_s, True, number))
        for signal in step.record.raised:
            up.setdefault(signal, step)
    for signal, begin in up.items():
        since, told = (begin.at_s, begin.record.number) if begin else (run.from_s, None)
        found.setdefault(signal, []).append(Raised(signal, since, run.until_s, False, told))
    names = list(found)
    own = names if len(names) <= MOST_SIGNALS else names[: MOST_SIGNALS - 1]
    rows = [(name, found[name]) for name in own]
    if others := names[len(own) :]:
        raised = sorted((each for name in others for each in found[name]), key=lambda each: each.from_s)
        rows.append((f"{len(others)} other signals", raised))
    return [
        Lane(
            id=f"signal-{at}",
            name=name,
            what=("signal", "signals"),
            look="bar",
            kind="trouble",
            marks=tuple(Mark(each.from_s, each.until_s, "trouble", 1, each, each.number) for each in raised),
            total=f"raised {len(raised):,} {TIMES}" if len(raised) != 1 else "raised once",
            panel="signals",
        )
        for at, (name, raised) in enumerate(rows)
    ]


def _records(run: Run, kinds: Mapping[str, Kind]) -> list[Lane]:
    marks = [Mark(step.at_s, step.at_s, kinds[step.record.target], 1, step, step.record.number) for step in run.steps]
    total = f"{len(marks):,}"
    return [_lane("records", ("record", "records"), "tick", "plain", marks, total, trouble=False)] if marks else []
