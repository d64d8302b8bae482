"""Runs to make pages of."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache

from sessionfsm.diagram import diagram_of
from sessionfsm.lifecycle import Machine, Memory, Order, Pause, Row, StateEntry, Table
from sessionfsm.session import Record, SendRecord
from sessionfsm.show import Run, read_run, run_from
from tests.trace.recorded import whole_run

WILD = "\"><script>alert(1)</script>&amp; 'x' ]]> <!-- </title></style> \x00\x1b\u202e\u2066\u2028 \ud800 名前\n\t"
WHEN = 1_795_650_838.9
CLOCK = 22_514.125


@cache
def eventful() -> Run:
    """Everything that can happen, and three sends."""
    run = read_run(io.BytesIO(whole_run()))
    began = run.steps[0].record.at_s
    sends = [
        SendRecord(account=run.account, started_s=began + at, held_s=0.5, state="active", failed=failed, detail="")
        for at, failed in ((2.0, ""), (70.0, "TransientError"), (71.0, ""))
    ]
    records = [step.record for step in run.steps]
    return run_from(records, Machine(), sends=sends)


def record(number: int, trigger: str, source: str, target: str, at_s: float | None = None, **more: object) -> Record:
    """Return a record that says little; one a second, unless it is said when it was."""
    at = float(number - 1) if at_s is None else at_s
    one = Record(
        account="bot@im.bot",
        number=number,
        at_s=CLOCK + at,
        wall_s=WHEN + at,
        serial=None,
        operation="",
        trigger=trigger,
        source=source,
        target=target,
        memory=Memory(),
        command=None,
        wait_s=None,
        started_s=None,
        held_s=None,
        news=0,
        reason="so it is",
        detail="",
        raised=(),
        cleared=(),
        quiet=None,
    )
    return replace(one, **more)  # type: ignore[arg-type]


def long(count: int) -> list[Record]:
    """Return so many records: polls, and in every tenth one the session is lost and renewed."""
    records = [record(1, "start", "stopped", "recovering")]
    state = "recovering"
    for number in range(2, count + 1):
        if state == "recovering":
            records.append(record(number, "session_renewed", state, "active"))
        elif number % 10 == 0:
            records.append(record(number, "session_expired", state, "recovering", detail=f"HTTP status {number}"))
        else:
            records.append(
                record(number, "polled", state, "active", started_s=CLOCK + number - 1.5, held_s=0.5, news=1)
            )
        state = records[-1].target
    return records


def hostile() -> Run:
    """A run on a table of one's own in which every text is meant to break the page."""
    row = Row(trigger=WILD, sources=(WILD,), target="end", order=Pause(WILD, 5), reason=WILD)
    back = Row(trigger="back", sources=("end",), target=WILD, order=Order.NOTHING, reason=WILD * 100)
    table = Table(
        name=WILD,
        states=(StateEntry(name=WILD, meaning=WILD), StateEntry(name="end", meaning=WILD)),
        rows=(row, back),
        signals=(),
        initial=WILD,
        external=(WILD, "back"),
    )
    texts = {"account": WILD * 200, "reason": WILD, "detail": WILD * 10, "raised": (WILD,), "operation": WILD}
    records = [record(1, WILD, WILD, "end", **texts), record(2, "back", "end", WILD, **texts)]
    sends = [SendRecord(account=WILD, started_s=CLOCK, held_s=0.1, state=WILD, failed=WILD, detail=WILD)]
    return run_from(records, Machine(table=table), sends=sends, end="broken_off", why=WILD)


def diagram_ids(run: Run) -> set[str]:
    diagram = diagram_of(Machine()) if run.diagram.name == "session" else run.diagram
    return {each.id for each in (*diagram.boxes, *diagram.arcs)}
