"""Draws a lifecycle: pictures and tables are read off the same table that is run."""

from .markdown import markdown
from .mermaid import mermaid

__all__ = ["markdown", "mermaid"]
