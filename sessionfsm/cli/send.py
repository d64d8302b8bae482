"""``sessionfsm send``: one text, to one user."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .options import add_account, add_connection, add_verbose, login_of
from .problems import CommandError

if TYPE_CHECKING:
    from .options import Parser

__all__ = ["fill"]

_EPILOG = """\
Prints 'sent ID' for each message; a text that is too long for one is split. 'unconfirmed' means that the server
said yes but gave no id: it was probably not delivered. Do not send it again; the exit code is 3.

A text that begins with a dash goes after '--'.

examples:
  sessionfsm send --to USER@im.wechat "the build is green"
  uptime | sessionfsm send --to USER@im.wechat --token-file bot.token -
  sessionfsm send --to USER@im.wechat -- "- the first item of a list"
"""


def fill(parser: Parser) -> None:
    """Add what the command takes."""
    parser.description = "Send a text to a user."
    parser.epilog = _EPILOG
    parser.add_argument("--to", metavar="USER", required=True, help="the user's id, such as abc@im.wechat")
    parser.add_argument("text", metavar="TEXT", help="what to send; '-' reads standard input")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_connection(parser)
    add_account(parser)
    add_verbose(parser)
    parser.set_defaults(call=_call, parser=parser, stops_in_order=False)


def _call(args: argparse.Namespace) -> int:
    if not args.to.strip():
        raise CommandError("the value of --to is empty; give the user's id")
    login = login_of(args)
    text = _standard_input() if args.text == "-" else args.text
    if not text.strip():
        raise CommandError("the text is empty; say what to send as TEXT, or '-' and on standard input")
    from .sending import send

    return send(args, login, text)


def _standard_input() -> str:
    if sys.stdin is None:
        raise CommandError("standard input is closed; give the text as an argument")
    try:
        return sys.stdin.read().removesuffix("\n")
    except UnicodeDecodeError:
        raise CommandError(f"standard input is not {sys.stdin.encoding} text; convert it first") from None
