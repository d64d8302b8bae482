"""``sessionfsm trace``: what was recorded of sessions."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from .options import add_verbose, amount, count

if TYPE_CHECKING:
    from .options import Commands, Parser

__all__ = ["fill"]

VIEWS = ("path", "timeline", "sequence")
FORMATS = ("mermaid", "svg", "png", "html", "text")

_EPILOG = """\
examples:
  sessionfsm run --token-file bot.token --trace run.jsonl
  sessionfsm trace check run.jsonl
  sessionfsm trace show run.jsonl --output run.html
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


_SHOW_EPILOG = """\
The views:

  path      the lifecycle with the way that the run took: how often each arc, which part of its time in each state
  timeline  the states over time, and every request, message, send and wait
  sequence  what client and server said to each other, one after the other

The formats:

  mermaid   as GitHub and many editors show it
  svg       a picture, light or dark as its reader likes
  png       the svg, light, as dots; needs the extra sessionfsm[png]
  html      one page with all three, which replays the run; it needs no network
  text      every record in words, a line for each

A picture shows the whole run, or what lies between --from and --to. A table of your own is named by --machine.

Exit codes: 0 well, 1 the file of --output cannot be written, 2 misuse, not a trace, or a run on another table.

examples:
  sessionfsm trace show run.jsonl --output run.html
  sessionfsm trace show run.jsonl --view timeline --output timeline.svg
  sessionfsm trace show run.jsonl --view sequence --from 60 --to 90
  sessionfsm demo --trace demo.jsonl && sessionfsm trace show demo.jsonl --format text
"""


def fill(group: Parser) -> None:
    """Add the commands of the group."""
    group.description = "Work with what 'sessionfsm run --trace' and sessionfsm.TraceWriter have recorded."
    group.epilog = _EPILOG
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
    _add_show(of_trace)


def _add_show(of_trace: Commands) -> None:
    parser = of_trace.add_parser(
        "show",
        help="draw a recorded run: its path, its timeline, its requests, or a page that replays it",
        description="Draw a recorded run.",
        epilog=_SHOW_EPILOG,
    )
    parser.add_argument("file", metavar="FILE", help="the trace; - reads standard input")
    parser.add_argument("--view", choices=VIEWS, help="what to draw, as mermaid, svg or png (default: path)")
    parser.add_argument("--format", choices=FORMATS, help="in which language (default: by FILE's name, else mermaid)")
    parser.add_argument("--run", type=count, metavar="N", help="the Nth run in the file (default: the last one)")
    parser.add_argument(
        "--from", dest="from_s", type=amount, default=0.0, metavar="S", help="draw from S seconds after its start on"
    )
    parser.add_argument(
        "--to", dest="to_s", type=amount, default=math.inf, metavar="S", help="draw until S seconds after its start"
    )
    parser.add_argument("--detail", choices=("full", "overview"), help="of the path (default: full)")
    parser.add_argument("--most", type=count, metavar="N", help="exchanges in a sequence, at most (default: 40)")
    parser.add_argument("--policy", metavar="FILE", help="a TOML file with other figures than those in the trace")
    parser.add_argument("--machine", metavar="MODULE:ATTR", help="the lifecycle of your own that it ran on")
    parser.add_argument("--output", metavar="OUT", help="into this file instead of standard output")
    add_verbose(parser)
    parser.set_defaults(call=_show, parser=parser, stops_in_order=False)


def _check(args: argparse.Namespace) -> int:
    from .checking import check

    return check(args)


def _show(args: argparse.Namespace) -> int:
    from .showing import show

    return show(args)
