"""The machine that runs does what the table says, for every state, every trigger and every memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cache

import pytest
import transitions

from sessionfsm.errors import DefinitionError, TriggerRefused
from sessionfsm.lifecycle import (
    EXTERNAL,
    Close,
    Command,
    Ladder,
    Lifecycle,
    Machine,
    Memory,
    Order,
    Policy,
    Poll,
    Renew,
    Row,
    Signal,
    Snapshot,
    State,
    Table,
    Trigger,
    Wait,
    table_for,
)
from sessionfsm.lifecycle.table import Assign, AtLeast, Below, Count, Is, limits
from sessionfsm.verify import explore

POLICIES = {"attempted": Policy(), "required": Policy(renewal="required")}
WAIT = Wait(serial=0, ladder=Ladder.SESSION, attempt=1, rung_s=5, first_s=5, ceiling_s=300)
OUTSTANDING: dict[str, Command | None] = {
    State.STOPPED: None,
    State.RECOVERING: Renew(serial=0, deadline_s=10),
    State.ACTIVE: Poll(serial=0),
    State.BACKOFF: WAIT,
    State.STOPPING: Close(serial=0, notify=True),
}


@cache
def machine(name: str) -> Machine:
    return Machine(POLICIES[name])


# A second reading of the table, that shares no code with the first.


def allows(row: Row, state: str, memory: Memory) -> bool:
    if state not in row.sources:
        return False
    for guard in row.guards:
        match guard:
            case Is(flag=name, value=wanted):
                holds = getattr(memory, name) == wanted
            case Below(counter=name, limit=limit):
                holds = getattr(memory, name) < limit
            case AtLeast(counter=name, limit=limit):
                holds = getattr(memory, name) >= limit
        if not holds:
            return False
    return True


def following(row: Row, memory: Memory, top: dict[str, int]) -> Memory:
    for update in row.updates:
        match update:
            case Assign(cell=name, value=value):
                memory = memory._replace(**{name: value})
            case Count(counter=name) if getattr(memory, name) < top[name]:
                memory = memory._replace(**{name: getattr(memory, name) + 1})
    return memory


@cache
def reachable(name: str) -> dict[str, list[Memory]]:
    """Every memory that each state can have: a plain search over the rows, without the machine."""
    policy = POLICIES[name]
    table, top = table_for(policy), dict(limits(policy))
    found: dict[str, list[Memory]] = {state: [] for state in State}
    start = (str(table.initial), Memory())
    met, queue = {start}, deque([start])
    while queue:
        state, memory = queue.popleft()
        found[state].append(memory)
        for row in table.rows:
            if allows(row, state, memory):
                there = (row.target, following(row, memory, top))
                if there not in met:
                    met.add(there)
                    queue.append(there)
    return found


@cache
def searched(name: str) -> frozenset[tuple[str, Memory]]:
    """The same as the search through the running machine has it."""
    return frozenset((node.state, node.memory) for node in explore(machine(name)).nodes)


def at(session: Lifecycle, state: str, memory: Memory) -> Snapshot:
    """Put *session* there, with the operation outstanding that the state names."""
    session.restore(Snapshot(state, memory, frozenset(), OUTSTANDING[state]))
    return session.snapshot()


# Every state, every trigger, every memory.


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("state", State)
def test_one_row_or_a_refusal(state: State, trigger: Trigger, name: str) -> None:
    """
    For every memory that the state can have, exactly one row applies and is taken, or the trigger changes nothing.

    A refusal names what would be accepted. In ``stopped`` nothing is outstanding, so that any outcome is a late one.
    """
    table, top = table_for(POLICIES[name]), dict(limits(POLICIES[name]))
    session = machine(name).session()
    for memory in reachable(name)[state]:
        rows = [row for row in table.rows if row.trigger == trigger and allows(row, state, memory)]
        before = at(session, state, memory)
        assert list(machine(name).applicable(state, memory, trigger)) == rows
        assert len(rows) <= 1
        if rows:
            step = session.handle(trigger, serial=0)
            assert step is not None
            after = following(rows[0], memory, top)
            assert (step.source, step.target, step.before, step.after) == (state, rows[0].target, memory, after)
            assert (session.state, session.memory) == (rows[0].target, after)
            assert step.reason == rows[0].reason
        elif state is State.STOPPED and trigger not in EXTERNAL:
            assert session.handle(trigger, serial=0) is None
            assert session.snapshot() == before
        else:
            with pytest.raises(TriggerRefused) as refused:
                session.handle(trigger, serial=0)
            assert session.snapshot() == before
            accepted = {row.trigger for row in table.rows if allows(row, state, memory)}
            assert set(refused.value.accepted) == set(session.accepted) == accepted
            assert (refused.value.trigger, refused.value.state) == (trigger, state)
            assert all(repr(str(each)) in str(refused.value) for each in accepted)


@pytest.mark.parametrize("name", POLICIES)
def test_two_searches_agree(name: str) -> None:
    """A search over the rows and a search through the running machine reach the same pairs of state and memory."""
    assert {(state, memory) for state, memories in reachable(name).items() for memory in memories} == searched(name)


@pytest.mark.parametrize(("name", "pairs"), [("attempted", 2507), ("required", 1739)])
def test_the_number_of_pairs_is_known(name: str, pairs: int) -> None:
    """Memory is finite on purpose; a counter more or less is noticed here."""
    assert sum(map(len, reachable(name).values())) == pairs


@pytest.mark.parametrize("name", POLICIES)
def test_every_trigger_is_in_the_table(name: str) -> None:
    """There is no word without a row and no row without a word, for states and for triggers."""
    table = table_for(POLICIES[name])
    assert set(table.triggers) == set(Trigger)
    assert [entry.name for entry in table.states] == list(State)
    assert all(entry.meaning for entry in table.states)
    assert {source for row in table.rows for source in row.sources} == set(State)
    assert {row.target for row in table.rows} == set(State)


# Refused, late and unknown.


def test_refusal_reads_well() -> None:
    """A refusal names the facts and the way out."""
    session = machine("attempted").session()
    with pytest.raises(TriggerRefused) as refused:
        session.handle("stop")
    assert str(refused.value) == "no transition for 'stop' in state 'stopped' (accepted here: 'start')"


def test_unknown_trigger_is_refused() -> None:
    """A word that no row knows is refused like any other, and never guessed at."""
    session, _ = poised(State.ACTIVE)
    before = session.snapshot()
    with pytest.raises(TriggerRefused, match="no transition for 'poled' in state 'active'"):
        session.handle("poled", serial=serial_of(session))
    assert session.snapshot() == before


@pytest.mark.parametrize("trigger", sorted(set(Trigger) - EXTERNAL))
@pytest.mark.parametrize("state", State)
def test_stale_serial_is_dropped(state: State, trigger: Trigger) -> None:
    """An outcome that does not carry the number of the outstanding operation changes nothing, not even by a refusal."""
    session, command = poised(state)
    before, serial = session.snapshot(), command.serial if command is not None else 0
    for stale in (None, serial - 1, serial + 1, -serial):
        if stale == serial and command is not None:
            continue
        assert session.handle(trigger, serial=stale) is None
        assert session.snapshot() == before
        assert session.outstanding == command


def test_every_command_has_a_number_of_its_own() -> None:
    """Serial numbers rise by one with each command and never start over, so that no late outcome finds a new taker."""
    session = machine("attempted").session()
    numbers = []
    for _ in range(3):
        for trigger in ("start", "session_renewed", "polled", "poll_failed", "retry_due", "stop", "closed"):
            step = session.handle(trigger, serial=serial_of(session))
            assert step is not None
            numbers += [step.command.serial] if step.command is not None else []
    assert numbers == list(range(1, 19))


def test_a_number_is_compared_by_its_value() -> None:
    """After a thousand commands too, where two equal numbers are no longer the same object; and it is given by name."""
    session = machine("attempted").session()
    session.handle("start")
    session.handle("session_renewed", serial=1)
    for number in range(2, 1000):
        assert session.handle("polled", serial=int(str(number))) is not None
    with pytest.raises(TypeError):
        session.handle("polled", 1000)  # type: ignore[misc]


def test_a_snapshot_has_no_number_and_a_restored_session_counts_anew() -> None:
    """What will happen next does not hang on how many commands there were."""
    session = machine("attempted").session()
    for trigger in ("start", "session_renewed", "polled", "stop", "closed", "start"):
        session.handle(trigger, serial=serial_of(session))
    snapshot = session.snapshot()
    assert snapshot.outstanding == Renew(serial=0, deadline_s=10)
    session.restore(snapshot)
    assert serial_of(session) == 0
    assert session.handle("session_renewed", serial=0) is not None
    assert serial_of(session) == 1
    session.restore(Snapshot(State.STOPPED, Memory(), frozenset(), None))
    session.handle("start")
    assert serial_of(session) == 1


def test_a_step_says_whether_anything_changed() -> None:
    """A state or a cell of the memory: either is a change. What was ordered is not one."""
    seen = {}
    session = machine("attempted").session()
    for trigger in ("start", "renewal_failed", "polled", "polled", "stop"):
        step = session.handle(trigger, serial=serial_of(session))
        assert step is not None
        seen[trigger] = (step.source != step.target, step.before != step.after, step.changed)
    assert seen["start"] == (True, False, True)
    assert seen["polled"] == (False, False, False)
    assert seen["stop"] == (True, True, True)
    session = machine("attempted").session()
    for trigger in ("start", "renewal_failed"):
        session.handle(trigger, serial=serial_of(session))
    first = session.handle("polled", serial=serial_of(session))
    assert first is not None
    assert (first.source == first.target, first.before != first.after, first.changed) == (True, True, True)
    back = session.handle("hollow", serial=serial_of(session))
    again = session.handle("polled", serial=serial_of(session))
    assert back is not None
    assert again is not None
    assert (back.before < back.after, back.changed) == (True, True)
    assert (again.before > again.after, again.changed) == (True, True)
    for source, target in (("a", "b"), ("b", "a")):
        assert first._replace(source=source, target=target, before=first.after).changed


def test_a_session_knows_what_it_runs_on() -> None:
    session = machine("required").session()
    assert session.policy == POLICIES["required"]
    assert (session.own_triggers, session.operations) == (frozenset(), ())


# What the machine is made of.


def test_two_sessions_share_nothing() -> None:
    """Sessions on one machine do not see each other."""
    shared = Machine(Policy())
    left, right = shared.session(), shared.session()
    untouched = right.snapshot()
    for trigger in ("start", "session_expired", "retry_due", "session_expired", "retry_due", "session_expired"):
        left.handle(trigger, serial=serial_of(left))
    assert left.signals == {Signal.LOGIN_REQUIRED}
    assert right.snapshot() == untouched
    right.handle("start")
    assert (left.state, right.state) == ("backoff", "recovering")
    assert serial_of(right) == 1


def test_a_session_is_small() -> None:
    """Ten thousand sessions fit: a session has slots and no dictionary, and so no room for a forgotten attribute."""
    session = machine("attempted").session()
    assert not hasattr(session, "__dict__")
    with pytest.raises(AttributeError):
        session.remark = ""  # type: ignore[attr-defined]


def test_the_shared_machine_knows_no_session() -> None:
    """``transitions`` is given no model, so that a session that is dropped is gone."""
    shared = Machine(Policy())
    shared.session().handle("start")
    assert isinstance(shared._machine, transitions.Machine)
    assert shared._machine.models == []
    assert set(shared._machine.events) == set(Trigger)  # and no automatic ones


def test_a_table_of_ones_own() -> None:
    """Any table can be run; one that names an unknown state is refused, and says which."""
    table = table_for(Policy())
    with pytest.raises(DefinitionError, match="'nowhere', which is not among its states"):
        Table(
            name="mine",
            states=table.states,
            signals=(),
            rows=(Row(trigger="go", sources=("stopped",), target="nowhere", order=Order.NOTHING, reason="so"),),
        )
    row = Row(trigger="start", sources=("stopped",), target="stopped", order=Order.NOTHING, reason="so")
    session = Machine(table=Table(name="mine", states=table.states, signals=(), rows=(row,))).session()
    step = session.handle("start")
    assert step is not None
    assert not step.changed
    with pytest.raises(DefinitionError, match="no state 'nowhere' in table 'mine'"):
        session.restore(Snapshot("nowhere", Memory(), frozenset(), None))


# Signals.


def signals_along(*triggers: str, policy: Policy | None = None) -> Iterator[tuple[set[Signal], set[Signal]]]:
    """Start, play *triggers*, and yield what each of them raised and cleared."""
    session = Machine(policy or Policy()).session()
    session.handle("start")
    for trigger in triggers:
        step = session.handle(trigger, serial=serial_of(session))
        assert step is not None
        yield set(step.raised), set(step.cleared)


DENIED = ("session_renewed", "session_expired", "retry_due")
FAILED = ("renewal_failed", "poll_failed", "retry_due")
LOGIN, BLOCKED = Signal.LOGIN_REQUIRED, Signal.RENEWAL_BLOCKED


@pytest.mark.parametrize("good", ["polled", "hurried"])
@pytest.mark.parametrize(
    "denial", [DENIED, ("session_expired", "retry_due")], ids=["the poll is denied", "the handshake is denied"]
)
def test_login_required_is_raised_once(denial: tuple[str, ...], good: str) -> None:
    """The third denial raises it; ten more do not raise it again; a good poll clears it."""
    edges = list(signals_along(*denial * 13, "session_renewed", good))
    third = 2 * len(denial) + denial.index("session_expired")
    assert [index for index, (raised, _) in enumerate(edges) if raised == {LOGIN}] == [third]
    assert [index for index, (_, cleared) in enumerate(edges) if cleared] == [len(edges) - 1]
    assert edges[-1] == (set(), {LOGIN})


@pytest.mark.parametrize("denials", [1, 2, 5, 9, 12])
def test_login_required_comes_when_the_policy_says(denials: int) -> None:
    """The number of denials is the policy's, also where it is larger than the number of rungs."""
    edges = list(signals_along(*DENIED * 14, policy=Policy(login_required_denials=denials)))
    assert [index // 3 + 1 for index, (raised, _) in enumerate(edges) if raised] == [denials]


def test_login_required_is_raised_anew_after_a_good_poll() -> None:
    """Trouble that is over and comes back is told again."""
    edges = list(signals_along(*DENIED * 3, "session_renewed", "hurried", *DENIED[1:], *DENIED * 2))
    assert [raised for raised, _ in edges if raised] == [{LOGIN}, {LOGIN}]


def test_renewal_blocked_is_raised_once() -> None:
    """Seven transport waits while the session is lost raise it, ten more do not; a good poll clears it."""
    edges = list(signals_along("session_renewed", "session_lapsed", *FAILED * 17, "session_renewed", "polled"))
    assert [index for index, (raised, _) in enumerate(edges) if raised == {BLOCKED}] == [2 + 3 * 6 + 1]
    assert edges[-1] == (set(), {BLOCKED})
    assert sum(bool(raised or cleared) for raised, cleared in edges) == 2


def test_renewal_blocked_comes_when_the_outage_was_there_before_the_loss() -> None:
    """The ladder stood at its top already when the session was lost: the next failure raises it all the same."""
    outage = FAILED * 9
    assert not any(raised for raised, _ in signals_along(*outage))  # nothing was lost: there is nothing to rebuild
    edges = list(signals_along(*outage, "session_renewed", "session_lapsed", "renewal_failed", "poll_failed"))
    assert [raised for raised, _ in edges if raised] == [{BLOCKED}]
    assert edges[-1][0] == {BLOCKED}


@pytest.mark.parametrize("end", ["session_renewed", "silent"])
def test_only_a_good_poll_clears_a_signal(end: str) -> None:
    """A renewal that succeeds, or a poll that is merely not answered, is no proof that messages arrive."""
    script = [*DENIED * 3, "session_renewed"]
    script += ["silent"] if end == "silent" else ["poll_failed", "retry_due", "session_renewed"]
    assert not any(cleared for _, cleared in signals_along(*script))


@pytest.mark.parametrize("trigger", ["stop", "credentials_changed"])
def test_a_new_beginning_clears_signals(trigger: str) -> None:
    """After a stop, and with new credentials, the old trouble is nobody's any more."""
    assert list(signals_along(*DENIED * 3, trigger))[-1] == (set(), {LOGIN})


def test_two_signals_can_be_up() -> None:
    """Each stands for its own trouble, and one good poll ends both."""
    edges = list(signals_along(*DENIED * 3, *FAILED * 7, "renewal_failed", "polled"))
    assert [raised for raised, _ in edges if raised] == [{LOGIN}, {BLOCKED}]
    assert edges[-1] == (set(), {LOGIN, BLOCKED})


# Commands.


@pytest.mark.parametrize("state", [State.RECOVERING, State.ACTIVE, State.BACKOFF])
def test_goodbye_is_for_a_session_that_the_server_knows(state: State) -> None:
    """``notifystop`` is sent exactly if the session was not lost, whatever else is remembered."""
    session = machine("attempted").session()
    for memory in reachable("attempted")[state]:
        at(session, state, memory)
        step = session.handle("stop")
        assert step is not None
        assert isinstance(step.command, Close)
        assert step.command.notify is not memory.expired
        assert session.memory == Memory()


def test_new_credentials_let_the_renewal_go_on() -> None:
    """The renewal that found them continues under its own number; what was remembered is forgotten."""
    session = machine("attempted").session()
    for memory in reachable("attempted")[State.RECOVERING]:
        at(session, State.RECOVERING, memory)
        renewal = session.outstanding
        step = session.handle("credentials_changed", serial=0)
        assert step is not None
        assert step.command is None
        assert session.outstanding is renewal
        assert (session.state, session.memory) == (State.RECOVERING, Memory())
        renewed = session.handle("session_renewed", serial=0)
        assert renewed is not None
        assert isinstance(renewed.command, Poll)


def test_after_the_close_nothing_is_outstanding() -> None:
    """A closed session is as new, and can be started again."""
    session, _ = poised(State.STOPPING)
    step = session.handle("closed", serial=serial_of(session))
    assert step is not None
    assert step.command is None
    assert session.snapshot() == machine("attempted").session().snapshot()
    assert session.accepted == ("start",)


def test_a_poll_takes_its_figures_from_the_policy() -> None:
    """Hurried and hollow answers are paced 1, 2, 4 s and no slower; the poll after a silent one is fresh."""
    session, _ = poised(State.ACTIVE)
    paces = []
    for trigger in ("hurried", "hollow", "hurried", "hurried", "silent", "hollow", "polled"):
        step = session.handle(trigger, serial=serial_of(session))
        assert step is not None
        assert isinstance(step.command, Poll)
        paces.append((step.command.pace_s, step.command.fresh))
    assert paces == [(1, False), (2, False), (2, False), (4, False), (0, True), (4, False), (0, False)]


def poised(state: State) -> tuple[Lifecycle, Command | None]:
    """A session that has come to *state* by a run of its own, and what is outstanding there."""
    ways = {
        State.STOPPED: [],
        State.RECOVERING: ["start"],
        State.ACTIVE: ["start", "session_renewed"],
        State.BACKOFF: ["start", "session_renewed", "poll_failed"],
        State.STOPPING: ["start", "session_renewed", "stop"],
    }
    session = machine("attempted").session()
    for trigger in ways[state]:
        session.handle(trigger, serial=serial_of(session))
    assert session.state == state
    return session, session.outstanding


def serial_of(session: Lifecycle) -> int | None:
    return session.outstanding.serial if session.outstanding is not None else None
