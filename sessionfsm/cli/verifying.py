"""What ``sessionfsm verify`` does and prints."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator

from sessionfsm.verify import Finding, Report, decide
from sessionfsm.verify.counterexample import narrate, sequence_diagram
from sessionfsm.verify.explore import LIMIT

from .exit_codes import ExitCode
from .options import machine_of

__all__ = ["verify"]

_CODES = {"proved": ExitCode.OK, "refuted": ExitCode.FAILED, "undecided": ExitCode.UNDECIDED}
_WIDEST = 120


def verify(args: argparse.Namespace) -> int:
    """Decide, print, and return the exit code."""
    machine = machine_of(args)
    began = time.perf_counter()
    report = decide(machine, args.limit or LIMIT)
    took = time.perf_counter() - began
    if args.json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        width = min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
        for line in _lines(report, took, width, args.sequence):
            print(line)
    sys.stdout.flush()
    return _CODES[report.verdict]


def _lines(report: Report, took: float, width: int, sequence: bool) -> Iterator[str]:
    yield (
        f"table {report.table!r}: {report.states:,} configurations and {report.transitions:,} transitions "
        f"searched in {took:.2f} s"
    )
    yield ""
    for finding in report.properties.values():
        yield from _property(finding, width)
        if finding.verdict == "refuted":
            yield from _shown(finding, sequence)
    yield ""
    verdicts = [finding.verdict for finding in report.properties.values()]
    yield ", ".join(
        f"{verdicts.count(verdict)} of {len(verdicts)} {verdict}" for verdict in _CODES if verdict in verdicts
    )


def _property(finding: Finding, width: int) -> Iterator[str]:
    figure = "" if finding.figure is None else f" [{finding.figure[0]:g} {finding.figure[1]}]"
    head = f"{finding.id:<4}{finding.verdict.upper() if not finding.holds else finding.verdict:<10}"
    yield from textwrap.wrap(
        f"{finding.statement}{figure}", width, initial_indent=head, subsequent_indent=" " * len(head)
    )
    if finding.verdict == "undecided":
        yield from textwrap.wrap(finding.why, width, initial_indent=" " * 8, subsequent_indent=" " * 8)


def _shown(finding: Finding, sequence: bool) -> Iterator[str]:
    yield ""
    yield textwrap.indent(narrate(finding), " " * 8)
    yield ""
    if sequence:
        yield textwrap.indent(sequence_diagram(finding), " " * 8)
