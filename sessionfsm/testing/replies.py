"""Answers as data: what goes over the wire, and what the log says of it. The front ends perform them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from sessionfsm.testing import faults
from sessionfsm.testing.faults import AnswerFault, CodeShape, HollowShape

__all__ = ["LOST", "Reply", "code_reply", "fault_reply", "hollow_reply", "json_reply", "status_reply"]

_JSON: Final = (("content-type", "application/json"),)
_HTML: Final = (("content-type", "text/html"),)
_PAGE: Final = b"<!DOCTYPE html><html><head><title>%d</title></head><body>Not what you asked for.</body></html>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """
    An answer.

    Attributes:
        status: The HTTP status.
        headers: Without the length, which the front end knows.
        body: What is sent.
        missing: So many bytes more are announced, but the connection closes instead.
        drip_s: After *body*, a space each so many seconds, for ever.
        lost: Nothing of this is sent: the connection is lost.
        answer, code, messages, good, news: For the log (:class:`~sessionfsm.testing.wirelog.Exchange`).
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = _JSON
    body: bytes = b"{}"
    missing: int = 0
    drip_s: float | None = None
    lost: bool = False
    answer: str = "ok"
    code: int | None = None
    messages: tuple[str, ...] = ()
    good: bool = False
    news: bool = False


LOST: Final = Reply(lost=True, body=b"", headers=(), answer="reset")
"""The connection is lost before an answer."""


def json_reply(document: dict[str, Any], *, answer: str = "ok") -> Reply:
    """Return a plain answer."""
    return Reply(body=json.dumps(document, separators=(",", ":")).encode(), answer=answer)


def status_reply(status: int, *headers: tuple[str, str]) -> Reply:
    """Return an HTTP status with an HTML page, as gateways send it."""
    return Reply(status=status, headers=_HTML + headers, body=_page(status), answer=f"status {status}")


def code_reply(code: int, *, shape: CodeShape = "errcode", errmsg: str | None = None) -> Reply:
    """Return HTTP 200 with an error code in one of the shapes of protocol, section 4.1."""
    document: dict[str, Any] = {}
    if shape != "errcode":
        document["ret"] = 0 if shape == "ret_zero" else code
    if shape != "ret":
        document["errcode"] = code
    if errmsg is None and code == -14:
        errmsg = "session timeout"
    if errmsg:
        document["errmsg"] = errmsg
    return Reply(body=json.dumps(document).encode(), answer=str(code), code=code)


def hollow_reply(shape: HollowShape) -> Reply:
    """Return a poll's answer that has no error and nothing else either."""
    bodies: dict[HollowShape, bytes] = {
        "empty": b"{}",
        "empty_cursor": b'{"sync_buf":"","get_updates_buf":""}',
        "null": b'{"ret":null,"msgs":null,"get_updates_buf":null}',
    }
    return Reply(body=bodies[shape], answer="hollow")


def fault_reply(fault: AnswerFault) -> Reply:
    """Return the answer that *fault* stands for. ``hang`` has none: the server sees to it."""
    match fault:
        case faults.Status(status=status, retry_after=retry_after):
            return status_reply(status, *([("retry-after", retry_after)] if retry_after else []))
        case faults.Code(code=code, shape=shape, errmsg=errmsg):
            return code_reply(code, shape=shape, errmsg=errmsg)
        case faults.Html():
            return Reply(headers=_HTML, body=_page(200), answer="html")
        case faults.Garbage():
            return Reply(body=b"\xff\xfe\x00\x80garbage\x00\xc3\x28", answer="garbage")
        case faults.Body(body=body, status=status):
            return Reply(body=body, status=status, answer="body")
        case faults.Truncated(body=body):
            return Reply(body=body, missing=64, answer="truncated")
        case faults.Drip(each_s=each_s):
            return Reply(body=b"", drip_s=each_s, answer="drip")
        case faults.Reset():
            return LOST
        case faults.Redirect(location=location):
            return Reply(status=302, headers=(("location", location),), body=b"", answer="redirect")
        case faults.Oversize(size=size):
            head, tail = b'{"msgs":[],"padding":"', b'"}'
            padding = b"x" * max(0, size - len(head) - len(tail))
            return Reply(body=head + padding + tail, answer="oversize")
        case _:
            raise AssertionError(f"{fault.kind} has no answer")


def _page(status: int) -> bytes:
    return _PAGE % status
