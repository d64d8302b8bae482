"""
Whether two machines do the same, whatever happens: their reachable graphs walked side by side.

Both are deterministic: told the same, each has at most one answer. So they are bisimilar exactly if no run that both
can make ends in an answer in which they differ, and walking every pair of configurations that a run leads to shows it.

What counts is what can be seen from outside: the operation that is outstanding with all its figures, the command that
is given or not given, which signals are up, what the world can do next and when, and which triggers are refused. Names
of states, cells of the memory, reasons and serial numbers do not count.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import NamedTuple

from sessionfsm.lifecycle import Command, Lifecycle, Machine, Policy, Snapshot, Step

from .explore import LIMIT, moves

__all__ = ["Difference", "TooManyPairs", "difference"]


class Difference(NamedTuple):
    """
    A shortest run after which two machines do not do the same.

    Attributes:
        run: The triggers.
        says: What is different at its end.
    """

    run: tuple[str, ...]
    says: str


class TooManyPairs(Exception):
    """The walk gave up."""


_Pair = tuple[Snapshot, Snapshot]


def difference(one: Machine, other: Machine, limit: int = LIMIT) -> Difference | None:
    """
    Return a shortest run that tells the machines apart, or ``None`` if none does: they are bisimilar.

    Raises:
        TooManyPairs: If there are more than *limit* pairs of configurations.
    """
    if _deadlines(one.policy) != _deadlines(other.policy):
        return Difference((), "polls, or the close, have other deadlines")
    sessions = one.session(), other.session()
    plain = _Plain()
    start = (sessions[0].snapshot(), sessions[1].snapshot())
    came: dict[_Pair, tuple[_Pair, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        pair = queue.popleft()
        if says := _unlike(pair, one, other):
            return Difference(_run(came, pair), says)
        heard = _heard(sessions, pair)
        if heard[0] != heard[1]:
            trigger = min(heard[0] ^ heard[1])
            return Difference((*_run(came, pair), trigger), "one takes it, the other refuses it")
        for trigger in sorted(heard[0]):
            steps = tuple(_told(session, at, trigger) for session, at in zip(sessions, pair, strict=True))
            if says := _other_order(steps, plain):
                return Difference((*_run(came, pair), trigger), says)
            there = (plain.snapshot(sessions[0]), plain.snapshot(sessions[1]))
            if there not in came:
                if len(came) >= limit:
                    raise TooManyPairs(f"more than {limit:,} pairs of configurations")
                came[there] = (pair, trigger)
                queue.append(there)
    return None


def _deadlines(policy: Policy) -> tuple[float, ...]:
    """What the driver goes by, and no command says: a poll's deadline by the server's hint, and those of the close."""
    hold = (policy.hold_floor_s, policy.hold_default_s, policy.hold_ceiling_s, policy.poll_margin_s)
    return (*hold, policy.drain_deadline_s, policy.notifystop_deadline_s)


def _unlike(pair: _Pair, one: Machine, other: Machine) -> str:
    mine, yours = pair
    if mine.outstanding != yours.outstanding:
        return f"outstanding is {_said(mine.outstanding)}, or {_said(yours.outstanding)}"
    if mine.signals != yours.signals:
        return f"up are {_listed(mine.signals)}, or {_listed(yours.signals)}"
    if one.policy is not other.policy and moves(mine.outstanding, one.policy) != moves(yours.outstanding, other.policy):
        return "the outstanding operation can end at other times"
    return ""


def _heard(sessions: tuple[Lifecycle, Lifecycle], pair: _Pair) -> tuple[frozenset[str], frozenset[str]]:
    """What each would not refuse, and not drop either."""
    found = []
    for session, at in zip(sessions, pair, strict=True):
        session.restore(at)
        machine = session._machine
        heard = session.accepted if at.outstanding is not None else machine.external.intersection(session.accepted)
        found.append(frozenset(heard))
    return found[0], found[1]


def _told(session: Lifecycle, at: Snapshot, trigger: str) -> Step:
    session.restore(at)
    step = session.handle(trigger, serial=0)
    assert step is not None, "what is heard is neither refused nor dropped"
    return step


def _other_order(steps: tuple[Step, ...], plain: _Plain) -> str:
    mine, yours = (plain.of(step.command) for step in steps)
    return f"ordered is {_said(mine)}, or {_said(yours)}" if mine != yours else ""


class _Plain:
    """Takes the serial numbers away, once for each command."""

    def __init__(self) -> None:
        self._met: dict[Command | None, Command | None] = {}

    def of(self, command: Command | None) -> Command | None:
        if command not in self._met:
            self._met[command] = replace(command, serial=0) if command is not None else None
        return self._met[command]

    def snapshot(self, session: Lifecycle) -> Snapshot:
        return Snapshot(session.state, session.memory, session.signals, self.of(session.outstanding))


def _said(command: Command | None) -> str:
    from .counterexample import ordered

    return ordered(command) or "nothing"


def _listed(signals: frozenset[str]) -> str:
    return ", ".join(sorted(signals)) or "no signals"


def _run(came: dict[_Pair, tuple[_Pair, str] | None], pair: _Pair) -> tuple[str, ...]:
    run: list[str] = []
    while (link := came[pair]) is not None:
        pair, trigger = link
        run.append(trigger)
    return tuple(reversed(run))
