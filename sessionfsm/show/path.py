"""The lifecycle with the path on it that a run took."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from sessionfsm.diagram import Box, Diagram

from .run import Run

__all__ = ["counts_of", "run_diagram"]


def run_diagram(run: Run) -> Diagram:
    """
    Return the lifecycle with what the run made of it: how often it took each arc, how long it was in each state.

    :func:`~sessionfsm.diagram.svg` and :func:`~sessionfsm.diagram.mermaid` show that.
    """
    taken = counts_of(run)
    return replace(
        run.diagram,
        boxes=tuple(_visited(box, run) for box in run.diagram.boxes),
        arcs=tuple(replace(arc, taken=taken[arc.id]) for arc in run.diagram.arcs),
        now=run.state,
        over=run.end == "closed",
    )


def counts_of(run: Run) -> Counter[str]:
    """Return how often the run took each arc, by the arc's id."""
    taken = Counter(step.arc for step in run.steps)
    for step in run.steps:
        if step.record.quiet is not None:
            taken[step.quiet_arc] += step.record.quiet.polls
    for request in run.requests:
        if request.quiet_arc:
            taken[request.quiet_arc] += request.polls
    return taken


def _visited(box: Box, run: Run) -> Box:
    stays = sum(stay.state == box.name for stay in run.stays)
    whole = run.until_s - run.from_s
    return replace(box, share=run.time_in(box.name) / whole if whole else float(stays > 0), stays=stays)
