"""
The search: every configuration that the running machine can reach, and every arc between them, with its time.

What the world can do is written here (:func:`moves`), in terms of the outstanding *operation* and of time. What the
session does about it is found out by asking the machine that runs; nothing here reads the table.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from sessionfsm.errors import TriggerRefused
from sessionfsm.lifecycle import Close, Command, Machine, Policy, Poll, Renew, Snapshot, Step, Trigger, Wait

__all__ = ["Arc", "Graph", "Move", "explore", "moves"]

T = Trigger


class Move(NamedTuple):
    """
    Something that the world can do while an operation is outstanding.

    Attributes:
        trigger: What the session is told.
        least_s: The soonest that it can happen, in seconds from the start of the operation.
        most_s: The latest.
        news: Whether it brings messages that are new to us.
    """

    trigger: Trigger
    least_s: float
    most_s: float
    news: bool = False


def moves(outstanding: Command | None, policy: Policy) -> tuple[Move, ...]:
    """Return everything that can happen while *outstanding* is, and when."""
    match outstanding:
        case None:
            return (Move(T.START, 0, 0),)
        case Close():
            return (Move(T.CLOSED, 0, max(policy.drain_deadline_s, policy.notifystop_deadline_s)),)
        case Renew(deadline_s=most):
            return (
                Move(T.SESSION_RENEWED, 0, most),
                Move(T.RENEWAL_FAILED, 0, most),
                Move(T.SESSION_EXPIRED, 0, most),
                Move(T.STORE_FAILED, 0, most),
                Move(T.CREDENTIALS_CHANGED, 0, 0),
                Move(T.STOP, 0, most),
            )
        case Poll():
            most = policy.longest_poll_s
            return (
                Move(T.POLLED, 0, most, news=True),
                Move(T.POLLED, policy.quick_s, most),
                Move(T.HURRIED, 0, min(policy.quick_s, most)),
                Move(T.HOLLOW, 0, most),
                Move(T.SESSION_EXPIRED, 0, most),
                Move(T.SESSION_LAPSED, policy.lapse_after_s, most),
                Move(T.SILENT, policy.silent_after_s, most),
                Move(T.POLL_FAILED, 0, most),
                Move(T.STORE_FAILED, 0, most, news=False),
                Move(T.STOP, 0, most),
            )
        case Wait(rung_s=rung, first_s=first, ceiling_s=ceiling):
            least = rung * (1 - policy.jitter)
            return (
                Move(T.RETRY_DUE, least, ceiling),
                Move(T.WAKE, min(least, first), ceiling),
                Move(T.STOP, 0, ceiling),
            )


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
    """

    machine: Machine
    nodes: list[Snapshot] = field(default_factory=list)
    arcs: list[list[Arc]] = field(default_factory=list)
    refused: list[tuple[int, Move]] = field(default_factory=list)

    @property
    def policy(self) -> Policy:
        """The policy that the machine runs on."""
        return self.machine.policy

    @property
    def transitions(self) -> int:
        """How many arcs there are."""
        return sum(len(arcs) for arcs in self.arcs)


def explore(machine: Machine) -> Graph:
    """Search the whole reachable graph of *machine*, breadth first."""
    graph = Graph(machine)
    session = machine.session()
    index: dict[Snapshot, int] = {}
    queue: deque[int] = deque()

    def number(snapshot: Snapshot) -> int:
        if snapshot not in index:
            index[snapshot] = len(graph.nodes)
            graph.nodes.append(snapshot)
            graph.arcs.append([])
            queue.append(index[snapshot])
        return index[snapshot]

    number(session.snapshot())
    while queue:
        source = queue.popleft()
        node = graph.nodes[source]
        for move in moves(node.outstanding, machine.policy):
            session.restore(node)
            try:
                step = session.handle(move.trigger, serial=0)
            except TriggerRefused:
                step = None
            if step is None:
                graph.refused.append((source, move))
            else:
                graph.arcs[source].append(Arc(source, number(session.snapshot()), move, step))
    return graph
