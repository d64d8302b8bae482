"""What ``sessionfsm simulate`` does: the runs, how far they are, and what came of them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec

from sessionfsm.testing.simulation import Campaign, Plan, Schedule, Shrunk, load_events, run_campaign, shrink
from sessionfsm.testing.simulation.campaign import usable_cores

from .exit_codes import ExitCode
from .lines import LineWriter, standard_output
from .options import policy_of
from .problems import CommandError
from .stop_signals import StopSignals

__all__ = ["simulate"]

_SEEDS = 100
_REDRAW_S = 0.2
_BAR = 20
_LISTED = 10


def simulate(args: argparse.Namespace, signals: StopSignals) -> ExitCode:
    """Simulate until every seed is decided or somebody asks for the end; say what came of it."""
    plan, seeds = _planned(args)
    machine = plan.make_machine()  # here too: what is wrong with it is said before anything begins
    writer = LineWriter(standard_output())
    try:
        progress = _Progress()

        def asked_to_end() -> bool:
            return signals.caught is not None or writer.error is not None

        jobs = min(args.jobs or usable_cores(), len(seeds))
        campaign = run_campaign(plan, seeds, jobs=jobs, watcher=progress.show, asked_to_end=asked_to_end)
        progress.clear()
        shrunk = None
        if campaign.failed:
            progress.say(f"shrinking seed {min(campaign.failed)} …")
            schedule = plan.schedule_of(min(campaign.failed))
            shrunk = shrink(schedule, machine, plan.backend, asked_to_end=asked_to_end)
            progress.clear()
        if args.json:
            writer.put(json.dumps(campaign.to_dict() | {"shrunk": _shrunk_to_dict(shrunk)}))
        else:
            for line in _report(campaign, machine.policy.silence_bound_s, jobs, shrunk, args):
                writer.put(line)
    finally:
        writer.close(timeout_s=5.0)
    writer.check()
    if campaign.failed:
        return ExitCode.FAILED
    return ExitCode.OK if campaign.complete else ExitCode.UNDECIDED


def _planned(args: argparse.Namespace) -> tuple[Plan, range]:
    events = None
    if args.backend == "trio" and find_spec("trio") is None:
        raise CommandError("trio is not installed; write: pip install 'sessionfsm[testing]'")
    if args.faults is not None:
        try:
            events = load_events(args.faults)
        except OSError as error:
            raise CommandError(f"the file {args.faults} cannot be read: {error.strerror or error}") from None
    policy = policy_of(args) if args.policy is not None else None
    first = args.seed or 0
    if isinstance(events, Schedule):
        given = [name for name in ("seeds", "seed", "hours") if getattr(args, name) is not None]
        if given:
            raise CommandError(f"the file {args.faults} is a whole schedule: leave --{given[0]} out")
        plan = Plan(schedule=events, policy=policy, machine=args.machine, backend=args.backend)
        return plan, range(events.seed, events.seed + 1)
    hours = 1.0 if args.hours is None else args.hours
    plan = Plan(hours=hours, events=events, policy=policy, machine=args.machine, backend=args.backend)
    return plan, range(first, first + (args.seeds or (_SEEDS if args.seed is None else 1)))


class _Progress:
    """One line on a terminal, drawn over and over; nothing anywhere else."""

    def __init__(self) -> None:
        self._shown = sys.stderr is not None and sys.stderr.isatty()
        self._next_s = 0.0

    def show(self, campaign: Campaign) -> None:
        """Say how far it is."""
        now = time.monotonic()
        if now < self._next_s:
            return
        self._next_s = now + _REDRAW_S
        done = campaign.done / campaign.seeds
        bar = "#" * int(done * _BAR)
        left = "" if not campaign.done else f", {_clock(campaign.wall_s / done - campaign.wall_s)} left"
        failed = f", {len(campaign.failed)} FAILED" if campaign.failed else ""
        self.say(
            f"[{bar:<{_BAR}}] {campaign.done}/{campaign.seeds} seeds, {campaign.simulated_s / 3600:.0f} h, "
            f"{campaign.rate:.1f} h/s{left}{failed}"
        )

    def say(self, words: str) -> None:
        """Show *words* in place of what was shown."""
        if self._shown:
            sys.stderr.write(f"\r\x1b[K{words}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leave the line empty."""
        self.say("")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def _report(
    campaign: Campaign, bound_s: float, jobs: int, shrunk: Shrunk | None, args: argparse.Namespace
) -> Iterator[str]:
    hours = campaign.simulated_s / 3600
    missing = "" if campaign.complete else f" of {campaign.seeds}"
    yield f"seeds            {campaign.done}{missing}"
    yield (
        f"simulated        {hours:.1f} h in {campaign.wall_s:.1f} s: {campaign.rate:.1f} hours a second"
        f" ({jobs} {'process' if jobs == 1 else 'processes'})"
    )
    yield f"longest silence  {campaign.longest_silence_s:.1f} s ({bound_s:g} s are allowed while the store works)"
    yield f"deliveries       {campaign.deliveries} messages handled, {campaign.requests} requests"
    yield f"faults           {', '.join(f'{kind} {n}' for kind, n in sorted(campaign.faults.items())) or 'none'}"
    for seed, how in sorted(campaign.died.items()):
        yield f"undecided        seed {seed}: {how}"
    if not campaign.failed:
        yield "violations       none" + ("" if campaign.complete else " so far; it ended early")
        return
    yield f"violations       {len(campaign.failed)} {'seed breaks' if len(campaign.failed) == 1 else 'seeds break'} a promise"
    for seed, outcome in sorted(campaign.failed.items())[:_LISTED]:
        first = outcome.violations[0]
        yield f"  seed {seed}: {first.promise} at {first.at_s:.3f} s: {first.what}"
    if len(campaign.failed) > _LISTED:
        yield f"  and {len(campaign.failed) - _LISTED} more"
    if shrunk is not None:
        yield from _shrunk_lines(shrunk, args)


def _shrunk_lines(shrunk: Shrunk, args: argparse.Namespace) -> Iterator[str]:
    number = len(shrunk.schedule.events)
    kept = "" if shrunk.complete else " (not everything could be tried)"
    yield ""
    yield f"seed {shrunk.schedule.seed}, shrunk to {number} {'event' if number == 1 else 'events'}{kept}:"
    for line in shrunk.schedule.lines():
        yield f"  {line}"
    broken = shrunk.violation
    yield f"  breaks {broken.promise} at {broken.at_s:.3f} s: {broken.what}"
    yield ""
    again = "".join(
        f" --{name} {getattr(args, name)}"
        for name in ("hours", "faults", "policy", "machine", "backend")
        if getattr(args, name) is not None and (name, getattr(args, name)) != ("backend", "asyncio")
    )
    whole = args.faults is not None and args.hours is None and args.seed is None
    yield f"# again: sessionfsm simulate{'' if whole else f' --seed {shrunk.schedule.seed}'}{again}"
    yield "# or with what follows as FILE: sessionfsm simulate --faults FILE"
    yield from shrunk.schedule.to_toml().splitlines()


def _shrunk_to_dict(shrunk: Shrunk | None) -> dict[str, object] | None:
    if shrunk is None:
        return None
    return {
        "seed": shrunk.schedule.seed,
        "hours": shrunk.schedule.hours,
        "events": [event.to_dict() for event in shrunk.schedule.events],
        "violation": shrunk.violation._asdict(),
        "complete": shrunk.complete,
        "schedule": shrunk.schedule.to_toml(),
    }
