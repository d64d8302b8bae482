"""Which requests of a run a sequence diagram tells as one: quiet polls, and others of which each is like the last."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sessionfsm.lifecycle import Trigger

from .run import Request, Run, SendMark, StepMark

__all__ = ["Gathered", "gathered"]

_PLAIN = (Trigger.POLLED, Trigger.HURRIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """
    One request, or several that are told as one.

    Attributes:
        requests: Them, in order.
        quiet: Whether there were polls among them that were only counted; of those it is known when they began.
        polls: How many there are.
    """

    requests: tuple[Request, ...]
    quiet: bool
    polls: int


def gathered(run: Run, steps: Mapping[int, StepMark]) -> list[Gathered]:
    """
    Return every request of *run*, in order, with those gathered that follow each other without anything to tell of.

    Args:
        steps: The records by their number.
    """
    sends = _Sends(run.sends)
    found: list[list[Request]] = []
    for request in run.requests:
        last = found[-1] if found else []
        plain = (request.counted and not request.news) or _plain(request, steps)
        if last and plain and _follows(last[-1], request) and not sends.between(last[0].from_s, request.until_s):
            last.append(request)
        else:
            found.append([request])
        if not plain:
            found.append([])
    return [
        Gathered(
            requests=tuple(group),
            quiet=any(request.counted for request in group),
            polls=sum(request.polls for request in group),
        )
        for group in found
        if group
    ]


def _follows(last: Request, request: Request) -> bool:
    """Return whether nothing else is on record between them: the record of counted polls is the next one's as well."""
    return last.trigger == request.trigger and request.number - last.number == (0 if last.counted else 1)


def _plain(request: Request, steps: Mapping[int, StepMark]) -> bool:
    """Return whether there is nothing to tell of but that there was such a poll."""
    step = steps.get(request.number)
    if step is None or request.kind != "poll" or request.trigger not in _PLAIN or request.news or request.detail:
        return False
    return step.record.source == step.record.target and not step.record.raised and not step.record.cleared


class _Sends:
    def __init__(self, sends: Sequence[SendMark]) -> None:
        self._from = [send.from_s for send in sends]
        self._until = list(accumulate((send.until_s for send in sends), max))

    def between(self, from_s: float, until_s: float) -> bool:
        """Return whether a text was under way then."""
        begun = bisect_left(self._from, until_s)
        return begun > 0 and self._until[begun - 1] > from_s
