"""What ``sessionfsm server`` does: the fake server, its faults and its users, and a line for whatever happens."""

from __future__ import annotations

import argparse
import errno
import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack

import anyio

from sessionfsm.testing import FakeServer, Fault, Listening, load_faults
from sessionfsm.testing.faults import Message, SessionFault

from .event_loop import run_loop
from .exit_codes import ExitCode
from .lines import LineWriter, standard_output
from .problems import CommandError
from .server_lines import ServerLines
from .stop_signals import StopSignals

__all__ = ["serve"]


def serve(args: argparse.Namespace, signals: StopSignals) -> ExitCode:
    """Serve until somebody asks for the end, the time is over, or nobody reads any more."""
    try:
        schedule = load_faults(args.faults) if args.faults is not None else []
    except OSError as error:
        raise CommandError(f"the file {args.faults} cannot be read: {error.strerror or error}") from None
    server = FakeServer(hold_s=args.hold, delivery=args.delivery, strict_tokens=args.token is not None)
    for token in args.token or ():
        server.account(token.strip())
    run_loop(_serve, server, schedule, args, signals)
    return ExitCode.OK


async def _serve(server: FakeServer, schedule: Sequence[Fault], args: argparse.Namespace, signals: StopSignals) -> None:
    writer = LineWriter(standard_output())
    lines = ServerLines(writer.put, as_json=args.json)
    server.log = lines
    try:
        async with AsyncExitStack() as stack:
            listening = await _listen(server, args.port, stack)
            lines.start(listening.url)
            async with anyio.create_task_group() as tasks:

                async def stop_when_nobody_reads() -> None:
                    await writer.wait_failed()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(stop_when_nobody_reads)
                tasks.start_soon(_play, server, schedule, lines)
                if args.message_every:
                    tasks.start_soon(_write_messages, server, args.message_every, lines)
                with anyio.move_on_after(args.duration):
                    await signals.wait()
                tasks.cancel_scope.cancel()
    finally:
        writer.close(timeout_s=1.0)
    writer.check()


async def _listen(server: FakeServer, port: int, stack: AsyncExitStack) -> Listening:
    try:
        return await stack.enter_async_context(server.listen(port=port))
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        problem = "is in use" if in_use else f"cannot be had: {error.strerror or error}"
        raise CommandError(f"port {port} {problem}; choose another one, or --port 0 for any that is free") from None


async def _play(server: FakeServer, schedule: Sequence[Fault], lines: ServerLines) -> None:
    for fault in sorted(schedule, key=lambda fault: fault.at_s):
        await anyio.sleep_until(lines.began_s + fault.at_s)
        in_vain = isinstance(fault, SessionFault | Message) and fault.token is None and not server.accounts
        server.apply(fault)
        lines.fault(fault, in_vain=in_vain)


async def _write_messages(server: FakeServer, every_s: float, lines: ServerLines) -> None:
    for number in itertools.count(1):
        await anyio.sleep_until(lines.began_s + number * every_s)
        for account in server.accounts:
            if account.name in lines.polled:
                account.push(f"message {number}")
