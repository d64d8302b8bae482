"""
How many requests a session can make in a window of time, exactly: in a second, a minute, an hour.

The graph is reduced to its requests, with the least time between one and the next. The least mean time of a cycle says
how fast they can come in the long run; what a way gains on that mean can be bounded for every request that it begins
with, and so only the few ways that could still hold as many requests as are asked for have to be followed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TypeAlias

from sessionfsm.lifecycle import Own, Poll, Renew, Trigger, Wait

from .explore import Arc, Graph

__all__ = ["SCENARIOS", "WINDOWS_S", "most_requests", "most_requests_in"]

WINDOWS_S: Mapping[str, float] = {"second": 1.0, "minute": 60.0, "hour": 3600.0}

_GOOD = frozenset({Trigger.POLLED, Trigger.HURRIED})
_DENIED = {Renew: Trigger.SESSION_RENEWED, Poll: Trigger.SESSION_EXPIRED, Wait: Trigger.RETRY_DUE}
_MANY = 100  # requests in a row, from which on it pays to see that they repeat themselves
_NS = 1_000_000_000  # times are taken to the nanosecond, so that sums are exact


def _by_the_server(graph: Graph, _: int, arc: Arc) -> bool:
    """Nobody outside does anything, and no poll brings news: those would be requests that somebody wants."""
    return arc.move.trigger not in graph.machine.external and not arc.move.news


def _never_good(graph: Graph, node: int, arc: Arc) -> bool:
    return arc.move.trigger not in _GOOD and _by_the_server(graph, node, arc)


def _denied(graph: Graph, node: int, arc: Arc) -> bool:
    operation = graph.nodes[node].outstanding
    if isinstance(operation, Own):
        return arc.move.trigger not in graph.machine.external
    return arc.move.trigger == _DENIED.get(type(operation))


SCENARIOS: Mapping[str, Callable[[Graph, int, Arc], bool]] = {
    "any server": _by_the_server,
    "no good poll": _never_good,
    "denied": _denied,
}
"""
What a server may do: anything but bring news; never answer a poll well; let every renewal succeed and deny every poll
at once. In each of them nobody calls ``wake``, nor tells the session a trigger of a user's own.
"""


def most_requests(graph: Graph) -> dict[str, dict[str, int | None]]:
    """Return the most requests by scenario and window; ``None`` where there is no bound."""
    found: dict[str, dict[str, int | None]] = {}
    steps = _steps(graph)
    for scenario in SCENARIOS:
        pace = _Pace(_between_requests(graph, steps, SCENARIOS[scenario]))
        found[scenario] = {window: pace.most(round(length_s * _NS)) for window, length_s in WINDOWS_S.items()}
    return found


def most_requests_in(graph: Graph, scenario: str, window_s: float) -> int | None:
    """Return the most requests in a closed window of *window_s* seconds; ``None`` if there is no bound."""
    return _Pace(_between_requests(graph, _steps(graph), SCENARIOS[scenario])).most(round(window_s * _NS))


_Ways: TypeAlias = dict[int, dict[int, int]]
_Steps: TypeAlias = list[list[tuple[int, int, bool, Arc]]]


def _steps(graph: Graph) -> _Steps:
    """Return for each configuration its arcs: where to, after how many nanoseconds, and whether a request starts."""
    asking = [isinstance(node.outstanding, Renew | Poll) for node in graph.nodes]
    return [
        [
            (target, round(arc.least_s * _NS), asking[target] and arc.step.command is not None, arc)
            for target, arc in arcs
        ]
        for arcs in graph.onward
    ]


def _between_requests(graph: Graph, steps: _Steps, allowed: Callable[[Graph, int, Arc], bool]) -> _Ways:
    """Return for each request which can be the next ones, and after how many nanoseconds at least."""

    def next_requests(node: int) -> dict[int, int]:
        nearest: dict[int, int] = {}
        passed, pending = {node: 0}, [node]  # waits, and operations of a user's own, may lie between
        while pending:
            at = pending.pop()
            for target, length, starts, arc in steps[at]:
                if allowed(graph, at, arc):
                    when = passed[at] + length
                    times = nearest if starts else passed
                    if when < times.get(target, math.inf):
                        times[target] = when
                        if not starts:
                            pending.append(target)
        return nearest

    # One that nothing can follow is a request all the same.
    requests = (node for node, one in enumerate(graph.alike) if one == node)
    return {node: next_requests(node) for node in requests if isinstance(graph.nodes[node].outstanding, Renew | Poll)}


class _Pace:
    """
    How fast requests can follow each other.

    With the least mean time of a cycle taken off every step, no cycle gains anything; so what a way can gain at most is
    known for each request that it begins with, and a way that cannot make up any more for what it has lost is given up.
    """

    def __init__(self, ways: _Ways) -> None:
        self._ways = ways
        self._back: _Ways = {node: {} for node in ways}
        for node, following in ways.items():
            for target, length in following.items():
                self._back[target][node] = length
        # The mean is time / steps. Where no cycle is, any mean will do that no window is long enough for.
        self._time, self._steps = round(max(WINDOWS_S.values()) * _NS) + 1, 1
        while isinstance(gains := self._gains(), list):
            self._time = sum(self._back[node][before] for node, before in pairwise([*gains, gains[0]]))
            self._steps = len(gains)
        self._most_gain = gains

    def _gains(self) -> dict[int, int] | list[int]:
        """Return the least that a way from each request can take, less the mean for each step; or a faster cycle."""
        time, steps = self._time, self._steps
        gains = dict.fromkeys(self._ways, 0)
        came: dict[int, int] = {}
        pending, waiting = deque(gains), set(gains)
        relaxed = 0
        while pending:
            node = pending.popleft()
            waiting.discard(node)
            here = gains[node] - time
            for target, length in self._back[node].items():
                there = here + length * steps
                if there < gains[target]:
                    gains[target] = there
                    came[target] = node
                    relaxed += 1
                    if target not in waiting:
                        waiting.add(target)
                        pending.append(target)
            if relaxed > len(gains):
                relaxed = 0
                if cycle := _cycle(came):
                    return cycle
        return gains

    def most(self, window: int) -> int | None:
        """Return the most requests in a closed window of so many nanoseconds."""
        if not self._ways:
            return 0
        if self._time == 0:
            return None
        count = (window * self._steps - min(self._most_gain.values())) // self._time + 1
        while not self._possible(count, window):
            count -= 1
        return count

    def _possible(self, count: int, window: int) -> bool:
        """Return whether *count* requests fit: is there a way of so many?"""
        most = window * self._steps - self._time * (count - 1)
        gains = self._most_gain
        layers = [{node: 0 for node, gain in gains.items() if gain <= most}]
        met: dict[frozenset[tuple[int, int]], int] = {}
        while len(layers) < count:
            following: dict[int, int] = {}
            in_time = most + self._time * (count - 1 - len(layers))
            for node, lost in layers[-1].items():
                for target, length in self._ways[node].items():
                    there = lost + length * self._steps - self._time
                    if there <= in_time and gains[target] + there <= most and there < following.get(target, math.inf):
                        following[target] = there
            if not following:
                return False
            if count > _MANY:
                first = met.setdefault(frozenset(following.items()), len(layers))
                if first != len(layers):  # from here on it comes again and again
                    layers.append(layers[first + (count - 1 - first) % (len(layers) - first)])
                    break
            layers.append(following)
        return any(lost <= most for lost in layers[-1].values())


def _cycle(came: Mapping[int, int]) -> list[int]:
    """Return a cycle of the ways that were found, each request before the one it was found from; else nothing."""
    done: set[int] = set()
    for start in came:
        trail: dict[int, None] = {}
        node: int | None = start
        while node is not None and node not in done and node not in trail:
            trail[node] = None
            node = came.get(node)
        if node in trail:
            backward = list(trail)
            return backward[backward.index(node) :][::-1]
        done.update(trail)
    return []
