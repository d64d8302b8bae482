"""
The manager, its store and its handler, which do what standard input says (see ``compare.pipe``).

    python -m benchmarks.soak.client --sessions N --url URL --folder FOLDER --backend asyncio

The handler knows which message of its session comes next: one that is missing, comes twice, comes out of order or to
the wrong session is noticed when it comes.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import sniffio

from benchmarks.compare.worker import BACKENDS
from sessionfsm import Message, Session, SessionManager, SQLiteStore
from sessionfsm.session.descriptors import check_descriptors, descriptors_needed
from sessionfsm.store.locks import AccountLocks

from .lateness import Lateness
from .obey import obey
from .texts import name_of, parts_of, token_of

__all__ = ["Client"]

_BLOCK_S = 20.0


class _NoLocks(AccountLocks):
    """For a machine that does not allow two open files for each session. Nobody else polls for these accounts."""

    def acquire(self, account: str) -> None:
        pass

    def release(self, account: str) -> None:
        pass


def _tasks() -> int:
    """Count the tasks, without a look at each, which would hold up the messages that are measured."""
    if sniffio.current_async_library() == "trio":
        import trio

        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


class Client:
    """
    The handler, and what it has seen.

    Args:
        manager: Whose messages it handles.
        sessions: How many there are.
    """

    def __init__(self, manager: SessionManager, sessions: int) -> None:
        self.manager = manager
        self.sessions = sessions
        self._last = [0] * sessions
        self._accounts = [name_of(number) for number in range(sessions)]
        self._roles: dict[int, str] = {}
        self._latencies_ns: list[int] = []
        self.received = 0
        self.wrong: list[str] = []
        self.wrongs = 0
        self.lateness = Lateness()

    async def handle(self, session: Session, message: Message) -> None:
        """Handle a message."""
        number, serial, sent_ns = parts_of(message.text)
        role = self._roles.get(number)
        if role is not None:
            await self._misbehave(role, session, message)
            return
        self._latencies_ns.append(time.monotonic_ns() - sent_ns)
        self.received += 1
        wanted = self._last[number] + 1
        if serial != wanted or session.account != self._accounts[number]:
            self.wrongs += 1
            if len(self.wrong) < 20:
                self.wrong.append(f"{session.account} got message {serial} of session {number}, not {wanted}")
        self._last[number] = serial

    async def _misbehave(self, role: str, session: Session, message: Message) -> None:
        match role:
            case "block":
                await anyio.sleep(_BLOCK_S)
            case "raise":
                raise RuntimeError("this handler fails on all its messages")
            case "flood":
                await session.reply(message, "and another one")

    # --- commands ----------------------------------------------------------------------------------------------------

    def sample(self) -> dict[str, Any]:
        """Return what there was so far; the latencies since the last time."""
        latencies, self._latencies_ns = self._latencies_ns, []
        status = self.manager.status()
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        return {
            "received": self.received,
            "ready": status.ready,
            "restarts": status.restarts,
            "handlers": status.handlers,
            "wrongs": self.wrongs,
            "wrong": self.wrong,
            "rss_kb": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
            "files": len(os.listdir("/proc/self/fd")) - 1,
            "tasks": _tasks(),
            "cpu_s": time.process_time(),
            **self.lateness.take(),
            "latencies_ms": [each / 1e6 for each in latencies],
        }

    def serials(self) -> dict[str, Any]:
        """Return which message each session had last."""
        return {"serials": self._last}

    def roles(self, *, numbers: dict[str, str]) -> dict[str, Any]:
        """From now on the handler of these sessions misbehaves."""
        self._roles = {int(number): role for number, role in numbers.items()}
        return {}

    def freeze(self) -> dict[str, Any]:
        """Do what is advised after a large start."""
        self.manager.freeze()
        return {}


async def run(sessions: int, url: str, folder: Path) -> None:
    """Run the manager until standard input is closed."""
    problem = check_descriptors(descriptors_needed(sessions, sends=16, locked=True), sessions, raise_it=True)
    locks = _NoLocks(folder / "locks") if problem else AccountLocks(folder / "locks")
    with closing(SQLiteStore(folder / "store.db", locks=locks)) as store:
        async with SessionManager(store=store, raise_descriptor_limit=True) as manager:
            client = Client(manager, sessions)
            for number in range(sessions):
                manager.add(token_of(number), base_url=url)
            async with anyio.create_task_group() as group:
                group.start_soon(client.lateness.run)
                group.start_soon(manager.deliver, client.handle)
                await obey(client, first={"locks": "none: too few open files are allowed" if problem else "files"})
                await manager.stop()
                group.cancel_scope.cancel()


def main() -> None:
    """Run the manager."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--backend", choices=list(BACKENDS), required=True)
    args = parser.parse_args()
    logging.disable()  # what goes wrong here is arranged
    anyio.run(run, args.sessions, args.url, args.folder, **BACKENDS[args.backend])


if __name__ == "__main__":
    main()
