"""
One lane per session under one HTTP client.

A long poll occupies its connection nearly all the time, so a shared pool either starves the sessions beyond its limit
or scans every connection for each request (encode/httpcore#1035). Here each session has its own small pools: one
connection for what belongs to the poll, one for sends. Nothing is shared but the TLS context, which is what makes a
connection pool dear.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio
import httpx

from sessionfsm.ilink.address import is_loopback

if TYPE_CHECKING:
    import ssl

__all__ = ["LANE", "Lane", "LaneOwner", "LaneTransport", "default_http_client"]

LANE = "sessionfsm.lane"
"""The request extension that holds a request's :class:`Lane`."""

# A connection that was idle for longer may be dead without our knowing (docs/reference/protocol.md, section 1.4).
_KEEPALIVE_S = 120.0
_CLOSE_S = 1.0
CONNECT_S = 10.0


class LaneOwner:
    """Whose lanes they are; knows the transports that hold some, however deep they are wrapped."""

    def __init__(self) -> None:
        self._transports: set[LaneTransport] = set()

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

_Key: TypeAlias = tuple[str, bytes, bytes, int | None]  # kind, scheme, host, port

_DEFAULT_LANE = Lane(None, "send")


class LaneTransport(httpx.AsyncBaseTransport):
    """
    An HTTP/1.1 transport in which each lane has at most one connection.

    Requests without a lane share a default one, which has one connection to each origin. Requests on one lane wait
    for each other, those on different lanes never do.

    Args:
        trust_env: Use the proxies and CA certificates that the environment names. Loopback is never proxied.
        ssl_context: TLS for all lanes; by default httpx's own, made when the first ``https`` URL is seen.
    """

    def __init__(self, *, trust_env: bool = True, ssl_context: ssl.SSLContext | None = None) -> None:
        self._trust_env = trust_env
        self._ssl_context = ssl_context
        self._unused_context: ssl.SSLContext | None = None
        self._lanes: dict[Hashable, dict[_Key, httpx.AsyncHTTPTransport]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* on its lane."""
        lane = request.extensions.get(LANE, _DEFAULT_LANE)
        url = request.url
        key = (lane.kind, url.raw_scheme, url.raw_host, url.port)
        if stale := self._take_stale(lane, key):
            await _close(stale)
        lanes = self._lanes.setdefault(lane.owner, {})
        if (transport := lanes.get(key)) is None:
            transport = lanes[key] = self._open(url)
            if isinstance(lane.owner, LaneOwner):
                lane.owner._transports.add(self)
        return await transport.handle_async_request(request)

    def _take_stale(self, lane: Lane, key: _Key) -> list[httpx.AsyncHTTPTransport]:
        """Remove what this lane shall not use any more: on request, and when its owner moved to another server."""
        lanes = self._lanes.get(lane.owner, {})
        moved = [other for other in lanes if other[0] == lane.kind and other != key and lane.owner is not None]
        return [lanes.pop(other) for other in (*moved, key) if other in lanes and (other != key or lane.fresh)]

    async def aclose_lane(self, owner: Hashable) -> None:
        """Close every connection of *owner*; requests that are on them are lost."""
        await _close(self._lanes.pop(owner, {}).values())

    async def aclose(self) -> None:
        """Close every connection."""
        lanes, self._lanes = self._lanes, {}
        await _close(transport for owned in lanes.values() for transport in owned.values())

    def _open(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        proxy = self._proxy_for(url)
        context = self._tls() if url.scheme == "https" or proxy is not None else self._no_tls()
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEPALIVE_S)
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


def default_http_client() -> httpx.AsyncClient:
    """
    Return an HTTP client with a :class:`LaneTransport`, for any number of sessions.

    It follows no redirect, keeps no cookie, and leaves every deadline but the connect limit to the caller.
    """
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    return httpx.AsyncClient(
        transport=LaneTransport(),
        trust_env=False,  # the transport does that; httpx would put a pool of its own in front of it for each proxy
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=CONNECT_S),
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
    )


async def _close(transports: Iterable[httpx.AsyncHTTPTransport]) -> None:
    """Close *transports* even if the caller is being cancelled: closing a socket waits for nobody."""
    with anyio.move_on_after(_CLOSE_S, shield=True):
        for transport in list(transports):
            await transport.aclose()
