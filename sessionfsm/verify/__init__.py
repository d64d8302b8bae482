"""Decides the properties of a lifecycle by searching everything that the running machine can do."""

from .explore import Arc, Graph, Move, explore, moves
from .properties import STATEMENTS, decide
from .report import Figures, Finding, Report, Verdict

__all__ = [
    "STATEMENTS",
    "Arc",
    "Figures",
    "Finding",
    "Graph",
    "Move",
    "Report",
    "Verdict",
    "decide",
    "explore",
    "moves",
]
