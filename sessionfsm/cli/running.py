"""What ``sessionfsm run`` does: a session, and each of its messages as a line."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, closing
from typing import Any

import anyio
import msgspec

from sessionfsm.ilink import ItemType, Message
from sessionfsm.ilink.fields import object_of
from sessionfsm.lifecycle import Policy
from sessionfsm.session import Session
from sessionfsm.store import CredentialFolder, Credentials, SQLiteStore
from sessionfsm.trace import TraceWriter

from .event_loop import run_loop
from .exit_codes import ExitCode
from .lines import LineWriter, standard_output
from .logs import logger, logs_to_stderr
from .problems import unwritable
from .stop_signals import StopSignals

__all__ = ["json_line", "message_fields", "output_failed", "run"]

_ITEM_TYPES = {kind.value: kind.name.lower() for kind in ItemType}


def run(args: argparse.Namespace, login: Credentials, policy: Policy, signals: StopSignals) -> ExitCode:
    """Serve until somebody asks for the end, or standard output is closed."""

    async def serve() -> ExitCode:
        session = Session(
            token=login.token,
            base_url=login.base_url,
            credentials=CredentialFolder(args.credentials),
            allow_hosts=args.allow_host,
            policy=policy,
            store=store,
            observers=[trace] if trace is not None else [],
        )
        writer = LineWriter(standard_output())
        logger.info("serving %s at %s, messages are kept in %s", session.account, login.base_url, store.path)
        if args.token is not None:
            logger.info("other users can see --token in the list of processes; --token-file hides it")
        return await _serve(session, writer, signals)

    with logs_to_stderr(verbose=args.verbose), ExitStack() as stack:
        store = stack.enter_context(closing(SQLiteStore(args.store)))
        store.open()
        trace = stack.enter_context(TraceWriter(args.trace)) if args.trace is not None else None
        code = run_loop(serve)
        if trace is not None and trace.problem is not None:
            logger.error("the trace %s is not whole: %s", args.trace, trace.problem)
            return ExitCode.FAILED
        return code


async def _serve(session: Session, writer: LineWriter, signals: StopSignals) -> ExitCode:
    code = ExitCode.OK
    async with session, anyio.create_task_group() as tasks:

        async def stop_when_asked() -> None:
            await signals.wait()
            logger.info("stopping; a second signal ends at once")
            await session.stop()
            # The drain is over: a line that is not written by now is not done.
            tasks.cancel_scope.cancel()

        tasks.start_soon(stop_when_asked)
        try:
            async for message in session:
                await writer.write(json_line(message))
        except OSError as error:
            code = output_failed(error)
        tasks.cancel_scope.cancel()
    logger.info("stopped")
    return code


def output_failed(error: OSError) -> ExitCode:
    """Say why nothing more is written; return how the command ends."""
    if isinstance(error, ConnectionError):  # a broken pipe is one
        logger.info("standard output was closed: stopping")
        return ExitCode.OK
    logger.error("%s; stopping", unwritable(error))
    return ExitCode.FAILED


def _is_context_token(name: str) -> bool:
    return "".join(character for character in name if character.isalnum()).casefold() == "contexttoken"


def message_fields(message: Message) -> dict[str, Any]:
    """Return what the server sent, without the context token."""
    every = object_of(message.raw) or {}
    return {name: value for name, value in every.items() if not _is_context_token(name)}


def json_line(message: Message, account: str | None = None) -> bytes:
    """Return *message* as one line of JSON, without its context token and without a line end."""
    kind = message.items[0].type if message.items else None
    document = ({} if account is None else {"account": account}) | {
        "message_id": message.message_id,
        "from": message.from_user_id,
        "text": message.text,
        "create_time_ms": message.create_time_ms,
        "type": None if kind is None else _ITEM_TYPES.get(kind, kind),
        "message": message_fields(message),
    }
    # The server's own JSON is passed on digit for digit, and may have line ends in it: format() takes them out.
    return msgspec.json.format(msgspec.json.encode(document), indent=-1)
