"""
The fast lane: one connection to one server, and one exchange at a time on it.

An exchange that does not come to its end, for whatever reason, takes the connection with it.
"""

from __future__ import annotations

import math
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import anyio
import httpx

from sessionfsm.ilink.answer import Answer, NotHTTP
from sessionfsm.ilink.body import BoundedBody
from sessionfsm.ilink.connection import Connection, Origin, in_time

__all__ = ["BeginBody", "FastLane"]

BeginBody: TypeAlias = Callable[[int, Callable[[str], str]], BoundedBody]
"""Takes the status of an answer, and what returns its header fields by their names in lower case."""

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")


class FastLane:
    """
    A lane on a connection of our own. Requests on it wait for each other.

    Args:
        origin: The one server that it leads to.
        context: For TLS; ``None`` for plain http.
        connect_s: How long connecting may take.
    """

    __slots__ = ("_closed", "_connect_s", "_connection", "_context", "_queue", "_taken", "origin")

    def __init__(self, origin: Origin, context: ssl.SSLContext | None, connect_s: float) -> None:
        self.origin = origin
        self._context = context
        self._connect_s = connect_s
        self._connection: Connection | None = None
        self._closed = False
        self._taken = False
        self._queue: list[anyio.Event] | None = None  # who waits; None until somebody does

    async def exchange(
        self, request: bytes, begin_body: BeginBody, *, by: float = math.inf, stays: bool = True
    ) -> bytes:
        """
        Send a whole *request*, and return the body of its answer.

        Args:
            begin_body: Called when the head of the answer is there; says where the body is collected. What it raises
                ends the exchange.
            by: When it has to be over, by :func:`anyio.current_time`.
            stays: The request does not say that the connection ends with its answer.

        Raises:
            httpx.TransportError: If there is no whole answer.
            BodyError: If the body cannot be kept.
            Late: If it is not over by then. A body that is complete by then is returned.
        """
        # A scope of anyio around all this would cost a poll more than the machine does: only what waits has a limit.
        if self._taken:
            with in_time(by):
                await self._take()
        self._taken = True
        try:
            if (connection := self._alive()) is None:
                with in_time(by):
                    connection = await self._connect(self._connect_s)
            try:
                stays = await _sent(connection, request, by) and stays
                del request  # it would be kept as long as the poll is out
                came = await connection.receive(by)
                answer, body = Answer(), None  # not sooner: ten thousand polls are out, and all would have one
                while True:
                    data = answer.feed(came)
                    if body is None and answer.status:
                        body = begin_body(answer.status, answer.field)
                    if data and body is not None:
                        body.feed(data)
                    if answer.whole:
                        break
                    came = await connection.receive(by)
                assert body is not None
                whole = body.finish()
            except BaseException as exc:
                self._drop(connection)
                if isinstance(exc, NotHTTP):
                    raise httpx.RemoteProtocolError(str(exc)) from None
                raise
            self._end(connection, reusable=answer.reusable and stays)
            return whole
        finally:
            self._give()

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """
        Answer a request of httpx; the lane is taken until its response is closed.

        Raises:
            httpx.TransportError: If there is no head of an answer in time.
            httpx.LocalProtocolError: If the request could not be written.
        """
        content = await request.aread()
        head = _head(request, content)
        limits = request.extensions.get("timeout", {})
        with _limit(limits.get("pool"), httpx.PoolTimeout):
            await self._take()
        try:
            connection = self._alive() or await self._connect(limits.get("connect", self._connect_s))
        except BaseException:
            self._give()
            raise
        answer = Answer()
        try:
            with _limit(limits.get("write"), httpx.WriteTimeout):
                sent = await _sent(connection, head + content)
            first = b""
            while answer.status == 0:
                with _limit(limits.get("read"), httpx.ReadTimeout):
                    first = await _next(connection, answer)
        except BaseException:
            self._drop(connection)
            self._give()
            raise
        stays = sent and request.headers.get("Connection", "").lower() != "close"
        return httpx.Response(
            answer.status,
            headers=answer.fields,
            stream=_Stream(self, connection, answer, first, limits.get("read"), stays),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": answer.reason},
        )

    def closed(self) -> bool:
        """Whether it is of no use any more."""
        return self._closed

    async def aclose(self) -> None:
        """Close the connection for good; it waits for nobody. A request that is on it, or waits for it, is lost."""
        self._closed = True
        if self._connection is not None:
            self._drop(self._connection)

    async def _take(self) -> None:
        """Wait until this is the only exchange. Whose turn it is to end it is free: httpx closes where it likes."""
        if not self._taken:
            self._taken = True
            return
        turn = anyio.Event()
        if self._queue is None:
            self._queue = []
        self._queue.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._give()
            else:
                self._queue.remove(turn)
            raise

    def _give(self) -> None:
        """Let the next one take its turn."""
        if self._queue:
            self._queue.pop(0).set()
        else:
            self._taken = False

    def _alive(self) -> Connection | None:
        """Return the connection there is, unless it is known to be dead."""
        if (connection := self._connection) is not None:
            if connection.usable(time.monotonic()):
                return connection
            self._drop(connection)
        return None

    async def _connect(self, limit_s: float | None) -> Connection:
        if self.closed():
            raise httpx.ConnectError("the lane was closed")
        connection = self._connection = await Connection.open(self.origin, self._context, limit_s)
        if self.closed():
            self._drop(connection)
            raise httpx.ConnectError("the lane was closed")
        return connection

    def _end(self, connection: Connection, *, reusable: bool) -> None:
        if reusable and not self._closed:
            connection.idle_since_s = time.monotonic()  # a socket's time is the real one
        else:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if self._connection is connection:
            self._connection = None
        connection.close()


class _Stream(httpx.AsyncByteStream):
    """The body of an answer, as it comes; packed, if it is packed."""

    def __init__(
        self, lane: FastLane, connection: Connection, answer: Answer, first: bytes, read_s: float | None, stays: bool
    ) -> None:
        self._lane, self._connection, self._answer, self._first = lane, connection, answer, first
        self._read_s, self._stays = read_s, stays
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
        while not self._answer.whole:
            with _limit(self._read_s, httpx.ReadTimeout):
                data = await _next(self._connection, self._answer)
            if data:
                yield data

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        answer = self._answer
        self._lane._end(self._connection, reusable=answer.whole and answer.reusable and self._stays)
        self._lane._give()


@contextmanager
def _limit(limit_s: float | None, error: type[httpx.TimeoutException]) -> Iterator[None]:
    """Raise *error* if the body takes longer than *limit_s* seconds; ``None`` is no limit."""
    try:
        with anyio.fail_after(limit_s):
            yield
    except TimeoutError:
        raise error("") from None


async def _sent(connection: Connection, data: bytes, by: float = math.inf) -> bool:
    """
    Send *data*; return whether all of it went out.

    A server may refuse a request before it has read it, and close. What it said is here to be read then: a status says
    more than that the connection broke, and httpx reads it too. If there is nothing, reading fails.
    """
    try:
        await connection.send(data, by)
    except httpx.WriteError:
        return False
    return True


async def _next(connection: Connection, answer: Answer) -> bytes:
    """Read once; return what of the body came."""
    try:
        return answer.feed(await connection.receive())
    except NotHTTP as exc:
        raise httpx.RemoteProtocolError(str(exc)) from None


def _head(request: httpx.Request, body: bytes) -> bytes:
    """Return the head of *request* as it goes over the wire before *body*."""
    # Another length than the body has would make two requests of it, or half a one: and the next answer another's.
    lengths = request.headers.get_list("Content-Length")
    if lengths != [str(len(body))] and (lengths or body):
        raise httpx.LocalProtocolError("Content-Length is not the length of the body")
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    for name, value in request.headers.raw:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            # Not quoted: it may be the one with the token.
            raise httpx.LocalProtocolError("a header cannot be sent as it is")
        lines.append(b"%s: %s" % (name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"
