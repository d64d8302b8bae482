"""
What really happened, written down from outside the session: on the wire, in the store, in the handlers.

What is wrong at the moment it happens is found here; what shows only in the whole is found by ``checks``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from sessionfsm.ilink import Message
from sessionfsm.session import Record, Violation
from sessionfsm.store import Batch, Committed
from sessionfsm.testing.messages import id_of

__all__ = ["Attempt", "Call", "Endless", "Ledger", "Run"]


_MOST_AFTER_THE_END = 20


class Endless(BaseException):
    """A session that hears nothing is torn down. No handler of errors in it may take this for its own."""


@dataclass(slots=True)
class Attempt:
    """A send that was tried: when, when it was on the wire, when it was over."""

    tried_s: float
    run: Run | None
    out_s: float | None = None
    over_s: float | None = None
    error: str = ""


@dataclass(slots=True)
class Call:
    """A call of a handler; *result* is ``ok``, ``failed``, ``cancelled``, or empty while it goes on."""

    id: str
    sender: str
    began_s: float
    run: Run
    ended_s: float = math.inf
    result: str = ""
    failures: int = 0  # of this message, this one included


@dataclass(slots=True)
class Run:
    """One session, from its start to its end."""

    number: int
    began_s: float
    first_request: int
    ended_s: float = math.inf
    stop_s: float = math.inf
    last_request: int | None = None
    cancelled: bool = False
    goodbyes: int = 0
    records: list[Record] = field(default_factory=list)


class Ledger:
    """
    Everything that was seen.

    Args:
        found: Called with each violation.
    """

    def __init__(self, found: Callable[[Violation], object]) -> None:
        self._found = found
        self.runs: list[Run] = []
        self.written: dict[str, str] = {}  # the messages that users wrote: id to sender
        self.arrived: dict[str, tuple[Run, float]] = {}  # those in an answer that arrived whole: when they did first
        self.answers: dict[str, tuple[str, ...]] = {}  # to each cursor the messages that came with it
        self.cursors: set[str] = set()  # those that were committed
        self.committed: dict[str, tuple[int, float]] = {}  # to each message its number in the store, and when
        self.done: set[str] = set()  # messages that the store has as handled
        self.parked: set[str] = set()
        self.over: dict[str, int] = {}  # the number of the session in which each was first handled, or parked
        self.failures: dict[str, int] = {}  # how often a handler has failed on each
        self.calls: list[Call] = []
        self.attempts: dict[str, Attempt] = {}
        self.troubles: list[tuple[float, float]] = []  # when the store failed or was late
        self.endless = False  # the session could not be ended otherwise
        self._after_the_end = 0  # requests that went out after it
        self._open: dict[str, Call] = {}  # by sender
        self._names: dict[int, str] = {}  # of the messages in the store
        self._waiting: dict[str, str] = {}  # committed, and not dealt with: to their senders, in order
        self._handled: dict[str, int] = {}  # the last session in which a handler has returned

    @property
    def run(self) -> Run | None:
        """The session that runs."""
        return self.runs[-1] if self.runs and self.runs[-1].ended_s == math.inf else None

    def wrong(self, which: str, what: str, number: int = 0) -> None:
        """Note a violation, now."""
        self._found(Violation(property=which, at_s=anyio.current_time(), what=what, number=number))

    # --- the wire ----------------------------------------------------------------------------------------------------

    def requested(self, endpoint: str) -> None:
        """
        A renewal or a poll goes out.

        Raises:
            Endless: If they go on and on after the end: neither a stop nor a cancellation was heard.
        """
        run = self.runs[-1] if self.runs else None
        if run is None or run.ended_s < math.inf or anyio.current_time() <= run.stop_s + 1e-6:
            return
        if not self._after_the_end:
            self.wrong("P5", f"{endpoint} was called after the end of the session")
        self._after_the_end += 1
        if self._after_the_end > _MOST_AFTER_THE_END:
            self.endless = True
            raise Endless

    def said_goodbye(self) -> None:
        """A ``notifystop`` goes out."""
        if self.runs:
            self.runs[-1].goodbyes += 1

    def polled(self, cursor: str) -> None:
        """A poll goes out."""
        # A cursor that came with nothing may be written later: the one before it leads to the same messages.
        if cursor and cursor not in self.cursors and self.answers.get(cursor) != ():
            self.wrong("R3", "a poll went out with a cursor that had not been committed")

    def answered(self, body: bytes) -> None:
        """The answer to a poll has arrived whole."""
        try:
            document: Any = json.loads(body)
        except (ValueError, RecursionError):
            return
        if not isinstance(document, dict):
            return
        messages = document.get("msgs")
        ids = [id_of(each) for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
        ids = [each for each in ids if each in self.written]
        cursor = document.get("get_updates_buf")
        if isinstance(cursor, str) and cursor:
            self.answers[cursor] = tuple(ids)
        run = self.run
        for each in ids:
            if run is not None:
                self.arrived.setdefault(each, (run, anyio.current_time()))

    # --- the store ---------------------------------------------------------------------------------------------------

    def commit(self, batches: Sequence[Batch], results: Sequence[Committed]) -> None:
        """Batches were committed."""
        now = anyio.current_time()
        for batch, result in zip(batches, results, strict=True):
            if batch.cursor is not None:
                cursor = batch.cursor.reveal()
                came = [key[3:] for key in (message.key for message in batch.messages) if key[3:] in self.written]
                if tuple(came) != self.answers.get(cursor, ()):
                    self.wrong("R3", "a cursor was committed without the messages that had come with it")
                self.cursors.add(cursor)
            for stored in result.new:
                name = id_of(json.loads(stored.body))
                if name in self.committed:
                    self.wrong("R4", f"message {name} was taken for a new one when it came again")
                self.committed[name] = (stored.number, now)
                self._names[stored.number] = name
                if name in self.written:
                    self._waiting[name] = stored.sender

    def mark_done(self, numbers: Sequence[int]) -> None:
        """The store was told that messages were handled."""
        for number in numbers:
            name = self._names.get(number, "")
            if name in self.written and name not in self._handled:
                self.wrong("R4", f"message {name} was marked as done, and no handler had returned from it")
            self.done.add(name)
            self._waiting.pop(name, None)

    def mark_failed(self, number: int, *, park: bool) -> None:
        """The store was told that a handler has failed."""
        name = self._names.get(number, "")
        if park and name in self.written:
            if self.failures.get(name, 0) < 5:
                self.wrong("R5", f"message {name} was parked after {self.failures.get(name, 0)} failures, not 5")
            self.parked.add(name)
            self.over.setdefault(name, self.runs[-1].number)
            self._waiting.pop(name, None)

    # --- the handlers ------------------------------------------------------------------------------------------------

    def begin(self, message: Message) -> Call | None:
        """A handler is called; ``None`` for what no user wrote."""
        name, run = message.message_id or "", self.run
        if name not in self.written or run is None:
            return None
        call = Call(name, message.sender, anyio.current_time(), run)
        if name not in self.committed:
            self.wrong("R3", f"a handler saw message {name} before it was committed")
        elif name in self.done or name in self.parked or self._handled.get(name) == run.number:
            self.wrong("R4", f"message {name} was handed to a handler again, though it had been dealt with")
        elif message.sender in self._open:
            self.wrong("R4", f"two messages of {message.sender} were with handlers at once")
        elif earlier := next(self._earlier(call), None):
            self.wrong("R4", f"message {name} of {message.sender} was handled before message {earlier}")
        self._open[message.sender] = call
        self.calls.append(call)
        return call

    def _earlier(self, call: Call) -> Iterator[str]:
        """Yield the messages of the same sender that come before and were not dealt with."""
        number = self.committed[call.id][0]
        return (
            name for name, sender in self._waiting.items() if sender == call.sender and self.committed[name][0] < number
        )

    @property
    def unsettled(self) -> list[str]:
        """The committed messages that no handler has returned from, and that were not parked."""
        return list(self._waiting)

    def end(self, call: Call, result: str) -> None:
        """A handler has returned, or raised."""
        call.ended_s, call.result = anyio.current_time(), result
        if self._open.get(call.sender) is call:
            del self._open[call.sender]
        if result == "ok":
            self._handled[call.id] = call.run.number
            self.over.setdefault(call.id, call.run.number)
            self._waiting.pop(call.id, None)
        elif result == "failed":
            self.failures[call.id] = call.failures = self.failures.get(call.id, 0) + 1
