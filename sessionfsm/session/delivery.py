"""Messages handed to a handler: as many workers as there is work, each message handled, failed, or put back."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Awaitable, Callable

import anyio
import anyio.abc

from sessionfsm.errors import DefinitionError
from sessionfsm.ilink import Message, parse_message
from sessionfsm.store import Stored

from .cancellation import cancelled_from_outside
from .inbox import Inbox

__all__ = ["HANDLER_LIMIT_S", "Delivery", "Handler", "check_handler", "check_limits", "message_of"]

HANDLER_LIMIT_S = 300.0
"""How long a handler may take."""

_SPARE = 2
"""So many workers may wait for a message; one more ends. A bot that is quiet has one."""

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
        at_work: Where the scopes of handlers stand, by their task, for whoever cuts them off.
        at_once: How many senders are served side by side.
        limit_s: How long a handler may take; ``None`` for as long as it likes.
        slots: Taken while a handler runs: what several sessions share.
    """

    def __init__(
        self,
        inbox: Inbox,
        handler: Handler,
        *,
        read: Callable[[Stored], Message],
        closed: anyio.Event,
        at_work: dict[int, anyio.CancelScope],
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
        self._slots = slots
        self._workers = 1
        self._idle = 0
        self._not_awaited = ""  # what a handler has returned that is not async

    async def run(self) -> None:
        """
        Deliver until the inbox is closed.

        Raises:
            DefinitionError: If the handler is no async function.
        """
        async with anyio.create_task_group() as group:
            await self._work(group, stays=True)
        if self._not_awaited:
            raise DefinitionError(
                f"the handler returned {self._not_awaited}, which cannot be awaited: write it as 'async def', "
                "and await what it calls"
            )

    async def _further(self, group: anyio.abc.TaskGroup) -> None:
        try:
            await self._work(group, stays=False, begins=True)
        finally:
            self._workers -= 1

    async def _work(self, group: anyio.abc.TaskGroup, *, stays: bool, begins: bool = False) -> None:
        me = anyio.get_current_task().id
        while stays or begins or self._idle < _SPARE:
            self._idle += not begins
            begins = False
            try:
                stored = await self._inbox.next(me)
            finally:
                self._idle -= 1
            if stored is None:
                return
            if group.cancel_scope.cancel_called:  # woken by the handler that has just ended everything
                self._inbox.put_back(stored)
                return
            if not self._idle and self._workers < self._at_once:
                self._workers += 1
                self._idle += 1  # from now on: until it has begun nobody needs another
                group.start_soon(self._further, group)
            await self._handle(stored, me, group.cancel_scope)
        self._inbox.pass_on()

    async def _handle(self, stored: Stored, me: int, everybody: anyio.CancelScope) -> None:
        slots = self._slots
        has_slot = False
        try:
            limited = slots is None and self._limit_s < math.inf
            with anyio.CancelScope(deadline=anyio.current_time() + self._limit_s if limited else math.inf) as scope:
                self._at_work[me] = scope
                if slots is not None:
                    await slots.acquire()
                    has_slot = True
                    if self._inbox.closed():  # while it waited for others
                        self._inbox.put_back(stored)
                        return
                    scope.deadline = anyio.current_time() + self._limit_s
                outcome: object = self._handler(self._read(stored))
                if not inspect.isawaitable(outcome):
                    self._not_awaited = type(outcome).__name__
                    self._inbox.put_back(stored)
                    everybody.cancel()
                    return
                await outcome
            if scope.cancelled_caught and self._closed.is_set():
                logger.warning(
                    "%s: the handler of message %d did not end in time, and the message comes again",
                    stored.account,
                    stored.number,
                )
                self._inbox.put_back(stored)
                return
            if scope.cancelled_caught:
                raise TimeoutError(f"no end after {self._limit_s:g} s")
        except (Exception, SystemExit) as error:
            logger.exception("%s: the handler of message %d raised", stored.account, stored.number)
            await self._inbox.failed(stored, error)
        except BaseException as error:
            if cancelled_from_outside(error):
                everybody.cancel()
                self._inbox.put_back(stored)
                raise
            logger.error("%s: the handler of message %d was cancelled from within", stored.account, stored.number)
            await self._inbox.failed(stored, error)
        else:
            await self._inbox.done(stored)
        finally:
            self._at_work.pop(me, None)
            if has_slot and slots is not None:
                slots.release()


def message_of(stored: Stored) -> Message:
    """Return a stored message as handlers see it."""
    message = parse_message(stored.body)
    if message is None:  # only what was a message is stored
        raise AssertionError(f"message {stored.number} of {stored.account} is no JSON object")
    return message
