"""What is judged when a simulation is over: each promise from what was written down, not from what the driver says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sessionfsm.lifecycle import Close, Machine
from sessionfsm.session import Record, Violation
from sessionfsm.testing.judge import judge_wire
from sessionfsm.testing.wirelog import Exchange

from .ledger import Attempt, Call, Ledger, Run
from .schedule import Schedule

__all__ = ["ROUNDING_S", "judge_run", "judge_whole"]

ROUNDING_S = 1e-6
_STORE_S = 2.0  # so long a send may wait for a store
_AFTER_TROUBLE_S = 60.0  # so long after the store's trouble its delays may still show
_RETRY_FIRST_S = 1.0
_ATTEMPTS = 5
_GOOD = ("polled", "hurried")
_DENIED = ("session_expired", "session_lapsed")


def judge_run(ledger: Ledger, run: Run, log: list[Exchange], machine: Machine) -> Iterator[Violation]:
    """
    Yield what is wrong with one session.

    Args:
        ledger: What was seen.
        run: The session.
        log: Its renewals and polls, in order.
        machine: Whose bounds hold.
    """
    policy, own_s = machine.policy, machine.table.own_s
    starts = {entry.number: before.started_s for before, entry in pairwise(log)}
    for found in judge_wire(log, policy, slack_s=ROUNDING_S, own_s=own_s).violations:
        # While the store fails nothing is fetched, and that silence is what is promised (R10).
        if found.property != "P6" or not ledger.troubled(starts.get(found.number, 0.0), found.at_s):
            yield found
    for entry in log:
        if entry.overlapping:
            yield Violation(property="P3", at_s=entry.started_s, what="two polls were out at once", number=entry.number)
        if entry.deviations:
            what = f"a strict server could complain: {'; '.join(entry.deviations)}"
            yield Violation(property="wire", at_s=entry.started_s, what=what, number=entry.number)
    for entry in log:
        if entry.started_s > run.stop_s + ROUNDING_S:
            what = f"{entry.endpoint} was called after the stop"
            yield Violation(property="P5", at_s=entry.started_s, what=what, number=entry.number)
    if log:
        until = min(run.stop_s, run.ended_s)
        silence = until - log[-1].started_s
        if silence > policy.silence_bound_s + own_s + ROUNDING_S and not ledger.troubled(log[-1].started_s, until):
            what = f"{silence:.1f} s without a request before the end; {policy.silence_bound_s + own_s:g} s are allowed"
            yield Violation(property="P6", at_s=until, what=what, number=log[-1].number)
    yield from _goodbye(run)
    yield from _records_on_the_wire(run, log)
    yield from _prompt(ledger, run)


def _goodbye(run: Run) -> Iterator[Violation]:
    """``notifystop`` is said once, at the end of a session that the server knows, and else never."""
    closes = [record.command for record in run.records if isinstance(record.command, Close)]
    due = sum(close.notify for close in closes)
    if run.goodbyes != due and not run.cancelled:
        what = f"notifystop was said {run.goodbyes} times, and was ordered {due} times"
        yield Violation(property="P5", at_s=run.ended_s, what=what, number=0)


def _records_on_the_wire(run: Run, log: list[Exchange]) -> Iterator[Violation]:
    """Each outcome that the session has acted on is the one that the wire shows, of the request that it names."""
    entries = {(entry.endpoint, round(entry.started_s, 5)): entry for entry in log}
    for record in run.records:
        if record.quiet is not None:
            first, last = record.quiet.first_started_s - ROUNDING_S, record.quiet.last_started_s + ROUNDING_S
            counted = [key for key, entry in entries.items() if first <= entry.started_s <= last and entry.good]
            if len(counted) != record.quiet.polls:
                what = f"{record.quiet.polls} good polls were counted, and {len(counted)} were on the wire"
                yield Violation(property="P3", at_s=record.at_s, what=what, number=record.number)
            for key in counted:
                del entries[key]
        if record.started_s is None:
            continue
        endpoint = "notifystart" if record.operation == "renew" else "getupdates"
        entry = entries.pop((endpoint, round(record.started_s, 5)), None)
        why = _contradicted(record, entry)
        if why:
            what = f"the session took {record.trigger} for the outcome of its {record.operation}, {why}"
            yield Violation(property="P11", at_s=record.at_s, what=what, number=record.number)
    # What is cut off by a cancellation has no record, and what was counted until then is not told; else all is.
    told_s = run.records[-1].at_s if run.records else 0.0
    for entry in entries.values():
        cut_off = entry.ended_s is None or entry.ended_s >= run.stop_s - ROUNDING_S
        if not (run.cancelled and (cut_off or (entry.good and entry.started_s >= told_s - ROUNDING_S))):
            what = f"{entry.endpoint} was called, and no record tells of it"
            yield Violation(property="P3", at_s=entry.started_s, what=what, number=entry.number)


def _contradicted(record: Record, entry: Exchange | None) -> str:
    if entry is None:
        return "and no such request was on the wire"
    if record.trigger == "stop":
        return ""
    denied = not entry.aborted and (entry.code == -14 or entry.status in (401, 403))
    if (record.trigger in _DENIED) != denied and record.trigger != "store_failed":
        return f"and on the wire it was answered {entry.answer or 'not at all'}"
    if record.trigger == "poll_failed" and entry.aborted and entry.answer in ("", "hang"):
        return "and on the wire the client had left before there was one"
    if record.trigger in _GOOD and not (entry.good and not entry.aborted):
        return f"and on the wire it was answered {entry.answer or 'not at all'}"
    return ""


def _prompt(ledger: Ledger, run: Run) -> Iterator[Violation]:
    """Each message goes to a handler as soon as its sender's one before is over, whatever other handlers do."""
    last: dict[str, Call] = {}
    called: set[str] = set()
    for call in (call for call in ledger.calls if call.run is run):
        due = _due(ledger, run, call.id, last.get(call.sender))
        if call.began_s > due + ROUNDING_S:
            what = f"message {call.id} of {call.sender} came to a handler {call.began_s - due:.1f} s late"
            yield Violation(property="R5", at_s=call.began_s, what=what, number=0)
        last[call.sender] = call
        called.add(call.id)
    end = min(run.stop_s, run.ended_s)
    told: set[str] = set()
    for name, (_, committed_s) in ledger.committed.items():
        sender = ledger.written.get(name)
        if sender is None or sender in told or committed_s >= end or name in called:
            continue
        if ledger.over.get(name, run.number) < run.number:
            continue
        told.add(sender)  # the first that waits is the one to look at: the others wait for it
        due = _due(ledger, run, name, last.get(sender))
        if end > due + ROUNDING_S:
            what = f"message {name} of {sender} came to no handler for {end - due:.1f} s, until the end of the session"
            yield Violation(property="R5", at_s=end, what=what, number=0)


def _due(ledger: Ledger, run: Run, name: str, before: Call | None) -> float:
    """Return when a message should be with a handler at the latest."""
    due = max(run.began_s, ledger.committed[name][1])
    if before is not None:
        retry_s = _RETRY_FIRST_S * 2 ** (before.failures - 1) if 0 < before.failures < _ATTEMPTS else 0.0
        due = max(due, before.ended_s + retry_s)
    for begin_s, end_s in ledger.troubles:
        if begin_s <= due <= end_s + _AFTER_TROUBLE_S or (begin_s <= due + _AFTER_TROUBLE_S and end_s >= due):
            due = max(due, end_s + _AFTER_TROUBLE_S)
    return due


def judge_whole(ledger: Ledger, schedule: Schedule) -> Iterator[Violation]:
    """Yield what is wrong with the whole: messages that were lost (R4), sends that were held up (R2)."""
    for name, arrival in ledger.arrived.items():
        if name in ledger.committed:
            continue
        run, at_s, until = arrival.run, arrival.at_s, arrival.run.ended_s
        # A server that hands each message out once has lost it with the process that had not committed it yet.
        lost_with_it = run.cancelled and (at_s >= until - ROUNDING_S or ledger.troubled(at_s, until))
        not_taken = ledger.troubled(min(run.stop_s, until), until)
        # One that replays its messages does not do so any more for an account that has been replaced.
        comes_again = schedule.delivery == "replay" and arrival.account not in ledger.logins
        if comes_again or not (lost_with_it or not_taken):
            what = f"message {name} had arrived whole, and was never committed"
            yield Violation(property="R4", at_s=at_s, what=what, number=0)
    for name in ledger.unsettled:
        what = f"message {name} of {ledger.written[name]} was committed, and no handler has dealt with it in the end"
        yield Violation(property="R4", at_s=ledger.committed[name][1], what=what, number=0)
    yield from _sends(ledger)


def _sends(ledger: Ledger) -> Iterator[Violation]:
    """Each send goes out when it is tried, or when the one before it is over."""
    before: Attempt | None = None
    for attempt in sorted(
        ledger.attempts.values(), key=lambda each: each.tried_s if each.out_s is None else each.out_s
    ):
        run = attempt.run
        due = attempt.tried_s
        if before is not None and before.run is run:
            due = max(due, before.over_s if before.over_s is not None else due)
        late_s = _STORE_S if ledger.troubled(attempt.tried_s, due) else 0.0
        if attempt.out_s is None:
            # The client is closed when the session has ended.
            if run is not None and (attempt.over_s or run.ended_s) < min(run.stop_s, run.ended_s) - ROUNDING_S:
                what = f"a send never went out: {attempt.error or 'it was cancelled'}"
                yield Violation(property="R2", at_s=attempt.tried_s, what=what, number=0)
            continue
        if attempt.out_s > due + late_s + ROUNDING_S:
            what = f"a send went out {attempt.out_s - due:.1f} s late"
            yield Violation(property="R2", at_s=attempt.tried_s, what=what, number=0)
        before = attempt
