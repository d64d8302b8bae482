"""
What a session needs of a store, and the values that travel.

A store's methods are ordinary blocking functions: the session calls them through a :class:`Runner`, which is a worker
thread in production and a plain call where time is virtual. They may be called from several threads at once. Each
either does the whole of what it says or raises :class:`~sessionfsm.errors.StoreError` and has done nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, Protocol, TypeVar

from sessionfsm.secret import Secret

__all__ = ["Batch", "Committed", "Credentials", "Incoming", "Runner", "Store", "Stored"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """
    A message on its way into the store.

    Attributes:
        key: What makes it the same message when it comes again (docs/reference/protocol.md, section 2.5).
        sender: Who wrote it; messages of one sender keep their order.
        body: The message's exact JSON.
        context_token: What an answer to this sender should carry; the newest one is kept.
    """

    key: str
    sender: str
    body: bytes = field(repr=False)
    context_token: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """
    What one poll brought. It is committed whole or not at all.

    Attributes:
        account: Whose it is.
        cursor: Where the next poll goes on; ``None`` leaves the stored cursor as it is.
        messages: In the server's order.
        received_at: Wall time in seconds since the epoch, for retention and for people.
    """

    account: str
    cursor: Secret | None
    messages: tuple[Incoming, ...] = ()
    received_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """
    A message in the store.

    Attributes:
        number: Its place in the account's order; later messages have larger numbers.
        account: Whose it is.
        sender: Who wrote it.
        body: The message's exact JSON.
        received_at: When its batch came, as wall time.
        attempts: How often a handler has failed on it.
        error: The last failure, in words; empty without one.
        parked: Whether it is set aside because it kept failing.
    """

    number: int
    account: str
    sender: str
    body: bytes = field(repr=False)
    received_at: float
    attempts: int = 0
    error: str = ""
    parked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """
    What became of a batch.

    Attributes:
        new: The messages that had not been seen before, in order.
        duplicates: How many had been.
    """

    new: tuple[Stored, ...]
    duplicates: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """
    What a login gave.

    Attributes:
        token: The bot token.
        base_url: Where the API is for this account.
        user_id: The Weixin user who scanned; one user has one live bot.
    """

    token: Secret
    base_url: str
    user_id: str = ""


class Store(Protocol):
    """Keeps cursors, messages, context tokens and credentials. See the module for how it is called."""

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """
        Keep the batches, of any accounts, in one durable transaction; answer for each which messages are new.

        A batch that is committed again, because nobody knew whether the first time had succeeded, changes nothing.
        """

    def cursor(self, account: str) -> Secret | None:
        """Return where the account's next poll goes on; ``None`` for the beginning."""

    def pending(self, account: str, *, after: int = 0, limit: int = 100) -> list[Stored]:
        """Return messages that are neither done nor parked, in order, with numbers above *after*."""

    def done(self, account: str, numbers: Sequence[int]) -> None:
        """
        Note that the messages were handled. Their keys are remembered, so that they are not handled again.

        One that is no longer open, because somebody else has dealt with it, stays as it is.
        """

    def failed(self, account: str, number: int, error: str, *, park: bool) -> None:
        """Note that a handler failed on the message: one attempt more; with *park* it is set aside."""

    def parked(self, account: str) -> list[Stored]:
        """Return the messages that were set aside, in order."""

    def context_token(self, account: str, user: str) -> Secret | None:
        """Return the newest context token that came from *user*."""

    def credentials(self, account: str) -> Credentials | None:
        """
        Return the credentials in force for the user behind *account*, or ``None`` if none were saved.

        After a new login of the same user they belong to another account than the one asked for.
        """

    def save_credentials(self, account: str, credentials: Credentials) -> None:
        """Save what a login gave; *account* is the account that it replaces, or its own."""

    def close(self) -> None:
        """Let go of files and locks."""


class Runner(Protocol):
    """Calls a blocking function of a store from async code."""

    async def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call *function* and return what it returns. It may be abandoned by cancellation, and then goes on alone."""
        ...
