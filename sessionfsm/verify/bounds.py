"""The properties that speak of time: how long a session can be silent, how soon it resumes, how fast it can loop."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable

from sessionfsm.lifecycle import MOST_REQUESTS_PER_S, Command, Poll, Renew, Trigger, Wait, delay

from .explore import Arc, Graph

__all__ = [
    "Unbounded",
    "denied_requests",
    "longest_gap",
    "longest_resumption",
    "most_excess",
    "odd_waits",
]

T = Trigger
ANEW = (T.START, T.STOP, T.CLOSED, T.CREDENTIALS_CHANGED)
"""Where one run ends and another begins: the properties speak of one run, with one set of credentials."""

RATE = MOST_REQUESTS_PER_S
"""Requests a second that P8 allows in the long run, and above that at once."""


class Unbounded(Exception):
    """There is a cycle without the thing that was looked for; the path shows it."""

    def __init__(self, path: list[Arc]) -> None:
        super().__init__("unbounded")
        self.path = path


def longest_gap(
    graph: Graph, kinds: tuple[type, ...], leave_out: Callable[[Arc], bool] | None = None
) -> tuple[float, list[Arc]]:
    """
    Return the longest time between the starts of two operations in a row of these *kinds*, and the path.

    Args:
        leave_out: Arcs that are taken not to happen.

    Raises:
        Unbounded: If a cycle avoids such operations.
    """
    memo: dict[int, tuple[float, list[Arc]]] = {}
    above: set[int] = set()
    trail: list[Arc] = []

    def onward(node: int) -> tuple[float, list[Arc]]:
        """The longest time from *node*'s operation to the next of these kinds; minus infinity if there is none."""
        if node in memo:
            return memo[node]
        if node in above:
            raise Unbounded(_cycle(trail))
        above.add(node)
        best: tuple[float, list[Arc]] = (-math.inf, [])
        path: list[Arc]
        for arc in graph.arcs[node]:
            if arc.move.trigger in ANEW or (leave_out is not None and leave_out(arc)):
                continue
            if isinstance(graph.nodes[arc.target].outstanding, kinds):
                length, path = 0.0, []
            else:
                trail.append(arc)
                length, path = onward(arc.target)
                trail.pop()
            if arc.most_s() + length > best[0]:
                best = (arc.most_s() + length, [arc, *path])
        above.discard(node)
        memo[node] = best
        return best

    longest: tuple[float, list[Arc]] = (0.0, [])
    for node, snapshot in enumerate(graph.nodes):
        if isinstance(snapshot.outstanding, kinds):
            longest = max(longest, onward(node), key=lambda found: found[0])
    return longest


def longest_resumption(graph: Graph) -> tuple[float, list[Arc]]:
    """
    Return the longest time from any instant to the end of a good poll, when every request that starts later is answered
    well: the operation that is outstanding at that instant may still end in any way and as late as it can.

    Raises:
        Unbounded: If a cycle of good answers never ends in a good poll.
    """
    well = {Renew: (T.SESSION_RENEWED,), Poll: (T.POLLED, T.HURRIED), Wait: (T.RETRY_DUE,)}
    memo: dict[int, tuple[float, list[Arc]]] = {}
    above: set[int] = set()
    trail: list[Arc] = []

    def onward(node: int) -> tuple[float, list[Arc]]:
        if node in memo:
            return memo[node]
        if node in above:
            raise Unbounded(_cycle(trail))
        above.add(node)
        operation = graph.nodes[node].outstanding
        best: tuple[float, list[Arc]] = (-math.inf, [])
        path: list[Arc]
        for arc in graph.arcs[node]:
            if arc.move.trigger not in well.get(type(operation), ()):
                continue
            if isinstance(operation, Poll):
                total, path = arc.move.most_s, []
            else:
                trail.append(arc)
                length, path = onward(arc.target)
                trail.pop()
                total = arc.most_s() + length
            if total > best[0]:
                best = (total, [arc, *path])
        above.discard(node)
        memo[node] = best
        return best

    longest: tuple[float, list[Arc]] = (0.0, [])
    for node, snapshot in enumerate(graph.nodes):
        if not isinstance(snapshot.outstanding, Renew | Poll | Wait):
            continue
        for arc in graph.arcs[node]:
            if arc.move.trigger in ANEW:
                continue
            length, path = onward(arc.target)
            if not path:
                raise Unbounded([arc])  # well answered, and yet there is no way to a good poll
            if arc.most_s() + length > longest[0]:
                longest = (arc.most_s() + length, [arc, *path])
    return longest


def _cycle(trail: list[Arc]) -> list[Arc]:
    """Return the end of *trail* that begins and ends in the same configuration."""
    start = next(at for at, arc in enumerate(trail) if arc.source == trail[-1].target)
    return trail[start:]


def most_excess(graph: Graph, allowed: float) -> tuple[float, list[Arc]]:
    """
    Return the largest value of requests - RATE · seconds over all closed windows without news, and how it comes about.

    A value of x says that no window of W seconds has more than x + RATE · W requests. The search stops above *allowed*.
    """
    excess: dict[int, float] = {}
    came: dict[int, Arc] = {}
    queue: deque[int] = deque()

    def raise_to(node: int, value: float, arc: Arc | None) -> None:
        if value > excess.get(node, -1.0) + 1e-9:
            excess[node] = value
            if arc is not None:
                came[node] = arc
            queue.append(node)

    def path_to(node: int) -> list[Arc]:
        path: list[Arc] = []
        while node in came and len(path) < 200:
            path.append(came[node])
            node = came[node].source
        return path[::-1]

    for node, snapshot in enumerate(graph.nodes):
        raise_to(node, 1.0 if isinstance(snapshot.outstanding, Renew | Poll) else 0.0, None)
    while queue:
        source = queue.popleft()
        for arc in graph.arcs[source]:
            if arc.move.trigger in ANEW:
                continue
            carried = 0.0 if arc.move.news else max(0.0, excess[source] - RATE * arc.least_s())
            if isinstance(arc.command, Renew | Poll):
                carried += 1.0
            raise_to(arc.target, carried, arc)
            if excess[arc.target] > allowed + 1e-9:
                return excess[arc.target], path_to(arc.target)
    worst = max(excess, key=lambda node: excess[node])
    return excess[worst], path_to(worst)


def denied_requests(graph: Graph, window_s: float) -> int:
    """Return the most requests in a closed window when every renewal succeeds and every poll is denied at once."""
    script = {Renew: T.SESSION_RENEWED, Poll: T.SESSION_EXPIRED, Wait: T.RETRY_DUE}
    # The least time at which each operation can start, when so many requests have been made since the window's start.
    times = {n: 0.0 for n, snapshot in enumerate(graph.nodes) if isinstance(snapshot.outstanding, Renew | Poll)}
    count = 0
    while times:
        count += 1
        following: dict[int, float] = {}
        for source, start in times.items():
            for node, at in _onward(graph, source, start, script):
                if at <= window_s and at < following.get(node, math.inf):
                    following[node] = at
        if following == times:
            return 1_000_000_000  # a loop that takes no time
        times = following
    return count


def _onward(graph: Graph, source: int, start: float, script: dict[type, Trigger]) -> Iterable[tuple[int, float]]:
    """Follow the script from a request to the next requests."""
    pending, met = [(source, start)], {source}
    while pending:
        node, at = pending.pop()
        for arc in graph.arcs[node]:
            if arc.move.trigger is not script.get(type(graph.nodes[node].outstanding)):
                continue
            when = at + arc.least_s()
            if isinstance(arc.command, Renew | Poll):
                yield arc.target, when
            elif arc.target not in met:
                met.add(arc.target)
                pending.append((arc.target, when))


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
