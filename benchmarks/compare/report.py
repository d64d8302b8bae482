"""How results are written down: JSON, a page with tables of ratios, and a plot."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from xml.sax.saxutils import escape

from .ratios import BARE, cell_ratios
from .rows import RENEWING, ROWS

__all__ = ["machine", "number", "page", "plot"]

_PACKAGES = ("sessionfsm", "anyio", "httpx", "httpcore", "h11", "aiohttp", "uvloop", "trio", "transitions", "msgspec")
_COLOURS = {
    "ours": "#1b6ca8",
    "manager": "#6fa8d0",
    "httpx per session": "#c1666b",
    "httpx shared": "#e0a3a6",
    "aiohttp": "#d4a04c",
    "floor": "#8a8f98",
}
_BAR, _GAP, _LEFT, _WIDTH, _LABEL = 14, 18, 190, 430, 90


def machine() -> dict[str, Any]:
    """Return what has to be known of the machine and of the versions. It names neither host nor folder."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "versions": versions,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line for line in file if line.startswith("model name")]
    except OSError:
        lines = []
    return lines[0].partition(":")[2].strip() if lines else platform.processor() or "unknown"


def page(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    known = results["machine"]
    lines = [
        "# What a session costs",
        "",
        f"Measured on {known['system']}, {known['processor']}, {known['cores']} cores; Python {known['python']}, "
        + ", ".join(f"{name} {number}" for name, number in known["versions"].items())
        + f", SQLite {known['sqlite']}.",
        "`make bench` writes this page; `benchmarks/compare/rows` has the programs that are compared.",
        "`ours` is the whole library, with machine, store and writer: sessions that share them. `manager` is a",
        "`SessionManager`, which lets at most 200 sessions a second begin or renew: it ramps and comes back that fast.",
        "The bare rows poll, decode, and do nothing else.",
        "CPU is that of the client's process, all of its threads, in microseconds; all rows of a table ran in turns.",
        "A poll is answered when the one before has come again, so that nobody saves by answers that wait together.",
        "",
    ]
    for cell in results["cells"]:
        lines += _cell(cell)
    alone = results.get("alone", {})
    if alone:
        lines += ["## Alone", "", *_alone(alone), ""]
    return "\n".join(lines)


def _alone(alone: Mapping[str, Any]) -> list[str]:
    lines = []
    if durable := alone.get("durable"):
        ours, naive = durable["ours_per_cpu_s"], durable["naive_per_cpu_s"]
        lines.append(
            f"- Durable inbound messages per CPU second, one session, batches of 100: {ours:,.0f}; with a transaction "
            f"for each message and each mark {naive:,.0f} ({ours / naive:.1f} times)."
        )
    if "disk_sync_ms" in alone:
        lines.append(
            f"- 4 KiB appended and synced to the same disk: {alone['disk_sync_ms']:.1f} ms. Ours delivers a "
            "message when it is on the disk, so that this is in its delivery time, and in nobody else's."
        )
    if "trigger_us" in alone:
        lines.append(f"- One trigger of the machine: {alone['trigger_us']:.1f} µs.")
    if start := alone.get("help"):
        ratio = start["help_ms"] / start["bare_ms"]
        lines.append(
            f"- `sessionfsm --help`: {start['help_ms']:.0f} ms of CPU; a bare interpreter {start['bare_ms']:.0f} ms "
            f"({ratio:.1f} times)."
        )
    return lines


def _cell(cell: Mapping[str, Any]) -> list[str]:
    rows: Mapping[str, Mapping[str, Any]] = cell["rows"]
    lines = [f"## {_title(cell)}", ""]
    if "missing" in cell:
        return [*lines, f"Not measured: {cell['missing']}.", ""]
    lines += [
        "| | CPU per poll | KB per session | delivery p50 / p99 ms | ramp s | CPU per session: ramp | all answered "
        "| all reset | cancel all s | server, of a core |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in ROWS:
        if name in rows:
            lines.append(f"| {name} | {' | '.join(_columns(rows[name]))} |")
    lines.append("")
    if ratios := cell_ratios(rows):
        lines += ["| ours against | CPU per poll | all answered | all reset |", "|---|---|---|---|"]
        for short, name in BARE.items():
            each = [number(ratios.get(f"{what}_vs_{short}"), ".2f") for what in ("cpu", "wave", "reset")]
            if any(value != "n/a" for value in each):
                lines.append(f"| {name} | {' | '.join(each)} |")
        lines.append("")
    for name in RENEWING:
        if expiry := rows.get(name, {}).get("expiry_ms"):
            words = (
                f"From -14 to the next poll, {name}: {expiry['p50']:.1f} ms (median), {expiry['most']:.1f} ms at most."
            )
            lines += [words, ""]
    missing = [f"- {name}: {row['missing']}" for name, row in rows.items() if "missing" in row]
    return [*lines, *missing, ""] if missing else lines


def _title(cell: Mapping[str, Any]) -> str:
    sessions = "1 session" if cell["sessions"] == 1 else f"{cell['sessions']:,} sessions"
    return f"{sessions}, {'TLS' if cell['tls'] else 'plain'}, {cell['backend']}"


def _columns(row: Mapping[str, Any]) -> list[str]:
    delivery = row.get("delivery_ms", {})
    return [
        number(row.get("cycle_us"), ".0f"),
        number(row.get("kb_per_session"), ".1f"),
        f"{number(delivery.get('p50'), '.1f')} / {number(delivery.get('p99'), '.1f')}" if delivery else "n/a",
        number(row.get("ramp", {}).get("s"), ".2f"),
        number(row.get("ramp", {}).get("cpu_us"), ".0f"),
        number(row.get("wave", {}).get("cpu_us"), ".0f"),
        number(row.get("reset", {}).get("cpu_us"), ".0f"),
        number(row.get("cancel", {}).get("s"), ".2f"),
        number(row.get("server_share"), ".0%"),
    ]


def number(value: float | None, how: str) -> str:
    """Return *value* as it is written; what was not measured says so."""
    return "n/a" if value is None else format(value, how)


def plot(cells: Sequence[Mapping[str, Any]]) -> str:
    """Return a picture, as SVG: CPU for a poll, a group of bars for each cell."""
    groups = [
        (
            _title(cell),
            {name: cell["rows"][name]["cycle_us"] for name in ROWS if "cycle_us" in cell["rows"].get(name, {})},
        )
        for cell in cells
        if "rows" in cell
    ]
    groups = [(title, bars) for title, bars in groups if bars]
    longest = max((value for _, bars in groups for value in bars.values()), default=1.0)
    parts, top = [], 34
    for title, bars in groups:
        middle = top + len(bars) * _BAR / 2 + 4
        parts.append(f'<text x="{_LEFT - 10}" y="{middle:g}" text-anchor="end">{escape(title)}</text>')
        for name, value in bars.items():
            width = max(value / longest * _WIDTH, 1)
            parts.append(
                f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR - 2}" fill="{_COLOURS[name]}"/>'
                f'<text x="{_LEFT + width + 5:.1f}" y="{top + _BAR - 4}">{escape(name)} {value:.0f}</text>'
            )
            top += _BAR
        top += _GAP
    width = _LEFT + _WIDTH + _LABEL + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}" '
        'font-family="sans-serif" font-size="11" fill="#333">\n'
        f'<rect width="{width}" height="{top}" fill="#fff"/>\n'
        f'<text x="{_LEFT}" y="18" font-size="13">CPU for one poll, µs</text>\n' + "\n".join(parts) + "\n</svg>\n"
    )
