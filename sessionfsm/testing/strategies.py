"""
Hypothesis strategies: what can be seen of a request, what a server can do, what can go wrong, what can be configured.

Each is a function that returns a strategy, to be given to ``@given``.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from hypothesis import strategies as st

from sessionfsm.lifecycle import Answered, Machine, NoAnswer, Outcome, Policy, StatusAnswered, StoreFailed, Unanswered
from sessionfsm.testing import faults
from sessionfsm.testing.fault_values import BODIES, CODES, HINTS, RETRY_AFTERS, STATUSES
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.trial import ServerScript, Trial

__all__ = ["fault_schedules", "outcomes", "policies", "server_scripts", "trials"]

# --- what can be seen of a request -----------------------------------------------------------------------------------


def outcomes() -> st.SearchStrategy[Outcome]:
    """How a request can have ended, for :func:`~sessionfsm.lifecycle.classify_poll` and ``classify_renewal``."""
    codes = st.sampled_from([0, -14, -1, -2]) | st.integers(-(10**6), 10**6)
    return st.one_of(
        st.builds(
            Answered,
            code=codes,
            has_messages=st.booleans(),
            has_cursor=st.booleans(),
            news=st.just(0) | st.integers(1, 99),
        ),
        st.builds(
            StatusAnswered,
            status=st.sampled_from([401, 403, 404, 405, 408, 429, 500, 501, 502, 503, 504, 524])
            | st.integers(100, 599),
            retry_after_s=st.none() | st.floats() | st.sampled_from([0.0, 3600.0]),
        ),
        st.builds(Unanswered, why=st.sampled_from(NoAnswer)),
        st.builds(StoreFailed),
    )


# --- what a server can do --------------------------------------------------------------------------------------------

_TIMES_S = st.one_of(st.floats(0.01, 5), st.floats(5, 150), st.floats(150, 1200)).map(lambda value: round(value, 2))
_ENDPOINTS = st.sampled_from([None, "getupdates", "notifystart", "sendmessage"])
_COUNTS = st.integers(1, 8)
_BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(BODIES),
)
_HINTS = st.sampled_from(HINTS)


def _timed(fault: type[Fault], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Fault]:
    return st.builds(fault, at_s=_TIMES_S, **fields)


def fault_schedules(*, max_size: int = 14) -> st.SearchStrategy[list[Fault]]:
    """
    Faults of every kind within twenty minutes, for :meth:`FakeServer.play <sessionfsm.testing.FakeServer.play>`.

    Users who write, and write twice, are among them. Every fault ends: what has no end by the clock strikes some
    requests and is over, or is cured by ``notifystart``.
    """
    return st.lists(
        st.one_of(
            _timed(faults.Expire, held_s=st.sampled_from([0.0, 2.0, 5.0]), answer_held=st.booleans()),
            _timed(faults.Expire, shape=st.sampled_from(["errcode", "ret", "both", "ret_zero"])),
            _timed(faults.Takeover, for_s=_TIMES_S, notifystart=st.sampled_from(["works", "denied"])),
            _timed(
                faults.Lapse,
                shape=st.sampled_from(["empty", "empty_cursor", "null"]),
                held_s=st.sampled_from([0.0, 20.0]),
            ),
            _timed(faults.Code, endpoint=_ENDPOINTS, code=st.sampled_from(CODES), times=_COUNTS),
            _timed(
                faults.Status,
                endpoint=_ENDPOINTS,
                status=st.sampled_from(STATUSES),
                times=_COUNTS,
                held_s=st.sampled_from([0.0, 9.0, 17.0]),
                retry_after=st.sampled_from(RETRY_AFTERS),
            ),
            _timed(faults.Body, endpoint=_ENDPOINTS, body=_BODIES, times=_COUNTS),
            _timed(faults.Html, endpoint=_ENDPOINTS, times=_COUNTS),
            _timed(faults.Garbage, endpoint=_ENDPOINTS, times=_COUNTS),
            _timed(faults.Truncated, endpoint=_ENDPOINTS, times=_COUNTS, held_s=st.sampled_from([0.0, 15.0])),
            _timed(faults.Drip, endpoint=_ENDPOINTS, times=_COUNTS),
            _timed(faults.Reset, endpoint=_ENDPOINTS, times=_COUNTS, held_s=st.sampled_from([0.0, 12.0])),
            _timed(faults.Hang, endpoint=_ENDPOINTS, times=_COUNTS),
            _timed(faults.Redirect, endpoint=_ENDPOINTS, times=_COUNTS),
            _timed(faults.Instant, for_s=_TIMES_S),
            _timed(faults.Hint, hint=_HINTS, for_s=_TIMES_S),
            _timed(faults.Outage, for_s=_TIMES_S),
            _timed(faults.Message, copies=st.integers(1, 3)),
        ),
        max_size=max_size,
    )


def server_scripts() -> st.SearchStrategy[ServerScript]:
    """A server, near or far, patient or not, and everything that goes wrong on it."""
    return st.builds(
        ServerScript,
        schedule=fault_schedules().map(tuple),
        hold_s=st.sampled_from([0.0, 2.0, 35.0]),
        delivery=st.sampled_from(["once", "replay"]),
        round_trip_s=st.sampled_from([0.001, 0.3]),
    )


def trials(machine: Machine) -> st.SearchStrategy[Trial]:
    """A session of *machine* under any server; operations of its own do whatever they can do."""
    return st.builds(
        Trial,
        server_scripts(),
        machine=st.just(machine),
        choices=st.lists(st.integers(-1, 3), max_size=8) if machine.table.performed else st.just([]),
    )


# --- what can be configured ------------------------------------------------------------------------------------------


def _between(least: float, most: float) -> st.SearchStrategy[float]:
    """Any number of the range, its ends often."""
    if least >= most:
        return st.just(least)
    return st.floats(least, most) | st.sampled_from([least, most])


@st.composite
def _ladders(draw: st.DrawFn, least: float, most: float, ceiling_least: float, rungs: int) -> tuple[float, float]:
    """A first rung and a ceiling: each number of rungs as likely as another, just at a doubling and beside it too."""
    first = draw(_between(least, most) | st.floats(least, min(4 * least, most)))
    doublings = draw(st.integers(0, rungs - 1))
    top = min(first * 2**doublings, most)
    below = max(first, ceiling_least, top / 2 if doublings else first)
    ceiling = draw(st.sampled_from([top, math.nextafter(top, 0.0), below]) | _between(below, max(below, top)))
    return first, max(first, ceiling_least, min(ceiling, most))


@st.composite
def policies(
    draw: st.DrawFn, *, renewal: Literal["attempted", "required"] | None = None, rungs: int | None = None
) -> Policy:
    """
    Every policy that can be made, the edges of each figure often; none is drawn in vain.

    Args:
        renewal: Only such policies.
        rungs: At most so many rungs a ladder, so many paces, and so many denials before ``login_required``. The graph
            grows with their product: with 2 it is searched in a moment, without a limit it may take a minute.
    """
    most = rungs if rungs is not None else 11
    session = draw(_ladders(2, 900, 2, most))
    transport = draw(_ladders(1, 900, 2, most))
    pace = draw(_ladders(1, 60, 1, min(most, 7)))
    margin = draw(_between(1, 299))
    hold_ceiling = draw(_between(1, 300 - margin))
    if hold_ceiling + margin > 300:  # the sum rounds
        hold_ceiling = math.nextafter(hold_ceiling, 0.0)
    hold_floor = draw(_between(1, hold_ceiling))
    return Policy(
        session_first_s=session[0],
        session_ceiling_s=session[1],
        transport_first_s=transport[0],
        transport_ceiling_s=transport[1],
        pace_first_s=pace[0],
        pace_ceiling_s=pace[1],
        jitter=draw(_between(0, 0.5)),
        renewal_deadline_s=draw(_between(0.1, 300)),
        hold_floor_s=hold_floor,
        hold_default_s=draw(_between(hold_floor, hold_ceiling)),
        hold_ceiling_s=hold_ceiling,
        poll_margin_s=margin,
        quick_s=draw(_between(1, 60)),
        lapse_after_s=draw(_between(1, 300)),
        silent_after_s=draw(_between(1, min(300, hold_floor + margin))),
        drain_deadline_s=draw(_between(0, 300)),
        notifystop_deadline_s=draw(_between(0.1, 300)),
        login_required_denials=draw(st.integers(1, 100 if rungs is None else rungs)),
        renewal=renewal if renewal is not None else draw(st.sampled_from(["attempted", "required"])),
    )
