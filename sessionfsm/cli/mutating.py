"""What ``sessionfsm verify --mutate`` does and prints."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine
from sessionfsm.verify import STATEMENTS
from sessionfsm.verify.explore import LIMIT
from sessionfsm.verify.mutation import SHORT_LADDERS, Fate, MutationReport, Outcome, mutate

from .exit_codes import ExitCode
from .options import machine_of

if TYPE_CHECKING:
    from sessionfsm.lifecycle import Policy

__all__ = ["mutants"]

_WIDEST = 120
_OUTCOMES: tuple[Outcome, ...] = ("killed", "equivalent", "undecided", "survived")


def mutants(args: argparse.Namespace) -> int:
    """Try every mutant, print what became of them, and return the exit code."""
    default = args.machine is None and args.policy is None
    machine = Machine(SHORT_LADDERS) if default else machine_of(args)
    progress = _Progress()
    terminated = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was found is told
    try:
        report = mutate(machine, _machine_for(args, machine), limit=args.limit or LIMIT, told=progress)
    finally:
        signal.signal(signal.SIGTERM, terminated)
    progress.end()
    if args.json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        width = min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
        for line in _lines(report, progress.took_s, width):
            print(line)
    sys.stdout.flush()
    if report.survivors or report.unsafe:
        return ExitCode.FAILED
    return ExitCode.OK if report.whole and not report.undecided else ExitCode.UNDECIDED


def _machine_for(args: argparse.Namespace, machine: Machine) -> Callable[[Policy], Machine] | None:
    """What makes the machine for another policy; ``None`` if it has a policy of its own."""
    if args.machine is None:
        return type(machine)
    from sessionfsm.config import load_machine

    other = replace(machine.policy, login_required_denials=machine.policy.login_required_denials % 100 + 1)
    try:
        own = load_machine(args.machine, other).policy != other
    except DefinitionError:
        own = True
    return None if own else lambda policy: load_machine(args.machine, policy)


class _Progress:
    """How far it is, on standard error: on a terminal one line that is written over and over, else one now and then."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._shown = sys.stderr is not None and sys.stderr.isatty()
        self._every_s = 0.2 if self._shown else 10.0
        self._next = 0.0 if self._shown else self._every_s

    @property
    def took_s(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._began

    def __call__(self, done: int, planned: int) -> None:
        if sys.stderr is None or self.took_s < self._next:
            return
        self._next = self.took_s + self._every_s
        rate = done / self.took_s
        left = f"{done:,} of {planned:,} mutants, {rate:.1f} a second"
        left += f", {(planned - done) / rate:.0f} s left" if done else ""
        with suppress(OSError):
            if self._shown:
                print(f"\r{left}\x1b[K", end="", file=sys.stderr, flush=True)
            else:
                print(f"mutate: {left}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _lines(report: MutationReport, took_s: float, width: int) -> Iterator[str]:
    yield (
        f"table {report.machine.table.name!r}: {len(report.table):,} mutants in {took_s:.1f} s, "
        f"on {'a policy of two rungs a ladder' if report.machine.policy == SHORT_LADDERS else 'the given policy'}"
    )
    if not report.whole:
        yield f"stopped: {len(report.fates):,} of {report.planned:,} mutants and policies were tried"
    if report.broken:
        yield f"it breaks {', '.join(report.broken)} itself: these kill nothing here"
    yield ""
    yield from _by_kind(report)
    yield ""
    yield from _by_property(report, width)
    if report.policies:
        yield ""
        yield from _policies(report, width)
    for outcome in ("survived", "undecided"):
        for fate in report.fates:
            if fate.outcome == outcome:
                yield ""
                yield from _fate(fate, width)


def _by_kind(report: MutationReport) -> Iterator[str]:
    kinds = dict.fromkeys(fate.mutant.kind for fate in report.table)
    yield f"{'changed':<16}{'mutants':>8}" + "".join(f"{outcome:>12}" for outcome in _OUTCOMES)
    for name in (*kinds, None):
        fates = [fate for fate in report.table if name in (None, fate.mutant.kind)]
        count = Counter(fate.outcome for fate in fates)
        row = "".join(f"{count[outcome]:>12,}" for outcome in _OUTCOMES)
        yield f"{name or 'all':<16}{len(fates):>8,}{row}"
    refused = sum(1 for fate in report.table if fate.mutant.refused)
    yield f"of those killed, {refused:,} are refused when they are made; of the others, each search decided P0 to P19"


def _by_property(report: MutationReport, width: int) -> Iterator[str]:
    yield f"{'killed by':<12}{'mutants':>8}{'alone':>8}  together with"
    for number, (kills, alone) in report.kills().items():
        if number in report.broken:
            continue
        also = ", ".join(f"{other} {count}" for other, count in report.also(number).items())
        head = f"{number:<12}{kills:>8,}{alone:>8,}  "
        yield from textwrap.wrap(also, width, initial_indent=head, subsequent_indent=" " * len(head)) or [head.rstrip()]


def _policies(report: MutationReport, width: int) -> Iterator[str]:
    legal = [fate for fate in report.policies if fate.mutant.legal]
    past = [fate for fate in report.policies if not fate.mutant.legal]
    proved = sum(1 for fate in legal if fate.outcome == "proved")
    yield f"policies at an edge: {len(legal)}, of which {proved} proved"
    for fate in report.unsafe:
        yield f"UNSAFE: {fate.mutant.change} can be made and breaks {', '.join(fate.killers)}"
    count = Counter(fate.outcome for fate in past)
    killers = ", ".join(number for number in STATEMENTS if any(number in fate.killers for fate in past))
    yield (
        f"policies past the check: {len(past)}, of which {count['killed']} refuted ({killers or 'by none'}), "
        f"{count['equivalent']} equivalent; for {count['stricter']} the other figures would not need it:"
    )
    stricter = "; ".join(fate.mutant.change for fate in past if fate.outcome == "stricter")
    yield from textwrap.wrap(stricter, width, initial_indent="    ", subsequent_indent="    ")


def _fate(fate: Fate, width: int) -> Iterator[str]:
    head = f"{fate.outcome.upper()} "
    yield from textwrap.wrap(f"{fate.mutant.kind}: {fate.mutant.change}", width, initial_indent=head)
    if fate.differs is not None:
        told = f"after {', '.join(fate.differs.run)}: {fate.differs.says}"
        yield from textwrap.wrap(told, width, initial_indent="    ", subsequent_indent="    ")
