"""Every format that a lifecycle can be written in, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from sessionfsm.errors import DefinitionError

from .dot import dot
from .markdown import markdown
from .mermaid import mermaid
from .model import Diagram
from .plantuml import plantuml
from .scxml import scxml
from .svg import svg
from .table_json import table_json
from .terms import Detail
from .text import text

__all__ = ["FORMATS", "Format", "format_of"]


class _Renderer(Protocol):
    def __call__(self, diagram: Diagram, *, detail: Detail) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """
    A way to write a lifecycle down.

    Attributes:
        render: Writes it; the same diagram gives the same text, byte for byte.
        suffixes: How files in it end; the first is what we call ours.
        figures: Whether figures are on it if nobody asked for a policy. Where they are not, it shows the table alone.
    """

    render: _Renderer
    suffixes: tuple[str, ...]
    figures: bool = True


def _json(diagram: Diagram, *, detail: Detail) -> str:
    if detail != "full":
        raise DefinitionError("JSON is the whole table; there is no overview of it: leave the detail out")
    return table_json(diagram.table)


FORMATS: Mapping[str, Format] = {
    "mermaid": Format(render=mermaid, suffixes=(".mmd", ".mermaid"), figures=False),
    "svg": Format(render=svg, suffixes=(".svg",)),
    "dot": Format(render=dot, suffixes=(".dot", ".gv")),
    "plantuml": Format(render=plantuml, suffixes=(".puml", ".plantuml")),
    "scxml": Format(render=scxml, suffixes=(".scxml",)),
    "json": Format(render=_json, suffixes=(".json",)),
    "markdown": Format(render=markdown, suffixes=(".md", ".markdown"), figures=False),
    "text": Format(render=text, suffixes=(".txt",)),
}


def format_of(file: str) -> str | None:
    """Return the name of the format that a file is in, by its suffix; ``None`` if that says nothing."""
    suffix = PurePath(file).suffix.lower()
    return next((name for name, each in FORMATS.items() if suffix in each.suffixes), None)
