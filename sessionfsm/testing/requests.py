"""A request as a front end hands it over, and what a strict server would say about it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sessionfsm.identity import account_id
from sessionfsm.secret import Secret

__all__ = ["PATHS", "Request", "account_name", "bad_send", "deviations"]

PATHS: Final[Mapping[str, str]] = {
    "/ilink/bot/getupdates": "getupdates",
    "/ilink/bot/sendmessage": "sendmessage",
    "/ilink/bot/getconfig": "getconfig",
    "/ilink/bot/sendtyping": "sendtyping",
    "/ilink/bot/msg/notifystart": "notifystart",
    "/ilink/bot/msg/notifystop": "notifystop",
}
"""The endpoints that the fake server has, all of them POST."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Request:
    """One HTTP request, its body complete; *headers* has lower-case names. No repr: it would show the token."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def endpoint(self) -> str:
        """The endpoint's name, ``unknown`` for a path that the server has not."""
        return PATHS.get(self.path, "unknown")

    @property
    def token(self) -> str:
        """The bot token; empty without one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def document(self) -> dict[str, Any] | None:
        """Return the body as a JSON object; ``None`` if it is not one."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None


def account_name(token: str) -> str:
    """Return what an account is called in logs: the bot id in the token if there is one, else a hash of the token."""
    return account_id(Secret(token)) if token else ""


def deviations(request: Request, document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how the request differs from protocol, sections 1.2 and 1.3; it is answered all the same."""
    headers = request.headers
    found: list[str] = []
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        found.append("Content-Type is not application/json")
    if headers.get("authorizationtype") != "ilink_bot_token":
        found.append("AuthorizationType is not ilink_bot_token")
    if headers.get("ilink-app-id") != "bot":
        found.append("iLink-App-Id is not bot")
    if not _is_uint32(headers.get("ilink-app-clientversion", "")):
        found.append("iLink-App-ClientVersion is not a decimal number")
    if not _is_uin(headers.get("x-wechat-uin", "")):
        found.append("X-WECHAT-UIN is not the base64 of a decimal uint32")
    base_info = document.get("base_info")
    if not isinstance(base_info, dict):
        found.append("base_info is missing")
    elif not isinstance(base_info.get("channel_version"), str):
        found.append("base_info.channel_version is missing")
    if request.endpoint == "getupdates" and not isinstance(document.get("get_updates_buf"), str):
        found.append("get_updates_buf is missing")
    return tuple(found)


def bad_send(document: Mapping[str, Any]) -> bool:
    """Whether ``sendmessage`` lacks what it must have (protocol, section 2.6), or has more than one item."""
    message = document.get("msg")
    if not isinstance(message, dict):
        return True
    items = message.get("item_list")
    return not (
        isinstance(message.get("from_user_id"), str)
        and all(isinstance(message.get(name), str) and message[name] for name in ("to_user_id", "client_id"))
        and message.get("message_type") in (1, 2)
        and message.get("message_state") == 2
        and isinstance(items, list)
        and len(items) == 1
        and isinstance(items[0], dict)
    )


def _is_uint32(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 2**32


def _is_uin(text: str) -> bool:
    try:
        return _is_uint32(base64.b64decode(text, validate=True).decode("ascii"))
    except (binascii.Error, ValueError):
        return False
