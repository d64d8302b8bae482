"""What a manager says of all its sessions, counted while it happens: asking does not look at ten thousand of them."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from sessionfsm.lifecycle import Policy, State, Trigger

from .records import Record

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["ManagerStatus", "Tally"]

_GOOD = (Trigger.POLLED, Trigger.HURRIED)
_ACTIVE = State.ACTIVE
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerStatus:
    """
    The truth about all accounts of a manager at one instant.

    Attributes:
        accounts: How many it keeps.
        states: How many sessions are in each state of the lifecycle.
        without_session: How many accounts have no session now: they are about to start, or wait to be tried again, or
            are not tried any more (:meth:`SessionManager.down`).
        ready: How many are polling and have had a good poll lately, as :attr:`Health.ready` has it.
        not_ready: All others.
        oldest_poll_age_s: The largest :attr:`Health.last_poll_age_s` of all sessions; ``None`` before any good poll.
        queued: How many requests wait for their turn to renew or to reconnect.
        restarts: How often a session has ended, or could not start, and its account was tried again.
        parked: How many messages were set aside since the manager began, because handlers kept failing on them.
        storage_trouble: How many sessions do not poll because the store has failed.
        storage: What was wrong with the store the last time; empty if all is well.
        signals: How many sessions have raised each signal, such as ``login_required``.
        handlers: How many handlers are running.
        credentials: Why the logins that are followed cannot be read; empty while they can.
    """

    accounts: int
    states: Mapping[str, int]
    without_session: int
    ready: int
    not_ready: int
    oldest_poll_age_s: float | None
    queued: int
    restarts: int
    parked: int
    storage_trouble: int
    storage: str
    signals: Mapping[str, int]
    handlers: int
    credentials: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "states": dict(self.states),
            "signals": dict(self.signals),
        }


class Tally:
    """
    Counts sessions by what their records say.

    It is told of every record, and so knows nothing of polls that change nothing. How old the oldest poll is, is found
    out when somebody asks: sessions stand in a heap by the last good poll that was looked at, and only those are looked
    at again that come to its top. That would be all of ten thousand for who asks once a minute, so it is done each
    second, whether somebody asks or not: :meth:`run`.
    """

    def __init__(self, policy: Policy) -> None:
        self._pace_s = policy.pace_ceiling_s
        # No session that is polling is late sooner than this: the shortest deadline that a poll was seen to have.
        self._deadline_s = policy.poll_deadline_s(None)
        self.states: Counter[str] = Counter()
        self.signals: Counter[str] = Counter()
        self.restarts = 0
        self.parked = 0
        self.storage_trouble = 0
        self.storage = ""
        self._polling = 0  # in the active state, after a good poll
        self._by_age = _ByAge(self._has_polled)
        self._active_by_age = _ByAge(self._is_polling)

    async def run(self) -> None:
        """Look each second at those who have polled since, until this is cancelled; who asks finds most of it done."""
        while True:
            await anyio.sleep(_LOOK_S)
            self._by_age.oldest_s()
            self._active_by_age.oldest_s()

    def up(self, each: Supervisor) -> None:
        """A session has begun."""
        self._count(each, State.STOPPED)

    def told(self, each: Supervisor, record: Record) -> None:
        """A session has changed."""
        if each.session is None:
            return
        if record.target != each.counted_state:
            self._count(each, record.target)
        if record.trigger in _GOOD and not each.has_polled:
            each.has_polled = True
            self._by_age.add(each)
            if record.target == _ACTIVE:
                self._polling += 1
                self._active_by_age.add(each)
            self._is_polling(each)  # whose first poll has perhaps brought a hint
        for signal in record.raised:
            self.signals[signal] += 1
        for signal in record.cleared:
            self.signals[signal] -= 1
        trouble = each.session._driver.operations.trouble
        if trouble != each.counted_trouble:
            self.storage_trouble += bool(trouble) - bool(each.counted_trouble)
            each.counted_trouble = trouble
            self.storage = trouble or self.storage

    def down(self, each: Supervisor) -> None:
        """A session has ended."""
        assert each.session is not None
        self._count(each, None)
        self.storage_trouble -= bool(each.counted_trouble)
        self.signals.subtract(each.session.signals)  # those that a crash has left up
        each.counted_trouble, each.has_polled = "", False

    def one_parked(self) -> None:
        """A message was set aside."""
        self.parked += 1

    def oldest_s(self) -> float | None:
        """Return when the last good poll was of the session that has waited longest for one."""
        return self._by_age.oldest_s()

    def ready(self, now: float) -> int:
        """Return how many sessions are ready."""
        late = self._active_by_age.before(now - self._deadline_s - self._pace_s)
        return self._polling - sum(not each.session.health().ready for each in late if each.session is not None)

    def _has_polled(self, each: Supervisor) -> bool:
        return each.has_polled

    def _is_polling(self, each: Supervisor) -> bool:
        """Tell whether it is; and note how long its polls may take by now, which a hint may have changed."""
        if not each.has_polled or each.counted_state != _ACTIVE or each.session is None:
            return False
        self._deadline_s = min(self._deadline_s, each.session._driver.operations.poll_deadline_s)
        return True

    def _count(self, each: Supervisor, state: str | None) -> None:
        before, each.counted_state = each.counted_state, state
        if before is not None:
            self.states[before] -= 1
            self._polling -= each.has_polled and before == _ACTIVE
        if state is not None:
            self.states[state] += 1
            if each.has_polled and state == _ACTIVE:
                self._polling += 1
                self._active_by_age.add(each)


class _ByAge:
    """Sessions by their last good poll; those for which *counts* is false are left out, and forgotten."""

    def __init__(self, counts: Callable[[Supervisor], bool]) -> None:
        self._counts = counts
        self._heap: list[tuple[float, int, Supervisor]] = []
        self._in: set[Supervisor] = set()
        self._numbers = 0

    def add(self, each: Supervisor) -> None:
        if each not in self._in:
            self._in.add(each)
            self._push(each.last_good_s, each)

    def oldest_s(self) -> float | None:
        self._settle()
        return self._heap[0][0] if self._heap else None

    def before(self, limit_s: float) -> list[Supervisor]:
        """Return those whose last good poll was before *limit_s*."""
        found: list[Supervisor] = []
        while (oldest_s := self.oldest_s()) is not None and oldest_s < limit_s:
            found.append(heapq.heappop(self._heap)[2])
        for each in found:
            self._push(each.last_good_s, each)
        return found

    def _settle(self) -> None:
        """Bring to the top who belongs there."""
        heap = self._heap
        while heap:
            known_s, number, each = heap[0]
            if not self._counts(each):
                heapq.heappop(heap)
                self._in.discard(each)
            elif (good_s := each.last_good_s) > known_s:
                heapq.heapreplace(heap, (good_s, number, each))
            else:
                return

    def _push(self, at_s: float, each: Supervisor) -> None:
        self._numbers += 1
        heapq.heappush(self._heap, (at_s, self._numbers, each))
