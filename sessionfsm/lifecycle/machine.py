"""The machine: the table on ``transitions``, and the small session that runs on it. No clock, no chance, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import transitions

from sessionfsm.errors import DefinitionError, TriggerRefused

from .policy import Policy
from .table import Assign, Memory, Order, Row, Table, limits, table_for
from .terms import Close, Command, Ladder, Poll, Renew, Signal, Trigger, Wait

__all__ = ["EXTERNAL", "Lifecycle", "Machine", "Snapshot", "Step"]

EXTERNAL: frozenset[str] = frozenset({Trigger.START, Trigger.STOP, Trigger.WAKE})
"""Triggers that come from outside; every other one is an outcome and carries the serial of the operation it ends."""


class Snapshot(NamedTuple):
    """Everything that decides what a session will do next, but for the serial number."""

    state: str
    memory: Memory
    signals: frozenset[Signal]
    outstanding: Command | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
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
        self._limits = limits(self.policy)
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
                self._rows_at[source].setdefault(row.trigger, []).append(row)

    def session(self) -> Lifecycle:
        """Return a new session, in the initial state and with an empty memory."""
        return Lifecycle(self)

    def applicable(self, state: str, memory: Memory, trigger: str) -> tuple[Row, ...]:
        """Return every row that could be taken; a sound table never has more than one."""
        rows = self._rows_at.get(state, {}).get(trigger, ())
        return tuple(row for row in rows if all(guard.holds(memory) for guard in row.guards))

    def _fire(self, session: Lifecycle, trigger: str) -> Row | None:
        event = self._events.get(trigger)
        if event is None or session.state not in event.transitions:
            return None
        session._fired.clear()
        event.trigger(session)
        return session._fired.pop() if session._fired else None

    def _updated(self, memory: Memory, row: Row) -> Memory:
        cells = memory._asdict()
        for update in row.updates:
            if isinstance(update, Assign):
                cells[update.cell] = update.value
            else:
                cells[update.counter] = min(cells[update.counter] + 1, self._limits[update.counter])
        return Memory(**cells)

    def _command(self, order: Order, serial: int, before: Memory, after: Memory) -> Command | None:
        policy = self.policy
        match order:
            case Order.RENEW:
                return Renew(serial=serial, deadline_s=policy.renewal_deadline_s)
            case Order.POLL:
                return Poll(serial=serial)
            case Order.POLL_PACED:
                return Poll(serial=serial, pace_s=policy.pace_s(after.hurries + after.doubts))
            case Order.POLL_FRESH:
                return Poll(serial=serial, fresh=True)
            case Order.WAIT_SESSION:
                return self._wait(Ladder.SESSION, serial, after.denials)
            case Order.WAIT_TRANSPORT:
                return self._wait(Ladder.TRANSPORT, serial, after.waits)
            case Order.CLOSE:
                # A lost session is not told goodbye: the server does not know it (protocol.md, section 2.4).
                return Close(serial=serial, notify=not before.expired)
            case Order.GO_ON | Order.NOTHING:
                return None

    def _wait(self, ladder: Ladder, serial: int, attempt: int) -> Wait:
        policy = self.policy
        return Wait(
            serial=serial,
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

    __slots__ = ("__weakref__", "_fired", "_machine", "_serial", "memory", "outstanding", "signals", "state")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._fired: list[Row] = []
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
    def accepted(self) -> tuple[str, ...]:
        """The triggers that would be accepted now, whatever their serial number."""
        machine = self._machine
        here = machine._rows_at[self.state]
        return tuple(trigger for trigger in here if machine.applicable(self.state, self.memory, trigger))

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
        if trigger not in self._machine._events:
            raise TriggerRefused(str(trigger), str(self.state), [str(name) for name in self.accepted])
        if trigger not in EXTERNAL and (self.outstanding is None or serial != self.outstanding.serial):
            return None
        source, before, signals = self.state, self.memory, self.signals
        row = self._machine._fire(self, trigger)
        if row is None:
            raise TriggerRefused(str(trigger), str(source), [str(name) for name in self.accepted])
        after = self._machine._updated(before, row)
        command = self._machine._command(row.order, self._serial + 1, before, after)
        self.memory = after
        if command is not None:
            self._serial = command.serial
            self.outstanding = command
        elif row.order is Order.NOTHING:
            self.outstanding = None
        if row.clears_signals:
            self.signals = frozenset()
        for rule in self._machine.table.signals:
            if rule.order is row.order and all(guard.holds(after) for guard in rule.guards):
                self.signals |= {rule.signal}
        return Step(
            trigger=str(trigger),
            source=source,
            target=self.state,
            before=before,
            after=after,
            command=command,
            reason=row.reason,
            raised=self.signals - signals,
            cleared=signals - self.signals,
        )

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


def _holding(row: Row) -> Callable[[transitions.EventData], bool]:
    guards = row.guards

    def holds(event: transitions.EventData) -> bool:
        memory = cast(Lifecycle, event.model).memory
        return all(guard.holds(memory) for guard in guards)

    return holds


def _noting(row: Row) -> Callable[[transitions.EventData], None]:
    # The callback only notes which row was taken: it decides nothing, so nothing can hide in it.
    return lambda event: cast(Lifecycle, event.model)._fired.append(row)
