"""``sessionfsm diagram``: the lifecycle as a picture, as a table, or for another tool."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .options import add_machine, add_policy, add_verbose

if TYPE_CHECKING:
    from .options import Parser

__all__ = ["fill"]

# A test compares this with what sessionfsm.diagram has: --help need not import it.
FORMATS = ("mermaid", "svg", "dot", "plantuml", "scxml", "json", "markdown", "text")

_EPILOG = """\
The picture is read off the table that is run. The same table gives the same text, byte for byte.

  mermaid   a state diagram, as GitHub and many editors show it
  svg       a picture, light or dark as its reader likes, with the reason of each arc as a tooltip
  dot       for Graphviz, which lays it out
  plantuml  a state diagram for PlantUML
  scxml     a machine that other programs can load and run
  json      the table, to be read back; docs/reference/table-format.md
  markdown  the table, for people
  text      for a terminal, 80 columns wide
  png       the svg, light, as dots; needs the extra sessionfsm[png]

Without --format it is the one that the name of FILE ends in, else mermaid. With --policy the policy's figures are on
it; without, those of the default policy, except in mermaid and markdown. MODULE:ATTR is a Table, a Machine, or a
function that takes a policy and returns one of them.

Exit codes: 0 well, 1 the file of --check is not what the table says, 2 misuse.

examples:
  sessionfsm diagram --format text
  sessionfsm diagram --output lifecycle.svg
  sessionfsm diagram --format dot --policy policy.toml | dot -Tpdf -o lifecycle.pdf
  sessionfsm diagram --machine my_bot.lifecycle:quiet_hours --detail overview
  sessionfsm diagram --check diagrams/lifecycle.mmd
"""


def fill(parser: Parser) -> None:
    """Add what the command takes."""
    parser.description = "Write the lifecycle as a picture, as a table, or for another tool."
    parser.epilog = _EPILOG
    parser.add_argument(
        "--format", choices=(*FORMATS, "png"), help="in which language (default: by FILE's name, else mermaid)"
    )
    parser.add_argument(
        "--detail",
        choices=("full", "overview"),
        default="full",
        help="full: every row with guards, memory and command; overview: a few boxes, for a slide (default: full)",
    )
    add_policy(parser)
    add_machine(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--output", metavar="FILE", help="into this file instead of standard output")
    where.add_argument("--check", metavar="FILE", help="write nothing; fail if this file is not what the table says")
    add_verbose(parser)
    parser.set_defaults(call=_call, parser=parser, stops_in_order=False)


def _call(args: argparse.Namespace) -> int:
    from .diagramming import diagram

    return diagram(args)
