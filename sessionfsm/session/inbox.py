"""
Messages on their way to handlers: in order per sender, several senders at once, each at least once.

The inbox holds a window of what the store has; the store is the truth. It knows nothing of polls or sessions.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

import anyio

from sessionfsm.errors import StoreError
from sessionfsm.store import Runner, Store, Stored, ask

__all__ = ["ATTEMPTS", "Inbox"]

logger = logging.getLogger("sessionfsm")

ATTEMPTS = 5
"""A message that has failed so often is parked."""

_RETRY_FIRST_S = 1.0
_STORE_RETRY_S = 5.0
_WINDOW = 200
_WIDEST = 10_000
"""How far the window opens when everybody in it waits for a handler that does not return."""


@dataclass(slots=True)
class _Source:
    """How far an account's messages have been read from the store."""

    last: int = 0
    more: bool = True


class Inbox:
    """
    Hands out messages.

    A message that was handed out is *in hand* until :meth:`done`, :meth:`failed` or :meth:`put_back` is called for it;
    meanwhile its sender's later messages wait.

    Args:
        store: Where the messages are.
        run: How the store is called.
        account: Whose messages.
    """

    def __init__(self, store: Store, run: Runner, account: str) -> None:
        self._store = store
        self._run = run
        self._sources = {account: _Source()}
        self._queues: dict[str, deque[Stored]] = {}
        self._in_hand: dict[str, Stored] = {}  # by sender
        self._holders: dict[str, int] = {}  # which task has it, by sender
        self._excused: set[int] = set()
        self._not_before: dict[str, float] = {}
        self._unmarked: list[Stored] = []  # handled, but the store could not be told yet
        self._held = 0
        self._closed = False
        self._changed = anyio.Event()
        self._loading = anyio.Lock()

    @property
    def in_hand(self) -> int:
        """How many messages are with handlers."""
        return len(self._in_hand)

    def add_account(self, account: str) -> None:
        """Hand out this account's messages too: after a login, the user's bot has another id."""
        self._sources.setdefault(account, _Source())
        self._wake()

    def arrived(self, messages: Iterable[Stored]) -> None:
        """Note messages that were just committed."""
        for stored in messages:
            source = self._sources[stored.account]
            if source.more or self._held >= _WINDOW:
                source.more = True  # the store will be asked, in its own order
            else:
                self._append(source, stored)
        self._wake()

    def closed(self) -> bool:
        """Whether nothing more is handed out."""
        return self._closed

    def recheck(self) -> None:
        """The store may hold messages that nobody has told of: look."""
        for source in self._sources.values():
            source.more = True
        self._wake()

    def close(self) -> None:
        """Hand out nothing more; who waits for a message is told."""
        self._closed = True
        self._wake()

    async def next(self) -> Stored | None:
        """Wait for a message and take it in hand; ``None`` once the inbox is closed."""
        window = _WINDOW
        while not self._closed:
            changed = self._changed
            retry_s = await self._load(window)
            if self.closed():
                break
            now = anyio.current_time()
            for sender in self._queues:
                if sender in self._in_hand:
                    continue
                due = self._not_before.get(sender, -math.inf)
                if due <= now:
                    return self._take(sender)
                retry_s = min(retry_s, due - now)
            if self._held >= window < _WIDEST and any(source.more for source in self._sources.values()):
                window = min(window * 2, _WIDEST)  # somebody further back may be free
                continue
            with anyio.move_on_after(retry_s):
                await changed.wait()
        return None

    async def done(self, stored: Stored) -> None:
        """The message was handled."""
        self._unmarked.append(stored)
        try:
            await self.mark()
        finally:
            self._release(stored)

    async def mark(self) -> None:
        """Tell the store what was handled. What it cannot take now is told again the next time."""
        telling, self._unmarked = self._unmarked, []
        try:
            while telling:
                account = telling[0].account
                numbers = [stored.number for stored in telling if stored.account == account]
                await ask(self._run, self._store.done, account, numbers)
                telling = [stored for stored in telling if stored.account != account]
        except StoreError as error:
            logger.warning("%d handled messages could not be marked, will try again: %s", len(telling), error)
        finally:
            self._unmarked[:0] = telling

    async def failed(self, stored: Stored, error: BaseException) -> None:
        """A handler failed on the message: it comes again after a while, or is parked."""
        attempts = stored.attempts + 1
        park = attempts >= ATTEMPTS
        words = f"{type(error).__name__}: {error}"[:500]
        if park:
            logger.error("message %d is parked after %d attempts: %s", stored.number, attempts, words)
        else:
            logger.warning("message %d failed, attempt %d of %d: %s", stored.number, attempts, ATTEMPTS, words)
        try:
            await ask(self._run, self._store.failed, stored.account, stored.number, words, park=park)
        except StoreError as trouble:
            logger.warning("the failure of message %d could not be noted: %s", stored.number, trouble)
            # Not parked: it comes again, and the store is asked again.
            park, attempts = False, min(attempts, ATTEMPTS - 1)
        finally:
            if not park:
                self._return(replace(stored, attempts=attempts, error=words))
                self._not_before[stored.sender] = anyio.current_time() + _RETRY_FIRST_S * 2 ** (attempts - 1)
            self._release(stored)

    def put_back(self, stored: Stored) -> None:
        """The message was not handled, and nobody is to blame: it is the sender's next one again."""
        self._return(stored)
        self._release(stored)

    def abandon(self) -> None:
        """Nobody is left to finish what is in hand: it stays open in the store, and is handed out the next time."""
        self._closed = True
        self._in_hand.clear()
        self._holders.clear()
        self._wake()

    def excuse(self, task: int) -> None:
        """Do not wait for what this task has in hand: it is the one that waits."""
        self._excused.add(task)
        self._wake()

    async def wait_empty_handed(self) -> None:
        """Wait until no message is with a handler, but for those of excused tasks."""
        while any(task not in self._excused for task in self._holders.values()):
            await self._changed.wait()

    def _append(self, source: _Source, stored: Stored) -> None:
        source.last = stored.number
        self._queues.setdefault(stored.sender, deque()).append(stored)
        self._held += 1

    def _take(self, sender: str) -> Stored:
        # The sender goes to the end of the line, so that one who writes a lot does not keep the others waiting.
        queue = self._queues.pop(sender)
        stored = queue.popleft()
        if queue:
            self._queues[sender] = queue
        self._not_before.pop(sender, None)
        self._in_hand[sender] = stored
        self._holders[sender] = anyio.get_current_task().id
        return stored

    def _return(self, stored: Stored) -> None:
        self._queues.setdefault(stored.sender, deque()).appendleft(stored)
        self._held += 1

    def _release(self, stored: Stored) -> None:
        if self._in_hand.get(stored.sender) is stored:
            del self._in_hand[stored.sender]
            self._holders.pop(stored.sender, None)
            self._held -= 1
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _load(self, window: int) -> float:
        """Fill the window from the store; return in how many seconds to try again if the store cannot be read."""
        if not any(source.more for source in self._sources.values()):
            return math.inf
        async with self._loading:
            for account, source in tuple(self._sources.items()):  # a login may add an account meanwhile
                while source.more and self._held < window and not self._closed:
                    source.more = False  # set again by what arrives meanwhile
                    try:
                        page = await ask(self._run, self._store.pending, account, after=source.last, limit=_WINDOW)
                    except StoreError as error:
                        source.more = True
                        logger.warning("the inbox cannot be read, next try in %g s: %s", _STORE_RETRY_S, error)
                        return _STORE_RETRY_S
                    except BaseException:
                        source.more = True
                        raise
                    for stored in page:
                        if stored.number > source.last:
                            self._append(source, stored)
                    source.more = source.more or len(page) == _WINDOW
        return math.inf
