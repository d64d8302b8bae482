"""The figures that were aimed at, and what two runs of the matrix have found: one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .ratios import BARE
from .report import number

__all__ = ["TARGETS", "Run", "Target", "targets_page"]

_Cell = tuple[int, bool]  # sessions, TLS; on asyncio
_THOUSAND, _MOST, _OVER_TLS = (1000, False), (10_000, False), (1000, True)


class Run:
    """The results of one run of the matrix; what was not measured in it is ``None``."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self.alone: Mapping[str, Any] = results.get("alone", {})
        self._rows = {
            (cell["sessions"], cell["tls"]): cell["rows"] for cell in results["cells"] if cell["backend"] == "asyncio"
        }

    def of(self, cell: _Cell, row: str, *path: str) -> float | None:
        """Return a figure of a row, such as ``"reset", "cpu_us"``."""
        found: Any = self._rows.get(cell, {}).get(row, {})
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return None if found is None else float(found)

    def single(self, name: str, *, over: str, of: str) -> float | None:
        """Return a ratio of two figures that were measured without a row."""
        found = self.alone.get(name)
        return None if found is None else float(found[over] / found[of])


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """
    One figure that was aimed at.

    Attributes:
        figure: What it is.
        limit: The target.
        stretch: What would be better still; ``None`` if there is no such figure.
        shown: How a value is written.
        value: Finds it in a run.
        bare: What stands beside it: the same of bare rows, or nothing.
        least: More is better.
    """

    figure: str
    limit: float
    stretch: float | None
    shown: str
    value: Callable[[Run], float | None]
    bare: Callable[[Run, str], float | None] | None = None
    least: bool = False

    def met(self, value: float) -> bool:
        """Whether *value*, as it is written, is as good as the target."""
        written = float(format(value, self.shown))
        return written >= self.limit if self.least else written <= self.limit


def _over(above: float | None, below: float | None) -> float | None:
    return None if above is None or below is None else above / below


def _against(row: str, cell: _Cell, *path: str) -> Callable[[Run], float | None]:
    return lambda run: _over(run.of(cell, "ours", *path), run.of(cell, row, *path))


def _figure(cell: _Cell, *path: str) -> dict[str, Callable[..., float | None]]:
    """Return how ours and the bare rows are looked up, where the figure is theirs as it stands."""
    return {"value": lambda run: run.of(cell, "ours", *path), "bare": lambda run, row: run.of(cell, row, *path)}


def _growth(run: Run, row: str = "ours") -> float | None:
    return _over(run.of(_MOST, row, "cycle_us"), run.of(_THOUSAND, row, "cycle_us"))


TARGETS = (
    Target(
        figure="CPU for a poll, 1,000 sessions, against httpx with a client per session",
        limit=0.5,
        stretch=0.4,
        shown=".2f",
        value=_against("httpx per session", _THOUSAND, "cycle_us"),
    ),
    Target(
        figure="the same against aiohttp",
        limit=1.35,
        stretch=1.1,
        shown=".2f",
        value=_against("aiohttp", _THOUSAND, "cycle_us"),
    ),
    Target(
        figure="growth: 10,000 sessions over 1,000", limit=1.25, stretch=1.1, shown=".2f", value=_growth, bare=_growth
    ),
    Target(
        figure="KB per session, 1,000, plain", limit=30, stretch=22, shown=".1f", **_figure(_THOUSAND, "kb_per_session")
    ),
    Target(
        figure="KB per session, 1,000, TLS", limit=65, stretch=50, shown=".1f", **_figure(_OVER_TLS, "kb_per_session")
    ),
    Target(
        figure="delivery, 10,000, p50 in ms", limit=1, stretch=0.5, shown=".1f", **_figure(_MOST, "delivery_ms", "p50")
    ),
    Target(
        figure="delivery, 10,000, p99 in ms", limit=10, stretch=3, shown=".1f", **_figure(_MOST, "delivery_ms", "p99")
    ),
    Target(
        figure="all reset, CPU against aiohttp, 1,000",
        limit=1.5,
        stretch=1.0,
        shown=".2f",
        value=_against("aiohttp", _THOUSAND, "reset", "cpu_us"),
    ),
    Target(
        figure="the same at 10,000",
        limit=1.5,
        stretch=1.0,
        shown=".2f",
        value=_against("aiohttp", _MOST, "reset", "cpu_us"),
    ),
    Target(figure="cancel all, 10,000, in s", limit=1.5, stretch=1.0, shown=".1f", **_figure(_MOST, "cancel", "s")),
    Target(
        figure="durable inbound against one transaction per message",
        limit=7,
        stretch=10,
        shown=".1f",
        value=lambda run: run.single("durable", over="ours_per_cpu_s", of="naive_per_cpu_s"),
        least=True,
    ),
    Target(
        figure="-14 to the next poll in ms, 1,000",
        limit=5,
        stretch=3,
        shown=".1f",
        value=lambda run: run.of(_THOUSAND, "ours", "expiry_ms", "p50"),
    ),
    Target(
        figure="`--help` against a bare interpreter",
        limit=3,
        stretch=None,
        shown=".1f",
        value=lambda run: run.single("help", over="help_ms", of="bare_ms"),
    ),
)


def targets_page(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown; a value that misses its target is bold."""
    read = [Run(each) for each in runs]
    lines = [
        "# What was aimed at, and what was measured",
        "",
        "`python -m benchmarks.compare targets` writes this page from the stored runs of the matrix (see all.md).",
        "Ratios and figures are those of `ours`, on asyncio; a value in bold misses its target.",
        "",
        f"| | target | stretch | {' | '.join(f'run {which}' for which in range(1, len(read) + 1))} | bare rows |",
        f"|---|---|---|{'---|' * len(read)}---|",
    ]
    for target in TARGETS:
        sign = "≥" if target.least else "≤"
        stretch = "" if target.stretch is None else f"{sign} {target.stretch:g}"
        values = " | ".join(_written(target, target.value(run)) for run in read)
        lines.append(f"| {target.figure} | {sign} {target.limit:g} | {stretch} | {values} | {_beside(target, read)} |")
    return "\n".join(lines) + "\n"


def _written(target: Target, value: float | None) -> str:
    written = number(value, target.shown)
    return written if value is None or target.met(value) else f"**{written}**"


def _beside(target: Target, runs: Sequence[Run]) -> str:
    """Return what each bare row has, in each run."""
    if target.bare is None:
        return ""
    parts = []
    for row in BARE.values():
        values = [target.bare(run, row) for run in runs]
        if any(value is not None for value in values):
            parts.append(f"{row} {', '.join(number(value, target.shown) for value in values)}")
    return "; ".join(parts)
