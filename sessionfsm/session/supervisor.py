"""One account of a manager: its session is started, and started again when it ends, with a reason that can be read."""

from __future__ import annotations

import logging
import math
import random
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import anyio

from sessionfsm.errors import (
    AccountInUse,
    CredentialsExposed,
    CredentialsMissing,
    DefinitionError,
    PropertyBroken,
    SessionFSMError,
)
from sessionfsm.lifecycle import Ladder, State, Trigger
from sessionfsm.secret import raised_at

from .cancellation import TASK_ENDS, cancellations, taken_back
from .health import Health
from .records import Record
from .session import Session

if TYPE_CHECKING:
    from .fleet import Fleet

__all__ = ["Cure", "Down", "Supervisor"]

logger = logging.getLogger("sessionfsm")

_HELD_S = 60.0
"""A session that has lived so long has not failed at its start: the waits begin anew."""


class Cure(StrEnum):
    """What it takes for an account that has no session to have one again."""

    RESTART = "restart"
    """Nothing but time: it is tried again by itself."""
    ELSEWHERE = "elsewhere"
    """Somebody has to do something elsewhere: stop another process, or log in. It is looked again by itself."""
    BY_HAND = "by hand"
    """Nothing changes by itself: it is tried again after :meth:`SessionManager.replace` or ``wake``, and not before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """
    An account that has no session now.

    Attributes:
        account: Which.
        reason: Why, in words.
        cure: What it takes.
        error: What has ended the session, or has kept it from starting, without a traceback: frames hold tokens.
            ``None`` if it was stopped in order, or has not been started yet, or if it was something unforeseen; that
            is named in the reason only.
        failures: How often in a row.
        next_try_s: In how many seconds it is tried again; ``None`` if it is not, or its turn to start has come.
    """

    account: str
    reason: str
    cure: Cure
    error: SessionFSMError | None
    failures: int
    next_try_s: float | None


class Supervisor:
    """
    Keeps one account. Whatever happens in its session stays in here.

    Attributes:
        account: What it is called now.
        followed: Its credentials are in the store that the manager follows.
        session: The session, while there is one.
        is_over: The account is kept no longer.
        counted_state: For the tally, as is what follows it: the state that the session was counted under.
    """

    def __init__(self, fleet: Fleet, account: str, *, followed: bool) -> None:
        self.account = account
        self.followed = followed
        self.session: Session | None = None
        self.is_over = False
        self.counted_state: str | None = None
        self.counted_trouble = ""
        self.has_polled = False
        self.queued = False  # in the line of those who renew
        self.begins_anew = False  # it is being ended so that it begins again
        self.has_begun = False  # it has had its first turn, or has a reason for not having had it
        self._fleet = fleet
        self._ending = False
        self._is_starting = False  # it has one of the places of those who start
        self._is_loading = False  # and one of those who read from the store
        self._scope: anyio.CancelScope | None = None
        self._wake: anyio.Event | None = None  # while there is no session
        self._successor = ""
        self._failures = 0
        self._up_at_s = math.inf
        self._last_good_s: float | None = None  # of sessions that have ended
        self._next_try_s: float | None = None
        self._error: SessionFSMError | None = None
        self._cure = Cure.RESTART
        self._reason = "it is about to start"
        self._said = ""  # why there is no session, as it was logged

    @property
    def last_good_s(self) -> float:
        """When the last good poll of the session ended; long ago, if there was none."""
        at_s = self.session._driver.last_good_s if self.session is not None else None
        return -math.inf if at_s is None else at_s

    # --- what others want --------------------------------------------------------------------------------------------

    def end(self, *, goodbye: bool = True) -> None:
        """Stop the session in order, and keep the account no longer."""
        self._ending = True
        self._stop(goodbye=goodbye)

    def begin_anew(self) -> None:
        """End the session, without a goodbye, and begin another one with the credentials that are in force now."""
        # One whose turn has not come has nothing to be ended.
        self.begins_anew = self.session is not None or self._scope is not None
        self._stop(goodbye=False)

    def wake(self) -> None:
        """Try again now: a session that waits to renew, and an account that waits for a session."""
        if self.session is not None:
            self.session.wake()
        elif self._wake is not None:
            self._wake.set()

    def hurry(self, successor: str) -> None:
        """Its user has logged in again, as *successor*: look for that now, once."""
        if successor != self._successor:
            self._successor = successor
            self.wake()

    @property
    def is_ending(self) -> bool:
        """Whether it is asked to end, and kept no longer when it has."""
        return self._ending

    def excuse(self, task: int) -> None:
        """Do not wait for what this task has in hand: it is the one that waits."""
        if self.session is not None:
            self.session._inbox.excuse(task)
            self.session._at_work.outlives(task)

    def health(self) -> Health:
        """Return how the session is, or why there is none."""
        if self.session is not None:
            health = self.session.health()
            return replace(health, detail="in line behind others that renew") if self.queued else health
        now = anyio.current_time()
        return Health(
            account=self.account,
            state=State.STOPPED,
            ready=False,
            last_poll_age_s=None if self._last_good_s is None else now - self._last_good_s,
            last_message_age_s=None,
            reason=self._reason,
            detail=type(self._error).__name__ if self._error is not None else "",
            next_retry_s=None if self._next_try_s is None else max(self._next_try_s - now, 0.0),
            signals=(),
            polls=0,
            in_hand=0,
            uncommitted=0,
        )

    def down(self) -> Down | None:
        """Return why there is no session; ``None`` if there is one."""
        if self.session is not None:
            return None
        next_try_s = None if self._next_try_s is None else max(self._next_try_s - anyio.current_time(), 0.0)
        return Down(
            account=self.account,
            reason=self._reason,
            cure=self._cure,
            error=self._error,
            failures=self._failures,
            next_try_s=next_try_s,
        )

    # --- its life ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the account until it is ended."""
        with TASK_ENDS:
            await self._run()

    async def _run(self) -> None:
        try:
            while self._goes_on():
                self._up_at_s = math.inf
                error = await self._live()
                if not self._goes_on():
                    return
                if self.begins_anew:
                    self._failures, self._error = 0, None
                    self._ended_to_begin_anew()
                    self._reason, self._cure = "its credentials were replaced, and it starts again", Cure.RESTART
                    continue
                if anyio.current_time() - self._up_at_s >= _HELD_S:
                    self._failures = 0
                await self._stay_down(error)
        finally:
            self.is_over = True
            self._fleet.over(self)

    def _goes_on(self) -> bool:
        return not self._ending

    async def _live(self) -> Exception | None:
        """One session, from its start to its end; return what has ended it, unless that was in order."""
        session: Session | None = None
        before = cancellations()()
        try:
            with anyio.CancelScope() as scope:
                self._scope = scope
                session = await self._begun()
            if session is not None:
                if scope.cancel_called:  # too late for it: it has begun, and has to be ended
                    self._stop_driver(session, goodbye=False)
                await self._live_in(session)
        except Exception as error:
            return _only_cause(error)
        except BaseException as error:
            # asyncio's own cancel() of this one task is from within as well: an observer may have called it.
            if not taken_back(error, before):
                raise
            return SessionFSMError(f"it was cancelled from within ({type(error).__name__})")
        finally:
            self._scope = None
            self._loaded()
            self._started()
        return None

    async def _begun(self) -> Session:
        """Wait for one's turn; return a session that has begun."""
        await self._fleet.starting.acquire()
        self._is_starting = True
        await self._fleet.loading.acquire()
        self._is_loading = True
        session = await self._fleet.open(self)
        await session._begin()
        return session

    async def _live_in(self, session: Session) -> None:
        """Run a session that has begun, here: a task and a task group more for each would cost a fifth of it."""
        try:
            self._loaded()
            try:
                self._up(session)
                await session._run()
            finally:
                self._down(session)
        finally:
            await session._end()

    async def gate(self, base_url: str) -> None:
        """Wait for one's turn to begin anew; then others may start."""
        self.queued = True
        try:
            await self._fleet.limiter.wait(base_url)
        finally:
            self.queued = False
        self._started()

    def told(self, record: Record) -> None:
        """The session has changed."""
        if record.account != self.account:
            self._fleet.rename(self, record.account)
        if record.trigger != Trigger.START:  # a table of a user's own may begin otherwise than with a renewal
            self._started()
        self._fleet.tally.told(self, record)

    def _up(self, session: Session) -> None:
        self.session, self._up_at_s = session, anyio.current_time()
        self._error, self._next_try_s, self._said = None, None, ""
        self._fleet.tally.up(self)
        self._fleet.up(session)

    def _down(self, session: Session) -> None:
        self._fleet.tally.down(self)
        if session._driver.last_good_s is not None:
            self._last_good_s = session._driver.last_good_s
        self.session = None
        self._reason = "it ends" if self._ending or self.begins_anew else "it has ended"

    def _loaded(self) -> None:
        if self._is_loading:
            self._is_loading = False
            self._fleet.loading.release()

    def _ended_to_begin_anew(self) -> None:
        self.begins_anew = False
        self._fleet.tell()

    def _started(self) -> None:
        if not self.has_begun:
            self.has_begun = True
            self._fleet.tell()
        if self._is_starting:
            self._is_starting = False
            self._fleet.starting.release()

    def _stop(self, *, goodbye: bool) -> None:
        if self.session is not None:
            self._stop_driver(self.session, goodbye=goodbye)
        elif self._scope is not None:
            self._scope.cancel()

    @staticmethod
    def _stop_driver(session: Session, *, goodbye: bool) -> None:
        session._driver.says_goodbye = goodbye
        session._driver.stop()

    async def _stay_down(self, error: Exception | None) -> None:
        """Say why there is no session; wait until there may be one again."""
        wake = self._wake = anyio.Event()
        self._failures += 1
        self._cure, self._reason = _judged(error, followed=self.followed)
        if error is not None:
            _strip(error)
        self._error = error if isinstance(error, SessionFSMError) else None
        wait_s = math.inf
        if self._cure is not Cure.BY_HAND:
            policy = self._fleet.policy
            rung_s = policy.rung_s(Ladder.TRANSPORT, self._failures)
            wait_s = rung_s * (1.0 - policy.jitter * random.random())
            self._fleet.tally.restarts += 1
        self._next_try_s = None if wait_s == math.inf else anyio.current_time() + wait_s
        then = "not tried again by itself" if self._next_try_s is None else f"next try in {wait_s:.1f} s"
        level = logging.INFO if error is None else logging.ERROR if self._failures == 1 else logging.WARNING
        if self._reason == self._said:  # ten thousand that stand by for another process would fill the log
            level = logging.DEBUG
        self._said = self._reason
        logger.log(level, "%s: there is no session: %s; %s", self.account, self._reason, then)
        least_s = anyio.current_time() + self._fleet.policy.transport_first_s * (1.0 - self._fleet.policy.jitter)
        try:
            with anyio.CancelScope() as self._scope:
                with anyio.CancelScope(deadline=anyio.current_time() + wait_s):
                    await wake.wait()
                    await anyio.sleep_until(least_s)  # whoever wakes it cannot know how lately it was tried
        finally:
            self._scope = self._wake = self._next_try_s = None
        if self.begins_anew:
            self._failures = 0
            self._ended_to_begin_anew()
        self._reason = f"it is about to start again ({self._reason})"


def _judged(error: Exception | None, *, followed: bool) -> tuple[Cure, str]:
    """Return what can cure *error*, and how it is told to people: without a word of what nobody foresaw."""
    match error:
        case None:
            return Cure.BY_HAND, "it was stopped by session.stop()"
        case AccountInUse() | CredentialsMissing() | CredentialsExposed():
            return Cure.ELSEWHERE, str(error)
        case DefinitionError() if followed:  # what is stored can be mended there
            return Cure.ELSEWHERE, str(error)
        case DefinitionError() | PropertyBroken():
            return Cure.BY_HAND, str(error)
        case SessionFSMError():
            return Cure.RESTART, str(error)
        case _:
            return Cure.RESTART, f"unexpected {type(error).__name__} (at {raised_at(error)})"


def _only_cause(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _strip(error: Exception) -> None:
    """Take away the frames, in which the session is that has ended, and its token."""
    error.__cause__ = error.__context__ = error.__traceback__ = None
