"""
What really happened, written down from outside the session: on the wire, in the store, in the handlers.

What is wrong at the moment it happens is found here; what shows only in the whole is found by ``checks``.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from sessionfsm.ilink import Message
from sessionfsm.session import Record, Violation
from sessionfsm.session.delivery import LATE_S
from sessionfsm.store import Batch, Committed, CredentialStore
from sessionfsm.store.writer import MARK_S
from sessionfsm.testing.messages import id_of

__all__ = ["LIMIT_S", "Answer", "Arrival", "Attempt", "Call", "Endless", "Ledger", "Run"]

LIMIT_S = 300.0
"""How long a handler may take."""

_ROUNDING_S = 1e-6

_MOST_AFTER_THE_END = 20
_RENEWAL_S = 15.0  # longer than any renewal takes by default


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
    """A call of a handler; *result* is ``ok``, ``failed``, ``cancelled``, ``killed``, or empty while it goes on."""

    id: str
    sender: str
    began_s: float
    run: Run
    ended_s: float = math.inf
    result: str = ""
    failures: int = 0  # of this message, this one included


@dataclass(frozen=True, slots=True)
class Answer:
    """What came with a cursor: which messages, for whom, as the how manieth answer."""

    account: str
    number: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message in an answer that arrived whole: when it did first, and the answer's number."""

    run: Run
    at_s: float
    account: str
    number: int


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
    killed: bool = False
    goodbyes: int = 0
    records: list[Record] = field(default_factory=list)


class Ledger:
    """
    Everything that was seen.

    Args:
        found: Called with each violation.
        credentials: Where logins are kept.
        drain_s: How long handlers may go on after a stop.
    """

    def __init__(self, found: Callable[[Violation], object], credentials: CredentialStore, drain_s: float) -> None:
        self._found = found
        self._credentials = credentials
        self._drain_s = drain_s
        self.runs: list[Run] = []
        self.written: dict[str, str] = {}  # the messages that users wrote: id to sender
        self.arrived: dict[str, Arrival] = {}
        self.answers: dict[str, Answer] = {}  # by cursor
        self.cursors: dict[str, set[str]] = {}  # those that were committed, by account
        self.held: set[str] = set()  # the accounts that are held in the store
        self.logins: dict[str, float] = {}  # when each account was replaced by another login
        self.committed: dict[str, tuple[int, float]] = {}  # to each message its number in the store, and when
        self.done: set[str] = set()  # messages that the store has as handled
        self.parked: set[str] = set()
        self.over: dict[str, int] = {}  # the number of the session in which each was first handled, or parked
        self.failures: dict[str, int] = {}  # how often a handler has failed on each, as far as the session can know
        self.calls: list[Call] = []
        self.attempts: dict[str, Attempt] = {}
        self.troubles: list[tuple[float, float]] = []  # when the store failed or was late
        self.endless = False  # the session could not be ended otherwise
        self._after_the_end = 0  # requests that went out after it
        self._open: dict[str, Call] = {}  # by sender
        self._names: dict[int, str] = {}  # of the messages in the store
        self._waiting: dict[str, str] = {}  # committed, and not dealt with: to their senders, in order
        self._handled: dict[str, Call] = {}  # the last call of a handler that has returned
        self._noted: Counter[str] = Counter()  # failures that the store has
        self._answers = 0
        self._durable: dict[str, int] = {}  # the number of the answer whose cursor is in the store, by account
        self._uncommitted: dict[str, Arrival] = {}  # what this session has fetched, and not committed yet

    @property
    def run(self) -> Run | None:
        """The session that runs."""
        return self.runs[-1] if self.runs and self.runs[-1].ended_s == math.inf else None

    def wrong(self, which: str, what: str, number: int = 0) -> None:
        """Note a violation, now."""
        self._found(Violation(property=which, at_s=anyio.current_time(), what=what, number=number))

    def begun(self, run: Run) -> None:
        """A session begins; what the one before it had in memory only is gone."""
        self.runs.append(run)
        self._uncommitted.clear()
        self.failures.update((name, self._noted[name]) for name in self.failures)

    def killed(self) -> None:
        """The session was killed: what its handlers do from now on does not count."""
        now = anyio.current_time()
        if (run := self.run) is not None:
            run.stop_s, run.ended_s, run.cancelled, run.killed = min(run.stop_s, now), now, True, True
        for call in self._open.values():
            call.ended_s, call.result = now, "killed"
        self._open.clear()

    def troubled(self, begin_s: float, end_s: float) -> bool:
        """Whether the store failed, or was late, in this time."""
        return any(begin <= end_s and end >= begin_s for begin, end in self.troubles)

    # --- the wire ----------------------------------------------------------------------------------------------------

    def requested(self, endpoint: str, account: str) -> None:
        """
        A renewal or a poll goes out.

        Raises:
            Endless: If they go on and on after the end: neither a stop nor a cancellation was heard.
        """
        now = anyio.current_time()
        if self.held != {account}:
            held = ", ".join(sorted(self.held)) or "no account"
            self.wrong("R6", f"{endpoint} was called for {account}, and the session holds {held}")
        if endpoint == "notifystart" and self.logins.get(account, math.inf) < now - _ROUNDING_S:
            login = self._credentials.current(account)
            if login is not None and login.account != account and not self.troubled(now - _RENEWAL_S, now):
                self.wrong("login", f"a renewal for {account}, and {login.account} has taken its place")
        run = self.runs[-1] if self.runs else None
        if run is None or run.ended_s < math.inf or now <= run.stop_s + _ROUNDING_S:
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

    def polled(self, account: str, cursor: str) -> None:
        """A poll goes out."""
        if not cursor or cursor in self.cursors.get(account, ()):
            return
        # A cursor that came with nothing may be written later: the one before it leads to the same messages.
        answer = self.answers.get(cursor)
        if answer is None or answer.ids or answer.account != account:
            self.wrong("R3", "a poll went out with a cursor that had not been committed")

    def answered(self, account: str, body: bytes) -> None:
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
        self._answers += 1
        if isinstance(cursor, str) and cursor:
            self.answers[cursor] = Answer(account, self._answers, tuple(ids))
        if (run := self.run) is None:
            return
        for each in ids:
            arrival = Arrival(run, anyio.current_time(), account, self._answers)
            self.arrived.setdefault(each, arrival)
            if each not in self.committed:
                self._uncommitted.setdefault(each, arrival)

    # --- the store ---------------------------------------------------------------------------------------------------

    def commit(self, batches: Sequence[Batch], results: Sequence[Committed]) -> None:
        """Batches were committed."""
        now = anyio.current_time()
        for batch, result in zip(batches, results, strict=True):
            if batch.cursor is not None:
                self._cursor_committed(batch, batch.cursor.reveal())
            for stored in result.new:
                name = id_of(json.loads(stored.body))
                if name in self.committed:
                    self.wrong("R4", f"message {name} was taken for a new one when it came again")
                self.committed[name] = (stored.number, now)
                self._uncommitted.pop(name, None)
                self._names[stored.number] = name
                if name in self.written:
                    self._waiting[name] = stored.sender

        for batch in batches:
            if batch.cursor is not None:
                self._nothing_before(batch.account)

    def _cursor_committed(self, batch: Batch, cursor: str) -> None:
        came = [key[3:] for key in (message.key for message in batch.messages) if key[3:] in self.written]
        answer = self.answers.get(cursor)
        if answer is not None and answer.account != batch.account:
            self.wrong("R3", "a cursor was committed for another account than the one that it had come for")
        if tuple(came) != (answer.ids if answer is not None else ()):
            self.wrong("R3", "a cursor was committed without the messages that had come with it")
        if answer is not None:
            if answer.number < self._durable.get(batch.account, 0):
                self.wrong("R3", "a cursor was written over a newer one")
            self._durable[batch.account] = answer.number
        self.cursors.setdefault(batch.account, set()).add(cursor)

    def _nothing_before(self, account: str) -> None:
        """With a cursor everything that had come before it must be committed: a kill would lose the rest."""
        number = self._durable.get(account, 0)
        for name, arrival in self._uncommitted.items():
            if arrival.account == account and arrival.number < number:
                self.wrong("R3", f"a cursor was committed, and message {name}, which had come before it, was not")
                return

    def retired(self, account: str, successor: str) -> None:
        """An account was put in the place of another."""
        if successor not in self.held:
            self.wrong("R6", f"{account} was retired for {successor}, which is not held")
        self.cursors.pop(account, None)
        self._durable.pop(account, None)

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
        self._noted[name] += 1
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
        elif name in self.done or name in self.parked or self._ought_to_be_marked(name, run):
            self.wrong("R4", f"message {name} was handed to a handler again, though it had been dealt with")
        elif message.sender in self._open:
            self.wrong("R4", f"two messages of {message.sender} were with handlers at once")
        elif earlier := next(self._earlier(call), None):
            self.wrong("R4", f"message {name} of {message.sender} was handled before message {earlier}")
        self._open[message.sender] = call
        self.calls.append(call)
        return call

    def _ought_to_be_marked(self, name: str, run: Run) -> bool:
        """Whether a handler has returned from it, and nothing kept the session from marking it."""
        before = self._handled.get(name)
        if before is None:
            return False
        if before.run is run:
            return True
        later = (each for each in self._handled.values() if each.run is before.run and each.ended_s > before.ended_s)
        if any(each.id in self.done for each in later):
            return True  # marks are written in the order in which handlers have returned
        if before.run.killed:
            on_its_way = before.ended_s >= before.run.ended_s - MARK_S - _ROUNDING_S
        else:
            drain_s = 0.0 if before.run.cancelled else self._drain_s
            on_its_way = before.ended_s >= before.run.stop_s + drain_s - _ROUNDING_S
        return not on_its_way and not self.troubled(before.ended_s, before.ended_s + MARK_S)

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

    def end(self, call: Call, result: str, *, is_late: bool = False) -> None:
        """A handler has returned, or raised; *is_late*: nothing can cut it short."""
        if call.result:  # it was killed
            return
        call.ended_s, call.result = anyio.current_time(), result
        if call.ended_s > call.began_s + LIMIT_S + LATE_S + _ROUNDING_S and not is_late:
            took_s = call.ended_s - call.began_s
            self.wrong("R5", f"a handler was let go on for {took_s:.1f} s, and {LIMIT_S:g} s are allowed")
        if self._open.get(call.sender) is call:
            del self._open[call.sender]
        if result == "ok":
            self._handled[call.id] = call
            self.over.setdefault(call.id, call.run.number)
            self._waiting.pop(call.id, None)
        elif result == "failed":
            self.failures[call.id] = call.failures = self.failures.get(call.id, 0) + 1
