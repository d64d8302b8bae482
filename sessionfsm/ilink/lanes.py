"""
One lane per session under one HTTP client.

A long poll occupies its connection nearly all the time, so a shared pool either starves the sessions beyond its limit
or scans every connection for each request (encode/httpcore#1035). Here each session has its own small pools: one
connection for what belongs to the poll, one for sends. Nothing is shared but the TLS context, which is what makes a
connection pool dear.
"""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio
import httpx

from sessionfsm.errors import DefinitionError
from sessionfsm.ilink.address import is_loopback
from sessionfsm.ilink.connection import KEEPALIVE_S, Origin
from sessionfsm.ilink.fast_lane import FastLane

if TYPE_CHECKING:
    import ssl

__all__ = ["LANE", "Lane", "LaneClient", "LaneOwner", "LaneTransport", "Origin", "check_http", "default_http_client"]

LANE = "sessionfsm.lane"
"""The request extension that holds a request's :class:`Lane`."""

_CLOSE_S = 1.0
CONNECT_S = 10.0


class LaneOwner:
    """Whose lanes they are; knows the transports that hold some, however deep they are wrapped."""

    def __init__(self) -> None:
        self._transports: list[LaneTransport] = []

    async def aclose(self) -> None:
        """Close this owner's lanes wherever they are; new requests open new ones."""
        while self._transports:
            await self._transports.pop().aclose_lane(self)


@dataclass(frozen=True, slots=True)
class Lane:
    """
    The connection that a request travels on.

    Attributes:
        owner: Whose it is: one session. Any hashable object; lanes of a :class:`LaneOwner` are closed through it.
        kind: Polls and sends have a connection each, so that they never wait for each other.
        fresh: Close the connection first, and use a new one. A request that is still on it is lost.
    """

    owner: Hashable
    kind: Literal["poll", "send"]
    fresh: bool = False


HttpClient: TypeAlias = httpx.AsyncClient
"""The HTTP client, for everybody who only passes one on."""

_Key: TypeAlias = "tuple[str, Origin | None]"  # kind, and where to unless the owner has one server only

_DEFAULT_LANE = Lane(None, "send")
_STOCK_EXTENSIONS = frozenset({"sni_hostname", "target", "trace"})
_FAST_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


class StockLane:
    """A lane on a connection pool of httpx, for one connection."""

    __slots__ = ("origin", "transport")

    def __init__(self, origin: Origin, transport: httpx.AsyncHTTPTransport) -> None:
        self.origin = origin
        self.transport = transport

    async def aclose(self) -> None:
        """Close the connection, also while the caller is being cancelled: closing a socket waits for nobody."""
        with anyio.move_on_after(_CLOSE_S, shield=True):
            await self.transport.aclose()


_Opened: TypeAlias = FastLane | StockLane


class LaneTransport(httpx.AsyncBaseTransport):
    """
    An HTTP/1.1 transport in which each lane has at most one connection.

    Requests without a lane share a default one, which has one connection to each origin. Requests on one lane wait
    for each other, those on different lanes never do.

    A lane is *fast*, on a socket of its own, or *stock*, on a connection pool of httpx. Stock it is where a proxy
    leads, on Windows, and for requests of a kind that sessions do not make; their errors
    are the same.

    Args:
        trust_env: Use the proxies and CA certificates that the environment names. Loopback is never proxied.
        ssl_context: TLS for all lanes; by default httpx's own, made when the first ``https`` URL is seen.
        fast: Use fast lanes where that is possible.
    """

    def __init__(self, *, trust_env: bool = True, ssl_context: ssl.SSLContext | None = None, fast: bool = True) -> None:
        self._trust_env = trust_env
        self._ssl_context = ssl_context
        self._unused_context: ssl.SSLContext | None = None
        self._fast = fast and sys.platform != "win32"
        self._lanes: dict[Hashable, dict[_Key, _Opened]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* on its lane."""
        url = request.url
        lane = request.extensions.get(LANE, _DEFAULT_LANE)
        # What fast lanes do not do: a body whose length is not known yet, an answer that may have a length and no body,
        # and what httpx may be asked to do in another way.
        plain = request.method in _FAST_METHODS and "Transfer-Encoding" not in request.headers
        plain = plain and _STOCK_EXTENSIONS.isdisjoint(request.extensions)
        opened = await self.opened(lane, Origin(url.raw_scheme, url.raw_host, url.port), url, fast=plain)
        if isinstance(opened, FastLane):
            return await opened.handle(request)
        return await opened.transport.handle_async_request(request)

    async def opened(self, lane: Lane, origin: Origin, url: httpx.URL, *, fast: bool = True) -> FastLane | StockLane:
        """Return what *lane* leads to *origin* on. One that shall not be used any more is closed first."""
        lanes = self._lanes.get(lane.owner)
        if lanes is None:
            lanes = self._lanes[lane.owner] = {}
            if isinstance(lane.owner, LaneOwner):
                lane.owner._transports.append(self)
        # The lanes of an owner who has moved to another server are not kept beside the new ones.
        key = (lane.kind, origin if lane.owner is None else None)
        opened = lanes.get(key)
        if opened is not None and (
            lane.fresh or opened.origin != origin or (not fast and isinstance(opened, FastLane))
        ):
            del lanes[key]
            await opened.aclose()
            return await self.opened(Lane(lane.owner, lane.kind), origin, url, fast=fast)
        if opened is None:
            opened = lanes[key] = self._open(origin, url, fast=fast)
        return opened

    async def aclose_lane(self, owner: Hashable) -> None:
        """Close every connection of *owner*; requests that are on them are lost."""
        await _close(self._lanes.pop(owner, {}).values())

    async def aclose(self) -> None:
        """Close every connection."""
        lanes, self._lanes = self._lanes, {}
        await _close(opened for owned in lanes.values() for opened in owned.values())

    def _open(self, origin: Origin, url: httpx.URL, *, fast: bool) -> FastLane | StockLane:
        if fast and self._fast and url.scheme in ("http", "https") and self._proxy_for(url) is None:
            return FastLane(origin, self._tls() if url.scheme == "https" else None, CONNECT_S)
        return StockLane(origin, self._stock(url))

    def _stock(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        proxy = self._proxy_for(url)
        context = self._tls() if url.scheme == "https" or proxy is not None else self._no_tls()
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_S)
        if proxy is None:
            return httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)
        try:
            # A context for the way to the proxy is allowed only where that way is https.
            proxy_context = context if proxy.lower().startswith("https:") else None
            via = httpx.Proxy(proxy, ssl_context=proxy_context)
            return httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits, proxy=via)
        except ImportError:
            raise httpx.ProxyError("a SOCKS proxy needs the package socksio: pip install 'httpx[socks]'") from None
        except (ValueError, httpx.InvalidURL):
            # Not chained: the cause shows the proxy's URL, in which a password may stand.
            raise httpx.ProxyError("the environment names a proxy that cannot be used") from None

    def _proxy_for(self, url: httpx.URL) -> str | None:
        if not self._trust_env or is_loopback(url.host):
            return None
        proxies = urllib.request.getproxies()
        proxy = proxies.get(url.scheme) or proxies.get("all")
        if not proxy or urllib.request.proxy_bypass(url.netloc.decode("ascii")):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            try:
                self._ssl_context = httpx.create_ssl_context(trust_env=self._trust_env)
            except OSError as exc:
                raise httpx.ConnectError(f"the CA certificates cannot be loaded: {exc.strerror}") from exc
        return self._ssl_context

    def _no_tls(self) -> ssl.SSLContext:
        """Return a context that plain http never uses, lest each lane load the CA certificates for nothing."""
        if self._unused_context is None:
            import ssl

            self._unused_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return self._unused_context


class LaneClient(httpx.AsyncClient):
    """An HTTP client of which it is known that it does no more than its lanes do."""

    def __init__(self, lanes: LaneTransport) -> None:
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        super().__init__(
            transport=lanes,
            trust_env=False,  # the transport does that; httpx would put a pool of its own in front for each proxy
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )
        self._lanes = lanes

    @property
    def lanes(self) -> LaneTransport | None:
        """What requests may be sent on without this client; ``None`` if somebody wants to see them pass."""
        hooks = self.event_hooks
        return None if self.is_closed or hooks["request"] or hooks["response"] else self._lanes


def default_http_client(*, fast: bool = True) -> httpx.AsyncClient:
    """
    Return an HTTP client with a :class:`LaneTransport`, for any number of sessions.

    It follows no redirect, keeps no cookie, and leaves every deadline but the connect limit to the caller.

    Args:
        fast: Use fast lanes where that is possible; otherwise all are on httpx's own connections.
    """
    return LaneClient(LaneTransport(fast=fast))


def check_http(http: object) -> None:
    """Raise :class:`DefinitionError` if it is something else: it would be found out by the first request only."""
    if http is not None and not isinstance(http, httpx.AsyncClient):
        words = "httpx.Client, which blocks the event loop" if isinstance(http, httpx.Client) else type(http).__name__
        raise DefinitionError(f"http is {words}; pass an httpx.AsyncClient, best default_http_client()")


async def _close(opened: Iterable[_Opened]) -> None:
    for lane in list(opened):
        await lane.aclose()
