"""Lifecycles of a user's own, as ``--machine`` names them: in every way that is allowed, and in those that are not."""

from dataclasses import replace

from sessionfsm.lifecycle import Machine, Order, Policy, State, Table, Trigger, table_for


def polls_at_once(policy: Policy) -> Table:
    """The bug that this project exists for: after a wait it polls, and does not call ``notifystart``."""
    table = table_for(policy)
    rows = tuple(
        replace(row, target=State.ACTIVE, order=Order.POLL) if row.trigger == Trigger.RETRY_DUE else row
        for row in table.rows
    )
    return replace(table, name="polls at once", rows=rows)


table = table_for(Policy())
machine = Machine(Policy(session_ceiling_s=40))


class Holder:
    table = table


def makes_a_machine(policy: Policy) -> Machine:
    return Machine(policy)


def makes_nothing(policy: Policy) -> None:  # noqa: ARG001 - called as the others are
    return None


def raises(policy: Policy) -> Table:
    raise RuntimeError(f"no table for {policy.jitter}")


number = 7
