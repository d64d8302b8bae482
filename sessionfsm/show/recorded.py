"""Makes a run of records: of a trace, or of a session that is alive."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sessionfsm.diagram import Arc, Diagram, diagram_of
from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Close, Command, Machine, Own, Trigger, Wait
from sessionfsm.session import Quiet, Record, SendRecord, Session
from sessionfsm.verify.history import is_good

from .run import End, Request, Run, SendMark, Stay, StepMark, Waiting

__all__ = ["run_from", "run_of"]


def run_of(session: Session) -> Run:
    """
    Return the last part of a session's run, as far as :attr:`~sessionfsm.Session.history` reaches back.

    It reaches until now, and may be called from any thread.

    Raises:
        DefinitionError: If nothing has happened yet.
    """
    # In another thread the session goes on meanwhile: what was counted belongs to the records only while none is added.
    while True:
        records, quiet = session.history, session.quiet
        if session.history[-1:] == records[-1:]:
            break
    raised = {name for record in records for name in record.raised}
    up = sorted(session.signals - raised)
    return run_from(records, session.machine, sends=session.sends, now_s=session.now_s(), quiet=quiet, up=up)


def run_from(
    records: Sequence[Record],
    machine: Machine,
    *,
    sends: Iterable[SendRecord] = (),
    end: End | None = None,
    why: str = "",
    began: tuple[float, float] | None = None,
    now_s: float = -math.inf,
    quiet: Quiet | None = None,
    up: Iterable[str] = (),
) -> Run:
    """
    Return the run that *records* tell of, oldest first, all of one session.

    Args:
        machine: What it ran on.
        sends: The texts that were sent meanwhile.
        end: How the records end; by default that is read off the last one.
        why: Why they are broken off.
        began: When the run began, on the monotonic clock and in seconds since the epoch; by default with the first of
            the records.
        now_s: Until when nothing else has happened, on the monotonic clock, if the run goes on.
        quiet: Good polls that were counted since the last record.
        up: The signals that are known to have been up before the first record; what a record clears was, in any case.

    Raises:
        DefinitionError: If there is no record, or one took an arc that the machine's table does not have.
    """
    if not records:
        raise DefinitionError("nothing is on record yet: a run has a picture from its start on")
    began_s, wall_s = (records[0].at_s, records[0].wall_s) if began is None else began
    diagram = diagram_of(machine)
    arcs = _Arcs(diagram)
    marks = _Marks(began_s)
    steps: list[StepMark] = []
    for record in records:
        if record.quiet is not None:
            marks.add_quiet(record.quiet, record.number)
        quiet_arc = arcs.quiet(record.source) if record.quiet is not None else ""
        steps.append(StepMark(at_s=record.at_s - began_s, arc=arcs.taken(record), quiet_arc=quiet_arc, record=record))
        marks.add(record)
    sent = [
        SendMark(
            from_s=send.started_s - began_s,
            until_s=send.started_s - began_s + send.held_s,
            state=send.state,
            failed=send.failed,
            detail=send.detail,
        )
        for send in sends
        if send.started_s + send.held_s >= records[0].at_s
    ]
    sent.sort(key=lambda send: send.from_s)
    last = records[-1]
    closed = last.trigger == Trigger.CLOSED
    known = [last.at_s - began_s]
    if quiet is not None:
        marks.add_quiet(quiet, last.number + 1, arcs.quiet(last.target))
        known.append(quiet.last_started_s - began_s)
    until = known[0] if closed else max([*known, now_s - began_s, *(send.until_s for send in sent)])
    return Run(
        account=records[0].account,
        diagram=diagram,
        began_s=wall_s,
        from_s=records[0].at_s - began_s,
        until_s=until,
        whole=records[0].number == 1,
        end=end or ("closed" if closed else "open"),
        why=why,
        steps=tuple(steps),
        stays=marks.stays(until),
        requests=tuple(sorted(marks.requests, key=lambda request: request.from_s)),
        waits=marks.waits_until(until),
        sends=tuple(sent),
        up=_up_before(records, up),
    )


def _up_before(records: Sequence[Record], known: Iterable[str]) -> tuple[str, ...]:
    found, met = dict.fromkeys(known), set[str]()
    for record in records:
        found |= dict.fromkeys(name for name in record.cleared if name not in met)
        met.update(record.cleared, record.raised)
    return tuple(found)


class _Arcs:
    """Finds the arc that a record took."""

    def __init__(self, diagram: Diagram) -> None:
        self._name = diagram.name
        self._arcs: dict[tuple[str, str], list[Arc]] = {}
        for arc in diagram.arcs:
            self._arcs.setdefault((arc.trigger, arc.source), []).append(arc)

    def taken(self, record: Record) -> str:
        leading = [arc for arc in self._arcs.get((record.trigger, record.source), ()) if arc.target == record.target]
        # Rows with the same ends and trigger differ in what is ordered or remembered, and so in their reasons.
        told = [arc for arc in leading if arc.reason == record.reason]
        if not leading:
            raise DefinitionError(
                f"record {record.number}: the table {self._name!r} has no arc from {record.source!r} "
                f"to {record.target!r} for {record.trigger!r}"
            )
        return (told or leading)[0].id

    def quiet(self, state: str) -> str:
        """Return the arc of good polls that changed nothing."""
        arcs = [arc for arc in self._arcs.get((Trigger.POLLED, state), ()) if arc.target == state]
        return arcs[0].id if arcs else ""


class _Marks:
    """Gathers what a timeline shows, record by record."""

    def __init__(self, began: float) -> None:
        self.requests: list[Request] = []
        self.waits: list[Waiting] = []
        self._began = began
        self._changes: list[tuple[float, str]] = []
        self._outstanding: tuple[Command, float, float | None] | None = None  # since when, and how long it was to last

    def add(self, record: Record) -> None:
        at = record.at_s - self._began
        if not self._changes:
            self._changes.append((at, record.source))
        if record.target != self._changes[-1][1]:
            self._changes.append((at, record.target))
        self._request(record, at)
        self._ended(record, at)
        if record.command is not None:
            self._outstanding = (record.command, at, record.wait_s)

    def stays(self, until: float) -> tuple[Stay, ...]:
        ends = [*(at for at, _ in self._changes[1:]), until]
        stays = [
            Stay(state=state, from_s=at, until_s=end)
            for (at, state), end in zip(self._changes, ends, strict=True)
            if end > at
        ]
        # What ends in the moment in which it begins was no stay; but somewhere the session is in the end.
        if not stays or stays[-1].state != self._changes[-1][1]:
            stays.append(Stay(state=self._changes[-1][1], from_s=until, until_s=until))
        return tuple(stays)

    def waits_until(self, until: float) -> tuple[Waiting, ...]:
        """Return every wait, also one that goes on at *until*."""
        if self._outstanding is None or until <= self._outstanding[1]:
            return tuple(self.waits)
        command, begin, planned = self._outstanding
        if not isinstance(command, Wait | Own):
            return tuple(self.waits)
        what = _what(command)
        last = Waiting(from_s=begin, until_s=until, planned_s=planned, what=what, cut=False, over=False)
        return (*self.waits, last)

    def add_quiet(self, quiet: Quiet, number: int, arc: str = "") -> None:
        """Add polls that were only counted, before the record of this number."""
        self.requests.append(
            Request(
                kind="poll",
                from_s=quiet.first_started_s - self._began,
                until_s=quiet.last_started_s - self._began,
                polls=quiet.polls,
                good=True,
                trigger=Trigger.POLLED,
                news=quiet.news,
                detail="",
                number=number,
                counted=True,
                quiet_arc=arc,
            )
        )

    def _request(self, record: Record, at: float) -> None:
        if record.started_s is not None:
            begin = record.started_s - self._began
            good = is_good(record.trigger) or record.trigger == Trigger.SESSION_RENEWED
            self.requests.append(
                Request(
                    kind="renew" if record.operation == "renew" else "poll",
                    from_s=begin,
                    until_s=begin + record.held_s if record.held_s is not None else at,
                    polls=1,
                    good=good or record.trigger == Trigger.STOP,
                    trigger=record.trigger,
                    news=record.news,
                    detail=record.detail,
                    number=record.number,
                )
            )

    def _ended(self, record: Record, at: float) -> None:
        """Close what was outstanding, unless it goes on: then nothing new was ordered."""
        if self._outstanding is None or (record.command is None and record.trigger != Trigger.CLOSED):
            return
        command, begin, planned = self._outstanding
        match command:
            case Wait() | Own():
                what = _what(command)
                by_itself = record.trigger in ((Trigger.RETRY_DUE,) if isinstance(command, Wait) else command.outcomes)
                self.waits.append(Waiting(from_s=begin, until_s=at, planned_s=planned, what=what, cut=not by_itself))
            case Close(notify=True):
                self.requests.append(
                    Request(
                        kind="close",
                        from_s=begin,
                        until_s=at,
                        polls=1,
                        good=True,
                        trigger=record.trigger,
                        news=0,
                        detail="",
                        number=record.number,
                    )
                )
        self._outstanding = None


def _what(command: Wait | Own) -> str:
    return command.ladder if isinstance(command, Wait) else command.name
