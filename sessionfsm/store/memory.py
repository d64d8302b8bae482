"""A store that lasts as long as its process: for tests, for trying things out, and as the reference for others."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice

from msgspec.structs import replace

from sessionfsm.errors import AccountInUse, StoreError
from sessionfsm.secret import Secret

from .base import Batch, Committed, Incoming, MessageState, Stored, believable

__all__ = ["KEEP_S", "MemoryStore"]

KEEP_S = 7 * 24 * 3600.0
"""How long a message is recognised when it comes again; 24 h is the least (docs/reference/protocol.md, section 2.5)."""


@dataclass(slots=True)
class _Account:
    cursor: Secret | None = None
    keys: OrderedDict[str, float] = field(default_factory=OrderedDict)  # to when each came, oldest first
    tokens: dict[str, tuple[int, Secret]] = field(default_factory=dict)  # with when its message was written


class MemoryStore:
    """
    Keeps everything in memory; see :class:`~sessionfsm.store.Store` for what each method promises.

    What is done is forgotten but for its key, and no bound is set on the rest.

    Args:
        clock: Monotonic seconds, so that a step of the time of day makes no message new again.
        wall: Seconds since the epoch, to know a message's time that cannot be.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._accounts: dict[str, _Account] = {}
        self._messages: dict[int, Stored] = {}  # open, parked and dropped ones, in order
        self._keys: dict[int, str] = {}  # their keys
        self._last = 0
        self._acquired: set[str] = set()
        self._lock = threading.Lock()

    @property
    def shared(self) -> bool:
        return False

    def acquire(self, account: str) -> None:
        with self._lock:
            if account in self._acquired:
                raise AccountInUse(account, pid=os.getpid())
            self._acquired.add(account)

    def release(self, account: str) -> None:
        with self._lock:
            self._acquired.discard(account)

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        with self._lock:
            return [self._commit(batch) for batch in batches]

    def _commit(self, batch: Batch) -> Committed:
        account = self._accounts.setdefault(batch.account, _Account())
        new: list[Stored] = []
        now = self._clock()
        for message in batch.messages:
            self._keep_token(account, message)
            if message.key in account.keys:
                continue
            account.keys[message.key] = now
            new.append(
                self._add(
                    Stored(
                        number=0,
                        account=batch.account,
                        sender=message.sender,
                        body=message.body,
                        received_at=batch.received_at,
                    ),
                    message.key,
                )
            )
        if batch.cursor is not None:
            account.cursor = batch.cursor
        while account.keys:
            oldest = next(iter(account.keys))
            if account.keys[oldest] > now - KEEP_S:
                break
            del account.keys[oldest]
        return Committed(new=tuple(new), duplicates=len(batch.messages) - len(new))

    def _keep_token(self, account: _Account, message: Incoming) -> None:
        if message.context_token is None:
            return
        known, _ = account.tokens.get(message.sender, (0, None))
        sent_ms = believable(message.sent_ms, self._wall())
        if sent_ms is None or sent_ms >= known:
            account.tokens[message.sender] = (sent_ms or known, message.context_token)

    def _add(self, stored: Stored, key: str) -> Stored:
        self._last += 1
        stored = self._messages[self._last] = replace(stored, number=self._last)
        self._keys[self._last] = key
        return stored

    def cursor(self, account: str) -> Secret | None:
        with self._lock:
            return self._account(account).cursor

    def pending(self, account: str, *, after: int = 0, limit: int = 100) -> list[Stored]:
        return self.messages(account=account, states=(MessageState.OPEN,), after=after, limit=limit)

    def done(self, numbers: Sequence[int]) -> None:
        with self._lock:
            for number in numbers:
                if (stored := self._messages.get(number)) is not None and stored.state == MessageState.OPEN:
                    self._forget(number)

    def failed(self, number: int, error: str, *, park: bool) -> bool:
        with self._lock:
            stored = self._messages.get(number)
            if stored is None or stored.state != MessageState.OPEN:
                return False
            state = MessageState.PARKED if park else MessageState.OPEN
            self._messages[number] = replace(stored, attempts=stored.attempts + 1, error=error, state=state)
            return True

    def context_token(self, account: str, user: str) -> Secret | None:
        with self._lock:
            _, token = self._account(account).tokens.get(user, (0, None))
            return token

    def retire(self, account: str, successor: str) -> None:
        with self._lock:
            old, new = self._accounts.pop(account, _Account()), self._accounts.setdefault(successor, _Account())
            for number, stored in list(self._messages.items()):
                if stored.account != account:
                    continue
                key = self._keys[number]
                if stored.state == MessageState.OPEN and key in new.keys:
                    self._forget(number)
                else:
                    self._messages[number] = replace(stored, account=successor)
                    new.keys.setdefault(key, old.keys.get(key, self._clock()))

    def changed(self) -> bool:
        return False

    def messages(
        self,
        *,
        account: str | None = None,
        states: Collection[MessageState] = tuple(MessageState),
        after: int = 0,
        limit: int = 100,
    ) -> list[Stored]:
        with self._lock:
            found = (
                stored
                for stored in self._messages.values()
                if stored.number > after and stored.state in states and account in (None, stored.account)
            )
            return list(islice(found, limit))

    def message(self, number: int) -> Stored | None:
        with self._lock:
            return self._messages.get(number)

    def retry(self, number: int) -> Stored:
        with self._lock:
            stored = self._one(number, MessageState.PARKED, MessageState.DROPPED)
            opened = replace(stored, attempts=0, error="", state=MessageState.OPEN)
            return self._add(opened, self._forget(number))

    def drop(self, number: int) -> None:
        with self._lock:
            stored = self._one(number, MessageState.OPEN, MessageState.PARKED)
            self._messages[number] = replace(stored, state=MessageState.DROPPED)

    def close(self) -> None:
        """Nothing to let go of."""

    def _account(self, account: str) -> _Account:
        return self._accounts.get(account, _Account())

    def _forget(self, number: int) -> str:
        del self._messages[number]
        return self._keys.pop(number)

    def _one(self, number: int, *states: MessageState) -> Stored:
        stored = self._messages.get(number)
        if stored is None:
            raise StoreError(f"there is no message {number}")
        if stored.state not in states:
            raise StoreError(f"message {number} is {stored.state}, not {' or '.join(states)}")
        return stored
