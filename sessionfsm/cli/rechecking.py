"""``sessionfsm verify --check``: a kept proof, decided again."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .exit_codes import ExitCode
from .options import machine_of
from .problems import CommandError
from .writing import write_out

if TYPE_CHECKING:
    from sessionfsm.verify.certificate import Check

__all__ = ["check", "lines_of"]

_CODES = {"stands": ExitCode.OK, "falls": ExitCode.FAILED, "undecided": ExitCode.UNDECIDED}


def check(args: argparse.Namespace) -> int:
    """Check, print, and return the exit code."""
    if args.sequence:
        raise CommandError("--check searches nothing, so that there is no run to show; leave out --sequence")
    from sessionfsm.verify.certificate import check_certificate

    came = check_certificate(args.check, machine_of(args))
    lines = [json.dumps(_plain(came), ensure_ascii=False)] if args.json else lines_of(came, every=args.verbose)
    write_out("".join(f"{line}\n" for line in lines))
    return _CODES[came.verdict]


def lines_of(came: Check, *, every: bool = False) -> Iterator[str]:
    """Yield what came of a check, for people; with *every* obligation, or only those that are not as they must be."""
    for number in dict.fromkeys(checked.property for checked in came.obligations):
        of_it = [checked for checked in came.obligations if checked.property == number]
        solvers = dict.fromkeys(solver for checked in of_it for solver in checked.said)
        said = {solver: Counter(checked.said[solver] for checked in of_it) for solver in solvers}
        told = "; ".join(
            f"{solver}: {', '.join(f'{count} {verdict}' for verdict, count in said[solver].items())}"
            for solver in solvers
        )
        yield f"{number:<4}{len(of_it)} obligations, {told}"
        for checked in of_it:
            if every or not set(checked.said.values()) <= {"unsat", "not run"}:
                yield f"    {checked.name}: {', '.join(f'{name} {word}' for name, word in checked.said.items())}"
    yield from (f"WRONG: {fault}" for fault in came.faults)
    yield from (f"NOT CHECKED: {part}" for part in came.unchecked)
    yield f"the certificate {came.verdict}" if came.verdict != "undecided" else "the certificate is undecided"


def _plain(came: Check) -> dict[str, object]:
    return {
        "verdict": came.verdict,
        "faults": list(came.faults),
        "unchecked": list(came.unchecked),
        "obligations": [
            {**checked._asdict(), "said": dict(checked.said), "seconds": dict(checked.seconds)}
            for checked in came.obligations
        ],
    }
