"""What a client really did, request by request: the evidence that tests of a client are judged by."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import anyio

__all__ = ["Exchange", "WireLog"]


@dataclass(kw_only=True, slots=True)
class Exchange:
    """
    One request and what became of it. It holds no secret: no token, no cursor, no text.

    Attributes:
        number: Counts all requests of the server, from 1.
        account: The account's name (:func:`~sessionfsm.testing.account_name`); empty when the request had no token.
        endpoint: ``getupdates``, ``notifystart``, ``sendmessage``, …; ``unknown`` for any other path.
        started_s: When the request was there, by the server's :func:`anyio.current_time`.
        ended_s: When the last byte of the answer was sent, or the client left; ``None`` while it is open.
        status: The HTTP status, ``None`` when there was none.
        code: The code in force when it was not zero (protocol, section 4.1).
        answer: ``messages``, ``empty``, ``hollow``, ``ok``; a code such as ``-14``; ``status 502``; ``reset``,
            ``refused``, or the kind of the fault that answered. Empty while nothing was decided.
        messages: The ids of the messages in the answer; the empty string for one without an id.
        good: A poll's answer without error that has messages, a ``msgs`` key or a cursor.
        news: The answer brought a message that no answer had brought before.
        aborted: The client left before the answer was complete.
        overlapping: Another poll of this account was open at the same time.
        deviations: What a strict server could complain about in the request.
    """

    number: int
    account: str
    endpoint: str
    started_s: float
    ended_s: float | None = None
    status: int | None = None
    code: int | None = None
    answer: str = ""
    messages: tuple[str, ...] = ()
    good: bool = False
    news: bool = False
    aborted: bool = False
    overlapping: bool = False
    deviations: tuple[str, ...] = ()


class WireLog:
    """
    Every request to a fake server in the order of arrival.

    Args:
        keep: How many entries to keep; the oldest go first. ``None`` keeps all.
    """

    def __init__(self, *, keep: int | None = None) -> None:
        self._entries: deque[Exchange] = deque(maxlen=keep)
        self._count = 0
        self._open_polls: dict[str, list[Exchange]] = {}
        self._changed: anyio.Event | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(tuple(self._entries))

    def __getitem__(self, index: int) -> Exchange:
        return self._entries[index]

    @property
    def count(self) -> int:
        """How many requests there were, those included that are no longer kept."""
        return self._count

    def requests(self, endpoint: str | None = None, account: str | None = None) -> list[Exchange]:
        """Return the kept entries of one endpoint, of one account, of both, or all."""
        return [
            entry
            for entry in self._entries
            if (endpoint is None or entry.endpoint == endpoint) and (account is None or entry.account == account)
        ]

    def session_requests(self, account: str) -> list[Exchange]:
        """Return what keeps the session of *account* alive: its renewals and polls, in order."""
        return [
            entry
            for entry in self._entries
            if entry.account == account and entry.endpoint in ("notifystart", "getupdates")
        ]

    async def wait_changed(self) -> None:
        """Wait until a request arrives or ends."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def open(self, *, account: str, endpoint: str, now: float, deviations: tuple[str, ...] = ()) -> Exchange:
        """Add an entry for a request that has arrived."""
        self._count += 1
        entry = Exchange(number=self._count, account=account, endpoint=endpoint, started_s=now, deviations=deviations)
        self._entries.append(entry)
        if endpoint == "getupdates":
            polls = self._open_polls.setdefault(account, [])
            polls.append(entry)
            if len(polls) > 1:
                for poll in polls:
                    poll.overlapping = True
        self._wake()
        return entry

    def close(self, entry: Exchange, *, now: float, aborted: bool = False) -> None:
        """End an entry. The first call counts."""
        if entry.ended_s is not None:
            return
        entry.ended_s = now
        entry.aborted = aborted
        self._wake()
        polls = self._open_polls.get(entry.account, [])
        # By identity: two entries are equal when their fields are, and list.remove() would compare all of them.
        remaining = [poll for poll in polls if poll is not entry]
        if remaining:
            self._open_polls[entry.account] = remaining
        else:
            self._open_polls.pop(entry.account, None)
