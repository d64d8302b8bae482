"""A schedule: everything that will happen in one simulation, as data that can be printed, saved and loaded again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from sessionfsm.errors import DefinitionError
from sessionfsm.testing.account import Delivery
from sessionfsm.testing.fault_fields import wanted
from sessionfsm.testing.fault_files import read_faults
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.virtual_time import Backend

from .happenings import KINDS

__all__ = ["Schedule", "load_schedule"]

_TABLE = "world"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """
    One simulated world, and everything that happens in it.

    Attributes:
        seed: What chance is drawn from where the schedule leaves something to it: the jitter, and what operations of
            a machine of one's own report.
        duration_s: When everything bad is over; the simulation goes on until the session is well again.
        backend: The event loop.
        hold_s: How long the server holds a poll.
        hint_ms: The server's ``longpolling_timeout_ms``; ``None``: absent.
        delivery: Whether the server honours the cursor; see :class:`~sessionfsm.testing.FakeServer`.
        round_trip_s: How far away it is.
        entries: What happens, in order of ``at_s``.
    """

    seed: int = 0
    duration_s: float = 3600.0
    backend: Backend = "asyncio"
    hold_s: float = 35.0
    hint_ms: int | None = None
    delivery: Delivery = "replay"
    round_trip_s: float = 0.01
    entries: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        for name in ("duration_s", "hold_s", "round_trip_s"):
            if problem := wanted(name, getattr(self, name), None):
                raise DefinitionError(f"{name} must be {problem}, not {getattr(self, name)!r}")
        if self.round_trip_s < 0.001:
            raise DefinitionError("round_trip_s must be 0.001 or more: time would stand still under a hot loop")
        for name, choices in (("backend", get_args(Backend)), ("delivery", get_args(Delivery))):
            if getattr(self, name) not in choices:
                raise DefinitionError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")
        for name in ("seed", "hint_ms"):
            value = getattr(self, name)
            if (not isinstance(value, int) or isinstance(value, bool)) and not (value is None and name == "hint_ms"):
                raise DefinitionError(f"{name} must be a whole number, not {value!r}")
        object.__setattr__(self, "entries", tuple(sorted(self.entries, key=lambda entry: entry.at_s)))

    def with_entries(self, entries: tuple[Fault, ...]) -> Schedule:
        """Return the same world in which this happens instead."""
        return replace(self, entries=entries)

    def describe(self) -> list[str]:
        """Return what happens in words, a line each."""
        return [f"{entry.at_s:9.1f} s  {entry.describe()}" for entry in self.entries]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        world = {name: value for name, value in self._world() if value is not None}
        return {_TABLE: world, "fault": [entry.to_dict() for entry in self.entries]}

    def to_toml(self) -> str:
        """Return the file that :func:`load_schedule` reads."""
        lines = [f"[{_TABLE}]"]
        lines += [f"{name} = {_toml(value)}" for name, value in self._world() if value is not None]
        for entry in self.entries:
            lines += ["", f"# {entry.describe()}", "[[fault]]"]
            lines += [f"{name} = {_toml(value)}" for name, value in entry.to_dict().items()]
        return "\n".join(lines) + "\n"

    def _world(self) -> Iterator[tuple[str, Any]]:
        for field in fields(self):
            if field.name != "entries":
                yield field.name, getattr(self, field.name)


def load_schedule(path: str | os.PathLike[str]) -> tuple[Schedule, bool]:
    """
    Read a schedule: a file of faults, in which happenings may stand as well, and a table ``[world]`` with the rest.

    Returns:
        The schedule, and whether it is a whole one: whether the file has that table.

    Raises:
        DefinitionError: If the file is not such a schedule; the message names the file, the entry and the field.
        OSError: If the file cannot be read.
    """
    entries, world = read_faults(path, KINDS, table=_TABLE)
    known = [field.name for field in fields(Schedule) if field.name != "entries"]
    for name in world or {}:
        if name not in known:
            raise DefinitionError(f"{path}: {_TABLE}: unknown field {name!r} (accepted: {', '.join(known)})")
    end_s = max([60.0, *(entry.at_s + entry.lasts_s for entry in entries)])
    try:
        return Schedule(**({"duration_s": end_s} | (world or {})), entries=tuple(entries)), world is not None
    except DefinitionError as error:
        raise DefinitionError(f"{path}: {_TABLE}: {error}") from None


def _toml(value: str | float | bool) -> str:
    return json.dumps(value, ensure_ascii=True) if isinstance(value, str | bool) else repr(value)
