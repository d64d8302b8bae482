"""A lifecycle as pictures need it: plain values, read off the table and the policy, and off nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sessionfsm.lifecycle import Ladder, Machine, Order, OwnOrder, Pause, Perform, Policy, Table
from sessionfsm.lifecycle.table import limits

__all__ = ["Arc", "Box", "Diagram", "diagram_of", "id_part", "sum_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """
    A state.

    Attributes:
        id: Stable, and fit for an XML id: ``state-active``.
        name: As the table has it.
        meaning: In one sentence.
        inside: The names of the states that it stands for, in an overview; else none.
        share: Which part of its time a run was there, from 0 to 1; ``None`` if no run is drawn.
        stays: How often the run came there; 0 if that is not known.
    """

    id: str
    name: str
    meaning: str
    inside: tuple[str, ...] = ()
    share: float | None = None
    stays: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """
    One arc: a row of the table, from one of its sources.

    Attributes:
        id: Stable, and fit for an XML id: ``arc-active-session_expired-recovering``; a number follows where a row more
            has the same ends and trigger.
        row: Which row of the table, counted from 0; arcs of one row differ in their source only.
        trigger: What happens.
        source: The state before.
        target: The state after.
        guards: What the memory must satisfy, in words; all of them.
        updates: What becomes of the memory, in words, in order.
        command: What is ordered, in words; empty for nothing.
        figure: The command's seconds in words, such as ``5 s … 300 s``; empty without any.
        reason: Why, in one sentence.
        clears_signals: Whether the signals that are up are cleared.
        taken: How often a run took it; ``None`` if no run is drawn.
    """

    id: str
    row: int
    trigger: str
    source: str
    target: str
    guards: tuple[str, ...]
    updates: tuple[str, ...]
    command: str
    figure: str
    reason: str
    clears_signals: bool
    taken: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """
    A whole lifecycle.

    Attributes:
        name: What it is called.
        initial: The name of the state in which a session begins and ends.
        boxes: Every state, in the table's order.
        arcs: Every arc, in the table's order.
        frame: The names of the states that share a way out, if there are three or more: a picture may put them in a
            frame that this way leaves from. Empty otherwise.
        signals: Each signal, the command that raises it, and when, in words.
        table: What it was read off, for formats that other programs run.
        limits: Each counter of the memory and where it saturates, with this policy.
        now: The name of the state in which the run is that is drawn; empty if none is.
        over: Whether that run has ended there.
    """

    name: str
    initial: str
    boxes: tuple[Box, ...]
    arcs: tuple[Arc, ...]
    frame: tuple[str, ...]
    signals: tuple[tuple[str, str, str], ...]
    table: Table
    limits: tuple[tuple[str, int], ...]
    now: str = ""
    over: bool = False


def diagram_of(machine: Machine, *, figures: bool = True) -> Diagram:
    """
    Return the lifecycle of *machine* as a picture needs it.

    Args:
        figures: Whether the commands have their seconds: those of the machine's policy, and of orders of your own.
    """
    table, policy = machine.table, machine.policy
    arcs: list[Arc] = []
    taken: Counter[str] = Counter()
    for number, row in enumerate(table.rows):
        for source in row.sources:
            name = f"arc-{id_part(source)}-{id_part(row.trigger)}-{id_part(row.target)}"
            taken[name] += 1
            arcs.append(
                Arc(
                    id=name if taken[name] == 1 else f"{name}-{taken[name]}",
                    row=number,
                    trigger=str(row.trigger),
                    source=str(source),
                    target=str(row.target),
                    guards=tuple(map(str, row.guards)),
                    updates=tuple(map(str, row.updates)),
                    command="" if row.order is Order.NOTHING else str(row.order),
                    figure=_figure(row.order, policy) if figures else "",
                    reason=row.reason,
                    clears_signals=row.clears_signals,
                )
            )
    return Diagram(
        name=table.name,
        initial=str(table.initial),
        boxes=tuple(
            Box(id=f"state-{id_part(entry.name)}", name=str(entry.name), meaning=entry.meaning)
            for entry in table.states
        ),
        arcs=tuple(arcs),
        frame=_frame(machine),
        signals=tuple((str(rule.signal), str(rule.order), ", ".join(map(str, rule.guards))) for rule in table.signals),
        table=table,
        limits=tuple((str(cell), limit) for cell, limit in limits(policy).items()),
    )


def _frame(machine: Machine) -> tuple[str, ...]:
    rows = machine.table.rows
    shared = [row.sources for row in rows if len(row.sources) > 2 and row.target not in row.sources]
    return tuple([str(name) for name in max(shared, key=len)]) if shared else ()


def _figure(order: Order | OwnOrder, policy: Policy) -> str:
    match order:
        case Order.RENEW:
            return f"at most {policy.renewal_deadline_s:g} s"
        case Order.POLL_PACED:
            return _range(policy.pace_first_s, policy.pace_ceiling_s)
        case Order.WAIT_SESSION:
            return _range(policy.first_s(Ladder.SESSION), policy.ceiling_s(Ladder.SESSION))
        case Order.WAIT_TRANSPORT:
            return _range(policy.first_s(Ladder.TRANSPORT), policy.ceiling_s(Ladder.TRANSPORT))
        case Order.CLOSE:
            return f"at most {max(policy.drain_deadline_s, policy.notifystop_deadline_s):g} s"
        case Pause():
            return _range(order.length_s, order.longest_s)
        case Perform():
            return f"at most {order.deadline_s:g} s"
        case _:
            return ""


def _range(first: float, last: float) -> str:
    return f"{first:g} s" if first == last else f"{first:g} s … {last:g} s"


def sum_of(counts: Iterable[int | None]) -> int | None:
    """Return how often arcs were taken in all; ``None`` if no run is drawn."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def id_part(name: str) -> str:
    """Return *name* as a part of an XML id; different names stay different."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: f".{ord(found[0]):x}.", str(name))
