"""
Draws what a session did: a run that was recorded, or the last part of one that goes on.

A :class:`Run` is what happened as plain values: :func:`read_run` takes it out of a trace, :func:`run_of` out of a live
session. :func:`run_diagram` is its path through the lifecycle, to be drawn by :mod:`sessionfsm.diagram`.
"""

from .page import MOST_REPLAYED, page
from .path import run_diagram
from .reading import MOST_RECORDS, read_run
from .recorded import run_from, run_of
from .run import End, Request, Run, SendMark, Stay, StepMark, Waiting
from .sequence import sequence_mermaid, sequence_svg
from .timeline import timeline_mermaid, timeline_svg

__all__ = [
    "MOST_RECORDS",
    "MOST_REPLAYED",
    "End",
    "Request",
    "Run",
    "SendMark",
    "Stay",
    "StepMark",
    "Waiting",
    "page",
    "read_run",
    "run_diagram",
    "run_from",
    "run_of",
    "sequence_mermaid",
    "sequence_svg",
    "timeline_mermaid",
    "timeline_svg",
]
