"""Runs of the machine alone, drawn by hypothesis and judged by what they look like from outside."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from sessionfsm.lifecycle import MOST_REQUESTS_PER_S, Machine, Trigger
from sessionfsm.testing.stateful import SessionStateMachine
from sessionfsm.testing.suite.judges import longest_silence, most_excess, retried_without_notifystart
from sessionfsm.testing.suite.walk import Walk

T = Trigger

LONGEST_SILENCE_S = 1200.0
ROUNDING_S = 1e-6

CHANCES = st.binary(min_size=450, max_size=450)
"""A hundred and fifty events."""
NEVER = st.frozensets(st.sampled_from([trigger for trigger in T if trigger not in (T.START, T.CLOSED, T.RETRY_DUE)]))
ALWAYS_FAILING = frozenset(T) - {T.POLL_FAILED, T.RENEWAL_FAILED, T.RETRY_DUE}
ALWAYS_DENIED = frozenset(T) - {T.SESSION_EXPIRED, T.RETRY_DUE}
DENIED_THEN_SILENT = frozenset(T) - {T.SESSION_EXPIRED, T.RETRY_DUE, T.RENEWAL_FAILED}

whatever_happens = settings(deadline=None)


@given(chances=CHANCES, never=NEVER)
@example(chances=bytes(450), never=ALWAYS_DENIED)
@example(chances=bytes(450), never=DENIED_THEN_SILENT)
@whatever_happens
def test_no_poll_follows_a_loss_without_notifystart(machine: Machine, chances: bytes, never: frozenset[str]) -> None:
    """Through any hundred and fifty events; a stop, a start, a wake or new credentials in between excuse nothing."""
    seen = Walk(machine, never).live(chances)
    wrong = retried_without_notifystart(seen.record, required=machine.policy.renewal == "required")
    assert not wrong, seen.record[max(0, wrong[0] - 5) : wrong[0] + 1]


@given(chances=CHANCES, never=NEVER)
@example(chances=b"\x00\xff\xff" * 150, never=ALWAYS_FAILING)
@example(chances=b"\x00\xff\xff" * 150, never=ALWAYS_DENIED)
@whatever_happens
def test_there_is_no_hour_of_silence(machine: Machine, chances: bytes, never: frozenset[str]) -> None:
    """
    No wait leaves its bounds, and no silence exceeds what the policy says of itself, nor twenty minutes.

    Pauses and operations of one's own may add to it, once.
    """
    seen = Walk(machine, never).live(chances)
    for wait, length in seen.waits:
        assert length <= wait.ceiling_s <= 900
    silence = longest_silence(seen.record, seen.now)
    assert silence <= min(machine.policy.silence_bound_s + machine.table.own_s, LONGEST_SILENCE_S) + ROUNDING_S


@given(chances=CHANCES, never=NEVER)
@example(chances=bytes(450), never=ALWAYS_FAILING)
@example(chances=bytes(450), never=ALWAYS_DENIED)
@whatever_happens
def test_there_is_no_hot_loop(machine: Machine, chances: bytes, never: frozenset[str]) -> None:
    """However short everything is cut, there are at most 10/3 · (W + 1) requests in any W seconds without news."""
    assert most_excess(Walk(machine, never).live(chances).record) <= MOST_REQUESTS_PER_S + ROUNDING_S


@given(chances=CHANCES, never=NEVER)
@whatever_happens
def test_stop_ends_it_and_nothing_else_and_what_is_late_is_dropped(
    machine: Machine, chances: bytes, never: frozenset[str]
) -> None:
    """One operation at a time; it begins with a renewal; after the stop comes the close, and after that nothing."""
    assert Walk(machine, never).live(chances).wrong == []


@given(chances=CHANCES, never=NEVER)
@example(chances=bytes(450), never=ALWAYS_FAILING)
@example(chances=bytes(450), never=ALWAYS_DENIED)
@whatever_happens
def test_it_comes_back_whatever_has_happened(machine: Machine, chances: bytes, never: frozenset[str]) -> None:
    """If everything is answered well from now on, however late, a good poll ends within what the policy promises."""
    took = Walk(machine, never).live(chances).recover()
    assert took is not None, "it did not come back at all"
    assert took <= machine.policy.resumption_bound_s + machine.table.own_s + ROUNDING_S


def test_no_sequence_of_outcomes_breaks_a_run(machine: Machine) -> None:
    """Outcomes as they are seen on the wire, at any time: no rule of the session's state machine fails."""
    on_trial = machine

    class OnTrial(SessionStateMachine):
        machine = on_trial

    run_state_machine_as_test(OnTrial, settings=settings(deadline=None, stateful_step_count=50))
