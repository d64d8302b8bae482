"""``sessionfsm trace``: what was recorded of sessions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .options import add_verbose

if TYPE_CHECKING:
    from .options import Commands

__all__ = ["add_to"]

_EPILOG = """\
examples:
  sessionfsm run --token-file bot.token --trace run.jsonl
  sessionfsm trace check run.jsonl
"""

_CHECK_EPILOG = """\
Every run in the file is replayed through the machine that it ran on, and P1 to P19 are judged over its times. The first
line that is wrong is named. The policy stands in the file; a table of your own is named by --machine.

What --policy and --machine name is what is judged by, also if the run was recorded on something else; that is said.

Exit codes: 0 nothing is wrong, 1 a property is broken, 3 nothing is wrong on file, but a run has no end there (its
process was killed, or goes on), 2 misuse, or not a trace.

examples:
  sessionfsm trace check run.jsonl
  sessionfsm trace check --machine my_bot.lifecycle:quiet_hours run.jsonl
  zcat runs.jsonl.gz | sessionfsm trace check --all --json -
"""


def add_to(commands: Commands) -> None:
    """Add the group and its commands."""
    group = commands.add_parser(
        "trace",
        help="judge a run that was recorded",
        description="Work with what 'sessionfsm run --trace' and sessionfsm.TraceWriter have recorded.",
        epilog=_EPILOG,
    )
    group.set_defaults(parser=group)
    of_trace = group.add_subparsers(title="commands", dest="trace_command", metavar="COMMAND", required=True)
    parser = of_trace.add_parser(
        "check",
        help="replay a recorded run, and name the first line that is wrong",
        description="Replay recorded runs through their machine, and judge every line.",
        epilog=_CHECK_EPILOG,
    )
    parser.add_argument("file", metavar="FILE", help="the trace; - reads standard input")
    parser.add_argument("--policy", metavar="FILE", help="a TOML file with other figures than those in the trace")
    parser.add_argument("--machine", metavar="MODULE:ATTR", help="the lifecycle of your own that it ran on")
    parser.add_argument("--all", action="store_true", help="go on after the first line that is wrong")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    add_verbose(parser)
    parser.set_defaults(call=_check, parser=parser, stops_in_order=False)


def _check(args: argparse.Namespace) -> int:
    from .checking import check

    return check(args)
