"""``sessionfsm account``: the credentials that are kept."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .options import add_connection, add_credentials, add_verbose, token_of
from .problems import CommandError

if TYPE_CHECKING:
    from .options import Parser

__all__ = ["fill"]

_EPILOG = """\
examples:
  sessionfsm account add --token-file bot.token
  sessionfsm account list
  sessionfsm account remove 0a1b2c3d4e5f@im.bot
"""

_ADD_EPILOG = """\
Prints 'stored ACCOUNT', and 'retired ACCOUNT' for each account that it replaces: one Weixin user has one live bot, so
with --user-id the credentials of the same user's earlier logins end. A session that runs on one of them goes over to
the new ones when it renews.

examples:
  sessionfsm account add --token-file bot.token --user-id USER@im.wechat
  SESSIONFSM_TOKEN=$(pass bot) sessionfsm account add
  sessionfsm account add --token test --base-url http://127.0.0.1:8080 --credentials ./credentials
"""

_LIST_EPILOG = """\
A line for each account: its name, its server, and the Weixin user if that is known. No token is shown.

Exit codes: 0 well, 1 if the credentials of an account cannot be used; why is said on standard error.

examples:
  sessionfsm account list
  sessionfsm account list --json | jq -r '.accounts[].account'
"""

_REMOVE_EPILOG = """\
The token is removed from this machine only; it stays valid until the user logs in again. The account's messages stay.

Exit codes: 0 removed, 5 there are no credentials of this account.

examples:
  sessionfsm account remove 0a1b2c3d4e5f@im.bot
"""


def fill(group: Parser) -> None:
    """Add the commands of the group."""
    group.description = "Keep the credentials of accounts, in a folder that only you can read."
    group.epilog = _EPILOG
    group.set_defaults(parser=group)
    of_account = group.add_subparsers(title="commands", dest="account_command", metavar="COMMAND", required=True)

    parser = of_account.add_parser(
        "add",
        help="keep a bot token",
        description="Keep a bot token, with the server that it belongs to.",
        epilog=_ADD_EPILOG,
    )
    add_connection(parser)
    parser.add_argument("--user-id", metavar="ID", default="", help="the Weixin user who scanned (xyz@im.wechat)")
    _finish(parser)
    parser.set_defaults(call=_add)

    parser = of_account.add_parser(
        "list",
        help="say which accounts are kept",
        description="Say which accounts are kept.",
        epilog=_LIST_EPILOG,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _finish(parser)
    parser.set_defaults(call=_list)

    parser = of_account.add_parser(
        "remove",
        help="forget an account's credentials",
        description="Forget an account's credentials.",
        epilog=_REMOVE_EPILOG,
    )
    parser.add_argument("account", metavar="ACCOUNT", help="its name, as 'account list' shows it")
    _finish(parser)
    parser.set_defaults(call=_remove)


def _finish(parser: argparse.ArgumentParser) -> None:
    add_credentials(parser)
    add_verbose(parser)
    parser.set_defaults(parser=parser, stops_in_order=False)


def _add(args: argparse.Namespace) -> int:
    token = token_of(args)
    if token is None:
        raise CommandError("there is no bot token; pass --token-file FILE, or set SESSIONFSM_TOKEN")
    from .accounting import add

    return add(args, token)


def _list(args: argparse.Namespace) -> int:
    from .accounting import list_accounts

    return list_accounts(args)


def _remove(args: argparse.Namespace) -> int:
    if not args.account.strip():
        raise CommandError("the account's name is empty; 'sessionfsm account list' shows what there is")
    from .accounting import remove

    return remove(args)
