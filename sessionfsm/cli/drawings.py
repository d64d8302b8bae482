"""Where a drawing goes: into a file, or to standard output; as it was drawn, or as PNG."""

from __future__ import annotations

from sessionfsm.diagram import png

from .lines import LineWriter, standard_output
from .writing import replace_file, write_bytes

__all__ = ["put"]

_MOST_LINES = 1_000_000


def put(drawn: str, *, dots: bool, output: str | None) -> None:
    """
    Write a drawing.

    Args:
        drawn: The text of it.
        dots: Whether it is an SVG and is wanted as PNG.
        output: The file; ``None`` for standard output.

    Raises:
        CommandError: If it cannot be written.
        DefinitionError: If there can be no PNG here.
    """
    data = png(drawn) if dots else drawn.encode("utf-8")
    if output is not None:
        replace_file(output, data)
    elif dots:
        write_bytes(data)
    else:
        writer = LineWriter(standard_output(), limit=_MOST_LINES)
        for line in drawn.removesuffix("\n").split("\n"):
            writer.put(line)
        writer.close()
        writer.check()
