"""``make prove``: the default table proved for every policy, in both ways of renewal, with a certificate kept of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Literal

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy

from .solver import TIMEOUT_S, check_certificate, prove, write_certificate

__all__ = ["main"]

RENEWALS: tuple[Literal["attempted", "required"], ...] = ("attempted", "required")


def main(arguments: list[str] | None = None) -> int:
    """Prove, write, check, print; return 0 if all is proved, 1 if something is refuted, 3 if something is unknown."""
    parser = argparse.ArgumentParser(prog="prove", description=__doc__)
    parser.add_argument("folder", nargs="?", default="proof", type=Path, help="for the certificate (default: proof)")
    parser.add_argument("--timeout", default=TIMEOUT_S, type=float, metavar="SECONDS", help="for each property")
    options = parser.parse_args(arguments)
    verdicts: set[str] = set()
    try:
        print(f"{'renewal':10} {'property':8} {'verdict':8} {'seconds':>7}  obligations")
        for renewal in RENEWALS:
            machine = Machine(Policy(renewal=renewal))
            proofs = prove(machine, timeout_s=options.timeout)
            for proof in proofs:
                verdicts.add(proof.verdict)
                note = proof.why or (f"{len(proof.obligations)} unsat" if proof.obligations else "")
                print(f"{renewal:10} {proof.id:8} {proof.verdict:8} {proof.seconds:7.2f}  {note}", flush=True)
            folder = options.folder / renewal
            if write_certificate(proofs, folder):
                # from the files, and against the table: so that what was kept is what was shown
                checked = check_certificate(folder) + check_certificate(folder, machine)
                doubtful = [each.name for each in checked if each.said != "unsat"]
                print(f"{renewal:10} certificate in {folder}: {', '.join(doubtful) or 'checked'}")
                verdicts |= {"unknown"} if doubtful else set()
    except (DefinitionError, OSError) as error:
        print(f"prove: {error}", file=sys.stderr)
        return 2
    return 1 if "refuted" in verdicts else 3 if "unknown" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
