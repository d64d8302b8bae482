"""The shortest run that breaks a bound: fewest steps from the start, whatever their times."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from sessionfsm.lifecycle import Poll, Renew

from .bounds import good_ends
from .explore import ANEW, Arc, Graph

__all__ = ["endless", "good_arcs", "most_time_between", "most_time_to_resume", "quiet_arcs", "too_many_requests"]

_STEPS = 5_000
"""No run that is longer is looked for."""

# (the last arc, where it leads, what is carried there, whether the bound is broken by it)
_Onward = Callable[[Any, float], Iterator[tuple[Arc, Hashable, float, bool]]]


def _shortest(start: Hashable, onward: _Onward) -> list[Arc] | None:
    """
    Return the shortest way on which *onward* says that the bound is broken.

    Step by step the largest value that can be carried to each place is kept: whoever comes later with less can break
    nothing that the first could not have broken sooner.
    """
    layer: dict[Hashable, float] = {start: -math.inf}
    best = dict(layer)
    came: list[dict[Hashable, tuple[Hashable, Arc]]] = []
    for _ in range(_STEPS):
        following: dict[Hashable, float] = {}
        links: dict[Hashable, tuple[Hashable, Arc]] = {}
        came.append(links)
        for place, value in layer.items():
            for arc, there, carried, broken in onward(place, value):
                if broken:
                    links[there] = (place, arc)
                    return _way(came, there)
                if carried > best.get(there, -math.inf) + 1e-9 or there not in best:
                    best[there] = following[there] = carried
                    links[there] = (place, arc)
        if not following:
            return None
        layer = following
    return None


def _way(came: list[dict[Hashable, tuple[Hashable, Arc]]], place: Hashable) -> list[Arc]:
    way = []
    for links in reversed(came):
        place, arc = links[place]
        way.append(arc)
    return way[::-1]


def most_time_between(
    graph: Graph, kinds: tuple[type, ...], allowed_s: float, leave_out: Callable[[Arc], bool]
) -> list[Arc] | None:
    """Return the shortest run in which two operations in a row of these kinds start further apart than *allowed_s*."""

    def onward(place: int, value: float) -> Iterator[tuple[Arc, Hashable, float, bool]]:
        for arc in graph.arcs[place]:
            started = isinstance(graph.nodes[arc.target].outstanding, kinds)
            if arc.move.trigger in ANEW:
                yield arc, arc.target, 0.0 if started else -math.inf, False
            elif not leave_out(arc):
                length = value + arc.most_s
                yield arc, arc.target, 0.0 if started else length, started and length > allowed_s
            else:
                yield arc, arc.target, 0.0 if started else -math.inf, False

    return _shortest(0, onward)


def most_time_to_resume(graph: Graph, allowed_s: float) -> list[Arc] | None:
    """Return the shortest run in which a good poll comes later than *allowed_s*, though all goes well by then."""

    def onward(place: tuple[int, bool], value: float) -> Iterator[tuple[Arc, Hashable, float, bool]]:
        node, well = place
        operation = graph.nodes[node].outstanding
        for arc in graph.arcs[node]:
            if well:
                if arc.move.trigger in good_ends(operation):
                    ends = isinstance(operation, Poll)
                    length = value + (arc.move.most_s if ends else arc.most_s)
                    if not ends or length > allowed_s:
                        yield arc, (arc.target, True), length, ends
                continue
            yield arc, (arc.target, False), -math.inf, False
            if arc.move.trigger not in ANEW:
                yield arc, (arc.target, True), arc.most_s, False

    return _shortest((0, False), onward)


def too_many_requests(graph: Graph, rate: float, allowed: float) -> list[Arc] | None:
    """Return the shortest run with a window in which requests - *rate* · seconds exceeds *allowed*."""

    def onward(place: int, value: float) -> Iterator[tuple[Arc, Hashable, float, bool]]:
        for arc in graph.arcs[place]:
            fresh = arc.move.news or arc.move.trigger in ANEW
            carried = 0.0 if fresh else max(0.0, value - rate * arc.least_s)
            if isinstance(arc.command, Renew | Poll):
                carried += 1.0
            yield arc, arc.target, carried, carried > allowed

    return _shortest(0, onward)


def endless(graph: Graph, onward: Callable[[int], Iterable[Arc]], run: list[Arc]) -> list[Arc]:
    """Return the shortest run that ends in a cycle of arcs that *onward* returns; *run* if there is none as short."""
    steps_to = [0] * len(graph.nodes)
    for node, came in enumerate(graph.came):  # a configuration has a larger number than the one that it is come from
        if came is not None:
            steps_to[node] = steps_to[came.source] + 1
    best, most = run, len(run)
    for node, steps in enumerate(steps_to):
        if steps >= most:
            break  # and no further one is nearer
        cycle = _back_to(node, onward, most - steps)
        if cycle is not None:
            best = [*graph.way_to(node), *cycle]
            most = len(best) - 1
    return best


def _back_to(start: int, onward: Callable[[int], Iterable[Arc]], most: int) -> list[Arc] | None:
    """Return the shortest way from *start* to itself in at most so many steps."""
    came: dict[int, Arc] = {}
    queue = deque([(start, 0)])
    while queue:
        node, steps = queue.popleft()
        for arc in onward(node) if steps < most else ():
            if arc.target in came:
                continue
            came[arc.target] = arc
            if arc.target == start:
                way = [arc]
                while way[-1].source != start:
                    way.append(came[way[-1].source])
                return way[::-1]
            queue.append((arc.target, steps + 1))
    return None


def quiet_arcs(graph: Graph, kinds: tuple[type, ...], leave_out: Callable[[Arc], bool]) -> Callable[[int], list[Arc]]:
    """Return what gives the arcs of a run in which no operation of these kinds is started."""
    return lambda node: [
        arc
        for arc in graph.arcs[node]
        if arc.move.trigger not in ANEW
        and not isinstance(graph.nodes[arc.target].outstanding, kinds)
        and not leave_out(arc)
    ]


def good_arcs(graph: Graph) -> Callable[[int], list[Arc]]:
    """Return what gives the arcs that are well answered, and yet are no good poll."""

    def onward(node: int) -> list[Arc]:
        operation = graph.nodes[node].outstanding
        if isinstance(operation, Poll):
            return []
        return [arc for arc in graph.arcs[node] if arc.move.trigger in good_ends(operation)]

    return onward
