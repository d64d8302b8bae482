"""
The rows: what is compared. Each is the plain program that one would write with what it is named for.

Each is an async context manager that yields an async function: it runs one session until it is cancelled. The bare
rows do this and nothing else: ask with the cursor, decode the answer as JSON, keep the cursor in memory, look at the
messages. They keep nothing on disk, have no state machine, renew nothing, and do not know an error from a -14. After a
connection that broke they wait for a second. These programs are the yardstick, and stay as they are.
"""

from __future__ import annotations

import importlib
import json
import ssl
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["ROWS", "Live", "Row", "World", "load"]

Live: TypeAlias = Callable[[int], Coroutine[Any, Any, object]]
"""Runs one session, whose number is given."""

Row: TypeAlias = "Callable[[World], AbstractAsyncContextManager[Live]]"

ROWS = {
    "ours": "ours:ours",
    "manager": "ours:manager",
    "httpx per session": "httpx_rows:per_session",
    "httpx shared": "httpx_rows:shared",
    "aiohttp": "aiohttp_row:aiohttp_row",
    "floor": "floor:floor",
}
"""Where each is."""

ASYNCIO_ONLY = ("aiohttp", "floor")
RENEWING = ("ours", "manager")
"""After -14 they renew, and poll again. The bare rows do not know it from any other answer."""

PATH = "/ilink/bot/getupdates"
PATIENCE_S = 130.0  # the server's hint, and ten seconds


@dataclass(slots=True)
class World:
    """
    What a row is told, and tells.

    Attributes:
        base_url: The server.
        folder: For files.
        tls: How the server is trusted, if it speaks TLS.
        latencies_ns: How old each message was when the program had it.
        errors: How often something went wrong.
    """

    base_url: str
    folder: Path
    tls: ssl.SSLContext | None = None
    latencies_ns: list[int] = field(default_factory=list)
    errors: int = 0

    def arrived(self, text: str) -> None:
        """A message is in the program's hands. Its text says when it was sent."""
        self.latencies_ns.append(time.monotonic_ns() - int(text))


def load(name: str) -> Row:
    """Return a row, with what it needs imported."""
    module, _, function = ROWS[name].partition(":")
    row: Row = getattr(importlib.import_module(f".{module}", __name__), function)
    return row


def token(number: int) -> str:
    """Return the token of a session."""
    return f"{number:012x}@im.bot:{number:032x}"


def headers(number: int) -> dict[str, str]:
    """Return what a bare row sends with each of its requests."""
    return {
        "Content-Type": "application/json",
        "AuthorizationType": "ilink_bot_token",
        "Authorization": f"Bearer {token(number)}",
        "X-WECHAT-UIN": "MzA1NDE5ODk2",
        "iLink-App-Id": "bot",
        "iLink-App-ClientVersion": "132105",
    }


def request_body(cursor: str) -> bytes:
    """Return what a bare row asks."""
    return json.dumps(
        {"get_updates_buf": cursor, "base_info": {"channel_version": "2.4.9", "bot_agent": "bare/1.0"}}
    ).encode()


def read(world: World, body: bytes) -> str:
    """Look at the messages of an answer, and return its cursor."""
    found: dict[str, Any] = json.loads(body)
    for message in found.get("msgs") or ():
        world.arrived(message["item_list"][0]["text_item"]["text"])
    cursor: str = found.get("get_updates_buf", "")
    return cursor
