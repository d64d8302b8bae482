"""Which machine a recorded run is to be replayed through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from typing import TypeAlias

from sessionfsm._version import __version__
from sessionfsm.errors import TraceError
from sessionfsm.lifecycle import Machine, Policy

from .digest import table_digest
from .lines import RunLine

__all__ = ["Against", "machine_for"]

Against: TypeAlias = Machine | Callable[[Policy], Machine]
"""A machine, or what makes one for the policy of a run."""


def machine_for(run: RunLine, against: Against | None, *, line_number: int, name: str) -> tuple[Machine, str]:
    """
    Return the machine for *run*, and in what it differs from the one that it ran on; empty words if in nothing.

    Args:
        against: What was asked for. If absent, the default machine for the policy that stands in the trace.
        line_number: Of the run's line, for the message.
        name: What the trace is called, for the message.

    Raises:
        TraceError: If nothing was asked for, and it ran on another table than this version's.
    """
    if against is None:
        machine = _default(run.policy)
        if _digest(machine) == run.digest:
            return machine, ""
        if run.table == machine.table.name:
            words = (
                f"the table {run.table!r} that it ran on is another one in this version ({__version__}); "
                f"take the one that wrote it, {run.library}"
            )
        else:
            words = f"it ran on a table of its own, {run.table!r}; name that (--machine MODULE:ATTR, or machine=...)"
        raise TraceError(f"{name}:{line_number}: {words}", name=name, line=line_number)
    machine = against if isinstance(against, Machine) else against(run.policy)
    different = []
    if _digest(machine) != run.digest:
        different.append(f"it ran on the table {run.table!r}, and not on this {machine.table.name!r}")
    cells = [
        cell.name for cell in fields(Policy) if getattr(run.policy, cell.name) != getattr(machine.policy, cell.name)
    ]
    if cells:
        different.append(f"it ran with another {', '.join(cells[:3])}{', …' if len(cells) > 3 else ''}")
    return machine, "; ".join(different)


_default = lru_cache(maxsize=16)(Machine)
_digest = lru_cache(maxsize=16)(lambda machine: table_digest(machine.table))
