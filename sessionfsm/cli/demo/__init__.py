"""``sessionfsm demo``: a real session against a simulated server on which things go wrong."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sessionfsm.cli.exit_codes import ExitCode
from sessionfsm.cli.options import add_policy, add_trace, add_verbose, demo_duration, policy_of

if TYPE_CHECKING:
    from sessionfsm.cli.options import Parser

__all__ = ["fill"]

_EPILOG = """\
The session, its HTTP and its waits are real; the server is simulated, on a loopback port. Arrivals and requests are
counted from the server's log; 'time in' is the session's own record. The exit code is 0 only if no
message was lost and no property broken.

Ctrl-C ends the demo early: what was received is answered, and the summary is printed; a second one ends at once.

examples:
  sessionfsm demo
  sessionfsm demo --duration 60 --seed 7
  sessionfsm demo --json | jq .longest_recovery_s
"""


def fill(parser: Parser) -> None:
    """Add what the command takes."""
    parser.description = (
        "Run a session against a simulated iLink server on which things go wrong, and show what happens."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "--duration",
        type=demo_duration,
        default=30.0,
        metavar="S",
        help="how long, at most a day; what goes wrong is chosen to fit (default: 30)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="for jitter, users and the order of later rounds")
    parser.add_argument("--json", action="store_true", help="print nothing but the figures, as one JSON object")
    parser.add_argument("--plain", action="store_true", help="plain lines, also in a terminal")
    add_policy(parser)
    add_trace(parser)
    add_verbose(parser)
    parser.set_defaults(call=_call, parser=parser, stops_in_order=True)


def _call(args: argparse.Namespace) -> int:
    policy = policy_of(args)
    from .show import show

    if args.signals.caught is not None:
        return ExitCode.OK
    return show(args, policy, args.signals)
