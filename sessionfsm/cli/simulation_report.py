"""What ``sessionfsm simulate`` says in the end."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

from sessionfsm.lifecycle import Machine
from sessionfsm.testing.simulation import Schedule, Shrunk, SimulationResult
from sessionfsm.testing.simulation import simulate as simulate_one

from .simulation_tally import Tally

__all__ = ["broke", "report", "shrunk_dict", "verdict", "world_of"]

_SHOWN = 30  # lines of what happened in a broken world


def world_of(schedule: Schedule) -> str:
    """Say in what world a schedule happens."""
    hint = f", hints {schedule.hint_ms} ms" if schedule.hint_ms is not None else ""
    lasts = f"{schedule.duration_s:g} s" if schedule.duration_s < 600 else f"{schedule.duration_s / 3600:.3g} h"
    return (
        f"{lasts}; the server holds polls for {schedule.hold_s:g} s{hint}, delivers by "
        f"{schedule.delivery}, and is {schedule.round_trip_s:g} s away"
    )


def shrunk_dict(found: Shrunk) -> dict[str, object]:
    """Return plain data, fit for JSON."""
    return {
        "tries": found.tries,
        "complete": found.complete,
        "schedule": found.schedule.to_dict(),
        "result": found.result.to_dict(),
    }


def report(
    args: argparse.Namespace, tally: Tally, smallest: Shrunk | None, machine: Machine, stopped: str, processes: int
) -> Iterator[str]:
    """Say what came of many seeds."""
    if smallest is not None:
        yield from _told(args, tally.broken[0], smallest, machine)
        yield ""
    yield from verdict(tally)
    yield from tally.lines()
    if stopped:
        yield f"{stopped}: {tally.wanted - tally.seeds:,} of {tally.wanted:,} seeds were not simulated"
    elif processes > 1:
        yield f"{processes} processes"


def _told(args: argparse.Namespace, broken: SimulationResult, smallest: Shrunk, machine: Machine) -> Iterator[str]:
    """Say what it takes to break it, and what happens then."""
    schedule, found = smallest.schedule, smallest.result.violations[0]
    how = f"in {smallest.tries} tries" if smallest.complete else f"so far, after {smallest.tries} tries"
    yield (
        f"the shortest schedule that breaks {found.property}: {len(schedule.entries)} of "
        f"{len(broken.schedule.entries)} happenings, found {how}"
    )
    yield f"  on {schedule.backend}, {world_of(schedule)}"
    yield from schedule.describe()
    if not schedule.entries:
        yield "  (nothing has to happen)"
    yield ""
    yield "what happens then:"
    told: list[str] = []
    simulate_one(
        schedule=schedule, machine=machine, narrator=lambda at_s, words: told.append(f"{at_s:9.1f} s  {words}")
    )
    if len(told) > _SHOWN:
        yield f"  ({len(told) - _SHOWN} lines before)"
    yield from told[-_SHOWN:]
    yield ""
    more = [
        f" --{option} {shlex.quote(value)}"
        for option in ("policy", "machine", "faults")
        if (value := getattr(args, option))
    ]
    hours = "" if args.hours == 1 else f" --hours {args.hours:g}"
    yield f"the whole of it: sessionfsm simulate --seed {broken.schedule.seed}{hours}{''.join(more)}"
    if not args.save:
        yield "the shortest one as a file: the same again with --save FILE; then: sessionfsm simulate --faults FILE"


def verdict(tally: Tally) -> Iterator[str]:
    """Say which seeds are broken."""
    yield from map(broke, tally.broken)
    if not tally.broken:
        yield "nothing is broken"


def broke(result: SimulationResult) -> str:
    """Say in one line what a seed has broken first."""
    found, schedule = result.violations[0], result.schedule
    return f"seed {schedule.seed} on {schedule.backend} broke {found.property} at {found.at_s:.1f} s: {found.what}"
