"""``sessionfsm inbox``: the messages in the store, and what has become of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .options import add_store, add_verbose, count

if TYPE_CHECKING:
    from .options import Parser

__all__ = ["fill"]

_EPILOG = """\
A message is 'open' until a handler has returned from it, then 'done'. One that handlers have failed on five times is
'parked', and waits for you; one that you give up is 'dropped'. Finished ones are kept for seven days.

examples:
  sessionfsm inbox list                           what is open or parked
  sessionfsm inbox show 17
  sessionfsm inbox retry 17                       hand it out once more
"""

_LIST_EPILOG = """\
A line for each message: its number, its state, its account, who wrote it and when it came, and its text; for one that
was tried and failed, how often and why.

examples:
  sessionfsm inbox list --state parked
  sessionfsm inbox list --state done --limit 20 --json | jq -r '.messages[].text'
"""

_SHOW_EPILOG = """\
The message is shown as the server sent it, without its context token.

examples:
  sessionfsm inbox show 17 --json | jq .message
"""

_RETRY_EPILOG = """\
Each gets a new number and comes after all others of its sender; it begins with no attempts. A bot that runs notices
within five seconds.

examples:
  sessionfsm inbox retry 17 18
"""

_DROP_EPILOG = """\
It is not handed out again, not even if the server sends it once more. A handler that has it goes on to its end. Only
open and parked messages can be dropped; 'retry' takes it back.

examples:
  sessionfsm inbox drop 17
"""


def fill(group: Parser) -> None:
    """Add the commands of the group."""
    group.description = "See what has become of the messages in the store."
    group.epilog = _EPILOG
    group.set_defaults(parser=group)
    of_inbox = group.add_subparsers(title="commands", dest="inbox_command", metavar="COMMAND", required=True)

    parser = of_inbox.add_parser(
        "list", help="list messages", description="List the messages in the store.", epilog=_LIST_EPILOG
    )
    parser.add_argument("--account", metavar="ACCOUNT", help="of this account only")
    parser.add_argument(
        "--state",
        action="append",
        choices=("open", "done", "parked", "dropped"),
        help="in this state; can be given several times (default: open and parked)",
    )
    parser.add_argument("--after", type=count, default=0, metavar="N", help="with numbers above this one")
    parser.add_argument("--limit", type=count, default=100, metavar="N", help="at most so many (default: 100)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _finish(parser, "list_messages")

    parser = of_inbox.add_parser(
        "show", help="show one message", description="Show one message, whole.", epilog=_SHOW_EPILOG
    )
    parser.add_argument("number", type=count, metavar="N", help="its number, as 'inbox list' shows it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _finish(parser, "show")

    for name, what, epilog in (
        ("retry", "hand messages out once more", _RETRY_EPILOG),
        ("drop", "give messages up", _DROP_EPILOG),
    ):
        description = f"{what[0].upper()}{what[1:]}."
        parser = of_inbox.add_parser(name, help=what, description=description, epilog=epilog)
        parser.add_argument("numbers", type=count, nargs="+", metavar="N", help="a number, as 'inbox list' shows it")
        _finish(parser, name)


def _finish(parser: argparse.ArgumentParser, name: str) -> None:
    add_store(parser)
    add_verbose(parser)

    def call(args: argparse.Namespace) -> int:
        from . import inboxing

        return int(getattr(inboxing, name)(args))

    parser.set_defaults(call=call, parser=parser, stops_in_order=False)
