"""What goes wrong in the demo is chosen so that it is over before the end."""

from __future__ import annotations

import random

import pytest

from sessionfsm.cli.demo.plan import LEAD_S, SETTLE_S, TAIL_S, make_plan, shortest_s
from sessionfsm.lifecycle import Ladder, Policy
from sessionfsm.testing import faults

DEFAULT = Policy()
EVERYTHING = ["expired", "handshake_fails", "http_502", "broken_body", "lapse", "outage", "takeover"]
SLOW = Policy(session_first_s=60, transport_first_s=4, pace_first_s=2)
NO_JITTER = Policy(jitter=0)


def plan_of(duration_s: float, policy: Policy = DEFAULT, seed: int = 1):  # type: ignore[no-untyped-def]
    return make_plan(duration_s, policy, random.Random(seed))


@pytest.mark.parametrize("policy", [DEFAULT, SLOW, NO_JITTER], ids=["default", "slow", "no jitter"])
@pytest.mark.parametrize("duration_s", [3, 4.5, 8, 12, 20, 29, 30, 45, 60, 100, 300, 3600])
def test_everything_is_over_before_the_end(duration_s: float, policy: Policy) -> None:
    """Even without jitter each incident is over, and the session settled, before the next one and before the end."""
    plan = plan_of(duration_s, policy)
    ends = [*(one.at_s for one in plan.incidents[1:]), duration_s - TAIL_S]
    assert all(one.at_s >= LEAD_S for one in plan.incidents)
    for incident, end_s in zip(plan.incidents, ends, strict=True):
        assert incident.at_s + incident.worst_s + SETTLE_S <= end_s + 1e-9


@pytest.mark.parametrize("duration_s", [3, 8, 12, 20, 30, 60, 300])
def test_what_is_left_out_is_named(duration_s: float) -> None:
    """Everything on the menu is either played or named."""
    plan = plan_of(duration_s)
    played = {one.name for one in plan.incidents}
    left_out = {one.name for one in plan.left_out}
    assert not played & left_out
    assert played | left_out == set(EVERYTHING)


def test_thirty_seconds_hold_everything_once() -> None:
    assert [one.name for one in plan_of(30).incidents] == EVERYTHING
    assert plan_of(30).left_out == ()


def test_a_longer_demo_has_a_longer_takeover_and_then_another_round() -> None:
    """Spare time goes into longer forms, up to the takeover that raises ``login_required``, then into repetition."""
    worst = {duration_s: plan_of(duration_s).incidents[6].worst_s for duration_s in (30, 60, 100)}
    assert worst == {30: 5.0, 60: 15.0, 100: 35.0}
    assert len(plan_of(300).incidents) > 2 * len(EVERYTHING)


@pytest.mark.parametrize("policy", [DEFAULT, SLOW, NO_JITTER], ids=["default", "slow", "no jitter"])
def test_what_lasts_by_the_clock_is_over_at_the_last_wait_that_is_counted(policy: Policy) -> None:
    """An outage or a takeover is over before the last counted wait can end, so the worst case is honest."""
    for incident in plan_of(100_000, policy).incidents:
        for fault in incident.faults:
            if isinstance(fault, faults.Outage | faults.Takeover):
                ladder = Ladder.TRANSPORT if isinstance(fault, faults.Outage) else Ladder.SESSION
                waits, total_s = 0, 0.0
                while total_s < incident.worst_s:
                    waits += 1
                    total_s += policy.rung_s(ladder, waits)
                assert total_s == incident.worst_s
                assert fault.lasts_s < total_s * (1 - policy.jitter)


def test_the_shortest_demo_has_one_incident() -> None:
    assert len(plan_of(shortest_s(DEFAULT)).incidents) == 1
    assert plan_of(shortest_s(DEFAULT) - 0.1).incidents == ()
