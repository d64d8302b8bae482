"""
Draws a lifecycle: pictures and tables are read off the same table that is run.

A :class:`Diagram` is a lifecycle as plain values. Each format has a function from a diagram to text; ``FORMATS`` has
them by name. :func:`table_json` and :func:`table_from_json` write a table down and read it back.
"""

from .dot import dot
from .formats import FORMATS, Format, format_of
from .markdown import markdown
from .mermaid import mermaid
from .model import Arc, Box, Diagram, diagram_of
from .overview import overview_of
from .plantuml import plantuml
from .png import png
from .scxml import scxml
from .svg import svg
from .table_json import table_from_json, table_json
from .terms import Detail
from .text import text

__all__ = [
    "FORMATS",
    "Arc",
    "Box",
    "Detail",
    "Diagram",
    "Format",
    "diagram_of",
    "dot",
    "format_of",
    "markdown",
    "mermaid",
    "overview_of",
    "plantuml",
    "png",
    "scxml",
    "svg",
    "table_from_json",
    "table_json",
    "text",
]
