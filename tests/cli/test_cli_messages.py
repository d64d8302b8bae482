"""The lines of ``sessionfsm run``."""

from __future__ import annotations

import json

from sessionfsm.cli.running import json_line
from sessionfsm.ilink import parse_message

RAW = b"""{
  "message_id": 7498123456789012345, "from_user_id": "ada@im.wechat", "create_time_ms": 1790000000000,
  "message_type": 1, "context_token": "c2VjcmV0", "unknown": {"n": 12345678901234567890123, "s": "a\\nb"},
  "item_list": [{"type": 1, "text_item": {"text": "one\\ntwo \xe4\xbd\xa0\xe5\xa5\xbd \xe2\x80\xa8"}}]
}"""


def line_of(raw: bytes) -> bytes:
    message = parse_message(raw)
    assert message is not None
    return json_line(message)


def test_a_message_is_one_line() -> None:
    """However the server writes its JSON, and whatever was said, there is no line end in the line."""
    line = line_of(RAW)
    assert b"\n" not in line
    document = json.loads(line)
    assert document["text"] == "one\ntwo 你好 \u2028"
    assert (document["from"], document["type"]) == ("ada@im.wechat", "text")


def test_the_context_token_stays_inside() -> None:
    assert b"c2VjcmV0" not in line_of(RAW)
    assert b"context_token" not in line_of(RAW)


def test_the_context_token_stays_inside_however_it_is_spelt() -> None:
    for name in (b"contextToken", b"ContextToken", b"CONTEXT_TOKEN", b"_context_token", b"context-token"):
        line = line_of(RAW.replace(b'"context_token"', b'"' + name + b'"'))
        assert b"c2VjcmV0" not in line
        assert json.loads(line)["message"]["unknown"]["n"]


def test_numbers_and_unknown_fields_are_passed_on_digit_for_digit() -> None:
    """An id beyond 2^53 is exact, as text and as the server sent it."""
    line = line_of(RAW)
    assert json.loads(line)["message_id"] == "7498123456789012345"
    assert b'"message_id":7498123456789012345' in line
    assert b'"n":12345678901234567890123' in line


def test_a_message_with_nothing_in_it_is_a_line_too() -> None:
    assert json.loads(line_of(b"{}")) == {
        "message_id": None,
        "from": None,
        "text": "",
        "create_time_ms": None,
        "type": None,
        "message": {},
    }
