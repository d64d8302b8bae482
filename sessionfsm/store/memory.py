"""A store that lasts as long as its process: for tests, for trying things out, and as the reference for others."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sessionfsm.errors import StoreError
from sessionfsm.secret import Secret

from .base import Batch, Committed, Credentials, Stored

__all__ = ["MemoryStore"]

KEEP_KEYS_S = 7 * 24 * 3600.0
"""How long a message is recognised when it comes again; 24 h is the least (docs/reference/protocol.md, section 2.5)."""


@dataclass(slots=True)
class _Account:
    cursor: Secret | None = None
    number: int = 0
    messages: dict[int, Stored] = field(default_factory=dict)
    keys: OrderedDict[str, float] = field(default_factory=OrderedDict)  # to when each came, oldest first
    tokens: dict[str, Secret] = field(default_factory=dict)
    credentials: Credentials | None = None


class MemoryStore:
    """
    Keeps everything in memory; see :class:`~sessionfsm.store.Store` for what each method promises.

    Args:
        clock: Monotonic seconds, so that a step of the time of day makes no message new again.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._lock = threading.Lock()

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        with self._lock:
            return [self._commit(batch) for batch in batches]

    def _commit(self, batch: Batch) -> Committed:
        account = self._accounts.setdefault(batch.account, _Account())
        new: list[Stored] = []
        now = self._clock()
        for message in batch.messages:
            if message.context_token is not None:
                account.tokens[message.sender] = message.context_token
            if message.key in account.keys:
                continue
            account.keys[message.key] = now
            account.number += 1
            stored = Stored(
                number=account.number,
                account=batch.account,
                sender=message.sender,
                body=message.body,
                received_at=batch.received_at,
            )
            account.messages[stored.number] = stored
            new.append(stored)
        if batch.cursor is not None:
            account.cursor = batch.cursor
        while account.keys:
            oldest = next(iter(account.keys))
            if account.keys[oldest] > now - KEEP_KEYS_S:
                break
            del account.keys[oldest]
        return Committed(new=tuple(new), duplicates=len(batch.messages) - len(new))

    def cursor(self, account: str) -> Secret | None:
        with self._lock:
            return self._account(account).cursor

    def pending(self, account: str, *, after: int = 0, limit: int = 100) -> list[Stored]:
        with self._lock:
            messages = self._account(account).messages.values()
            return [stored for stored in messages if stored.number > after and not stored.parked][:limit]

    def done(self, account: str, numbers: Sequence[int]) -> None:
        with self._lock:
            for number in numbers:
                self._account(account).messages.pop(number, None)

    def failed(self, account: str, number: int, error: str, *, park: bool) -> None:
        with self._lock:
            stored = self._message(account, number)
            self._accounts[account].messages[number] = replace(
                stored, attempts=stored.attempts + 1, error=error, parked=park
            )

    def parked(self, account: str) -> list[Stored]:
        with self._lock:
            return [stored for stored in self._account(account).messages.values() if stored.parked]

    def context_token(self, account: str, user: str) -> Secret | None:
        with self._lock:
            return self._account(account).tokens.get(user)

    def credentials(self, account: str) -> Credentials | None:
        with self._lock:
            return self._account(account).credentials

    def save_credentials(self, account: str, credentials: Credentials) -> None:
        with self._lock:
            self._accounts.setdefault(account, _Account()).credentials = credentials

    def close(self) -> None:
        """Nothing to let go of."""

    def _account(self, account: str) -> _Account:
        return self._accounts.get(account, _Account())

    def _message(self, account: str, number: int) -> Stored:
        try:
            return self._accounts[account].messages[number]
        except KeyError:
            raise StoreError(f"account {account} has no open message {number}") from None
