"""A server's log that judges each session as its requests end, and keeps the last few of them."""

from __future__ import annotations

import math
from collections import deque

from sessionfsm.lifecycle import Policy
from sessionfsm.testing import Exchange, WireLog
from sessionfsm.testing.judge import WireJudge

__all__ = ["JudgedLog"]

_SHOWN = 20
_TAIL = 6
"""So many requests before a violation are shown with it."""


class JudgedLog(WireLog):
    """
    Keeps the last request of each session and what the judge remembers.

    A request is judged when the next one is there. Until then it may turn out that its answer cannot have been read.

    Args:
        policy: Whose bounds hold.
        own_s: What may be added to a silence: what sessions wait for each other.

    Attributes:
        wrong: What was wrong with requests by themselves; the first few of them.
        wrongs: How many were.
        most_renewals: How many renewals came within one second, at most.
        unread: How many answers are taken for not having been read, since the connection was reset.
    """

    def __init__(self, policy: Policy, *, own_s: float) -> None:
        super().__init__(keep=0)
        self._policy, self._own_s = policy, own_s
        self._judges: dict[str, WireJudge] = {}
        self._unjudged: dict[str, deque[Exchange]] = {}
        self._tails: dict[str, deque[Exchange]] = {}
        self._renewals: deque[float] = deque()
        self.wrong: list[str] = []
        self.wrongs = 0
        self.most_renewals = 0
        self.unread = 0
        self._reset_s = -math.inf

    def open(self, *, account: str, endpoint: str, now: float, deviations: tuple[str, ...] = ()) -> Exchange:
        entry = super().open(account=account, endpoint=endpoint, now=now, deviations=deviations)
        self._unjudged.setdefault(account, deque()).append(entry)
        self._judge_before_last(account)
        if endpoint == "notifystart":
            self._renewals.append(now)
            while self._renewals[0] <= now - 1.0:
                self._renewals.popleft()
            self.most_renewals = max(self.most_renewals, len(self._renewals))
        return entry

    def close(self, entry: Exchange, *, now: float, aborted: bool = False) -> None:
        before_the_reset = entry.ended_s is None and not aborted and entry.started_s < self._reset_s
        self.unread += before_the_reset  # it was answered on a connection that is no more
        super().close(entry, now=now, aborted=aborted or before_the_reset)
        self._judge_before_last(entry.account)

    def reset(self, *, now: float, late_s: float) -> None:
        """
        Every connection is being reset: what was answered on one in the last *late_s* seconds may not have been read.

        A client that reads a little late finds the reset, and the answer gone: nobody can blame it for that. Nor does
        anybody read what is answered afterwards to a request from before.
        """
        self._reset_s = now
        for waiting in self._unjudged.values():
            for entry in waiting:
                if entry.ended_s is not None and entry.ended_s >= now - late_s and not entry.aborted:
                    entry.aborted = True
                    self.unread += 1

    def _judge_before_last(self, account: str) -> None:
        waiting = self._unjudged[account]
        # In the order in which they began: that a client has left may be noticed when its next request is there.
        while len(waiting) > 1 and waiting[0].ended_s is not None:
            self._judge(waiting.popleft())

    def _judge(self, entry: Exchange) -> None:
        if entry.overlapping:
            self._complain(f"{entry.account}: two polls at once, request {entry.number}")
        if entry.deviations:
            self._complain(f"{entry.account}: request {entry.number}: {'; '.join(entry.deviations)}")
        if entry.endpoint in ("getupdates", "notifystart"):
            judge = self._judges.get(entry.account)
            if judge is None:
                judge = self._judges[entry.account] = WireJudge(self._policy, own_s=self._own_s)
                self._tails[entry.account] = deque(maxlen=_TAIL)
            tail, before = self._tails[entry.account], len(judge.violations)
            tail.append(entry)
            judge.take(entry)
            if len(judge.violations) > before and len(self.wrong) < _SHOWN:
                told = ", ".join(
                    f"{e.endpoint} {e.started_s:.3f}-{e.ended_s:.3f} {e.answer or 'no answer'}" for e in tail
                )
                self.wrong.append(f"{entry.account}: {told}")

    def _complain(self, what: str) -> None:
        self.wrongs += 1
        if len(self.wrong) < _SHOWN:
            self.wrong.append(what)

    def verdict(self) -> dict[str, object]:
        """Return what is to be said of all sessions, as far as their requests have ended."""
        for waiting in self._unjudged.values():
            while waiting and waiting[0].ended_s is not None:
                self._judge(waiting.popleft())
        verdicts = {account: judge.verdict() for account, judge in self._judges.items()}
        broken = [
            f"{account}: {each.property}: {each.what}" for account, v in verdicts.items() for each in v.violations
        ]
        lasted = sorted(each.lasted_s for v in verdicts.values() for each in v.recoveries if each.lasted_s is not None)
        return {
            "judged": len(verdicts),
            "violations": len(broken) + self.wrongs,
            "shown": [*broken[:_SHOWN], *self.wrong],
            "recoveries": len(lasted),
            "recovery_p50_s": lasted[len(lasted) // 2] if lasted else 0.0,
            "recovery_most_s": lasted[-1] if lasted else 0.0,
            "longest_gap_s": max((v.longest_gap_s for v in verdicts.values()), default=0.0),
            "most_renewals": self.most_renewals,
            "unread": self.unread,
        }
