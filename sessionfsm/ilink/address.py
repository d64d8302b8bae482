"""
Which servers a bot token may be sent to (docs/reference/protocol.md, section 1.1).

The check is a list of what is allowed, not of what is forbidden: anything that two URL parsers could read in two ways
(white space, backslashes, ``@``, letters outside ASCII, ``0177.1``) is refused instead of interpreted.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Collection
from typing import NamedTuple

from sessionfsm.errors import AddressError

__all__ = ["DEFAULT_BASE_URL", "check_base_url", "is_loopback"]

DEFAULT_BASE_URL = "https://ilinkai.weixin.qq.com"

_HOME = "weixin.qq.com"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# Resolvers read a name whose last label is a number as an IPv4 address, in octal and in hexadecimal too.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int | None  # None: the scheme's own

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port is None else f":{self.port}")


def check_base_url(base_url: str, allow_hosts: Collection[str] = ()) -> str:
    """
    Return the origin of *base_url*, normalised, with exactly one slash at its end.

    Allowed are ``https`` at or below ``weixin.qq.com``, ``http`` and ``https`` on this machine's loopback, and what
    *allow_hosts* names.

    Args:
        allow_hosts: Hosts that may receive tokens as well. ``bots.example.com`` means ``https`` at exactly this host,
            any port; ``bots.example.com:8443`` this port only; ``http://10.0.0.5:8080`` exactly this origin.

    Raises:
        AddressError: If the address is not allowed, or could be read in more than one way. The message never shows
            user info, a path or a query.
    """
    if isinstance(allow_hosts, str):
        raise AddressError(f"allow_hosts is a collection of hosts, not one string: write [{_shown(allow_hosts)}]")
    origin = _parse(base_url, "the base URL")
    if _is_allowed(origin) or any(_names(entry, origin) for entry in allow_hosts):
        return f"{origin}/"
    if origin.scheme == "http":
        raise AddressError(
            f"{origin} is not allowed: http would send the token in clear; "
            f"use https, or name this very origin: allow_hosts=[{str(origin)!r}]"
        )
    raise AddressError(
        f"{origin} is not allowed: it is neither at or below {_HOME} nor on the loopback; "
        f"to trust it with a token, allow_hosts=[{origin.host!r}]"
    )


@functools.lru_cache(maxsize=1024)  # asked for each connection, of the same few hosts
def is_loopback(host: str) -> bool:
    """Tell whether *host* is ``localhost`` or an address that never leaves this machine."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # An IPv4 address in IPv6 dress counts as loopback in newer Pythons only; nobody needs it, so nobody may.
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None


def _is_allowed(origin: _Origin) -> bool:
    at_home = origin.host == _HOME or origin.host.endswith(f".{_HOME}")
    return (origin.scheme == "https" and at_home) or is_loopback(origin.host)


def _names(entry: str, origin: _Origin) -> bool:
    if "://" in entry:
        return _parse(entry, "an entry of allow_hosts") == origin
    named = _parse(f"https://{entry}", "an entry of allow_hosts")
    has_port = re.search(r":[0-9]+/?\Z", entry) is not None and not entry.endswith("]")
    same_host = origin.scheme == "https" and named.host == origin.host
    return same_host and (not has_port or named.port == origin.port)


def _parse(text: str, what: str) -> _Origin:
    """Read an origin; *what* names it in messages. Nothing of *text* is shown before it is known to be harmless."""
    if not isinstance(text, str):
        raise AddressError(f"{what} is a string, not {type(text).__name__}")
    return _read(text, what)


@functools.lru_cache(maxsize=256)  # all sessions of a process have the same few
def _read(text: str, what: str) -> _Origin:
    if not text.isascii():
        raise AddressError(f"{what} has characters outside ASCII; write an international name in its xn-- form")
    if not text.isprintable() or " " in text or "\\" in text:
        raise AddressError(f"{what} has white space, a control character or a backslash in it")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        raise AddressError(f"{what} starts with https:// (or, where that is allowed, http://)")
    authority, tail = re.fullmatch(r"([^/?#]*)(.*)", rest).groups()  # type: ignore[union-attr]  # it always matches
    if "@" in authority:
        raise AddressError(f"{what} has user info in it; only scheme, host and port are allowed")
    if tail not in ("", "/"):
        raise AddressError(f"{what} has a path, a query or a fragment; only scheme, host and port are allowed")
    if authority.startswith("["):
        host, _, after = authority[1:].partition("]")
        colon, port = after[:1], after[1:]
        if colon not in ("", ":"):
            raise AddressError(f"{what} has something between its host and its port")
        host = _address(host, ipaddress.IPv6Address, what)
    else:
        name, colon, port = authority.partition(":")
        host = _host(name.lower().removesuffix("."), what)
    return _Origin(scheme, host, _port(port, scheme, what) if colon else None)


def _host(name: str, what: str) -> str:
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressError(f"{what} has no valid host name: {_shown(name)}")
    if _NUMBER.fullmatch(labels[-1]):
        return _address(name, ipaddress.IPv4Address, what)
    return name


def _address(text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address], what: str) -> str:
    try:
        if "%" in text:
            raise ValueError("a zone is not allowed")
        return str(kind(text))
    except ValueError:
        raise AddressError(f"{what} has no valid address: {_shown(text)}") from None


def _port(text: str, scheme: str, what: str) -> int | None:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise AddressError(f"{what} has no valid port: {_shown(text)}; ports are 1 to 65535")
    return None if int(text) == _DEFAULT_PORTS[scheme] else int(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
