"""
What durability costs: commits per second of the SQLite store, against what the disk allows.

    python benchmarks/store_commits.py [--folder FOLDER] [--seconds 1.0] [--rounds 3]

The disk's own pace is 4 KiB appended to a file and fdatasync, one after the other; it is measured before every line,
and each line's ratio is to the measurement before it, because disks have moods. Of the rounds the median counts. A
message has a body of 800 bytes and a context token; those of a batch come from twenty senders. Grouped means that so
many batches, each of another account, go in one call and one transaction. Name a folder on the disk that you ask about.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

from sessionfsm import Secret, SQLiteStore
from sessionfsm.store import Batch, Incoming

SHAPES = [(1, 0), (1, 1), (1, 10), (1, 100), (10, 1), (10, 10), (10, 100), (100, 1), (100, 10), (100, 100)]
"""Batches in a call, messages in a batch."""

serial = count()


def appends_per_s(folder: Path, seconds: float) -> float:
    descriptor = os.open(folder / "appends", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    block = b"x" * 4096

    def append() -> None:
        os.write(descriptor, block)
        os.fdatasync(descriptor)

    try:
        return pace(append, seconds)
    finally:
        os.close(descriptor)


def pace(work: Callable[[], object], seconds: float) -> float:
    """Return how often a second *work* is done."""
    done, began = 0, time.perf_counter()
    while (lasted := time.perf_counter() - began) < seconds:
        work()
        done += 1
    return done / lasted


def batch(account: str, messages: int) -> Batch:
    return Batch(
        account=account,
        cursor=Secret(f"cursor {next(serial):0200}"),
        messages=tuple(
            Incoming(
                key=f"id:{(number := next(serial))}",
                sender=f"user{number % 20}@im.wechat",
                body=b"x" * 800,
                context_token=Secret(f"token {number:0150}"),
                sent_ms=1_700_000_000_000 + number,
            )
            for _ in range(messages)
        ),
        received_at=time.time(),
    )


def commits_per_s(folder: Path, batches: int, messages: int, seconds: float) -> float:
    """Return calls of ``commit`` a second; making the batches is not counted."""
    spent = calls = 0.0
    with closing(SQLiteStore(folder / "store.db", max_messages=10**9, max_bytes=10**12)) as store:
        store.open()
        while spent < seconds:
            group = [batch(f"bot{number}@im.bot", messages) for number in range(batches)]
            began = time.perf_counter()
            store.commit(group)
            spent += time.perf_counter() - began
            calls += 1
    for path in folder.glob("store.db*"):
        path.unlink()
    return calls / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's folder for such files)")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each is measured")
    parser.add_argument("--rounds", type=int, default=3, help="how often")
    args = parser.parse_args()
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    print("batches x messages   appends/s   commits/s   ratio   messages/s")
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        for batches, messages in SHAPES:
            rounds = [
                (appends_per_s(folder, args.seconds / 2), commits_per_s(folder, batches, messages, args.seconds))
                for _ in range(args.rounds)
            ]
            appends, commits = sorted(rounds, key=lambda pair: pair[1] / pair[0])[len(rounds) // 2]
            print(
                f"{batches:7} x {messages:<9}{appends:12,.0f}{commits:12,.0f}{commits / appends:8.3f}"
                f"{commits * batches * messages:13,.0f}"
            )


if __name__ == "__main__":
    main()
