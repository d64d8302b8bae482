"""As cheap as Python gets: a protocol on the event loop's own transport, a request that is a constant but its body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from . import PATH, Live, World, headers, read, request_body

__all__ = ["floor"]


class _Poller(asyncio.Protocol):
    """Polls on one connection until it breaks. It understands nothing but what the bench server answers."""

    __slots__ = ("cursor", "data", "head", "lost", "transport", "world")

    def __init__(self, world: World, head: bytes, cursor: str, lost: asyncio.Future[None]) -> None:
        self.world, self.head, self.cursor, self.lost = world, head, cursor, lost
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.ask()

    def ask(self) -> None:
        body = request_body(self.cursor)
        self.transport.write(b"%b%d\r\n\r\n%b" % (self.head, len(body), body))

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.rpartition(b"content-length: ")[2]):
            return
        self.data = b""
        self.cursor = read(self.world, body)
        self.ask()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)


@asynccontextmanager
async def floor(world: World) -> AsyncIterator[Live]:
    """Sessions share nothing."""
    loop = asyncio.get_running_loop()
    parts = urlsplit(world.base_url)
    assert parts.hostname is not None
    assert parts.port is not None
    host, port = parts.hostname, parts.port

    async def live(number: int) -> None:
        lines = [f"POST {PATH} HTTP/1.1", f"Host: {host}:{port}"]
        lines += [f"{name}: {value}" for name, value in headers(number).items()]
        head, cursor = ("\r\n".join(lines) + "\r\nContent-Length: ").encode(), ""
        while True:
            lost: asyncio.Future[None] = loop.create_future()
            try:
                transport, poller = await loop.create_connection(
                    lambda: _Poller(world, head, cursor, lost),  # noqa: B023 - it is called before the next round
                    host,
                    port,
                    ssl=world.tls,
                )
            except OSError:
                world.errors += 1
                await asyncio.sleep(1.0)
                continue
            try:
                await lost
            finally:
                transport.abort()
            world.errors += 1
            cursor = poller.cursor
            await asyncio.sleep(1.0)

    yield live
