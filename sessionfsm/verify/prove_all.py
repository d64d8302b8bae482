"""``make prove``: the default table proved for every policy, in both ways of renewal, with a certificate kept of it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Literal

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy

from .certificate import SOLVERS, Check, check_certificate, version_of, write_certificate
from .solver import TIMEOUT_S, prove

__all__ = ["main"]

RENEWALS: tuple[Literal["attempted", "required"], ...] = ("attempted", "required")
_CODES = {"stands": 0, "falls": 1, "undecided": 3}


def main(arguments: list[str] | None = None) -> int:
    """
    Prove, write, check, print.

    Returns:
        0 if all is proved and checked, 1 if something is refuted or wrong, 3 if something is unknown or unchecked.
    """
    parser = argparse.ArgumentParser(prog="prove", description=__doc__)
    parser.add_argument("folder", nargs="?", default="proof", type=Path, help="for the certificate (default: proof)")
    parser.add_argument("--timeout", default=TIMEOUT_S, type=float, metavar="SECONDS", help="for each property")
    options = parser.parse_args(arguments)
    codes: set[int] = set()
    print(", ".join(f"{solver} {version_of(solver)}" for solver in SOLVERS))
    try:
        print(f"{'renewal':10} {'property':8} {'verdict':8} {'seconds':>7}  obligations")
        for renewal in RENEWALS:
            machine = Machine(Policy(renewal=renewal))
            proofs = prove(machine, timeout_s=options.timeout)
            for proof in proofs:
                codes.add({"proved": 0, "refuted": 1, "unknown": 3}[proof.verdict])
                note = proof.why or (f"{len(proof.obligations)} unsat" if proof.obligations else "")
                print(f"{renewal:10} {proof.id:8} {proof.verdict:8} {proof.seconds:7.2f}  {note}", flush=True)
            folder = options.folder / renewal
            if write_certificate(proofs, folder):
                # from the files, and against the table: so that what was kept is what was shown
                began = perf_counter()
                came = check_certificate(folder, machine, timeout_s=options.timeout)
                codes.add(_CODES[came.verdict])
                for line in _told(came):
                    print(f"{renewal:10} {line}")
                print(f"{renewal:10} certificate in {folder}: {came.verdict}, in {perf_counter() - began:.2f} s")
    except (DefinitionError, OSError) as error:
        print(f"prove: {error}", file=sys.stderr)
        return 2
    return next((code for code in (1, 3) if code in codes), 0)


def _told(came: Check) -> list[str]:
    lines = []
    for solver in SOLVERS:
        said = Counter(checked.said[solver] for checked in came.obligations)
        seconds = sum(checked.seconds[solver] for checked in came.obligations)
        lines.append(f"{solver}: {', '.join(f'{count} {word}' for word, count in said.items())} in {seconds:.2f} s")
    lines += [f"WRONG: {fault}" for fault in came.faults]
    return lines + [f"NOT CHECKED: {part}" for part in came.unchecked]


if __name__ == "__main__":
    sys.exit(main())
