"""Batches for the tests of stores, and stores whose clocks are the test's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sessionfsm import Secret, SQLiteStore
from sessionfsm.store import Batch, Incoming
from sessionfsm.store.locks import AccountLocks

A, B = "a@im.bot", "b@im.bot"
DAY = 86400.0
YEAR_2026 = 1_770_000_000.0


class Clock:
    """The time of day, and seconds that only go forward; a test sets both."""

    def __init__(self) -> None:
        self.wall_s = YEAR_2026
        self.steady_s = 1000.0

    def wall(self) -> float:
        return self.wall_s

    def steady(self) -> float:
        return self.steady_s

    def pass_by(self, seconds: float) -> None:
        """Let time go by, for both."""
        self.wall_s += seconds
        self.steady_s += seconds


def incoming(
    key: str, sender: str = "u@im.wechat", token: str | None = None, sent_ms: int | None = None, size: int = 0
) -> Incoming:
    return Incoming(
        key=key,
        sender=sender,
        body=f'{{"k":"{key}"}}'.encode("utf-8", "surrogatepass").ljust(size),
        context_token=Secret(token) if token else None,
        sent_ms=sent_ms,
    )


def batch(*keys: str, account: str = A, cursor: str | None = None, at: float = 0.0, size: int = 0) -> Batch:
    return of(*(incoming(key, size=size) for key in keys), account=account, cursor=cursor, at=at)


def of(*messages: Incoming, account: str = A, cursor: str | None = None, at: float = 0.0) -> Batch:
    return Batch(account=account, cursor=Secret(cursor) if cursor else None, messages=messages, received_at=at)


def sqlite_store(folder: Path, clock: Clock | None = None, **options: Any) -> SQLiteStore:
    """Return a store in *folder*, with locks of its own."""
    if clock is not None:
        options |= {"wall": clock.wall, "clock": clock.steady}
    return SQLiteStore(folder / "store.db", locks=AccountLocks(folder / "locks"), **options)


def rows(path: Path, query: str, parameters: Any = ()) -> list[Any]:
    """Ask the file itself."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query, parameters).fetchall()
