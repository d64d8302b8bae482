"""``sessionfsm server``: the fake iLink server alone, for any client in any language."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .exit_codes import ExitCode
from .options import add_verbose, amount, duration, port
from .problems import CommandError

if TYPE_CHECKING:
    from .options import Parser

__all__ = ["fill"]

_EPILOG = """\
The first line on standard output is 'listening on http://127.0.0.1:PORT'; then there is one for each request that has
ended, and for each fault. With --json every line is a JSON object.

A file of faults is TOML; 'at_s' counts from the start of the server:
  [[fault]]
  kind = "expire"       # polls get -14 until notifystart
  at_s = 20
All kinds and their fields: python -c 'import sessionfsm.testing.faults as f; help(f)'

examples:
  sessionfsm server --port 8080 --faults faults.toml
  sessionfsm run --base-url http://127.0.0.1:8080 --token test
"""


def fill(parser: Parser) -> None:
    """Add what the command takes."""
    parser.description = "Run a fake iLink server on a loopback port, and let things go wrong as a file says."
    parser.epilog = _EPILOG
    parser.add_argument("--port", type=port, default=0, metavar="P", help="0, the default, takes any that is free")
    parser.add_argument("--faults", metavar="FILE", help="what goes wrong, and when")
    parser.add_argument("--hold", type=amount, default=35.0, metavar="S", help="how long a poll is held (default: 35)")
    parser.add_argument(
        "--delivery",
        choices=("replay", "once"),
        default="replay",
        help="replay: the cursor decides what a poll brings; once: each message is handed out once (default: replay)",
    )
    parser.add_argument(
        "--message-every",
        type=amount,
        default=5.0,
        metavar="S",
        help="how often a user writes to each account that polls; 0 is never (default: 5)",
    )
    parser.add_argument(
        "--token", action="append", metavar="T", help="a token that is known; all others get -14 (default: all are)"
    )
    parser.add_argument("--duration", type=duration, metavar="S", help="stop after so many seconds")
    parser.add_argument("--json", action="store_true", help="JSON lines")
    add_verbose(parser)
    parser.set_defaults(call=_call, parser=parser, stops_in_order=True)


def _call(args: argparse.Namespace) -> int:
    if args.token is not None and not all(token.strip() for token in args.token):
        raise CommandError("the value of --token is empty; give a token, or leave the option out")
    from .serving import serve

    if args.signals.caught is not None:
        return ExitCode.OK
    return serve(args, args.signals)
