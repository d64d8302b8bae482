"""``sessionfsm simulate``: whole lives of sessions in virtual time, with everything that can go wrong."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .exit_codes import ExitCode
from .options import add_policy, add_verbose, count, hours, seed

if TYPE_CHECKING:
    from .options import Commands

__all__ = ["add_to"]

_EPILOG = """\
The session and its client are the real ones, the server is the fake one, and time is virtual: an hour takes a part of
a second. Each seed is a server, and what goes wrong on it: faults of the server and of the network, handlers that
misbehave, a store in trouble, restarts, messages and their duplicates. The same seed and options give the same run.
What is promised is checked on the server's log, and on what handlers, the store and the log of the library were told.

A seed that breaks a promise is shrunk to its shortest schedule; that is printed as a file which --faults reads.

--faults FILE plays the events of a file in place of those that the seeds draw; messages are drawn if it has none. The
kinds are those of 'sessionfsm server', and: handler, store, wake, restart. A file with the table [schedule], as it is
printed for a seed that failed, is a whole schedule, and is played as it stands.

examples:
  sessionfsm simulate
  sessionfsm simulate --seeds 2500 --hours 4
  sessionfsm simulate --seed 17 --hours 4         # play one seed again
  sessionfsm simulate --faults shrunk.toml        # play what a seed was shrunk to
"""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "simulate",
        help="play sessions in virtual time while everything goes wrong, and check what is promised",
        description="Play sessions in virtual time while everything goes wrong, and check what is promised.",
        epilog=_EPILOG,
    )
    parser.add_argument("--seeds", type=count, metavar="N", help="how many (default: 100, and 1 with --seed)")
    parser.add_argument("--hours", type=hours, metavar="H", help="how long things go wrong in each (default: 1)")
    parser.add_argument("--seed", type=seed, metavar="S", help="the first seed (default: 0)")
    parser.add_argument("--faults", metavar="FILE", help="what goes wrong, in place of what the seeds draw")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="(default: asyncio)")
    parser.add_argument("--machine", metavar="MODULE:ATTR", help="a lifecycle of your own, in place of ours")
    parser.add_argument("--jobs", type=count, metavar="J", help="how many processes (default: one for each core)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_policy(parser)
    add_verbose(parser)
    parser.set_defaults(call=_call, parser=parser, stops_in_order=True)


def _call(args: argparse.Namespace) -> int:
    from .simulating import simulate

    if args.signals.caught is not None:
        return ExitCode.UNDECIDED
    return simulate(args, args.signals)
