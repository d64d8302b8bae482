"""
Ours beside the bare alternatives: what a poll, a session and a message cost.

    python -m benchmarks.compare quick     1,000 sessions, plain, asyncio: writes benchmarks/out/quick.json
    python -m benchmarks.compare check     the same, and compares its ratios with those that are stored
    python -m benchmarks.compare all       every number of sessions, plain and TLS, asyncio, uvloop and trio
    python -m benchmarks.compare targets   nothing is measured: the stored runs beside what was aimed at

With --store the results are written to benchmarks/results/, from where they are committed. A second run of the matrix
stands beside the first one with --again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .alone import disk_sync_ms, durable, help_start, trigger_us
from .limits import why_not
from .measure import Cell, Effort, measure
from .pipe import ChildFailed
from .ratios import losses, quick_ratios
from .report import machine, page, plot
from .rows import ROWS
from .targets import targets_page
from .worker import BACKENDS

__all__ = ["main"]

_HERE = Path(__file__).parents[1]
OUT, RESULTS = _HERE / "out", _HERE / "results"
QUICK = Cell(sessions=1000)
RUNS = ("all", "again")
"""What the runs of the matrix are called."""

SESSIONS = (1, 100, 1000, 10_000)
_QUICK_EFFORT = Effort(rounds=4, waves=1, ramp_s=30.0, limit_s=30.0)
_MESSAGES = 1500


def quick(
    cell: Cell = QUICK, effort: Effort = _QUICK_EFFORT, *, messages: int = _MESSAGES, starts: int = 15
) -> dict[str, Any]:
    """Return the results of one cell, and the ratios that are watched."""
    began = time.monotonic()
    rows = measure(cell, effort=effort)
    alone = _alone(messages, starts)
    try:
        ratios = quick_ratios(rows, alone["durable"])
    except KeyError as error:
        raise ChildFailed(f"{error.args[0]} was not measured; what stands above says why") from None
    return {
        "ratios": ratios,
        "machine": machine(),
        "took_s": round(time.monotonic() - began),
        "cells": [_kept(cell, rows)],
        "alone": alone,
    }


def every(
    name: str,
    sessions: Sequence[int],
    backends: Sequence[str],
    transports: Sequence[bool],
    *,
    rows: Sequence[str] = tuple(ROWS),
    budget_s: float = math.inf,
) -> dict[str, Any]:
    """Return the results of every cell; one that cannot be measured here says why. *name* is what they are called."""
    began, cells = time.monotonic(), []
    for backend, tls, count in itertools.product(backends, transports, sessions):
        cell = Cell(sessions=count, tls=tls, backend=backend)
        missing = why_not(count, backend)
        if time.monotonic() - began > budget_s:
            missing = f"the time was over ({budget_s:g} s; --budget)"
        if missing:
            print(f"{cell}: not measured: {missing}")
            cells.append({"sessions": count, "tls": tls, "backend": backend, "rows": {}, "missing": missing})
            continue
        # A thousand sessions may take 30 s to ramp, ten thousand 200 s.
        effort = Effort(rounds=3, waves=1, ramp_s=max(30.0, count / 50), limit_s=max(60.0, count / 30))
        cells.append(_kept(cell, measure(cell, rows=rows, effort=effort)))
        _write(OUT / f"{name}.json", {"machine": machine(), "cells": cells})  # what was measured is not lost
    found = {"machine": machine(), "took_s": round(time.monotonic() - began), "cells": cells}
    return found | {"alone": _alone()}


def added(stored: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all cells in order, new ones in the place of those that were stored: a whole matrix takes hours."""

    def which(cell: dict[str, Any]) -> tuple[int, bool, int]:
        return list(BACKENDS).index(cell["backend"]), cell["tls"], cell["sessions"]

    cells = {which(cell): cell for cell in stored}
    for cell in new:
        if "missing" not in cell or which(cell) not in cells:
            cells[which(cell)] = cell
    return [cells[each] for each in sorted(cells)]


def _alone(messages: int = _MESSAGES, starts: int = 15) -> dict[str, Any]:
    return {
        "durable": durable(messages=messages),
        "disk_sync_ms": disk_sync_ms(),
        "trigger_us": trigger_us(),
        "help": help_start(starts),
    }


def _kept(cell: Cell, rows: dict[str, Any]) -> dict[str, Any]:
    return {"sessions": cell.sessions, "tls": cell.tls, "backend": cell.backend, "rows": rows}


def _write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(found), indent=1) + "\n"
    # A run that is killed while it writes must not leave half a file where a whole one was.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def _rounded(value: Any) -> Any:
    """Return *value* with figures that can be read: four digits are more than were measured."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _finish(found: dict[str, Any], name: str, *, store: bool) -> None:
    folder = RESULTS if store else OUT
    _write(OUT / f"{name}.json", found)
    if store:
        _write(RESULTS / f"{name}.json", found)
    (folder / f"{name}.md").write_text(page(found) + f"\n![CPU for one poll]({name}.svg)\n")
    (folder / f"{name}.svg").write_text(plot(found["cells"]))
    print(
        f"\n{page(found)}\nwritten to {os.path.relpath(OUT / name)}.json"
        + (" and benchmarks/results/" if store else "")
    )


def _targets() -> int:
    stored = [path for name in RUNS if (path := RESULTS / f"{name}.json").exists()]
    if not stored:
        print("bench: nothing is stored; write: make bench ARGS=--store", file=sys.stderr)
        return 2
    text = targets_page([json.loads(path.read_text()) for path in stored])
    (RESULTS / "targets.md").write_text(text)
    print(text)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure. The exit code is 1 if a ratio was lost, and 2 if nothing could be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["quick", "check", "all", "targets"])
    parser.add_argument("--store", action="store_true", help="write to benchmarks/results/ as well")
    parser.add_argument("--add", action="store_true", help="(all) keep the stored cells that are not measured now")
    parser.add_argument("--again", action="store_true", help="(all) it is a second run: again.json, beside all.json")
    parser.add_argument("--sessions", type=int, nargs="+", default=SESSIONS, metavar="N", help="(all) how many")
    parser.add_argument("--backends", nargs="+", choices=list(BACKENDS), default=list(BACKENDS), help="(all) which")
    parser.add_argument("--transports", nargs="+", choices=["plain", "tls"], default=["plain", "tls"], help="(all)")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="(all) what is compared")
    parser.add_argument("--budget", type=float, default=7200.0, metavar="S", help="(all) seconds; then no cell begins")
    args = parser.parse_args(argv)
    if min(args.sessions) < 1:
        parser.error("--sessions must be at least 1")
    if args.what == "targets":
        return _targets()
    if missing := why_not(QUICK.sessions if args.what != "all" else 1):
        print(f"bench: {missing}", file=sys.stderr)
        return 2
    try:
        if args.what == "all":
            transports = [name == "tls" for name in args.transports]
            name = RUNS[args.again]
            found = every(name, args.sessions, args.backends, transports, rows=args.rows, budget_s=args.budget)
            if args.add and (stored := RESULTS / f"{name}.json").exists():
                found["cells"] = added(json.loads(stored.read_text())["cells"], found["cells"])
            _finish(found, name, store=args.store)
            return 0
        found = quick()
    except ChildFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    stored = RESULTS / "quick.json"
    before = json.loads(stored.read_text())["ratios"] if args.what == "check" and stored.exists() else None
    _finish(found, "quick", store=args.store)
    print(f"ratios: {json.dumps(_rounded(found['ratios']))}; it took {found['took_s']} s")
    if args.what == "quick":
        return 0
    if before is None:
        print("bench: nothing is stored to compare with; write: make bench-quick ARGS=--store", file=sys.stderr)
        return 2
    worse = losses(before, found["ratios"])
    for words in worse:
        print(f"bench: {words}", file=sys.stderr)
    if not worse:
        print("no ratio is worse than the stored one by 30 %")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
