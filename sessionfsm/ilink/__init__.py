"""
The wire: what iLink is told, and how its answers are read (docs/reference/protocol.md).

This package knows nothing of a session's state, so a send can never be held back by a poll. The names that need the
HTTP client are loaded when they are first used: the store reads messages without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionfsm.ilink.address import DEFAULT_BASE_URL, check_base_url
from sessionfsm.ilink.headers import CHANNEL_VERSION, DEFAULT_BOT_AGENT, client_version, sanitize_bot_agent, wechat_uin
from sessionfsm.ilink.message import Item, ItemType, Message, MessageType, Quote, parse_message
from sessionfsm.ilink.text import split_text
from sessionfsm.ilink.wire import Sent, Updates, effective_code

if TYPE_CHECKING:
    from sessionfsm.ilink.client import ILinkClient
    from sessionfsm.ilink.lanes import Lane, LaneTransport, default_http_client

__all__ = [
    "ILinkClient",
    "Lane",
    "LaneTransport",
    "default_http_client",
    "Message",
    "MessageType",
    "Item",
    "ItemType",
    "Quote",
    "parse_message",
    "Updates",
    "Sent",
    "effective_code",
    "split_text",
    "check_base_url",
    "client_version",
    "wechat_uin",
    "sanitize_bot_agent",
    "CHANNEL_VERSION",
    "DEFAULT_BASE_URL",
    "DEFAULT_BOT_AGENT",
]


def __getattr__(name: str) -> object:
    if name == "ILinkClient":
        from sessionfsm.ilink.client import ILinkClient

        return ILinkClient
    if name in ("Lane", "LaneTransport", "default_http_client"):
        from sessionfsm.ilink import lanes

        return getattr(lanes, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
