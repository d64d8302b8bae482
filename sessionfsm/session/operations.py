"""
The operations that a lifecycle orders, performed: each awaits the wire and the store, and says what it saw.

Nothing here decides what follows. An operation can be cancelled at any await. A commit that is cancelled may still be
carried out by the store; its batch stays in memory and is committed again, which changes nothing the second time.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio

from sessionfsm.errors import (
    AccountInUse,
    BrokenAnswer,
    ConnectFailed,
    ConnectionLost,
    CredentialsExposed,
    CredentialsMissing,
    DeadlineExceeded,
    DefinitionError,
    ILinkError,
    SessionLost,
    StatusError,
    StoreError,
)
from sessionfsm.ilink import ILinkClient, Message
from sessionfsm.lifecycle import (
    NO_HANDSHAKE,
    Answered,
    NoAnswer,
    Outcome,
    Policy,
    Poll,
    Renew,
    StatusAnswered,
    StoreFailed,
    Unanswered,
)
from sessionfsm.secret import Secret
from sessionfsm.store import Batch, Committed, Credentials, CredentialStore, Incoming, StoreWriter

__all__ = ["Gate", "Operations", "Seen"]

logger = logging.getLogger("sessionfsm")

Gate: TypeAlias = Callable[[str], Awaitable[object]]
"""Is awaited, with the server's address, before a request that belongs to a new beginning."""

_PARSED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    How an operation ended.

    Attributes:
        outcome: What is to be classified.
        started_s: When the request was started, on the monotonic clock; ``None`` if none was made.
        held_s: How long it was out.
        news: How many messages it brought that were new.
        detail: The same for people; empty when there is nothing to add.
    """

    outcome: Outcome
    started_s: float | None
    held_s: float
    news: int = 0
    detail: str = ""


@dataclass(slots=True)
class Operations:
    """
    What a session has to do with the world.

    Attributes:
        client: The wire.
        writer: The way to the store.
        credentials: Where another login is found; ``None`` for nowhere.
        policy: For deadlines.
        account: Whose session it is; another one once other credentials were adopted.
        wall: The time of day, for what people read.
        committed: Called with the answer to every commit that brought messages.
        recheck: Called when the store may hold messages that no answer has told of.
        token: What the client authenticates with, to notice when there is another.
        gate: Awaited before each renewal, each poll on a new connection, and the goodbye; no deadline runs meanwhile.
        cursor: Where the next poll goes on.
        last_poll_s: When the last poll was started.
        under_way_s: When the request that is out was started; ``None`` before it is. What records it sets it back.
        trouble: What is wrong with the store; empty while it works.
    """

    client: ILinkClient
    writer: StoreWriter
    credentials: CredentialStore | None
    policy: Policy
    account: str
    wall: Callable[[], float]
    committed: Callable[[Committed], None]
    recheck: Callable[[], None]
    token: Secret
    gate: Gate | None = None
    cursor: Secret | None = None
    last_poll_s: float = -math.inf
    under_way_s: float | None = None
    trouble: str = ""
    _hint_ms: int | None = None
    _parsed: dict[int, Message] = field(default_factory=dict)  # by the hash of their JSON, which nobody shall see
    _uncommitted: list[Batch] = field(default_factory=list)
    _unsure: bool = False
    _passed_over: Secret | None = None  # a stored token that is not to be used
    _said: str = ""
    _told_no_handshake: bool = False

    @property
    def poll_deadline_s(self) -> float:
        """The deadline of the next poll, by the server's last hint."""
        return self.policy.poll_deadline_s(self._hint_ms)

    @property
    def uncommitted(self) -> int:
        """How many batches are in memory only."""
        return len(self._uncommitted)

    async def poll(self, command: Poll) -> Seen:
        """Poll once and commit what came."""
        if command.pace_s:  # the exchange itself lets others run
            await anyio.sleep_until(self.last_poll_s + command.pace_s)
        if command.fresh and self.gate is not None:
            await self.gate(self.client.base_url)
        started = self.last_poll_s = self.under_way_s = anyio.current_time()
        deadline = started + self.poll_deadline_s
        try:
            updates = await self.client.get_updates(self.cursor, deadline_s=deadline - started, fresh=command.fresh)
        except ILinkError as error:
            if isinstance(error, DeadlineExceeded):
                self._doubt_hint()
            return _seen(error, started)
        held = anyio.current_time() - started
        if updates.dropped:
            logger.warning("%s: %d entries of a batch were no messages and were dropped", self.account, updates.dropped)
        if updates.hint_ms is not None:
            self._hint_ms = updates.hint_ms
        if updates.messages:
            if len(self._parsed) > _PARSED:  # nobody takes them, or they were not new
                self._parsed.clear()
            self._parsed.update({hash(message.raw): message for message in updates.messages})
        batch = Batch(
            account=self.account,
            cursor=updates.cursor,
            messages=tuple([_incoming(message) for message in updates.messages]),
            received_at=self.wall(),
        )
        try:
            news = await self._keep(batch, deadline)
        except StoreError as error:
            self.trouble = str(error)
            return Seen(outcome=StoreFailed(), started_s=started, held_s=held, detail=self.trouble)
        answered = Answered(has_messages=updates.has_messages, has_cursor=updates.cursor is not None, news=news)
        return Seen(outcome=answered, started_s=started, held_s=held, news=news)

    def take_parsed(self, body: bytes) -> Message | None:
        """Return the message with this JSON if it came lately, so that nobody has to read it a second time; once."""
        message = self._parsed.pop(hash(body), None)
        return message if message is not None and message.raw == body else None

    async def _keep(self, batch: Batch, deadline: float) -> int:
        """
        Commit what a poll has brought; return how many messages were new.

        A fresh cursor alone is written when there is company: it is no loss if it is not, since the one before it
        leads to the same messages.
        """
        if batch.cursor is None and not batch.messages:
            return 0
        if not (batch.messages or self._uncommitted) and self.writer.later(batch):
            self.cursor = batch.cursor
            return 0
        self._uncommitted.append(batch)
        return await self._commit(deadline)

    def _doubt_hint(self) -> None:
        """
        Believe a hint below the default only while polls are answered.

        A server that holds longer than it said would never be heard again: each poll would end by our own deadline,
        and the answer that could correct the hint would never come (docs/reference/protocol.md, section 1.4).
        """
        if self._hint_ms is not None and self._hint_ms < self.policy.hold_default_s * 1000:
            self._hint_ms = None

    async def renew(self, command: Renew, adopted: Callable[[], None]) -> Seen:
        """
        Commit what is only in memory, read the credentials again, call ``notifystart``.

        The deadline is for these three. What the gate takes comes on top: else a thousand sessions that wait for their
        turn would fail by the deadline, and begin to wait anew.

        Args:
            adopted: Called when other credentials were found and taken, before ``notifystart``.
        """
        started = anyio.current_time()
        deadline = started + command.deadline_s
        try:
            await self._commit(deadline)
            if await self._adopt(deadline):
                adopted()
            self.trouble = ""
        except StoreError as error:
            self.trouble = str(error)
            return Seen(outcome=StoreFailed(), started_s=None, held_s=0.0, detail=self.trouble)
        left_s = deadline - anyio.current_time()
        if left_s <= 0:
            # There is no time left to call it, and a renewal that did not call it must not count as one.
            self.trouble = "the store left no time for the renewal"
            return Seen(outcome=StoreFailed(), started_s=None, held_s=0.0, detail=self.trouble)
        if self.gate is not None:
            await self.gate(self.client.base_url)
        started = self.under_way_s = anyio.current_time()
        try:
            await self.client.notify_start(deadline_s=left_s)
        except ILinkError as error:
            seen = _seen(error, started)
            if isinstance(error, StatusError) and error.status in NO_HANDSHAKE and not self._told_no_handshake:
                self._told_no_handshake = True
                logger.info("%s: this server has no notifystart (HTTP %d)", self.account, error.status)
            return seen
        return Seen(outcome=Answered(), started_s=started, held_s=anyio.current_time() - started)

    async def load(self) -> None:
        """
        Take the account, and read where the first poll goes on.

        Raises:
            AccountInUse: If somebody else polls for the account.
            StoreError: If the store cannot be read.
        """
        by = anyio.current_time() + self.policy.renewal_deadline_s
        self.cursor = await self._acquire(self.account, by)
        try:
            if self.credentials is not None and (found := await self._current(by)) and found.account == self.account:
                # What was kept before we were started is older than the token that we were started with.
                self._passed_over = found.token
                await self._succeed(self.credentials, self.account, by)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let somebody else poll for the account."""
        try:
            self.writer.store.release(self.account)
        except StoreError as error:
            logger.warning("%s: the account could not be released: %s", self.account, error)

    async def commit_rest(self, deadline: float) -> None:
        """Commit what is only in memory, at the end of a run; say so if that is not possible."""
        try:
            await self._commit(deadline)
            await self.writer.flush(self.account, by=deadline)
        except StoreError as error:
            lost = sum(len(batch.messages) for batch in self._uncommitted)
            logger.error("%s: %d messages could not be committed before the end: %s", self.account, lost, error)

    async def say_goodbye(self, deadline_s: float) -> None:
        """Call ``notifystop``, unless the gate keeps it waiting for so long that nobody waits for it any more."""
        by = anyio.current_time() + deadline_s
        if self.gate is not None:
            with anyio.CancelScope(deadline=by) as turn:
                await self.gate(self.client.base_url)
            if turn.cancelled_caught:
                return
        await self.client.notify_stop(deadline_s=max(by - anyio.current_time(), 0.0))

    async def _acquire(self, account: str, by: float) -> Secret | None:
        """
        Take an account; return its newest cursor, ``None`` if it has none.

        If nobody waits for the answer any more and it was done all the same, it is undone.

        Raises:
            AccountInUse: If somebody else has it.
            StoreError: If the store could not, or did not answer in time.
        """
        store = self.writer.store
        done: list[bool] = []  # whoever takes out what is in it, here or in the store's thread, is the one to undo it
        abandoned = False

        def acquire() -> Secret | None:
            store.acquire(account)
            done.append(True)
            if abandoned:
                undo()
                return None
            return store.cursor(account)

        def undo() -> None:
            with contextlib.suppress(IndexError):
                done.pop()
                store.release(account)

        try:
            return await self.writer.ask(by, acquire)
        except BaseException:
            abandoned = True
            undo()
            raise

    async def _succeed(self, credentials: CredentialStore, account: str, by: float) -> None:
        """
        Take over for *account* what is left of those that it has replaced while nobody ran, or whoever ran was killed.

        One that somebody else still polls for is left to them: they will find the new login themselves.
        """
        store = self.writer.store
        for before in await self.writer.ask(by, credentials.predecessors, account):
            if before == self.account:
                continue
            try:
                await self._acquire(before, by)
            except AccountInUse as error:
                logger.warning("%s: what is left of account %s is not taken over: %s", account, before, error)
                continue
            try:
                await self._retire(before, account, by)
            finally:
                store.release(before)

    async def _retire(self, before: str, account: str, by: float) -> None:
        # A cursor that was written afterwards would open the account again.
        await self.writer.flush(before, by=by)
        await self.writer.ask(by, self.writer.store.retire, before, account)

    async def _current(self, deadline: float) -> Credentials | None:
        """Return the credentials in force, if there are any that may be used. What is wrong there makes nobody deaf."""
        assert self.credentials is not None
        try:
            return await self.writer.ask(deadline, self.credentials.current, self.account)
        except (CredentialsExposed, StoreError) as error:
            self._say_once(f"the stored credentials are not used, going on with those that are known: {error}")
            return None

    async def _adopt(self, deadline: float) -> bool:
        """Use other credentials from now on, if there are any that can be used; return whether there are."""
        if self.credentials is None:
            return False
        found = await self._current(deadline)
        if found is None or found.token in (self.token, self._passed_over):
            return False
        store, before, account = self.writer.store, self.account, found.account
        try:
            if account != before:
                await self._acquire(account, deadline)
        except AccountInUse as error:
            self._say_once(f"another login was found, and is not used: {error}")
            return False
        adopted = False
        try:
            cursor = await self.writer.ask(deadline, store.cursor, account)
            self.client.check_credentials(found.token, found.base_url)
            if account != before:
                await self._succeed(self.credentials, account, deadline)
                await self._retire(before, account, deadline)
            self.client.replace_credentials(found.token, found.base_url)
            adopted = True
        except (CredentialsMissing, DefinitionError) as error:
            self._passed_over = found.token
            logger.error("%s: the stored credentials cannot be used, going on with the old: %s", before, error)
            return False
        finally:
            if account != before:
                store.release(before if adopted else account)
        logger.warning("%s: other credentials were found and are used now (account %s)", before, account)
        self.account, self.token, self.cursor, self._hint_ms = account, found.token, cursor, None
        return True

    def _say_once(self, words: str) -> None:
        if words != self._said:
            self._said = words
            logger.error("%s: %s", self.account, words)

    async def _commit(self, deadline: float) -> int:
        """Commit every batch that is in memory; return how many messages were new. No cursor moves before that."""
        if not self._uncommitted:
            return 0
        batches = tuple(self._uncommitted)
        unsure, self._unsure = self._unsure, True
        results = await self.writer.commit(batches, by=deadline)
        self._unsure, self.trouble = False, ""
        del self._uncommitted[: len(batches)]
        for batch in batches:
            if batch.cursor is not None and batch.account == self.account:
                self.cursor = batch.cursor
        if unsure:
            # An earlier try may have succeeded after all: then these messages are in the store, and new to nobody.
            self.recheck()
        for result in results:
            if result.new:
                self.committed(result)
        return sum(len(result.new) for result in results)


def _incoming(message: Message) -> Incoming:
    return Incoming(
        key=message.dedup_key(),
        sender=message.sender,
        body=message.raw,
        context_token=message.context_token,
        sent_ms=message.create_time_ms or None,  # zero is protobuf's "not set"
    )


def _seen(error: ILinkError, started: float) -> Seen:
    return Seen(
        outcome=_outcome(error),
        started_s=started,
        held_s=anyio.current_time() - started,
        detail=str(error),
    )


def _outcome(error: ILinkError) -> Outcome:
    """Return an error in the words of the lifecycle."""
    match error:
        case SessionLost(status=int(status)):
            return StatusAnswered(status=status)
        case StatusError():
            return StatusAnswered(status=error.status, retry_after_s=error.retry_after_s)
        case ConnectFailed():
            return Unanswered(why=NoAnswer.NO_CONNECTION)
        case ConnectionLost():
            return Unanswered(why=NoAnswer.CONNECTION_LOST)
        case DeadlineExceeded():
            return Unanswered(why=NoAnswer.DEADLINE)
        case BrokenAnswer():
            return Unanswered(why=NoAnswer.BROKEN)
        case SessionLost(code=int(code)):
            return Answered(code=code)
        case _:
            return Answered(code=getattr(error, "code", None) or -1)
