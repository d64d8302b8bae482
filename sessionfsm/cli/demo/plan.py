"""What goes wrong in the demo, and when: chosen so that everything is over before the end, whatever the jitter."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sessionfsm.lifecycle import Ladder, Policy
from sessionfsm.testing import Fault, faults

__all__ = ["LEAD_S", "SETTLE_S", "TAIL_S", "Incident", "Plan", "make_plan", "shortest_s"]

LEAD_S = 1.2
"""How long all is well at the beginning."""
SETTLE_S = 1.0
"""How long the session has, after the worst case, before the next incident: it must have polled well in between."""
TAIL_S = 0.8
"""How long before the end the users fall silent, so that the last messages are answered."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """
    Something that goes wrong.

    Attributes:
        name: For programs.
        title: For people.
        faults: What the fake server is told.
        worst_s: How long it can take until the session polls well again: all waits without jitter.
        at_s: When it begins, counted from the start of the demo.
    """

    name: str
    title: str
    faults: tuple[Fault, ...]
    worst_s: float
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    What goes wrong in a demo of *duration_s* seconds, in order, and what does not fit into it.

    Attributes:
        duration_s: How long the demo takes.
        incidents: What goes wrong, in order.
        left_out: What would have, in a longer demo; ``worst_s`` says how much longer at least.
    """

    duration_s: float
    incidents: tuple[Incident, ...]
    left_out: tuple[Incident, ...]


def make_plan(duration_s: float, policy: Policy, rng: random.Random) -> Plan:
    """
    Choose what goes wrong.

    As many incidents as fit, the short ones first; then longer forms of those that have some; then all over again,
    in another order. The time that is left lies between them.
    """
    left_s = duration_s - LEAD_S - TAIL_S
    forms = _menu(policy)
    chosen: list[Incident | None] = [None] * len(forms)
    for place, form in sorted(enumerate(forms), key=lambda item: item[1](1).worst_s):
        if form(1).worst_s + SETTLE_S <= left_s:
            chosen[place] = form(1)
            left_s -= form(1).worst_s + SETTLE_S
    for place, size in _LONGER_FORMS:
        before, longer = chosen[place], forms[place](size)
        if before is not None and longer.worst_s - before.worst_s <= left_s:
            left_s -= longer.worst_s - before.worst_s
            chosen[place] = longer
    incidents = [incident for incident in chosen if incident is not None]
    left_out = tuple(form(1) for form, incident in zip(forms, chosen, strict=True) if incident is None)
    menu = [form(1) for form in forms]
    round_s = sum(incident.worst_s + SETTLE_S for incident in menu)
    while not left_out and round_s <= left_s:
        incidents += rng.sample(menu, len(menu))
        left_s -= round_s
    return Plan(duration_s=duration_s, incidents=_spread(incidents, left_s), left_out=left_out)


def shortest_s(policy: Policy) -> float:
    """Return how long a demo takes in which one thing goes wrong."""
    return LEAD_S + min(form(1).worst_s for form in _menu(policy)) + SETTLE_S + TAIL_S


def _spread(incidents: Sequence[Incident], left_s: float) -> tuple[Incident, ...]:
    calm_s = SETTLE_S + (left_s / len(incidents) if incidents else 0.0)
    at_s, placed = LEAD_S, []
    for incident in incidents:
        placed.append(replace(incident, at_s=at_s))
        at_s += incident.worst_s + calm_s
    return tuple(placed)


# The place of a form in the menu, and its next larger size, in the order in which spare time is spent.
_EXPIRED, _HANDSHAKE, _GATEWAY, _BODY, _LAPSE, _OUTAGE, _TAKEOVER = range(7)
_LONGER_FORMS = ((_TAKEOVER, 2), (_OUTAGE, 2), (_GATEWAY, 2), (_TAKEOVER, 3), (_OUTAGE, 3))


def _menu(policy: Policy) -> list[Callable[[int], Incident]]:
    """Return every kind of incident: each a function of its size, 1 or more."""

    def transport_s(waits: int) -> float:
        return sum(policy.rung_s(Ladder.TRANSPORT, attempt) for attempt in range(1, waits + 1))

    def session_s(waits: int) -> float:
        return sum(policy.rung_s(Ladder.SESSION, attempt) for attempt in range(1, waits + 1))

    def surely_over_s(worst_s: float) -> float:
        # What lasts so long is over at the last of these waits, even if chance has cut all of them by the full jitter.
        return round(0.9 * worst_s * (1 - policy.jitter), 2)

    def expired(_: int) -> Incident:
        # The session has proved itself: it is renewed without a wait.
        return Incident(
            name="expired",
            title="-14, which notifystart cures",
            faults=(faults.Expire(answer_held=True),),
            worst_s=0.0,
        )

    def handshake_fails(_: int) -> Incident:
        return Incident(
            name="handshake_fails",
            title="-14, and notifystart fails twice",
            faults=(faults.Status(endpoint="notifystart", times=2), faults.Expire(answer_held=True)),
            worst_s=transport_s(2),
        )

    def gateway(size: int) -> Incident:
        polls = size + 1
        return Incident(
            name="http_502",
            title=f"HTTP 502 to {polls} polls in a row",
            faults=(faults.Status(endpoint="getupdates", times=polls, answer_held=True),),
            worst_s=transport_s(polls),
        )

    def broken_body(_: int) -> Incident:
        return Incident(
            name="broken_body",
            title="an answer that breaks off in the middle",
            faults=(faults.Truncated(endpoint="getupdates", body=b'{"msgs":[{"seq":', answer_held=True),),
            worst_s=transport_s(1),
        )

    def lapse(_: int) -> Incident:
        # Three hollow answers are a loss; the second and the third poll are paced.
        return Incident(
            name="lapse",
            title="a silent lapse: answers with nothing in them",
            faults=(faults.Lapse(answer_held=True),),
            worst_s=policy.pace_s(1) + policy.pace_s(2),
        )

    def outage(size: int) -> Incident:
        worst_s = transport_s(size + 1)
        lasts_s = surely_over_s(worst_s)
        return Incident(
            name="outage",
            title=f"an outage: connections are refused for {lasts_s:.1f} s",
            faults=(faults.Outage(for_s=lasts_s),),
            worst_s=worst_s,
        )

    def takeover(size: int) -> Incident:
        worst_s = session_s(size)
        lasts_s = surely_over_s(worst_s)
        return Incident(
            name="takeover",
            title=f"a takeover: notifystart does not help for {lasts_s:.1f} s",
            faults=(faults.Takeover(for_s=lasts_s, answer_held=True),),
            worst_s=worst_s,
        )

    return [expired, handshake_fails, gateway, broken_body, lapse, outage, takeover]
