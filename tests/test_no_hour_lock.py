"""
There is no hour of silence.

The official client answers a lost session by locking the account for 60 minutes; others sleep an hour of their own.
Here a session that is not stopped makes a request at least every 430 s, whatever server and network do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from sessionfsm.errors import PolicyError
from sessionfsm.lifecycle import Close, Lifecycle, Machine, Policy, Poll, Renew, Trigger, Wait, delay
from sessionfsm.testing import ServerScript, Trial, assert_session_safe, faults
from sessionfsm.testing.virtual_time import Backend
from sessionfsm.verify import explore, moves

from .session.any_server import MACHINES, circumstances

T = Trigger
HOUR_S = 3600.0
ROUNDING_S = 1e-6
DEFAULT = Machine(Policy())

# ---------------------------------------------------------------------------------------------------------------------
# The pure core: nothing but the lifecycle, and a world that does to it whatever can be done, as late as it can be done.
# ---------------------------------------------------------------------------------------------------------------------


@dataclass
class Life:
    """
    What could be seen of a session from outside: one list of times for each stretch between a start and its stop.

    Attributes:
        requests: When each request started; a stretch ends with the time of the stop, or of the last event.
        waits: Each wait that was ordered, and how long it lasted.
    """

    requests: list[list[float]] = field(default_factory=list)
    waits: list[tuple[Wait, float]] = field(default_factory=list)

    @property
    def gaps(self) -> list[float]:
        """Seconds from each request to the next one, or to the end of its stretch."""
        return [later - sooner for stretch in self.requests for sooner, later in pairwise(stretch)]


def live(machine: Machine, chances: bytes, never: Iterable[Trigger] = ()) -> Life:
    """
    Let a session live through one event for every three bytes: which move of the world, when, and what it asks for.

    Args:
        never: What this world does not do, as long as it has something else to do. Without such worlds a good poll
            always comes before the ladders have been climbed.
    """
    session, policy, life = machine.session(), machine.policy, Life()
    now = start = poll_start = 0.0
    for which, when, asked in zip(chances[::3], chances[1::3], chances[2::3], strict=True):
        operation = session.outstanding
        possible = [move for move in moves(operation, policy) if move.least_s <= move.most_s]
        likely = [
            move for move in possible if move.trigger not in never and (move.trigger is not T.STOP or which == 255)
        ]
        move = (likely or possible)[which % len(likely or possible)]
        share = when / 255
        length = move.least_s + share * (move.most_s - move.least_s)
        if isinstance(operation, Wait) and move.trigger is T.RETRY_DUE:
            # The driver's own words: chance takes some of it away, and Retry-After asks for anything.
            wish = (None, 0.0, float(asked), HOUR_S, 1e12, math.inf, math.nan)[asked % 7]
            length = delay(operation, jitter=policy.jitter, draw=share, retry_after_s=wish)
            assert move.least_s <= length <= move.most_s
        now = max(now, start + length)
        if isinstance(operation, Wait):
            life.waits.append((operation, length))
        step = session.handle(move.trigger, serial=operation.serial if operation is not None else None)
        assert step is not None
        if move.trigger is T.START:
            life.requests.append([])
        elif move.trigger is T.STOP:
            life.requests[-1].append(now)
        if step.command is None:
            continue
        start = now
        if isinstance(step.command, Poll):
            start = poll_start = max(now, poll_start + step.command.pace_s)
        if isinstance(step.command, Poll | Renew):
            life.requests[-1].append(start)
    if session.state in ("recovering", "active", "backoff"):
        life.requests[-1].append(now)
    return life


CHANCES = st.binary(min_size=600, max_size=600)
"""Two hundred events."""
NEVER = st.frozensets(st.sampled_from([trigger for trigger in T if trigger not in (T.START, T.CLOSED, T.RETRY_DUE)]))
ALWAYS_FAILING = frozenset(T) - {T.POLL_FAILED, T.RENEWAL_FAILED, T.RETRY_DUE}
ALWAYS_DENIED = frozenset(T) - {T.SESSION_EXPIRED, T.RETRY_DUE}


@given(CHANCES, NEVER)
@example(b"\x00\xff\x04" * 200, ALWAYS_FAILING)
@example(b"\x00\xff\x04" * 200, ALWAYS_DENIED)
def test_whatever_happens_a_request_is_made_every_430_seconds(chances: bytes, never: frozenset[Trigger]) -> None:
    """Through any two hundred events, at any time they can come, no wait exceeds 300 s and no silence 430 s."""
    life = live(DEFAULT, chances, never)
    assert all(length <= 300 for _, length in life.waits)
    assert all(gap <= 430 + ROUNDING_S for gap in life.gaps)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy that can be made, the most patient ones among them."""

    def seconds(least: float, most: float) -> st.SearchStrategy[float]:
        return st.floats(least, most) | st.sampled_from([least, most])

    figures = draw(
        st.fixed_dictionaries(
            {"renewal": st.sampled_from(["attempted", "required"])},
            optional={
                "session_first_s": seconds(2, 900),
                "session_ceiling_s": seconds(300, 900),
                "transport_first_s": seconds(1, 60),
                "transport_ceiling_s": seconds(60, 900),
                "jitter": seconds(0, 0.5),
                "pace_first_s": seconds(1, 4),
                "pace_ceiling_s": seconds(4, 60),
                "renewal_deadline_s": seconds(0.1, 300),
                "hold_ceiling_s": seconds(35, 290),
                "poll_margin_s": seconds(10, 180),
                "quick_s": seconds(1, 60),
                "lapse_after_s": seconds(1, 300),
                "login_required_denials": st.integers(1, 100),
            },
        )
    )
    try:
        return Policy.from_mapping(figures)
    except PolicyError:
        assume(False)
        raise


@given(policies(), CHANCES, NEVER)
def test_no_policy_brings_the_hour_back(policy: Policy, chances: bytes, never: frozenset[Trigger]) -> None:
    """Whatever is configured, the silence stays within what the policy says of itself, and that within 20 minutes."""
    life = live(Machine(policy), chances, never)
    assert all(length <= wait.ceiling_s <= 900 for wait, length in life.waits)
    assert all(gap <= policy.silence_bound_s + ROUNDING_S for gap in life.gaps)
    assert policy.silence_bound_s <= 1200 < HOUR_S / 2


@pytest.mark.parametrize("never", [ALWAYS_FAILING, ALWAYS_DENIED], ids=["failing", "denied"])
def test_the_walk_reaches_the_top_of_the_ladders(never: frozenset[Trigger]) -> None:
    """The test itself: a world that only fails, or only denies, is lived through to the ceiling and beyond."""
    ceiling = 60 if never is ALWAYS_FAILING else 300
    life = live(DEFAULT, b"\x00\x00\x00" * 200, never)
    assert sum(length == ceiling for _, length in life.waits) > 40


@pytest.mark.parametrize("renewal", ["attempted", "required"])
def test_nowhere_in_the_graph_is_there_room_for_an_hour(renewal: str) -> None:
    """
    In every configuration that can be reached a request is outstanding, or a wait that a request follows at once.

    A request is out for at most 130 s, a poll is paced by at most 4 s and a wait lasts at most 300 s. So there are at
    most 430 s from one request to the next, and no sequence of events can add anything to them.
    """
    graph = explore(Machine(Policy.from_mapping({"renewal": renewal})))
    assert not graph.refused
    for node, arcs in zip(graph.nodes, graph.arcs, strict=True):
        onward = [arc for arc in arcs if not isinstance(graph.nodes[arc.target].outstanding, Close)]
        match node.outstanding:
            case Wait(ceiling_s=ceiling):
                assert ceiling <= 300
                assert onward
                assert all(isinstance(arc.command, Renew) for arc in onward)
                assert max(arc.move.most_s for arc in onward) <= 300
            case Renew() | Poll() as request:
                assert (request.deadline_s if isinstance(request, Renew) else request.pace_s) <= 10
                assert onward
                for arc in onward:
                    assert arc.move.most_s <= 130
                    assert isinstance(graph.nodes[arc.target].outstanding, Renew | Poll | Wait)
            case _:
                assert node.state in ("stopped", "stopping")


def test_the_first_loss_costs_no_time_at_all() -> None:
    """Where the official client sleeps for an hour: a session that worked and is lost is back with its next request."""
    session = running()
    tell(session, "polled")
    tell(session, "session_expired")
    assert isinstance(session.outstanding, Renew)
    tell(session, "session_renewed")
    assert session.outstanding == Poll(serial=5)  # the fifth command, and none of them a wait


@pytest.mark.parametrize("cause", ["session_expired", "poll_failed", "store_failed"])
def test_a_day_of_trouble_is_over_within_five_minutes(cause: str) -> None:
    """However long it lasted, the next attempt comes 300 s later at the latest, and one good poll ends it all."""
    session = running()
    spent = 0.0
    while spent < 24 * HOUR_S:
        tell(session, cause)
        assert isinstance(session.outstanding, Wait)
        spent += delay(session.outstanding, jitter=0.5, draw=0.0, retry_after_s=HOUR_S)
        assert delay(session.outstanding, jitter=0.5, draw=0.0, retry_after_s=HOUR_S) <= 300
        tell(session, "retry_due")
        tell(session, "session_renewed")
    tell(session, "polled")
    assert session.memory == (False, True, 0, 0, 0, 0)
    assert session.outstanding is not None
    assert isinstance(session.outstanding, Poll)
    assert not session.signals


def running() -> Lifecycle:
    """A session whose first poll is outstanding."""
    session = DEFAULT.session()
    session.handle("start")
    tell(session, "session_renewed")
    return session


def tell(session: Lifecycle, outcome: str) -> None:
    """The outstanding operation ended so."""
    assert session.outstanding is not None
    assert session.handle(outcome, serial=session.outstanding.serial) is not None


# ---------------------------------------------------------------------------------------------------------------------
# The driver: the real session on the real client, in virtual time, judged by the server's log.
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(life=circumstances())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_driver_is_never_silent_for_long_and_never_gates_a_send(backend: Backend, life: Trial) -> None:
    """Under any server the log shows a request at least every 430 s, and every send at once."""
    life.live(backend)
    starts = [entry.started_s for entry in life.log]
    assert starts[0] < 1
    assert all(later - earlier <= 430 + ROUNDING_S for earlier, later in pairwise(starts))
    assert len(life.server.log.requests("sendmessage")) == len(life.attempts)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("renewal", ["attempted", "required"])
@pytest.mark.parametrize("notifystart", ["works", "denied"])
def test_a_day_of_minus_14_has_no_hour_in_it(backend: Backend, renewal: Any, notifystart: Any) -> None:
    """The original situation for a whole day: the driver asks again every five minutes, and is back when it ends."""
    takeover = faults.Takeover(at_s=60, for_s=24 * HOUR_S, notifystart=notifystart)
    life = Trial(ServerScript(schedule=(takeover,)), MACHINES[renewal])
    life.live(backend)
    starts = [entry.started_s for entry in life.log]
    assert max(later - earlier for earlier, later in pairwise(starts)) <= 300 + ROUNDING_S + 1
    assert life.log[-1].good or life.log[-2].good
    assert life.verdict().violations == ()
    assert_session_safe(life.server.log, policy=life.policy, slack_s=ROUNDING_S)
    assert life.monitor.violations == []
    assert life.late_sends() == []
    assert life.ready
