"""The driver: takes the lifecycle's command, performs it, feeds back what happened. It is meant to be boring."""

from __future__ import annotations

import functools
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TypeAlias

import anyio
import anyio.lowlevel

from sessionfsm.errors import DefinitionError, ILinkError, PropertyBroken
from sessionfsm.lifecycle import (
    Close,
    Command,
    Lifecycle,
    NoAnswer,
    Own,
    Poll,
    Renew,
    Signal,
    StatusAnswered,
    Step,
    StoreFailed,
    Trigger,
    Unanswered,
    Wait,
    classify_poll,
    classify_renewal,
    delay,
)

from .cancellation import cancelled_from_outside
from .health import Health
from .inbox import Inbox
from .operations import Operations, Seen
from .records import Observer, Quiet, Record

__all__ = ["Driver", "OwnOperation", "WaitLength"]

logger = logging.getLogger("sessionfsm")

T = Trigger

OwnOperation: TypeAlias = Callable[[Own], Awaitable[str]]
"""Performs a command of a user's own table, and returns one of its outcomes."""

WaitLength: TypeAlias = Callable[[Wait], float | None]
"""Says how long a wait should last, in seconds; ``None`` leaves it to chance."""

_WAY_OUT = {
    Signal.LOGIN_REQUIRED: "the server denies the session although it was renewed; probably the user scanned "
    "another bot, and a new login is needed; trying on meanwhile",
    Signal.RENEWAL_BLOCKED: "the session is lost and notifystart keeps failing; trying on meanwhile",
}


class Driver:
    """
    Runs one session. One task runs :meth:`run`; everything else may be called from other tasks of the same loop.

    Args:
        lifecycle: The session's life; nobody else may move it.
        operations: What performs the commands.
        inbox: What is drained when the session stops.
        own: What performs the commands of a user's own table, by name.
        wait_length: What a user's own code wishes waits to be.
        observers: Called with every record.
        draw: Draws the jitter, a number in [0, 1).
        history: How many records are kept.
        every_poll: Good polls that change nothing are recorded as well, not only counted.
    """

    # A dict for so many attributes takes 1.5 KB in each session. There is none until something else is put here.
    __slots__ = (
        "__dict__",
        "_broken",
        "_clock_offset_s",
        "_detail",
        "_drain_until_s",
        "_draw",
        "_every_poll",
        "_kept",
        "_last_good_s",
        "_last_news_s",
        "_last_start_s",
        "_own",
        "_quiet",
        "_reason",
        "_records",
        "_retry_at",
        "_scope",
        "_stopping",
        "_told",
        "_trouble_since_s",
        "_wait_length",
        "_wait_s",
        "_waiting",
        "_wake",
        "closed",
        "history",
        "inbox",
        "lifecycle",
        "observers",
        "operations",
        "polls",
        "says_goodbye",
    )

    def __init__(
        self,
        lifecycle: Lifecycle,
        operations: Operations,
        inbox: Inbox,
        *,
        own: Mapping[str, OwnOperation] | None = None,
        wait_length: WaitLength | None = None,
        observers: Iterable[Observer] = (),
        draw: Callable[[], float] = random.random,
        history: int = 256,
        every_poll: bool = False,
    ) -> None:
        self.lifecycle = lifecycle
        self.operations = operations
        self.inbox = inbox
        self.observers = list(observers)
        self.history: list[Record] = []
        self._kept = history
        self.closed = anyio.Event()
        self.polls = 0
        self.says_goodbye = True  # not after another login of the same user (docs/reference/protocol.md, section 2.4)
        self._own = dict(own or {})
        performed = lifecycle.operations
        if missing := sorted(set(performed) - set(self._own)):
            raise DefinitionError(
                f"the lifecycle performs {', '.join(map(repr, missing))}: "
                f"pass operations={{{missing[0]!r}: an async function}} to the session"
            )
        if unknown := sorted(set(self._own) - set(performed)):
            raise DefinitionError(f"the lifecycle never performs {', '.join(map(repr, unknown))}")
        self._wait_length = wait_length
        self._draw = draw
        self._reason = self._detail = ""
        self._stopping = False
        self._told: list[str] = []
        self._drain_until_s = 0.0
        self._clock_offset_s = 0.0
        self._thread = threading.get_ident()  # of the event loop
        self._wake = False  # the wait that is outstanding is to be cut short
        self._waiting: anyio.CancelScope | None = None  # what is cut short then
        self._scope: anyio.CancelScope | None = None
        self._wait_s: float | None = None  # how long the wait that is outstanding lasts
        self._retry_at: float | None = None
        self._last_good_s: float | None = None
        self._last_news_s: float | None = None
        self._last_start_s: float | None = None
        self._trouble_since_s: float | None = None
        self._quiet: Quiet | None = None
        self._records = 0
        self._every_poll = every_poll
        self._broken: PropertyBroken | None = None

    async def run(self) -> None:
        """Live from ``start`` to ``closed``."""
        self._clock_offset_s = anyio.current_time() - time.monotonic()
        self._thread = threading.get_ident()
        try:
            # Stopped before it began: then there is nothing to begin, and nobody to say goodbye to.
            command = None if self._stopping else self._handle(T.START)
            while command is not None:
                if isinstance(command, Close):
                    await self._close(command)
                    command = self._handle(T.CLOSED, command)
                elif self._stopping:
                    command = self._handle(T.STOP)
                else:
                    # One scope for many rounds: to enter and leave one costs more than the machine does.
                    with anyio.CancelScope() as self._scope:
                        await self._rounds(command, self._scope)
                    self._scope = None
                    command = self.lifecycle.outstanding
        finally:
            self.inbox.end()
            self.closed.set()

    def stop(self) -> None:
        """Ask for an orderly end. A second time it changes nothing."""
        if not self._stopping:
            self._drain_until_s = anyio.current_time() + self.lifecycle.policy.drain_deadline_s
        self._stopping = True
        self.inbox.close()
        if self._scope is not None:
            self._scope.cancel()

    def wake(self) -> None:
        """Cut a wait short, though not below its ladder's first rung. Outside a wait it changes nothing."""
        if isinstance(self.lifecycle.outstanding, Wait):
            self._wake = True
            if self._waiting is not None:
                self._waiting.cancel()

    def trigger(self, name: str) -> None:
        """Tell the session an external trigger of a user's own: at once in a wait, else when the request has ended."""
        if name not in self.lifecycle.own_triggers:
            known = ", ".join(map(repr, sorted(self.lifecycle.own_triggers))) or "none"
            raise DefinitionError(f"the table has no external trigger {name!r} (its own: {known})")
        if isinstance(self.lifecycle.outstanding, Wait | Own):
            if name not in self.lifecycle.accepted:
                return
            if self._scope is not None:
                self._scope.cancel()
        if name not in self._told:
            self._told.append(name)

    @property
    def quiet(self) -> Quiet | None:
        """The good polls that were counted since the last record."""
        return self._quiet

    def now(self) -> float:
        """Return the time on the session's clock. May be called from any thread, and in any event loop."""
        if self._thread == threading.get_ident():
            with suppress(RuntimeError):  # the event loop has ended
                return anyio.current_time()
        return time.monotonic() + self._clock_offset_s

    @property
    def last_good_s(self) -> float | None:
        """When the last good poll ended, on the monotonic clock; ``None`` before there was one."""
        return self._last_good_s

    def health(self) -> Health:
        """Return how the session is now. May be called from any thread."""
        now = self.now()
        age = None if self._last_good_s is None else now - self._last_good_s
        polling = isinstance(self.lifecycle.outstanding, Poll) and not self.closed.is_set()
        longest = self.operations.poll_deadline_s + self.lifecycle.policy.pace_ceiling_s
        return Health(
            account=self.operations.account,
            state=self.lifecycle.state,
            ready=polling and age is not None and age <= longest,
            last_poll_age_s=age,
            last_message_age_s=None if self._last_news_s is None else now - self._last_news_s,
            reason=self._reason,
            detail=self._detail,
            next_retry_s=None if self._retry_at is None else max(self._retry_at - now, 0.0),
            signals=tuple(sorted(self.lifecycle.signals)),
            polls=self.polls,
            in_hand=self.inbox.in_hand,
            uncommitted=self.operations.uncommitted,
            storage=self.operations.trouble,
        )

    async def _rounds(self, command: Command | None, scope: anyio.CancelScope) -> None:
        """Perform *command* and what follows, until the session closes or *scope* is cut short."""
        while command is not None and not isinstance(command, Close) and not scope.cancel_called:
            if told := self._next_told():
                command = self._handle(told)
                continue
            trigger, seen = await self._perform(command)
            if self._stopping:
                return
            command = self._handle(trigger, command, seen)
            if seen is not None and seen.news:
                await anyio.lowlevel.checkpoint()  # handlers have waited for it, and the server has not yet
            del seen  # it would be kept as long as the next poll is out

    def _next_told(self) -> str | None:
        while self._told:
            name = self._told.pop(0)
            if name in self.lifecycle.accepted:
                return name
        return None

    async def _perform(self, command: Renew | Poll | Wait | Own) -> tuple[str, Seen | None]:
        if isinstance(command, Wait):
            return await self._waited(command), None
        if isinstance(command, Own):
            return await self._performed(command), None
        try:
            if isinstance(command, Renew):
                seen = await self.operations.renew(command, functools.partial(self._adopted, command))
            else:
                seen = await self.operations.poll(command)
        except Exception as error:
            # Nobody foresaw it. The session goes on: to end here would make the bot deaf over something unknown.
            logger.exception("%s: something unexpected happened", self.operations.account)
            now = anyio.current_time()
            started = self.operations.under_way_s or now  # without the first, no request was made
            held = now - started
            # A renewal that may not have called notifystart must not be followed by a poll: it waits.
            renewing = isinstance(command, Renew)
            seen = Seen(
                outcome=StoreFailed() if renewing else Unanswered(why=NoAnswer.BROKEN),
                started_s=None if renewing else started,
                held_s=held,
                detail=f"unexpected {type(error).__name__}",
            )
        if isinstance(command, Renew):
            return classify_renewal(seen.outcome), seen
        return classify_poll(seen.outcome, seen.held_s, self.lifecycle.policy), seen

    async def _waited(self, command: Wait) -> Trigger:
        length = self._wait_s if self._wait_s is not None else command.ceiling_s
        began = anyio.current_time()
        self._retry_at = retry_at = began + length
        try:
            # Nearly always it is slept to the end. Ten thousand deadlines would end as many waits by an exception.
            with anyio.CancelScope() as self._waiting:
                if not self._wake:
                    await anyio.sleep_until(retry_at)
                    return T.RETRY_DUE
            self._waiting = None
            # Whoever wakes us cannot know that others did so a moment ago: the first rung is always waited for.
            await anyio.sleep_until(min(began + command.first_s, retry_at))
            return T.WAKE if began + command.first_s < retry_at else T.RETRY_DUE
        finally:
            self._retry_at = self._waiting = None
            self._wake = False

    async def _performed(self, command: Own) -> str:
        """Run an operation of a user's own. Whatever it does, one of the outcomes that the table knows comes of it."""
        account, name = self.operations.account, command.name
        with anyio.CancelScope(deadline=anyio.current_time() + command.deadline_s):
            try:
                outcome = await self._own[name](command)
            except Exception:
                logger.exception("%s: the operation %r raised", account, name)
                return command.otherwise
            except BaseException as error:
                if cancelled_from_outside(error):
                    raise
                logger.error("%s: the operation %r was cancelled from within", account, name)
                return command.otherwise
            if outcome in command.outcomes:
                return str(outcome)
            logger.error("%s: the operation %r said %.40r, which is not one of its outcomes", account, name, outcome)
            return command.otherwise
        logger.error("%s: the operation %r was not over after %g s", account, name, command.deadline_s)
        return command.otherwise

    async def _close(self, command: Close) -> None:
        """Drain the handlers and say goodbye, side by side. It ends by itself, so it is not cut short."""
        policy = self.lifecycle.policy
        self.inbox.close()
        deadline = self._drain_until_s
        async with anyio.create_task_group() as group:
            group.start_soon(self.operations.commit_rest, deadline)
            if command.notify and self.says_goodbye:
                group.start_soon(self._notify_stop, policy.notifystop_deadline_s)
            with anyio.CancelScope(deadline=deadline):
                await self.inbox.wait_empty_handed()
                await self.inbox.mark()

    async def _notify_stop(self, deadline_s: float) -> None:
        try:
            await self.operations.say_goodbye(deadline_s)
        except ILinkError as error:
            logger.info("%s: the goodbye was not heard: %s", self.operations.account, error)

    def _adopted(self, command: Renew) -> None:
        self.inbox.succeed(self.operations.account)
        self._handle(T.CREDENTIALS_CHANGED, command)

    def _handle(self, trigger: str, command: Command | None = None, seen: Seen | None = None) -> Command | None:
        """Tell the lifecycle; tell everybody; return the next command."""
        ended = self.lifecycle.outstanding
        step = self.lifecycle.handle(trigger, serial=command.serial if command is not None else None)
        if step is None:
            raise AssertionError(f"{trigger} ended an operation that was not outstanding")
        now = anyio.current_time()
        good = trigger in (T.POLLED, T.HURRIED)
        if good:
            self.polls += 1
            self._last_good_s = now
        if seen is not None and seen.news:
            self._last_news_s = now
        self._wait_s = None
        if isinstance(step.command, Wait):
            asked = seen.outcome.retry_after_s if seen and isinstance(seen.outcome, StatusAnswered) else None
            self._wait_s = delay(
                step.command,
                jitter=self.lifecycle.policy.jitter,
                draw=self._draw(),
                retry_after_s=asked,
                own_s=self._wished(step.command),
            )
        if good and not step.changed and not step.cleared and seen is not None and not self._every_poll:
            self._count(seen)
        else:
            self._record(step, ended, seen, now)
        self._log(step, ended, good, now)
        return self.lifecycle.outstanding

    def _wished(self, wait: Wait) -> float | None:
        """Ask a user's own code how long to wait. What it says is clamped; what it raises is no answer."""
        if self._wait_length is None:
            return None
        try:
            wish = self._wait_length(wait)
            return None if wish is None else float(wish)
        except Exception:
            logger.exception("%s: wait_length raised", self.operations.account)
            return None

    def _count(self, seen: Seen) -> None:
        """Count a good poll that changed nothing."""
        started, quiet = seen.started_s, self._quiet
        assert started is not None  # a good poll was a request
        gap = 0.0 if self._last_start_s is None else started - self._last_start_s
        self._last_start_s = started
        self.operations.under_way_s = None
        self._quiet = Quiet(
            polls=quiet.polls + 1 if quiet else 1,
            first_started_s=quiet.first_started_s if quiet else started,
            last_started_s=started,
            longest_gap_s=max(quiet.longest_gap_s, gap) if quiet else gap,
            news=(quiet.news if quiet else 0) + seen.news,
            since_news=0 if seen.news else (quiet.since_news if quiet else 0) + 1,
        )

    def _record(self, step: Step, ended: Command | None, seen: Seen | None, now: float) -> None:
        self._records += 1
        self._reason, self._detail = step.reason, seen.detail if seen else ""
        started, held = (seen.started_s, seen.held_s) if seen else (None, None)
        # What a stop cuts short has no outcome, but it was a request all the same.
        if step.trigger == T.STOP and (started := self.operations.under_way_s) is not None:
            held = now - started
        self.operations.under_way_s = None
        record = Record(
            account=self.operations.account,
            number=self._records,
            at_s=now,
            wall_s=self.operations.wall(),
            serial=ended.serial if ended else None,
            operation=type(ended).__name__.lower() if ended else "",
            trigger=step.trigger,
            source=step.source,
            target=step.target,
            memory=step.after,
            command=step.command,
            wait_s=self._wait_s,
            started_s=started,
            held_s=held,
            news=seen.news if seen else 0,
            reason=step.reason,
            detail=self._detail,
            raised=tuple(sorted(step.raised)),
            cleared=tuple(sorted(step.cleared)),
            quiet=self._quiet,
        )
        self._quiet = None
        if started is not None:
            self._last_start_s = started
        self.history.append(record)
        if len(self.history) > self._kept:
            del self.history[0]
        for observer in self.observers:
            try:
                observer(record)
            except PropertyBroken as broken:
                logger.error("%s: stopping: %s", record.account, broken)
                self._broken = self._broken or broken
                self.stop()
            except Exception:
                logger.exception("%s: an observer raised", record.account)
        if step.trigger == T.CLOSED and self._broken is not None:
            raise self._broken  # everything is closed in order, and now whoever runs the session hears why

    def _log(self, step: Step, ended: Command | None, good: bool, now: float) -> None:
        """Say both edges of trouble, and what is raised; the rest is for debugging."""
        account = self.operations.account
        logger.debug("%s: %s: %s -> %s (%s)", account, step.trigger, step.source, step.target, step.reason)
        lost = isinstance(ended, Poll) and isinstance(step.command, Renew)
        if lost or isinstance(step.command, Wait):
            what = f"next try in {self._wait_s:.1f} s" if self._wait_s is not None else "renewing it at once"
            level = logging.DEBUG if self._trouble_since_s is not None else logging.WARNING
            logger.log(level, "%s: trouble: %s; %s", account, self._detail or step.reason, what)
            if self._trouble_since_s is None:
                self._trouble_since_s = now
        elif good and self._trouble_since_s is not None:
            logger.warning("%s: trouble over: polling again after %.1f s", account, now - self._trouble_since_s)
            self._trouble_since_s = None
        for signal in sorted(step.raised):
            logger.error("%s: %s: %s", account, signal, _WAY_OUT[Signal(signal)])
        for signal in sorted(step.cleared) if step.trigger != T.STOP else ():  # a stop ends the run, not the cause
            logger.warning("%s: %s is over", account, signal)
