"""The front end without a socket: an httpx transport that any clock can drive, on asyncio and trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import httpx

from sessionfsm.testing.replies import Reply
from sessionfsm.testing.requests import Request
from sessionfsm.testing.wirelog import Exchange

if TYPE_CHECKING:
    from sessionfsm.testing.server import FakeServer

__all__ = ["MemoryTransport"]

_CHUNK: Final = 65536


class MemoryTransport(httpx.AsyncBaseTransport):
    """
    Hands httpx requests to a fake server, and raises what httpx raises when the network fails.

    The read timeout of the request is kept, as by a real transport; there is nothing that the others could limit.
    """

    def __init__(self, server: FakeServer, *, round_trip_s: float = 0.0) -> None:
        self._server = server
        self._round_trip_s = round_trip_s

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.raw}
        seen = Request(method=request.method, path=request.url.path, headers=headers, body=body)
        read_s = request.extensions.get("timeout", {}).get("read")
        server = self._server
        entry = server.open(seen)
        is_streaming = False
        try:
            with _read_timeout(read_s, request):
                # Even an answer at once lets other tasks run: a loop of such answers must not starve them.
                await anyio.sleep(self._round_trip_s)
                if server.is_down:
                    entry.answer = "refused"
                    raise httpx.ConnectError("All connection attempts failed", request=request)
                reply = await server.answer(entry, seen)
            if reply.lost:
                raise httpx.ReadError("the fake server dropped the connection", request=request)
            is_streaming = bool(reply.missing) or reply.drip_s is not None or len(reply.body) > _CHUNK
            if not is_streaming:
                return _response(reply, httpx.ByteStream(reply.body))
            return _response(reply, _Stream(server, entry, reply, request, read_s))
        except (httpx.TimeoutException, anyio.get_cancelled_exc_class()):
            server.close(entry, aborted=True)
            raise
        finally:
            if not is_streaming:
                server.close(entry)


class _Stream(httpx.AsyncByteStream):
    """A body that is long, breaks off, or never ends."""

    def __init__(
        self,
        server: FakeServer,
        entry: Exchange,
        reply: Reply,
        request: httpx.Request,
        read_s: float | None,
    ) -> None:
        self._server = server
        self._entry = entry
        self._reply = reply
        self._request = request
        self._read_s = read_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reply = self._reply
        for start in range(0, len(reply.body), _CHUNK):
            await anyio.lowlevel.checkpoint()
            yield reply.body[start : start + _CHUNK]
        while reply.drip_s is not None:
            with _read_timeout(self._read_s, self._request):
                await anyio.sleep(reply.drip_s)
            if self._server.is_down:
                raise httpx.ReadError("the fake server dropped the connection", request=self._request)
            yield b" "
        self._server.close(self._entry)
        if reply.missing:
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body", request=self._request
            )

    async def aclose(self) -> None:
        self._server.close(self._entry, aborted=True)


def _response(reply: Reply, stream: httpx.AsyncByteStream) -> httpx.Response:
    if reply.drip_s is not None:
        length = ("transfer-encoding", "chunked")
    else:
        length = ("content-length", str(len(reply.body) + reply.missing))
    return httpx.Response(
        reply.status,
        headers=[*reply.headers, length],
        stream=stream,
        extensions={"http_version": b"HTTP/1.1"},
    )


@contextmanager
def _read_timeout(limit_s: float | None, request: httpx.Request) -> Iterator[None]:
    if limit_s is None:
        yield
        return
    with anyio.CancelScope(deadline=anyio.current_time() + limit_s) as scope:
        yield
    if scope.cancelled_caught:
        raise httpx.ReadTimeout("the fake server did not answer in time", request=request)
