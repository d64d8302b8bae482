"""Answers: what the server said, and whether it was an error (docs/reference/protocol.md, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from sessionfsm.errors import BadRequest, BrokenAnswer, ConversationClosed, ServerRefused, SessionLost
from sessionfsm.ilink.fields import Fields, array, identifier, integer, number, object_of, secret, string, usable
from sessionfsm.ilink.message import Item, ItemType, Message, MessageType, Quote, parse_message
from sessionfsm.secret import Secret, hide_secrets

__all__ = [
    "Item",
    "ItemType",
    "Message",
    "MessageType",
    "Quote",
    "Sent",
    "Updates",
    "effective_code",
    "parse_answer",
    "parse_message",
    "parse_sent",
    "parse_updates",
    "printable",
]

_SESSION_LOST = -14
_BAD_REQUEST = -2
_BOT = int(MessageType.BOT)
_CONVERSATION_CLOSED = frozenset({-2, -3, -4})
_ERRMSG_CHARACTERS = 200
_READ_CHARACTERS = 1000  # of a text that is cut to the above; secrets in it shrink
_BOM = b"\xef\xbb\xbf"

Secrets: TypeAlias = Callable[[], Iterable[Secret]]


class _Good(msgspec.Struct):
    """The answer to a poll as it nearly always is. One that does not fit in here is read field by field."""

    ret: int | None = None
    errcode: int | None = None
    msgs: list[msgspec.Raw] | None = None
    get_updates_buf: str | None = None
    longpolling_timeout_ms: int | None = None


_GOOD = msgspec.json.Decoder(_Good)


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """
    The answer to one ``getupdates``.

    Attributes:
        messages: The messages, in the server's order, without the bot's own.
        has_messages: The answer had a list of messages, even an empty one. An answer with neither this nor a cursor
            is *hollow*: it looks like success and may mean a lost session (section 4.4).
        cursor: The next cursor; ``None`` means: keep the one you have.
        hint_ms: How long the server suggests to hold the next poll. A wish: clamp it.
        dropped: Entries of the list that were no messages at all.
    """

    messages: tuple[Message, ...] = ()
    has_messages: bool = False
    cursor: Secret | None = None
    hint_ms: int | None = None
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """
    The server accepted a message.

    Attributes:
        message_id: The server's id for it. Without one it was probably not delivered; do not send it again.
        client_id: The id that it was sent under. After a deadline, and once only, resend under this same id.
    """

    message_id: str | None
    client_id: str

    @property
    def confirmed(self) -> bool:
        """The server gave the message an id."""
        return self.message_id is not None


def effective_code(ret: int | None, errcode: int | None) -> int:
    """Return the code in force: -14 wherever it stands, else ``errcode``, else ``ret``; 0 is success."""
    if _SESSION_LOST in (ret, errcode):
        return _SESSION_LOST
    return errcode or ret or 0


def parse_answer(body: bytes, *, endpoint: str, secrets: Secrets = tuple) -> Fields:
    """
    Return the members of a successful answer; none for an empty body.

    Args:
        secrets: Asked, when there is an error, what the request held: the server's words are shown to people, and must
            not repeat these.

    Raises:
        SessionLost: If the code is -14.
        BadRequest: If the code says that the request was malformed.
        ConversationClosed: If a message was refused because of its conversation.
        ServerRefused: If there is any other code.
        BrokenAnswer: If the body is no JSON object, or a code is no number.
    """
    body = body.removeprefix(_BOM)
    if not body.strip():
        return {}
    if (fields := object_of(body)) is None:
        raise BrokenAnswer("the body is not a JSON object", endpoint=endpoint)
    code = effective_code(_code(fields, "ret", endpoint), _code(fields, "errcode", endpoint))
    if code == 0:
        return fields
    said = string(fields, "errmsg") or ""
    errmsg = printable(said, secrets())
    words = f"{code}: {errmsg}" if errmsg else f"{code}"
    if code == _SESSION_LOST:
        raise SessionLost(f"the session is lost ({words})", endpoint=endpoint, code=code, errmsg=errmsg)
    reason = said.strip().lower()
    if code == _BAD_REQUEST and (reason == "invalid arguments" or reason.endswith("required")):
        raise BadRequest(f"the request is malformed ({words})", endpoint=endpoint, code=code, errmsg=errmsg)
    if endpoint == "sendmessage" and code in _CONVERSATION_CLOSED:
        raise ConversationClosed(f"the conversation is closed ({words})", endpoint=endpoint, code=code, errmsg=errmsg)
    raise ServerRefused(f"refused ({words})", endpoint=endpoint, code=code, errmsg=errmsg)


def parse_updates(body: bytes, *, secrets: Secrets = tuple) -> Updates:
    """
    Read the answer to ``getupdates``. What is wrong in one message, or in a hint, spoils nothing else.

    Raises:
        ILinkError: As :func:`parse_answer` does.
    """
    try:
        good = _GOOD.decode(body)
    except (ValueError, RecursionError):  # as in fields.py
        good = None
    hint_ms: float | None
    if good is not None and not good.ret and not good.errcode:
        entries, cursor, hint_ms = good.msgs, usable(good.get_updates_buf), good.longpolling_timeout_ms
    else:
        fields = parse_answer(body, endpoint="getupdates", secrets=secrets)
        entries, cursor = array(fields, "msgs"), secret(fields, "get_updates_buf")
        hint_ms = number(fields, "longpolling_timeout_ms")
    parsed = [parse_message(bytes(entry)) for entry in entries] if entries else []
    return Updates(
        messages=tuple([m for m in parsed if m is not None and m.message_type != _BOT]),
        has_messages=entries is not None,
        cursor=cursor,
        hint_ms=int(hint_ms) if hint_ms is not None and 1 <= hint_ms < 2**63 else None,
        dropped=parsed.count(None),
    )


def parse_sent(body: bytes, *, client_id: str, secrets: Secrets = tuple) -> Sent:
    """
    Read the answer to ``sendmessage``.

    Raises:
        ILinkError: As :func:`parse_answer` does.
    """
    fields = parse_answer(body, endpoint="sendmessage", secrets=secrets)
    return Sent(message_id=identifier(fields, "message_id"), client_id=client_id)


def printable(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return foreign *text* fit for an error message: one short line, without the given secrets."""
    # Invisible characters go first: they could split a secret that would be whole again without them.
    text = "".join(character for character in text[:_READ_CHARACTERS] if character.isprintable())
    return hide_secrets(text, secrets)[:_ERRMSG_CHARACTERS]


def _code(fields: Fields, name: str, endpoint: str) -> int | None:
    code = integer(fields, name)
    if code is None and bytes(fields.get(name, b"null")) != b"null":
        raise BrokenAnswer(f"{name} is not a number", endpoint=endpoint)
    return code
