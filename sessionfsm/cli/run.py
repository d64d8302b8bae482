"""``sessionfsm run``: one session, its messages on standard output."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .exit_codes import ExitCode
from .options import add_account, add_connection, add_policy, add_store, add_trace, add_verbose, login_of, policy_of

if TYPE_CHECKING:
    from .options import Commands

__all__ = ["add_to"]

_EPILOG = """\
One JSON object per message and line: message_id, from, text, create_time_ms, type, and message: what the server
sent, without the context token. A message is done when its line is written. Logs go to standard error.

Messages are kept in the store before they are written out, and polling goes on only then: what a killed process had
not written, the next run writes. Another 'run' on the same account, in whatever store, ends with exit code 4.

--trace records the session, a JSON object per line, for 'sessionfsm trace check'. A file that exists is gone on with.

Ctrl-C and SIGTERM stop in order; a second one ends at once. A closed standard output stops in order too.

examples:
  sessionfsm run                                  with the stored credentials (see 'sessionfsm account add')
  sessionfsm run --token-file bot.token --store bot.db
  sessionfsm run --base-url http://127.0.0.1:8080 --token test | jq -r .text
  sessionfsm run --token-file bot.token --trace run.jsonl
"""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run",
        help="keep a session alive, and write its messages as JSON lines",
        description="Keep a bot's session alive, and write its messages to standard output as JSON lines.",
        epilog=_EPILOG,
    )
    add_connection(parser)
    add_account(parser)
    add_store(parser)
    add_policy(parser)
    add_trace(parser)
    add_verbose(parser)
    parser.set_defaults(call=_call, parser=parser, stops_in_order=True)


def _call(args: argparse.Namespace) -> int:
    login, policy = login_of(args), policy_of(args)
    from .running import run

    if args.signals.caught is not None:
        return ExitCode.OK
    return run(args, login, policy, args.signals)
