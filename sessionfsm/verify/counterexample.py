"""A way through the graph, told to people: as numbered lines, and as a sequence diagram of session and server."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sessionfsm.lifecycle import Close, Command, Own, Poll, Renew, Trigger, Wait

from .explore import Arc
from .report import Finding

__all__ = ["ANSWERS", "LOST", "PARTICIPANTS", "escaped", "narrate", "ordered", "sequence_diagram", "steps"]

T = Trigger

ANSWERS: Mapping[str, str] = {
    T.SESSION_RENEWED: "ok",
    T.RENEWAL_FAILED: "no answer that means anything",
    T.SESSION_EXPIRED: "-14",
    T.SESSION_LAPSED: "-14, after the poll was held",
    T.HURRIED: "at once, nothing new",
    T.HOLLOW: "neither messages nor a cursor",
    T.SILENT: "no answer",
    T.POLL_FAILED: "an error",
    T.STORE_FAILED: "answered, but the batch cannot be committed",
}
"""What came back for a request, by what it came to; of a good poll see :func:`sequence_diagram`."""

LOST: Collection[str] = (T.SILENT, T.RENEWAL_FAILED)
"""What a request comes to that is not answered."""

PARTICIPANTS = ("participant S as session", "participant W as server")

_PLAIN = str.maketrans({"#": " ", ";": ",", "\n": " ", "<": "below", ">": "above"})


def narrate(finding: Finding) -> str:
    """Return the counterexample of *finding* as numbered lines, and what is wrong at its end."""
    return "\n".join([*_lines(finding.counterexample), finding.why])


def _lines(path: Sequence[Arc]) -> Iterator[str]:
    rows = [
        (
            f"{number}.",
            _span(arc.move.least_s, arc.move.most_s),
            str(arc.move.trigger),
            f"{arc.step.source} → {arc.step.target}",
            ordered(arc.command),
        )
        for number, arc in enumerate(path, start=1)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)] if rows else []
    for number, span, trigger, states, order in rows:
        yield (
            f"{number:>{widths[0]}} {span:>{widths[1]}}  {trigger:{widths[2]}}  {states:{widths[3]}}  {order}"
        ).rstrip()


def _span(least_s: float, most_s: float) -> str:
    return f"{least_s:g} s" if least_s == most_s else f"{least_s:g} to {most_s:g} s"


def ordered(command: Command | None) -> str:
    """Return in words what was ordered."""
    match command:
        case None:
            return ""
        case Renew():
            return "notifystart"
        case Poll(pace_s=pace, fresh=fresh):
            return f"getupdates{f', paced {pace:g} s' if pace else ''}{', on a fresh connection' if fresh else ''}"
        case Wait():
            upto = f", at most {command.ceiling_s:g} s" if command.ceiling_s != command.rung_s else ""
            return f"wait {command.rung_s:g} s ({command.ladder}, wait {command.attempt}{upto})"
        case Own():
            return f"perform {command.name}, at most {command.deadline_s:g} s"
        case Close(notify=notify):
            return "close, with notifystop" if notify else "close, without notifystop"


def steps(path: Iterable[Arc]) -> list[dict[str, Any]]:
    """Return a way as plain data: what happened, when after the start of the operation, and what came of it."""
    return [
        {
            "trigger": str(arc.move.trigger),
            "after_s": [arc.move.least_s, arc.move.most_s],
            "source": arc.step.source,
            "target": arc.step.target,
            "memory": arc.step.after._asdict(),
            "command": _plain(arc.command),
            "reason": arc.step.reason,
        }
        for arc in path
    ]


def _plain(command: Command | None) -> dict[str, Any] | None:
    if command is None:
        return None
    fields = asdict(command)
    del fields["serial"]
    return {"kind": type(command).__name__.lower(), **fields}


def sequence_diagram(finding: Finding) -> str:
    """Return the counterexample of *finding* as a Mermaid sequence diagram of the session and the server."""
    lines = ["sequenceDiagram", *(f"    {each}" for each in PARTICIPANTS)]
    outstanding: Command | None = None
    for arc in finding.counterexample:
        lines += (f"    {line}" for line in _exchange(outstanding, arc))
        outstanding = arc.command if arc.command is not None or arc.move.trigger == T.CLOSED else outstanding
    lines += (f"    {line}" for line in _begun(outstanding))
    lines.append(f"    Note over S,W: {escaped(f'{finding.id}: {finding.why}')}")
    return "\n".join(lines) + "\n"


def _exchange(outstanding: Command | None, arc: Arc) -> Iterator[str]:
    trigger = arc.move.trigger
    match outstanding:
        case Renew() | Poll() if trigger in ANSWERS or trigger == T.POLLED:
            yield from _begun(outstanding)
            lost = trigger in LOST
            news = "messages" if arc.move.news else "held, nothing new"
            yield f"W-{'-x' if lost else '->>'}S: {escaped(ANSWERS.get(trigger, news))}"
        case Renew() | Poll():
            yield from _begun(outstanding)
            yield f"Note over S: {escaped(str(trigger))}"
        case Wait() if trigger == T.RETRY_DUE:
            yield from _begun(outstanding)
        case Wait() | Own():
            yield from _begun(outstanding)
            yield f"Note over S: {escaped(str(trigger))}"
        case Close():
            yield from _begun(outstanding)
        case None:
            yield f"Note over S: {escaped(str(trigger))}"


def _begun(outstanding: Command | None) -> Iterator[str]:
    match outstanding:
        case Renew():
            yield "S->>W: notifystart"
        case Poll():
            yield f"S->>W: {escaped(ordered(outstanding))}"
        case Close(notify=True):
            yield "S->>W: notifystop"
        case Wait() | Own():
            yield f"Note over S: {escaped(ordered(outstanding))}"


def escaped(text: str) -> str:
    """Return *text* without what ends or begins something in a Mermaid sequence diagram."""
    return text.translate(_PLAIN)
