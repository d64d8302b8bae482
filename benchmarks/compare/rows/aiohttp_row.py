"""aiohttp, with one client for all, as its documentation says, and its limit of connections lifted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from . import PATH, PATIENCE_S, Live, World, headers, read, request_body

__all__ = ["aiohttp_row"]


@asynccontextmanager
async def aiohttp_row(world: World) -> AsyncIterator[Live]:
    """One client and one connector, no cookies."""
    connector = aiohttp.TCPConnector(limit=0, ssl=world.tls or True)
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
    ) as client:

        async def live(number: int) -> None:
            url, head, cursor = world.base_url + PATH, headers(number), ""
            while True:
                try:
                    async with client.post(url, headers=head, data=request_body(cursor)) as response:
                        body = await response.read()
                except (aiohttp.ClientError, TimeoutError):
                    world.errors += 1
                    await asyncio.sleep(1.0)
                    continue
                cursor = read(world, body)

        yield live
