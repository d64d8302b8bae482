"""A small lifecycle with everything that a table can have, and with names that no language would take as they are."""

from __future__ import annotations

from sessionfsm.lifecycle import (
    Assign,
    AtLeast,
    Below,
    Count,
    Is,
    Order,
    Pause,
    Perform,
    Policy,
    Row,
    Signal,
    SignalRule,
    StateEntry,
    Table,
    Trigger,
)

__all__ = ["POLICY", "small"]

T = Trigger

POLICY = Policy(
    session_ceiling_s=10,
    transport_ceiling_s=2,
    pace_ceiling_s=2,
    login_required_denials=2,
)
_REST = Pause("rest, a little */", 20, 40)
_LOOK = Perform("look", outcomes=("clear",), otherwise="cloudy", deadline_s=5)
_OFF, _ASK, _POLL, _REST_STATE, _LOOKING, _END = "off", "ask", "active", "at rest", "at-rest", "end"


def small(policy: Policy = POLICY) -> Table:
    """Return the table."""

    def row(trigger: str, source: str, target: str, order: Order | Pause | Perform, *updates: Assign | Count) -> Row:
        return Row(trigger=trigger, sources=(source,), target=target, order=order, updates=updates, reason="it is so")

    return Table(
        name='small "table" /* of no use */',
        states=tuple(
            StateEntry(name=name, meaning=f"{name}.") for name in (_OFF, _ASK, _POLL, _REST_STATE, _LOOKING, _END)
        ),
        initial=_OFF,
        external=("night falls",),
        rows=(
            row(T.START, _OFF, _ASK, Order.RENEW),
            row(T.CREDENTIALS_CHANGED, _ASK, _ASK, Order.GO_ON, Assign("expired", False), Assign("waits", 0)),
            row(T.SESSION_RENEWED, _ASK, _POLL, Order.POLL, Assign("expired", False)),
            row(T.RENEWAL_FAILED, _ASK, _LOOKING, _LOOK),
            row(T.SESSION_EXPIRED, _ASK, _REST_STATE, Order.WAIT_SESSION, Count("denials"), Assign("expired", True)),
            row(T.STORE_FAILED, _ASK, _REST_STATE, Order.WAIT_TRANSPORT, Count("waits")),
            row("clear", _LOOKING, _POLL, Order.POLL_FRESH),
            row("cloudy", _LOOKING, _REST_STATE, _REST),
            Row(
                trigger=T.POLLED,
                sources=(_POLL,),
                target=_POLL,
                order=Order.POLL,
                updates=(Assign("trusted", True), Assign("expired", False), Assign("waits", 0), Assign("denials", 0)),
                reason="all is well",
                clears_signals=True,
            ),
            row(T.HURRIED, _POLL, _POLL, Order.POLL_PACED, Count("hurries")),
            *(
                Row(
                    trigger=trigger,
                    sources=(_POLL,),
                    guards=guards,
                    target=target,
                    order=order,
                    updates=updates,
                    reason="it is lost, or may be",
                )
                for trigger in (T.HOLLOW, T.SESSION_EXPIRED, T.SESSION_LAPSED, T.SILENT, T.POLL_FAILED, T.STORE_FAILED)
                for guards, target, order, updates in (
                    ((Is("trusted", True), Below("waits", 2)), _ASK, Order.RENEW, (Assign("trusted", False),)),
                    ((Is("trusted", False),), _REST_STATE, Order.WAIT_TRANSPORT, (Count("waits"),)),
                    ((AtLeast("waits", 2),), _REST_STATE, Order.WAIT_TRANSPORT, (Count("waits"),)),
                )
            ),
            Row(
                trigger="night falls",
                sources=(_POLL, _LOOKING),
                target=_REST_STATE,
                order=_REST,
                reason="it is night\nthen",
            ),
            row(T.RETRY_DUE, _REST_STATE, _ASK, Order.RENEW),
            row(T.WAKE, _REST_STATE, _ASK, Order.RENEW),
            Row(
                trigger=T.STOP,
                sources=(_ASK, _POLL, _REST_STATE, _LOOKING),
                target=_END,
                order=Order.CLOSE,
                updates=tuple(Assign(cell, 0) for cell in ("waits", "denials", "doubts", "hurries")),
                reason="somebody asked for it",
                clears_signals=True,
            ),
            row(T.CLOSED, _END, _OFF, Order.NOTHING, Assign("expired", False), Assign("trusted", False)),
        ),
        signals=(
            SignalRule(
                signal=Signal.LOGIN_REQUIRED,
                order=Order.WAIT_SESSION,
                guards=(AtLeast("denials", policy.login_required_denials), Is("expired", True)),
            ),
        ),
    )
