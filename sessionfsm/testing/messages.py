"""Messages as the wire has them: what users write, and what bots sent."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["SentMessage", "context_token", "id_of", "identity", "user_message"]

_EPOCH_MS: Final = 1_790_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class SentMessage:
    """What a bot sent with ``sendmessage``. *text* is empty when the item is no text; *item* is the item itself."""

    to: str
    text: str
    client_id: str
    context_token: str | None = field(repr=False)
    at_s: float
    message_id: str
    item: dict[str, Any] = field(repr=False, hash=False)

    @classmethod
    def of(cls, message: dict[str, Any], *, at_s: float, message_id: str) -> SentMessage:
        """Return what a ``sendmessage`` that is in order has sent."""
        item = message["item_list"][0]
        content = item.get("text_item")
        text = content.get("text") if isinstance(content, dict) else None
        token = message.get("context_token")
        return cls(
            to=message["to_user_id"],
            text=text if isinstance(text, str) else "",
            client_id=message["client_id"],
            context_token=token if isinstance(token, str) else None,
            at_s=at_s,
            message_id=message_id,
            item=item,
        )


def user_message(number: int, *, text: str, sender: str, receiver: str) -> dict[str, Any]:
    """Return the *number*-th message of an account, without an id. It depends on nothing but its arguments."""
    now_ms = _EPOCH_MS + number * 1000
    return {
        "seq": number,
        "from_user_id": sender,
        "to_user_id": receiver,
        "client_id": f"mmassistant_bypmsg_inbox_{now_ms}_{number}",
        "create_time_ms": now_ms,
        "update_time_ms": now_ms,
        "delete_time_ms": 0,
        "session_id": "",
        "group_id": "",
        "message_type": 1,
        "message_state": 2,
        "item_list": [
            {
                "type": 1,
                "create_time_ms": now_ms,
                "update_time_ms": now_ms,
                "is_completed": True,
                "text_item": {"text": text},
            }
        ],
        "context_token": context_token(number, receiver),
    }


def context_token(number: int, name: str) -> str:
    """Return a context token as long as the real ones, another for each *number*."""
    return base64.b64encode(f"fabricated context token {number:08} of {name}".ljust(102).encode()).decode()


def id_of(message: dict[str, Any]) -> str:
    """Return the id as text, empty without one."""
    message_id = message.get("message_id")
    return "" if message_id is None else str(message_id)


def identity(message: dict[str, Any]) -> object:
    """Return what two copies of a message have in common (protocol, section 2.5: the dedup key)."""
    return id_of(message) or (message.get("from_user_id"), message.get("client_id"))
