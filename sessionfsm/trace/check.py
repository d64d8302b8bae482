"""Replays a trace through its machine, and judges every line of it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from sessionfsm.errors import TraceError
from sessionfsm.lifecycle import Machine
from sessionfsm.session import Record, RecordMonitor, SendRecord, Violation

from .lines import BrokenOff, Line, Other, RunLine, Torn
from .machines import Against, machine_for
from .reader import name_of, read_trace
from .summary import RunReport

__all__ = ["Report", "Wrong", "check_trace"]

_SHOWN = 8
_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """
    A line that is wrong.

    Attributes:
        line: Which, counted from 1.
        property: What it breaks: ``P1`` to ``P19``, ``R7``, or ``trace`` where the lines themselves are not whole.
        what: How, in one sentence.
        record: What stands on it.
        before: The lines before it, at most seven, with their numbers.
        began_s: When its run began.
    """

    line: int
    property: str
    what: str
    record: Record
    before: tuple[tuple[int, Record], ...]
    began_s: float


@dataclass(slots=True, kw_only=True)
class Report:
    """
    What a trace shows.

    Attributes:
        name: What the file is called.
        lines: How many lines it has, or were read until it was clear.
        runs: The runs in it: the last thousand.
        run_count: How many there are.
        wrong: What is wrong, in the order of the lines: the first thousand.
        wrong_count: How much there is.
        unfinished: How many of the runs have no end on file.
        others: How many lines of a kind that is not known were passed over.
        notes: What a reader of the verdict has to know besides.
        unreadable: Why reading ended before the end, after something wrong had been found; empty if it did not.
    """

    name: str
    lines: int = 0
    runs: deque[RunReport] = field(default_factory=lambda: deque(maxlen=_KEPT))
    run_count: int = 0
    wrong: list[Wrong] = field(default_factory=list)
    wrong_count: int = 0
    unfinished: int = 0
    others: int = 0
    notes: list[str] = field(default_factory=list)
    unreadable: str = ""

    @property
    def verdict(self) -> Literal["clean", "broken", "unfinished"]:
        """``broken`` if a property is; else ``unfinished`` if a run has no end: nobody knows what came after it."""
        if self.wrong_count:
            return "broken"
        return "unfinished" if self.unfinished else "clean"


def check_trace(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    machine: Against | None = None,
    first_only: bool = False,
    name: str | None = None,
) -> Report:
    """
    Replay every run in a trace through its machine, and judge it by P1 to P19 (:class:`~sessionfsm.RecordMonitor`).

    It reads line by line, and keeps no more of it than the report has.

    Args:
        source: A file by its name, or one that is open for reading bytes.
        machine: What the runs are held against, or a function that makes it for a run's policy. If absent, the default
            machine for the policy that stands in the trace; then the run must have been one on its table.
        first_only: Read no further than to the first line that is wrong.
        name: What the file is called in messages.

    Raises:
        TraceError: If it cannot be read, a line is no line of a trace, or it is not known what to hold a run against.
    """
    report = Report(name=name_of(source) if name is None else name)
    replay: _Replay | None = None
    try:
        for number, line in read_trace(source, name=report.name):
            report.lines = number
            if isinstance(line, RunLine):
                _finish(report, replay)
                chosen, note = machine_for(line, machine, line_number=number, name=report.name)
                replay = _Replay(number, line, chosen)
                if note and len(report.notes) < _KEPT:
                    report.notes.append(f"line {number}: {note}: it is judged by what was asked for")
            elif replay is not None:
                wrong = replay.take(number, line)
                report.others += isinstance(line, Other)
                report.wrong_count += len(wrong)
                report.wrong += wrong[: _KEPT - len(report.wrong)]
                if wrong and first_only:
                    replay.report.end = "unread"
                    break
    except TraceError as error:
        if not report.wrong_count:
            raise
        report.unreadable = str(error)
    _finish(report, replay)
    return report


def _finish(report: Report, replay: _Replay | None) -> None:
    if replay is not None:
        report.run_count += 1
        report.unfinished += replay.report.end not in ("closed", "unread")
        report.runs.append(replay.report)


class _Replay:
    """One run, followed line by line."""

    def __init__(self, number: int, run: RunLine, machine: Machine) -> None:
        self.report = RunReport(line=number, last_line=number, run=run)
        self._found: list[Violation] = []
        self._monitor = RecordMonitor(machine, on_violation=self._found.append)
        self._lines: deque[tuple[int, Record]] = deque(maxlen=_SHOWN)

    def take(self, number: int, line: Line) -> list[Wrong]:
        """Follow the run to this line; return what is wrong with it."""
        self.report.last_line = number
        match line:
            case Record():
                return self._record(number, line)
            case SendRecord():  # no property speaks of it: sending is no affair of the lifecycle
                self.report.add_send(line)
            case BrokenOff(why=why):
                self.report.end, self.report.why = "broken_off", why
            case Torn():
                self.report.end = "torn"
        return []

    def _record(self, number: int, record: Record) -> list[Wrong]:
        before = tuple(self._lines)[1 - _SHOWN :]
        found = [("trace", why) for why in self._begun_otherwise(record)]
        self._monitor(record)
        found += [(violation.property, violation.what) for violation in self._found]
        self._found.clear()
        self._lines.append((number, record))
        self.report.add(record, longest_gap_s=self._monitor.longest_gap_s)
        began = self.report.run.at_s
        return [
            Wrong(line=number, property=broken, what=what, record=record, before=before, began_s=began)
            for broken, what in found
        ]

    def _begun_otherwise(self, record: Record) -> Iterator[str]:
        run = self.report.run
        if self.report.records == 0 and (record.account, record.at_s) != (run.account, run.at_s):
            yield f"line {self.report.line} begins a run of {run.account} at {run.at_s:g} s, and this is not its start"
