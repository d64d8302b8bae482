"""``python -m tests.durability``: kill bots a thousand times, and print what became of their messages."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from statistics import median

import anyio

from .campaign import Campaign, campaign


def _table(campaigns: list[Campaign]) -> None:
    names = list(dict.fromkeys(name for each in campaigns for name in sorted(each.verdict.counts)))
    kinds = list(dict.fromkeys(kind for each in campaigns for kind in each.verdict.broken))
    rows = [("", *(each.delivery for each in campaigns))]
    rows += [(name, *(f"{each.verdict.counts[name]:,}" for each in campaigns)) for name in names]
    rows += [("from answer to next poll, median (ms)", *(f"{median(each.gaps_s) * 1000:.1f}" for each in campaigns))]
    rows += [("seconds", *(f"{each.seconds:.0f}" for each in campaigns))]
    rows += [("BROKEN PROMISES", *(str(sum(map(len, each.verdict.broken.values()))) for each in campaigns))]
    rows += [(f"  {kind}", *(str(len(each.verdict.broken.get(kind, ()))) for each in campaigns)) for kind in kinds]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        print(name.ljust(widths[0]), *(cell.rjust(width + 2) for cell, width in zip(cells, widths[1:], strict=True)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.durability", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, metavar="N", help="for each way of delivery (default: 500)")
    parser.add_argument("--kind", default="ours", help="another store of kinds.py: the table must show broken promises")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), metavar="N", help="for the instants")
    args = parser.parse_args()
    print(f"{args.kills} kills -9 for each way of delivery, at instants drawn with seed {args.seed}")
    done = []
    for delivery in ("once", "replay"):
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            todo = Campaign(folder=Path(folder), kills=args.kills, delivery=delivery, kind=args.kind, seed=args.seed)
            anyio.run(campaign, todo)
            print(todo.log, end="", file=sys.stderr)
        done.append(todo)
    _table(done)
    return 1 if any(each.verdict.broken for each in done) else 0


if __name__ == "__main__":
    sys.exit(main())
