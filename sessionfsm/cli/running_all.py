"""What ``sessionfsm run --all`` does: a session for each stored account, and each message of theirs as a line."""

from __future__ import annotations

import argparse
import os
from contextlib import closing

import anyio

from sessionfsm.errors import AccountInUse
from sessionfsm.ilink import Message
from sessionfsm.lifecycle import Policy
from sessionfsm.session import Session, SessionManager
from sessionfsm.store import CredentialFolder, SQLiteStore
from sessionfsm.store.places import credentials_folder

from .event_loop import run_loop
from .exit_codes import ExitCode
from .lines import LineWriter, standard_output
from .logs import logger, logs_to_stderr
from .options import TOKEN_VARIABLE
from .problems import CommandError
from .running import json_line, output_failed
from .stop_signals import StopSignals

__all__ = ["run_all"]

_MANY = 1000
"""From so many accounts on the garbage collector is spared what has been made at the start."""


def run_all(args: argparse.Namespace, policy: Policy, signals: StopSignals) -> ExitCode:
    """Serve all accounts until somebody asks for the end, or standard output is closed."""

    async def serve() -> ExitCode:
        manager = SessionManager(
            credentials=CredentialFolder(args.credentials),
            allow_hosts=args.allow_host,
            policy=policy,
            store=store,
            raise_descriptor_limit=True,
        )
        async with manager:
            count = len(manager.accounts)
            if not count:
                raise CommandError(
                    f"no credentials are stored in {args.credentials or credentials_folder()}; "
                    "'sessionfsm account add' stores them",
                    ExitCode.NO_CREDENTIALS,
                )
            logger.info("serving %d accounts, messages are kept in %s", count, store.path)
            return await _serve(manager, LineWriter(standard_output()), signals)

    with logs_to_stderr(verbose=args.verbose), closing(SQLiteStore(args.store)) as store:
        if TOKEN_VARIABLE in os.environ:
            logger.info("%s is not used: --all is for what is stored", TOKEN_VARIABLE)
        store.open()
        return run_loop(serve)


async def _serve(manager: SessionManager, writer: LineWriter, signals: StopSignals) -> ExitCode:
    code = ExitCode.OK

    async def write(session: Session, message: Message) -> None:
        try:
            await writer.write(json_line(message, session.account))
        except OSError:
            await anyio.sleep_forever()  # it is not done; who watches the writer ends the delivery

    async def deliver() -> None:
        with delivering:
            # A killed run may write again the line that each account was at, and not sixteen; and those without a mark.
            await manager.deliver(write, at_once=1, limit_s=None)

    async def stop_when_asked() -> None:
        await signals.wait()
        logger.info("stopping; a second signal ends at once")
        await manager.stop()
        # The drain is over: a line that is not written by now is not done.
        tasks.cancel_scope.cancel()

    async def stop_when_unwritable() -> None:
        nonlocal code
        code = output_failed(await writer.wait_failed())
        delivering.cancel()
        await manager.stop()
        tasks.cancel_scope.cancel()

    async def look_at_the_start() -> None:
        await manager.wait_started()
        down = list(manager.down())
        in_use = [each.error for each in down if isinstance(each.error, AccountInUse)]
        if in_use and len(in_use) == len(manager.accounts):
            raise in_use[0]
        logger.info("%d of %d accounts have a session", len(manager.accounts) - len(down), len(manager.accounts))
        if len(manager.accounts) >= _MANY:
            manager.freeze()

    delivering = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        for task in (deliver, stop_when_asked, stop_when_unwritable, look_at_the_start):
            tasks.start_soon(task)
    logger.info("stopped")
    return code
