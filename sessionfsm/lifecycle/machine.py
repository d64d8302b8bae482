"""The machine: the table on ``transitions``, and the small session that runs on it. No clock, no chance, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from operator import itemgetter
from typing import NamedTuple, cast

import transitions

from sessionfsm.errors import DefinitionError, TriggerRefused

from .orders import Order, OwnOrder, Pause, Perform
from .policy import Policy
from .table import Assign, Memory, Row, SignalRule, Table, limits, table_for
from .terms import Close, Command, Ladder, Own, Poll, Renew, Signal, Trigger, Wait

__all__ = ["EXTERNAL", "Lifecycle", "Machine", "Snapshot", "Step"]

EXTERNAL: frozenset[str] = frozenset({Trigger.START, Trigger.STOP, Trigger.WAKE})
"""
Triggers that come from outside; every other one is an outcome and carries the serial of the operation it ends.

A table of your own can have more: :attr:`Machine.external` has them all.
"""


_NO_SIGNALS: frozenset[Signal] = frozenset()
_NOTHING = Order.NOTHING  # looked up once: on Python 3.11 finding a member of an enum takes long

# What the figures of a command go by, in the memory before and after.
_COUNTED: dict[Order | OwnOrder, Callable[[Memory, Memory], int]] = {
    Order.POLL_PACED: lambda _, after: after.hurries + after.doubts,
    Order.WAIT_SESSION: lambda _, after: after.denials,
    Order.WAIT_TRANSPORT: lambda _, after: after.waits,
    Order.CLOSE: lambda before, _: before.expired,
}
_PLACES = {cell: place for place, cell in enumerate(Memory._fields)}


class Snapshot(NamedTuple):
    """Everything that decides what a session will do next, but for the serial number."""

    state: str
    memory: Memory
    signals: frozenset[Signal]
    outstanding: Command | None


class Step(NamedTuple):
    """
    What one trigger did.

    Attributes:
        trigger: What happened.
        source: The state before.
        target: The state after.
        before: The memory before.
        after: The memory after.
        command: What to do now; ``None`` when nothing, or when the outstanding operation goes on.
        reason: Why, in one sentence.
        raised: Signals that are up since this step.
        cleared: Signals that are down since this step.
    """

    trigger: str
    source: str
    target: str
    before: Memory
    after: Memory
    command: Command | None
    reason: str
    raised: frozenset[Signal]
    cleared: frozenset[Signal]

    @property
    def changed(self) -> bool:
        """Whether state or memory are other than before."""
        return self.source != self.target or self.before != self.after


class _Answer(NamedTuple):
    """
    What the table says to a trigger: a function of state and memory alone, because guards and updates are data.

    Attributes:
        target: The state afterwards.
        after: The memory afterwards.
        command: Makes the command when it is given its number; ``None`` if nothing is ordered.
        ends: Whether nothing is outstanding afterwards.
        clears: Whether the signals that are up are cleared.
        raised: Which signals it raises.
        reason: Why.
    """

    target: str
    after: Memory
    command: _Maker | None
    ends: bool
    clears: bool
    raised: frozenset[Signal]
    reason: str


class _Maker:
    """Makes a command when it is given its number: frozen as it is, the same number gets the same object."""

    __slots__ = ("_cells", "_kind", "_last", "plain")

    def __init__(self, command: Command) -> None:
        self.plain = command
        self._kind: Callable[..., Command] = type(command)
        self._cells = {item.name: getattr(command, item.name) for item in fields(command) if item.name != "serial"}
        self._last = command

    def __call__(self, serial: int) -> Command:
        last = self._last
        if last.serial != serial:
            self._last = last = self._kind(serial=serial, **self._cells)
        return last


class _Asked:
    """What ``transitions`` moves, to find out where a trigger leads."""

    __slots__ = ("memory", "row", "state")

    def __init__(self, state: str, memory: Memory) -> None:
        self.state = state
        self.memory = memory
        self.row: Row | None = None


class Machine:
    """
    A table made runnable for one policy. Make one and share it: sessions on it are small.

    Args:
        policy: The figures.
        table: A lifecycle of your own; the default is the one that the policy asks for.

    Raises:
        DefinitionError: If the table cannot be run.
    """

    def __init__(self, policy: Policy | None = None, table: Table | None = None) -> None:
        self.policy = policy if policy is not None else Policy()
        self.table = table if table is not None else table_for(self.policy)
        self.external: frozenset[str] = EXTERNAL | frozenset(self.table.external)
        self._limits = limits(self.policy)
        self._answers: dict[tuple[str, Memory, str], _Answer] = {}
        self._taken: dict[tuple[str, str, object], _Asked] = {}
        self._makers: dict[int, _Maker] = {}
        self._unnumbered: dict[tuple[Order | OwnOrder, int], Command | None] = {}
        self._accepted: dict[tuple[str, Memory], tuple[str, ...]] = {}
        self._raised_by: dict[Order | OwnOrder, list[SignalRule]] = {}
        for rule in self.table.signals:
            self._raised_by.setdefault(rule.order, []).append(rule)
        self._machine = transitions.Machine(
            model=None,
            states=[str(entry.name) for entry in self.table.states],
            initial=None,
            auto_transitions=False,
            send_event=True,
        )
        for row in self.table.rows:
            self._machine.add_transition(
                str(row.trigger),
                [str(source) for source in row.sources],
                str(row.target),
                conditions=[_holding(row)],
                after=[_noting(row)],
            )
        self._events = self._machine.events
        # The rows again, by state and trigger, for questions that must not move anything.
        self._rows_at: dict[str, dict[str, list[Row]]] = {entry.name: {} for entry in self.table.states}
        for row in self.table.rows:
            for source in row.sources:
                self._rows_at[source].setdefault(str(row.trigger), []).append(row)
        self._looked_at = {
            (state, trigger): _looking_at(rows)
            for state, triggers in self._rows_at.items()
            for trigger, rows in triggers.items()
        }

    @property
    def states(self) -> tuple[str, ...]:
        """Every state, by name."""
        return tuple(str(name) for name in self._machine.states)

    @property
    def triggers(self) -> tuple[str, ...]:
        """Every trigger that a session can be told."""
        return tuple(dict.fromkeys((*map(str, Trigger), *self.table.external, *self._events)))

    def session(self) -> Lifecycle:
        """Return a new session, in the initial state and with an empty memory."""
        return Lifecycle(self)

    def applicable(self, state: str, memory: Memory, trigger: str) -> tuple[Row, ...]:
        """Return every row that could be taken; a sound table never has more than one."""
        rows = self._rows_at.get(state, {}).get(trigger, ())
        return tuple([row for row in rows if not row.guards or all(guard.holds(memory) for guard in row.guards)])

    def _answer(self, state: str, memory: Memory, trigger: str) -> _Answer | None:
        """Return what follows, or ``None`` if no row applies. What follows is found out once, and remembered."""
        question = (state, memory, trigger)
        answer = self._answers.get(question)
        if answer is None:
            answer = self._find_out(state, memory, trigger)
            if answer is not None:
                self._answers[question] = answer
        return answer

    def _find_out(self, state: str, memory: Memory, trigger: str) -> _Answer | None:
        taken = self._take(state, memory, trigger)
        if taken is None or taken.row is None:
            return None
        row, after = taken.row, self._updated(memory, taken.row)
        command = self._command(row.order, memory, after)
        return _Answer(
            taken.state,
            after,
            self._maker(command) if command is not None else None,
            row.order is _NOTHING,
            row.clears_signals,
            self._raised(row.order, after),
            row.reason,
        )

    def _take(self, state: str, memory: Memory, trigger: str) -> _Asked | None:
        """Let ``transitions`` take a row: once for each content of the cells that the guards here look at."""
        seen = self._looked_at.get((state, trigger))
        if seen is None:
            return None
        question = (state, trigger, seen(memory))
        asked = self._taken.get(question)
        if asked is None:
            asked = self._taken[question] = _Asked(state, memory)
            self._events[trigger].trigger(asked)
        return asked

    def _updated(self, memory: Memory, row: Row) -> Memory:
        cells: list[int] = [*memory]
        for update in row.updates:
            if isinstance(update, Assign):
                cells[_PLACES[update.cell]] = update.value
            else:
                place = _PLACES[update.counter]
                cells[place] = min(cells[place] + 1, self._limits[update.counter])
        return Memory._make(cells)

    def _raised(self, order: Order | OwnOrder, after: Memory) -> frozenset[Signal]:
        rules = self._raised_by.get(order)
        if rules is None:
            return _NO_SIGNALS
        return frozenset(rule.signal for rule in rules if all(guard.holds(after) for guard in rule.guards))

    def _maker(self, command: Command) -> _Maker:
        maker = self._makers.get(id(command))
        if maker is None:  # which keeps the command, so that no other one can have its id
            maker = self._makers[id(command)] = _Maker(command)
        return maker

    def _command(self, order: Order | OwnOrder, before: Memory, after: Memory) -> Command | None:
        """Return what *order* means with this policy, without a number yet. The same thing is the same object."""
        counted = _COUNTED.get(order)
        count = counted(before, after) if counted is not None else 0
        command = self._unnumbered.get((order, count))
        if command is None:
            command = self._unnumbered[order, count] = self._meaning(order, count)
        return command

    def _meaning(self, order: Order | OwnOrder, count: int) -> Command | None:
        policy, serial = self.policy, 0
        match order:
            case Order.RENEW:
                return Renew(serial=serial, deadline_s=policy.renewal_deadline_s)
            case Order.POLL:
                return Poll(serial=serial)
            case Order.POLL_PACED:
                return Poll(serial=serial, pace_s=policy.pace_s(count))
            case Order.POLL_FRESH:
                return Poll(serial=serial, fresh=True)
            case Order.WAIT_SESSION:
                return self._wait(Ladder.SESSION, count)
            case Order.WAIT_TRANSPORT:
                return self._wait(Ladder.TRANSPORT, count)
            case Order.CLOSE:
                # A lost session is not told goodbye: the server does not know it (protocol.md, section 2.4).
                return Close(serial=serial, notify=not count)
            case Order.GO_ON | Order.NOTHING:
                return None
            case Pause():
                return Wait(
                    serial=serial,
                    ladder=order.name,
                    attempt=1,
                    rung_s=float(order.length_s),
                    first_s=float(order.length_s),
                    ceiling_s=float(order.longest_s),
                )
            case Perform():
                return Own(
                    serial=serial,
                    name=order.name,
                    deadline_s=order.deadline_s,
                    outcomes=order.outcomes,
                    otherwise=order.otherwise,
                )

    def _wait(self, ladder: Ladder, attempt: int) -> Wait:
        policy = self.policy
        return Wait(
            serial=0,
            ladder=ladder,
            attempt=attempt,
            rung_s=policy.rung_s(ladder, attempt),
            first_s=policy.first_s(ladder),
            ceiling_s=policy.ceiling_s(ladder),
        )


class Lifecycle:
    """
    The life of one session: triggers in, commands out.

    Attributes:
        state: Where it is.
        memory: What it remembers.
        signals: What is raised.
        outstanding: The command whose outcome is awaited, or ``None``.
    """

    __slots__ = ("__weakref__", "_machine", "_serial", "memory", "outstanding", "signals", "state")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._serial = 0
        self.state: str = str(machine.table.initial)
        self.memory = Memory()
        self.signals: frozenset[Signal] = frozenset()
        self.outstanding: Command | None = None

    @property
    def policy(self) -> Policy:
        """The policy that it runs on."""
        return self._machine.policy

    @property
    def own_triggers(self) -> frozenset[str]:
        """External triggers of a user's own table."""
        return self._machine.external - EXTERNAL

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of the operations that a user's own table performs."""
        return tuple(order.name for order in self._machine.table.performed)

    @property
    def accepted(self) -> tuple[str, ...]:
        """The triggers that would be accepted now, whatever their serial number."""
        machine = self._machine
        here = (self.state, self.memory)
        accepted = machine._accepted.get(here)
        if accepted is None:
            triggers = machine._rows_at[self.state]
            accepted = tuple(trigger for trigger in triggers if machine._answer(*here, trigger))
            machine._accepted[here] = accepted
        return accepted

    def handle(self, trigger: str, *, serial: int | None = None) -> Step | None:
        """
        Say what happened; learn what to do.

        Args:
            trigger: What happened.
            serial: The number of the command whose outcome this is; ``None`` for ``start``, ``stop`` and ``wake``.

        Returns:
            The step, or ``None`` if the outcome belongs to an operation that is no longer outstanding: nothing changed.

        Raises:
            TriggerRefused: If the table has no arc for it here. Nothing changed.
        """
        machine = self._machine
        if trigger not in machine._events:
            raise TriggerRefused(str(trigger), str(self.state), self.accepted)
        if trigger not in machine.external and (self.outstanding is None or serial != self.outstanding.serial):
            return None
        source, before, signals = self.state, self.memory, self.signals
        answer = machine._answer(source, before, trigger)
        if answer is None:
            raise TriggerRefused(str(trigger), str(source), self.accepted)
        target, after, make, ends, clears, raised, reason = answer
        command = None
        if make is not None:
            self._serial += 1
            self.outstanding = command = make(self._serial)
        elif ends:
            self.outstanding = None
        self.state, self.memory = target, after
        if raised or clears:
            self.signals = raised if clears else signals | raised
        now = self.signals
        return Step(str(trigger), source, target, before, after, command, reason, now - signals, signals - now)

    def snapshot(self) -> Snapshot:
        """Return what decides the future, with the serial number taken out."""
        outstanding = replace(self.outstanding, serial=0) if self.outstanding is not None else None
        return Snapshot(self.state, self.memory, self.signals, outstanding)

    def restore(self, snapshot: Snapshot) -> None:
        """Go to *snapshot*. For searches and tests: a driver has no use for it."""
        if snapshot.state not in self._machine._machine.states:
            raise DefinitionError(f"no state {snapshot.state!r} in table {self._machine.table.name!r}")
        state, self.memory, self.signals, self.outstanding = snapshot
        self.state = str(state)  # a member of State is a string, but transitions goes by an enum member's own name
        self._serial = snapshot.outstanding.serial if snapshot.outstanding is not None else 0


def _looking_at(rows: list[Row]) -> Callable[[Memory], object]:
    """Return what picks the cells that the guards of *rows* look at, out of a memory."""
    places = dict.fromkeys(_PLACES[guard.cell] for row in rows for guard in row.guards)
    return itemgetter(*places) if places else lambda _: None


def _holding(row: Row) -> Callable[[transitions.EventData], bool]:
    guards = row.guards

    def holds(event: transitions.EventData) -> bool:
        memory = cast(_Asked, event.model).memory
        return all(guard.holds(memory) for guard in guards)

    return holds


def _noting(row: Row) -> Callable[[transitions.EventData], None]:
    # The callback only notes which row was taken: it decides nothing, so nothing can hide in it.
    return lambda event: setattr(event.model, "row", row)
