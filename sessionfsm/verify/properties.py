"""Decide P0 to P19 (docs/explanation/what-is-proved.md) on the reachable graph of a running machine."""

from __future__ import annotations

import gc
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from sessionfsm.errors import TriggerRefused
from sessionfsm.lifecycle import Ladder, Lifecycle, Machine, Own, Poll, Renew, Signal, Snapshot, Trigger, Wait

from . import bounds, shortest
from .bounds import Times
from .explore import LIMIT, Arc, Graph, explore
from .history import History, Scale, is_good, is_loss
from .report import Figures, Finding, Report
from .request_figures import most_requests
from .rules import NAMED, OF_SIGNALS, RULES, Rule, Seen, is_live, rules_for

__all__ = ["STATEMENTS", "decide"]

# Looked up once: on Python 3.11 finding a member of an enum takes longer than a check.
_STOP = Trigger.STOP
_CLOSED = Trigger.CLOSED
_STORE_FAILED = Trigger.STORE_FAILED
_RENEWAL_FAILED = Trigger.RENEWAL_FAILED
_SESSION_EXPIRED = Trigger.SESSION_EXPIRED
_Place: TypeAlias = tuple[int, History]
_NO_SIGNALS: frozenset[Signal] = frozenset()
_LONG_RUN = 100
"""Operations in a row, after which every earlier number has been tried on a later operation."""
ROUNDING_S = 1e-6
"""The same seconds, added up in another order, differ by less."""

STATEMENTS = {
    "P0": "every state is reachable; every live state can reach a good poll, and reaches stopped by stop and closed "
    "alone",
    "P1": "between a loss and the next poll, notifystart was called and has ended "
    '(with renewal="required": has succeeded)',
    "P2": "every wait lies in [½ · its rung, its ceiling]; no ceiling above 15 min, no first rung or pace below 1 s",
    "P3": "exactly one operation is outstanding in every live state, the one that the state names",
    "P4": "for every configuration and every trigger that can occur there, exactly one row applies; "
    "any other trigger is refused and changes nothing; a step tells what was done",
    "P5": "stop orders the close and nothing else; after closed there is no command until the next start",
    "P6": "two requests in a row start at most longest deadline + ceiling apart; two polls at most one renewal "
    "deadline more, unless notifystart itself is denied or a renewal that is required fails; all while the store works",
    "P7": "if every request that starts from t on is answered well, a good poll ends within "
    "longest deadline + ceiling + renewal deadline + poll deadline of t",
    "P8": "at most 10/3 · (W + 1) requests in any closed window of W seconds in which no poll brings new messages",
    "P9": "the k-th wait on a ladder since its reset is its k-th rung",
    "P10": "waits falls only by a good or a silent poll, denials only by a good poll, hurries only by polled, and all "
    "three by stop or new credentials; only polled makes a session trusted",
    "P11": "an outcome that does not carry the outstanding serial number changes nothing; no number is given twice "
    "in a run, and no session changes another",
    "P12": "only stop ends a session; start begins with a renewal",
    "P13": "the ladder follows the cause: session for a denied session, transport for everything else",
    "P14": "expired holds exactly from a loss until a renewal or a good poll succeeds, or new credentials come",
    "P15": "a poll is paced exactly by the schedule, and by nothing else",
    "P16": "the first loss of a trusted session, and every lapse, renews at once; a loss while not trusted waits",
    "P17": "no needless renewal: only after start, a wait, a lapse, or the first loss of a trusted session",
    "P18": "exactly three hollow answers in a row are a loss",
    "P19": "login_required is up from the n-th denial on (3 by default), renewal_blocked from the top of the transport "
    "ladder on if the session is lost, each until a good poll, stop or new credentials",
}


def decide(machine: Machine, limit: int = LIMIT, *, verdicts_only: bool = False) -> Report:
    """
    Search the whole reachable graph of *machine* and decide every property.

    Args:
        limit: After so many configurations the search gives up. What was broken so far is refuted; the rest undecided.
            So it is, too, if its sessions are of a class of a user's own and have attributes that no snapshot has.
        verdicts_only: Do not look for the figures, nor for the shortest of the runs that break a bound of time.
    """
    with _collector_paused():
        graph = explore(machine, limit)
        found = _decide_rules(graph)
        figures: Figures | None = None
        if graph.whole:
            times = Times(graph)
            found |= {number: check(graph) for number, check in _CHECKS.items()}
            found |= {number: check(graph, times, not verdicts_only) for number, check in _TIME_CHECKS.items()}
            if not verdicts_only and not graph.unseen:
                figures = _figures(times)
        else:
            found |= {number: _finding(number, None) for number in (*_CHECKS, *_TIME_CHECKS)}
        if why := _left_open(graph):
            found = {number: finding if finding.why else _undecided(number, why) for number, finding in found.items()}
    return Report(
        policy=graph.policy,
        table=machine.table.name,
        states=len(graph.nodes),
        transitions=graph.transitions,
        properties={number: found[number] for number in STATEMENTS},
        figures=figures,
    )


def _figures(times: Times) -> Figures:
    def bounded(length_s: float) -> float | None:
        return None if math.isinf(length_s) else length_s

    return Figures(
        longest_silence_s=bounded(times.silence[0]),
        longest_between_polls_s=bounded(times.between_polls[0]),
        longest_resumption_s=bounded(times.resumption[0]),
        most_requests=most_requests(times.graph),
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    # The graph grows to some hundred thousand objects, none of them garbage: the collector would walk through them
    # again and again, for a third of the time that the search takes.
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _finding(
    number: str, why: str | None, path: list[Arc] | None = None, figure: tuple[float, str] | None = None
) -> Finding:
    return Finding(
        id=number,
        statement=STATEMENTS[number],
        verdict="proved" if why is None else "refuted",
        figure=figure,
        why=why or "",
        counterexample=tuple(path or ()) if why else (),
    )


def _left_open(graph: Graph) -> str:
    """Return why nothing that was not refuted is proved; empty if there is no reason."""
    if not graph.whole:
        return f"the search gave up at {len(graph.nodes):,} configurations; so far nothing was found"
    if graph.unseen:
        return (
            f"its sessions remember more than the search can see ({', '.join(graph.unseen)}); so far nothing was found"
        )
    return ""


def _undecided(number: str, why: str) -> Finding:
    return Finding(id=number, statement=STATEMENTS[number], verdict="undecided", why=why)


def _decide_rules(graph: Graph) -> dict[str, Finding]:
    """Walk machine and history side by side, breadth first, so that the first break found is a shortest one."""
    policy, nodes = graph.policy, graph.nodes
    scale = Scale.of(policy)
    named = dict(NAMED)
    for snapshot in nodes:
        named.setdefault(snapshot.state, type(snapshot.outstanding))
    start = (0, History())
    came: dict[_Place, tuple[_Place, Arc] | None] = {start: None}
    queue = deque([start])
    rules: dict[tuple[str, type], list[tuple[str, Rule]]] = {}
    of_signals = [(number, RULES[number]) for number in OF_SIGNALS]
    judged: set[tuple[int, History]] = set()
    broken: dict[str, tuple[str, list[Arc]]] = {}
    while queue:
        here = queue.popleft()
        node, history = here
        before, told = nodes[node], None
        apart_from_signals = (graph.alike[node], history._replace(signals=_NO_SIGNALS) if history.signals else history)
        again = apart_from_signals in judged
        judged.add(apart_from_signals)
        renewing = isinstance(before.outstanding, Renew)
        for arc in graph.arcs[node]:
            _, target, move, step, _, _ = arc
            if step is told:  # the same with other news: nothing here looks at that
                continue
            told = step
            trigger, command, after = move.trigger, step.command, nodes[target]
            then = history.after(trigger, command, scale, renewing=renewing)
            kind = (trigger, type(command))
            speaking = rules.get(kind)
            if speaking is None:
                speaking = rules[kind] = rules_for(*kind)
            loss = is_loss(trigger, history)
            seen = Seen(policy, before, after, trigger, command, history, then, loss, named[after.state])
            for number, rule in of_signals if again else speaking:
                if (why := rule(seen)) and number not in broken:
                    broken[number] = (why, [*_path(came, here), arc])
            there = (target, then)
            if there not in came:
                came[there] = (here, arc)
                queue.append(there)
    return {number: _finding(number, *broken.get(number, (None,))) for number in RULES}


def _path(came: dict[_Place, tuple[_Place, Arc] | None], at: _Place) -> list[Arc]:
    path: list[Arc] = []
    while (link := came[at]) is not None:
        at, arc = link
        path.append(arc)
    return path[::-1]


def _p0(graph: Graph) -> Finding:
    met = {node.state for node in graph.nodes}
    missing = [state for state in graph.machine.states if state not in met]
    if missing:
        return _finding("P0", f"the state {missing[0]} cannot be reached")
    into: list[list[int]] = [[] for _ in graph.nodes]
    hopeful: deque[int] = deque()
    for node, arcs in enumerate(graph.arcs):
        for arc in arcs:
            into[arc.target].append(node)
            if is_good(arc.move.trigger):
                hopeful.append(node)
    reaching = set(hopeful)
    while hopeful:
        for node in into[hopeful.popleft()]:
            if node not in reaching:
                reaching.add(node)
                hopeful.append(node)
    for node, snapshot in enumerate(graph.nodes):
        if not is_live(snapshot):
            continue
        if node not in reaching:
            return _finding("P0", f"from a reachable {snapshot.state} no good poll can be reached", graph.way_to(node))
        ends = [
            last.target
            for first in graph.arcs[node]
            if first.move.trigger == _STOP
            for last in graph.arcs[first.target]
            if last.move.trigger == _CLOSED
        ]
        if not ends or any(graph.nodes[end].outstanding or graph.nodes[end].state != _initial(graph) for end in ends):
            why = f"from a reachable {snapshot.state}, stop and closed do not lead to {_initial(graph)}"
            return _finding("P0", why, graph.way_to(node))
    return _finding("P0", None)


def _initial(graph: Graph) -> str:
    return graph.nodes[0].state


def _p2(graph: Graph) -> Finding:
    waits = [node.outstanding.ceiling_s for node in graph.nodes if isinstance(node.outstanding, Wait)]
    odd = bounds.odd_waits(graph)
    why, path = (odd[0], graph.way_to(odd[1])) if odd is not None else (None, [])
    return _finding("P2", why, path, (max(waits, default=0.0), "s"))


def _p4(graph: Graph) -> Finding:
    machine, session = graph.machine, graph.machine.session()
    triggers, nodes = machine.triggers, graph.nodes
    for arcs in graph.arcs:
        for source, target, _, step, _, _ in arcs:
            before, after = nodes[source], nodes[target]
            up, now = before.signals, after.signals
            told = (step.source, step.target, step.before, step.after, (up | step.raised) - step.cleared)
            if told != (before.state, after.state, before.memory, after.memory, now):
                why = f"after {step.trigger} in {before.state} the step tells something else than was done"
                return _finding("P4", why, [*graph.way_to(source), next(arc for arc in arcs if arc.step is step)])
    if graph.refused:
        node, move = graph.refused[0]
        why = f"{move.trigger} can occur in {graph.nodes[node].state}, and there is no row for it"
        return _finding("P4", why, graph.way_to(node))
    asked = set()
    for node, snapshot in enumerate(graph.nodes):
        place = snapshot[:2]
        if place in asked:  # which rows apply is a matter of state and memory alone
            continue
        asked.add(place)
        possible = {arc.move.trigger for arc in graph.arcs[node]}
        for trigger in possible:
            rows = len(machine.applicable(*place, trigger))
            if rows != 1:
                return _finding("P4", f"{rows} rows apply to {trigger} in {snapshot.state}", graph.way_to(node))
        session.restore(snapshot)
        for trigger in triggers:
            if trigger in possible:
                continue
            try:
                if session.handle(trigger, serial=0) is None:
                    continue
            except TriggerRefused:
                continue
            why = f"{trigger} cannot occur in {snapshot.state}, and yet it is accepted"
            return _finding("P4", why, graph.way_to(node))
        if _changed(session, snapshot):
            why = f"what cannot occur in {snapshot.state} was refused, and yet it changed something"
            return _finding("P4", why, graph.way_to(node))
    return _finding("P4", None)


def _changed(session: Lifecycle, snapshot: Snapshot) -> bool:
    return (session.state, session.memory, session.signals, session.outstanding) != snapshot


def _p6(graph: Graph, times: Times, shorten: bool) -> Finding:
    policy = graph.policy
    (silence, path), (between_polls, poll_path) = times.silence, times.between_polls
    for (length, cycle), kinds, excused in (
        (times.silence, (Renew, Poll), times.store_failed),
        (times.between_polls, (Poll,), times.excused),
    ):
        if math.isinf(length):
            run = _from_start(graph, cycle)
            if shorten:
                run = shortest.endless(graph, shortest.quiet_arcs(graph, kinds, excused), run)
            return _finding("P6", "there is a cycle without a request: silence is not bounded", run)
    hints = (None, math.nan, math.inf, -1.0, 0.0, 1.0, 35_000.0, 3_600_000.0, 1e300)
    longest = max(policy.poll_deadline_s(hint) for hint in hints)
    if longest > policy.longest_poll_s:
        return _finding("P6", f"a hint of the server can make a poll last {longest:g} s")
    figure = (silence, "s")
    for node, snapshot in enumerate(graph.nodes):
        renewal = snapshot.outstanding
        if isinstance(renewal, Renew) and renewal.deadline_s != policy.renewal_deadline_s:
            why = f"a renewal has a deadline of {renewal.deadline_s:g} s, not of {policy.renewal_deadline_s:g} s"
            return _finding("P6", why, graph.way_to(node), figure)
    bound = policy.silence_bound_s + _own_s(graph)
    most = min(bound, 1200) + ROUNDING_S
    if silence > most:
        why, excused = f"two requests in a row can be {silence:g} s apart", times.store_failed
        kinds = (Renew, Poll)
    elif between_polls > (most := bound + policy.renewal_deadline_s + ROUNDING_S):
        why, excused = f"two polls in a row can be {between_polls:g} s apart", times.excused
        kinds, path = (Poll,), poll_path
    else:
        return _finding("P6", None, figure=figure)
    shown = shortest.most_time_between(graph, kinds, most, excused) if shorten else None
    return _finding("P6", why, shown or _from_start(graph, path), figure)


def _own_s(graph: Graph) -> float:
    """What pauses and operations of a user's own may add to a silence: each of them once."""
    own: dict[str, float] = {}
    for node in graph.nodes:
        match node.outstanding:
            case Wait(ladder=name, ceiling_s=most) if name not in tuple(Ladder):
                own[name] = most
            case Own(name=name, deadline_s=most):
                own[name] = most
    return sum(own.values())


def _p7(graph: Graph, times: Times, shorten: bool) -> Finding:
    longest, path = times.resumption
    if math.isinf(longest):
        run = _from_start(graph, path)
        if shorten:
            run = shortest.endless(graph, shortest.good_arcs(graph), run)
        return _finding("P7", "good answers alone do not lead to a good poll", run)
    most = graph.policy.resumption_bound_s + _own_s(graph) + ROUNDING_S
    if longest <= most:
        return _finding("P7", None, figure=(longest, "s"))
    shown = shortest.most_time_to_resume(graph, most) if shorten else None
    return _finding("P7", f"resumption can take {longest:g} s", shown or _from_start(graph, path), (longest, "s"))


def _p8(graph: Graph, _: Times, shorten: bool) -> Finding:
    excess, path = bounds.most_excess(graph, bounds.RATE)
    figure = (excess, "requests above 10/3 a second")
    if excess <= bounds.RATE + 1e-9:
        return _finding("P8", None, figure=figure)
    why = f"a window of W seconds can have {excess:.3g} + 10/3 · W requests or more"
    run = shortest.too_many_requests(graph, bounds.RATE, bounds.RATE + 1e-9) if shorten else None
    return _finding("P8", why, run or _from_start(graph, path), figure)


def _from_start(graph: Graph, path: list[Arc]) -> list[Arc]:
    """Return *path* with a shortest way to its beginning."""
    return [*graph.way_to(path[0].source), *path] if path else path


def _p11(graph: Graph) -> Finding:
    for arcs in graph.arcs:
        for arc in arcs:
            if arc.command is not None and arc.command.serial == 0:  # that of the operation which has just ended
                why = f"after {arc.move.trigger} the new operation has the number of the old one"
                return _finding("P11", why, [*graph.way_to(arc.source), arc])
    session = graph.machine.session()
    external = graph.machine.external
    for node, snapshot in enumerate(graph.nodes):
        session.restore(snapshot)
        for trigger in {arc.move.trigger for arc in graph.arcs[node]} - external:  # any other one is refused (P4)
            for stale in (-1, 1, None):
                try:
                    dropped = session.handle(trigger, serial=stale) is None
                except TriggerRefused:
                    dropped = True  # code of a user's own may refuse what ours drops
                if not dropped:
                    return _finding("P11", f"a late {trigger} is not dropped in {snapshot.state}", graph.way_to(node))
        if _changed(session, snapshot):
            why = f"a late outcome that was dropped changed something in {snapshot.state}"
            return _finding("P11", why, graph.way_to(node))
    return _numbers_of_a_run(graph)


def _numbers_of_a_run(graph: Graph) -> Finding:
    """Make one long run without going back, beside another session: numbers only grow, and each counts once."""
    session, other = graph.machine.session(), graph.machine.session()
    untouched = other.snapshot()
    node, given, path = 0, list[int](), list[Arc]()
    while len(given) < _LONG_RUN and graph.arcs[node]:
        arcs = [arc for arc in graph.arcs[node] if arc.move.trigger != _STOP] or graph.arcs[node]
        arc = arcs[len(path) % len(arcs)]
        trigger = arc.move.trigger
        try:
            late = trigger not in graph.machine.external
            if late and any(session.handle(trigger, serial=old) is not None for old in given[:-1]):
                return _finding("P11", f"{trigger} with the number of an earlier operation is not dropped", path)
            step = session.handle(trigger, serial=given[-1] if given else None)
        except TriggerRefused:
            step = None
        path.append(arc)
        if step is None or session.state != graph.nodes[arc.target].state:
            return _finding("P11", "a run that is not gone back in leads elsewhere than its steps do", path)
        if step.command is not None:
            if given and step.command.serial <= max(given):
                return _finding("P11", f"the number {step.command.serial} is given again", path)
            given.append(step.command.serial)
        node = arc.target
    if other.snapshot() != untouched:
        return _finding("P11", "one session's run has changed another session", path)
    return _finding("P11", None)


_CHECKS: dict[str, Callable[[Graph], Finding]] = {
    "P0": _p0,
    "P2": _p2,
    "P4": _p4,
    "P11": _p11,
}
_TIME_CHECKS: dict[str, Callable[[Graph, Times, bool], Finding]] = {"P6": _p6, "P7": _p7, "P8": _p8}
