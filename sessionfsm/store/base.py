"""
What a session needs of a store, and the values that travel.

A store's methods are ordinary blocking functions: they are called through a :class:`Runner`, which is a worker thread
in production and a plain call where time is virtual. They may be called from several threads at once. Each either does
the whole of what it says or raises :class:`~sessionfsm.errors.StoreError` and has done nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ParamSpec, Protocol, TypeAlias, TypeVar

import msgspec

from sessionfsm.secret import Secret

__all__ = ["Batch", "Committed", "Incoming", "MessageState", "Runner", "Store", "Stored"]

P = ParamSpec("P")
R = TypeVar("R")

RichRepr: TypeAlias = "list[tuple[str, object]]"
"""What rich shows in place of the repr. A struct of msgspec has one of its own, and that shows every field."""

_AHEAD_S = 24 * 3600.0


class MessageState(StrEnum):
    """What has become of a message."""

    OPEN = "open"
    """To be handed to a handler, or with one."""
    DONE = "done"
    """A handler has returned from it."""
    PARKED = "parked"
    """Set aside, because handlers kept failing on it."""
    DROPPED = "dropped"
    """Given up by a person."""


# Incoming and Stored are made for each message. As frozen dataclasses they would take five times as long.


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """
    A message on its way into the store. Its ``repr`` leaves out what was said.

    Attributes:
        key: What makes it the same message when it comes again (docs/reference/protocol.md, section 2.5).
        sender: Who wrote it; messages of one sender keep their order.
        body: The message's exact JSON.
        context_token: What an answer to this sender should carry.
        sent_ms: When it was written, by the server's clock, in milliseconds since the epoch; ``None`` if the server
            did not say so. The context token of the message that was written last is kept; a time that is more than a
            day ahead of ours is none.
    """

    key: str
    sender: str
    body: bytes
    context_token: Secret | None = None
    sent_ms: int | None = None

    def __repr__(self) -> str:
        return _shown(self)

    def __rich_repr__(self) -> RichRepr:
        return _without_body(self)


def _without_body(value: msgspec.Struct) -> RichRepr:
    return [(name, getattr(value, name)) for name in value.__struct_fields__ if name != "body"]


def _shown(value: msgspec.Struct) -> str:
    return f"{type(value).__name__}({', '.join(f'{name}={each!r}' for name, each in _without_body(value))})"


def believable(sent_ms: int | None, now: float) -> int | None:
    """
    Return when a message was written, or ``None`` if the server did not say so, or what it said cannot be.

    Nobody could write a later message than one from the year 9999, and its context token would stay for ever.

    Args:
        now: Wall time, in seconds since the epoch.
    """
    return sent_ms if sent_ms is not None and 0 < sent_ms <= (now + _AHEAD_S) * 1000 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """
    What one poll brought. It is committed whole or not at all.

    Attributes:
        account: Whose it is.
        cursor: Where the next poll goes on; ``None`` leaves the stored cursor as it is.
        messages: In the server's order.
        received_at: Wall time in seconds since the epoch, for people.
    """

    account: str
    cursor: Secret | None
    messages: tuple[Incoming, ...] = ()
    received_at: float = 0.0


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """
    A message in the store. Its ``repr`` leaves out what was said.

    Attributes:
        number: Its place in the store's order. Later messages have larger numbers, and no two have the same.
        account: Whose it is.
        sender: Who wrote it.
        body: The message's exact JSON; empty if it was finished long ago and the room was needed.
        received_at: When its batch came, as wall time in seconds since the epoch.
        attempts: How often a handler has failed on it.
        error: The last failure, in words; empty without one.
        state: What has become of it.
    """

    number: int
    account: str
    sender: str
    body: bytes
    received_at: float
    attempts: int = 0
    error: str = ""
    state: MessageState = MessageState.OPEN

    def __repr__(self) -> str:
        return _shown(self)

    def __rich_repr__(self) -> RichRepr:
        return _without_body(self)


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


class Store(Protocol):
    """Keeps cursors, messages and context tokens. See the module for how it is called."""

    @property
    def shared(self) -> bool:
        """Whether other processes may change it meanwhile."""

    def acquire(self, account: str) -> None:
        """
        Make this process the account's only poller, until :meth:`release`, or until the process has ended.

        Raises:
            AccountInUse: If there is one already, in this process or in another; it says which.
        """

    def release(self, account: str) -> None:
        """
        Let somebody else poll for the account. For an account that was not acquired it does nothing.

        It never waits, and is called in place.
        """

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """
        Keep the batches, of any accounts, in one durable transaction; answer for each which messages are new.

        A batch that is committed again, because nobody knew whether the first time had succeeded, changes nothing.

        Raises:
            StorageFull: If an account in it has no room left; no batch was committed.
        """

    def cursor(self, account: str) -> Secret | None:
        """Return where the account's next poll goes on; ``None`` for the beginning."""

    def pending(self, account: str, *, after: int = 0, limit: int = 100) -> list[Stored]:
        """Return the account's open messages, in order, with numbers above *after*."""

    def done(self, numbers: Sequence[int]) -> None:
        """
        Note that messages, of any accounts, were handled. Their keys are remembered, so that they stay known.

        It survives the end of the process; after a power failure they may be open again. One that is no longer open,
        because somebody else has dealt with it, stays as it is.
        """

    def failed(self, number: int, error: str, *, park: bool) -> bool:
        """
        Note that a handler failed on the message: one attempt more; with *park* it is set aside.

        Return whether it was still open. If it was not, because somebody else has dealt with it, it stays as it is.
        """

    def context_token(self, account: str, user: str) -> Secret | None:
        """Return the context token of the message that *user* wrote last."""

    def retire(self, account: str, successor: str) -> None:
        """
        Put *successor* in the place of *account*, whose user has logged in again.

        Its open and parked messages are the successor's from now on, with the same numbers; an open one that the
        successor knows already is done. Its cursor and its context tokens are forgotten. A finished message of its
        that is opened once more is opened for the successor.
        """

    def changed(self) -> bool:
        """Return whether another process may have opened messages since this was last asked; it is asked often."""

    # --- for people --------------------------------------------------------------------------------------------------

    def messages(
        self,
        *,
        account: str | None = None,
        states: Collection[MessageState] = tuple(MessageState),
        after: int = 0,
        limit: int = 100,
    ) -> list[Stored]:
        """Return messages in order, of one account or of all, with numbers above *after*."""

    def message(self, number: int) -> Stored | None:
        """Return one message, or ``None`` if there is none of this number, or it is kept no longer."""

    def retry(self, number: int) -> Stored:
        """
        Open a parked, dropped or done message once more; return it.

        It gets a new number, so that it comes last, and begins with no attempts.

        Raises:
            StoreError: Also if there is no such message, its body is gone, or it is open.
        """

    def drop(self, number: int) -> None:
        """
        Give an open or parked message up. It stays known, and is not handed out again.

        Raises:
            StoreError: Also if there is no such message, or it is finished.
        """

    def close(self) -> None:
        """Let go of files and locks."""


class Runner(Protocol):
    """
    Calls a blocking function of a store from async code.

    One that begins a call only when the one before has ended, also one that was abandoned, may say so by an attribute
    ``in_order = True``: then a session may bring its own commit to the store, and need not wait for the writer's task.
    """

    async def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call *function* and return what it returns. It may be abandoned by cancellation, and then goes on alone."""
        ...
