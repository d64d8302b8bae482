"""
The search: every configuration that the running machine can reach, and every arc between them, with its time.

What the world can do is written here (:func:`moves`), in terms of the outstanding *operation* and of time. What the
session does about it is found out by asking the machine that runs; nothing here reads the table.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

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

__all__ = ["LIMIT", "Arc", "Graph", "Move", "explore", "moves"]

T = Trigger

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
    """

    source: int
    target: int
    move: Move
    step: Step

    @property
    def command(self) -> Command | None:
        """The command that the step gave."""
        return self.step.command

    def least_s(self) -> float:
        """The least time from the start of the old operation to the start of the new one."""
        return max(self.move.least_s, self._pace_s())

    def most_s(self) -> float:
        """The most time from the start of the old operation to the start of the new one."""
        return max(self.move.most_s, self._pace_s())

    def _pace_s(self) -> float:
        return self.step.command.pace_s if isinstance(self.step.command, Poll) else 0.0


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
    """

    machine: Machine
    nodes: list[Snapshot] = field(default_factory=list)
    arcs: list[list[Arc]] = field(default_factory=list)
    refused: list[tuple[int, Move]] = field(default_factory=list)
    whole: bool = True

    @property
    def policy(self) -> Policy:
        """The policy that the machine runs on."""
        return self.machine.policy

    @property
    def transitions(self) -> int:
        """How many arcs there are."""
        return sum(len(arcs) for arcs in self.arcs)

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
    for source, node in enumerate(graph.nodes):  # which grows meanwhile
        if len(graph.nodes) > limit:
            graph.whole = False
            break
        arcs = graph.arcs[source]
        told: str | None = None
        for move in numbers.moves(node.outstanding, own):
            if move.trigger == told and arcs:  # the same trigger with other news
                arcs.append(Arc(source, arcs[-1].target, move, arcs[-1].step))
                continue
            told = None
            session.restore(node)
            try:
                step = session.handle(move.trigger, serial=0)
            except TriggerRefused:
                step = None
            if step is not None:
                arcs.append(Arc(source, numbers.of(session), move, step))
                told = move.trigger
            elif move.trigger not in own:  # where a trigger of one's own has no row, it is not heard
                graph.refused.append((source, move))
    return graph


class _Numbers:
    """Numbers configurations in the order in which they are met."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._of: dict[tuple[str, Memory, frozenset[Signal], int], int] = {}
        self._commands: dict[Command | None, int] = {}
        self._plain: list[Command | None] = []
        self._moves: dict[Command | None, tuple[Move, ...]] = {}

    def of(self, session: Lifecycle) -> int:
        """Return the number of the configuration that *session* is in."""
        command = self._commands.get(session.outstanding)
        if command is None:
            command = self._meet(session.outstanding)
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
        return self._commands.setdefault(command, self._commands[plain])

    def moves(self, outstanding: Command | None, own: Collection[str]) -> tuple[Move, ...]:
        """Return :func:`moves`, made once for each command."""
        if outstanding not in self._moves:
            self._moves[outstanding] = moves(outstanding, self._graph.policy, own)
        return self._moves[outstanding]
