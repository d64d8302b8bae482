"""Bugs that a driver could have, put into ours for the time of a block: the simulation has to find each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import anyio
import pytest

from sessionfsm.errors import ILinkError, StoreError
from sessionfsm.lifecycle import Answered, NoAnswer, Policy, Poll, Snapshot, StoreFailed, Trigger, Unanswered
from sessionfsm.session import Session
from sessionfsm.session.delivery import message_of
from sessionfsm.session.driver import Driver
from sessionfsm.session.inbox import Inbox
from sessionfsm.session.operations import Operations, Seen
from sessionfsm.store import Batch, Committed, StoreWriter

__all__ = ["BUGS"]

Patch = pytest.MonkeyPatch


def cursor_before_the_commit(patch: Patch) -> None:
    """The cursor moves when the answer is there; a batch that cannot be committed is dropped."""
    commit = Operations._commit

    async def hasty(self: Operations, deadline: float) -> int:
        for batch in self._uncommitted:
            self.cursor = batch.cursor or self.cursor
        try:
            return await commit(self, deadline)
        finally:
            self._uncommitted.clear()

    patch.setattr(Operations, "_commit", hasty)


def cursor_in_a_transaction_of_its_own(patch: Patch) -> None:
    """The cursor is made durable first, then its messages: a crash between them would lose these."""
    commit = Operations._commit

    async def split(self: Operations, deadline: float) -> int:
        for batch in tuple(self._uncommitted):
            await self.writer.commit([Batch(account=batch.account, cursor=batch.cursor)], by=deadline)
        return await commit(self, deadline)

    patch.setattr(Operations, "_commit", split)


def waits_reset_by_a_renewal(patch: Patch) -> None:
    """A renewal counts as a success, and the ladder starts over."""
    handle = Driver._handle

    def forgetful(self: Driver, trigger: str, command: Any = None, seen: Any = None) -> Any:
        if trigger == Trigger.SESSION_RENEWED:
            life = self.lifecycle
            life.restore(Snapshot(life.state, life.memory._replace(waits=0), life.signals, life.outstanding))
        return handle(self, trigger, command, seen)

    patch.setattr(Driver, "_handle", forgetful)


def swallowed_cancellation(patch: Patch) -> None:
    """A poll catches everything, its own cancellation too."""
    poll = Operations.poll

    async def deaf(self: Operations, command: Poll) -> Seen:
        try:
            return await poll(self, command)
        except BaseException:
            return Seen(outcome=Unanswered(why=NoAnswer.BROKEN), started_s=self.under_way_s, held_s=0.0)

    patch.setattr(Operations, "poll", deaf)


def shielded_poll(patch: Patch) -> None:
    """A poll that cannot be cut short: a stop waits for the server."""
    poll = Operations.poll

    async def stubborn(self: Operations, command: Poll) -> Seen:
        with anyio.CancelScope(shield=True):
            return await poll(self, command)

    patch.setattr(Operations, "poll", stubborn)


def late_outcome_accepted(patch: Patch) -> None:
    """The loss is reported a second time, and taken for the outcome of the renewal that it has caused."""
    handle = Driver._handle

    def twice(self: Driver, trigger: str, command: Any = None, seen: Any = None) -> Any:
        following = handle(self, trigger, command, seen)
        if trigger == Trigger.SESSION_EXPIRED and isinstance(command, Poll) and self.lifecycle.state == "recovering":
            following = handle(self, trigger, following, seen)
        return following

    patch.setattr(Driver, "_handle", twice)


def hint_not_clamped(patch: Patch) -> None:
    """The server's wish is the deadline."""

    def obedient(self: Policy, hint_ms: float | None) -> float:
        hold = self.hold_default_s if hint_ms is None or not 0 < hint_ms < 1e12 else hint_ms / 1000
        return hold + self.poll_margin_s

    patch.setattr(Policy, "poll_deadline_s", obedient)


def done_before_the_handler_returned(patch: Patch) -> None:
    """At most once: the message is marked first, and handled then."""

    async def serve(self: Session, handler: Callable[..., Any]) -> None:
        while (stored := await self._inbox.next()) is not None:
            await self._inbox.done(stored)
            with suppress(Exception):
                await handler(message_of(stored))

    patch.setattr(Session, "deliver", _served_by(serve))


def poll_retried_without_notifystart(patch: Patch) -> None:
    """A renewal only says that it has called notifystart."""
    renew = Operations.renew

    async def lazy(self: Operations, command: Any, adopted: Any) -> Seen:
        if self.last_poll_s < 0:
            return await renew(self, command, adopted)
        try:
            await self._commit(anyio.current_time() + command.deadline_s)
        except Exception:
            return Seen(outcome=StoreFailed(), started_s=None, held_s=0.0)
        return Seen(outcome=Answered(), started_s=anyio.current_time(), held_s=0.0)

    patch.setattr(Operations, "renew", lazy)


def handler_ends_the_polling(patch: Patch) -> None:
    """What a handler raises goes all the way up, and the session ends of it."""

    async def serve(self: Session, handler: Callable[..., Any]) -> None:
        while (stored := await self._inbox.next()) is not None:
            try:
                await handler(message_of(stored))
            except Exception:
                self._driver.stop()
                raise
            await self._inbox.done(stored)

    patch.setattr(Session, "deliver", _served_by(serve))


def _served_by(serve: Callable[..., Any]) -> Callable[..., Any]:
    """Return a delivery that runs *serve* for as many senders as there may be at once."""

    async def deliver(self: Session, handler: Callable[..., Any], *, at_once: int = 16, **_: object) -> None:
        async with anyio.create_task_group() as group:
            for _number in range(at_once):
                group.start_soon(serve, self, handler)

    return deliver


def one_handler_for_all(patch: Patch) -> None:
    """Messages are handled one after the other: who is slow holds up everybody."""
    deliver = Session.deliver

    async def single(self: Session, handler: Callable[..., Any], **options: Any) -> None:
        await deliver(self, handler, **options | {"at_once": 1})

    patch.setattr(Session, "deliver", single)


def sends_wait_for_the_session(patch: Patch) -> None:
    """The original bug's gate: nothing is sent while the session is not active."""
    send = Session.send_text

    async def gated(self: Session, *args: Any, **kwargs: Any) -> Any:
        while self.state in ("recovering", "backoff"):  # noqa: ASYNC110
            await anyio.sleep(1)
        return await send(self, *args, **kwargs)

    patch.setattr(Session, "send_text", gated)


def send_error_moves_the_session(patch: Patch) -> None:
    """What a send is answered is taken for news of the session."""
    send = Session.send_text

    async def moved(self: Session, *args: Any, **kwargs: Any) -> Any:
        try:
            return await send(self, *args, **kwargs)
        except ILinkError:
            outstanding = self._driver.lifecycle.outstanding
            if isinstance(outstanding, Poll) and self._driver._scope is not None:
                self._driver._detail = "a send failed"
                self._driver._moved = True  # type: ignore[attr-defined]
                self._driver._scope.cancel()
            raise

    perform = Driver._perform

    async def performed(self: Driver, command: Any) -> Any:
        try:
            return await perform(self, command)
        finally:
            if getattr(self, "_moved", False):
                self._moved = False  # type: ignore[attr-defined]
                seen = Seen(outcome=Answered(code=-14), started_s=self.operations.under_way_s, held_s=0.0)
                return Trigger.SESSION_EXPIRED, seen  # noqa: B012 - that is the bug

    patch.setattr(Session, "send_text", moved)
    patch.setattr(Driver, "_perform", performed)


def health_of_the_task(patch: Patch) -> None:
    """Health says when the session did something last, not when a poll was good."""
    handle = Driver._handle

    def alive(self: Driver, trigger: str, command: Any = None, seen: Any = None) -> Any:
        following = handle(self, trigger, command, seen)
        self._last_good_s = anyio.current_time()
        return following

    patch.setattr(Driver, "_handle", alive)


def deaf_after_a_takeover(patch: Patch) -> None:
    """Denied three times, the driver waits until somebody logs in."""
    waited = Driver._waited

    async def resigned(self: Driver, command: Any) -> Any:
        if self.lifecycle.signals:
            await anyio.sleep(10 * 3600)
        return await waited(self, command)

    patch.setattr(Driver, "_waited", resigned)


def no_goodbye(patch: Patch) -> None:
    """The session ends, and the server is not told."""

    async def silent(self: Driver, deadline_s: float) -> None: ...

    patch.setattr(Driver, "_notify_stop", silent)


def old_cursor_over_a_newer_one(patch: Patch) -> None:
    """An idle cursor goes on waiting while a newer one is written, and then has its turn."""
    commit = StoreWriter.commit

    async def late(self: StoreWriter, batches: Sequence[Batch], *, by: float) -> list[Committed]:
        newer = {batch.account for batch in batches if batch.cursor is not None}
        waiting = {account: batch for account, batch in self._lazy.items() if account in newer}
        answers = await commit(self, batches, by=by)
        if waiting:
            self._lazy = waiting | self._lazy
            self._lazy_due_s = anyio.current_time() + 5.0
        return answers

    patch.setattr(StoreWriter, "commit", late)


def idle_cursor_past_a_batch_in_memory(patch: Patch) -> None:
    """A batch that could not be committed is kept, and polling goes on: cursors that come later become durable."""
    keep = Operations._keep

    async def hasty(self: Operations, batch: Batch, deadline: float) -> int:
        if batch.cursor is not None and not batch.messages:
            self.cursor, self.writer._well = batch.cursor, True
            self.writer.later(batch)
            return 0
        try:
            return await keep(self, batch, deadline)
        except StoreError:
            return 0

    patch.setattr(Operations, "_keep", hasty)


def marks_lost_at_a_restart(patch: Patch) -> None:
    """What was handled is marked three messages at a time, and whoever ends before that has marked none."""
    soon, mark = StoreWriter.soon, Inbox.mark

    async def thrifty(self: Inbox) -> None:
        if len(self._marks) >= 3:
            await mark(self)

    patch.setattr(StoreWriter, "soon", lambda self, marks: len(marks) < 3 or soon(self, marks))
    patch.setattr(Inbox, "mark", thrifty)


def marks_kept_too_long(patch: Patch) -> None:
    """What was handled is marked after seconds, and a kill has all of it handled again."""
    patch.setattr("sessionfsm.store.writer.MARK_S", 5.0)


def handlers_without_a_limit(patch: Patch) -> None:
    """A handler may take as long as it likes, and its sender's messages wait."""
    deliver = Session.deliver

    async def patient(self: Session, handler: Callable[..., Any], **options: Any) -> None:
        await deliver(self, handler, **options | {"limit_s": None})

    patch.setattr(Session, "deliver", patient)


def login_not_noticed(patch: Patch) -> None:
    """Credentials are read at the start only."""

    async def blind(*_: Any) -> bool:
        return False

    patch.setattr(Operations, "_adopt", blind)


def adopted_with_the_old_cursor(patch: Patch) -> None:
    """The new bot's first poll goes on where the old one's last poll ended."""
    adopt = Operations._adopt

    async def same(self: Operations, deadline: float) -> bool:
        cursor = self.cursor
        if adopted := await adopt(self, deadline):
            self.cursor = cursor
        return adopted

    patch.setattr(Operations, "_adopt", same)


def old_account_still_held(patch: Patch) -> None:
    """After another login was adopted, the account before it is not released."""
    adopt = Operations._adopt

    async def greedy(self: Operations, deadline: float) -> bool:
        before = self.account
        if (adopted := await adopt(self, deadline)) and before != self.account:
            self.writer.store.acquire(before)
        return adopted

    patch.setattr(Operations, "_adopt", greedy)


def old_account_left_behind(patch: Patch) -> None:
    """Whoever begins as the new bot does not look at what is left of the old one: what the library did once."""

    async def careless(self: Operations, *_: Any) -> None: ...

    patch.setattr(Operations, "_succeed", careless)


BUGS = (
    cursor_before_the_commit,
    cursor_in_a_transaction_of_its_own,
    waits_reset_by_a_renewal,
    swallowed_cancellation,
    shielded_poll,
    late_outcome_accepted,
    hint_not_clamped,
    done_before_the_handler_returned,
    poll_retried_without_notifystart,
    handler_ends_the_polling,
    one_handler_for_all,
    sends_wait_for_the_session,
    send_error_moves_the_session,
    health_of_the_task,
    deaf_after_a_takeover,
    no_goodbye,
    old_cursor_over_a_newer_one,
    idle_cursor_past_a_batch_in_memory,
    marks_lost_at_a_restart,
    marks_kept_too_long,
    handlers_without_a_limit,
    login_not_noticed,
    adopted_with_the_old_cursor,
    old_account_still_held,
    old_account_left_behind,
)
