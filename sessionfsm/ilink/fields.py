"""
Reading JSON that nobody promised us (docs/reference/protocol.md, section 1.5).

An object is taken apart one level at a time, each value staying raw JSON until somebody asks for it. So a value that
cannot be read (a number beyond any bound, a string that is not UTF-8, a wrong type) is absent and spoils nothing
else, and what nobody asks for is never decoded at all. A batch must not be refused for one bad field: the server
would hand out the same batch for ever.
"""

from __future__ import annotations

import math
import re
from typing import TypeAlias

import msgspec

from sessionfsm.secret import Secret

__all__ = [
    "Fields",
    "array",
    "child",
    "exact",
    "identifier",
    "integer",
    "number",
    "object_of",
    "plain",
    "repaired",
    "secret",
    "string",
    "usable",
]

Fields: TypeAlias = "dict[str, msgspec.Raw]"

# RecursionError: nesting too deep. ValueError: msgspec.DecodeError and UnicodeDecodeError.
_UNREADABLE = (ValueError, RecursionError)

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ANY = msgspec.json.Decoder()

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}")


def object_of(data: bytes | msgspec.Raw) -> Fields | None:
    """Return the members of a JSON object, raw; ``None`` if *data* is none."""
    try:
        return _OBJECT.decode(data)
    except _UNREADABLE:
        pass
    try:
        return _OBJECT.decode(repaired(data))
    except _UNREADABLE:
        return None


def array(fields: Fields, name: str) -> list[msgspec.Raw] | None:
    """Return the entries of a list, raw; ``None`` if there is no such list."""
    if (data := fields.get(name)) is None:
        return None
    try:
        return _ARRAY.decode(data)
    except _UNREADABLE:
        return None


def child(fields: Fields, name: str) -> Fields | None:
    """Return the members of an object inside an object; ``None`` if there is none."""
    data = fields.get(name)
    return None if data is None else object_of(data)


def plain(fields: Fields, name: str) -> object:
    """Return a value as Python's; ``None`` if it is absent, null or cannot be read."""
    if (data := fields.get(name)) is None:
        return None
    try:
        return _ANY.decode(data)
    except _UNREADABLE:
        pass
    try:
        return _ANY.decode(repaired(data))
    except _UNREADABLE:
        return None


def string(fields: Fields, name: str) -> str | None:
    """Return a string. Bytes that are not UTF-8, and halves of surrogate pairs, come as U+FFFD."""
    value = plain(fields, name)
    return value if isinstance(value, str) else None


def integer(fields: Fields, name: str) -> int | None:
    """Return an integer of 64 bits; protobuf's JSON writes those as strings too."""
    match plain(fields, name):
        case bool():
            return None
        case int() as value:
            pass
        case str() as text if _DECIMAL.fullmatch(text):
            value = int(text)
        case float() as real if real.is_integer() and abs(real) < 2**53:
            value = int(real)
        case _:
            return None
    return value if -(2**63) <= value < 2**63 else None


def number(fields: Fields, name: str) -> float | int | None:
    """Return a finite number."""
    value = plain(fields, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared, not converted: JSON knows integers that no float can hold.
    return value if -math.inf < value < math.inf else None


def identifier(fields: Fields, name: str) -> str | None:
    """
    Return an id exactly, as a string, whether it came as a number or as a string.

    Zero and the empty string are protobuf's way to say that there is none.
    """
    return exact(plain(fields, name))


def exact(value: object) -> str | None:
    """Return a JSON value as an id; ``None`` if it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**64:
        return str(value)
    if isinstance(value, str) and value.strip() not in ("", "0"):
        return value
    return None


def secret(fields: Fields, name: str) -> Secret | None:
    """Return a string that has to be sent back verbatim; ``None`` if it is empty, or did not come over intact."""
    return usable(string(fields, name))


def usable(text: str | None) -> Secret | None:
    """Return *text* hidden; ``None`` if it is empty, or did not come over intact."""
    return Secret(text) if text and "\ufffd" not in text else None


def repaired(data: bytes | msgspec.Raw) -> bytes:
    """Return *data* as valid UTF-8 in which no escape stands for half a surrogate pair."""
    text = bytes(data).decode("utf-8", "replace").encode("utf-8")
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found["lone"] else found[0], text)
