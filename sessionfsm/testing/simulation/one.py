"""One seed, one world, one verdict."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.session import Violation

from .draw import draw_schedule
from .schedule import Schedule
from .world import Narrator, World

__all__ = ["COUNTS", "SimulationResult", "perform", "simulate"]

COUNTS = (
    "sessions", "kills", "logins", "polls", "renewals", "sends", "messages", "handled", "parked", "lost", "unfetched",
)  # fmt: skip
"""What a result counts."""


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """
    What came of a simulation.

    Attributes:
        schedule: What happened.
        violations: What was broken; the first one ended the simulation.
        hours: How long it lasted, by the virtual clock.
        took_s: How long it took, in real seconds.
        sessions: How many sessions lived, one after the other.
        kills: How many of them were killed.
        logins: How often the user logged in as another bot.
        polls: How many polls there were.
        renewals: How many times ``notifystart`` was called.
        sends: How many texts were sent, or tried.
        messages: How many messages users wrote.
        handled: How many of them handlers have returned from, and that were not parked later.
        parked: How many of them were parked, because the handler had failed on them each time.
        lost: How many of them a server had handed out that forgets them, and the process ended before their commit.
        unfetched: How many of them were written to a bot that was replaced before it had fetched them.
    """

    schedule: Schedule
    violations: Sequence[Violation]
    hours: float
    took_s: float
    sessions: int
    kills: int
    logins: int
    polls: int
    renewals: int
    sends: int
    messages: int
    handled: int
    parked: int
    lost: int
    unfetched: int

    @property
    def ok(self) -> bool:
        """Whether nothing was broken."""
        return not self.violations

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {
            "seed": self.schedule.seed,
            "backend": self.schedule.backend,
            **{name: getattr(self, name) for name in ("hours", "took_s", *COUNTS)},
            "violations": [
                {"property": found.property, "at_s": found.at_s, "what": found.what} for found in self.violations
            ],
        }


def simulate(
    seed: int = 0,
    *,
    hours: float = 1.0,
    schedule: Schedule | None = None,
    policy: Policy | None = None,
    machine: Machine | None = None,
    narrator: Narrator | None = None,
) -> SimulationResult:
    """
    Let a real session live through the world of *seed*, in virtual time, and check every promise.

    .. code-block:: python

        result = simulate(seed=7, hours=2)
        assert result.ok, result.violations

    An even seed runs on asyncio, an odd one on trio. What is simulated, and what is checked:
    docs/explanation/simulation.md.

    Args:
        seed: Which world.
        hours: How long trouble lasts in it; afterwards the session has to become well again.
        schedule: The world itself, instead of one that is drawn.
        policy: The figures.
        machine: A lifecycle of your own; its policy is used then. Its operations report whatever they can report, and
            its external triggers are called now and then.
        narrator: Told what happens.

    Raises:
        DefinitionError: If both *policy* and *machine* are given, or *hours* is not above 0.
    """
    if machine is not None and policy is not None:
        raise DefinitionError("pass policy= or machine=, not both: a machine has its own policy")
    if not 0 < hours < 1e6:
        raise DefinitionError(f"hours must be above 0 and below a million, not {hours!r}")
    machine = machine if machine is not None else Machine(policy)
    return perform(schedule if schedule is not None else draw_schedule(seed, hours, machine), machine, narrator)


def perform(schedule: Schedule, machine: Machine, narrator: Narrator | None = None) -> SimulationResult:
    """Let *schedule* happen to a session of *machine*."""
    began = time.perf_counter()
    world = World(schedule, machine, narrator)
    with _quiet():
        world.live()
    ledger = world.ledger
    return SimulationResult(
        schedule=schedule,
        violations=tuple(world.violations),
        hours=world.ended_s / 3600.0,
        took_s=time.perf_counter() - began,
        sessions=len(ledger.runs),
        kills=sum(run.killed for run in ledger.runs),
        logins=len(ledger.logins),
        polls=len(world.server.log.requests("getupdates")),
        renewals=len(world.server.log.requests("notifystart")),
        sends=len(ledger.attempts),
        messages=len(ledger.written),
        handled=len({call.id for call in ledger.calls if call.result == "ok"} - ledger.parked),
        parked=len(ledger.parked),
        lost=sum(name not in ledger.committed for name in ledger.arrived),
        unfetched=sum(name not in ledger.arrived for name in ledger.written),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """The library's log is written for people who watch one session; here it would be most of the work."""
    log = logging.getLogger("sessionfsm")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
