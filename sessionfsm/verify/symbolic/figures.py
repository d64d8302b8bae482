"""The figures of a policy as unknowns: what every policy that can be made has in common, or one policy's own values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import z3

from sessionfsm.errors import PolicyError
from sessionfsm.lifecycle import Ladder, Policy
from sessionfsm.lifecycle.policy import _BOUNDS  # the very bounds that refuse a policy; a copy could fall behind
from sessionfsm.lifecycle.table import Counter, limits

from .formulas import number

__all__ = ["COUNTERS", "FIGURES", "Figures", "Scope", "every_policy", "scope_of", "this_policy"]

ROUNDING_S = Fraction(1, 10**9)
"""
How far the sum of two figures may be from what a policy's own check makes of it: that adds floats, and rounds; these
formulas add the decimals that the floats are written as.
"""

JITTER = "jitter"
"""The one figure that is no unknown: with a product of two unknowns the clauses would not be linear. Its bounds are."""

COUNTERS: tuple[Counter, ...] = ("waits", "denials", "doubts", "hurries")

_SMALLEST = Policy(
    session_first_s=5,
    session_ceiling_s=5,
    transport_first_s=5,
    transport_ceiling_s=5,
    pace_first_s=1,
    pace_ceiling_s=1,
    login_required_denials=1,
)
"""One rung everywhere: no policy lets a counter saturate earlier."""

_LIMITS = {counter: z3.Int(f"most_{counter}") for counter in COUNTERS}
_UNKNOWNS = {
    field.name: z3.Real(field.name) for field in fields(Policy) if field.name in _BOUNDS and field.name != JITTER
}


class Figures:
    """
    The unknowns of a policy, by the names of its fields, and what follows from them.

    Attributes:
        names: Every such field.
    """

    names = tuple(_UNKNOWNS)

    def __getattr__(self, name: str) -> Any:
        try:
            return _UNKNOWNS[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def unknowns(self) -> tuple[Any, ...]:
        """Every unknown, the limits of the counters included."""
        return (*_UNKNOWNS.values(), *_LIMITS.values())

    @property
    def longest_poll_s(self) -> Any:
        """The longest deadline that a poll can have."""
        return self.hold_ceiling_s + self.poll_margin_s

    def limit(self, counter: str) -> Any:
        """Where *counter* saturates."""
        return _LIMITS[counter]  # type: ignore[index]  # a table of a user's own names the same counters

    def first_s(self, ladder: Ladder) -> Any:
        """The first rung of *ladder*."""
        return self.session_first_s if ladder is Ladder.SESSION else self.transport_first_s

    def ceiling_s(self, ladder: Ladder) -> Any:
        """The last rung of *ladder*."""
        return self.session_ceiling_s if ladder is Ladder.SESSION else self.transport_ceiling_s


FIGURES = Figures()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """
    The policies that a proof speaks of.

    Attributes:
        says: Which, in words.
        facts: Formulas over the unknowns of :class:`Figures`; all of them together: these are figures of such a policy.
        most_kept: The largest part of a rung that jitter leaves; 1 is all of it.
        least_kept: The smallest.
    """

    says: str
    facts: tuple[Any, ...]
    most_kept: Fraction
    least_kept: Fraction


def every_policy() -> Scope:
    """
    Return the scope of every policy that can be made, and of every limit at which its counters may saturate.

    A limit is any number that is no smaller than the smallest that a policy has. So a proof covers the machine as it
    runs, and one whose counters never saturate as well: in a run of finite length nobody could tell.
    """
    low, high, _ = _BOUNDS[JITTER]
    deadline = number(_BOUNDS["renewal_deadline_s"][1])
    rounding = z3.Q(ROUNDING_S.numerator, ROUNDING_S.denominator)
    figures = FIGURES
    bounds = [
        bound
        for name, unknown in _UNKNOWNS.items()
        for bound in (number(_BOUNDS[name][0]) <= unknown, unknown <= number(_BOUNDS[name][1]))
    ]
    least = limits(_SMALLEST)
    return Scope(
        says="every policy that can be made",
        facts=(
            *bounds,
            figures.session_first_s <= figures.session_ceiling_s,
            figures.transport_first_s <= figures.transport_ceiling_s,
            figures.pace_first_s <= figures.pace_ceiling_s,
            figures.hold_floor_s <= figures.hold_default_s,
            figures.hold_default_s <= figures.hold_ceiling_s,
            figures.longest_poll_s <= deadline + rounding,
            figures.hold_floor_s + figures.poll_margin_s + rounding >= figures.silent_after_s,
            *(_LIMITS[counter] >= least[counter] for counter in COUNTERS),
        ),
        most_kept=1 - Fraction(str(low)),
        least_kept=1 - Fraction(str(high)),
    )


def this_policy(policy: Policy) -> Scope:
    """Return the scope of one policy, with the limits at which its counters saturate."""
    jitter = min(max(Fraction(str(policy.jitter)), Fraction(0)), Fraction(1, 2))  # as the delay is drawn
    own: Mapping[str, int] = {str(counter): limit for counter, limit in limits(policy).items()}
    return Scope(
        says="this policy",
        facts=(
            *(unknown == number(getattr(policy, name)) for name, unknown in _UNKNOWNS.items()),
            *(unknown == own[counter] for counter, unknown in _LIMITS.items()),
        ),
        most_kept=1 - jitter,
        least_kept=1 - jitter,
    )


def scope_of(policy: Policy) -> Scope:
    """Return the scope of every policy, or of this one alone if it could not be made: its bounds were passed by."""
    try:
        replace(policy)
    except PolicyError as error:
        return replace(this_policy(policy), says=f"this policy alone, which could not be made: {error}")
    return every_policy()
