"""The official client's loop, and two repairs that come to mind first; ``verify`` refutes all three."""

from __future__ import annotations

from dataclasses import replace

from sessionfsm.lifecycle import (
    Assign,
    AtLeast,
    Below,
    Count,
    Order,
    Pause,
    Policy,
    Row,
    State,
    StateEntry,
    Table,
    Trigger,
    table_for,
)

__all__ = ["backoff_reset_by_renewal", "official_client", "retry_every_5_s"]

T = Trigger

_STATES = (
    StateEntry(name="stopped", meaning="Nothing is outstanding."),
    StateEntry(name="starting", meaning="notifystart is outstanding: the only one there will be."),
    StateEntry(name="polling", meaning="A long poll (getupdates) is outstanding."),
    StateEntry(name="retrying", meaning="A short wait after an error."),
    StateEntry(name="paused", meaning="The account is locked, because the server said -14."),
    StateEntry(name="stopping", meaning="The close is outstanding."),
)


def official_client(policy: Policy) -> Table:  # noqa: ARG001 - it knows no policy: its figures are constants
    """
    Return the loop of the official client (docs/reference/protocol.md, sections 1.4 and 4.4) as a table.

    It locks the account for an hour after ``-14``, and then polls without ``notifystart``. That it also blocks sends
    meanwhile cannot be said in a table: here sends have no rows at all, because nothing may block them.
    """
    return _loop("official client", Pause("locked for an hour", 3600))


def retry_every_5_s(policy: Policy) -> Table:  # noqa: ARG001 - as above
    """Return the same loop with the hour cut down to 5 s, for ever: no longer silent, and just as deaf."""
    return _loop("retry every 5 s", Pause("retry", 5))


def _loop(name: str, pause: Pause) -> Table:
    polls_on = (T.HURRIED, T.HOLLOW, T.SILENT)
    return Table(
        name=name,
        states=_STATES,
        signals=(),
        rows=(
            _row(T.START, "stopped", "starting", Order.RENEW, "it says hello once, at the start"),
            *(
                _row(trigger, "starting", "polling", Order.POLL, "an error of notifystart is logged and ignored")
                for trigger in (T.SESSION_RENEWED, T.RENEWAL_FAILED, T.SESSION_EXPIRED, T.STORE_FAILED)
            ),
            _row(T.CREDENTIALS_CHANGED, "starting", "starting", Order.GO_ON, "it goes on"),
            replace(
                _row(T.POLLED, "polling", "polling", Order.POLL, "the next poll"),
                updates=(Assign("waits", 0),),
            ),
            *(_row(trigger, "polling", "polling", Order.POLL, "the next poll, at once") for trigger in polls_on),
            *(
                _row(trigger, "polling", "paused", pause, "the server does not know the session: lock the account")
                for trigger in (T.SESSION_EXPIRED, T.SESSION_LAPSED)
            ),
            *(row for trigger in (T.POLL_FAILED, T.STORE_FAILED) for row in _failed(trigger)),
            *(
                _row(trigger, source, "polling", Order.POLL, "it polls again, without notifystart")
                for trigger in (T.RETRY_DUE, T.WAKE)
                for source in ("retrying", "paused")
            ),
            *(
                _row(T.STOP, source, "stopping", Order.CLOSE, "somebody asked for it")
                for source in ("starting", "polling", "retrying", "paused")
            ),
            _row(T.CLOSED, "stopping", "stopped", Order.NOTHING, "everything is closed"),
        ),
    )


def _row(trigger: str, source: str, target: str, order: Order | Pause, reason: str) -> Row:
    return Row(trigger=trigger, sources=(source,), target=target, order=order, reason=reason)


def _failed(trigger: str) -> tuple[Row, ...]:
    short = _row(trigger, "polling", "retrying", Pause("after an error", 2), "an error: wait a little")
    long = _row(trigger, "polling", "retrying", Pause("after three errors", 30), "three errors in a row: wait longer")
    return (
        replace(short, guards=(Below("waits", 2),), updates=(Count("waits"),)),
        replace(long, guards=(AtLeast("waits", 2),), updates=(Assign("waits", 0),)),
    )


def backoff_reset_by_renewal(policy: Policy) -> Table:
    """
    Return our own table with a repair too many: a renewal that succeeds resets the ladders.

    It looks right, for ``notifystart`` did succeed. But where another client has taken the account over it succeeds
    every time, and the wait never grows.
    """
    table = table_for(policy)
    rows = tuple(
        replace(row, updates=(*row.updates, Assign("waits", 0), Assign("denials", 0)))
        if row.trigger == T.SESSION_RENEWED and State.RECOVERING in row.sources
        else row
        for row in table.rows
    )
    return replace(table, name="backoff reset by the renewal", rows=rows)
