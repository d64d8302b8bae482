"""
An account of a run that is kept without the machine: what was lost, renewed, waited for, and since when.

It sees only what happened and what was ordered, never the session's memory and never the table. A property compares the
two accounts; that is how a wrong cell in the table shows.
"""

from __future__ import annotations

from typing import NamedTuple

from sessionfsm.lifecycle import Command, Ladder, Policy, Renew, Signal, Trigger, Wait

__all__ = ["History", "Scale", "is_good", "is_loss", "rung"]

# Looked up once: on Python 3.11 finding a member of an enum takes longer than all the rest of a rule.
_START = Trigger.START
_STOP = Trigger.STOP
_CLOSED = Trigger.CLOSED
_CREDENTIALS_CHANGED = Trigger.CREDENTIALS_CHANGED
_POLLED = Trigger.POLLED
_HURRIED = Trigger.HURRIED
_SESSION_EXPIRED = Trigger.SESSION_EXPIRED
_SESSION_LAPSED = Trigger.SESSION_LAPSED
_POLL_FAILED = Trigger.POLL_FAILED
_STORE_FAILED = Trigger.STORE_FAILED
_SILENT = Trigger.SILENT
_SESSION_RENEWED = Trigger.SESSION_RENEWED
_RENEWAL_FAILED = Trigger.RENEWAL_FAILED
_HOLLOW = Trigger.HOLLOW
_TRANSPORT_LADDER = Ladder.TRANSPORT
_SESSION_LADDER = Ladder.SESSION

_ANEW = frozenset({_START, _STOP, _CLOSED, _CREDENTIALS_CHANGED})
_GOOD = frozenset({_POLLED, _HURRIED})
_NO_SIGNALS: frozenset[Signal] = frozenset()
_TELLING = frozenset({_POLLED, _HURRIED, _SESSION_EXPIRED, _SESSION_LAPSED, _POLL_FAILED, _STORE_FAILED})
"""How a poll ends that has an answer, or none for a reason: hollow answers before and after it are not in a row."""


class Scale(NamedTuple):
    """
    How far the account has to count, so that it is finite: from there on every further wait is the ceiling.

    Attributes:
        transport: Waits on that ladder.
        session: The same.
        pace: Hurried polls.
        denials: Which wait on the session ladder raises ``login_required``.
        required: Whether a renewal has to succeed.
    """

    transport: int
    session: int
    pace: int
    denials: int
    required: bool

    @classmethod
    def of(cls, policy: Policy) -> Scale:
        """Return the scale of *policy*."""
        return cls(
            _steps(policy.transport_first_s, policy.transport_ceiling_s),
            max(_steps(policy.session_first_s, policy.session_ceiling_s), policy.login_required_denials),
            _steps(policy.pace_first_s, policy.pace_ceiling_s),
            policy.login_required_denials,
            policy.renewal == "required",
        )


class History(NamedTuple):
    """
    What has happened since the start, as far as the properties speak of it.

    Attributes:
        lost: There was a loss, and neither a renewal nor a good poll has succeeded since.
        unrenewed: There was a loss, and no ``notifystart`` has ended since (has succeeded, where that is required).
        proved: A poll has proved the session since its last renewal was ordered.
        hollow: Hollow answers in a row.
        hurried: Hurried polls since the last proper one.
        transport_waits: Waits on that ladder since it was reset.
        session_waits: The same.
        signals: What should be raised.
    """

    lost: bool = False
    unrenewed: bool = False
    proved: bool = False
    hollow: int = 0
    hurried: int = 0
    transport_waits: int = 0
    session_waits: int = 0
    signals: frozenset[Signal] = frozenset()

    def after(self, trigger: str, command: Command | None, scale: Scale, *, renewing: bool) -> History:
        """Return the account after *trigger*, which ordered *command*. *renewing*: a renewal was ended by it."""
        if trigger in _ANEW:
            return _NOTHING
        lost, unrenewed, proved, hollow, hurried, transport, session, signals = self
        if trigger in _GOOD:
            lost = unrenewed = False
            transport = session = 0
            signals = _NO_SIGNALS
            if trigger == _POLLED:
                proved, hurried = True, 0
            else:
                hurried = min(hurried + 1, scale.pace)
        elif is_loss(trigger, self):
            lost = unrenewed = True
        elif trigger == _SILENT:
            transport = 0
        elif renewing and trigger == _SESSION_RENEWED:
            lost = unrenewed = False
        elif renewing and trigger == _RENEWAL_FAILED and not scale.required:
            unrenewed = False
        if trigger == _HOLLOW:
            hollow = (hollow + 1) % 3
        elif not renewing and trigger in _TELLING:
            hollow = 0
        if isinstance(command, Renew):
            proved, hollow = False, 0
        elif isinstance(command, Wait):
            if command.ladder == _TRANSPORT_LADDER:
                transport = min(transport + 1, scale.transport)
                if transport >= scale.transport and lost:
                    signals |= {Signal.RENEWAL_BLOCKED}
            elif command.ladder == _SESSION_LADDER:
                session = min(session + 1, scale.session)
                if session >= scale.denials:
                    signals |= {Signal.LOGIN_REQUIRED}
        return History(lost, unrenewed, proved, hollow, hurried, transport, session, signals)


_NOTHING = History()


def is_good(trigger: str) -> bool:
    """Return whether it is the end of a good poll."""
    return trigger in _GOOD


def is_loss(trigger: str, before: History) -> bool:
    """Return whether the server says, or shows by a third hollow answer in a row, that the session is gone."""
    return trigger in (_SESSION_EXPIRED, _SESSION_LAPSED) or (trigger == _HOLLOW and before.hollow == 2)


def rung(first_s: float, ceiling_s: float, attempt: int) -> float:
    """Return the wait before jitter: doubled *attempt* - 1 times, and no longer than the ceiling."""
    length = first_s
    for _ in range(attempt - 1):
        length = min(length * 2, ceiling_s)
    return min(length, ceiling_s)


def _steps(first_s: float, ceiling_s: float) -> int:
    attempt = 1
    while rung(first_s, ceiling_s, attempt) < rung(first_s, ceiling_s, attempt + 1):
        attempt += 1
    return attempt
