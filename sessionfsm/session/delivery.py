"""Messages handed to a handler: as many workers as there is work, each message handled, failed, or put back."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable

import anyio
import anyio.abc
import anyio.lowlevel

from sessionfsm.errors import DefinitionError
from sessionfsm.ilink import Message, parse_message
from sessionfsm.store import Stored

from .at_work import AtWork
from .cancellation import TASK_ENDS, being_cancelled, cancellations, cancelled_from_outside, taken_back
from .inbox import Inbox

__all__ = [
    "HANDLER_LIMIT_S",
    "LATE_S",
    "Delivery",
    "Handler",
    "check_handler",
    "check_limits",
    "message_of",
    "wrong_handler",
]

HANDLER_LIMIT_S = 300.0
"""How long a handler may take."""

_SPARE = 2
"""So many workers may wait for a message; one more ends. A bot that is quiet has one."""

LATE_S = 0.05
"""
A handler is cut off so much late, at most, and no more than a hundredth of its limit; not at all in a session that was
quiet before its message.
"""

logger = logging.getLogger("sessionfsm")

Handler = Callable[[Message], Awaitable[object]]


def check_limits(at_once: int, limit_s: float | None) -> None:
    """Raise :class:`DefinitionError` if no handlers can be called like that."""
    if at_once < 1 or at_once % 1:
        raise DefinitionError(f"at_once is {at_once!r}; it must be a whole number, at least 1")
    if limit_s is not None and not limit_s > 0:
        raise DefinitionError(f"limit_s is {limit_s}; it must be above 0, or None for no limit")


def check_handler(handler: Callable[..., object], *takes: str) -> None:
    """
    Raise :class:`DefinitionError` if *handler* does not take these arguments.

    Found out message by message, each would be set aside after five attempts: a handler for one session, given to a
    manager, would empty the inboxes of all accounts.
    """
    try:
        inspect.signature(handler).bind(*takes)
    except TypeError:
        words = ", ".join(takes)
        raise DefinitionError(
            f"the handler cannot be called with ({words}): write 'async def handler({words})'"
        ) from None
    except ValueError:  # something written in C that does not say what it takes
        pass


def wrong_handler(several: ExceptionGroup[Exception]) -> DefinitionError | None:
    """Return what those who have delivered messages found wrong with the handler, if all that they raise is that."""
    errors = [error for error in several.exceptions if isinstance(error, DefinitionError)]
    # In the frames of who has found it out is the message.
    return errors[0].with_traceback(None) if len(errors) == len(several.exceptions) else None


class _Hand:
    """What a worker has in hand: a message that is not seen to yet, and a place among all handlers."""

    __slots__ = ("has_slot", "stored")

    def __init__(self, stored: Stored) -> None:
        self.stored: Stored | None = stored
        self.has_slot = False


class Delivery:
    """
    Calls a handler for the messages of an inbox, until that is closed.

    One worker waits for a message. Whoever takes the last one's place starts another, up to *at_once*, so that a
    thousand quiet sessions are a thousand tasks and not sixteen thousand.

    Args:
        inbox: Where messages come from.
        handler: Called with each.
        read: Makes a stored message what handlers see.
        closed: Set when the session has ended: a handler that is cancelled after that is not to blame.
        at_work: Told of each handler, for whoever cuts them off.
        at_once: How many senders are served side by side.
        limit_s: How long a handler may take, in a rush :data:`LATE_S` longer; ``None`` for as long as it likes.
        slots: Taken while a handler runs: what several sessions share.
    """

    def __init__(
        self,
        inbox: Inbox,
        handler: Handler,
        *,
        read: Callable[[Stored], Message],
        closed: anyio.Event,
        at_work: AtWork,
        at_once: int,
        limit_s: float | None,
        slots: anyio.Semaphore | None = None,
    ) -> None:
        self._inbox = inbox
        self._handler = handler
        self._read = read
        self._closed = closed
        self._at_work = at_work
        self._at_once = at_once
        self._limit_s = math.inf if limit_s is None else limit_s
        self._late_s = min(LATE_S, self._limit_s / 100)
        self._slots = slots
        self._now = _clock()
        self._shared = False  # the tasks are in a group with those of other sessions
        self._workers = 1
        self._idle = 0

    async def run(self) -> None:
        """
        Deliver until the inbox is closed.

        Raises:
            DefinitionError: If the handler is no async function.
        """
        cut_off: BaseException | None = None
        try:
            async with anyio.create_task_group() as group:
                try:
                    await self._work(group, stays=True)
                except BaseException as error:
                    if not being_cancelled(group.cancel_scope):
                        raise
                    cut_off = error
        except ExceptionGroup as several:
            if (wrong := wrong_handler(several)) is not None:
                raise wrong from None
            raise
        if cut_off is not None:
            try:
                raise cut_off
            finally:
                del cut_off  # its traceback has this frame

    def begin(self, group: anyio.abc.TaskGroup) -> None:
        """
        Deliver until the inbox is closed, in tasks of *group*, which has those of other sessions as well.

        That the handler is no async function is raised in there, and ends all of them. Its tasks end with their group:
        that one of them is cancelled otherwise is the work of its handler, and counts as a failure.
        """
        self._shared = True
        group.start_soon(self._first, group)

    async def _first(self, group: anyio.abc.TaskGroup) -> None:
        with TASK_ENDS:
            await self._work(group, stays=True)

    async def _further(self, group: anyio.abc.TaskGroup) -> None:
        try:
            await self._work(group, stays=False, begins=True)
        finally:
            self._workers -= 1

    async def _work(self, group: anyio.abc.TaskGroup, *, stays: bool, begins: bool = False) -> None:
        me = anyio.get_current_task().id
        try:
            while stays or begins or self._idle < _SPARE:
                self._idle += not begins
                begins = False
                try:
                    stored = await self._inbox.next(me)
                finally:
                    self._idle -= 1
                if stored is None or not self._engaged(stored, group):
                    return
                await self._handle(stored, me, group)
        finally:
            self._inbox.pass_on()

    def _engaged(self, stored: Stored, group: anyio.abc.TaskGroup) -> bool:
        """Whether a message that was just taken is to be handled. If nobody is left for the next, somebody begins."""
        if group.cancel_scope.cancel_called:  # woken by the handler that has just ended everything
            self._inbox.put_back(stored)
            return False
        if not self._idle and self._workers < self._at_once:
            self._workers += 1
            self._idle += 1  # from now on: until it has begun nobody needs another
            group.start_soon(self._further, group)
        return True

    async def _handle(self, stored: Stored, me: int, group: anyio.abc.TaskGroup) -> None:
        """Handle a message, and those after it that can be had without waiting."""
        hand = _Hand(stored)
        limited = self._slots is None and self._limit_s < math.inf
        before = cancellations()()
        try:
            # One scope for many messages: to enter and leave it costs more than all the rest that is done here. Nothing
            # waits for the store in it, so whatever it cuts off is a handler, or nothing at all.
            with anyio.CancelScope(deadline=self._now() + self._limit_s if limited else math.inf) as scope:
                self._at_work.begin(me, scope)
                await self._call(hand, scope, me, group)
            if scope.cancelled_caught and hand.stored is not None and not self._closed.is_set():
                raise TimeoutError(f"no end after {self._limit_s:g} s")
        except (Exception, SystemExit) as error:
            if hand.stored is None:
                raise
            stored = hand.stored
            logger.exception("%s: the handler of message %d raised", stored.account, stored.number)
            await self._inbox.failed(stored, error)
        except BaseException as error:
            if hand.stored is None:
                raise
            stored = hand.stored
            if self._ends_the_task(error, before):
                group.cancel_scope.cancel()
                self._inbox.put_back(stored)
                raise
            logger.error("%s: the handler of message %d was cancelled from within", stored.account, stored.number)
            await self._inbox.failed(stored, error)
        else:
            if hand.stored is not None:
                await self._left(hand.stored, cut_off=scope.cancelled_caught)
        finally:
            self._at_work.end(me)
            self._give_back(hand)

    def _ends_the_task(self, error: BaseException, before: int) -> bool:
        """Whether all that this task does is to end, and not only the handler in it."""
        return not taken_back(error, before) if self._shared else cancelled_from_outside(error)

    async def _left(self, stored: Stored, *, cut_off: bool) -> None:
        """Deal with a message whose handler has returned, or was cut off by the end of the session."""
        if not cut_off:
            await self._inbox.done(stored)
            return
        logger.warning(
            "%s: the handler of message %d did not end in time, and the message comes again",
            stored.account,
            stored.number,
        )
        self._inbox.put_back(stored)

    async def _call(self, hand: _Hand, scope: anyio.CancelScope, me: int, group: anyio.abc.TaskGroup) -> None:
        """
        Call the handler, message after message, until none can be had, or something has to be done outside of *scope*.

        What is in *hand* then was not seen to.
        """
        inbox, limit_s, asked = self._inbox, self._limit_s, cancellations()
        before = asked()
        stored: Stored | None = hand.stored
        while stored is not None:
            if self._slots is not None and not await self._slot(hand, stored, scope, self._slots):
                return
            outcome: object = self._handler(self._read(stored))
            if not inspect.isawaitable(outcome):
                inbox.put_back(stored)
                hand.stored = None
                group.cancel_scope.cancel()
                raise DefinitionError(
                    f"the handler returned {type(outcome).__name__}, which cannot be awaited: write it as "
                    "'async def', and await what it calls"
                )
            await outcome
            # A handler that returns just when it is cut off has returned. But the scope is of no use any more; nor is
            # it after a handler that has kept a cancellation to itself, which the next limit would be taken for.
            if scope.cancel_called or asked() != before or not inbox.done_soon(stored):
                return
            hand.stored = None
            self._give_back(hand)
            if inbox.turn_is_over():
                self._idle += 1  # who comes back for the next one is as good as one who waits for it
                try:
                    await anyio.lowlevel.checkpoint()
                finally:
                    self._idle -= 1
            stored = inbox.take(me)
            if stored is None or not self._engaged(stored, group):
                return
            hand.stored = stored
            # To set a deadline costs as much as many looks at the clock: it is set somewhat later than it need be.
            if limit_s < math.inf and scope.deadline < (due := self._now() + limit_s):
                scope.deadline = due + self._late_s

    async def _slot(self, hand: _Hand, stored: Stored, scope: anyio.CancelScope, slots: anyio.Semaphore) -> bool:
        """Wait for a place among all handlers; return whether the message is still to be handled."""
        scope.deadline = math.inf
        await slots.acquire()
        hand.has_slot = True
        if self._inbox.closed():  # while it waited for others
            self._inbox.put_back(stored)
            hand.stored = None
            return False
        scope.deadline = self._now() + self._limit_s
        return True

    def _give_back(self, hand: _Hand) -> None:
        if hand.has_slot and self._slots is not None:
            hand.has_slot = False
            self._slots.release()


def _clock() -> Callable[[], float]:
    """Return what tells the time in this event loop. anyio finds out anew which loop that is, each time it is asked."""
    loop = anyio.lowlevel.current_token().native_token
    return loop.time if isinstance(loop, asyncio.AbstractEventLoop) else anyio.current_time


def message_of(stored: Stored) -> Message:
    """Return a stored message as handlers see it."""
    message = parse_message(stored.body)
    if message is None:  # only what was a message is stored
        raise AssertionError(f"message {stored.number} of {stored.account} is no JSON object")
    return message
