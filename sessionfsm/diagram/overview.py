"""A lifecycle for a slide: the states in which a session lives are one box, and only what leads in and out is said."""

from __future__ import annotations

import math
from dataclasses import replace

from .model import Arc, Box, Diagram, id_part, sum_of

__all__ = ["overview_of"]


def overview_of(diagram: Diagram) -> Diagram:
    """
    Return *diagram* with its live states in one box, and with nothing at its arcs but their triggers.

    The live states are those that share a way out. Where no two states do, every state keeps its box.
    """
    live = _live(diagram)
    name = _free_name(diagram, live)
    boxes: list[Box] = []
    for box in diagram.boxes:
        if box.name not in live:
            boxes.append(box)
        elif not any(each.inside for each in boxes):
            boxes.append(
                Box(
                    id=f"state-{id_part(name)}",
                    name=name,
                    meaning="A session is alive in these states.",
                    inside=live,
                    share=_share(diagram, live),
                )
            )
    arcs: dict[tuple[str, str, str], Arc] = {}
    for arc in diagram.arcs:
        source = name if arc.source in live else arc.source
        target = name if arc.target in live else arc.target
        if source != target:
            whole = f"arc-{id_part(source)}-{id_part(arc.trigger)}-{id_part(target)}"
            bare = replace(arc, guards=(), updates=(), command="", figure="")
            one = arcs.get(
                (source, arc.trigger, target), replace(bare, id=whole, source=source, target=target, taken=None)
            )
            arcs[source, arc.trigger, target] = replace(one, taken=sum_of([one.taken, arc.taken]))
    return replace(
        diagram,
        initial=name if diagram.initial in live else diagram.initial,
        now=name if diagram.now in live else diagram.now,
        boxes=tuple(boxes),
        arcs=tuple(arcs.values()),
        frame=(),
    )


def _share(diagram: Diagram, live: tuple[str, ...]) -> float | None:
    shares = [box.share for box in diagram.boxes if box.name in live and box.share is not None]
    return math.fsum(shares) if shares else None


def _live(diagram: Diagram) -> tuple[str, ...]:
    if diagram.frame:
        return diagram.frame
    ways: dict[tuple[str, str], list[str]] = {}
    for arc in diagram.arcs:
        if arc.source not in (arc.target, diagram.initial):
            sources = ways.setdefault((arc.trigger, arc.target), [])
            if arc.source not in sources:
                sources.append(arc.source)
    widest = max(ways.values(), key=len, default=[])
    return tuple(box.name for box in diagram.boxes if box.name in widest) if len(widest) > 1 else ()


def _free_name(diagram: Diagram, live: tuple[str, ...]) -> str:
    name = "live"
    while any(box.name == name for box in diagram.boxes if box.name not in live):
        name += " states"
    return name
