"""The verdict on what a client did, from the server's log alone: P1, P6 and P8 on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sessionfsm.lifecycle import NO_HANDSHAKE, Policy
from sessionfsm.session import RequestMonitor, Violation
from sessionfsm.testing.wirelog import Exchange

__all__ = ["Recovery", "WireJudge", "WireVerdict", "judge_wire"]

_NO_HANDSHAKE = tuple(f"status {status}" for status in NO_HANDSHAKE)
_HOLLOW_LIMIT = 3


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """
    A stretch without a good poll, from the end of the answer that began it to the end of the next good poll.

    Attributes:
        started_s: When the bad answer ended.
        resumed_s: When the next good poll *started*: from then on the server held our poll again.
        ended_s: When that poll ended; ``None`` if the log ends before.
        answer: What began it.
    """

    started_s: float
    resumed_s: float | None
    ended_s: float | None
    answer: str

    @property
    def lasted_s(self) -> float | None:
        """From the bad answer to the start of the good poll: how long a message had to wait."""
        return None if self.resumed_s is None else self.resumed_s - self.started_s


@dataclass(frozen=True, kw_only=True)
class WireVerdict:
    """
    What a log says about one account.

    Attributes:
        violations: What was broken, in order; ``number`` is the log entry's.
        longest_gap_s: The longest time between the starts of two session requests in a row.
        recoveries: Every stretch without a good poll.
    """

    violations: tuple[Violation, ...]
    longest_gap_s: float
    recoveries: tuple[Recovery, ...]


def judge_wire(
    entries: Iterable[Exchange], policy: Policy, *, slack_s: float = 0.05, own_s: float = 0.0
) -> WireVerdict:
    """
    Judge the session requests of one account (:meth:`~sessionfsm.testing.WireLog.session_requests`), or of one session
    that goes on as another account when it finds another login.

    Args:
        entries: Polls and renewals, in order.
        policy: Whose bounds hold.
        slack_s: What the times may be off by; 0 where time is virtual.
        own_s: What a table of a user's own may add to a silence (:attr:`~sessionfsm.lifecycle.Table.own_s`).
    """
    judge = WireJudge(policy, slack_s=slack_s, own_s=own_s)
    for entry in entries:
        judge.take(entry)
    return judge.verdict()


class WireJudge:
    """
    What :func:`judge_wire` does, entry by entry: for a server that runs for long and keeps no log.

    Args:
        policy: Whose bounds hold.
        slack_s: What the times may be off by; 0 where time is virtual.
        own_s: What a table of a user's own may add to a silence.
    """

    def __init__(self, policy: Policy, *, slack_s: float = 0.05, own_s: float = 0.0) -> None:
        self._monitor = RequestMonitor(policy, slack_s=slack_s, own_s=own_s)
        self._renewal_required = policy.renewal == "required"
        self._recoveries: list[Recovery] = []
        self._bad: Exchange | None = None
        self._hollow = 0
        self._account: str | None = None

    @property
    def violations(self) -> list[Violation]:
        """What was found so far, in order."""
        return self._monitor.violations

    def take(self, entry: Exchange) -> None:
        """Judge the next poll or renewal. What has not ended in it by now never has."""
        monitor = self._monitor
        if entry.account != self._account:
            if self._account is not None:
                monitor.anew()
            self._account, self._hollow = entry.account, 0
        if entry.endpoint == "notifystart":
            self._hollow = 0
            monitor.started("renewal", entry.started_s, entry.number)
            succeeded = entry.answer == "ok" or entry.answer in _NO_HANDSHAKE
            ended = entry.ended_s is not None and not _denied(entry)
            monitor.ended(
                loss=_denied(entry) and not entry.aborted, renewed=succeeded if self._renewal_required else ended
            )
            return
        monitor.started("poll", entry.started_s, entry.number)
        answered = entry.ended_s is not None and not entry.aborted
        self._hollow = self._hollow + 1 if answered and entry.answer == "hollow" else 0
        loss = answered and (_denied(entry) or self._hollow == _HOLLOW_LIMIT)
        self._hollow %= _HOLLOW_LIMIT
        good = answered and entry.good
        monitor.ended(loss=loss, good=good, news=answered and entry.news)
        bad = self._bad
        if good and bad is not None:
            self._recoveries.append(
                Recovery(
                    started_s=bad.ended_s if bad.ended_s is not None else bad.started_s,
                    resumed_s=entry.started_s,
                    ended_s=entry.ended_s,
                    answer=bad.answer,
                )
            )
            self._bad = None
        elif not good and bad is None and entry.ended_s is not None and not (entry.aborted and not entry.answer):
            self._bad = entry

    def verdict(self) -> WireVerdict:
        """Return what is to be said of all entries so far."""
        recoveries, bad = list(self._recoveries), self._bad
        if bad is not None:
            recoveries.append(
                Recovery(started_s=bad.ended_s or bad.started_s, resumed_s=None, ended_s=None, answer=bad.answer)
            )
        return WireVerdict(
            violations=tuple(self._monitor.violations),
            longest_gap_s=self._monitor.longest_gap_s,
            recoveries=tuple(recoveries),
        )


def _denied(entry: Exchange) -> bool:
    return entry.code == -14 or entry.status in (401, 403)
