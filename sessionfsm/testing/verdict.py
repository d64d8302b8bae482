"""What an answer says that the server did not make itself: the log must judge it as a client should."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sessionfsm.testing.replies import Reply

__all__ = ["judged"]


def judged(reply: Reply, endpoint: str) -> Reply:
    """Return *reply* with its code and, for a poll, whether it is good and may bring news (protocol, 4.1 and 4.4)."""
    if reply.answer != "body" or not 200 <= reply.status < 300:
        return reply
    try:
        document: Any = json.loads(reply.body) if reply.body.strip() else {}
    except (ValueError, RecursionError):
        return reply
    if not isinstance(document, dict):
        return reply
    try:
        codes = [_code(document.get(name)) for name in ("errcode", "ret")]
    except ValueError:
        return reply
    code = -14 if -14 in codes else next((code for code in codes if code), None)
    if code is not None:
        return replace(reply, code=code, answer=str(code))
    if endpoint != "getupdates":
        return replace(reply, answer="ok")
    messages, cursor = document.get("msgs"), document.get("get_updates_buf")
    good = isinstance(messages, list) or (isinstance(cursor, str) and bool(cursor))
    # Whether a message is new to the client nobody knows here; if it is, the client has a reason to hurry (P8).
    news = isinstance(messages, list) and any(isinstance(each, dict) for each in messages)
    return replace(reply, good=good, news=news, answer="empty" if good else "hollow")


def _code(value: object) -> int:
    """Return a code, 0 without one. Protobuf's JSON may write a number as a string."""
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return int(value)
    raise ValueError("this is no code")
