"""``sessionfsm verify``: decide every property of a machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .options import add_machine, add_policy, add_verbose, count
from .problems import CommandError

if TYPE_CHECKING:
    from .options import Parser

__all__ = ["fill"]

FORMS = ("smtlib", "promela")

_EPILOG = """\
Everything that the machine can reach is searched, whatever server, network and chance do. A property is proved,
refuted by the shortest run that breaks it, or undecided. What each one says: docs/explanation/what-is-proved.md.

MODULE:ATTR is a Table, a Machine, or a function that takes a policy and returns one of them.

Exit codes: 0 all proved, 1 one is refuted, 3 one is undecided, 2 misuse.

--mutate takes a policy of two rungs a ladder, which is quick, unless --policy or --machine is given; "--policy
/dev/null" is the default policy, and takes some ten times as long. It ends with 0 if every mutant is killed or
equivalent, 1 if one survives or a policy is unsafe, 3 if one is undecided or Ctrl-C came before the end.

examples:
  sessionfsm verify
  sessionfsm verify --policy policy.toml
  sessionfsm verify --prove --certificate proof
  sessionfsm verify --check proof
  sessionfsm verify --export promela --output session.pml
  sessionfsm verify --machine sessionfsm.examples:official_client --sequence
  sessionfsm verify --mutate --policy policy.toml
"""


def fill(parser: Parser) -> None:
    """Add what the command takes."""
    parser.description = "Decide P0 to P19 on everything that a machine can reach."
    parser.epilog = _EPILOG
    add_policy(parser)
    add_machine(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--sequence", action="store_true", help="show counterexamples as Mermaid sequence diagrams too")
    parser.add_argument(
        "--limit", type=count, metavar="N", help="give up after N configurations (default: 200000): undecided then"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--prove",
        action="store_true",
        help="prove P1, P2, P6 and P10 for every policy at once, by a solver (needs the extra: sessionfsm[prove])",
    )
    instead.add_argument(
        "--mutate",
        action="store_true",
        help="change the table one cell at a time, and the policy at its edges: which properties see it? (minutes)",
    )
    instead.add_argument(
        "--check", metavar="DIR", help="have a kept proof decided again by two solvers, and compared with the table"
    )
    instead.add_argument("--export", choices=FORMS, help="write the machine out for another tool, and decide nothing")
    parser.add_argument("--certificate", metavar="DIR", help="with --prove: keep the proof in this folder, as SMT-LIB")
    parser.add_argument("--output", metavar="FILE", help="with --export: into this file instead of standard output")
    add_verbose(parser)
    parser.set_defaults(call=_call, parser=parser, stops_in_order=False)


def _call(args: argparse.Namespace) -> int:
    if args.certificate is not None and not args.prove:
        raise CommandError("--certificate keeps what --prove proves; give both")
    if args.limit is not None and (args.prove or args.check is not None or args.export is not None):
        raise CommandError("--limit bounds a search, and this asks for none; leave it out")
    if args.export is not None or args.output is not None:
        from .exporting import export

        return export(args)
    if args.check is not None:
        from .rechecking import check

        return check(args)
    if args.mutate:
        if args.sequence:
            raise CommandError("--sequence shows how a property is broken; with --mutate there are too many of those")
        from .mutating import mutants

        return mutants(args)
    from .verifying import prove, verify

    return prove(args) if args.prove else verify(args)
