"""A run along an axis of time: where the session was, and what it asked, got, waited for and sent."""

from __future__ import annotations

from sessionfsm.diagram.ink import Scheme, colours_of, number, style_sheet, text_of
from sessionfsm.diagram.text_width import FONTS
from sessionfsm.errors import DefinitionError

from .run import Run
from .timeline_draw import Drawing
from .timeline_gantt import timeline_mermaid
from .timeline_layout import placed
from .timeline_legend import legend_of
from .times import length_of

__all__ = ["timeline_mermaid", "timeline_svg"]

NARROWEST = 480
WIDEST = 20_000
BELOW = 12.0


def timeline_svg(run: Run, *, scheme: Scheme = "auto", width: int = 830) -> str:
    """
    Return the run's timeline as an SVG document, the same for the same run to the last byte.

    Every stay, request, wait, send, signal and record is there. What is too short to be seen is drawn three pixels
    wide; what has no room then is gathered into one mark that says how many it stands for. So the text is bounded by
    the width, not by the run.

    For scripts the root has ``data-x0`` and ``data-x1`` (the axis, in pixels) with ``data-t0`` and ``data-t1`` (the
    same in seconds of the run), and each mark has ``data-from`` and ``data-until`` in seconds, ``data-count`` if it
    stands for several, and ``data-record``, the number of its record, if there is one.

    Args:
        scheme: ``auto`` is dark where the reader prefers that, and light wherever it is not known.
        width: In pixels.

    Raises:
        DefinitionError: If *width* is not from 480 to 20,000.
    """
    if not NARROWEST <= width <= WIDEST:
        raise DefinitionError(f"a timeline is {NARROWEST} to {WIDEST:,} pixels wide, not {width:,}")
    sheet = placed(run, float(width))
    legend, height = legend_of(sheet, colours_of(scheme))
    size = number(sheet.bottom + height + BELOW)
    scale = sheet.scale
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" class="sessionfsm timeline" role="img" '
        'aria-labelledby="timeline-title timeline-desc" '
        f'data-x0="{number(scale.left)}" data-x1="{number(scale.right)}" '
        f'data-t0="{scale.from_s:.6f}" data-t1="{scale.until_s:.6f}" '
        f'viewBox="0 0 {width} {size}" width="{width}" height="{size}" font-family="{FONTS}" font-size="12">',
        f'<title id="timeline-title">{text_of(sheet.title)}</title>',
        f'<desc id="timeline-desc">{text_of(_description(run))}</desc>',
        style_sheet(scheme),
        f'<rect class="paper" width="{width}" height="{size}" rx="10" fill="{colours_of(scheme)["paper"]}"/>',
        *Drawing(run, sheet, colours_of(scheme)).parts(),
        *legend,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _description(run: Run) -> str:
    polls = sum(request.polls for request in run.requests if request.kind == "poll")
    renewals = sum(request.kind == "renew" for request in run.requests)
    return (
        f"A timeline of {length_of(run.until_s - run.from_s)}: {len(run.steps):,} records, "
        f"{len(run.stays):,} stays, {polls:,} polls, {renewals:,} renewals, "
        f"{len(run.waits):,} waits and {len(run.sends):,} sends."
    )
