"""The front end on a loopback socket: HTTP/1.1 for any client in any language, in real time."""

from __future__ import annotations

import ipaddress
import math
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
import h11
from anyio.abc import Listener, SocketAttribute, SocketStream

from sessionfsm.errors import DefinitionError
from sessionfsm.testing.replies import Reply
from sessionfsm.testing.requests import Request

if TYPE_CHECKING:
    from sessionfsm.testing.server import FakeServer

__all__ = ["Listening", "listen"]

_CHUNK: Final = 65536
# The peer's end of a broken connection, however the platform and the backend call it.
_GONE: Final = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """Where a fake server listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The base URL for a client."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def listen(server: FakeServer, *, host: str, port: int) -> AsyncIterator[Listening]:
    """Serve *server* on a loopback socket inside the block; see ``FakeServer.listen``."""
    host = "127.0.0.1" if host == "localhost" else host
    if not _is_loopback(host):
        raise DefinitionError(f"the fake server listens on loopback only; write 127.0.0.1 instead of {host!r}")
    front_end = _FrontEnd(server, host)
    bound = await front_end.bind(port)
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(front_end.serve)
            try:
                yield Listening(host=host, port=bound)
            except Exception as exc:
                failure = exc  # raised below, or the task group would wrap it
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await front_end.close()
    if failure is not None:
        raise failure


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _FrontEnd:
    """One address. Open while the server is up; closed, its connections dropped, during an outage."""

    def __init__(self, server: FakeServer, host: str) -> None:
        self._server = server
        self._host = host
        self._port = 0
        self._listener: Listener[SocketStream] | None = None
        self._changed = anyio.Event()

    async def bind(self, port: int) -> int:
        # SO_REUSEADDR is set by anyio: the port can be had again after an outage.
        self._listener = await anyio.create_tcp_listener(local_host=self._host, local_port=port)
        self._port = self._listener.extra(SocketAttribute.local_port)
        return self._port

    async def close(self) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            await listener.aclose()

    async def serve(self) -> None:
        with self._server.told_of_outages(lambda: self._changed.set()):
            while True:
                if self._server.is_down:
                    await self._wait_change(until=self._server.down_until)
                elif self._listener is None:
                    await self.bind(self._port)
                else:
                    await self._accept_until_change(self._listener)
                    await self.close()

    async def _wait_change(self, *, until: float = math.inf) -> None:
        with anyio.CancelScope(deadline=until):
            await self._changed.wait()
        self._changed = anyio.Event()

    async def _accept_until_change(self, listener: Listener[SocketStream]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._handle, tasks)
            await self._wait_change()
            tasks.cancel_scope.cancel()

    async def _handle(self, stream: SocketStream) -> None:
        try:
            # The client left, or does not speak HTTP: its business.
            with suppress(*_GONE, h11.RemoteProtocolError):
                await _Connection(self._server, stream).serve()
        finally:
            await anyio.aclose_forcefully(stream)


class _Connection:
    """One connection with as many requests as the client likes, one after another."""

    def __init__(self, server: FakeServer, stream: SocketStream) -> None:
        self._server = server
        self._stream = stream
        self._http = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        while True:
            request = await self._receive_request()
            if request is None or not await self._exchange(request):
                return
            self._http.start_next_cycle()

    async def _receive_request(self) -> Request | None:
        """Return the next request; ``None`` when the client has closed the connection."""
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                await self._receive_data()
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return Request(
                    method=head.method.decode("ascii"),
                    path=head.target.decode("ascii").partition("?")[0],
                    headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
                    body=bytes(body),
                )
            else:
                return None

    async def _exchange(self, request: Request) -> bool:
        """Answer one request. Return whether the connection is good for another."""
        entry = self._server.open(request)
        is_complete = False
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, tasks.cancel_scope)
                with suppress(*_GONE):
                    await self._perform(await self._server.answer(entry, request))
                    is_complete = True
                tasks.cancel_scope.cancel()
        finally:
            self._server.close(entry, aborted=not is_complete)
        return is_complete and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _watch(self, scope: anyio.CancelScope) -> None:
        """Cancel *scope* when the client leaves while its request is being handled."""
        with suppress(*_GONE):
            while True:
                await self._receive_data()  # what it sends meanwhile is its next request
        scope.cancel()

    async def _perform(self, reply: Reply) -> None:
        """Send *reply*, as far as it is meant to be sent."""
        if reply.lost:
            self._reset_on_close()
            return
        if reply.drip_s is None:
            framing = [("content-length", str(len(reply.body) + reply.missing))]
        else:
            framing = [("transfer-encoding", "chunked")]
        await self._send(h11.Response(status_code=reply.status, headers=[*reply.headers, *framing]))
        for start in range(0, len(reply.body), _CHUNK):
            await self._send(h11.Data(data=reply.body[start : start + _CHUNK]))
        while reply.drip_s is not None:
            await anyio.sleep(reply.drip_s)
            await self._send(h11.Data(data=b" "))
        if not reply.missing:
            await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            await self._stream.send(data)

    async def _receive_data(self) -> None:
        try:
            data = await self._stream.receive(_CHUNK)
        except anyio.EndOfStream:
            self._http.receive_data(b"")
            raise
        self._http.receive_data(data)

    def _reset_on_close(self) -> None:
        """Make the close a reset: the client must not take it for the orderly end of an idle connection."""
        raw = self._stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
