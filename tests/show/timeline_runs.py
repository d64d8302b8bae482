"""Runs to draw a timeline of: made by hand, so that a test says what stands in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sessionfsm.lifecycle import Close, Machine, Memory, Poll, Renew, Wait
from sessionfsm.lifecycle.terms import Ladder
from sessionfsm.session import Quiet, Record, SendRecord
from sessionfsm.show import Run, Stay, run_from
from tests.diagram.tables import HOSTILE, hostile_table

__all__ = ["HOSTILE_TEXT", "build", "busy", "few", "hostile", "in_states", "sent", "uneven", "wait_of"]

HOSTILE_TEXT = "\"><script>alert(1)</script>&amp; 'x' ]]> \x00\x1b\u202e\u2066 \ud800 名前\n\tsection end; # %% e\u0301"

_START = Record(
    account="bot@im.bot",
    number=1,
    at_s=1000.0,
    wall_s=1_700_000_000.0,
    serial=None,
    operation="",
    trigger="start",
    source="stopped",
    target="recovering",
    memory=Memory(),
    command=None,
    wait_s=None,
    started_s=None,
    held_s=None,
    news=0,
    reason="starting is recovering",
    detail="",
    raised=(),
    cleared=(),
    quiet=None,
)


_RENEW, _POLL = Renew(serial=3, deadline_s=10.0), Poll(serial=4, pace_s=0.0, fresh=False)


def wait_of(length_s: float) -> dict[str, Any]:
    """What a record has that orders a wait."""
    command = Wait(serial=1, ladder=Ladder.SESSION, attempt=1, rung_s=length_s, first_s=length_s, ceiling_s=length_s)
    return {"command": command, "wait_s": length_s}


def build(*changes: tuple[float, str, str, dict[str, Any]], sends: Sequence[SendRecord] = (), **options: Any) -> Run:
    """Return a run: of each change, when it happened, by which trigger, where that led, and what else is on record."""
    records: list[Record] = []
    state = options.pop("state", "stopped")
    for number, (at, trigger, target, more) in enumerate(changes, 1):
        request: dict[str, Any] = {}
        if "held_s" in more:
            request = {"started_s": 1000.0 + at - more["held_s"], "operation": "poll"}
            if state == "recovering":
                request["operation"] = "renew"
        command = more.get("command") or (_RENEW if target == "recovering" else _POLL if target == "active" else None)
        found = replace(
            _START,
            number=number,
            at_s=1000.0 + at,
            trigger=trigger,
            source=state,
            target=target,
            **request,
            **{**more, "command": command},
        )
        records.append(found)
        state = target
    return run_from(records, options.pop("machine", Machine()), sends=sends, **options)


def sent(at: float, held_s: float, failed: str = "") -> SendRecord:
    """A send at this second of the run."""
    return SendRecord(
        account="bot@im.bot", started_s=1000.0 + at, held_s=held_s, state="active", failed=failed, detail=failed
    )


def few(**options: Any) -> Run:
    """A run of 20 s with one of each: a loss, a wait of 3 s, a failed renewal, a signal, messages and sends."""
    return build(
        (0, "start", "recovering", {}),
        (1, "session_renewed", "active", {"held_s": 1.0}),
        (4, "polled", "active", {"held_s": 3.0, "news": 2}),
        (5, "session_expired", "recovering", {"held_s": 1.0, "detail": "errcode -14"}),
        (6, "renewal_failed", "active", {"held_s": 0.5, "detail": "HTTP status 502"}),
        (7, "session_expired", "backoff", {"held_s": 1.0, "raised": ("login_required",), **wait_of(3.0)}),
        (10, "retry_due", "recovering", {}),
        (10.5, "session_renewed", "active", {"held_s": 0.5}),
        (15, "polled", "active", {"held_s": 4.0, "news": 1, "cleared": ("login_required",)}),
        (18, "polled", "active", {"held_s": 3.0, "quiet": None}),
        (19, "stop", "stopping", {"held_s": 1.0, "command": Close(serial=2, notify=True)}),
        (20, "closed", "stopped", {}),
        sends=(sent(2, 0.5), sent(8, 2.0, "SendFailed")),
        **options,
    )


def uneven() -> Run:
    """Five milliseconds of recovering beside three days of active, with 12,000 quiet polls in it."""
    day = 86400.0
    quiet = Quiet(
        polls=12_000, first_started_s=1000.01, last_started_s=1000.0 + 3 * day, longest_gap_s=30, news=3, since_news=1
    )
    return build(
        (0, "start", "recovering", {}),
        (0.005, "session_renewed", "active", {"held_s": 0.005}),
        (3 * day + 1, "session_expired", "recovering", {"held_s": 0.01, "quiet": quiet}),
        (3 * day + 1.005, "session_renewed", "active", {"held_s": 0.005}),
        (3 * day + 2, "polled", "active", {"held_s": 0.5, "news": 1}),
    )


def busy(records: int) -> Run:
    """A run of a week in which a session is lost again and again."""
    changes: list[tuple[float, str, str, dict[str, Any]]] = [(0, "start", "recovering", {})]
    at = 0.0
    for number in range((records - 1) // 4):
        step = 12.0 + number % 7
        changes += [
            (at + 0.05, "session_renewed", "active", {"held_s": 0.05}),
            (at + step / 2, "polled", "active", {"held_s": step / 3, "news": number % 3}),
            (at + step * 0.6, "session_expired", "backoff", {"held_s": 0.2, "detail": "errcode -14", **wait_of(5)}),
            (at + step, "retry_due", "recovering", {}),
        ]
        at += step
    sends = [sent(at * part / 5000, 0.2, "SendFailed" if part % 9 == 0 else "") for part in range(5000)]
    return build(*changes, sends=sends)


def hostile(text: str = HOSTILE_TEXT) -> Run:
    """The run of :func:`few` in which every text that others have a say in is *text*."""
    run = few()
    steps = [
        replace(
            step, record=replace(step.record, account=text, reason=text, detail=text, raised=(text,) if at == 6 else ())
        )
        for at, step in enumerate(run.steps)
    ]
    return replace(
        run,
        account=text,
        why=text,
        end="broken_off",
        steps=tuple(steps),
        requests=tuple(replace(request, detail=text, trigger=text) for request in run.requests),
        waits=tuple(replace(wait, what=text) for wait in run.waits),
        sends=tuple(replace(send, failed=text, state=text) for send in run.sends),
    )


def in_states(count: int) -> Run:
    """A run that was in more states than there is room for, with names that are meant to break a drawing."""
    names = tuple(f"{HOSTILE[number % len(HOSTILE)]} {number}" for number in range(count))
    machine = Machine(table=hostile_table(names))
    run = build((0, f"{names[0]}!", names[0], {}), machine=machine, state=names[0])
    stays = [Stay(state=name, from_s=number, until_s=number + 1 + number / 99) for number, name in enumerate(names)]
    return replace(run, stays=tuple(stays), until_s=stays[-1].until_s)
