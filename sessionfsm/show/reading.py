"""Takes one run, or a stretch of it, out of a trace."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO, TypeVar

from sessionfsm.errors import DefinitionError, TraceError
from sessionfsm.lifecycle import Machine
from sessionfsm.session import Record, SendRecord
from sessionfsm.trace import BrokenOff, RunLine, Torn, read_trace
from sessionfsm.trace.machines import Against, machine_for
from sessionfsm.trace.reader import name_of

from .recorded import run_from
from .run import End, Run, signals_up

__all__ = ["MOST_RECORDS", "read_run"]

MOST_RECORDS = 100_000
"""What is drawn at once: a session's week, if nothing much happens; more would only be a black bar."""

_MOST_UP = 1000
"""Signals that are remembered from before a stretch: a file could make up one in each of its lines."""

_Kept = TypeVar("_Kept", Record, SendRecord)


def read_run(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    number: int | None = None,
    from_s: float = 0.0,
    until_s: float = math.inf,
    machine: Against | None = None,
    most: int = MOST_RECORDS,
    name: str | None = None,
) -> Run:
    """
    Return a run that stands in a trace.

    It reads line by line, and keeps no more than the records and sends of one run, or of the stretch of it.

    Args:
        source: A file by its name, or one that is open for reading bytes.
        number: Which run, counted from 1; the last one if absent.
        from_s: Where the stretch begins that is wanted, in seconds since the run began.
        until_s: Where it ends.
        machine: What it ran on, or a function that makes it for the run's policy. If absent, the default machine for
            the policy that stands in the trace; then the run must have been one on its table.
        most: How many records, and how many sends, are kept; a run with more is refused.
        name: What the file is called in messages.

    Raises:
        TraceError: If it cannot be read, has no such run, or nothing of it, or the run has too many records or sends.
        DefinitionError: If the machine's table has no arc that a record took or no signal that it tells of, or nothing
            of the run lies there.
    """
    name = name_of(source) if name is None else name
    found: _Found | None = None
    count = 0
    for line_number, line in read_trace(source, name=name):
        match line:
            case RunLine():
                count += 1
                if found is not None and count - 1 == number:
                    break
                found = _Found(line_number, line, most) if number is None or count == number else None
            case _ if found is None:
                continue
            case Record():
                found.add(line, from_s, until_s)
            case SendRecord():
                found.add_send(line, from_s, until_s)
            case BrokenOff(why=why):
                found.end, found.why = "broken_off", why
            case Torn():
                found.end = "torn"
    if found is None:
        runs = f"{count} runs" if count != 1 else "1 run"
        raise TraceError(f"{name} has {runs}, and no run {number}", name=name)
    if not found.records:
        raise TraceError(
            f"{name}:{found.line_number}: nothing of the run is on record", name=name, line=found.line_number
        )
    if found.left_out:
        raise TraceError(
            f"{name}:{found.line_number}: the run has more than {most:,} {found.left_out}; "
            "draw a part of it (--from S --to S)",
            name=name,
            line=found.line_number,
        )
    chosen, note = machine_for(found.run, machine, line_number=found.line_number, name=name)
    _know_the_signals(found.up, found.records, chosen)
    moment = (found.run.at_s, found.run.wall_s)
    run = run_from(found.records, chosen, sends=found.sends, end=found.end, why=found.why, began=moment, up=found.up)
    # Of what was before the stretch only the last record was kept, but it is known when the run began.
    run = replace(run, note=note, from_s=0.0) if run.until_s < from_s else replace(run, note=note)
    return run if from_s <= 0 and until_s >= run.until_s else run.between(from_s, until_s)


def _know_the_signals(up: Sequence[str], records: Iterable[Record], machine: Machine) -> None:
    """
    Refuse signals that no session on the machine has.

    Else a file could make up so many that a page, which has with each record those that are up, had no end.
    """
    known = {str(rule.signal) for rule in machine.table.signals}
    if before := [signal for signal in up if signal not in known]:
        raise DefinitionError(f"before the stretch: the table {machine.table.name!r} has no signal {before[0]!r}")
    for record in records:
        for told in filter(None, (record.raised, record.cleared)):
            if strange := [signal for signal in told if signal not in known]:
                raise DefinitionError(
                    f"record {record.number}: the table {machine.table.name!r} has no signal {strange[0]!r}"
                )
            if len(set(told)) < len(told):
                raise DefinitionError(f"record {record.number}: a signal stands there twice")


class _Found:
    """The run that is wanted: its records in the stretch, with the one before it and the one after it."""

    def __init__(self, line_number: int, run: RunLine, most: int) -> None:
        self.line_number = line_number
        self._most = most
        self.run = run
        self.records: list[Record] = []
        self.sends: list[SendRecord] = []
        self.end: End | None = None
        self.why = ""
        self.left_out = ""
        self.up: tuple[str, ...] = ()
        self._over = False

    def add(self, record: Record, from_s: float, until_s: float) -> None:
        at = record.at_s - self.run.at_s
        if self._over:
            return
        if at < from_s and self.records:
            self.up = signals_up(self.up, self.records)[:_MOST_UP]
            self.records.clear()
        self._keep(self.records, record, "records")
        self._over = at > until_s

    def add_send(self, send: SendRecord, from_s: float, until_s: float) -> None:
        begin = send.started_s - self.run.at_s
        if begin <= until_s and begin + send.held_s >= from_s:
            self._keep(self.sends, send, "sends")

    def _keep(self, kept: list[_Kept], one: _Kept, what: str) -> None:
        if len(kept) < self._most:
            kept.append(one)
        else:
            self.left_out = what
