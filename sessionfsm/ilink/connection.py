"""
One connection of the fast lane: a socket that anyio or asyncio waits for, with TLS or without.

No stream and no transport stands between: they would keep buffers for a connection that is silent nearly all its life,
and cost more per poll than the socket does. Errors are those that httpx raises over its own connections, so that
nobody above knows which they are. A connection is closed without a word (no TLS closing handshake), as httpx does.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import anyio
import anyio.lowlevel
import httpx

__all__ = ["KEEPALIVE_S", "Connection", "Late", "Origin", "in_time"]

# A connection that was idle for longer may be dead without our knowing (docs/reference/protocol.md, section 1.4).
KEEPALIVE_S = 120.0
_READ_BYTES = 16 * 1024
_NEXT_ADDRESS_S = 0.25
"""So long the first address of a name has before the next is tried beside it (RFC 8305, section 5)."""

_Address: TypeAlias = "tuple[Any, ...]"  # as getaddrinfo() returns it


class Origin(NamedTuple):
    """Where a request goes: scheme, host and port as they stand in the URL."""

    scheme: bytes
    host: bytes
    port: int | None


class Late(Exception):
    """The time was over before there was an answer. Callers translate it."""


@contextmanager
def in_time(by: float) -> Iterator[None]:
    """
    Let what is awaited in the body take until *by*, by :func:`anyio.current_time`.

    Raises:
        Late: If it took longer.
    """
    with anyio.CancelScope(deadline=by) as scope:
        yield
    if scope.cancelled_caught:
        raise Late


class Connection:
    """
    An open connection that carries one exchange at a time.

    Attributes:
        idle_since_s: When its last exchange has ended, on the monotonic clock.
    """

    __slots__ = (
        "_by",
        "_by_anyio",
        "_due_s",
        "_is_tls",
        "_loop",
        "_socket",
        "_timer",
        "_waiter",
        "_watched",
        "idle_since_s",
    )

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop | None, *, is_tls: bool) -> None:
        self._socket = sock
        self._is_tls = is_tls
        self.idle_since_s = 0.0
        # On asyncio the socket is watched as long as somebody reads from it now and then: to begin and end that for
        # each answer costs a poll more than reading it does.
        self._loop = loop
        self._by_anyio = loop is None  # somebody has waited for it through anyio, which is to be told of its end
        self._watched = False
        self._waiter: asyncio.Future[bytes | None] | None = None
        # Nearly every poll is answered long before its deadline. One timer goes on from poll to poll, and when it is
        # due it is set anew for the poll that is out by then: ten thousand that are made and cancelled for each answer
        # cost it more than the machine does, and the garbage collector as much again.
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = self._by = math.inf

    @classmethod
    async def open(cls, origin: Origin, context: ssl.SSLContext | None, limit_s: float | None) -> Connection:
        """
        Connect to *origin*, over TLS if there is a *context*, within *limit_s* seconds.

        Raises:
            httpx.ConnectError: If there is no connection.
            httpx.ConnectTimeout: If there is none in time.
        """
        host = origin.host.decode("ascii")
        loop = _asyncio_loop()
        deadline = math.inf if limit_s is None else anyio.current_time() + limit_s
        try:
            with anyio.CancelScope(deadline=deadline):
                sock = await _connected(host, origin.port or (80 if context is None else 443), loop)
                if context is not None:
                    sock = await _with_tls(sock, context, host)
                return cls(sock, loop, is_tls=context is not None)
        except TimeoutError as exc:
            raise httpx.ConnectTimeout(str(exc)) from exc
        except (OSError, ValueError) as exc:  # of TLS, too; a name that is none is a ValueError
            raise httpx.ConnectError(str(exc)) from exc
        raise httpx.ConnectTimeout("")

    def usable(self, now: float) -> bool:
        """
        Tell whether another request may be sent, as far as can be known here.

        A connection on which there is something to read is not used: the other side has closed it, or says what
        nobody has asked for.
        """
        if now - self.idle_since_s > KEEPALIVE_S or (self._loop is not None and self._loop.is_closed()):
            return False
        try:
            # Over TLS there may be something that is not for us, such as a ticket; this takes it in.
            self._socket.recv(1, 0 if self._is_tls else socket.MSG_PEEK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    async def send(self, data: bytes, by: float = math.inf) -> None:
        """
        Send *data*, all of it. It waits only if the system has no room for it.

        Raises:
            httpx.WriteError: If the connection broke.
            Late: If it was not sent by then.
        """
        rest = memoryview(data)
        try:
            while rest:
                try:
                    rest = rest[self._socket.send(rest) :]
                except (BlockingIOError, ssl.SSLWantWriteError):
                    self._by_anyio = True
                    with in_time(by):
                        await anyio.wait_writable(self._socket)
                except ssl.SSLWantReadError:
                    self._unwatch()  # one at a time
                    self._by_anyio = True
                    with in_time(by):
                        await anyio.wait_readable(self._socket)
        except (OSError, anyio.ClosedResourceError) as exc:
            raise httpx.WriteError(_words(exc)) from exc

    async def receive(self, by: float = math.inf) -> bytes:
        """
        Return what comes next; ``b""`` at the end.

        Raises:
            httpx.ReadError: If the connection broke, or was closed here.
            Late: If nothing came by then.
        """
        sock, over_tls = self._socket, self._is_tls
        waited = False
        if over_tls and anyio.current_time() > by:  # nothing is waited for as long as there is more to read
            raise Late
        try:
            while True:
                # Over TLS what came with the last record is here already, and the socket does not show it.
                if not over_tls and not waited:
                    waited = True
                    if (found := await self._next(by)) is not None:
                        return found
                try:
                    data = sock.recv(_READ_BYTES)
                except (BlockingIOError, ssl.SSLWantReadError):
                    waited = True
                    if (found := await self._next(by)) is not None:
                        return found
                except ssl.SSLWantWriteError:
                    waited = self._by_anyio = True
                    with in_time(by):
                        await anyio.wait_writable(sock)
                else:
                    if not waited:  # a server that never stops must not keep everybody else from their turn
                        await anyio.lowlevel.checkpoint()
                    return data
        except (OSError, anyio.ClosedResourceError) as exc:
            raise httpx.ReadError(_words(exc)) from exc

    def close(self) -> None:
        """Close it; whoever still waits for it gets an error. It waits for nobody. May be called again."""
        if self._socket.fileno() < 0:
            return
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(anyio.ClosedResourceError())
        if self._by_anyio and (self._loop is None or not self._loop.is_closed()):
            anyio.notify_closing(self._socket)
        self._socket.close()

    async def _next(self, by: float) -> bytes | None:
        """Wait until there is something to read; return it, or ``None`` if the caller has to read it."""
        loop = self._loop
        if self._socket.fileno() < 0:
            raise anyio.ClosedResourceError
        if loop is None:
            with in_time(by):
                await anyio.wait_readable(self._socket)
            return None
        if by != math.inf:
            self._limit(loop, by)
        waiter: asyncio.Future[bytes | None] = loop.create_future()
        self._waiter = waiter
        try:
            if not self._watched:
                loop.add_reader(self._socket.fileno(), self._readable)
                self._watched = True
            return await waiter
        finally:
            self._waiter, self._by = None, math.inf
            if waiter.done() and not waiter.cancelled():
                waiter.exception()  # it was heard, also by one that is cancelled at this very moment
            del waiter  # it has what it raised, whose traceback has this frame

    def _limit(self, loop: asyncio.AbstractEventLoop, by: float) -> None:
        """Who waits from now on waits until *by*."""
        if loop.time() > by:  # also for one that says a little now and then, for ever
            raise Late
        self._by = by
        if self._timer is not None and self._due_s > by:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer, self._due_s = loop.call_at(by, self._due), by

    def _due(self) -> None:
        self._timer, due_s = None, self._due_s
        if self._waiter is None or self._waiter.done() or self._by == math.inf:
            return
        assert self._loop is not None
        if self._by > due_s:
            self._timer, self._due_s = self._loop.call_at(self._by, self._due), self._by
        else:
            self._waiter.set_exception(Late())

    def _readable(self) -> None:
        """There is something to read. It is read here: else the event loop would say it again until somebody does."""
        waiter = self._waiter
        if waiter is None or waiter.done():  # nobody has asked; usable() will find it
            self._unwatch()
            return
        try:
            waiter.set_result(self._socket.recv(_READ_BYTES))
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except ssl.SSLWantWriteError:
            waiter.set_result(None)
        except Exception as exc:
            waiter.set_exception(exc.with_traceback(None))  # whose frame has the future

    def _unwatch(self) -> None:
        if self._watched and self._loop is not None:
            self._watched = False
            if not self._loop.is_closed():
                self._loop.remove_reader(self._socket.fileno())


async def _with_tls(sock: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """Shake hands; whatever hinders it closes the socket."""
    wrapped: socket.socket = sock
    try:
        # Each time, as httpx does: a context may be shared with a client that has other protocols.
        context.set_alpn_protocols(["http/1.1"])
        # A reset by now would be found by wrap_socket() as well, but it leaves the descriptor to the garbage collector.
        _check(sock)
        wrapped = over_tls = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        while True:
            try:
                over_tls.do_handshake()
            except ssl.SSLWantReadError:
                await anyio.wait_readable(over_tls)
            except ssl.SSLWantWriteError:
                await anyio.wait_writable(over_tls)
            else:
                return over_tls
    except BaseException:
        wrapped.close()
        raise


@functools.lru_cache(maxsize=256)
def _numeric(host: str, port: int) -> Sequence[_Address]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


def _asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that this runs in, if it is one of asyncio."""
    loop = anyio.lowlevel.current_token().native_token
    return loop if isinstance(loop, asyncio.AbstractEventLoop) else None


async def _connected(host: str, port: int, loop: asyncio.AbstractEventLoop | None) -> socket.socket:
    """Return a connected socket: of the addresses of *host*, the first one that answers."""
    addresses: Sequence[_Address]
    try:
        addresses = _numeric(host, port)
    except socket.gaierror:  # no address, but a name
        addresses = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if len(addresses) == 1:
        return await _connected_to(addresses[0], loop)
    errors: list[OSError] = []
    won: list[socket.socket] = []

    async def attempt(address: _Address, failed: anyio.Event) -> None:
        try:
            sock = await _connected_to(address, loop)
        except OSError as exc:
            errors.append(exc)
            failed.set()
        else:
            won.append(sock)
            race.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as race:
            for address in addresses:
                failed = anyio.Event()
                race.start_soon(attempt, address, failed)
                with anyio.move_on_after(_NEXT_ADDRESS_S):
                    await failed.wait()
        if not won:
            raise errors[-1] if errors else OSError("the name has no address")
    except BaseException:
        for sock in won:
            sock.close()
        raise
    for late in won[1:]:
        late.close()
    return won[0]


async def _connected_to(address: _Address, loop: asyncio.AbstractEventLoop | None) -> socket.socket:
    family, kind, protocol, where = address[0], address[1], address[2], address[-1]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        try:
            sock.connect(where)
        except BlockingIOError:
            await (anyio.wait_writable(sock) if loop is None else _writable(sock, loop))
            _check(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


async def _writable(sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    """Wait until *sock*, which nobody else knows yet, can be written to: that needs none of anyio's book-keeping."""
    waiter: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock.fileno(), _wake, waiter)
    try:
        await waiter
    finally:
        loop.remove_writer(sock.fileno())


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _check(sock: socket.socket) -> None:
    """Raise what has become of *sock* since it was last asked."""
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code)) from None


def _words(exc: Exception) -> str:
    """Return what the system said, without anything that came over the wire."""
    return str(exc) or type(exc).__name__
