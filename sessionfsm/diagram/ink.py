"""What all pictures share: colours for light and dark, and how numbers and texts are written into an SVG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias
from xml.sax.saxutils import escape

from .layout import Kind, Rect
from .words import shown

__all__ = ["DARK", "KINDS", "LIGHT", "Scheme", "colours_of", "number", "rectangle", "style_sheet", "text_of"]

Scheme: TypeAlias = Literal["auto", "light", "dark"]
"""``auto`` is dark where the reader prefers that, and light wherever it is not known."""

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "ink": "#1c2733",
    "soft": "#5a6775",
    "frame": "#f6f8fa",
    "edge": "#c5ced8",
    "happy": "#0b7a69",
    "happy-fill": "#e2f4ef",
    "renewal": "#2158b8",
    "renewal-fill": "#e6eefc",
    "trouble": "#ad4e08",
    "trouble-fill": "#fdf0e1",
    "plain": "#596573",
    "plain-fill": "#eef1f4",
}
DARK: Mapping[str, str] = {
    "paper": "#12171d",
    "ink": "#e8edf2",
    "soft": "#a3b0bd",
    "frame": "#181f27",
    "edge": "#3d4a58",
    "happy": "#4fd0b4",
    "happy-fill": "#11352e",
    "renewal": "#86b4ff",
    "renewal-fill": "#182c4b",
    "trouble": "#f4ab5f",
    "trouble-fill": "#3c2812",
    "plain": "#a9b5c1",
    "plain-fill": "#28313b",
}
KINDS: tuple[Kind, ...] = ("happy", "renewal", "trouble", "plain")


def colours_of(scheme: Scheme) -> Mapping[str, str]:
    """Return the colours for programs that know no style sheet: those of the light scheme, unless dark is asked for."""
    return DARK if scheme == "dark" else LIGHT


def style_sheet(scheme: Scheme) -> str:
    """
    Return the style sheet: names for the colours, and which part has which.

    Each part has its colour as an attribute, too, for programs that do not know custom properties.
    """
    values = _variables(colours_of(scheme))
    dark = f"@media (prefers-color-scheme: dark) {{ .sessionfsm {{ {_variables(DARK)} }} }}" if scheme == "auto" else ""
    kinds = [f".{kind} {{ --line: var(--{kind}); --fill: var(--{kind}-fill); }}" for kind in KINDS]
    rules = [
        f".sessionfsm {{ {values} }}",
        *([dark] if dark else []),
        *(f".sessionfsm {kind}" for kind in kinds),
        *(f".sessionfsm .{name} {{ fill: var(--{name}); }}" for name in ("paper", "ink", "soft")),
        ".sessionfsm .frame { fill: var(--frame); stroke: var(--edge); }",
        ".sessionfsm .box { fill: var(--fill); stroke: var(--line); }",
        ".sessionfsm .path { stroke: var(--line); }",
        ".sessionfsm .line { fill: var(--line); }",
    ]
    return "<style>\n" + "\n".join(rules) + "\n</style>"


def _variables(colours: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


def rectangle(rect: Rect, corner: float, look: str) -> str:
    """Return a rectangle with round corners; *look* are its attributes."""
    return (
        f'<rect {look} x="{number(rect.x)}" y="{number(rect.y)}" width="{number(rect.width)}" '
        f'height="{number(rect.height)}" rx="{number(corner)}"/>'
    )


def number(value: float) -> str:
    """Return a coordinate to a tenth of a pixel; the last bits of a computation do not show."""
    return f"{round(value, 1):g}" if abs(value) < 100_000 else f"{value:.1f}"


def text_of(text: str) -> str:
    """Return somebody else's words, fit for an element or a tooltip; each line by itself."""
    return escape("\n".join(shown(line) for line in text.split("\n")))
