"""What is compared: ratios of one run, and one run's ratios with another's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["BARE", "BETTER_HIGH", "LOSS", "cell_ratios", "losses", "quick_ratios"]

LOSS = 0.30
"""How much worse a ratio may be than the stored one."""

BETTER_HIGH = frozenset({"durable_vs_naive"})
"""Of all others, less is better."""

BARE = {"httpx_per_session": "httpx per session", "aiohttp": "aiohttp", "floor": "floor"}
"""The bare rows that ours is compared with, by their names in ratios."""

Rows = Mapping[str, Mapping[str, Any]]


def cell_ratios(rows: Rows) -> dict[str, float]:
    """
    Return ours against the bare rows of one cell; what was not measured is left out.

    ``cpu_vs_…`` is CPU for a poll, ``wave_vs_…`` for all answered at once, ``reset_vs_…`` for all reset at once.
    """
    ours, found = rows.get("ours", {}), {}
    for short, name in BARE.items():
        bare = rows.get(name, {})
        if "cycle_us" in ours and "cycle_us" in bare:
            found[f"cpu_vs_{short}"] = ours["cycle_us"] / bare["cycle_us"]
    for short, name in BARE.items():
        for what in ("wave", "reset"):
            if what in ours and what in rows.get(name, {}):
                found[f"{what}_vs_{short}"] = ours[what]["cpu_us"] / rows[name][what]["cpu_us"]
    if "kb_per_session" in ours:
        found["kb_per_session"] = ours["kb_per_session"]
    return found


def quick_ratios(rows: Rows, durable: Mapping[str, float]) -> dict[str, float]:
    """
    Return the ratios that are watched.

    Raises:
        KeyError: If one was not measured.
    """
    every = cell_ratios(rows)
    found = {name: every[name] for name in ("cpu_vs_httpx_per_session", "cpu_vs_aiohttp", "cpu_vs_floor")}
    found["durable_vs_naive"] = durable["ours_per_cpu_s"] / durable["naive_per_cpu_s"]
    found["kb_per_session"] = every["kb_per_session"]
    return found


def losses(stored: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    """
    Return, in words, which ratios are worse than the stored ones by more than :data:`LOSS`.

    Worse by 30 % means 1.3 times a figure of which less is better, and stored / 1.3 of one of which more is. A stored
    one that was not measured now is a loss too.
    """
    found = []
    for name, before in stored.items():
        if name not in now:
            found.append(f"{name} was {before:.3g} and was not measured")
            continue
        worse = before / now[name] if name in BETTER_HIGH else now[name] / before
        if worse > 1 + LOSS:
            found.append(f"{name} was {before:.3g} and is {now[name]:.3g}: {worse - 1:.0%} worse")
    return found
