"""
The whole library, every cursor and message written to SQLite: as sessions that somebody runs, and as a manager's.

``ours`` shares machine, store, writer and HTTP client among sessions by hand. ``manager`` is the SessionManager, which
does that too, and besides looks after each session, keeps counts, and lets at most 200 a second begin.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Any

import anyio

from sessionfsm import Machine, Message, Policy, Session, SessionManager, SQLiteStore
from sessionfsm.ilink.lanes import default_http_client
from sessionfsm.store import StoreWriter
from sessionfsm.store.locks import AccountLocks

from . import Live, World, token

__all__ = ["manager", "ours"]

_BEGIN_AT_ONCE = 100
"""The store takes accounts one by one; a session that had to queue for ten seconds there would give up."""


@asynccontextmanager
async def ours(world: World) -> AsyncIterator[Live]:
    """A session is a Session, looped over. It trusts the server by SSL_CERT_FILE."""
    machine = Machine(Policy())
    locks = AccountLocks(world.folder / "locks")
    with closing(SQLiteStore(world.folder / "store.db", locks=locks)) as store:
        async with StoreWriter(store) as writer, default_http_client() as http:
            beginning = anyio.Semaphore(_BEGIN_AT_ONCE)

            async def live(number: int) -> None:
                way: dict[str, Any] = {
                    "base_url": world.base_url,
                    "writer": writer,
                    "http": http,
                    "machine": machine,
                }
                async with AsyncExitStack() as stack:
                    async with beginning:
                        session = await stack.enter_async_context(Session(token=token(number), **way))
                    async for message in session:
                        world.arrived(message.text)

            yield live


@asynccontextmanager
async def manager(world: World) -> AsyncIterator[Live]:
    """A session is an account of a manager, which lives in the first one's task: whoever cancels all cancels it too."""
    locks = AccountLocks(world.folder / "locks")
    made, fleets = anyio.Event(), list[SessionManager]()

    async def handle(_: Session, message: Message) -> None:
        world.arrived(message.text)

    with closing(SQLiteStore(world.folder / "store.db", locks=locks)) as store:

        async def live(number: int) -> None:
            if number:
                await made.wait()
                fleets[0].add(token(number), base_url=world.base_url)
                return
            async with SessionManager(store=store) as fleet:
                fleet.add(token(number), base_url=world.base_url)
                fleets.append(fleet)
                made.set()
                await fleet.deliver(handle)

        yield live
