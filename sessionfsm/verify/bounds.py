"""The properties that speak of time: how long a session can be silent, how soon it resumes, how fast it can loop."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

from sessionfsm.lifecycle import MOST_REQUESTS_PER_S, Command, Own, Poll, Renew, Trigger, Wait, delay

from .explore import Arc, Graph

__all__ = ["RATE", "Times", "good_ends", "most_excess", "odd_waits"]

# Looked up once: on Python 3.11 finding a member of an enum takes longer than all the rest of a rule.
_SESSION_RENEWED = Trigger.SESSION_RENEWED
_POLLED = Trigger.POLLED
_HURRIED = Trigger.HURRIED
_RETRY_DUE = Trigger.RETRY_DUE
_SESSION_EXPIRED = Trigger.SESSION_EXPIRED
_RENEWAL_FAILED = Trigger.RENEWAL_FAILED
_STORE_FAILED = Trigger.STORE_FAILED

RATE = MOST_REQUESTS_PER_S
"""Requests a second that P8 allows in the long run, and above that at once."""


class _Unbounded(Exception):
    """There is a cycle without the thing that was looked for; the path shows it."""

    def __init__(self, path: list[Arc]) -> None:
        super().__init__("unbounded")
        self.path = path


class Times:
    """
    The longest times of a graph, in seconds, each with the path on which it comes about.

    Where there is a cycle that never ends in what is looked for the time is infinite, and the path is that cycle.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._required = graph.policy.renewal == "required"

    def store_failed(self, arc: Arc) -> bool:
        """Return whether the store failed: what is promised holds while it works."""
        return arc.move.trigger is _STORE_FAILED

    def excused(self, arc: Arc) -> bool:
        """Return whether the next poll may come later: the renewal was denied, or failed where it has to succeed."""
        trigger = arc.move.trigger
        if trigger is _STORE_FAILED:
            return True
        unhelpful = trigger is _SESSION_EXPIRED or (trigger is _RENEWAL_FAILED and self._required)
        return unhelpful and isinstance(self.graph.nodes[arc.source].outstanding, Renew)

    @cached_property
    def silence(self) -> tuple[float, list[Arc]]:
        """Between the starts of two requests in a row."""
        return _or_infinite(lambda: _longest_gap(self.graph, (Renew, Poll), self.store_failed))

    @cached_property
    def between_polls(self) -> tuple[float, list[Arc]]:
        """Between the starts of two polls in a row."""
        return _or_infinite(lambda: _longest_gap(self.graph, (Poll,), self.excused))

    @cached_property
    def resumption(self) -> tuple[float, list[Arc]]:
        """From any instant to the end of a good poll, if every request that starts after it is answered well."""
        return _or_infinite(lambda: _longest_resumption(self.graph))


def _or_infinite(find: Callable[[], tuple[float, list[Arc]]]) -> tuple[float, list[Arc]]:
    try:
        return find()
    except _Unbounded as found:
        return math.inf, found.path


_WELL: Mapping[type, tuple[str, ...]] = {Renew: (_SESSION_RENEWED,), Poll: (_POLLED, _HURRIED), Wait: (_RETRY_DUE,)}


def good_ends(operation: Command | None) -> tuple[str, ...]:
    """
    Return how *operation* may end when all goes well.

    An operation of a user's own ends in any of the outcomes that it may report. What stands in for an error, or for
    being late, is not among them, unless the operation may report it as well.
    """
    return operation.outcomes if isinstance(operation, Own) else _WELL.get(type(operation), ())


class _Longest:
    """
    The longest ways through a part of the graph that must not have a cycle.

    Args:
        onward: What can follow a configuration: the arc, how long it takes, and where the way goes on, if it does.
    """

    def __init__(self, onward: Callable[[int], Iterable[tuple[Arc, float, int | None]]]) -> None:
        self._onward = onward
        self._found: dict[int, tuple[float, Arc | None, int | None]] = {}
        self._trail: list[tuple[int, Arc]] = []

    def from_(self, node: int) -> float:
        """
        Return the longest time from the start of *node*'s operation to the end of a way; minus infinity without one.

        Raises:
            _Unbounded: If there is a cycle.
        """
        if node in self._found:
            return self._found[node][0]
        nodes = [each for each, _ in self._trail]
        if node in nodes:
            raise _Unbounded([arc for _, arc in self._trail[nodes.index(node) :]])
        best: tuple[float, Arc | None, int | None] = (-math.inf, None, None)
        for arc, length, further in self._onward(node):
            if further is not None:
                self._trail.append((node, arc))
                length += self.from_(further)
                self._trail.pop()
            if length > best[0]:
                best = (length, arc, further)
        self._found[node] = best
        return best[0]

    def way(self, node: int) -> list[Arc]:
        """Return the longest way from *node*."""
        way: list[Arc] = []
        at: int | None = node
        while at is not None:
            _, arc, at = self._found[at]
            way += [arc] if arc is not None else []
        return way


def _longest_gap(
    graph: Graph, kinds: tuple[type, ...], leave_out: Callable[[Arc], bool] | None = None
) -> tuple[float, list[Arc]]:
    """
    Return the longest time between the starts of two operations in a row of these *kinds*, and the path.

    Args:
        leave_out: Arcs that are taken not to happen.

    Raises:
        _Unbounded: If a cycle avoids such operations.
    """
    ends = [isinstance(node.outstanding, kinds) for node in graph.nodes]

    def onward(node: int) -> Iterator[tuple[Arc, float, int | None]]:
        for target, arc in graph.onward[node]:
            if leave_out is None or not leave_out(arc):
                yield arc, arc.most_s, None if ends[target] else target

    longest = _Longest(onward)
    times = {node: longest.from_(node) for node, arcs in enumerate(graph.onward) if arcs and ends[node]}
    worst = max(times, key=times.__getitem__, default=None)
    if worst is None or times[worst] < 0:
        return 0.0, []
    return times[worst], longest.way(worst)


def _longest_resumption(graph: Graph) -> tuple[float, list[Arc]]:
    """
    Return the longest time from any instant to the end of a good poll, when every request that starts later is answered
    well: the operation that is outstanding at that instant may still end in any way and as late as it can.

    Raises:
        _Unbounded: If a cycle of good answers never ends in a good poll.
    """

    def onward(node: int) -> Iterator[tuple[Arc, float, int | None]]:
        operation = graph.nodes[node].outstanding
        good = good_ends(operation)
        for target, arc in graph.onward[node]:
            if arc.move.trigger in good:
                if isinstance(operation, Poll):
                    yield arc, arc.move.most_s, None
                else:
                    yield arc, arc.most_s, target

    longest = _Longest(onward)
    worst: tuple[float, Arc | None, int] = (0.0, None, 0)
    for arcs in graph.onward:
        for target, arc in arcs:
            length = arc.most_s + longest.from_(target)
            if length == -math.inf:
                raise _Unbounded([arc])  # well answered, and yet there is no way to a good poll
            if length > worst[0]:
                worst = (length, arc, target)
    length, first, target = worst
    return (length, [first, *longest.way(target)]) if first is not None else (0.0, [])


def most_excess(graph: Graph, allowed: float) -> tuple[float, list[Arc]]:
    """
    Return the largest value of requests - RATE · seconds over all closed windows without news, and how it comes about.

    A value of x says that no window of W seconds has more than x + RATE · W requests. The search stops above *allowed*.
    """
    asking = [isinstance(node.outstanding, Renew | Poll) for node in graph.nodes]
    excess = [1.0 if asks else 0.0 for asks in asking]
    came: dict[int, tuple[int, Arc]] = {}
    queue = deque(node for node, arcs in enumerate(graph.onward) if arcs)
    queued = [True] * len(excess)

    def path_to(node: int) -> list[Arc]:
        path: list[Arc] = []
        while node in came and len(path) < 200:
            node, arc = came[node]
            path.append(arc)
        return path[::-1]

    while queue:
        source = queue.popleft()
        queued[source] = False
        here = excess[source]
        for target, arc in graph.onward[source]:
            carried = 0.0 if arc.move.news else max(0.0, here - RATE * arc.least_s)
            if asking[target] and arc.step.command is not None:
                carried += 1.0
            if carried > excess[target] + 1e-9:
                excess[target] = carried
                came[target] = (source, arc)
                if carried > allowed + 1e-9:
                    return carried, path_to(target)
                if not queued[target]:
                    queued[target] = True
                    queue.append(target)
    worst = max(range(len(excess)), key=excess.__getitem__)
    return excess[worst], path_to(worst)


def odd_waits(graph: Graph) -> tuple[str, int] | None:
    """Return what is wrong with a wait or a pace that the machine can order (P2), and where; or ``None``."""
    met: set[Command | None] = set()
    for node, snapshot in enumerate(graph.nodes):
        operation = snapshot.outstanding
        if operation not in met:
            met.add(operation)
            if why := _odd(operation, graph.policy.jitter):
                return why, node
    return None


def _odd(operation: Command | None, jitter: float) -> str | None:
    if isinstance(operation, Poll) and operation.pace_s and not 1.0 <= operation.pace_s <= 60.0:
        return f"a pace of {operation.pace_s:g} s can be ordered"
    if not isinstance(operation, Wait):
        return None
    if operation.ceiling_s > 900:
        return f"a ceiling of {operation.ceiling_s:g} s can be ordered"
    if operation.first_s < 1.0:
        return f"a first rung of {operation.first_s:g} s can be ordered"
    for draw in (0.0, 0.5, 1.0 - 2**-53, -1.0, 2.0, math.nan):
        for asked in (None, -1.0, 0.0, operation.ceiling_s / 2, 1e12, math.inf, math.nan):
            length = delay(operation, jitter=jitter, draw=draw, retry_after_s=asked)
            asked_for = min(asked, operation.ceiling_s) if asked is not None and asked > 0 else 0.0
            least = operation.rung_s * (1 - jitter * min(max(draw, 0.0), 1.0))  # nan draws nothing
            if asked_for > length or (draw == draw and length < least - 1e-9):
                return f"a wait of {length:g} s, where {max(asked_for, least):g} s were due"
            for own in (None, -1.0, 0.0, operation.ceiling_s / 2, 1e12, math.inf, -math.inf, math.nan):
                length = delay(operation, jitter=jitter, draw=draw, retry_after_s=asked, own_s=own)
                if not operation.rung_s / 2 <= length <= operation.ceiling_s:
                    return (
                        f"rung {operation.rung_s:g} s of a ladder up to {operation.ceiling_s:g} s becomes "
                        f"a wait of {length:g} s (draw {draw:g}, Retry-After {asked}, own wish {own})"
                    )
    return None
