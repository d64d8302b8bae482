"""Decides the properties of a lifecycle by searching everything that the running machine can do."""

from .explore import Arc, Graph, Move, explore, moves
from .properties import STATEMENTS, Finding, decide

__all__ = ["STATEMENTS", "Arc", "Finding", "Graph", "Move", "decide", "explore", "moves"]
