"""
The whole command line: parse, call, print, exit code.

Here are the names of the commands, and a line of help for each. A command's module says what else it takes; it is
imported when that is asked for, and imports what it needs when it runs. So ``--help`` costs no more than a few starts
of the bare interpreter, and needs neither HTTP nor an event loop.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from sessionfsm._version import __version__

from .exit_codes import ExitCode
from .options import LaterParser, Parser
from .problems import code_of, one_line, only_cause, unwritable
from .stop_signals import StopSignals
from .writing import say

TYPE_CHECKING = False  # see sessionfsm/__init__.py
if TYPE_CHECKING:
    from typing import Any

__all__ = ["build_parser", "perform"]

_COMMANDS = {
    "demo": "watch a session fall and come back on a simulated server",
    "run": "keep a session alive, or those of all accounts, and write the messages as JSON lines",
    "send": "send a text to a user",
    "account": "keep credentials: add, list and remove accounts",
    "inbox": "see and mend what is in the store: list, show, retry, drop",
    "server": "run the fake iLink server alone",
    "verify": "prove the lifecycle, or refute it with the shortest run that breaks it",
    "diagram": "draw the lifecycle, or check that a committed drawing is up to date",
    "simulate": "let a session live through hours of trouble in seconds, and check every promise",
    "trace": "judge or draw a run that was recorded",
}
"""Each is the name of a module here as well, whose ``fill`` gives the parser what it takes."""

_EPILOG = """\
examples:
  sessionfsm demo                                 watch a session fall and come back, for 30 s
  sessionfsm run --token-file bot.token           messages to standard output as JSON lines
  sessionfsm send --to USER@im.wechat "hello"     send one text
  sessionfsm account add --token-file bot.token   keep a bot's credentials
  sessionfsm inbox list                           what is open, and what handlers have failed on
  sessionfsm server --faults faults.toml          a fake iLink server to point any client at
  sessionfsm verify                               prove that the machine keeps its promises
  sessionfsm diagram --format text                draw the machine, or check that a drawing is up to date
  sessionfsm simulate                             hours of trouble in seconds, every promise checked
  sessionfsm trace check run.jsonl                judge a run that was recorded by 'run --trace'

Exit codes: 0 well, 1 failed or a property broken, 2 misuse, 3 undecided, 4 the account is in use,
5 no credentials.
"""


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="sessionfsm",
        description="Keeps the long-poll sessions of iLink (Weixin ClawBot) bots alive, and can prove it.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"sessionfsm {__version__}")
    commands: Any = parser.add_subparsers(
        title="commands",
        dest="command",
        metavar="COMMAND",
        required=True,
        parser_class=LaterParser,
    )
    for name, line in _COMMANDS.items():
        commands.add_parser(name, help=line, filled_by=f"{__package__}.{name}")
    return parser


def perform(argv: Sequence[str] | None, signals: StopSignals) -> int:
    """Run one command and return its exit code. Whatever happens, no traceback without ``-v``."""
    code: int = ExitCode.OK
    try:
        code = _main(argv, signals)
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # The interpreter would try once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        # Whoever read us may have gone: nobody is left to be told, and the code is what it is.
        if not isinstance(error, ConnectionError) and code == ExitCode.OK:
            return _fail(unwritable(error), ExitCode.FAILED)
    return code


def _main(argv: Sequence[str] | None, signals: StopSignals) -> int:
    try:
        args = _parse(argv)
    except SystemExit as done:  # --help, --version, misuse
        return int(done.code or 0)
    args.signals = signals
    try:
        if not args.stops_in_order:
            signals.release()
        return int(args.call(args))
    except Exception as raised:
        error = only_cause(raised)
        if isinstance(error, BrokenPipeError):
            raise error from None
        code = code_of(error)
        if args.verbose:
            import traceback

            traceback.print_exception(raised)
        if code is not None:
            return _fail(str(error), code)
        hint = "" if args.verbose else "; run it again with -v to see where"
        return _fail(f"something unexpected happened ({type(error).__name__}: {error}){hint}", ExitCode.FAILED)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = build_parser()
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        args.parser.refuse_unknown(unknown)
    return args


def _fail(message: str, code: int) -> int:
    say(f"sessionfsm: error: {one_line(message)}")
    return int(code)
