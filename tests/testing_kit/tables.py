"""Machines that are wrong on purpose."""

from dataclasses import replace

from sessionfsm.lifecycle import Machine, Order, Policy, State, Trigger, table_for

__all__ = ["forgetful", "naive"]


def naive(policy: Policy | None = None) -> Machine:
    """Return what others do: when the wait is over, the session is polled again, and nobody calls notifystart."""
    policy = policy or Policy()
    table = table_for(policy)
    rows = tuple(
        replace(row, target=State.ACTIVE, order=Order.POLL) if row.trigger in (Trigger.RETRY_DUE, Trigger.WAKE) else row
        for row in table.rows
    )
    return Machine(policy, replace(table, name="naive", rows=rows))


def forgetful(policy: Policy | None = None) -> Machine:
    """Return a machine that does not wait after a failed poll, so that it hurries for ever."""
    policy = policy or Policy()
    table = table_for(policy)
    at_once = {"target": State.RECOVERING, "order": Order.RENEW, "updates": ()}
    rows = tuple(replace(row, **at_once) if row.trigger is Trigger.POLL_FAILED else row for row in table.rows)
    return Machine(policy, replace(table, name="forgetful", rows=rows))
