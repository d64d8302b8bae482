"""What ``sessionfsm simulate`` does and prints."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.simulation import (
    Pool,
    Schedule,
    Shrunk,
    SimulationResult,
    WorkerDied,
    draw_schedule,
    load_schedule,
    shrink,
)
from sessionfsm.testing.simulation import simulate as simulate_one

from .exit_codes import SIGNALLED, ExitCode
from .options import machine_of, policy_of
from .printed import Printed
from .problems import CommandError
from .simulation_progress import progress
from .simulation_report import broke, report, shrunk_dict, verdict, world_of
from .simulation_tally import Tally, counted
from .stop_signals import StopSignals

__all__ = ["simulate"]

_SEEDS = 20
_ENOUGH_BROKEN = 10
_LOOK_S = 0.2


class _Interrupted(Exception):
    """Somebody has asked for the end."""


def simulate(args: argparse.Namespace, signals: StopSignals) -> int:
    """Simulate, print, and return the exit code."""
    code, out = int(ExitCode.OK), Printed()
    with out.ends_unread():
        code = _simulate(args, signals, out)
        out.flush()
    return code


def _simulate(args: argparse.Namespace, signals: StopSignals, out: Printed) -> int:
    machine = machine_of(args)
    given, whole = _given(args)
    if args.seed is None and args.seeds is None and whole and given is not None:
        args.seed = given.seed
    asyncio_only = find_spec("trio") is None
    world = partial(_schedule, hours=args.hours, given=given, whole=whole, asyncio_only=asyncio_only)
    if asyncio_only and not args.json:
        out.line("trio is not installed, so all seeds run on asyncio; for both: pip install 'sessionfsm[testing]'")
    if args.seed is not None:
        signals.release()  # nothing is lost by ending at once
        return _one(args, world(args.seed, machine), machine, out)
    return _many(args, signals, machine, world, out)


def _given(args: argparse.Namespace) -> tuple[Schedule | None, bool]:
    if args.faults is None:
        return None, False
    try:
        return load_schedule(args.faults)
    except OSError as error:
        raise CommandError(f"the file {args.faults} cannot be read: {error.strerror or error}") from None


def _schedule(
    seed: int, machine: Machine, *, hours: float, given: Schedule | None, whole: bool, asyncio_only: bool
) -> Schedule:
    """Return the world of *seed*, with what was given in it."""
    if given is not None and whole:
        made = replace(given, seed=seed)
    else:
        trouble: tuple[Fault, ...] | None = None if given is None else given.entries
        made = draw_schedule(seed, hours, machine, trouble)
    return replace(made, backend="asyncio") if asyncio_only else made


# --- one -------------------------------------------------------------------------------------------------------------


def _one(args: argparse.Namespace, schedule: Schedule, machine: Machine, out: Printed) -> int:
    tell = None if args.json else lambda at_s, words: out.line(f"{at_s:9.1f} s  {words}")
    tally = Tally(1)
    if tell is not None:
        out.line(
            f"seed {schedule.seed} on {schedule.backend}: "
            f"{counted(len(schedule.entries), 'happening')} in {world_of(schedule)}"
        )
    result = simulate_one(schedule=schedule, machine=machine, narrator=tell)
    tally.add(result)
    tally.end()
    if args.json:
        out.line(json.dumps(tally.to_dict() | {"schedule": schedule.to_dict()}, ensure_ascii=False))
    else:
        out.line()
        for line in (*verdict(tally), *tally.lines()):
            out.line(line)
    if args.save is not None and not result.ok:
        _save(args.save, shrink(result, machine).schedule)
    return ExitCode.OK if result.ok else ExitCode.FAILED


# --- many ------------------------------------------------------------------------------------------------------------


def _many(
    args: argparse.Namespace,
    signals: StopSignals,
    machine: Machine,
    world: Callable[[int, Machine], Schedule],
    out: Printed,
) -> int:
    seeds = range(args.first, args.first + (args.seeds or _SEEDS))
    processes = min(args.jobs or _cores(), len(seeds))
    policy = policy_of(args) if args.policy is not None else None
    tally = Tally(len(seeds))
    stopped = _run(tally, signals, partial(_job, args.machine, policy, world), processes, seeds, args.plain)
    smallest = None
    if tally.broken and signals.caught is None:
        smallest = _shrunk(tally.broken[0], machine, signals)
    if args.json:
        found = None if smallest is None else shrunk_dict(smallest)
        document = tally.to_dict() | {"first": seeds.start, "hours_per_seed": args.hours, "processes": processes}
        out.line(json.dumps(document | {"shrunk": found, "stopped": stopped or None}, ensure_ascii=False))
    else:
        for line in report(args, tally, smallest, machine, stopped, processes):
            out.line(line)
    if args.save is not None and tally.broken:  # told before: a file that cannot be written takes nothing away
        out.flush()
        _save(args.save, smallest.schedule if smallest is not None else tally.broken[0].schedule)
    if tally.broken:
        return ExitCode.FAILED
    return SIGNALLED + signals.caught if signals.caught is not None else ExitCode.OK


def _run(
    tally: Tally,
    signals: StopSignals,
    make_job: Callable[[], Callable[[int], SimulationResult]],
    processes: int,
    seeds: range,
    plain: bool,
) -> str:
    """Simulate all *seeds*; return why it was stopped earlier, empty if it was not."""
    try:
        with progress(tally, plain=plain) as show, Pool(make_job, processes) as pool:
            for result in pool.results(seeds, look_s=_LOOK_S):
                if result is not None:
                    tally.add(result)
                show("" if result is None or result.ok else broke(result))
                if signals.caught is not None:
                    raise _Interrupted
                if len(tally.broken) >= _ENOUGH_BROKEN:
                    return f"stopped after {len(tally.broken)} broken seeds"
    except _Interrupted:
        return "interrupted"
    except WorkerDied as died:
        raise CommandError(f"{died}; try it alone: sessionfsm simulate --seed {died.seed}", ExitCode.FAILED) from None
    finally:
        tally.end()
    return ""


def _job(
    name: str | None, policy: Policy | None, world: Callable[[int, Machine], Schedule]
) -> Callable[[int], SimulationResult]:
    """Return what a process does with a seed. A machine does not travel: each process makes its own."""
    if name is None:
        machine = Machine(policy)
    else:
        from sessionfsm.config import load_machine

        machine = load_machine(name, policy)
    return lambda seed: simulate_one(schedule=world(seed, machine), machine=machine)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shrunk(broken: SimulationResult, machine: Machine, signals: StopSignals) -> Shrunk | None:
    if sys.stderr is not None:
        print(f"simulate: making the world of seed {broken.schedule.seed} smaller", file=sys.stderr, flush=True)

    def tried(*_: object) -> None:
        if signals.caught is not None:
            raise _Interrupted

    try:
        return shrink(broken, machine, tried=tried)
    except _Interrupted:
        return None


def _save(path: str, schedule: Schedule) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(schedule.to_toml())
    except OSError as error:
        raise CommandError(f"the file {path} cannot be written: {error.strerror or error}", ExitCode.FAILED) from None
