"""Inbound messages (docs/reference/protocol.md, section 3)."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Annotated, TypeAlias
from urllib.parse import quote

import msgspec

from sessionfsm.ilink.fields import (
    Fields,
    array,
    child,
    exact,
    identifier,
    integer,
    object_of,
    repaired,
    secret,
    string,
    usable,
)
from sessionfsm.secret import Secret

__all__ = ["Item", "ItemType", "Message", "MessageType", "Quote", "parse_message"]

RichRepr: TypeAlias = "list[tuple[str, object]]"
"""What rich shows in place of the repr. A struct of msgspec has one of its own, and that shows every field."""


class MessageType(IntEnum):
    """Who wrote a message."""

    NONE = 0
    USER = 1
    BOT = 2


class ItemType(IntEnum):
    """What an item holds."""

    NONE = 0
    TEXT = 1
    IMAGE = 2
    VOICE = 3
    FILE = 4
    VIDEO = 5
    TOOL_CALL_START = 11
    TOOL_CALL_RESULT = 12


_TEXT, _VOICE = int(ItemType.TEXT), int(ItemType.VOICE)
_Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """
    The message that an item answers. Newer phones send its id only.

    Attributes:
        message_id: The id of the quoted message.
        title: The phone's summary of it.
        text: Its text, when the phone sent it along.
    """

    message_id: str | None = None
    title: str | None = None
    text: str | None = None

    def __repr__(self) -> str:
        return f"Quote(message_id={self.message_id!r})"

    def __rich_repr__(self) -> RichRepr:
        return [("message_id", self.message_id)]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """
    One part of a message. Keys and addresses of media are not taken out of ``Message.raw``.

    Attributes:
        type: A value of :class:`ItemType`, or one that we do not know yet.
        msg_id: The item's own id.
        text: The text, or a voice item's transcript.
        file_name: The name of a file item.
        is_completed: Tool items: false on start, true on result.
        quoted: The message that this item answers.
    """

    type: int | None = None
    msg_id: str | None = None
    text: str | None = None
    file_name: str | None = None
    create_time_ms: int | None = None
    is_completed: bool | None = None
    quoted: Quote | None = None

    def __repr__(self) -> str:
        return f"Item(type={_kind(self.type)}, msg_id={self.msg_id!r})"

    def __rich_repr__(self) -> RichRepr:
        return [("type", _kind(self.type)), ("msg_id", self.msg_id)]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """
    A message as it came. Every field may be absent; a field of a wrong type counts as absent.

    Its ``repr`` shows who, when and what kind, but neither secrets nor what was said.

    Attributes:
        message_id: The server's id, exact; sometimes absent. :meth:`dedup_key` is always there.
        create_time_ms: When it was written, by the server's clock, in milliseconds since 1970.
        message_type: A value of :class:`MessageType`, or one that we do not know yet.
        context_token: What an answer to this message should carry.
        raw: The JSON of this message, unknown fields included. It holds the context token and media keys in clear.
    """

    raw: bytes
    message_id: str | None = None
    from_user_id: str | None = None
    to_user_id: str | None = None
    client_id: str | None = None
    seq: int | None = None
    create_time_ms: int | None = None
    message_type: int | None = None
    message_state: int | None = None
    session_id: str | None = None
    group_id: str | None = None
    run_id: str | None = None
    items: tuple[Item, ...] = ()
    context_token: Secret | None = None

    @property
    def text(self) -> str:
        """All text of the message, transcripts of voice included, one line or more per item; ``""`` without any."""
        return "\n".join(item.text for item in self.items if item.text)

    @property
    def sender(self) -> str:
        """Who wrote it; ``""`` when the message does not say."""
        return self.from_user_id or ""

    def dedup_key(self) -> str:
        """
        Return what two copies of this message have in common (docs/reference/protocol.md, section 2.5).

        The best fact that the message has decides: its id, an item's id, the sender's own id for it, its place in
        the sender's sequence, and last its content. A copy may carry another context token, so that is never part
        of a key. A key may be logged: content is hashed.
        """
        if self.message_id:
            return f"id:{self.message_id}"
        for item in self.items:
            if item.msg_id:
                return f"item:{item.msg_id}"
        if self.from_user_id:
            sender = quote(self.from_user_id, safe="@")  # a colon in an id must not shift the parts
            if self.client_id:
                return f"client:{sender}:{quote(self.client_id, safe='')}"
            if self.seq and self.create_time_ms:  # zero is protobuf's "not set"
                return f"seq:{sender}:{self.seq}:{self.create_time_ms}"
        return f"hash:{_fingerprint(self.raw)}"

    def __repr__(self) -> str:
        kinds = ", ".join(_kind(item.type) for item in self.items)
        return (
            f"Message(message_id={self.message_id!r}, from_user_id={self.from_user_id!r}, "
            f"create_time_ms={self.create_time_ms!r}, items=[{kinds}])"
        )

    def __rich_repr__(self) -> RichRepr:
        kinds = [_kind(item.type) for item in self.items]
        shown = {name: getattr(self, name) for name in ("message_id", "from_user_id", "create_time_ms")}
        return [*shown.items(), ("items", kinds)]


class _WireText(msgspec.Struct):
    text: str | None = None


class _WireFile(msgspec.Struct):
    file_name: str | None = None


class _WireQuoted(msgspec.Struct):
    type: _Int64 | None = None
    msg_id: int | str | None = None
    text_item: _WireText | None = None
    voice_item: _WireText | None = None


class _WireQuote(msgspec.Struct):
    svr_id: int | str | None = None
    title: str | None = None
    message_item: _WireQuoted | None = None


class _WireItem(msgspec.Struct):
    type: _Int64 | None = None
    msg_id: int | str | None = None
    create_time_ms: _Int64 | None = None
    is_completed: bool | None = None
    text_item: _WireText | None = None
    voice_item: _WireText | None = None
    file_item: _WireFile | None = None
    ref_msg: _WireQuote | None = None


class _WireMessage(msgspec.Struct):
    """A message as it nearly always is. One that does not fit in here is read field by field."""

    message_id: int | str | None = None
    from_user_id: str | None = None
    to_user_id: str | None = None
    client_id: str | None = None
    seq: _Int64 | None = None
    create_time_ms: _Int64 | None = None
    message_type: _Int64 | None = None
    message_state: _Int64 | None = None
    session_id: str | None = None
    group_id: str | None = None
    run_id: str | None = None
    item_list: list[_WireItem] | None = None
    context_token: str | None = None


_WIRE = msgspec.json.Decoder(_WireMessage)


def parse_message(raw: bytes) -> Message | None:
    """Return the message that *raw* is the JSON of; ``None`` if it is no JSON object."""
    try:
        raw.decode("utf-8")
        wire = _WIRE.decode(raw)
    except (ValueError, RecursionError):  # as in fields.py
        return _read_by_fields(raw)
    return Message(
        raw=raw,
        message_id=exact(wire.message_id),
        from_user_id=wire.from_user_id,
        to_user_id=wire.to_user_id,
        client_id=wire.client_id,
        seq=wire.seq,
        create_time_ms=wire.create_time_ms,
        message_type=wire.message_type,
        message_state=wire.message_state,
        session_id=wire.session_id,
        group_id=wire.group_id,
        run_id=wire.run_id,
        items=tuple([_wire_item(item) for item in wire.item_list]) if wire.item_list else (),
        context_token=usable(wire.context_token),
    )


def _wire_item(wire: _WireItem) -> Item:
    quote = wire.ref_msg
    quoted = None
    if quote is not None:
        item = quote.message_item
        quoted = Quote(
            message_id=exact(quote.svr_id) or (exact(item.msg_id) if item is not None else None),
            title=quote.title,
            text=_wire_text(item) if item is not None else None,
        )
    return Item(
        type=wire.type,
        msg_id=exact(wire.msg_id),
        text=_wire_text(wire),
        file_name=wire.file_item.file_name if wire.file_item is not None else None,
        create_time_ms=wire.create_time_ms,
        is_completed=wire.is_completed,
        quoted=quoted,
    )


def _wire_text(wire: _WireItem | _WireQuoted) -> str | None:
    """Return what an item says, as :func:`_text` does."""
    kind = wire.type
    payload = wire.text_item if kind is None or kind == _TEXT else None
    if payload is None and (kind is None or kind == _VOICE):
        payload = wire.voice_item
    return payload.text if payload is not None else None


def _read_by_fields(raw: bytes) -> Message | None:
    """Read a message of which something is not as it should be, or which is none."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raw = repaired(raw)
    if (fields := object_of(raw)) is None:
        return None
    entries = array(fields, "item_list") or []
    return Message(
        raw=raw,
        message_id=identifier(fields, "message_id"),
        from_user_id=string(fields, "from_user_id"),
        to_user_id=string(fields, "to_user_id"),
        client_id=string(fields, "client_id"),
        seq=integer(fields, "seq"),
        create_time_ms=integer(fields, "create_time_ms"),
        message_type=integer(fields, "message_type"),
        message_state=integer(fields, "message_state"),
        session_id=string(fields, "session_id"),
        group_id=string(fields, "group_id"),
        run_id=string(fields, "run_id"),
        items=tuple(_item(entry) for data in entries if (entry := object_of(data)) is not None),
        context_token=secret(fields, "context_token"),
    )


def _item(fields: Fields) -> Item:
    completed = {b"true": True, b"false": False}.get(bytes(fields.get("is_completed", b"")))
    file = child(fields, "file_item") or {}
    quoted = child(fields, "ref_msg")
    return Item(
        type=integer(fields, "type"),
        msg_id=identifier(fields, "msg_id"),
        text=_text(fields),
        file_name=string(file, "file_name"),
        create_time_ms=integer(fields, "create_time_ms"),
        is_completed=completed,
        quoted=None if quoted is None else _quote(quoted),
    )


def _text(fields: Fields) -> str | None:
    """Return what an item says. Its payload has to match its type, where it has one."""
    match integer(fields, "type"):
        case ItemType.TEXT:
            names = ["text_item"]
        case ItemType.VOICE:
            names = ["voice_item"]
        case None:
            names = ["text_item", "voice_item"]
        case _:
            names = []
    for name in names:
        if (payload := child(fields, name)) is not None:
            return string(payload, "text")
    return None


def _quote(fields: Fields) -> Quote:
    """Read one level of quoting: a quote inside the quoted item stays in ``raw``, however deep somebody nests it."""
    item = child(fields, "message_item") or {}
    return Quote(
        message_id=identifier(fields, "svr_id") or identifier(item, "msg_id"),
        title=string(fields, "title"),
        text=_text(item),
    )


def _fingerprint(raw: bytes) -> str:
    """Return the SHA-256 of the message's canonical JSON without its context token."""
    digest = hashlib.sha256()
    for name, data in sorted((object_of(raw) or {}).items()):
        if name == "context_token":
            continue
        try:
            value = msgspec.json.encode(msgspec.json.decode(data), order="sorted")
        except (ValueError, RecursionError):
            value = bytes(data)  # a value that cannot be read still tells messages apart
        digest.update(msgspec.json.encode(name) + b":%d:" % len(value) + value)
    return digest.hexdigest()


def _kind(number: int | None) -> str:
    return next((kind.name for kind in ItemType if kind == number), str(number))
