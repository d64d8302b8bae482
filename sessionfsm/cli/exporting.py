"""``sessionfsm verify --export``: the machine in the language of another tool."""

from __future__ import annotations

import argparse

from .exit_codes import ExitCode
from .options import machine_of
from .problems import CommandError
from .writing import write_out

__all__ = ["export"]


def export(args: argparse.Namespace) -> int:
    """Write the text, and return the exit code."""
    if args.export is None:
        raise CommandError("--output is for what --export writes; give both")
    others = {"--json": args.json, "--sequence": args.sequence}
    if given := [name for name, value in others.items() if value]:
        raise CommandError(f"--export decides nothing; leave out {' and '.join(given)}")
    machine = machine_of(args)
    if args.export == "promela":
        from sessionfsm.verify.promela import promela

        text = promela(machine)
    else:
        from sessionfsm.verify.solver import smtlib

        text = smtlib(machine)
    if args.output is None:
        write_out(text)
        return ExitCode.OK
    try:
        with open(args.output, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise CommandError(f"the file {args.output} cannot be written: {error.strerror or error}") from None
    return ExitCode.OK
