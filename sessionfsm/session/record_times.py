"""The times on a session's records, held against what each operation allows. It only looks on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sessionfsm.lifecycle import Close, Command, Machine, Own, Poll, Renew, Trigger, Wait
from sessionfsm.verify import Move, moves

from .records import Quiet, Record

__all__ = ["RecordTimes"]

T = Trigger

_HAPPENED = {T.HURRIED: "P15", T.POLLED: "P15", T.SILENT: "P10", T.SESSION_LAPSED: "P16"}
"""What would be wrong if the outcome of a poll were named otherwise than its length says."""

_REQUESTED = (T.SESSION_RENEWED, T.RENEWAL_FAILED, T.SESSION_EXPIRED)
_POLLS = (T.POLLED, T.HURRIED, T.HOLLOW, T.SILENT, T.SESSION_EXPIRED, T.SESSION_LAPSED, T.POLL_FAILED, T.STORE_FAILED)

Odd = tuple[str, str]
"""A property and, in a sentence, how it is broken."""


class RecordTimes:
    """
    Follows one session's clock.

    Args:
        machine: What the session runs on.
        slack_s: How much too early something may be: what a clock may be off by.
        late_s: How late a busy process may do what is due.
    """

    def __init__(self, machine: Machine, *, slack_s: float, late_s: float) -> None:
        self._policy = policy = machine.policy
        own_s = machine.table.own_s
        self._slack_s = slack_s
        self._late_s = late_s
        # A policy works its bounds out anew each time, and every record needs them.
        self._longest_poll_s = policy.longest_poll_s
        self._resumption_s = policy.resumption_bound_s + own_s
        self._between_polls_s = policy.silence_bound_s + own_s + policy.renewal_deadline_s
        self._outcomes: dict[tuple[str, bool], list[Move]] = {}
        possible = list(moves(Poll(serial=0), policy))
        for trigger in {move.trigger for move in possible}:
            ends = [move for move in possible if move.trigger == trigger]
            for news in (False, True):
                self._outcomes[trigger, news] = [move for move in ends if move.news == news] or ends
        self._at_s = -math.inf
        self._ordered_s = -math.inf  # when the operation that is outstanding was ordered
        self._unknown_s = 0.0  # it may have been ordered so much later: polls that are only counted do not say
        self._wait_s: float | None = None
        self._polled_s = -math.inf  # when the last poll started
        self._other_poll_s: float | None = None  # the same, unless what came since excuses a longer silence
        self._well_s = math.inf  # the last good poll, or since when every request was answered well

    def judge(self, record: Record, trigger: str, outstanding: Command | None) -> Iterator[Odd]:
        """Say what is wrong with the times of *record*, which tells how *outstanding* ended."""
        if record.at_s < self._at_s:
            yield "trace", f"it is dated {self._at_s - record.at_s:g} s before the record that precedes it"
        if record.news < 0 or (record.news and trigger is not T.POLLED):
            yield "trace", f"{trigger} brings no news, and {record.news} are counted"
        if not isinstance(outstanding, Renew | Poll) and (record.started_s, record.held_s) != (None, None):
            yield "trace", f"{trigger} is not the end of a request, and it has one"
        yield from self._ordered_wait(record)
        if outstanding is None:
            return
        took = record.at_s - self._ordered_s
        if isinstance(outstanding, Wait):
            yield from self._waited(outstanding, trigger, took)
        elif isinstance(outstanding, Close):
            most = max(self._policy.drain_deadline_s, self._policy.notifystop_deadline_s)
            if took > most + self._late_s:
                yield "R7", f"the close took {took:.3f} s, and {most:g} s are allowed"
        elif isinstance(outstanding, Own):
            if took > outstanding.deadline_s + self._late_s:
                yield "P6", f"{outstanding.name} took {took:.3f} s, and its deadline is {outstanding.deadline_s:g} s"
        else:
            yield from self._requested(record, trigger, outstanding)

    def _ordered_wait(self, record: Record) -> Iterator[Odd]:
        wait, length = record.command, record.wait_s
        if not isinstance(wait, Wait):
            if length is not None:
                yield "P2", "it has the length of a wait, and orders none"
            return
        least = wait.rung_s * (1 - self._policy.jitter)
        if length is None:
            yield "P2", "it orders a wait, and does not say how long"
        elif not least * (1 - 1e-9) <= length <= wait.ceiling_s * (1 + 1e-9):
            yield "P2", f"a wait of {length:g} s is ordered, outside [{least:g} s, {wait.ceiling_s:g} s]"

    def _waited(self, wait: Wait, trigger: str, took: float) -> Iterator[Odd]:
        length = wait.ceiling_s if self._wait_s is None else self._wait_s
        least = 0.0
        if trigger is T.RETRY_DUE:
            least = wait.rung_s * (1 - self._policy.jitter) if self._wait_s is None else length
        elif trigger is T.WAKE:
            least = min(wait.first_s, length)
        if took < least - self._slack_s:
            yield "P2", f"the wait was over after {took:.3f} s, and {least:.3f} s were due"
        if took > length + self._late_s:
            yield "P2", f"the wait lasted {took:.3f} s, and {length:.3f} s were ordered"

    def _requested(self, record: Record, trigger: str, operation: Renew | Poll) -> Iterator[Odd]:
        started, held = record.started_s, record.held_s
        renewing = isinstance(operation, Renew)
        deadline = operation.deadline_s if isinstance(operation, Renew) else self._longest_poll_s
        due = self._ordered_s if renewing else max(self._ordered_s, self._polled_s + _pace(operation))
        if started is None or held is None:
            yield from self._not_requested(record, trigger, renewing=renewing, due=due)
            return
        if started < self._ordered_s - self._slack_s:
            early = self._ordered_s - started
            yield "P3", f"its request started {early:.3f} s before it was ordered, while another operation was out"
        elif started < due - self._slack_s:
            yield "P15", f"the poll started {due - started:.3f} s sooner than its pace allows"
        if not renewing and started > due + self._unknown_s + self._late_s:
            yield "P15", f"the poll started {started - due:.3f} s later than was due"
        if started + held > record.at_s + self._slack_s:
            yield "trace", f"its request ends {started + held - record.at_s:.3f} s after the record"
        over = record.at_s - (self._ordered_s if renewing else started)
        if over > deadline + self._late_s and trigger is not T.STORE_FAILED:  # silence while the store fails is R10
            yield "P6", f"the request took {over:.3f} s, and its deadline is {deadline:g} s"
        waited = record.at_s - started - held
        if (renewing or trigger is T.STOP) and waited > self._late_s:  # only the batch of a poll is committed after it
            yield "trace", f"its request ended {waited:.3f} s before the record, and nothing came in between"
        if not renewing and trigger is not T.STOP:
            yield from self._named_rightly(record, trigger, held)

    def _not_requested(self, record: Record, trigger: str, *, renewing: bool, due: float) -> Iterator[Odd]:
        if record.started_s is not None or record.held_s not in (None, 0.0):
            yield "trace", "it has one of the start and the length of a request, and not the other"
        if renewing and trigger in _REQUESTED:
            yield "P1", f"{trigger} without a request: notifystart was not called"
        elif not renewing and trigger in _POLLS:
            yield "trace", f"{trigger} is the end of a poll, and there is no request"
        elif not renewing and trigger is T.STOP and record.at_s > due + self._unknown_s + self._late_s:
            yield "P15", f"the poll had not started {record.at_s - due:.3f} s after it was due"

    def _named_rightly(self, record: Record, trigger: str, held: float) -> Iterator[Odd]:
        """The same bounds as in the search: a silent poll was out so long, one without news that came soon is not."""
        which = self._outcomes.get((trigger, record.news > 0), ())
        for move in which:
            if _fits(move, held, self._late_s):
                return
        if which:
            least, most = which[0].least_s, which[0].most_s
            yield (
                _HAPPENED.get(T(trigger), "P6") if held <= self._longest_poll_s else "P6",
                f"{trigger} after {held:.3f} s, where only {least:g} s to {most:g} s can be",
            )

    def progress(self, record: Record, trigger: str, outstanding: Command | None) -> Iterator[Odd]:
        """Say whether polls and good polls come as often as they must (P6, P7); then move the clock on."""
        at, started = record.at_s, record.started_s
        renewing, polling = isinstance(outstanding, Renew), isinstance(outstanding, Poll)
        good = trigger in (T.POLLED, T.HURRIED)
        well = good or trigger not in (*_POLLS, T.RENEWAL_FAILED)
        if trigger in (T.START, T.CREDENTIALS_CHANGED):
            self._well_s, self._other_poll_s = at, None
        if not well:
            self._well_s = at if started is None else started
        elif at - self._well_s > self._resumption_s + self._late_s:
            yield (
                "P7",
                (
                    f"{at - self._well_s:.1f} s without a good poll, though every request in it was answered well; "
                    f"at most {self._resumption_s:g} s are allowed"
                ),
            )
            self._well_s = at
        if polling and started is not None:
            yield from self._poll_started(started)
            self._polled_s = started
        if good:
            self._well_s = at
        required = trigger is T.RENEWAL_FAILED and self._policy.renewal == "required"
        if trigger is T.STORE_FAILED or (renewing and (required or trigger is T.SESSION_EXPIRED)):
            self._other_poll_s = None
        self._at_s = at
        if record.command is not None:
            self._ordered_s, self._unknown_s, self._wait_s = at, 0.0, record.wait_s
        elif trigger is not T.CREDENTIALS_CHANGED:  # the operation that goes on is begun anew
            self._ordered_s, self._wait_s = at, None

    def _poll_started(self, started: float) -> Iterator[Odd]:
        bound = self._between_polls_s
        if self._other_poll_s is not None and started - self._other_poll_s > bound + self._late_s:
            yield "P6", f"{started - self._other_poll_s:.1f} s between two polls; at most {bound:g} s are allowed"
        self._other_poll_s = started

    def quiet(self, quiet: Quiet, operation: Poll, *, pace_s: float) -> Iterator[Odd]:
        """Say what is wrong with good polls that were only counted, the first of which *operation* had ordered."""
        took, further = quiet.last_started_s - quiet.first_started_s, quiet.polls - 1
        if not 0 <= took <= further * (quiet.longest_gap_s + self._slack_s) or quiet.since_news > quiet.polls:
            yield "trace", f"what is said of the {quiet.polls} polls that were counted contradicts itself"
        if quiet.first_started_s < max(self._ordered_s, self._polled_s + operation.pace_s) - self._slack_s:
            yield "P15", "a poll that was only counted started sooner than it was due"
        if took < further * pace_s - self._slack_s * quiet.polls:
            yield "P15", f"{quiet.polls} polls were counted in less time than their pace of {pace_s:g} s allows"
        yield from self._poll_started(quiet.first_started_s)
        self._other_poll_s = self._polled_s = self._ordered_s = self._at_s = quiet.last_started_s
        self._well_s, self._unknown_s = quiet.last_started_s, self._longest_poll_s


def _pace(operation: Command) -> float:
    return operation.pace_s if isinstance(operation, Poll) else 0.0


def _fits(move: Move, held: float, late: float) -> bool:
    # A hurried poll is one that was shorter, by the very number that stands here: that is not a matter of clocks.
    shorter = held < move.most_s if move.trigger is T.HURRIED else held <= move.most_s + late
    return move.least_s <= held and shorter
