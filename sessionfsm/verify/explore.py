"""
The search: every configuration that the running machine can reach, and every arc between them, with its time.

What the world can do is written here (:func:`moves`), in terms of the outstanding *operation* and of time. What the
session does about it is found out by asking the machine that runs; nothing here reads the table.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, TypeAlias

from sessionfsm.errors import TriggerRefused
from sessionfsm.lifecycle import (
    Close,
    Command,
    Lifecycle,
    Machine,
    Memory,
    Own,
    Policy,
    Poll,
    Renew,
    Signal,
    Snapshot,
    Step,
    Trigger,
    Wait,
)

__all__ = ["ANEW", "LIMIT", "Arc", "Graph", "Move", "Onward", "explore", "moves"]

T = Trigger

ANEW = (T.START, T.STOP, T.CLOSED, T.CREDENTIALS_CHANGED)
"""Where one run ends and another begins: the properties speak of one run, with one set of credentials."""

LIMIT = 200_000
"""Configurations after which a search gives up: about a hundred times as many as the default policy has."""


class Move(NamedTuple):
    """
    Something that the world can do while an operation is outstanding.

    Attributes:
        trigger: What the session is told.
        least_s: The soonest that it can happen, in seconds from the start of the operation.
        most_s: The latest.
        news: Whether it brings messages that are new to us.
    """

    trigger: str
    least_s: float
    most_s: float
    news: bool = False


def moves(outstanding: Command | None, policy: Policy, own: Collection[str] = ()) -> tuple[Move, ...]:
    """
    Return everything that can happen while *outstanding* is, and when.

    Args:
        own: External triggers of a user's own table. They can come at any time while a session lives.
    """
    match outstanding:
        case None:
            return (Move(T.START, 0, 0),)
        case Close():
            return (Move(T.CLOSED, 0, max(policy.drain_deadline_s, policy.notifystop_deadline_s)),)
        case Renew(deadline_s=most):
            outcomes: tuple[Move, ...] = (
                Move(T.SESSION_RENEWED, 0, most),
                Move(T.RENEWAL_FAILED, 0, most),
                Move(T.SESSION_EXPIRED, 0, most),
                Move(T.STORE_FAILED, 0, most),
                Move(T.CREDENTIALS_CHANGED, 0, 0),
            )
        case Poll():
            most = policy.longest_poll_s
            outcomes = (
                Move(T.POLLED, 0, most, news=True),
                Move(T.POLLED, policy.quick_s, most),
                Move(T.HURRIED, 0, min(policy.quick_s, most)),
                Move(T.HOLLOW, 0, most),
                Move(T.SESSION_EXPIRED, 0, most),
                Move(T.SESSION_LAPSED, policy.lapse_after_s, most),
                Move(T.SILENT, policy.silent_after_s, most),
                Move(T.POLL_FAILED, 0, most),
                Move(T.STORE_FAILED, 0, most),
            )
        case Wait(rung_s=rung, first_s=first, ceiling_s=most):
            least = rung * (1 - policy.jitter)
            outcomes = (Move(T.RETRY_DUE, least, most), Move(T.WAKE, min(least, first), most))
        case Own(deadline_s=most):
            outcomes = tuple(
                Move(name, 0, most) for name in dict.fromkeys((*outstanding.outcomes, outstanding.otherwise))
            )
    return (*outcomes, Move(T.STOP, 0, most), *(Move(name, 0, most) for name in own))


class Arc(NamedTuple):
    """
    One move of the world and the session's answer.

    Attributes:
        source: Index of the configuration before.
        target: Index of the configuration after.
        move: What the world did.
        step: What the session did.
        least_s: The least time from the start of the old operation to the start of the new one.
        most_s: The most time from the start of the old operation to the start of the new one.
    """

    source: int
    target: int
    move: Move
    step: Step
    least_s: float
    most_s: float

    @property
    def command(self) -> Command | None:
        """The command that the step gave."""
        return self.step.command


class Onward(NamedTuple):
    """
    An arc to what follows in the same run.

    Attributes:
        target: Index of the configuration after, or of the one that stands for it.
        arc: The arc.
    """

    target: int
    arc: Arc


@dataclass
class Graph:
    """
    Everything that the machine can do.

    Attributes:
        machine: The machine that was asked.
        nodes: The reachable configurations; the first is the initial one.
        arcs: For each configuration, what can follow.
        refused: Moves that can happen and that the machine has no arc for: (configuration, move).
        whole: Whether the search came to its end; else some configurations have no arcs yet.
        unseen: What sessions of a class of a user's own remember besides a snapshot: the search goes past it.
    """

    machine: Machine
    nodes: list[Snapshot] = field(default_factory=list)
    arcs: list[list[Arc]] = field(default_factory=list)
    refused: list[tuple[int, Move]] = field(default_factory=list)
    whole: bool = True
    unseen: tuple[str, ...] = ()

    @property
    def policy(self) -> Policy:
        """The policy that the machine runs on."""
        return self.machine.policy

    @property
    def transitions(self) -> int:
        """How many arcs there are."""
        return sum(len(arcs) for arcs in self.arcs)

    @cached_property
    def alike(self) -> list[int]:
        """
        For each configuration the first one that differs from it in nothing but the signals that are up.

        Signals should have no say in what follows. If they have, each configuration stands for itself.
        """
        first: dict[tuple[object, ...], int] = {}
        alike = [
            first.setdefault((node.state, node.memory, id(node.outstanding)), number)
            for number, node in enumerate(self.nodes)
        ]

        def follows(node: int) -> list[tuple[object, ...]]:
            return [(alike[arc.target], arc.step.command, arc.move) for arc in self.arcs[node]]

        if any(one != node and follows(one) != follows(node) for node, one in enumerate(alike)):
            return list(range(len(self.nodes)))
        return alike

    @cached_property
    def onward(self) -> list[list[Onward]]:
        """For each configuration what can follow in the same run; nothing where another one stands for it."""
        alike = self.alike
        return [
            [Onward(alike[arc.target], arc) for arc in arcs if arc.move.trigger not in ANEW] if one == node else []
            for (node, one), arcs in zip(enumerate(alike), self.arcs, strict=True)
        ]

    @cached_property
    def came(self) -> list[Arc | None]:
        """For each configuration the last arc of a shortest way to it; ``None`` for the initial one."""
        came: list[Arc | None] = [None] * len(self.nodes)
        for arcs in self.arcs:  # breadth first: the first arc that leads to a configuration is a shortest way's
            for arc in arcs:
                if arc.target and came[arc.target] is None:
                    came[arc.target] = arc
        return came

    def way_to(self, node: int) -> list[Arc]:
        """Return a shortest way from the initial configuration to *node*."""
        way: list[Arc] = []
        while (arc := self.came[node]) is not None:
            way.append(arc)
            node = arc.source
        return way[::-1]


def explore(machine: Machine, limit: int = LIMIT) -> Graph:
    """Search the whole reachable graph of *machine*, breadth first; give up at *limit* configurations."""
    graph = Graph(machine)
    session = machine.session()
    own = sorted(session.own_triggers)
    numbers = _Numbers(graph)
    numbers.of(session)
    handle, restore, number_of = session.handle, session.restore, numbers.of
    for source, node in enumerate(graph.nodes):  # which grows meanwhile
        if len(graph.nodes) > limit:
            graph.whole = False
            break
        arcs = graph.arcs[source]
        for trigger, alike in numbers.moves(node.outstanding, own):
            restore(node)
            try:
                step = handle(trigger, serial=0)
            except TriggerRefused:
                step = None
            if step is not None:
                target, command = number_of(session), step.command
                pace = command.pace_s if isinstance(command, Poll) else 0.0
                for move in alike:
                    least, most = move.least_s, move.most_s
                    arcs.append(
                        Arc(source, target, move, step, pace if pace > least else least, pace if pace > most else most)
                    )
            elif trigger not in own:  # where a trigger of one's own has no row, it is not heard
                graph.refused += ((source, move) for move in alike)
    graph.unseen = _besides(session)
    return graph


def _besides(session: Lifecycle) -> tuple[str, ...]:
    """Return the attributes that *session* has and :class:`Lifecycle` has not."""
    names = set(getattr(session, "__dict__", ()))
    for kind in type(session).__mro__:
        slots: str | Collection[str] = kind.__dict__.get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
    return tuple(sorted(names - {*Lifecycle.__slots__, "__dict__", "__weakref__"}))


_Asked: TypeAlias = tuple[tuple[str, tuple[Move, ...]], ...]


class _Numbers:
    """Numbers configurations in the order in which they are met."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._of: dict[tuple[str, Memory, frozenset[Signal], int], int] = {}
        self._commands: dict[Command | None, int] = {}
        self._same: dict[int, tuple[Command | None, int]] = {}
        self._plain: list[Command | None] = []
        self._moves: dict[Command | None, _Asked] = {}

    def of(self, session: Lifecycle) -> int:
        """Return the number of the configuration that *session* is in."""
        outstanding = session.outstanding
        met = self._same.get(id(outstanding))
        if met is None:  # an object is kept with its number, so that no other one can have its id
            met = self._same[id(outstanding)] = (outstanding, self._meet(outstanding))
        command = met[1]
        place = (session.state, session.memory, session.signals, command)
        number = self._of.get(place)
        if number is None:
            number = self._of[place] = len(self._graph.nodes)
            self._graph.nodes.append(Snapshot(*place[:3], self._plain[command]))
            self._graph.arcs.append([])
        return number

    def _meet(self, command: Command | None) -> int:
        # Serial numbers only grow: commands that differ in nothing else lead to one configuration.
        plain = replace(command, serial=0) if command is not None else None
        if plain not in self._commands:
            self._commands[plain] = len(self._plain)
            self._plain.append(plain)
        return self._commands[plain]

    def moves(self, outstanding: Command | None, own: Collection[str]) -> _Asked:
        """Return :func:`moves`, made once for each command, by trigger: the session is told no more than that."""
        if outstanding not in self._moves:
            alike: dict[str, list[Move]] = {}
            for move in moves(outstanding, self._graph.policy, own):
                alike.setdefault(str(move.trigger), []).append(move)
            self._moves[outstanding] = tuple((trigger, tuple(group)) for trigger, group in alike.items())
        return self._moves[outstanding]
