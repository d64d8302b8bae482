"""
Checks a run against P1, P6 and P8 while it happens, from the outside.

:class:`RequestMonitor` knows only requests and their ends, so the same judge sits behind our own records
(``record_monitor.py``) and behind a server's log (``sessionfsm.testing``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sessionfsm.lifecycle import MOST_REQUESTS_PER_S, Policy

from .records import Quiet

__all__ = ["RequestMonitor", "Violation"]

MOST_SILENCE_S = 1200.0
"""No policy and no table may be silent for longer (P6)."""

_CLOCKS_S = 0.05
"""What two clocks, or one clock and a busy machine, may disagree by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """
    A property that a run has broken.

    Attributes:
        property: Such as ``P1``; ``R7`` for a close that took too long; ``trace`` where the records themselves are not
            whole: one is missing, comes twice, or contradicts itself.
        at_s: When.
        what: What was seen, in one sentence.
        number: The record that shows it, or the request in a log; counted from 1.
    """

    property: str
    at_s: float
    what: str
    number: int


class RequestMonitor:
    """
    Judges a sequence of requests of one session.

    Args:
        policy: Whose bounds hold.
        slack_s: What a measured time may be off by.
        late_s: How late a busy process may do what is due; the slack, if absent.
        own_s: What a table of a user's own may add to a silence (:attr:`~sessionfsm.lifecycle.Table.own_s`).

    Attributes:
        violations: What was found, in order.
        longest_gap_s: The longest time between the starts of two requests in a row.
    """

    def __init__(
        self, policy: Policy, *, slack_s: float = _CLOCKS_S, late_s: float | None = None, own_s: float = 0.0
    ) -> None:
        self.policy = policy
        self.violations: list[Violation] = []
        self.longest_gap_s = 0.0
        self._slack_s = slack_s
        self._late_s = slack_s if late_s is None else late_s
        self._bound_s = min(policy.silence_bound_s + own_s, MOST_SILENCE_S)
        self.anew()

    def anew(self) -> None:
        """A run begins, or begins again with other credentials."""
        self._lost = False
        self._last_start_s: float | None = None
        self._counted_s: float | None = None  # the same for P8, which no pause excuses
        self._excess = 0.0

    def started(self, kind: Literal["renewal", "poll"], at_s: float, number: int) -> None:
        """Note the start of a request."""
        if kind == "poll" and self._lost:
            self._add("P1", at_s, "a poll started after a loss, and no notifystart had ended since", number)
        if self._last_start_s is not None:
            self.gap(at_s - self._last_start_s, at_s, number)
        self._count(at_s, number)
        self._last_start_s = at_s

    def ended(self, *, loss: bool = False, renewed: bool = False, good: bool = False, news: bool = False) -> None:
        """
        Note the end of a request.

        Args:
            loss: It showed that the session is gone.
            renewed: It was a ``notifystart`` that ended (that succeeded, where the policy requires it).
            good: It was a good poll.
            news: It brought messages that were new.
        """
        if good or renewed:
            self._lost = False
        if loss:
            self._lost = True
        if news:
            self._excess = 0.0

    def paused(self) -> None:
        """The store failed: nothing is fetched until it works again, and that silence is what is promised (R10)."""
        self._last_start_s = None

    def gap(self, length_s: float, at_s: float, number: int) -> None:
        """Note the time between the starts of two requests in a row."""
        if length_s > self.longest_gap_s:
            self.longest_gap_s = length_s
        if length_s > self._bound_s + self._late_s:
            words = f"{length_s:.1f} s without a request; at most {self._bound_s:g} s are allowed"
            self._add("P6", at_s, words, number)

    def quiet(self, quiet: Quiet, number: int) -> None:
        """Note good polls that were only counted."""
        if self._lost:
            self._add("P1", quiet.first_started_s, "a poll started after a loss, and no notifystart had ended", number)
        self._lost = False
        if self._last_start_s is not None:
            self.gap(quiet.first_started_s - self._last_start_s, quiet.first_started_s, number)
        # Polls that are said to have come soon after each other did not, if there were too few of them for that.
        further, took = quiet.polls - 1, quiet.last_started_s - quiet.first_started_s
        self.gap(max(quiet.longest_gap_s, took / further if further else took), quiet.last_started_s, number)
        self._count(quiet.first_started_s, number)
        # Each of them was held so long, or paced so far, that from then on the excess can only have fallen.
        grown = self._excess + further - MOST_REQUESTS_PER_S * took
        self._excess = max(1.0, grown) if further else self._excess
        if quiet.news:
            self._excess = 1.0 if quiet.since_news else 0.0
        self._last_start_s = self._counted_s = quiet.last_started_s

    def _count(self, at_s: float, number: int) -> None:
        since = 0.0 if self._counted_s is None else at_s - self._counted_s + self._slack_s
        self._counted_s = at_s
        self._excess = max(0.0, self._excess - MOST_REQUESTS_PER_S * since) + 1.0
        if self._excess > MOST_REQUESTS_PER_S + 1e-6:
            self._add("P8", at_s, f"{self._excess:.1f} requests more than 10/3 a second", number)
            self._excess = 0.0

    def _add(self, which: Literal["P1", "P6", "P8"], at_s: float, what: str, number: int) -> None:
        self.violations.append(Violation(property=which, at_s=at_s, what=what, number=number))
