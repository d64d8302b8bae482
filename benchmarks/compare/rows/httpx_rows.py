"""httpx, in the two ways that it is used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx

from . import PATH, PATIENCE_S, Live, World, headers, read, request_body

__all__ = ["per_session", "shared"]


async def _live(world: World, client: httpx.AsyncClient, number: int) -> None:
    url, head, cursor = world.base_url + PATH, headers(number), ""
    while True:
        try:
            response = await client.post(url, headers=head, content=request_body(cursor))
        except httpx.HTTPError:
            world.errors += 1
            await anyio.sleep(1.0)
            continue
        cursor = read(world, response.content)


@asynccontextmanager
async def per_session(world: World) -> AsyncIterator[Live]:
    """
    A client for each session, as it comes. They share what is dear and changes no poll: the TLS context.

    By default each client makes a context of its own, which costs 50 ms and 650 KB; that is not held against it here.
    """
    context = world.tls or httpx.create_ssl_context()

    async def live(number: int) -> None:
        async with httpx.AsyncClient(verify=context, timeout=PATIENCE_S) as client:
            await _live(world, client, number)

    yield live


@asynccontextmanager
async def shared(world: World) -> AsyncIterator[Live]:
    """One client for all sessions, its limit of connections lifted."""
    context = world.tls or httpx.create_ssl_context()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(verify=context, timeout=PATIENCE_S, limits=limits) as client:

        async def live(number: int) -> None:
            await _live(world, client, number)

        yield live
