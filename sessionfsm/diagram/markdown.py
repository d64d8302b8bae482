"""The lifecycle as Markdown tables, for documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .arrows import arrows, ordered, row_sources
from .model import Arc, Diagram
from .overview import overview_of
from .terms import Detail
from .words import shown

__all__ = ["markdown"]

# What begins a tag, an entity, emphasis, code or a link; a "<" before a figure is itself.
_MARKUP = re.compile(r"[\\`*\[\]~]|<(?=[A-Za-z/!?])|&(?=[A-Za-z#])|(?<![^\W_])_|_(?![^\W_])")


def markdown(diagram: Diagram, *, detail: Detail = "full") -> str:
    """
    Return *diagram* as Markdown: what its states mean, every row, and when signals are raised.

    The overview is one table: what leads from where to where.
    """
    if detail == "overview":
        return _overview(overview_of(diagram))
    states = _table(("state", "meaning"), ((_code(box.name), _plain(box.meaning)) for box in diagram.boxes))
    sources = row_sources(diagram)
    rows = _table(
        ("trigger", "from", "when", "to", "memory", "command", "reason"),
        (
            (
                _code(arc.trigger),
                _listed(sources[arc.row]),
                _listed(arc.guards),
                _plain(arc.target),
                _listed(arc.updates),
                _plain(ordered(arc.command or "nothing", arc.figure)),
                _plain(arc.reason),
            )
            for arc in _rows(diagram)
        ),
    )
    parts = [states, rows]
    if diagram.signals:
        clearing = ", ".join(dict.fromkeys(_code(arc.trigger) for arc in _rows(diagram) if arc.clears_signals))
        parts.append(
            _table(
                ("signal", "raised by the command", "when"),
                ((_code(signal), _plain(command), _plain(when)) for signal, command, when in diagram.signals),
            )
        )
        parts.append(f"Every signal is cleared by {clearing}.\n" if clearing else "No signal is ever cleared.\n")
    return "\n".join(parts)


def _rows(diagram: Diagram) -> list[Arc]:
    """Return one arc for each row."""
    return list({arc.row: arc for arc in reversed(diagram.arcs)}.values())[::-1]


def _overview(diagram: Diagram) -> str:
    states = _table(
        ("state", "meaning"),
        ((_code(box.name), _listed(box.inside) if box.inside else _plain(box.meaning)) for box in diagram.boxes),
    )
    ways = _table(
        ("from", "to", "when"),
        (
            (_plain(arrow.source), _plain(arrow.target), ", ".join(_code(arc.trigger) for arc in arrow.arcs))
            for arrow in arrows(diagram.arcs)
        ),
    )
    return "\n".join([states, ways])


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(_plain(part) for part in parts)


def _code(text: str) -> str:
    """Return a name as code; in code nothing can be escaped, so a name with markup in it is plain text."""
    line = shown(text)
    return f"`{line}`" if line and not set(line) & set("`|\\") else _plain(text)


def _plain(text: str) -> str:
    line = _MARKUP.sub(lambda found: {"<": "&lt;", "&": "&amp;"}.get(found[0], f"\\{found[0]}"), shown(text))
    return line.replace("|", "&#124;")


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
