"""
What can be outstanding and what can happen meanwhile, with unknown figures.

This is :func:`sessionfsm.verify.moves` once more, with unknowns for numbers; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import z3

from sessionfsm.lifecycle import Ladder, Order, OwnOrder, Pause, Perform, Trigger

from .figures import Figures, Scope
from .formulas import all_of, larger, number, smaller

__all__ = ["Kind", "Move", "Operation", "kept", "moves", "ordered"]

T = Trigger


class Kind(StrEnum):
    """What can be outstanding."""

    NOTHING = "nothing"
    RENEWAL = "renewal"
    POLL = "poll"
    WAIT = "wait"
    OWN = "own"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Operation:
    """
    What is outstanding.

    Attributes:
        kind: Which kind.
        of: For a wait its ladder, or the user's own pause; for an operation of a user's own that.
    """

    kind: Kind
    of: Ladder | OwnOrder | None = None

    def __str__(self) -> str:
        if self.of is None:
            return self.kind
        return f"{self.kind} {self.of if isinstance(self.of, Ladder) else self.of.name}"

    def first_s(self, figures: Figures) -> Any:
        """The first rung of a wait."""
        return number(self.of.length_s) if isinstance(self.of, Pause) else figures.first_s(_ladder(self))

    def ceiling_s(self, figures: Figures) -> Any:
        """The longest that a wait may become."""
        return number(self.of.longest_s) if isinstance(self.of, Pause) else figures.ceiling_s(_ladder(self))


def _ladder(operation: Operation) -> Ladder:
    assert isinstance(operation.of, Ladder)
    return operation.of


_ORDERED: dict[Order, Operation | None] = {
    Order.RENEW: Operation(Kind.RENEWAL),
    Order.POLL: Operation(Kind.POLL),
    Order.POLL_PACED: Operation(Kind.POLL),
    Order.POLL_FRESH: Operation(Kind.POLL),
    Order.WAIT_SESSION: Operation(Kind.WAIT, Ladder.SESSION),
    Order.WAIT_TRANSPORT: Operation(Kind.WAIT, Ladder.TRANSPORT),
    Order.CLOSE: Operation(Kind.CLOSE),
    Order.GO_ON: None,
    Order.NOTHING: Operation(Kind.NOTHING),
}


def ordered(order: Order | OwnOrder) -> Operation | None:
    """Return what is outstanding after *order*; ``None`` if what was outstanding goes on."""
    match order:
        case Pause():
            return Operation(Kind.WAIT, order)
        case Perform():
            return Operation(Kind.OWN, order)
        case _:
            return _ORDERED[order]


class Move(NamedTuple):
    """
    Something that the world can do.

    Attributes:
        trigger: What the session is told.
        least_s: The soonest that it can happen, in seconds from the start of the operation.
        most_s: The latest.
    """

    trigger: str
    least_s: Any
    most_s: Any


def kept(rung_s: Any, left_s: Any, scope: Scope) -> Any:
    """Return that *left_s* can be what jitter leaves of *rung_s*."""
    return all_of([left_s >= rung_s * number(scope.least_kept), left_s <= rung_s * number(scope.most_kept)])


def moves(operation: Operation, figures: Figures, left_s: Any, own: Collection[str] = ()) -> tuple[Move, ...]:
    """
    Return everything that can happen while *operation* is outstanding, and when.

    Args:
        left_s: What jitter has left of the rung, if it is a wait.
        own: External triggers of a user's own table.
    """
    now = z3.RealVal(0)
    outcomes: tuple[Move, ...]
    match operation.kind:
        case Kind.NOTHING:
            return (Move(T.START, now, now),)
        case Kind.CLOSE:
            return (Move(T.CLOSED, now, larger(figures.drain_deadline_s, figures.notifystop_deadline_s)),)
        case Kind.RENEWAL:
            most = figures.renewal_deadline_s
            outcomes = (
                Move(T.SESSION_RENEWED, now, most),
                Move(T.RENEWAL_FAILED, now, most),
                Move(T.SESSION_EXPIRED, now, most),
                Move(T.STORE_FAILED, now, most),
                Move(T.CREDENTIALS_CHANGED, now, now),
            )
        case Kind.POLL:
            most = figures.longest_poll_s
            outcomes = (
                Move(T.POLLED, now, most),  # it may bring news at once
                Move(T.HURRIED, now, smaller(figures.quick_s, most)),
                Move(T.HOLLOW, now, most),
                Move(T.SESSION_EXPIRED, now, most),
                Move(T.SESSION_LAPSED, figures.lapse_after_s, most),
                Move(T.SILENT, figures.silent_after_s, most),
                Move(T.POLL_FAILED, now, most),
                Move(T.STORE_FAILED, now, most),
            )
        case Kind.WAIT:
            most = operation.ceiling_s(figures)
            outcomes = (
                Move(T.RETRY_DUE, left_s, most),
                Move(T.WAKE, smaller(left_s, operation.first_s(figures)), most),
            )
        case Kind.OWN:
            assert isinstance(operation.of, Perform)
            most = number(operation.of.deadline_s)
            outcomes = tuple(Move(name, now, most) for name in operation.of.reported)
    return (*outcomes, Move(T.STOP, now, most), *(Move(name, now, most) for name in own))
