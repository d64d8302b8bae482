"""What a mark of a timeline says when a pointer rests on it: what, when, how long, and why."""

from __future__ import annotations

from .run import Request, SendMark, Stay, StepMark, Waiting
from .timeline_cells import Cell
from .timeline_lanes import Lane, Mark, Raised
from .times import length_of
from .words import REQUESTS, counted, cut_off

__all__ = ["at_words", "tip_of"]


def tip_of(cell: Cell, lane: Lane) -> str:
    """Return the lines of a cell's tooltip."""
    if cell.marks == 1:
        return "\n".join(line for line in _of_mark(cell.first, lane) if line)
    one, several = lane.what
    what = several if cell.count > 1 else one
    lines = [f"{cell.count:,} {what}, {_between(cell.from_s, cell.until_s)}"]
    if lane.look != "tick":
        lines.append(f"in sum {length_of(cell.held_s)}")
    return "\n".join(lines)


def at_words(time_s: float) -> str:
    """Return a moment of the run, to a thousandth of a second up to an hour: ``at 12.345 s``."""
    return f"{time_s:,.3f} s" if abs(time_s) < 3600 else f"{length_of(time_s)} ({time_s:,.3f} s)"


def _between(from_s: float, until_s: float) -> str:
    return f"from {at_words(from_s)} to {at_words(until_s)}"


def _when(mark: Mark) -> str:
    length = mark.until_s - mark.from_s
    return f"at {at_words(mark.from_s)}, for {length_of(length)}"


def _of_mark(mark: Mark, lane: Lane) -> list[str]:
    about = mark.about
    match about:
        case Stay():
            return [f"{cut_off(about.state)}: {length_of(about.until_s - about.from_s)}", _when(mark)]
        case Request() if lane.look == "dot":
            messages = counted(mark.count, "message")
            when = _between(about.from_s, about.until_s) if about.polls > 1 else f"at {at_words(about.until_s)}"
            # Of a poll that was only counted the beginning is known.
            when = f"after {at_words(about.from_s)}" if about.counted and about.polls == 1 else when
            return [f"{messages}, {when}", _told_in(about)]
        case Request():
            return _of_request(about)
        case Waiting():
            return _of_wait(about)
        case SendMark():
            became = f"failed: {cut_off(about.detail or about.failed)}" if about.failed else "sent"
            return [f"send: {became}", _when(mark), f"the session was in {cut_off(about.state)}"]
        case Raised():
            end = "until it was cleared" if about.cleared else "and not cleared"
            known = "raised before this" if about.number is None else f"record {about.number}"
            return [f"signal {cut_off(about.signal)}", f"{_when(mark)}, {end}", known]
        case StepMark():
            return _of_step(about)


def _of_request(request: Request) -> list[str]:
    news = counted(request.news, "message")
    length = length_of(request.until_s - request.from_s)
    if request.counted:
        first, last = at_words(request.from_s), at_words(request.until_s)
        return [
            f"{counted(request.polls, 'quiet poll')}: {news}",
            f"the first started at {first}, the last at {last}" if request.polls > 1 else f"started at {first}",
            _told_in(request),
        ]
    lines = [
        f"{REQUESTS[request.kind]}: {cut_off(request.trigger)}" + (f", {news}" if request.news else ""),
        f"at {at_words(request.from_s)}, for {length}",
        cut_off(request.detail),
    ]
    return [*lines, _told_in(request)]


def _told_in(request: Request) -> str:
    if request.quiet_arc:
        return "counted since the last record"
    return f"counted in record {request.number}" if request.counted else f"record {request.number}"


def _of_wait(wait: Waiting) -> list[str]:
    lasted = length_of(wait.until_s - wait.from_s)
    if not wait.over:
        lasted = f"{lasted}, and goes on"
    if wait.planned_s is None:
        became = f"cut short after {lasted}" if wait.cut else f"took {lasted}"
        return [f"operation {cut_off(wait.what)}: {became}", f"at {at_words(wait.from_s)}"]
    planned = length_of(wait.planned_s)
    became = f"cut short after {lasted}" if wait.cut else f"over after {lasted}" if wait.over else lasted
    return [f"wait of {planned} ({cut_off(wait.what)}): {became}", f"at {at_words(wait.from_s)}"]


def _of_step(step: StepMark) -> list[str]:
    record = step.record
    arrow = f"{cut_off(record.source)} → {cut_off(record.target)}"
    signals = [f"raises {cut_off(name)}" for name in record.raised[:6]]
    signals += [f"clears {cut_off(name)}" for name in record.cleared[:6]]
    return [
        f"record {record.number}: {cut_off(record.trigger)}",
        f"{arrow}, at {at_words(step.at_s)}",
        cut_off(record.reason),
        cut_off(record.detail),
        ", ".join(signals),
    ]
