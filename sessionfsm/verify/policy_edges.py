"""The policy at its edges: each figure as small and as large as it can be, and just past what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from sessionfsm.errors import PolicyError
from sessionfsm.lifecycle import Policy

__all__ = ["Edge", "policy_edges", "unchecked"]

PAST = 0.01
"""How far past its edge a figure is put: this part of it, and at least this much."""

FAR = 1e6
"""Further than any figure can be."""

Edge = tuple[str, Policy, bool]
"""What it is in words, the policy, and whether it is one that can be made."""


def policy_edges(policy: Policy) -> Iterator[Edge]:
    """
    Return *policy* with one figure at an edge, all others unchanged: policies that can be made, and policies just past.

    The edges are found by trying, not read from the bounds: what counts is what the policy accepts.
    """
    for field in fields(policy):
        value = getattr(policy, field.name)
        if isinstance(value, str):
            other = "required" if value == "attempted" else "attempted"
            yield f"{field.name} = {other!r}", _with(policy, field.name, other), True
            continue
        for sign, edge in ((-1, "smallest"), (1, "largest")):
            whole = isinstance(field.default, int)
            last = _last_accepted(policy, field.name, sign, whole)
            if last != value:
                yield f"{field.name} = {last:g}, the {edge}", _with(policy, field.name, last), True
            past = last + sign * (1 if whole else max(PAST, PAST * abs(last)))
            yield f"{field.name} = {past:g}, past the {edge}", unchecked(policy, **{field.name: past}), False


def unchecked(policy: Policy, **figures: float) -> Policy:
    """Return *policy* with other *figures*, whether or not they may be had."""
    policy = replace(policy)
    for name, value in figures.items():
        object.__setattr__(policy, name, value)
    return policy


def _with(policy: Policy, name: str, value: object) -> Policy:
    figures: dict[str, Any] = {name: value}
    return replace(policy, **figures)


def _last_accepted(policy: Policy, name: str, sign: int, whole: bool) -> Any:
    """Halve the way between a figure that is accepted and one that is refused, until there is none between them."""
    accepted, refused = getattr(policy, name), sign * FAR
    while True:
        middle = (accepted + refused) // 2 if whole else (accepted + refused) / 2
        if not whole and abs(middle) < 1e-9:  # there are a thousand more halves on the way to zero
            middle = 0.0
        if middle in (accepted, refused):
            return accepted
        try:
            _with(policy, name, int(middle) if whole else middle)
        except PolicyError:
            refused = middle
        else:
            accepted = int(middle) if whole else middle
