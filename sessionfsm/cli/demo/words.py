"""What the demo says at its beginning and at its end."""

from __future__ import annotations

from collections.abc import Iterator

from .plan import SETTLE_S, Incident, Plan
from .summary import Summary

__all__ = ["intro", "outro"]

_MANY = 24
Line = tuple[str, str, str]
"""A label, a text, and a style of ``rich``."""

_GOOD, _BAD, _PLAIN = "green", "bold red", ""
_PROPERTIES = {
    "P1": "after each loss, notifystart was called before the next poll",
    "P6": "no silence longer than the policy allows",
    "P8": "no hot loop: at most 10/3 · (W + 1) requests in W s without news",
}


def intro(plan: Plan, seed: int) -> Iterator[str]:
    """Say what will be seen."""
    yield "sessionfsm demo: a real session, real HTTP and real waits; only the server is simulated"
    count = len(plan.incidents)
    things = "1 thing" if count == 1 else f"{count} things"
    yield f"{plan.duration_s:g} s, seed {seed}; {things} will go wrong"
    for one in plan.left_out:
        yield f"left out: {_with_cost(one)}"


def outro(summary: Summary, seed: int) -> Iterator[Line]:
    """Say what was seen."""
    early = ", ended early" if summary.interrupted else ""
    yield "", "", _PLAIN
    yield (
        "demo",
        f"{summary.duration_s:.1f} s, seed {seed}{early}; arrivals and requests are counted from the server's log",
        _PLAIN,
    )
    yield "went wrong", f"{'at':>7}  {'what':<48} {'back after':>10}", "dim"
    for incident, at_s, after_s in summary.outcomes[:_MANY]:
        back, style = ("not back", _BAD) if after_s is None else (f"{after_s:.3f} s", _PLAIN)
        if after_s is None and summary.interrupted and at_s == summary.outcomes[-1][1]:
            back, style = "ended before it was back", _PLAIN
        yield "", f"{at_s:5.1f} s  {incident.title:<48} {back:>10}", style
    if len(summary.outcomes) > _MANY:
        yield "", f"and {len(summary.outcomes) - _MANY} more", _PLAIN
    label = "left out"
    for one in summary.left_out:
        yield label, _with_cost(one), _PLAIN
        label = ""
    if not summary.left_out:
        yield label, "nothing", _PLAIN
    yield "recoveries", f"{len(summary.recoveries)}, the longest {summary.longest_recovery_s:.3f} s", _PLAIN
    yield (
        "messages",
        f"{summary.delivered} delivered, {summary.lost} lost, {summary.handled_twice} handled twice"
        f" ({summary.repeated} came more than once)",
        _BAD if summary.lost or summary.handled_twice else _GOOD,
    )
    yield (
        "sends",
        f"{summary.sends_ok} arrived, {summary.sends_in_trouble} of them while polling was in trouble; "
        f"{summary.sends_failed} failed",
        _PLAIN,
    )
    yield (
        "silence",
        f"{summary.longest_silence_s:.2f} s at most between two requests; {summary.silence_bound_s:g} s are allowed",
        _PLAIN,
    )
    states = sorted(summary.states.items(), key=lambda item: -item[1])
    times = ", ".join(f"{state} {seconds:.1f} s" for state, seconds in states if state != "stopped")
    yield "time in", f"{times} (by the session)", _PLAIN
    for name, meaning in _PROPERTIES.items():
        broken = [one.what for one in (*summary.wire, *summary.records) if one.property == name]
        text = f"broken: {broken[0]}" if broken else f"holds: {meaning}"
        yield name, text, _BAD if broken else _GOOD
    verdict = "nothing was lost, no property is broken" if summary.is_well else "something was lost or broken"
    yield "verdict", verdict, _GOOD if summary.is_well else _BAD


def _with_cost(incident: Incident) -> str:
    return f"{incident.title} (takes up to {incident.worst_s + SETTLE_S:g} s)"
