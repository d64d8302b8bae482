"""A table of one's own: at night the bot polls once in ten minutes. First wrong, then right."""

from __future__ import annotations

from dataclasses import replace

from sessionfsm.lifecycle import Assign, Order, Pause, Policy, Row, State, StateEntry, Table, Trigger, Update, table_for

__all__ = ["quiet_hours", "quiet_hours_wrong"]


def quiet_hours_wrong(policy: Policy) -> Table:
    """Return the default table with a pause from which it polls again at once: that seems to be all that it takes."""
    return _quiet(policy, "quiet hours, wrong", State.ACTIVE, Order.POLL, ())


def quiet_hours(policy: Policy) -> Table:
    """
    Return the default table with a pause that is left as every wait is: by a renewal.

    And as every wait does, it forgets what an earlier poll has proved, and how many answers were hollow.
    """
    forget = (Assign("trusted", False), Assign("doubts", 0))
    return _quiet(policy, "quiet hours", State.RECOVERING, Order.RENEW, forget)


def _quiet(policy: Policy, name: str, then: State, order: Order, updates: tuple[Update, ...]) -> Table:
    table = table_for(policy)
    rows = (
        Row(
            trigger="quiet_hours",
            sources=(State.ACTIVE, State.BACKOFF),
            target="quiet",
            updates=updates,
            order=Pause("quiet hours", 600),
            reason="it is night: messages can wait a little",
        ),
        *(
            Row(trigger=trigger, sources=("quiet",), target=then, order=order, reason="the pause is over")
            for trigger in (Trigger.RETRY_DUE, Trigger.WAKE)
        ),
    )
    stop = tuple(
        replace(row, sources=(*row.sources, "quiet")) if row.trigger == Trigger.STOP else row for row in table.rows
    )
    return replace(
        table,
        name=name,
        states=(*table.states, StateEntry(name="quiet", meaning="A timer is outstanding: it is night.")),
        rows=(*stop, *rows),
        external=("quiet_hours",),
    )
