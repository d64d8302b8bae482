"""Tells a run row by row, for a sequence diagram; how it looks is for others to say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias

from sessionfsm.errors import BadRequest, ConversationClosed, DefinitionError, ServerRefused, SessionLost
from sessionfsm.lifecycle import Close, Command, Own, Poll, Renew, Trigger, Wait
from sessionfsm.verify.counterexample import LOST, ordered

from .run import Run, SendMark, StepMark, Waiting
from .sequence_gather import Gathered, gathered
from .sequence_rows import Answered, Asked, Changed, Exchange, Outcome, Row, Story, Waited
from .sequence_words import NAMES, answer, asked, moment, second, waited
from .times import length_of
from .words import counted, cut_off

__all__ = ["MOST", "story_of"]

MOST = 40
"""Exchanges that are told, unless more are asked for: a picture as long as a few screens."""

NOTES = 3
"""
Rows besides exchanges, for each exchange that may be told. With the default table there are two at most; a table of
one's own can change its state as often as it likes without any exchange.
"""

_GOOD = (Trigger.POLLED, Trigger.HURRIED, Trigger.SESSION_RENEWED)
_LOST = (*LOST, Trigger.POLL_FAILED)
_BAD = (Trigger.SESSION_EXPIRED, Trigger.SESSION_LAPSED, Trigger.HOLLOW, Trigger.STORE_FAILED)
_REFUSED = frozenset(error.__name__ for error in (SessionLost, ConversationClosed, BadRequest, ServerRefused))
"""How a send ends when the server has answered. Whatever else it ends with, nobody did."""


def story_of(run: Run, *, most: int) -> Story:
    """
    Return what a sequence diagram tells of *run*.

    Args:
        most: How many exchanges it tells at most, from the first on.

    Raises:
        DefinitionError: If that is less than one.
    """
    if most < 1:
        raise DefinitionError(f"a sequence diagram tells one exchange or more, and not {most}")
    return _Teller(run, most).story()


_Key: TypeAlias = tuple[float, float, int]
"""
When; then by the number of the record, and what comes first within one. Texts that were sent come after whatever else
happened in the same moment: often they are what a handler made of it.
"""
_Told: TypeAlias = Gathered | SendMark | StepMark | tuple[StepMark | None, Waiting | None]


class _Teller:
    def __init__(self, run: Run, most: int) -> None:
        self._run = run
        self._most = most
        self._steps = {step.record.number: step for step in run.steps}
        self._commands: dict[int, Command] = {}
        for step in run.steps:
            if (command := step.record.command) is not None:
                self._commands[command.serial] = command
        self._outstanding = self._last_order()
        self._open: StepMark | None = None  # the wait that is not over

    def story(self) -> Story:
        happened = sorted(self._happened(), key=lambda each: each[0])
        rows: list[Row] = []
        exchanges: dict[int, Exchange] = {}
        notes, left_out, cut = 0, 0, math.inf
        for (at, _, _), told, begins in happened:
            exchange = isinstance(told, Gathered | SendMark)
            if cut == math.inf and (
                (exchange and begins and len(exchanges) == self._most) or (not exchange and notes == NOTES * self._most)
            ):
                cut = at
            if cut < math.inf and (begins or not exchange or id(told) not in exchanges):
                left_out += exchange and begins
                continue
            if not exchange:
                notes += 1
            rows.append(self._row(at, told, begins, exchanges, rows))
        return Story(state=self._begin(), rows=tuple(rows), end=tuple(self._end(left_out, cut)))

    def _row(self, at: float, told: _Told, begins: bool, exchanges: dict[int, Exchange], rows: list[Row]) -> Row:
        match told:
            case StepMark(record=record):
                return Changed(
                    at_s=at,
                    number=record.number,
                    trigger=record.trigger,
                    source=record.source,
                    target=record.target,
                    reason=record.reason,
                    detail=record.detail if record.started_s is None else "",
                    raised=record.raised,
                    cleared=record.cleared,
                )
            case (step, waiting):
                command = step.record.command if step else None
                wait_s = waiting.planned_s if waiting else step.record.wait_s if step else None
                what, end = waited(command, waiting, wait_s)
                return Waited(at_s=at, until_s=waiting.until_s if waiting else self._run.until_s, what=what, end=end)
            case _ if begins:
                exchanges[id(told)] = exchange = self._exchange(told)
                return Asked(at_s=at, exchange=exchange)
            case _:
                exchange = exchanges[id(told)]
                before = rows[-1]
                together = isinstance(before, Asked) and before.exchange is exchange
                return Answered(at_s=at, exchange=exchange, apart=not together)

    def _happened(self) -> Iterator[tuple[_Key, _Told, bool]]:
        """Yield all that can be told: when, what, and whether it is the beginning of an exchange."""
        for group in gathered(self._run, self._steps):
            yield from self._requests(group)
        for number, send in enumerate(self._run.sends):
            yield (send.from_s, math.inf, 2 * number), send, True
            yield (max(send.from_s, send.until_s), math.inf, 2 * number + 1), send, False
        for step in self._run.steps:
            if _tells(step):
                yield (step.at_s, step.record.number, 2), step, False
        yield from self._waits()

    def _requests(self, group: Gathered) -> Iterator[tuple[_Key, _Told, bool]]:
        first, last = group.requests[0], group.requests[-1]
        # An answer came before its record, whatever the last bits of a sum say.
        until = min(last.until_s, self._steps[last.number].at_s) if last.number in self._steps else last.until_s
        begin = min(first.from_s, until)
        phase = -2 if group.quiet else 0
        yield (begin, first.number, phase), group, True
        if first.kind != "close":
            yield (until, last.number, phase + 1), group, False

    def _waits(self) -> Iterator[tuple[_Key, _Told, bool]]:
        steps = [step for step in self._run.steps if isinstance(step.record.command, Wait | Own)]
        at = 0
        for waiting in self._run.waits:
            while at < len(steps) and steps[at].at_s < waiting.from_s:
                at += 1
            step = steps[at] if at < len(steps) and steps[at].at_s == waiting.from_s else None
            at += step is not None
            yield (waiting.from_s, step.record.number if step else -math.inf, 3), (step, waiting), False
        last = self._outstanding
        if last is not None and isinstance(last.record.command, Wait | Own):
            yield (last.at_s, last.record.number, 3), (last, None), False

    def _exchange(self, told: Gathered | SendMark) -> Exchange:
        if isinstance(told, SendMark):
            detail = cut_off(told.detail.removeprefix(f"{NAMES['send']}: "))
            return Exchange(
                kind="send",
                from_s=told.from_s,
                until_s=max(told.from_s, told.until_s),
                asked=asked("send", None, 1),
                answer=cut_off(told.failed) or "ok",
                seen=", ".join(filter(None, (_after(told.until_s - told.from_s), detail))),
                outcome="good" if not told.failed else "bad" if told.failed in _REFUSED else "lost",
                number=None,
            )
        first, last = told.requests[0], told.requests[-1]
        step = self._steps.get(last.number)
        serial = step.record.serial if step else None
        command = self._commands.get(serial) if serial is not None and told.polls == 1 and not told.quiet else None
        words, seen = answer(last, told.polls, quiet=told.quiet)
        if told.polls == 1 and not told.quiet:
            seen = ", ".join(filter(None, (_after(last.until_s - last.from_s), seen)))
        return Exchange(
            kind=first.kind,
            from_s=first.from_s,
            until_s=last.until_s,
            asked=asked(first.kind, command, told.polls),
            answer=words if first.kind != "close" else "",
            seen=seen if first.kind != "close" else "",
            outcome=_outcome(last.trigger),
            number=last.number,
        )

    def _last_order(self) -> StepMark | None:
        """Return the record that ordered what is outstanding in the end; of that nothing else is on record."""
        steps = [step for step in self._run.steps if step.record.command is not None]
        if self._run.end == "closed" or not steps:
            return None
        last, number = steps[-1], steps[-1].record.number
        if any(request.number > number for request in self._run.requests):
            return None
        return None if any(waiting.from_s >= last.at_s for waiting in self._run.waits) else last

    def _begin(self) -> str:
        return self._run.steps[0].record.source if self._run.steps else self._run.stays[0].state

    def _end(self, left_out: int, cut: float) -> Iterator[str]:
        if cut < math.inf:
            left = counted(left_out, "more exchange") if left_out else "What came then"
            # Where all begin in one moment, there is no later one to go on from.
            further = f", from {second(cut)} s on (--from {second(cut)})" if cut > self._run.from_s else " (--most)"
            yield f"{left} {'are' if left_out > 1 else 'is'} left out{further}."
            return
        match self._outstanding:
            case StepMark(record=record) if self._run.end == "cut" and isinstance(record.command, Renew | Poll | Close):
                yield f"Ordered last: {ordered(record.command)}. What came of it comes after this stretch."
            case StepMark(record=record) if isinstance(record.command, Renew | Poll | Close):
                yield f"Ordered last: {ordered(record.command)}. What came of it is not on record."
        match self._run.end:
            case "closed":
                yield "The run is over."
            case "torn":
                yield "The record breaks off in the middle of a line: its process was killed."
            case "broken_off":
                yield f"The file could not be written any more: {cut_off(self._run.why)}."
            case "open" | "cut":
                yield f"Told up to {moment(self._run.until_s)}."


def _tells(step: StepMark) -> bool:
    record = step.record
    plain = record.trigger in (Trigger.POLLED, Trigger.HURRIED) and record.source == record.target
    return not plain or bool(record.raised or record.cleared)


def _outcome(trigger: str) -> Outcome:
    if trigger in _GOOD:
        return "good"
    if trigger in _LOST:
        return "lost"
    # What is left is a stop or a trigger of one's own: nobody waited for the answer.
    return "bad" if trigger in _BAD else "cut"


def _after(seconds: float) -> str:
    return f"after {length_of(seconds)}" if seconds >= 0.0005 else ""
