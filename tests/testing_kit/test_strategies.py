"""The strategies: everything that can be, the edges often, nothing in vain."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionfsm import Policy
from sessionfsm.lifecycle import (
    Ladder,
    NoAnswer,
    Trigger,
    Unanswered,
    classify_poll,
    classify_renewal,
)
from sessionfsm.lifecycle.policy import _BOUNDS
from sessionfsm.testing import ServerScript, fault_schedules, outcomes, policies, server_scripts
from sessionfsm.testing.faults import KINDS

T = TypeVar("T")


def drawn(strategy: st.SearchStrategy[T], count: int = 200) -> list[T]:
    """Return so many examples; always the same."""
    found: list[T] = []

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found


def test_policies_reach_every_edge_and_every_number_of_rungs() -> None:
    """Each figure is seen at its lowest and highest, and between; both ladders with one rung, with two, with many."""
    found = drawn(policies(), 600)
    for name, (lowest, highest, _) in _BOUNDS.items():
        seen = {getattr(policy, name) for policy in found}
        assert lowest in seen, name
        if name in ("hold_default_s", "hold_floor_s", "hold_ceiling_s", "poll_margin_s"):
            highest = 299  # hold and margin together are 300 at most
        assert highest in seen, name
        assert len(seen) > 20, name
    assert {policy.renewal for policy in found} == {"attempted", "required"}
    for ladder in Ladder:
        rungs = Counter(policy.rungs(ladder) for policy in found)
        assert set(range(1, 9)) <= set(rungs), (ladder, rungs)
        assert max(rungs.values()) < 0.6 * len(found)
    assert {1, 100} <= {policy.login_required_denials for policy in found}


def test_policies_can_be_kept_small_and_of_one_kind() -> None:
    """With rungs=2 no ladder has three, so that a graph is searched in a moment."""
    for policy in drawn(policies(rungs=2, renewal="required")):
        assert policy.renewal == "required"
        assert max(policy.rungs(Ladder.SESSION), policy.rungs(Ladder.TRANSPORT), policy.paces) <= 2
        assert policy.login_required_denials <= 2


def test_outcomes_become_every_trigger_that_an_outcome_can() -> None:
    """Between them, polls and renewals end in every way that there is."""
    found = drawn(outcomes(), 400)
    polls = {classify_poll(outcome, held_s, Policy()) for outcome in found for held_s in (0.0, 20.0)}
    renewals = {classify_renewal(outcome) for outcome in found}
    assert polls | renewals == set(Trigger) - {"start", "stop", "wake", "closed", "retry_due", "credentials_changed"}
    assert {outcome.why for outcome in found if isinstance(outcome, Unanswered)} == set(NoAnswer)


def test_fault_schedules_have_every_kind_of_fault_and_each_ends() -> None:
    """All kinds but two that only cost time to simulate; no outage and no takeover without an end."""
    schedules = drawn(fault_schedules())
    found = [fault for schedule in schedules for fault in schedule]
    assert {fault.kind for fault in found} == set(KINDS) - {"slow", "oversize"}
    for fault in found:
        names = {item.name for item in fields(fault)}
        ends = "notifystart" in names or "for_s" not in names or getattr(fault, "times", None) or fault.lasts_s
        assert ends or fault.kind in ("expire", "lapse"), fault
    assert max(map(len, schedules)) > 8


@given(script=server_scripts())
@settings(max_examples=20)
def test_a_server_script_makes_a_new_server_each_time(script: ServerScript) -> None:
    """Any script is one that a server can be made from, and nothing is left of the last one."""
    first, second = script.server(), script.server()
    first.account("token").push()
    assert second.accounts == []


@pytest.mark.parametrize("bound", [0, 3])
def test_fault_schedules_can_be_bounded(bound: int) -> None:
    """No schedule is longer than asked for."""
    assert (
        max(len(schedule) for schedule in drawn(fault_schedules(max_size=bound)) if isinstance(schedule, list)) <= bound
    )
