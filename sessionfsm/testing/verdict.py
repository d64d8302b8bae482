"""What an answer says that the server did not make itself: the log must judge it as a client should."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sessionfsm.testing.replies import Reply

__all__ = ["judged"]


def judged(reply: Reply, endpoint: str) -> Reply:
    """Return *reply* with its code and, for a poll, whether it is good (protocol, sections 4.1 and 4.4)."""
    if reply.answer not in ("body", "oversize") or not 200 <= reply.status < 300:
        return reply
    try:
        document: Any = json.loads(reply.body)
    except (ValueError, RecursionError):
        return reply
    if not isinstance(document, dict):
        return reply
    codes = [document.get("errcode"), document.get("ret")]
    code = -14 if -14 in codes else next((code for code in codes if isinstance(code, int) and code), None)
    if code is not None or endpoint != "getupdates":
        return replace(reply, code=code)
    return replace(reply, good=document.get("msgs") is not None or bool(document.get("get_updates_buf")))
