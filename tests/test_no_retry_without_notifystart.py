"""
A lost session is never polled again without ``notifystart``.

The official client, and nineteen SDKs beside it, answer -14 with a pause and then with the same ``getupdates``, which
gets -14 again. Here ``notifystart`` has been called and has ended before the next poll is ordered, whatever happens in
between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from sessionfsm.errors import PolicyError
from sessionfsm.lifecycle import Machine, Policy, Poll, Renew, Trigger
from sessionfsm.testing import ServerScript, Trial, faults
from sessionfsm.testing.virtual_time import Backend
from sessionfsm.verify import explore, moves

from .session.any_server import MACHINES, circumstances

T = Trigger
HANDSHAKE_DONE = ("ok", "status 404", "status 405", "status 501")

# ---------------------------------------------------------------------------------------------------------------------
# The pure core: nothing but the lifecycle. What is claimed is said in requests and answers, not in states.
# ---------------------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """
    A line of the record: ``notifystart`` or ``getupdates`` and how it ended (``None``: it was cut off, or goes on).

    Beside the requests, ``stop`` and ``login`` (another process logged in, and there are new credentials) are recorded.
    """

    what: str
    end: Trigger | None = None


def live(machine: Machine, chances: bytes, never: Iterable[Trigger] = ()) -> list[Entry]:
    """
    Let a session live through one event a byte; return the record of it.

    Args:
        never: What this world does not do, as long as it has something else to do.
    """
    session, record = machine.session(), []
    for chance in chances:
        operation = session.outstanding
        possible = moves(operation, machine.policy)
        likely = [
            move for move in possible if move.trigger not in never and (move.trigger is not T.STOP or chance > 250)
        ]
        move = (likely or possible)[chance % len(likely or possible)]
        step = session.handle(move.trigger, serial=operation.serial if operation is not None else None)
        assert step is not None
        if move.trigger is T.CREDENTIALS_CHANGED:
            record.append(Entry("login"))
            continue  # the renewal that found them goes on
        end = None if move.trigger is T.STOP else move.trigger
        if isinstance(operation, Renew):
            record.append(Entry("notifystart", end))
        elif isinstance(operation, Poll):
            record.append(Entry("getupdates", end))
        if move.trigger is T.STOP:
            record.append(Entry("stop"))
    if isinstance(session.outstanding, Renew | Poll):
        record.append(Entry("notifystart" if isinstance(session.outstanding, Renew) else "getupdates"))
    return record


ENDED, SUCCEEDED = 1, 2
"""What ``notifystart`` has to have done before the next poll."""


def retried_without_notifystart(record: list[Entry], *, required: bool) -> list[int]:
    """
    Return the positions of the polls that were made although the session was lost and not renewed since.

    A loss: the server does not know the session (in answer to anything), or the third hollow answer in a row. A stop or
    new credentials excuse no one from calling ``notifystart``; where it has to succeed, they excuse from the success.
    """
    wrong: list[int] = []
    owed, hollow = 0, 0
    for position, (what, end) in enumerate(record):
        if what in ("stop", "login"):
            owed, hollow = min(owed, ENDED), 0
        elif what == "getupdates":
            if owed:
                wrong.append(position)
            hollow = hollow + 1 if end is T.HOLLOW else hollow if end is T.SILENT else 0
        elif end is T.SESSION_RENEWED or (end is T.RENEWAL_FAILED and owed == ENDED):
            owed = 0
        if end in (T.SESSION_EXPIRED, T.SESSION_LAPSED) or hollow == 3:
            owed, hollow = SUCCEEDED if required else ENDED, 0
    return wrong


CHANCES = st.binary(min_size=200, max_size=200)
NEVER = st.frozensets(st.sampled_from([trigger for trigger in T if trigger not in (T.START, T.CLOSED)]))


@pytest.mark.parametrize("renewal", MACHINES)
@given(chances=CHANCES, never=NEVER)
@example(chances=bytes(200), never=frozenset(T) - {T.SESSION_EXPIRED, T.RETRY_DUE, T.SESSION_RENEWED})
@example(chances=bytes(200), never=frozenset(T) - {T.SESSION_EXPIRED, T.RETRY_DUE, T.RENEWAL_FAILED})
@example(chances=bytes(200), never=frozenset(T) - {T.HOLLOW, T.RETRY_DUE, T.SESSION_RENEWED})
def test_no_poll_follows_a_loss_without_notifystart(renewal: str, chances: bytes, never: frozenset[Trigger]) -> None:
    """Through any two hundred events; a stop, a start, a wake or new credentials in between excuse nothing."""
    record = live(MACHINES[renewal], chances, never)
    assert retried_without_notifystart(record, required=renewal == "required") == []


@given(
    figures=st.fixed_dictionaries(
        {"renewal": st.sampled_from(["attempted", "required"])},
        optional={
            "session_first_s": st.floats(2, 300),
            "session_ceiling_s": st.floats(5, 900),
            "transport_first_s": st.floats(1, 60),
            "transport_ceiling_s": st.floats(2, 900),
            "pace_first_s": st.floats(1, 4),
            "pace_ceiling_s": st.floats(4, 60),
            "login_required_denials": st.integers(1, 100),
        },
    ),
    chances=CHANCES,
    never=NEVER,
)
def test_no_policy_leaves_notifystart_out(
    figures: dict[str, object], chances: bytes, never: frozenset[Trigger]
) -> None:
    """There is no figure that trades the renewal for something else."""
    try:
        policy = Policy.from_mapping(figures)
    except PolicyError:
        assume(False)
        raise
    record = live(Machine(policy), chances, never)
    assert retried_without_notifystart(record, required=policy.renewal == "required") == []


@pytest.mark.parametrize("renewal", MACHINES)
def test_nowhere_in_the_graph_is_there_such_a_poll(renewal: str) -> None:
    """
    The same over every run of any length: all configurations, each with all that can have been lost before it.

    Wherever a session is lost and ``notifystart`` has not ended since (has not succeeded, where that is required), no
    event that can happen orders a poll.
    """
    graph = explore(MACHINES[renewal])
    start = (0, 0, 0)
    met, queue, owing = {start}, deque([start]), 0
    while queue:
        node, before, row = queue.popleft()
        operation = graph.nodes[node].outstanding
        for arc in graph.arcs[node]:
            trigger, owed, hollow = arc.move.trigger, before, row
            if trigger in (T.STOP, T.CREDENTIALS_CHANGED):
                owed, hollow = min(owed, ENDED), 0
            elif isinstance(operation, Poll):
                hollow = hollow + 1 if trigger is T.HOLLOW else hollow if trigger is T.SILENT else 0
            elif trigger is T.SESSION_RENEWED or (trigger is T.RENEWAL_FAILED and owed == ENDED):
                owed = 0
            if trigger in (T.SESSION_EXPIRED, T.SESSION_LAPSED) or hollow == 3:
                owed, hollow = SUCCEEDED if renewal == "required" else ENDED, 0
            assert not (owed and isinstance(arc.command, Poll)), arc.step
            owing += bool(owed)
            there = (arc.target, owed, hollow)
            if there not in met:
                met.add(there)
                queue.append(there)
    assert owing > 5_000  # the search has something to say


@pytest.mark.parametrize(
    ("record", "attempted", "required"),
    [
        ("poll -14, poll ok", [1], [1]),
        ("poll -14, poll -14, notifystart ok, poll ok", [1], [1]),
        ("poll -14, notifystart ok, poll ok", [], []),
        ("poll -14, notifystart failed, poll ok", [], [2]),
        ("poll -14, notifystart -14, poll ok", [2], [2]),
        ("poll -14, notifystart cut, poll ok", [2], [2]),
        ("poll -14, stop, poll ok", [2], [2]),
        ("poll -14, stop, notifystart failed, poll ok", [], []),
        ("poll -14, login, notifystart failed, poll ok", [], []),
        ("poll hollow, poll hollow, poll hollow, poll ok", [3], [3]),
        ("poll hollow, poll hollow, poll ok, poll hollow, poll ok", [], []),
    ],
)
def test_the_judge_knows_a_retry_when_it_sees_one(record: str, attempted: list[int], required: list[int]) -> None:
    """The test itself: what the other clients do is found, and what is right is let pass."""
    ends = {"-14": T.SESSION_EXPIRED, "hollow": T.HOLLOW, "failed": T.RENEWAL_FAILED}
    entries = []
    for line in record.split(", "):
        what, _, end = line.partition(" ")
        if what == "notifystart":
            entries.append(Entry(what, ends.get(end, T.SESSION_RENEWED if end == "ok" else None)))
        else:
            entries.append(Entry("getupdates", ends.get(end, T.POLLED)) if what == "poll" else Entry(what))
    assert retried_without_notifystart(entries, required=False) == attempted
    assert retried_without_notifystart(entries, required=True) == required


@pytest.mark.parametrize("loss", [["session_expired"], ["session_lapsed"], ["hollow", "hollow", "hollow"]])
@pytest.mark.parametrize("proved", [True, False])
def test_the_request_after_a_loss_is_notifystart(loss: list[str], proved: bool) -> None:
    """Whether at once or after a wait: the first thing that the server hears after a loss is the handshake."""
    session = MACHINES["attempted"].session()
    session.handle("start")
    for trigger in ("session_renewed", *(["polled"] if proved else []), *loss):
        assert isinstance(session.outstanding, Renew | Poll)
        session.handle(trigger, serial=session.outstanding.serial)
    if not isinstance(session.outstanding, Renew):
        assert session.outstanding is not None
        session.handle("retry_due", serial=session.outstanding.serial)
    assert isinstance(session.outstanding, Renew)


# ---------------------------------------------------------------------------------------------------------------------
# The driver: the real session on the real client, in virtual time, judged by the server's log.
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(life=circumstances())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_driver_never_polls_a_lost_session_without_notifystart(backend: Backend, life: Trial) -> None:
    """Under any server, between a poll that got -14 and the next poll the log has a notifystart that has ended."""
    life.live(backend)
    lost = False
    for entry in life.log:
        if entry.endpoint == "notifystart":
            assert entry.ended_s is not None or entry is life.log[-1]
            lost = lost and life.policy.renewal == "required" and entry.answer not in HANDSHAKE_DONE
        else:
            assert not lost, f"request {entry.number} polls a lost session"
            lost = entry.code == -14 or entry.status in (401, 403)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_loss_of_a_takeover_is_followed_by_a_renewal_and_then_a_poll(backend: Backend) -> None:
    """However often it is denied, the order on the wire stays: getupdates, notifystart, getupdates, notifystart."""
    takeover = faults.Takeover(at_s=60, for_s=3000, notifystart="works")
    life = Trial(ServerScript(schedule=(takeover,)), MACHINES["attempted"])
    life.live(backend)
    denied = [entry for entry in life.log if entry.code == -14]
    assert len(denied) >= 12
    for entry in denied:
        following = [other.endpoint for other in life.log if other.number > entry.number][:2]
        assert following == ["notifystart", "getupdates"]
