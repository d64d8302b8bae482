"""Rows of a SQLite store: the statements that sessions need, and how rows become the protocol's values and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from sessionfsm.errors import StoreError
from sessionfsm.secret import Secret

from .base import Batch, Committed, MessageState, Stored, believable
from .sqlite_room import COUNT, Tally

_STATES = {state.value: state for state in MessageState}
_MOST = 2**63 - 1  # SQLite's largest integer

COLUMNS = "number, (SELECT name FROM account WHERE id = account), sender, body, received_at, attempts, error, state"
LAST_NUMBER = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'message'"
_TALLY = "SELECT id, messages, bytes FROM account WHERE name = ?"
_ADD_MESSAGES = """
    INSERT INTO message (account, key, sender, body, received_at, kept_at) VALUES {rows} ON CONFLICT DO NOTHING
"""
_ROW = "(?, ?, ?, ?, ?, ?)"
ADDED = "SELECT number, account, key FROM message WHERE number > 0 ORDER BY number DESC LIMIT ?"
KEEP_TOKEN = """
    INSERT INTO context_token (account, user, token, sent_ms) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET token = excluded.token, sent_ms = coalesce(excluded.sent_ms, sent_ms)
    WHERE excluded.sent_ms IS NULL OR sent_ms IS NULL OR excluded.sent_ms >= sent_ms
"""
KEEP_ACCOUNT = """
    UPDATE account SET cursor = coalesce(?, cursor), successor = NULL, messages = ?, bytes = ? WHERE id = ?
"""
KEEP_CURSORS = """
    INSERT INTO account (name, cursor) VALUES {rows}
    ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, successor = NULL
"""
PENDING = f"""
    SELECT {COLUMNS} FROM message
    WHERE account = (SELECT id FROM account WHERE name = ?) AND state = 'open' AND number > ? ORDER BY number LIMIT ?
"""
DONE_BETWEEN = "UPDATE message SET state = 'done' WHERE number BETWEEN ? AND ? AND state = 'open'"
DONE_IF_OPEN = "UPDATE message SET state = 'done' WHERE number IN ({numbers}) AND state = 'open'"
_AT_ONCE = 100
"""
Rows of one statement. For each step of a statement Python lets another thread run, and has to wait until it may go on:
a hundred steps cost more than what is done in them. SQLite takes 999 values at least.
"""
MESSAGE = f"SELECT {COLUMNS} FROM message WHERE number = ?"
NEXT_NUMBER = "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'message'"
OPEN_AGAIN = """
    UPDATE message SET number = ?, state = 'open', attempts = 0, error = x'', kept_at = ? WHERE number = ?
"""
# Retiring. A successor that knows a parked message keeps both: the old one under a key that no message can have.
_KNOWN = "EXISTS (SELECT 1 FROM message AS known WHERE known.account = :new AND known.key = message.key)"
_OTHER_KEY = "UPDATE message SET key = CAST(key || x'ff' || number AS BLOB)"
_OTHER_KEY_IF_KNOWN = f"{_OTHER_KEY} WHERE number = :number AND {_KNOWN}"
RETIRE = (
    f"UPDATE message SET state = 'done' WHERE account = :old AND state = 'open' AND {_KNOWN}",
    f"{_OTHER_KEY} WHERE account = :old AND state = 'parked' AND {_KNOWN}",
    "UPDATE message SET account = :new WHERE account = :old AND state = 'open'",
    "UPDATE message SET account = :new WHERE account = :old AND state = 'parked'",
    "DELETE FROM context_token WHERE account = :old",
    "UPDATE account SET cursor = NULL, successor = :new WHERE id = :old",
    "UPDATE account SET successor = NULL WHERE id = :new",
    f"{COUNT} WHERE id IN (:old, :new)",
)
_SUCCESSOR = "SELECT successor FROM account WHERE id = ? AND successor IS NOT NULL"
FAILED = "UPDATE message SET attempts = attempts + 1, error = ?, state = ? WHERE number = ? AND state = 'open'"


def tallies_of(database: sqlite3.Connection, accounts: Iterable[str]) -> dict[str, Tally]:
    """Return what each account has; those that are new are made."""
    tallies: dict[str, Tally] = {}
    for account in accounts:
        if account not in tallies:
            name = (blob(account),)
            row = database.execute(_TALLY, name).fetchone()
            if row is None:
                database.execute("INSERT INTO account (name) VALUES (?)", name)
                row = database.execute(_TALLY, name).fetchone()
            tallies[account] = Tally(*row)
    return tallies


def add_messages(
    database: sqlite3.Connection, rows: Iterable[tuple[int, bytes, object, object, object, object]]
) -> Sequence[int | None]:
    """Add messages, in order, but for those that are there already; return the number of each, ``None`` for those."""
    left, names, count, last = iter(rows), list[tuple[int, bytes]](), 0, 0
    # The name is taken back: what is in it are secrets, which a traceback would show.
    while some := list(islice(left, _AT_ONCE)):
        names += [(row[0], row[1]) for row in some]
        statement = _ADD_MESSAGES.format(rows=", ".join([_ROW] * len(some)))
        try:
            done = database.execute(statement, list(chain.from_iterable(some)))
        finally:
            del some
        count += done.rowcount
        last = done.lastrowid or 0
    if count == len(names):  # all were new, as they nearly always are: then nothing stands between their numbers
        return range(last - count + 1, last + 1)
    added = {(account, key): number for number, account, key in database.execute(ADDED, (count,))}
    return [added.pop(name, None) for name in names]  # of two with one key the first was added


def keep_cursors(database: sqlite3.Connection, cursors: Mapping[str, Secret]) -> None:
    """Keep where accounts go on, of which there is nothing else to say; those that are new are made."""
    left = iter(cursors.items())
    while some := list(islice(left, _AT_ONCE)):
        statement = KEEP_CURSORS.format(rows=", ".join(["(?, ?)"] * len(some)))
        database.execute(
            statement, [value for account, cursor in some for value in (blob(account), secret_blob(cursor))]
        )


def mark_done(database: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Note of messages that are open that they are done."""
    ordered = sorted(set(numbers))
    if not ordered:
        return
    if ordered[0] < 0 or ordered[-1] > _MOST:
        ordered = sorted(set(map(integer, ordered)))
    if ordered[-1] - ordered[0] < len(ordered):  # there is none between them that is not meant, and nearly never is
        database.execute(DONE_BETWEEN, (ordered[0], ordered[-1]))
        return
    for first in range(0, len(ordered), _AT_ONCE):
        some = ordered[first : first + _AT_ONCE]
        database.execute(DONE_IF_OPEN.format(numbers=", ".join("?" * len(some))), some)


def committed_of(
    batch: Batch, names: Sequence[tuple[bytes, bytes]], tally: Tally, numbers: Sequence[int | None]
) -> Committed:
    """
    Say which of the batch's messages were added, by their numbers, and count them.

    Args:
        names: Key and sender of each message, as they are in its row.
        numbers: What :func:`add_messages` has said of each.
    """
    new: list[Stored] = []
    account, received_at, size = batch.account, batch.received_at, 0
    for message, (key, sender), number in zip(batch.messages, names, numbers, strict=True):
        if number is None:
            continue
        body = message.body
        size += len(body) + len(key) + len(sender)
        new.append(Stored(number=number, account=account, sender=message.sender, body=body, received_at=received_at))
    tally.new += len(new)
    tally.new_bytes += size
    return Committed(new=tuple(new), duplicates=len(batch.messages) - len(new))


def newest_tokens(batches: Sequence[Batch], now: float) -> dict[tuple[str, str], list[tuple[int | None, Secret]]]:
    """
    Return the context tokens that may be kept, for each account and sender, with when their messages were written.

    They are in the order of arrival; of those in a row whose time is known, or in a row whose time is not, one is left.
    """
    newest: dict[tuple[str, str], list[tuple[int | None, Secret]]] = {}
    for batch in batches:
        for message in batch.messages:
            if message.context_token is None:
                continue
            sent_ms = believable(message.sent_ms, now)
            who = (batch.account, message.sender)
            if (tokens := newest.get(who)) is None:
                newest[who] = [(sent_ms, message.context_token)]
            elif (tokens[-1][0] is None) != (sent_ms is None):
                tokens.append((sent_ms, message.context_token))
            elif sent_ms is None or sent_ms >= (tokens[-1][0] or 0):
                tokens[-1] = (sent_ms, message.context_token)
    return newest


def require(database: sqlite3.Connection, number: int, *states: MessageState) -> None:
    """Raise unless there is such a message in one of these states."""
    row = database.execute("SELECT state FROM message WHERE number = ?", (integer(number),)).fetchone()
    if row is None:
        raise StoreError(f"there is no message {number}")
    if row[0] not in states:
        raise StoreError(f"message {number} is {row[0]}, not {' or '.join(states)}")


def move_one(database: sqlite3.Connection, number: int) -> None:
    """Give a message of an account that is retired to whoever is in its place now."""
    (account,) = database.execute("SELECT account FROM message WHERE number = ?", (number,)).fetchone()
    home, passed = account, {account}
    while (row := database.execute(_SUCCESSOR, (home,)).fetchone()) is not None and row[0] not in passed:
        home = row[0]
        passed.add(home)
    if home == account:
        return
    database.execute(_OTHER_KEY_IF_KNOWN, {"new": home, "number": number})
    database.execute("UPDATE message SET account = ? WHERE number = ?", (home, number))
    database.execute(f"{COUNT} WHERE id IN (?, ?)", (account, home))


def as_stored(row: tuple[Any, ...]) -> Stored:
    number, account, sender, body, received_at, attempts, error, state = row
    return Stored(
        number=number,
        account=text(account),
        sender=text(sender),
        body=body or b"",
        received_at=received_at,
        attempts=attempts,
        error=text(error),
        state=_STATES[state],
    )


def integer(number: int) -> int:
    """Return the number, or one that is as good: there is none above SQLite's largest."""
    return max(-1, min(number, _MOST))


def blob(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def secret_blob(secret: Secret | None) -> bytes | None:
    return None if secret is None else secret.reveal().encode("utf-8", "surrogatepass")


def text(blob: bytes) -> str:
    try:
        return blob.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # saved from a damaged file
        return blob.decode("utf-8", "replace")
