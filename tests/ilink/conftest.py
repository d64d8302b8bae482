"""Both async backends, and servers that misbehave on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from sessionfsm.ilink import client, default_http_client

Answer = Callable[["Connection"], Awaitable[None]]


class Connection:
    """The server's end of one connection."""

    def __init__(self, stream: SocketStream, number: int) -> None:
        self.stream = stream
        self.number = number

    async def request(self) -> bytes:
        """Return the next request, head and body; empty when the client has gone, or speaks TLS to us."""
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                data += await self.stream.receive()
                if data.startswith(b"\x16"):
                    return b""
            head, _, body = data.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return b""
        return head + b"\r\n\r\n" + body

    async def send(self, data: bytes) -> None:
        """Send bytes as they are; a client that has gone is no error here."""
        try:
            await self.stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise EOFError from None

    async def answer(self, body: bytes, *, status: str = "200 OK", headers: str = "") -> None:
        """Send one whole answer."""
        await self.send(f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)


class Server:
    """A loopback server; ``connections`` counts those that were ever accepted."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.connections = 0
        self.requests: list[bytes] = []
        self._gone = 0
        self._news = anyio.Event()

    def note(self, request: bytes | None) -> None:
        """Keep a request, or count a connection that has ended; wake who waits for it."""
        if request is None:
            self._gone += 1
        else:
            self.requests.append(request)
        self._news.set()
        self._news = anyio.Event()

    async def wait_gone(self, count: int) -> None:
        """Wait until exactly *count* connections have ended."""
        with anyio.fail_after(1):
            while self._gone < count:
                await self._news.wait()
        await anyio.sleep(0.005)
        assert self._gone == count

    async def wait_requests(self, count: int) -> None:
        """Wait until *count* requests have arrived in all."""
        while len(self.requests) < count:
            await self._news.wait()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Everything that awaits is tested on both."""
    name: str = request.param
    return name


def hooked_http_client() -> httpx.AsyncClient:
    """A client of whose requests somebody wants to hear: they go through httpx, and then on the fast lane."""

    async def hear(_: httpx.Request) -> None: ...

    http = default_http_client()
    http.event_hooks = {"request": [hear]}
    return http


LANES: dict[str, Callable[[], httpx.AsyncClient]] = {
    "fast lane": default_http_client,
    "fast lane through httpx": hooked_http_client,
    "stock lane": lambda: default_http_client(fast=False),
}


@pytest.fixture(params=LANES)
def make_http(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], httpx.AsyncClient]:
    """Return what makes HTTP clients of each kind, one after the other; sessions make their own of the same kind."""
    make = LANES[request.param]
    monkeypatch.setattr(client, "default_http_client", make)
    return make


@pytest.fixture
def serve() -> Callable[[Answer], AbstractAsyncContextManager[Server]]:
    """Return a context manager that runs a server: the given function is called for each request."""

    @asynccontextmanager
    async def run(answer: Answer) -> AsyncIterator[Server]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        server = Server(listener.extra(SocketAttribute.local_port))

        async def handle(stream: SocketStream) -> None:
            server.connections += 1
            connection = Connection(stream, server.connections)
            async with stream:
                try:
                    while request := await connection.request():
                        server.note(request)
                        await answer(connection)
                except (EOFError, anyio.ClosedResourceError):
                    pass
                finally:
                    server.note(None)

        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            try:
                yield server
            finally:
                tasks.cancel_scope.cancel()

    return run
