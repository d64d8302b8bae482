"""
The table: every state and every arc of a session's life, as data.

It is run (``machine.py``), drawn (``sessionfsm.diagram``), searched (``sessionfsm.verify``) and documented from here.
Guards and updates are values, not functions, so that each of these can read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias, get_args

from sessionfsm.errors import DefinitionError

from .orders import Order, OwnOrder, Pause, Perform
from .policy import Policy
from .terms import Ladder, Signal, State, Trigger

__all__ = [
    "Assign",
    "AtLeast",
    "Below",
    "Count",
    "Guard",
    "Is",
    "Memory",
    "Row",
    "SignalRule",
    "StateEntry",
    "Table",
    "Update",
    "limits",
    "table_for",
]


class Memory(NamedTuple):
    """What a session remembers between two triggers. Each counter saturates, so that the graph is finite."""

    expired: bool = False
    """The session was lost and no renewal has succeeded since."""
    trusted: bool = False
    """A poll has proved the session since its last renewal."""
    waits: int = 0
    """Waits on the transport ladder since it was reset."""
    denials: int = 0
    """Waits on the session ladder since the last good poll."""
    doubts: int = 0
    """Hollow answers in a row."""
    hurries: int = 0
    """Hurried polls since the last proper one."""


Flag: TypeAlias = Literal["expired", "trusted"]
Counter: TypeAlias = Literal["waits", "denials", "doubts", "hurries"]

_FLAGS: tuple[str, ...] = get_args(Flag)
_COUNTERS: tuple[str, ...] = get_args(Counter)

HOLLOW_LIMIT = 3
"""Hollow answers in a row that are a loss (docs/reference/protocol.md, section 4.4)."""


@dataclass(frozen=True, slots=True)
class Is:
    """Holds when the flag has this value."""

    flag: Flag
    value: bool

    @property
    def cell(self) -> Flag:
        """What it looks at."""
        return self.flag

    def holds(self, memory: Memory) -> bool:
        return bool(getattr(memory, self.flag) is self.value)

    def __str__(self) -> str:
        return self.flag if self.value else f"not {self.flag}"


@dataclass(frozen=True, slots=True)
class Below:
    """Holds when the counter is smaller."""

    counter: Counter
    limit: int

    @property
    def cell(self) -> Counter:
        """What it looks at."""
        return self.counter

    def holds(self, memory: Memory) -> bool:
        return bool(getattr(memory, self.counter) < self.limit)

    def __str__(self) -> str:
        return f"{self.counter} < {self.limit}"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Holds when the counter is this large or larger."""

    counter: Counter
    limit: int

    @property
    def cell(self) -> Counter:
        """What it looks at."""
        return self.counter

    def holds(self, memory: Memory) -> bool:
        return bool(getattr(memory, self.counter) >= self.limit)

    def __str__(self) -> str:
        return f"{self.counter} ≥ {self.limit}"


@dataclass(frozen=True, slots=True)
class Assign:
    """Sets a flag or a counter."""

    cell: Flag | Counter
    value: bool | int

    def __str__(self) -> str:
        value = {True: "yes", False: "no"}[self.value] if isinstance(self.value, bool) else str(self.value)
        return f"{self.cell} = {value}"


@dataclass(frozen=True, slots=True)
class Count:
    """Adds one to a counter, up to its limit."""

    counter: Counter

    @property
    def cell(self) -> Counter:
        """What it changes."""
        return self.counter

    def __str__(self) -> str:
        return f"{self.counter} + 1"


Guard: TypeAlias = Is | Below | AtLeast
Update: TypeAlias = Assign | Count


_COUNTED: dict[Order | OwnOrder, Counter] = {Order.WAIT_SESSION: "denials", Order.WAIT_TRANSPORT: "waits"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One arc, from each of its sources.

    Attributes:
        trigger: What happens.
        sources: The states in which this row can apply.
        guards: What the memory must satisfy; all of them.
        target: The state afterwards.
        updates: What becomes of the memory, in order.
        order: The command: one of the session's, or one of your own.
        reason: Why, in one sentence; it is written on records and pictures.
        clears_signals: Whether the arc proves that messages arrive, or begins anew.
    """

    trigger: str
    sources: tuple[str, ...]
    target: str
    order: Order | OwnOrder
    reason: str
    guards: tuple[Guard, ...] = ()
    updates: tuple[Update, ...] = ()
    clears_signals: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRule:
    """
    When a signal is raised: an arc with this order leaves the memory satisfying the guards.

    It stays raised until an arc that clears the signals; so it is raised once.
    """

    signal: Signal
    order: Order
    guards: tuple[Guard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEntry:
    """A state and what it means, in one sentence."""

    name: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    A whole lifecycle.

    Attributes:
        name: What it is called.
        states: Every state.
        rows: Every arc.
        signals: When signals are raised.
        initial: Where a session begins, and ends.
        external: Triggers of your own that come from outside, as ``wake`` does: see :meth:`sessionfsm.Session.trigger`.

    Raises:
        DefinitionError: If a state is named that is not in the table, a cell that the memory does not have, or that
            cannot hold what is assigned to it; if a wait is ordered that is not counted, or a trigger is named that
            nobody reports.
    """

    name: str
    states: tuple[StateEntry, ...]
    rows: tuple[Row, ...]
    signals: tuple[SignalRule, ...]
    initial: str = State.STOPPED
    external: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.states]
        if self.initial not in names:
            raise DefinitionError(f"table {self.name!r}: the initial state {self.initial!r} is not among its states")
        for row in self.rows:
            counter = _COUNTED.get(row.order)
            if counter is not None and [each for each in row.updates if each.cell == counter][-1:] != [Count(counter)]:
                raise DefinitionError(
                    f"table {self.name!r}: the row for {row.trigger!r} orders {row.order!r} "
                    f"without Count({counter!r}), or undoes it: the ladder would have no rung for it"
                )
            for name in (*row.sources, row.target):
                if name not in names:
                    raise DefinitionError(
                        f"table {self.name!r}: the row for {row.trigger!r} names the state {name!r}, "
                        f"which is not among its states ({', '.join(names)})"
                    )
        self._require_cells()
        self._require_reporters()

    def _require_cells(self) -> None:
        rows = [(f"the row for {str(row.trigger)!r}", (*row.guards, *row.updates)) for row in self.rows]
        for where, used in (*rows, *((f"the signal {str(rule.signal)!r}", rule.guards) for rule in self.signals)):
            for each in used:
                if not _fits(each):
                    raise DefinitionError(f"table {self.name!r}: {where} says '{each}', and no memory can hold that")

    def _require_reporters(self) -> None:
        for name in self.external:
            if not name or name in tuple(Trigger):
                raise DefinitionError(f"table {self.name!r}: {name!r} is not a trigger of its own")
        outcomes = {name for performed in self.performed for name in performed.reported}
        for name in self.triggers:
            if name not in (*Trigger, *self.external, *outcomes):
                raise DefinitionError(
                    f"table {self.name!r}: nobody reports {name!r}; "
                    "write it into external=(...) if it comes from outside, or into the outcomes of a Perform"
                )
        if mixed := sorted(outcomes & set(self.external)):
            raise DefinitionError(
                f"table {self.name!r}: {', '.join(map(repr, mixed))} cannot be both external and an outcome"
            )
        orders = [row.order for row in self.rows if isinstance(row.order, OwnOrder)]
        by_name = {order.name: order for order in orders}
        for order in orders:
            if by_name[order.name] != order:
                raise DefinitionError(f"table {self.name!r}: two different orders are called {order.name!r}")

    @property
    def performed(self) -> tuple[Perform, ...]:
        """Every operation of your own that a row orders, each once."""
        return tuple(dict.fromkeys(row.order for row in self.rows if isinstance(row.order, Perform)))

    @property
    def own_s(self) -> float:
        """What pauses and operations of your own may add to a silence, in seconds: each of them once (P6, P7)."""
        orders = {row.order for row in self.rows if isinstance(row.order, OwnOrder)}
        return sum(order.longest_s if isinstance(order, Pause) else order.deadline_s for order in orders)

    @property
    def triggers(self) -> tuple[str, ...]:
        """Every trigger that a row names, each once, in the order of the rows."""
        return tuple(dict.fromkeys(str(row.trigger) for row in self.rows))


def _fits(each: Guard | Update) -> bool:
    """Return whether the memory has the cell, and the cell can have the value."""
    match each:
        case Is(flag=cell, value=value):
            return cell in _FLAGS and isinstance(value, bool)
        case Below(counter=cell) | AtLeast(counter=cell) | Count(counter=cell):
            return cell in _COUNTERS
        case Assign(cell=cell, value=value):
            # 1 equals True, and is another thing to a guard: what is remembered would depend on which came first.
            return cell in (_FLAGS if isinstance(value, bool) else _COUNTERS) and _is_count(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def limits(policy: Policy) -> Mapping[Counter, int]:
    """Return where each counter saturates. Beyond, nothing that a session does would differ."""
    return {
        "waits": policy.rungs(Ladder.TRANSPORT),
        "denials": max(policy.rungs(Ladder.SESSION), policy.login_required_denials),
        "doubts": HOLLOW_LIMIT - 1,
        "hurries": policy.paces,
    }


S, T = State, Trigger

_STATES = (
    StateEntry(name=S.STOPPED, meaning="Nothing is outstanding."),
    StateEntry(name=S.RECOVERING, meaning="A renewal (notifystart) is outstanding."),
    StateEntry(name=S.ACTIVE, meaning="A long poll (getupdates) is outstanding."),
    StateEntry(name=S.BACKOFF, meaning="A timer is outstanding."),
    StateEntry(name=S.STOPPING, meaning="The close is outstanding."),
)

_FORGET: tuple[Update, ...] = (
    Assign("expired", False),
    Assign("trusted", False),
    Assign("waits", 0),
    Assign("denials", 0),
    Assign("doubts", 0),
    Assign("hurries", 0),
)
_RENEW_LOST: tuple[Update, ...] = (Assign("expired", True), Assign("trusted", False), Assign("doubts", 0))
_WAIT_TRANSPORT: tuple[Update, ...] = (Count("waits"), Assign("trusted", False), Assign("doubts", 0))
_WAIT_SESSION: tuple[Update, ...] = (
    Count("denials"),
    Assign("expired", True),
    Assign("trusted", False),
    Assign("doubts", 0),
)


def _loss(trigger: Trigger, says: str, *when: Guard) -> tuple[Row, ...]:
    """Return the three answers to a loss: what follows depends on what the session has proved since its renewal."""
    return (
        Row(
            trigger=trigger,
            sources=(S.ACTIVE,),
            guards=(*when, Is("trusted", True)),
            target=S.RECOVERING,
            updates=_RENEW_LOST,
            order=Order.RENEW,
            reason=f"{says}; it had proved itself, so it is renewed at once",
        ),
        Row(
            trigger=trigger,
            sources=(S.ACTIVE,),
            guards=(*when, Is("trusted", False), Is("expired", True)),
            target=S.BACKOFF,
            updates=_WAIT_TRANSPORT,
            order=Order.WAIT_TRANSPORT,
            reason=f"{says}, and its renewal had failed: the handshake is the trouble",
        ),
        Row(
            trigger=trigger,
            sources=(S.ACTIVE,),
            guards=(*when, Is("trusted", False), Is("expired", False)),
            target=S.BACKOFF,
            updates=_WAIT_SESSION,
            order=Order.WAIT_SESSION,
            reason=f"{says}, though it was renewed: it is denied",
        ),
    )


_ROWS = (
    Row(
        trigger=T.START,
        sources=(S.STOPPED,),
        target=S.RECOVERING,
        order=Order.RENEW,
        reason="starting is recovering: there is one way into a session",
    ),
    Row(
        trigger=T.CREDENTIALS_CHANGED,
        sources=(S.RECOVERING,),
        target=S.RECOVERING,
        updates=_FORGET,
        order=Order.GO_ON,
        reason="somebody logged in: what was remembered belongs to the old credentials",
        clears_signals=True,
    ),
    Row(
        trigger=T.SESSION_RENEWED,
        sources=(S.RECOVERING,),
        target=S.ACTIVE,
        updates=(Assign("expired", False),),
        order=Order.POLL,
        reason="the server was told that we are here: poll at once",
    ),
    Row(
        trigger=T.RENEWAL_FAILED,
        sources=(S.RECOVERING,),
        target=S.ACTIVE,
        order=Order.POLL,
        reason="the handshake failed, but a session can heal without it: the round still ends with a poll",
    ),
    Row(
        trigger=T.SESSION_EXPIRED,
        sources=(S.RECOVERING,),
        target=S.BACKOFF,
        updates=_WAIT_SESSION,
        order=Order.WAIT_SESSION,
        reason="the server denies the handshake itself",
    ),
    Row(
        trigger=T.POLLED,
        sources=(S.ACTIVE,),
        target=S.ACTIVE,
        updates=(
            Assign("trusted", True),
            *(update for update in _FORGET if update != Assign("trusted", False)),
        ),
        order=Order.POLL,
        reason="a good poll: the session has proved itself",
        clears_signals=True,
    ),
    Row(
        trigger=T.HURRIED,
        sources=(S.ACTIVE,),
        target=S.ACTIVE,
        updates=(
            Assign("expired", False),
            Assign("waits", 0),
            Assign("denials", 0),
            Assign("doubts", 0),
            Count("hurries"),
        ),
        order=Order.POLL_PACED,
        reason="a good poll, but it was not held and brought nothing new: no hot loop",
        clears_signals=True,
    ),
    Row(
        trigger=T.HOLLOW,
        sources=(S.ACTIVE,),
        guards=(Below("doubts", HOLLOW_LIMIT - 1),),
        target=S.ACTIVE,
        updates=(Count("doubts"),),
        order=Order.POLL_PACED,
        reason="an answer with nothing in it: doubtful, not yet a loss",
    ),
    Row(
        trigger=T.SILENT,
        sources=(S.ACTIVE,),
        target=S.ACTIVE,
        updates=(Assign("waits", 0),),
        order=Order.POLL_FRESH,
        reason="a long poll that ended without an answer: the weather, and perhaps a dead connection",
    ),
    Row(
        trigger=T.SESSION_LAPSED,
        sources=(S.ACTIVE,),
        target=S.RECOVERING,
        updates=_RENEW_LOST,
        order=Order.RENEW,
        reason="the session was lost while the poll was held: it is renewed at once",
    ),
    *_loss(T.SESSION_EXPIRED, "the server does not know the session"),
    *_loss(T.HOLLOW, "three hollow answers in a row are a loss", AtLeast("doubts", HOLLOW_LIMIT - 1)),
    Row(
        trigger=T.POLL_FAILED,
        sources=(S.ACTIVE,),
        target=S.BACKOFF,
        updates=_WAIT_TRANSPORT,
        order=Order.WAIT_TRANSPORT,
        reason="the poll failed, which says nothing about the session",
    ),
    Row(
        trigger=T.STORE_FAILED,
        sources=(S.RECOVERING, S.ACTIVE),
        target=S.BACKOFF,
        updates=_WAIT_TRANSPORT,
        order=Order.WAIT_TRANSPORT,
        reason="storage: the store failed, and nothing more is fetched until it works",
    ),
    Row(
        trigger=T.RETRY_DUE,
        sources=(S.BACKOFF,),
        target=S.RECOVERING,
        order=Order.RENEW,
        reason="the wait is over: every round begins with a renewal",
    ),
    Row(
        trigger=T.WAKE,
        sources=(S.BACKOFF,),
        target=S.RECOVERING,
        order=Order.RENEW,
        reason="somebody cut the wait short",
    ),
    Row(
        trigger=T.STOP,
        sources=(S.RECOVERING, S.ACTIVE, S.BACKOFF),
        target=S.STOPPING,
        updates=_FORGET,
        order=Order.CLOSE,
        reason="somebody asked for it",
        clears_signals=True,
    ),
    Row(
        trigger=T.CLOSED,
        sources=(S.STOPPING,),
        target=S.STOPPED,
        order=Order.NOTHING,
        reason="everything is closed",
    ),
)

_REQUIRED_ROWS = tuple(
    replacement
    for row in _ROWS
    for replacement in (
        (
            Row(
                trigger=T.RENEWAL_FAILED,
                sources=(S.RECOVERING,),
                guards=(Is("expired", True),),
                target=S.BACKOFF,
                updates=_WAIT_TRANSPORT,
                order=Order.WAIT_TRANSPORT,
                reason="the handshake failed, and this policy does not poll a lost session without it",
            ),
            replace(row, guards=(Is("expired", False),)),
        )
        if row.trigger is T.RENEWAL_FAILED
        else (row,)
    )
)


def table_for(policy: Policy) -> Table:
    """Return the table that *policy* asks for: with ``renewal="required"`` one row differs."""
    required = policy.renewal == "required"
    return Table(
        name="session, renewal required" if required else "session",
        states=_STATES,
        rows=_REQUIRED_ROWS if required else _ROWS,
        signals=(
            SignalRule(
                signal=Signal.LOGIN_REQUIRED,
                order=Order.WAIT_SESSION,
                guards=(AtLeast("denials", policy.login_required_denials),),
            ),
            SignalRule(
                signal=Signal.RENEWAL_BLOCKED,
                order=Order.WAIT_TRANSPORT,
                guards=(Is("expired", True), AtLeast("waits", policy.rungs(Ladder.TRANSPORT))),
            ),
        ),
    )
