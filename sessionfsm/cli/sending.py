"""What ``sessionfsm send`` does: each piece of a text, and what the server said to it."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Sequence

import anyio

from sessionfsm.errors import BadRequest, ConversationClosed, ILinkError, SessionLost, TransportError
from sessionfsm.ilink import ILinkClient, Sent, split_text
from sessionfsm.store import Credentials

from .exit_codes import SIGNALLED, ExitCode
from .lines import LineWriter, standard_output
from .problems import CommandError, code_of, one_line

__all__ = ["send"]


def send(args: argparse.Namespace, login: Credentials, text: str) -> ExitCode:
    """Send *text*, in as many messages as it needs."""
    pieces = split_text(text)
    sent: list[Sent] = []
    # Whether its lines can be written changes nothing for the pieces: all of them are sent.
    writer = LineWriter(standard_output())

    async def send_pieces() -> CommandError | None:
        client = ILinkClient(token=login.token, base_url=login.base_url, allow_hosts=args.allow_host)
        async with client:
            for number, piece in enumerate(pieces, start=1):
                try:
                    one = await client.send_text(args.to, piece)
                except ILinkError as error:
                    which = f"piece {number} of {len(pieces)} was not sent: " if len(pieces) > 1 else ""
                    code = code_of(error) or ExitCode.FAILED
                    return CommandError(f"{which}{error}; {_way_out(error)}", code)
                sent.append(one)
                if not args.json:
                    writer.put(f"sent {one.message_id}" if one.confirmed else "unconfirmed")
        return None

    try:
        error = anyio.run(send_pieces)
    except KeyboardInterrupt:
        which = f"piece {len(sent) + 1} of {len(pieces)}" if len(pieces) > 1 else "it"
        error = CommandError(f"interrupted; it is not known whether {which} was sent", SIGNALLED + signal.SIGINT)
    if args.json:
        writer.put(_document(args.to, len(pieces), sent, error))
    writer.close()
    if error is not None:
        raise error
    writer.check()
    return ExitCode.OK if all(one.confirmed for one in sent) else ExitCode.UNDECIDED


def _way_out(error: ILinkError) -> str:
    match error:
        case SessionLost():
            return "a running bot ('sessionfsm run') renews the session; try again then, or log in anew"
        case ConversationClosed():
            return "the user has to write to the bot first"
        case BadRequest():
            return "sending it again unchanged will not help"
        case TransportError():
            return "check --base-url and the network"
        case _:
            return "the server gives no other reason"


def _document(to: str, pieces: int, sent: Sequence[Sent], error: CommandError | None) -> str:
    document = {
        "to": to,
        "pieces": pieces,
        "sent": [
            {"message_id": one.message_id, "client_id": one.client_id, "confirmed": one.confirmed} for one in sent
        ],
        "error": None if error is None else one_line(error),
    }
    return json.dumps(document)
