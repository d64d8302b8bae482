"""What ``sessionfsm inbox`` does."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from sessionfsm.errors import StoreError
from sessionfsm.ilink import parse_message
from sessionfsm.printable import printable
from sessionfsm.store import MessageState, SQLiteStore, Stored

from .exit_codes import ExitCode
from .logs import logs_to_stderr
from .problems import CommandError, one_line
from .running import message_fields
from .writing import say, write_out

__all__ = ["drop", "list_messages", "retry", "show"]

_LONGEST_TEXT = 60


def list_messages(args: argparse.Namespace) -> ExitCode:
    """Print a line for each message."""
    states = [MessageState(state) for state in args.state or ("open", "parked")]
    with _store(args) as store:
        found = store.messages(account=args.account, states=states, after=args.after, limit=args.limit + 1)
    more, found = len(found) > args.limit, found[: args.limit]
    if args.json:
        write_out(_json({"messages": [_document(stored) for stored in found], "more": more}))
        return ExitCode.OK
    write_out("".join(f"{_line(stored)}\n" for stored in found))
    if more:
        say(f"there are more; write: --after {found[-1].number}")
    if not found:
        say(f"no message is {' or '.join(states)}")
    return ExitCode.OK


def show(args: argparse.Namespace) -> ExitCode:
    """Print one message, whole."""
    with _store(args) as store:
        stored = store.message(args.number)
    if stored is None:
        raise CommandError(f"there is no message {args.number}; 'sessionfsm inbox list' shows what there is", 1)
    document = _document(stored)
    if args.json:
        write_out(_json(document))
        return ExitCode.OK
    message = document.pop("message")
    lines = [f"{name.replace('_', ' '):12} {one_line(value)}" for name, value in document.items() if value is not None]
    write_out("\n".join((*lines, "", printable(_json(message, indent=2), keep="\n"))))
    return ExitCode.OK


def retry(args: argparse.Namespace) -> ExitCode:
    """Open messages once more."""
    return _each(args, lambda store, number: f"{number} is open again, as {store.retry(number).number}")


def drop(args: argparse.Namespace) -> ExitCode:
    """Give messages up."""

    def one(store: SQLiteStore, number: int) -> str:
        store.drop(number)
        return f"{number} is dropped"

    return _each(args, one)


def _each(args: argparse.Namespace, one: Callable[[SQLiteStore, int], str]) -> ExitCode:
    """Do *one* to each message; what cannot be done to one of them is said, and the others are gone on with."""
    code = ExitCode.OK
    with _store(args) as store:
        for number in args.numbers:
            try:
                done = one(store, number)
            except StoreError as error:
                code = ExitCode.FAILED
                say(f"sessionfsm: error: {one_line(error)}")
            else:
                write_out(f"{done}\n")
    return code


@contextmanager
def _store(args: argparse.Namespace) -> Iterator[SQLiteStore]:
    with logs_to_stderr(verbose=args.verbose), closing(SQLiteStore(args.store)) as store:
        store.open(heal=False)
        yield store


def _json(document: object, *, indent: int = -1) -> str:
    """Return *document* as a line of JSON; the server's own JSON in it is passed on digit for digit."""
    return msgspec.json.format(msgspec.json.encode(document), indent=indent).decode() + "\n"


def _document(stored: Stored) -> dict[str, Any]:
    message = parse_message(stored.body)
    return {
        "number": stored.number,
        "state": stored.state.value,
        "account": stored.account,
        "from": stored.sender,
        "received": datetime.fromtimestamp(stored.received_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "attempts": stored.attempts,
        "error": stored.error or None,
        "text": None if message is None else message.text,
        "message": None if message is None else message_fields(message),
    }


def _line(stored: Stored) -> str:
    document = _document(stored)
    text = one_line(document["text"] if document["text"] is not None else "(the body is no longer kept)")
    shown = text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}\N{HORIZONTAL ELLIPSIS}"
    failed = f"  [{stored.attempts} failed: {one_line(stored.error)}]" if stored.attempts else ""
    who = one_line(stored.sender)
    return (
        f"{stored.number:>6}  {stored.state.value:7}  {stored.account}  {who}  {document['received']}  {shown}{failed}"
    )
