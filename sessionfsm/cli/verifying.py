"""What ``sessionfsm verify`` does and prints."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sessionfsm.verify import Figures, Finding, Report, decide
from sessionfsm.verify.counterexample import narrate, sequence_diagram
from sessionfsm.verify.explore import LIMIT

from .exit_codes import ExitCode
from .options import machine_of
from .problems import CommandError

if TYPE_CHECKING:
    from sessionfsm.lifecycle import Policy
    from sessionfsm.verify.solver import Proof

__all__ = ["prove", "verify"]

_CODES = {"proved": ExitCode.OK, "refuted": ExitCode.FAILED, "undecided": ExitCode.UNDECIDED}
_SAID = {"proved": ExitCode.OK, "refuted": ExitCode.FAILED, "unknown": ExitCode.UNDECIDED}
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


def prove(args: argparse.Namespace) -> int:
    """Ask the solver, print what it said, and return the exit code."""
    from sessionfsm.verify import certificate, solver

    machine = machine_of(args)
    proofs = solver.prove(machine)
    if args.certificate is not None:
        try:
            certificate.write_certificate(proofs, args.certificate)
        except OSError as error:
            raise CommandError(f"the folder {args.certificate} cannot be written: {error.strerror or error}") from None
    if args.json:
        print(json.dumps({"properties": [_proof(proof, machine.policy) for proof in proofs]}, ensure_ascii=False))
    else:
        for proof in proofs:
            note = f": {proof.why}" if proof.why else ""
            print(f"{proof.id:<4}{proof.verdict:<8} for {proof.scope}, in {proof.seconds:.2f} s{note}")
            if proof.counterexample is not None:
                if others := proof.counterexample.other_figures(machine.policy):
                    print("    with " + ", ".join(f"{name} = {value:g}" for name, value in others.items()))
                for number, event in enumerate(proof.counterexample.events, start=1):
                    print(f"    {number:>3}. {event.at_s:>8.1f} s  {event.trigger} → {event.state}")
    sys.stdout.flush()
    said = {proof.verdict for proof in proofs}
    return next(_SAID[verdict] for verdict in ("refuted", "unknown", "proved") if verdict in said)


def _proof(proof: Proof, own: Policy) -> dict[str, Any]:
    run = proof.counterexample
    return {
        "id": proof.id,
        "statement": proof.statement,
        "scope": proof.scope,
        "verdict": proof.verdict,
        "why": proof.why or None,
        "seconds": proof.seconds,
        "obligations": len(proof.obligations),
        "counterexample": None if run is None else [event._asdict() for event in run.events],
        "counterexample_with": None if run is None else run.other_figures(own),
    }


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
    if report.figures is not None:
        yield from _figures(report.figures)
        yield ""
    verdicts = [finding.verdict for finding in report.properties.values()]
    yield ", ".join(
        f"{verdicts.count(verdict)} of {len(verdicts)} {verdict}" for verdict in _CODES if verdict in verdicts
    )


def _figures(figures: Figures) -> Iterator[str]:
    yield f"longest silence         {_seconds(figures.longest_silence_s)}"
    yield f"longest between polls   {_seconds(figures.longest_between_polls_s)}"
    yield f"longest resumption      {_seconds(figures.longest_resumption_s)}"
    windows = list(next(iter(figures.most_requests.values())))
    yield "most requests in a" + "".join(f"{window:>12}" for window in windows)
    for scenario, counts in figures.most_requests.items():
        numbers = ("unbounded" if count is None else f"{count:,}" for count in counts.values())
        yield f"  {scenario:16}" + "".join(f"{number:>12}" for number in numbers)


def _seconds(length_s: float | None) -> str:
    return "unbounded" if length_s is None else f"{length_s:g} s"


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
