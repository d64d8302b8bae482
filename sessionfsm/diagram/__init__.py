"""Draws a lifecycle: pictures and tables are read off the same table that is run."""

from .markdown import markdown
from .mermaid import mermaid
from .model import Arc, Box, Diagram, diagram_of
from .overview import overview_of
from .terms import Detail

__all__ = ["Arc", "Box", "Detail", "Diagram", "diagram_of", "markdown", "mermaid", "overview_of"]
