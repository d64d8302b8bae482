"""``sessionfsm run``: one session, or that of every stored account; their messages on standard output."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .exit_codes import ExitCode
from .options import add_account, add_connection, add_policy, add_store, add_trace, add_verbose, login_of, policy_of
from .problems import CommandError

if TYPE_CHECKING:
    from .options import Parser

__all__ = ["fill"]

_EPILOG = """\
One JSON object per message and line: message_id, from, text, create_time_ms, type, and message: what the server
sent, without the context token. A message is done when its line is written. Logs go to standard error.

Messages are kept in the store before they are written out, and polling goes on only then: what a killed process had
not written, the next run writes. Another 'run' on the same account, in whatever store, ends with exit code 4.

--trace records the session, a JSON object per line, for 'sessionfsm trace check'. A file that exists is gone on with.

--all keeps every account whose credentials are stored, also those that are added meanwhile; one that is removed is
stopped. Each line has the account as well. One account that cannot be had, or whose session ends, is tried again by
itself, and is nothing to the others; exit code 4 means that another process had all of them at the start.

Ctrl-C and SIGTERM stop in order; a second one ends at once. A closed standard output stops in order too.

examples:
  sessionfsm run                                  with the stored credentials (see 'sessionfsm account add')
  sessionfsm run --token-file bot.token --store bot.db
  sessionfsm run --base-url http://127.0.0.1:8080 --token test | jq -r .text
  sessionfsm run --token-file bot.token --trace run.jsonl
  sessionfsm run --all --store bots.db | jq -r '.account + ": " + .text'
"""


def fill(parser: Parser) -> None:
    """Add what the command takes."""
    parser.description = "Keep a bot's session alive, and write its messages to standard output as JSON lines."
    parser.epilog = _EPILOG
    add_connection(parser)
    parser.add_argument("--all", action="store_true", help="every account whose credentials are stored")
    add_account(parser)
    add_store(parser)
    add_policy(parser)
    add_trace(parser)
    add_verbose(parser)
    parser.set_defaults(call=_call, parser=parser, stops_in_order=True)


_NOT_WITH_ALL = {
    "token": "the tokens are those that are stored",
    "token_file": "the tokens are those that are stored",
    "base_url": "each account has the server that its login named",
    "account": "choose one account, or all",
    "trace": "a trace records one session",
}


def _call(args: argparse.Namespace) -> int:
    if args.all:
        return _call_all(args)
    login, policy = login_of(args), policy_of(args)
    from .running import run

    if args.signals.caught is not None:
        return ExitCode.OK
    return run(args, login, policy, args.signals)


def _call_all(args: argparse.Namespace) -> int:
    for name, why in _NOT_WITH_ALL.items():
        if getattr(args, name) is not None:
            raise CommandError(f"--all and --{name.replace('_', '-')} do not go together: {why}; leave one of them out")
    policy = policy_of(args)
    from .running_all import run_all

    if args.signals.caught is not None:
        return ExitCode.OK
    return run_all(args, policy, args.signals)
