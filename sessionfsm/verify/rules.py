"""The properties that speak of one arc and what led to it. Each function says what is wrong, or ``None``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from sessionfsm.lifecycle import Close, Command, Ladder, Policy, Poll, Renew, Snapshot, State, Trigger, Wait

from .history import History, is_good, rung

__all__ = ["NAMED", "OF_SIGNALS", "RULES", "Rule", "Seen", "is_live", "rules_for"]

_LADDERS = frozenset(Ladder)
_TRIGGERS = frozenset(Trigger)
# Looked up once: on Python 3.11 finding a member of an enum takes longer than all the rest of a rule.
_CLOSED = Trigger.CLOSED
_CREDENTIALS_CHANGED = Trigger.CREDENTIALS_CHANGED
_STOP = Trigger.STOP
_SILENT = Trigger.SILENT
_POLLED = Trigger.POLLED
_START = Trigger.START
_SESSION_EXPIRED = Trigger.SESSION_EXPIRED
_HURRIED = Trigger.HURRIED
_HOLLOW = Trigger.HOLLOW
_SESSION_LAPSED = Trigger.SESSION_LAPSED
_RETRY_DUE = Trigger.RETRY_DUE
_WAKE = Trigger.WAKE
_SESSION_LADDER = Ladder.SESSION
_TRANSPORT_LADDER = Ladder.TRANSPORT

NAMED: Mapping[str, type] = {
    State.RECOVERING: Renew,
    State.ACTIVE: Poll,
    State.BACKOFF: Wait,
    State.STOPPING: Close,
    State.STOPPED: type(None),
}
"""The operation that each state names. A state of a user's own names the one that it is first met with."""


def is_live(snapshot: Snapshot) -> bool:
    """Return whether the session lives: something is outstanding, and it is not the close."""
    return snapshot.outstanding is not None and not isinstance(snapshot.outstanding, Close)


class Seen(NamedTuple):
    """
    One arc with everything that a rule may look at.

    Attributes:
        policy: The figures.
        before: The configuration before.
        after: The configuration after.
        trigger: What happened.
        command: What was ordered.
        history: The account before.
        then: The account after.
        loss: Whether the session was lost by this.
        named: The operation that the state after it names.
    """

    policy: Policy
    before: Snapshot
    after: Snapshot
    trigger: str
    command: Command | None
    history: History
    then: History
    loss: bool
    named: type


def p1_no_poll_without_renewal(seen: Seen) -> str | None:
    if isinstance(seen.command, Poll) and seen.then.unrenewed:
        ended = "succeeded" if seen.policy.renewal == "required" else "ended"
        return f"a poll is ordered after a loss although no notifystart has {ended} since"
    return None


def p3_one_operation(seen: Seen) -> str | None:
    if not isinstance(seen.after.outstanding, seen.named):
        return f"in {seen.after.state} the outstanding operation is {_kind(seen.after)}, not {seen.named.__name__}"
    if is_live(seen.after) and seen.command is None and seen.before.outstanding != seen.after.outstanding:
        return "an operation is outstanding that nobody ordered"
    if seen.command is None and seen.trigger not in (_CLOSED, _CREDENTIALS_CHANGED):
        return f"{seen.trigger} ended the operation, and nothing was ordered in its place"
    return None


def _kind(snapshot: Snapshot) -> str:
    return "nothing" if snapshot.outstanding is None else type(snapshot.outstanding).__name__


def p5_stop_orders_the_close(seen: Seen) -> str | None:
    if seen.trigger == _STOP:
        if not isinstance(seen.command, Close):
            return "stop ordered something other than the close"
        if seen.command.notify == seen.history.lost:
            return "notifystop is for a session that the server knows, and only for that"
    elif isinstance(seen.command, Close):
        return f"{seen.trigger} ordered a close"
    if seen.trigger == _CLOSED and seen.command is not None:
        return "there is a command after the close"
    return None


def p9_kth_wait_is_kth_rung(seen: Seen) -> str | None:
    wait = seen.command
    if not isinstance(wait, Wait):
        return None
    policy = seen.policy
    if wait.ladder == _SESSION_LADDER:
        first, ceiling, number = policy.session_first_s, policy.session_ceiling_s, seen.then.session_waits
    elif wait.ladder != _TRANSPORT_LADDER:  # a pause of a user's own: a ladder with one rung
        first, ceiling, number = wait.first_s, wait.ceiling_s, 1
        if wait.rung_s != first:
            return f"the pause {wait.ladder!r} is {wait.rung_s:g} s, not {first:g} s"
    else:
        first, ceiling, number = policy.transport_first_s, policy.transport_ceiling_s, seen.then.transport_waits
    expected = rung(first, ceiling, number)
    if wait.rung_s != expected:
        return f"wait {number} on the {wait.ladder} ladder is {wait.rung_s:g} s, not {expected:g} s"
    if wait.attempt != number:
        return f"wait {number} on the {wait.ladder} ladder is called wait {wait.attempt}"
    if (wait.first_s, wait.ceiling_s) != (first, ceiling):
        return f"the wait says that its ladder goes from {wait.first_s:g} s to {wait.ceiling_s:g} s"
    return None


def p10_what_resets(seen: Seen) -> str | None:
    before, after, trigger = seen.before.memory, seen.after.memory, seen.trigger
    anew = trigger in (_STOP, _CREDENTIALS_CHANGED)
    if after.waits < before.waits and not (anew or is_good(trigger) or trigger == _SILENT):
        return f"{trigger} took waits from {before.waits} to {after.waits}"
    if after.denials < before.denials and not (anew or is_good(trigger)):
        return f"{trigger} took denials from {before.denials} to {after.denials}"
    if after.hurries < before.hurries and not (anew or trigger == _POLLED):
        return f"{trigger} took hurries from {before.hurries} to {after.hurries}"
    if after.trusted and not before.trusted and trigger != _POLLED:
        return f"{trigger} made the session trusted"
    return None


def p12_only_stop_ends(seen: Seen) -> str | None:
    if is_live(seen.before) and not is_live(seen.after) and seen.trigger != _STOP:
        return f"{seen.trigger} ended the session"
    if seen.trigger == _START and not isinstance(seen.command, Renew):
        return "start did not begin with a renewal"
    return None


def p13_ladder_follows_cause(seen: Seen) -> str | None:
    wait = seen.command
    if not isinstance(wait, Wait):
        return None
    handshake_denied = isinstance(seen.before.outstanding, Renew) and seen.trigger == _SESSION_EXPIRED
    denied = handshake_denied or (seen.loss and not seen.history.lost)
    expected = _SESSION_LADDER if denied else _TRANSPORT_LADDER
    if wait.ladder == expected or (wait.ladder not in _LADDERS and seen.trigger not in _TRIGGERS):
        return None
    return f"{seen.trigger} ordered a {wait.ladder} wait, not a {expected} one"


def p14_expired_is_lost(seen: Seen) -> str | None:
    if seen.after.memory.expired != seen.then.lost:
        said = "expired" if seen.after.memory.expired else "not expired"
        return f"the session is remembered as {said}, and the opposite is true"
    return None


def p15_paced_exactly(seen: Seen) -> str | None:
    poll = seen.command
    if not isinstance(poll, Poll):
        return None
    expected = 0.0
    if seen.trigger in (_HURRIED, _HOLLOW):
        count = seen.then.hurried + seen.then.hollow
        expected = rung(seen.policy.pace_first_s, seen.policy.pace_ceiling_s, count)
    if poll.pace_s != expected:
        return f"after {seen.trigger} the poll is paced {poll.pace_s:g} s, not {expected:g} s"
    if poll.fresh != (seen.trigger == _SILENT):
        return "a fresh connection is for the poll after a silent one, and only for that"
    return None


def p16_first_loss_renews_at_once(seen: Seen) -> str | None:
    if not seen.loss or not isinstance(seen.before.outstanding, Poll):
        return None
    at_once = seen.history.proved or seen.trigger == _SESSION_LAPSED
    if at_once and not isinstance(seen.command, Renew):
        return "the loss of a session that had proved itself, or was held, did not renew at once"
    if not at_once and not isinstance(seen.command, Wait):
        return "the loss of a session that had not proved itself did not wait"
    return None


def p17_no_needless_renewal(seen: Seen) -> str | None:
    if not isinstance(seen.command, Renew):
        return None
    after_wait = isinstance(seen.before.outstanding, Wait)
    if (
        seen.trigger in (_START, _SESSION_LAPSED)
        or (after_wait and seen.trigger in (_RETRY_DUE, _WAKE))
        or (seen.loss and seen.history.proved)
        or seen.trigger not in _TRIGGERS  # a user's own row says so
    ):
        return None
    return f"{seen.trigger} ordered a renewal"


def p18_three_hollow_are_a_loss(seen: Seen) -> str | None:
    if seen.trigger != _HOLLOW:
        return None
    polls_on = isinstance(seen.command, Poll)
    if seen.loss and polls_on:
        return "the third hollow answer in a row was not taken for a loss"
    if not seen.loss and not polls_on:
        return f"hollow answer {seen.history.hollow + 1} in a row was taken for a loss"
    return None


def p19_signals_say_what_is(seen: Seen) -> str | None:
    raised, expected = seen.after.signals, seen.then.signals
    if raised != expected:
        return f"raised: {', '.join(sorted(raised)) or 'nothing'}; true: {', '.join(sorted(expected)) or 'nothing'}"
    return None


Rule: TypeAlias = Callable[[Seen], str | None]

RULES: Mapping[str, Rule] = {
    "P1": p1_no_poll_without_renewal,
    "P3": p3_one_operation,
    "P5": p5_stop_orders_the_close,
    "P9": p9_kth_wait_is_kth_rung,
    "P10": p10_what_resets,
    "P12": p12_only_stop_ends,
    "P13": p13_ladder_follows_cause,
    "P14": p14_expired_is_lost,
    "P15": p15_paced_exactly,
    "P16": p16_first_loss_renews_at_once,
    "P17": p17_no_needless_renewal,
    "P18": p18_three_hollow_are_a_loss,
    "P19": p19_signals_say_what_is,
}

OF_SIGNALS = frozenset({"P19"})
"""The only rules that may look at signals: the others are not asked again where nothing but these differs."""

_SPEAK_OF: Mapping[str, tuple[frozenset[str], frozenset[type]]] = {
    "P1": (frozenset(), frozenset({Poll})),
    "P5": (frozenset({_STOP, _CLOSED}), frozenset({Close})),
    "P9": (frozenset(), frozenset({Wait})),
    "P12": (frozenset({_START}), frozenset({Close, type(None)})),
    "P13": (frozenset(), frozenset({Wait})),
    "P15": (frozenset(), frozenset({Poll})),
    "P16": (frozenset({_SESSION_EXPIRED, _SESSION_LAPSED, _HOLLOW}), frozenset()),
    "P17": (frozenset(), frozenset({Renew})),
    "P18": (frozenset({_HOLLOW}), frozenset()),
}
"""Rules that have nothing to say unless one of these triggers happened, or such a command was ordered."""


def rules_for(trigger: str, kind: type) -> list[tuple[str, Rule]]:
    """Return the rules that can say something about an arc with this trigger and a command of this *kind*."""
    everything = (frozenset({trigger}), frozenset({kind}))
    spoken_of = ((number, _SPEAK_OF.get(number, everything)) for number in RULES)
    return [(number, RULES[number]) for number, (triggers, kinds) in spoken_of if trigger in triggers or kind in kinds]
