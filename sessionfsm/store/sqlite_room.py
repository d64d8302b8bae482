"""What a SQLite store forgets, and when: finished messages after a while, and sooner where an account has no room."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

__all__ = ["COUNT", "DAY_S", "Bounds", "Tally", "forget_old", "make_room"]

DAY_S = 24 * 3600.0
"""A message that is younger is always recognised when it comes again (docs/reference/protocol.md, section 2.5)."""

SIZE = "length(key) + length(sender) + coalesce(length(body), 0)"
"""What a message counts for."""

# Two searches by index, merged: what has its body, and what was emptied.
OLDEST = f"""
    SELECT number, kept_at, {SIZE} FROM message
    WHERE account = :account AND state IN ('done', 'dropped') AND body IS NOT NULL AND kept_at < :before
    UNION ALL
    SELECT number, kept_at, {SIZE} FROM message
    WHERE account = :account AND state IN ('done', 'dropped') AND body IS NULL AND kept_at < :before
    ORDER BY kept_at LIMIT :limit
"""
FULLEST = """
    SELECT number, length(body) FROM message
    WHERE account = ? AND state IN ('done', 'dropped') AND body IS NOT NULL ORDER BY kept_at
"""
COUNT = f"""
    UPDATE account SET (messages, bytes) = (
        SELECT count(*), coalesce(sum({SIZE}), 0) FROM message WHERE message.account = account.id
    )
"""
"""Makes the counters of accounts say what is there."""

FORGET = "DELETE FROM message WHERE number = ?"
EMPTY = "UPDATE message SET body = NULL WHERE number = ?"
WAITING = """
    SELECT (SELECT count(*) FROM message WHERE account = :account AND state = 'open')
         + (SELECT count(*) FROM message WHERE account = :account AND state = 'parked')
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one account may have: messages of every state, and the bytes of their bodies, keys and senders."""

    messages: int
    bytes: int

    def holds(self, messages: int, size: int) -> bool:
        """Whether so much is allowed."""
        return messages <= self.messages and size <= self.bytes


@dataclass(slots=True)
class Tally:
    """
    What an account has, while a transaction changes it.

    Attributes:
        id: The account's row.
        messages: How many rows it has.
        bytes: What they hold.
        new: How many of them this transaction has brought.
        new_bytes: What those hold.
    """

    id: int
    messages: int
    bytes: int
    new: int = 0
    new_bytes: int = 0


def forget_old(database: sqlite3.Connection, tally: Tally, before: float, limit: int) -> None:
    """Forget up to *limit* finished messages of the account that were kept before *before*, the oldest first."""
    old = database.execute(OLDEST, {"account": tally.id, "before": before, "limit": limit}).fetchall()
    for number, _, size in old:
        database.execute(FORGET, (number,))
        tally.messages -= 1
        tally.bytes -= size


def make_room(database: sqlite3.Connection, tally: Tally, bounds: Bounds, now: float) -> bool:
    """
    Make the account fit its bounds, at the cost of finished messages; return whether it does now.

    First what is older than a day is forgotten, as much as needed, then bodies are. A key that is younger never is.
    What is alone too much for the bounds is let in when nothing else waits: it would be refused for ever.
    """
    everything = {"account": tally.id, "before": now - DAY_S, "limit": -1}
    forgotten: list[tuple[int]] = []
    for number, _, size in database.execute(OLDEST, everything):
        if bounds.holds(tally.messages, tally.bytes):
            break
        forgotten.append((number,))
        tally.messages -= 1
        tally.bytes -= size
    database.executemany(FORGET, forgotten)
    if tally.bytes > bounds.bytes:
        emptied: list[tuple[int]] = []
        for number, size in database.execute(FULLEST, (tally.id,)):
            emptied.append((number,))
            tally.bytes -= size
            if tally.bytes <= bounds.bytes:
                break
        database.executemany(EMPTY, emptied)
    if bounds.holds(tally.messages, tally.bytes):
        return True
    if bounds.holds(tally.new, tally.new_bytes):
        return False
    (waiting,) = database.execute(WAITING, {"account": tally.id}).fetchone()
    return bool(waiting == tally.new)
