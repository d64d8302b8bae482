"""``sessionfsm simulate``: hours of trouble in seconds."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from .options import add_machine, add_policy, add_verbose, count
from .problems import CommandError

if TYPE_CHECKING:
    from .options import Parser

__all__ = ["fill"]

_LONGEST_H = 10_000.0
_EPILOG = """\
A seed is a world: a server with faults, users, handlers that misbehave, restarts. The real session lives through it in
virtual time, on asyncio with an even seed and on trio with an odd one, and every promise is checked. A world that is
broken is made as small as it can be. What is checked: docs/explanation/simulation.md.

FILE is the fault file of 'sessionfsm server'. Its faults take the place of the drawn ones, in the world of every seed.
A file that --save wrote is a whole world, and is all that happens.

Exit codes: 0 nothing is broken, 1 something is, 2 misuse.

examples:
  sessionfsm simulate --seeds 1000 --hours 2
  sessionfsm simulate --seed 17                   one world, and what happens in it
  sessionfsm simulate --faults faults.toml --seeds 20
  sessionfsm simulate --policy policy.toml --machine my_bot.lifecycle:table
"""


def fill(parser: Parser) -> None:
    """Add what the command takes."""
    parser.description = "Simulate many worlds, each drawn from its seed, and check every promise in each."
    parser.epilog = _EPILOG
    parser.add_argument("--seeds", type=count, metavar="N", help="how many worlds (default: 20)")
    parser.add_argument("--first", type=_seed, default=0, metavar="S", help="the seed of the first one (default: 0)")
    parser.add_argument("--hours", type=_hours, default=1.0, metavar="H", help="how long each lasts (default: 1)")
    parser.add_argument("--seed", type=_seed, metavar="S", help="only this world, and what happens in it, line by line")
    parser.add_argument("--faults", metavar="FILE", help="what goes wrong, instead of what is drawn")
    parser.add_argument("--save", metavar="FILE", help="write the world there that was found to be broken, made small")
    parser.add_argument("--jobs", type=count, metavar="J", help="how many processes (default: one for each core)")
    add_policy(parser)
    add_machine(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--plain", action="store_true", help="no progress bar, only lines")
    add_verbose(parser)
    parser.set_defaults(call=_call, parser=parser, stops_in_order=True)


def _call(args: argparse.Namespace) -> int:
    if args.seed is not None and (args.seeds is not None or args.first):
        raise CommandError("--seed is one world, --seeds and --first are many; give one or the other")
    from .simulating import simulate

    return simulate(args, args.signals)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 999999999999999")
    return int(text)


def _hours(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _LONGEST_H:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours above 0, and at most {_LONGEST_H:g}")
    return value
