"""
P1, P2, P6 and P10 over unknown figures, each with the account that it needs beside the machine's own memory.

As in :mod:`sessionfsm.verify.history`, an account sees only what happened and what was ordered. The figures that a
property speaks of are its own: they are written here once more, and not taken from the bounds of a policy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import z3

from sessionfsm.lifecycle import Trigger

from .figures import Figures
from .formulas import all_of, any_of, larger, number
from .world import Kind, Operation

__all__ = ["STATEMENTS", "Statement", "Step"]

T = Trigger

LONGEST_CEILING_S = 900
SHORTEST_S = 1
LONGEST_PACE_S = 60
LONGEST_SILENCE_S = 1200
ROUNDING_S = Fraction(1, 10**6)
"""As in the search: the same seconds, added up in another order, differ by less."""

ANEW = (T.START, T.STOP, T.CLOSED, T.CREDENTIALS_CHANGED)
"""Where one run ends and another begins: the properties speak of one run, with one set of credentials."""

GOOD = (T.POLLED, T.HURRIED)

Cells = Mapping[str, Any]
"""Formulas by the name of the cell that has this value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    One move of the world and the table's answer to it.

    Attributes:
        trigger: What happened.
        operation: What was outstanding.
        then: What is outstanding now.
        goes_on: It is the same operation, which goes on.
        before: The memory before.
        after: The memory after.
        lasts_s: How long the operation had been out.
        rung_s: If it was a wait, its rung.
        pace_s: If a poll is ordered, its pace.
        figures: The unknowns of the policy.
        required: Whether a renewal has to succeed.
        own_s: What pauses and operations of a user's own may last, each of them once.
    """

    trigger: str
    operation: Operation
    then: Operation
    goes_on: bool
    before: Cells
    after: Cells
    lasts_s: Any
    rung_s: Any
    pace_s: Any
    figures: Figures
    required: bool
    own_s: Any

    @property
    def orders(self) -> Kind | None:
        """The kind of operation that is ordered, if one is."""
        return None if self.goes_on else self.then.kind

    @property
    def apart_s(self) -> Any:
        """Seconds from the start of the old operation to that of the new one."""
        if self.orders is not Kind.POLL:
            return self.lasts_s
        return larger(self.lasts_s, self.pace_s)


class Statement(ABC):
    """
    A property of single steps, given an account of what led to them.

    Attributes:
        id: Such as ``P1``.
        cells: The cells of the memory that it looks at.
        figures: The figures that it looks at in more than one step.
        timed: Whether it speaks of time; else times are left out, which only allows more.
        account: What has to be known of the past, and what that is at first.
    """

    id: ClassVar[str]
    cells: ClassVar[tuple[str, ...]] = ()
    figures: ClassVar[tuple[str, ...]] = ()
    timed: ClassVar[bool] = False
    account: ClassVar[Mapping[str, bool | int | float]] = {}

    def then(self, step: Step, account: Cells) -> Cells:  # noqa: ARG002
        """Return the account after *step*."""
        return account

    @abstractmethod
    def broken(self, step: Step, account: Cells, then: Cells) -> Any:
        """Return that *step* breaks the property."""


class _RenewedBeforePoll(Statement):
    id = "P1"
    # Hollow answers in a row are counted here because three of them are a loss; and a loss is not renewed until a
    # notifystart has ended, or a good poll shows that the session is there.
    account: ClassVar = {"unrenewed": False, "hollow": 0}

    def then(self, step: Step, account: Cells) -> Cells:
        unrenewed, hollow = account["unrenewed"], account["hollow"]
        if step.trigger in ANEW:
            return {"unrenewed": z3.BoolVal(False), "hollow": z3.IntVal(0)}
        if step.operation.kind is Kind.RENEWAL:
            ends = (T.SESSION_RENEWED,) if step.required else (T.SESSION_RENEWED, T.RENEWAL_FAILED)
            if step.trigger in ends:
                unrenewed = z3.BoolVal(False)
        elif step.trigger in (*GOOD, T.SESSION_EXPIRED, T.SESSION_LAPSED, T.POLL_FAILED, T.STORE_FAILED):
            hollow = z3.IntVal(0)
        if step.trigger in GOOD:
            unrenewed = z3.BoolVal(False)
        if step.trigger in (T.SESSION_EXPIRED, T.SESSION_LAPSED):
            unrenewed = z3.BoolVal(True)
        if step.trigger == T.HOLLOW:
            third = account["hollow"] == 2
            unrenewed = z3.Or(unrenewed, third)
            hollow = z3.If(third, z3.IntVal(0), account["hollow"] + 1)
        if step.orders is Kind.RENEWAL:
            hollow = z3.IntVal(0)
        return {"unrenewed": unrenewed, "hollow": hollow}

    def broken(self, step: Step, account: Cells, then: Cells) -> Any:  # noqa: ARG002
        return then["unrenewed"] if step.orders is Kind.POLL else z3.BoolVal(False)


class _WaitsInBounds(Statement):
    id = "P2"
    cells = ("doubts", "hurries")  # a pace is read off them
    timed = True

    def broken(self, step: Step, account: Cells, then: Cells) -> Any:  # noqa: ARG002
        wrong: list[Any] = []
        if step.operation.kind is Kind.WAIT and step.trigger == T.RETRY_DUE:
            wrong += [step.lasts_s < step.rung_s / 2, step.lasts_s > step.operation.ceiling_s(step.figures)]
        if step.orders is Kind.WAIT:
            wrong += [
                step.then.ceiling_s(step.figures) > LONGEST_CEILING_S,
                step.then.first_s(step.figures) < SHORTEST_S,
            ]
        if step.orders is Kind.POLL:
            wrong += [z3.And(step.pace_s != 0, z3.Or(step.pace_s < SHORTEST_S, step.pace_s > LONGEST_PACE_S))]
        return any_of(wrong)


class _SilenceBounded(Statement):
    id = "P6"
    cells = ("doubts", "hurries")
    figures = (
        "session_ceiling_s",
        "transport_ceiling_s",
        "pace_ceiling_s",
        "renewal_deadline_s",
        "hold_ceiling_s",
        "poll_margin_s",
    )
    timed = True
    # Seconds from the start of the last request, and of the last poll, to that of the operation which is outstanding.
    # They are not measured after what the property leaves out, until the next request, or poll.
    account: ClassVar = {"heard": False, "silence_s": 0.0, "polling": False, "polls_apart_s": 0.0}

    def then(self, step: Step, account: Cells) -> Cells:
        heard, silence = self._measured(step, account["heard"], account["silence_s"], (Kind.RENEWAL, Kind.POLL))
        polling, apart = self._measured(step, account["polling"], account["polls_apart_s"], (Kind.POLL,))
        return {"heard": heard, "silence_s": silence, "polling": polling, "polls_apart_s": apart}

    def _measured(self, step: Step, measured: Any, since_s: Any, kinds: tuple[Kind, ...]) -> tuple[Any, Any]:
        if step.then.kind in kinds:
            return z3.BoolVal(True), z3.RealVal(0)
        if step.trigger in ANEW or self._left_out(step, kinds):
            return z3.BoolVal(False), z3.RealVal(0)
        return measured, since_s if step.goes_on else since_s + step.apart_s

    def _left_out(self, step: Step, kinds: tuple[Kind, ...]) -> bool:
        if step.trigger == T.STORE_FAILED:
            return True
        if Kind.RENEWAL in kinds or step.operation.kind is not Kind.RENEWAL:
            return False
        return step.trigger == T.SESSION_EXPIRED or (step.required and step.trigger == T.RENEWAL_FAILED)

    def broken(self, step: Step, account: Cells, then: Cells) -> Any:  # noqa: ARG002
        if step.trigger in ANEW or step.goes_on:
            return z3.BoolVal(False)
        figures = step.figures
        deadlines = (figures.longest_poll_s, figures.pace_ceiling_s, figures.renewal_deadline_s)
        ceilings = (figures.session_ceiling_s, figures.transport_ceiling_s)

        def beyond(length_s: Any) -> Any:  # the longest deadline and the longest ceiling, and what is a user's own
            return all_of(length_s > deadline + ceiling + step.own_s for deadline in deadlines for ceiling in ceilings)

        wrong = []
        if not self._left_out(step, (Kind.RENEWAL, Kind.POLL)):
            silence_s = account["silence_s"] + step.apart_s
            wrong.append(
                z3.And(account["heard"], z3.Or(beyond(silence_s), silence_s > number(LONGEST_SILENCE_S + ROUNDING_S)))
            )
        if not self._left_out(step, (Kind.POLL,)):
            apart_s = account["polls_apart_s"] + step.apart_s
            wrong.append(z3.And(account["polling"], beyond(apart_s - figures.renewal_deadline_s)))
        return any_of(wrong)


class _WhatResets(Statement):
    id = "P10"
    cells = ("waits", "denials", "hurries", "trusted")

    def broken(self, step: Step, account: Cells, then: Cells) -> Any:  # noqa: ARG002
        anew = step.trigger in (T.STOP, T.CREDENTIALS_CHANGED)
        may = {
            "waits": anew or step.trigger in (*GOOD, T.SILENT),
            "denials": anew or step.trigger in GOOD,
            "hurries": anew or step.trigger == T.POLLED,
        }
        wrong = [step.after[counter] < step.before[counter] for counter, allowed in may.items() if not allowed]
        if step.trigger != T.POLLED:
            wrong.append(z3.And(step.after["trusted"], z3.Not(step.before["trusted"])))
        return any_of(wrong)


STATEMENTS: tuple[Statement, ...] = (_RenewedBeforePoll(), _WaitsInBounds(), _SilenceBounded(), _WhatResets())
