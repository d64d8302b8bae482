"""Small formulas that z3 has no word for, or has one that other solvers cannot read."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import z3

__all__ = ["all_of", "any_of", "larger", "never", "number", "smaller", "unknowns_of", "value_of"]


def all_of(parts: Iterable[Any]) -> Any:
    """Return that all *parts* hold. Of none at all z3 would make a formula that is no SMT-LIB."""
    listed = list(parts)
    return z3.And(*listed) if len(listed) > 1 else listed[0] if listed else z3.BoolVal(True)


def any_of(parts: Iterable[Any]) -> Any:
    """Return that one of *parts* holds."""
    listed = list(parts)
    return z3.Or(*listed) if len(listed) > 1 else listed[0] if listed else z3.BoolVal(False)


def never(formula: Any) -> bool:
    """Return whether *formula* is seen at once to be false."""
    return bool(z3.is_false(z3.simplify(formula)))


def smaller(one: Any, other: Any) -> Any:
    """Return the smaller of two numbers."""
    return z3.If(one <= other, one, other)


def larger(one: Any, other: Any) -> Any:
    """Return the larger of two numbers."""
    return z3.If(one >= other, one, other)


def number(value: float | Fraction) -> Any:
    """Return the decimal that *value* is written as, exactly."""
    fraction = Fraction(str(value))
    return z3.Q(fraction.numerator, fraction.denominator)


def value_of(value: bool | int | float) -> Any:
    """Return *value* as a formula of its own sort: a truth value, a whole number, or a real one."""
    if isinstance(value, bool):
        return z3.BoolVal(value)
    return z3.IntVal(value) if isinstance(value, int) else number(value)


def unknowns_of(formulas: Iterable[Any]) -> list[Any]:
    """Return every unknown in *formulas*, each once, in the order of their names."""
    found: dict[str, Any] = {}
    pending, met = list(formulas), set()
    while pending:
        at = pending.pop()
        if at.get_id() in met:
            continue
        met.add(at.get_id())
        if z3.is_const(at) and at.decl().kind() == z3.Z3_OP_UNINTERPRETED:
            found[at.decl().name()] = at
        pending += at.children()
    return [found[name] for name in sorted(found)]
