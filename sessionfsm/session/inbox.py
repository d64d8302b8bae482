"""
Messages on their way to handlers: in order per sender, several senders at once, each at least once.

The inbox holds a window of what the store has; the store is the truth. It knows nothing of polls or sessions.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import anyio
import anyio.lowlevel
from msgspec.structs import replace

from sessionfsm.errors import StoreError
from sessionfsm.store import Stored, StoreWriter
from sessionfsm.store.writer import Marks

__all__ = ["ATTEMPTS", "LAST_S", "Inbox"]

logger = logging.getLogger("sessionfsm")

ATTEMPTS = 5
"""A message that has failed so often is parked."""

_RETRY_FIRST_S = 1.0
_STORE_RETRY_S = 5.0
_UNMARKED = 200
"""So many handled messages may wait for their mark; the next one waits with them."""

_TURN = 8
"""After so many messages everybody else has a turn, should no handler have waited for anything."""

LAST_S = 1.0
"""How long the last marks of a session that was cut off may take."""

_WINDOW = 200
_NONE: frozenset[int] = frozenset()  # most inboxes have nothing in their sets, which take room all the same
_WIDEST = 10_000
"""How far the window opens when everybody in it waits for a handler that does not return."""


class Inbox:
    """
    Hands out messages.

    A message that was handed out is *in hand* until :meth:`done`, :meth:`failed` or :meth:`put_back` is called for it;
    meanwhile its sender's later messages wait.

    Args:
        writer: The way to the store in which the messages are.
        account: Whose messages.
    """

    __slots__ = (
        "_account",
        "_calls",
        "_changed",
        "_closed",
        "_draining",
        "_ended",
        "_excused",
        "_finished",
        "_held",
        "_holders",
        "_in_hand",
        "_known",
        "_last",
        "_loading",
        "_marks",
        "_more",
        "_not_before",
        "_passes",
        "_queues",
        "_readable_at_s",
        "_store",
        "_watched",
        "_writer",
        "on_parked",
    )

    def __init__(self, writer: StoreWriter, account: str) -> None:
        self._writer = writer
        self._store = writer.store
        self._account = account
        self._last = 0  # so far the store has been read
        self._more = True  # there may be more in it
        self._known: frozenset[int] = _NONE  # numbers above the last that have been read nevertheless
        self._queues: dict[str, deque[Stored]] = {}
        self._in_hand: dict[str, Stored] = {}  # by sender
        self._holders: dict[str, int] = {}  # which task has it, by sender
        self._excused: list[int] = []
        self._not_before: dict[str, float] = {}
        self._marks = Marks()  # handled, and the store has not been told yet
        self._finished = 0
        self._passes = 0  # how often the store was read from its beginning
        self.on_parked: Callable[[], object] | None = None  # called for each message that is set aside
        self._held = 0
        self._closed = False
        self._ended = False
        self._calls: list[anyio.CancelScope] = []  # of the store, which may hang
        self._changed = anyio.Event()
        self._watched = False  # somebody waits for it, or is about to
        self._draining = False
        self._loading: anyio.Lock | None = None  # while somebody reads from the store
        self._readable_at_s = -math.inf  # a store that could not be read is left alone until then

    @property
    def in_hand(self) -> int:
        """How many messages are with handlers."""
        return len(self._in_hand)

    def succeed(self, account: str) -> None:
        """Hand out this account's messages from now on: it has got those that are left of the one before it."""
        self._account = account
        self.recheck()

    def arrived(self, messages: Iterable[Stored]) -> None:
        """Note messages that were just committed."""
        for stored in messages:
            if stored.number <= self._last:
                continue  # it was read from the store before its commit's answer came here
            # A page that is on its way may hold older ones, and not these.
            if self._more or self._loading is not None or self._held >= _WINDOW:
                self._more = True  # the store will be asked, in its own order
            else:
                self._append(stored)
        self._wake()

    def forget(self, number: int) -> None:
        """Do not hand this message out, if it was read from the store already."""
        for sender, queue in self._queues.items():
            if left := deque(stored for stored in queue if stored.number != number):
                self._queues[sender] = left
            else:
                del self._queues[sender]
            if len(left) < len(queue):
                self._held -= 1
                break

    def closed(self) -> bool:
        """Whether nothing more is handed out."""
        return self._closed

    def recheck(self) -> None:
        """
        The store may hold messages that nobody has told of: look, from the beginning.

        What another process opens once more may have a smaller number than what has come here since.
        """
        held = (*self._in_hand.values(), *(each for queue in self._queues.values() for each in queue))
        self._known = frozenset().union(self._marks.telling, self._marks.waiting, (stored.number for stored in held))
        self._last, self._more = 0, True
        self._passes += 1
        self._wake()

    def close(self) -> None:
        """Hand out nothing more; who waits for a message is told."""
        self._closed = True
        self._wake()

    def end(self) -> None:
        """Wait for the store no longer: a store that hangs would keep whoever serves the inbox for ever."""
        self._closed = self._ended = True
        for call in tuple(self._calls):
            call.cancel()
        self._wake()

    async def next(self, task: int | None = None) -> Stored | None:
        """
        Wait for a message and take it in hand; ``None`` once the inbox is closed.

        Args:
            task: Who takes it; by default the current task.
        """
        try:
            return await self._next(anyio.get_current_task().id if task is None else task)
        except BaseException:
            self._wake()  # what this one had come back for is left to the others
            raise

    async def _next(self, task: int) -> Stored | None:
        window = _WINDOW
        while not self._closed:
            changed, self._watched = self._changed, True
            retry_s = await self._load(window) if self._more else math.inf
            if (stored := self._free(task)) is not None or self.closed():
                return stored
            retry_s = min(retry_s, self._retry_in_s())
            if self._held >= window < _WIDEST and self._more:
                window = min(window * 2, _WIDEST)  # somebody further back may be free
                continue
            if retry_s == math.inf:  # and so it is nearly always; a scope costs more than the wait
                await changed.wait()
            else:
                with anyio.move_on_after(retry_s):
                    await changed.wait()
        return None

    def take(self, task: int) -> Stored | None:
        """Take a message in hand, if one can be had without waiting."""
        if self._more and self._held < _WINDOW:  # the store is asked first
            return None
        return self._free(task)

    async def done(self, stored: Stored) -> None:
        """
        The message was handled. Its mark is written soon, with others: its sender's next one does not wait for that.

        Where too many wait for their marks already, it does.
        """
        try:
            if not self.done_soon(stored):
                await self._done_now(stored)
            if self.turn_is_over():
                await anyio.lowlevel.checkpoint()
        except BaseException:
            self._wake()  # whoever was done with it does not come back for the sender's next one
            raise

    def done_soon(self, stored: Stored) -> bool:
        """Do what :meth:`done` does, unless that has to wait for the store: then nothing is done, and it says so."""
        marks = self._marks
        # After the end the writer may be gone before it has come to that.
        if self._ended or len(marks) + 1 >= _UNMARKED or not self._writer.soon(marks):
            return False
        marks.waiting.append(stored.number)
        self._finished += 1
        self._release(stored, wake=self._draining)  # else whoever is done comes back: nobody is woken for that
        return True

    def turn_is_over(self) -> bool:
        """Whether everybody else should have a turn: handlers that wait for nothing would keep them from it."""
        return not self._finished % _TURN

    async def _done_now(self, stored: Stored) -> None:
        marks = self._marks
        marks.waiting.append(stored.number)
        self._finished += 1
        try:
            told = await self.mark()
            while not told and len(marks) >= _UNMARKED and not self._ended:  # else a kill would cost ever more
                with self._call():
                    await anyio.sleep(_STORE_RETRY_S)
                    told = await self.mark()
        finally:
            self._release(stored, wake=self._draining)

    async def mark(self) -> bool:
        """Tell the store now what was handled; return whether it knows. What it cannot take is told again later."""
        if not self._marks:
            return True
        numbers, told = self._marks.begin(), False
        try:
            with self._call() as call:
                await self._writer.done(numbers)
                told = True
            if call.cancelled_caught:
                raise StoreError("the store did not answer before the end")
        except StoreError as error:
            logger.debug("%s: %d handled messages could not be marked: %s", self._account, len(numbers), error)
        finally:
            self._marks.end(numbers, told=told)
        return told

    async def mark_last(self) -> None:
        """The same for whoever is cut off, and in a hurry: nobody is here to tell the store later."""
        if not self._marks:
            return
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + LAST_S):
            if not await self.mark() and not self._writer.works:  # it was cancelled as well: then without it
                await self.mark()
        if self._marks:
            logger.warning(
                "%s: %d handled messages could not be marked before its end; without their marks they come again",
                self._account,
                len(self._marks),
            )
        self._writer.keep(self._marks)

    async def failed(self, stored: Stored, error: BaseException) -> None:
        """A handler failed on the message: it comes again after a while, or is parked."""
        attempts = stored.attempts + 1
        park = attempts >= ATTEMPTS
        words = f"{type(error).__name__}: {error}"[:500]
        if park:
            logger.error("message %d is parked after %d attempts: %s", stored.number, attempts, words)
        else:
            logger.warning("message %d failed, attempt %d of %d: %s", stored.number, attempts, ATTEMPTS, words)
        is_open, noted = True, False
        try:
            with self._call() as call:
                is_open = await self._writer.ask(math.inf, self._store.failed, stored.number, words, park=park)
                noted = True
            if call.cancelled_caught:
                raise StoreError("the store did not answer before the end")
        except StoreError as trouble:
            logger.warning("the failure of message %d could not be noted: %s", stored.number, trouble)
        finally:
            if not noted:
                # Not parked, as far as is known: it comes again, and the store is asked again. Also if whoever waits
                # for the store is cancelled, since the inbox may go on without them.
                park, attempts = False, min(attempts, ATTEMPTS - 1)
            if is_open and park and self.on_parked is not None:
                self.on_parked()
            if is_open and not park:
                self._return(replace(stored, attempts=attempts, error=words))
                self._not_before[stored.sender] = anyio.current_time() + _RETRY_FIRST_S * 2 ** (attempts - 1)
            self._release(stored)

    def put_back(self, stored: Stored) -> None:
        """The message was not handled, and nobody is to blame: it is the sender's next one again."""
        self._return(stored)
        self._release(stored)

    def pass_on(self) -> None:
        """Whoever was done with a message does not come back for the next one: somebody else may."""
        self._wake()

    def abandon(self) -> None:
        """Nobody is left to finish what is in hand: it stays open in the store, and is handed out the next time."""
        self._closed = True
        self._in_hand.clear()
        self._holders.clear()
        self._wake()

    def excuse(self, task: int) -> None:
        """Do not wait for what this task has in hand: it is the one that waits."""
        self._excused.append(task)
        self._wake()

    def excused(self, task: int) -> bool:
        """Whether this task has asked for the end."""
        return task in self._excused

    async def wait_empty_handed(self) -> None:
        """Wait until no message is with a handler, but for those of excused tasks."""
        self._draining = True
        while any(task not in self._excused for task in self._holders.values()):
            self._watched = True
            await self._changed.wait()

    @contextmanager
    def _call(self) -> Iterator[anyio.CancelScope]:
        """Wait for the store until the end; after it, for the sake of late handlers, a few seconds more."""
        deadline = anyio.current_time() + _STORE_RETRY_S if self._ended else math.inf
        with anyio.CancelScope(deadline=deadline) as call:
            self._calls.append(call)
            try:
                yield call
            finally:
                self._calls.remove(call)

    def _append(self, stored: Stored) -> None:
        self._last = stored.number
        if stored.number in self._known:
            return
        self._queues.setdefault(stored.sender, deque()).append(stored)
        self._held += 1

    def _free(self, task: int) -> Stored | None:
        """Take the first message in hand whose sender waits for nothing."""
        if self._closed:
            return None
        for sender in self._queues:
            if sender in self._in_hand:
                continue
            if (due := self._not_before.get(sender)) is None or due <= anyio.current_time():
                return self._take(sender, task)
        return None

    def _retry_in_s(self) -> float:
        """Return in how many seconds the first message that has failed may be had."""
        if not self._not_before:
            return math.inf
        held = self._queues.keys() - self._in_hand.keys()
        dues = [due for sender, due in self._not_before.items() if sender in held]
        return min(dues) - anyio.current_time() if dues else math.inf

    def _take(self, sender: str, task: int) -> Stored:
        # The sender goes to the end of the line, so that one who writes a lot does not keep the others waiting.
        queue = self._queues.pop(sender)
        stored = queue.popleft()
        if queue:
            self._queues[sender] = queue
        self._not_before.pop(sender, None)
        self._in_hand[sender] = stored
        self._holders[sender] = task
        return stored

    def _return(self, stored: Stored) -> None:
        self._queues.setdefault(stored.sender, deque()).appendleft(stored)
        self._held += 1

    def _release(self, stored: Stored, *, wake: bool = True) -> None:
        if self._in_hand.get(stored.sender) is stored:
            del self._in_hand[stored.sender]
            self._holders.pop(stored.sender, None)
            self._held -= 1
        if wake:
            self._wake()

    def _wake(self) -> None:
        if self._watched:
            self._watched = False
            self._changed.set()
            self._changed = anyio.Event()

    async def _load(self, window: int) -> float:
        """Fill the window from the store; return in how many seconds to try again if the store cannot be read."""
        loading = self._loading = self._loading or anyio.Lock()
        try:
            async with loading:
                return await self._read(window)
        finally:
            if not loading.locked():  # nobody waits for it either
                self._loading = None

    async def _read(self, window: int) -> float:
        while self._more and self._held < window and not self._closed:
            if (wait_s := self._readable_at_s - anyio.current_time()) > 0:
                return wait_s
            self._more = False  # set again by what arrives meanwhile
            passes = self._passes
            page: list[Stored] = []
            try:
                with self._call():
                    page = await self._writer.ask(
                        math.inf, self._store.pending, self._account, after=self._last, limit=_WINDOW
                    )
            except StoreError as error:
                self._more = True
                logger.warning("the inbox cannot be read, next try in %g s: %s", _STORE_RETRY_S, error)
                self._readable_at_s = anyio.current_time() + _STORE_RETRY_S
                return _STORE_RETRY_S
            except BaseException:
                self._more = True
                raise
            if passes != self._passes:  # it is read from its beginning now, perhaps for another account
                continue
            for stored in page:
                if stored.number > self._last:
                    self._append(stored)
            self._more = self._more or len(page) == _WINDOW
        return math.inf
