"""Where requests go, and the part of a request that never changes."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import httpx

from sessionfsm.ilink.connection import Origin

__all__ = ["Fields", "Route", "route"]


class Route:
    """
    One endpoint of one server, shared by all sessions that call it.

    Args:
        url: The whole URL.
    """

    __slots__ = ("origin", "start", "url")

    def __init__(self, url: str) -> None:
        self.url = httpx.URL(url)
        self.origin = Origin(self.url.raw_scheme, self.url.raw_host, self.url.port)
        self.start = b"POST %s HTTP/1.1\r\nHost: %s\r\n" % (self.url.raw_path, self.url.netloc)


@functools.lru_cache(maxsize=1024)
def route(url: str) -> Route:
    """Return the route to *url*. Many sessions ask for the same few."""
    return Route(url)


class Fields:
    """
    The header fields of one session's requests, as they go over the wire but for those that are new each time.

    It holds the token in clear: keep it where nobody looks, and pass it to nobody.

    Args:
        headers: Their names and values.
    """

    __slots__ = ("_lines",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii")

    def __repr__(self) -> str:
        return "Fields()"

    def request(self, to: Route, uin: str, content: bytes, *, single_use: bool) -> bytes:
        """
        Return one request as it goes over the wire, the token in clear.

        Args:
            uin: The value of ``X-WECHAT-UIN`` (docs/reference/protocol.md, section 1.2).
            single_use: Tell the server that the connection ends with the answer.
        """
        return b"%s%sX-WECHAT-UIN: %s\r\n%sContent-Length: %d\r\n\r\n%s" % (
            to.start,
            self._lines,
            uin.encode("ascii"),
            b"Connection: close\r\n" if single_use else b"",
            len(content),
            content,
        )

    def headers(self, uin: str, *, single_use: bool) -> dict[str, str]:
        """Return the same for httpx to send."""
        lines = self._lines.decode("ascii").split("\r\n")[:-1]
        headers = dict(line.split(": ", 1) for line in lines)
        headers["X-WECHAT-UIN"] = uin
        if single_use:
            headers["Connection"] = "close"
        return headers
