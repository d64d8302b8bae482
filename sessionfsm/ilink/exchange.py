"""
One POST and its answer, the bytes of it.

This is where the HTTP client's exceptions become ours; nothing above this module knows them.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

import anyio
import httpx

from sessionfsm.errors import (
    BrokenAnswer,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    SessionLost,
    StatusError,
    TransportError,
)
from sessionfsm.ilink.body import BodyError, BoundedBody
from sessionfsm.ilink.connection import Late
from sessionfsm.ilink.fast_lane import BeginBody, FastLane
from sessionfsm.ilink.lanes import CONNECT_S, LANE, Lane, LaneClient
from sessionfsm.ilink.route import Fields, Route
from sessionfsm.ilink.wire import printable
from sessionfsm.secret import Secret

__all__ = ["post"]

logger = logging.getLogger("sessionfsm")

_TIMEOUT = httpx.Timeout(None, connect=CONNECT_S).as_dict()
_CLOSE_S = 1.0
_RETRY_AFTER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")

# The request did not leave this machine.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.InvalidURL,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
# All that was seen to come out of httpx and of transports that people put under it: its own exceptions, what httpcore
# and anyio do not translate (sockets closed by another task; UnicodeError from the resolver is a ValueError), and
# httpx's RuntimeError for a client that is closed. Not Exception: a bug shall look like one.
_FOREIGN = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
    RuntimeError,
    ValueError,
    anyio.BrokenResourceError,
    anyio.BusyResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)


class _Content(httpx.AsyncByteStream):
    """
    A request's body, in one piece.

    httpx makes it an async generator, which a cancelled send drops in the middle (trio warns of that).
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._content)


class _Once(AsyncIterator[bytes]):
    def __init__(self, content: bytes) -> None:
        self._rest = [content]

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


async def post(
    http: httpx.AsyncClient,
    to: Route,
    fields: Fields,
    *,
    endpoint: str,
    uin: str,
    content: bytes,
    lane: Lane,
    deadline_s: float,
    max_body_bytes: int,
    secrets: Callable[[Secret | None], Sequence[Secret]],
    secret: Secret | None = None,
    single_use: bool = False,
) -> bytes:
    """
    Send *content* and return the body of the answer, all of it within *deadline_s* seconds.

    A client of :func:`~sessionfsm.ilink.lanes.default_http_client` is passed by where its lane is fast: it could do no
    more with the request than send it. When the deadline passes, what the last read has brought is looked at first: a
    body that is complete with it is returned, since it may hold messages that will not come again.

    Args:
        uin: The value of ``X-WECHAT-UIN``.
        secrets: Asked, when there is an error, what must not show in its text; *secret* is passed to it.
        single_use: Tell the server that the connection ends with the answer.

    Raises:
        SessionLost: If the HTTP status is 401 or 403.
        TransportError: If there is no complete answer with a status of 2xx.
    """
    begin = _beginning(endpoint, max_body_bytes)
    body: bytes | None = None
    by = anyio.current_time() + deadline_s
    try:
        lanes = http.lanes if isinstance(http, LaneClient) else None
        opened = None if lanes is None else await lanes.opened(lane, to.origin, to.url)
        if isinstance(opened, FastLane):
            request_bytes = fields.request(to, uin, content, single_use=single_use)
            exchange = opened.exchange(request_bytes, begin, by=by, stays=not single_use)
            del content, request_bytes  # they would be kept as long as the poll is out
            body = await exchange
        else:
            with anyio.CancelScope(deadline=by):
                # Built by hand: the client's own cookies, parameters and default headers stay out of it.
                request = httpx.Request(
                    "POST",
                    to.url,
                    headers=fields.headers(uin, single_use=single_use),
                    content=content,
                    extensions={"timeout": _TIMEOUT, LANE: lane},
                )
                request.stream = _Content(content)
                response = await http.send(request, stream=True, follow_redirects=False, auth=None)
                try:
                    body = await _read(response, begin)
                finally:
                    await _close(response)
    except Late:
        pass
    except BodyError as exc:
        raise BrokenAnswer(str(exc), endpoint=endpoint) from None
    except _FOREIGN as exc:
        if body is None:
            # Not chained: the cause holds the request, and its text may quote the server's bytes.
            raise _translated(exc, http, endpoint, lambda: secrets(secret)) from None
    if body is None:
        raise DeadlineExceeded(f"no complete answer within {deadline_s:g} s", endpoint=endpoint, deadline_s=deadline_s)
    return body


@functools.lru_cache(maxsize=64)
def _beginning(endpoint: str, max_body_bytes: int) -> BeginBody:
    """Return what begins a body; it is the same for all sessions, most of which have a poll out."""
    return functools.partial(_begin, endpoint, max_body_bytes)


def _begin(endpoint: str, max_body_bytes: int, status: int, field: Callable[[str], str]) -> BoundedBody:
    logger.debug("POST %s: HTTP status %d", endpoint, status)
    _check_status(status, field, endpoint)
    return BoundedBody(max_body_bytes, encoding=field("content-encoding"), length=field("content-length"))


def _check_status(status: int, field: Callable[[str], str], endpoint: str) -> None:
    if 200 <= status <= 299:
        return
    if status in (401, 403):
        raise SessionLost(f"HTTP status {status}", endpoint=endpoint, code=None, status=status)
    raise StatusError(
        f"HTTP status {status}",
        endpoint=endpoint,
        status=status,
        retry_after_s=_retry_after(field("retry-after")),
    )


def _retry_after(text: str) -> float | None:
    """Return a number of seconds; a date is not read, because our clock may be wrong."""
    return float(text) if _RETRY_AFTER.fullmatch(text.strip()) else None


async def _read(response: httpx.Response, begin: BeginBody) -> bytes:
    headers = response.headers
    if response.is_stream_consumed:
        # An event hook of the caller's client has read it, so it is in memory and unpacked already.
        body = begin(response.status_code, lambda name: "" if name.startswith("content-") else headers.get(name, ""))
        body.feed(response.content)
        return body.finish()
    body = begin(response.status_code, lambda name: headers.get(name, ""))
    # Not aiter_raw(): that closes the connection before it ends, where a deadline could still take the answer away.
    chunks = aiter(cast("httpx.AsyncByteStream", response.stream))
    try:
        async for chunk in chunks:
            body.feed(chunk)
    except BodyError:
        # Close first, then let the generators run into the closed connection: a generator that is dropped in the
        # middle is finalised by the event loop later, in no order, and trio warns of it.
        await _close(response)
        with contextlib.suppress(*_FOREIGN):
            async for _ in chunks:
                pass
        raise
    return body.finish()


async def _close(response: httpx.Response) -> None:
    """Close *response* even while being cancelled. How it ends can no longer change the answer."""
    with anyio.move_on_after(_CLOSE_S, shield=True), contextlib.suppress(*_FOREIGN):
        await response.aclose()


def _translated(
    exc: Exception, http: httpx.AsyncClient, endpoint: str, secrets: Callable[[], Sequence[Secret]]
) -> TransportError:
    name = type(exc).__name__
    if http.is_closed and isinstance(exc, RuntimeError):
        return ConnectFailed("the HTTP client is closed", endpoint=endpoint)
    if isinstance(exc, _NOT_SENT):
        words = printable(str(exc), secrets())
        return ConnectFailed(
            f"no connection ({name}: {words})" if words else f"no connection ({name})", endpoint=endpoint
        )
    if isinstance(exc, httpx.DecodingError):
        return BrokenAnswer(f"the body cannot be unpacked ({name})", endpoint=endpoint)
    # The text is left out: h11 quotes the line that it did not like.
    return ConnectionLost(f"the connection broke before the whole answer was there ({name})", endpoint=endpoint)
