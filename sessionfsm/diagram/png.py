"""A picture as PNG, for places that take no SVG; needs the extra ``sessionfsm[png]``."""

from __future__ import annotations

import re
from typing import Protocol

from sessionfsm.errors import DefinitionError

__all__ = ["png"]

ZOOM = 2.0
"""Pixels of the PNG for each of the picture: sharp on the screens that people have."""

_LETTER = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20" font-family="Arial, sans-serif">'
    '<text x="2" y="16" font-size="16">{}</text></svg>'
)


class _Render(Protocol):
    def __call__(self, *, svg_string: str, zoom: float) -> bytes: ...


def png(svg: str, *, zoom: float = ZOOM) -> bytes:
    """
    Return one of our pictures as PNG.

    Its texts are set in the fonts of this machine, so another machine may give other bytes.

    Args:
        svg: As :func:`~sessionfsm.diagram.svg` or a function of :mod:`sessionfsm.show` returned it. With the scheme
            ``auto`` it becomes a light one.
        zoom: Pixels of the PNG for each pixel of the picture.

    Raises:
        DefinitionError: If the package is missing, this machine has no font, or it is none of our pictures.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise DefinitionError("PNG needs the package resvg-py: pip install 'sessionfsm[png]'") from None
    render: _Render = svg_to_bytes
    if render(svg_string=_LETTER.format("x"), zoom=1.0) == render(svg_string=_LETTER.format(""), zoom=1.0):
        raise DefinitionError("this machine has no font to write with; install one, such as Liberation Sans")
    # The renderer knows no custom properties; all parts have their colours as attributes as well.
    plain = re.sub(r"<style>.*?</style>", "", svg, flags=re.DOTALL)
    try:
        return bytes(render(svg_string=plain, zoom=zoom))
    except ValueError as error:
        raise DefinitionError(f"this is no picture of ours: {error}") from None
