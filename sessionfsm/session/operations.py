"""
The operations that a lifecycle orders, performed: each awaits the wire and the store, and says what it saw.

Nothing here decides what follows. An operation can be cancelled at any await. A commit that is cancelled may still be
carried out by the store; its batch stays in memory and is committed again, which changes nothing the second time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from sessionfsm.errors import (
    BrokenAnswer,
    ConnectFailed,
    ConnectionLost,
    CredentialsMissing,
    DeadlineExceeded,
    DefinitionError,
    ILinkError,
    SessionLost,
    StatusError,
    StoreError,
)
from sessionfsm.identity import account_id
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
from sessionfsm.store import Batch, Committed, Credentials, Incoming, Runner, Store, ask_by

__all__ = ["Operations", "Seen"]

logger = logging.getLogger("sessionfsm")


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
        store: Where batches go.
        run: How the store is called.
        policy: For deadlines.
        account: Whose session it is; another one once other credentials were adopted.
        wall: The time of day, for what people read.
        committed: Called with the answer to every commit that brought messages.
        recheck: Called when the store may hold messages that no answer has told of.
        token: What the client authenticates with, to notice when the store has another.
        cursor: Where the next poll goes on.
        last_poll_s: When the last poll was started.
        under_way_s: When the request that is out was started; ``None`` before it is. What records it sets it back.
    """

    client: ILinkClient
    store: Store
    run: Runner
    policy: Policy
    account: str
    wall: Callable[[], float]
    committed: Callable[[Committed], None]
    recheck: Callable[[], None]
    token: Secret
    cursor: Secret | None = None
    last_poll_s: float = -math.inf
    under_way_s: float | None = None
    _hint_ms: int | None = None
    _uncommitted: list[Batch] = field(default_factory=list)
    _unsure: bool = False
    _refused: Secret | None = None
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
        await anyio.sleep_until(self.last_poll_s + command.pace_s)
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
        answered = Answered(has_messages=updates.has_messages, has_cursor=updates.cursor is not None)
        if not updates.messages and updates.cursor is None:
            return Seen(outcome=answered, started_s=started, held_s=held)
        self._uncommitted.append(
            Batch(
                account=self.account,
                cursor=updates.cursor,
                messages=tuple(_incoming(message) for message in updates.messages),
                received_at=self.wall(),
            )
        )
        try:
            news = await self._commit(deadline)
        except StoreError as error:
            return Seen(outcome=StoreFailed(), started_s=started, held_s=held, detail=str(error))
        answered = Answered(has_messages=updates.has_messages, has_cursor=updates.cursor is not None, news=news)
        return Seen(outcome=answered, started_s=started, held_s=held, news=news)

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

        Args:
            adopted: Called when other credentials were found and taken, before ``notifystart``.
        """
        started = anyio.current_time()
        deadline = started + command.deadline_s
        try:
            await self._commit(deadline)
            found = await ask_by(deadline, self.run, self.store.credentials, self.account)
            other = found is not None and found.token not in (self.token, self._refused)
            if found is not None and other and await self._adopt(found, deadline):
                adopted()
        except StoreError as error:
            return Seen(outcome=StoreFailed(), started_s=None, held_s=0.0, detail=str(error))
        started = anyio.current_time()
        if started >= deadline:
            # There is no time left to call it, and a renewal that did not call it must not count as one.
            late = "the store left no time for the renewal"
            return Seen(outcome=StoreFailed(), started_s=None, held_s=0.0, detail=late)
        self.under_way_s = started
        try:
            await self.client.notify_start(deadline_s=deadline - started)
        except ILinkError as error:
            seen = _seen(error, started)
            if isinstance(error, StatusError) and error.status in NO_HANDSHAKE and not self._told_no_handshake:
                self._told_no_handshake = True
                logger.info("%s: this server has no notifystart (HTTP %d)", self.account, error.status)
            return seen
        return Seen(outcome=Answered(), started_s=started, held_s=anyio.current_time() - started)

    async def load(self) -> None:
        """Read where the first poll goes on."""
        self.cursor = await ask_by(
            anyio.current_time() + self.policy.renewal_deadline_s, self.run, self.store.cursor, self.account
        )

    async def commit_rest(self, deadline: float) -> None:
        """Commit what is only in memory, at the end of a run; say so if that is not possible."""
        try:
            await self._commit(deadline)
        except StoreError as error:
            lost = sum(len(batch.messages) for batch in self._uncommitted)
            logger.error("%s: %d messages could not be committed before the end: %s", self.account, lost, error)

    async def _adopt(self, credentials: Credentials, deadline: float) -> bool:
        """Use other credentials from now on, unless they cannot be used; return whether they are."""
        account = account_id(credentials.token)
        cursor = await ask_by(deadline, self.run, self.store.cursor, account)
        try:
            self.client.replace_credentials(credentials.token, credentials.base_url)
        except (CredentialsMissing, DefinitionError) as error:
            self._refused = credentials.token
            logger.error(
                "%s: the credentials in the store cannot be used, going on with the old: %s", self.account, error
            )
            return False
        logger.warning("%s: other credentials were found and are used now (account %s)", self.account, account)
        self.account, self.token, self.cursor, self._hint_ms = account, credentials.token, cursor, None
        return True

    async def _commit(self, deadline: float) -> int:
        """Commit every batch that is in memory; return how many messages were new. No cursor moves before that."""
        if not self._uncommitted:
            return 0
        batches = tuple(self._uncommitted)
        unsure, self._unsure = self._unsure, True
        results = await ask_by(deadline, self.run, self.store.commit, batches)
        self._unsure = False
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
