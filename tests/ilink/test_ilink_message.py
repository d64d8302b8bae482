"""Inbound messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfsm.ilink.message import ItemType, Message, _read_by_fields, parse_message
from sessionfsm.secret import Secret

USER = "o9cq80000000000000000000abcd@im.wechat"

TEXT_MESSAGE: dict[str, Any] = {
    "seq": 12,
    "message_id": 7498123456789012345,
    "from_user_id": USER,
    "to_user_id": "0a1b2c3d4e5f@im.bot",
    "client_id": "mmassistant_bypmsg_inbox_1790000000_1",
    "create_time_ms": 1790000000123,
    "update_time_ms": 1790000000123,
    "delete_time_ms": 0,
    "session_id": "",
    "group_id": "",
    "message_type": 1,
    "message_state": 2,
    "item_list": [
        {
            "type": 1,
            "create_time_ms": 1790000000123,
            "update_time_ms": 1790000000123,
            "is_completed": True,
            "text_item": {"text": "hello"},
        }
    ],
    "context_token": "ZmFicmljYXRlZC1jb250ZXh0LXRva2VuLTAwMDE=",
}

MEDIA = {
    "encrypt_query_param": "fabricated-param",
    "aes_key": "ABEiM0RVZneImaq7zN3u/w==",
    "full_url": "https://novac2c.cdn.weixin.qq.com/c2c/download?encrypted_query_param=fabricated",
}
ITEMS: list[dict[str, Any]] = [
    {"type": 2, "image_item": {"aeskey": "00112233445566778899aabbccddeeff", "media": MEDIA, "hd_size": 0}},
    {"type": 3, "voice_item": {"media": MEDIA, "playtime": 2340, "text": "transcript of the voice", "size": 3456}},
    {"type": 4, "file_item": {"media": MEDIA, "file_name": "report.pdf", "len": "1000"}},
    {"type": 5, "video_item": {"media": MEDIA, "play_length": 7}},
    {
        "type": 1,
        "text_item": {"text": "about this"},
        "ref_msg": {"title": "summary", "message_item": {"type": 1, "text_item": {"text": "the quoted text"}}},
    },
    {
        "type": 1,
        "text_item": {"text": "about that part"},
        "ref_msg": {"svr_id": 7498123456789012000, "partial_text": {"start": "two", "startindex": 0}},
    },
]


def parsed(fields: object) -> Message:
    """Parse what must be a message."""
    message = parse_message(json.dumps(fields).encode())
    assert message is not None
    return message


def test_the_text_message_of_the_reference() -> None:
    """Every field of the example of section 7.4 arrives, the id exact."""
    message = parsed(TEXT_MESSAGE)
    assert message.message_id == "7498123456789012345"
    assert message.sender == message.from_user_id == USER
    assert message.to_user_id == "0a1b2c3d4e5f@im.bot"
    assert message.client_id == "mmassistant_bypmsg_inbox_1790000000_1"
    assert (message.seq, message.create_time_ms) == (12, 1790000000123)
    assert (message.message_type, message.message_state) == (1, 2)
    assert (message.session_id, message.group_id, message.run_id) == ("", "", None)
    assert message.context_token == Secret(TEXT_MESSAGE["context_token"])
    assert message.text == "hello"
    assert message.items[0].is_completed is True
    assert json.loads(message.raw) == TEXT_MESSAGE


def test_the_items_of_the_reference() -> None:
    """Texts and transcripts are the message's text; quotes, file names and types arrive."""
    message = parsed({"item_list": ITEMS})
    assert message.text == "transcript of the voice\nabout this\nabout that part"
    assert [item.type for item in message.items] == [2, 3, 4, 5, 1, 1]
    assert message.items[2].file_name == "report.pdf"
    first, second = message.items[4].quoted, message.items[5].quoted
    assert first is not None
    assert (first.title, first.text, first.message_id) == ("summary", "the quoted text", None)
    assert second is not None
    assert (second.title, second.text, second.message_id) == (None, None, "7498123456789012000")


def test_a_payload_has_to_match_its_type() -> None:
    """A text inside an image item is not what the user said; an item without a type is read by its payload."""
    assert parsed({"item_list": [{"type": 2, "text_item": {"text": "x"}}]}).text == ""
    assert parsed({"item_list": [{"text_item": {"text": "x"}}, {"voice_item": {"text": "y"}}]}).text == "x\ny"


def test_the_repr_shows_no_secret_and_no_words() -> None:
    """Neither tokens, keys, addresses of media nor what was said can reach a log by a repr."""
    text = repr(parsed({**TEXT_MESSAGE, "item_list": [*TEXT_MESSAGE["item_list"], *ITEMS, {"type": 99}]}))
    assert "7498123456789012345" in text
    assert "TEXT, IMAGE, VOICE, FILE, VIDEO, TEXT, TEXT, 99" in text
    text += "".join(repr(item) + repr(item.quoted) for item in parsed({"item_list": ITEMS}).items)
    for hidden in (
        "ZmFicm",
        "ABEiM0",
        "001122",
        "novac2c",
        "fabricated",
        "hello",
        "transcript",
        "summary",
        "quoted text",
    ):
        assert hidden not in text


WRONG: list[object] = [None, True, 1.5, "x", -1, 2**70, [], {}, [1], {"text": 1}, [[]], "\ud83d"]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("name", sorted(TEXT_MESSAGE))
def test_a_wrong_field_spoils_nothing_else(name: str, wrong: object) -> None:
    """Whatever stands in one field, all others arrive."""
    message, good = parsed({**TEXT_MESSAGE, name: wrong}), parsed(TEXT_MESSAGE)
    for field in Message.__struct_fields__:
        if field not in ("raw", name, "items" if name == "item_list" else ""):
            assert getattr(message, field) == getattr(good, field)
    assert message.dedup_key()
    assert repr(message)
    assert isinstance(message.text, str)


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("name", ["type", "msg_id", "text_item", "is_completed", "ref_msg", "create_time_ms"])
def test_a_wrong_item_spoils_no_other(name: str, wrong: object) -> None:
    """Whatever stands in one item, the items beside it arrive."""
    good = {"type": 1, "text_item": {"text": "good"}}
    message = parsed({"item_list": [good, {**good, name: wrong}, wrong, good]})
    assert message.text.startswith("good\n")
    assert message.text.endswith("\ngood")


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"message_id": 7, "item_list": [{"type": 1, "text_item": {"text": "cut \ud83d"}}]}',
        b'{"message_id": 7, "item_list": [{"type": 1, "text_item": {"text": "cut \xf0\x9f"}}]}',
        rb'{"message_id": 7, "\udc00": 1, "item_list": [{"type": 1, "text_item": {"text": "cut \udc00"}}]}',
    ],
)
def test_a_half_character_is_survived(raw: bytes) -> None:
    """A text that somebody cut inside an emoji does not stop the bot; what is kept is valid UTF-8."""
    message = parse_message(raw)
    assert message is not None
    assert message.text == "cut \ufffd"
    assert message.message_id == "7"
    message.raw.decode()


def test_escapes_that_only_look_like_half_a_character_are_left_alone() -> None:
    """Repair touches halves of pairs only: not whole pairs, not an escaped backslash before a u."""
    raw = rb'{"x": "\ud83d", "item_list": [{"text_item": {"text": "\ud83d\ude00 \\ud83d \\\\ud83d"}}]}'
    message = parse_message(raw)
    assert message is not None
    assert message.text == r"😀 \ud83d \\ud83d"


@pytest.mark.parametrize(
    "value",
    [b"1e400", b"9" * 5000, b"-" + b"9" * 5000, b'"' + b"9" * 5000 + b'"', b"1.5", b"true", b"18446744073709551616"],
)
def test_numbers_beyond_bounds_are_absent(value: bytes) -> None:
    """No number, however large, is an error, nor an id."""
    raw = b'{"message_id": %s, "seq": %s, "unknown": %s, "from_user_id": "u"}' % (value, value, value)
    message = parse_message(raw)
    assert message is not None
    assert (message.seq, message.sender) == (None, "u")
    assert message.message_id in (None, "9" * 5000)
    assert message.dedup_key()


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b"7", b'"x"', b"{", b'{"a":1} x', b"\xff", b'{"a": NaN}', b"[" * 10**5]
)
def test_what_is_no_object_is_no_message(raw: bytes) -> None:
    """Anything but a JSON object gives None."""
    assert parse_message(raw) is None


def test_quotes_in_quotes_are_not_followed() -> None:
    """A chain of quotes cannot exhaust the stack."""
    item: dict[str, Any] = {"type": 1, "text_item": {"text": "deep"}}
    for _ in range(150):
        item = {"type": 1, "text_item": {"text": "t"}, "ref_msg": {"message_item": item}}
    message = parsed({"item_list": [item]})
    assert message.items[0].quoted is not None
    assert message.items[0].quoted.text == "t"


def test_a_stored_message_is_the_message() -> None:
    """Parsing ``raw`` again gives an equal message: the store keeps nothing else."""
    message = parsed({**TEXT_MESSAGE, "item_list": ITEMS, "unknown": {"kept": [1]}})
    assert parse_message(message.raw) == message
    assert hash(parse_message(message.raw)) == hash(message)
    assert b'"unknown": {"kept": [1]}' in message.raw


# --- the quick reading and the careful one --------------------------------------------------------------------------

numbers = st.integers(-5, 5) | st.sampled_from([2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
odd = st.sampled_from(
    [None, True, 1.0, 1e3, 1e300, 0.5, "", "7", "0", " 0 ", "x\ufffd", "\ud83d", [], {}, [1], "9" * 25]
)
texts = st.text(max_size=3) | st.sampled_from(["", "0", "hello"])
ids = numbers | texts


def sometimes_odd(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nearly always what it should be."""
    return st.one_of(good, good, good, good, good, odd)


said = sometimes_odd(st.fixed_dictionaries({}, optional={"text": sometimes_odd(texts), "x": odd}))
kinds = sometimes_odd(st.sampled_from([0, 1, 2, 3, 4, 11]))
quoted = {"type": kinds, "msg_id": sometimes_odd(ids), "text_item": said, "voice_item": said}
quotes = st.fixed_dictionaries(
    {},
    optional={
        "svr_id": sometimes_odd(ids),
        "title": sometimes_odd(texts),
        "message_item": sometimes_odd(st.fixed_dictionaries({}, optional=quoted)),
    },
)
items = st.fixed_dictionaries(
    {},
    optional={
        **quoted,
        "create_time_ms": sometimes_odd(numbers),
        "is_completed": sometimes_odd(st.booleans()),
        "file_item": sometimes_odd(st.fixed_dictionaries({}, optional={"file_name": sometimes_odd(texts)})),
        "ref_msg": sometimes_odd(quotes),
    },
)
messages = st.fixed_dictionaries(
    {},
    optional={
        **{name: sometimes_odd(numbers) for name in ("seq", "create_time_ms", "message_type", "message_state")},
        **{name: sometimes_odd(texts) for name in ("from_user_id", "to_user_id", "client_id", "session_id", "run_id")},
        "message_id": sometimes_odd(ids),
        "context_token": sometimes_odd(texts),
        "item_list": sometimes_odd(st.lists(sometimes_odd(items), max_size=3)),
        "unknown": odd,
    },
)


@given(messages, st.booleans())
def test_the_quick_reading_says_what_the_careful_one_says(fields: dict[str, Any], escaped: bool) -> None:
    """A message is read in one go if all is as it should be, else field by field; nobody can tell which it was."""
    raw = json.dumps(fields, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    assert parse_message(raw) == _read_by_fields(raw)


@given(messages)
def test_a_field_that_stands_there_twice_means_the_same_to_both(fields: dict[str, Any]) -> None:
    """JSON allows it; the last one counts."""
    twice = json.dumps(fields)[:-1] + "," + json.dumps(dict(reversed(list(fields.items()))))[1:] if fields else "{}"
    assert parse_message(twice.encode()) == _read_by_fields(twice.encode())


def test_the_message_of_the_reference_is_read_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of this would be for nothing."""
    monkeypatch.setattr("sessionfsm.ilink.message._read_by_fields", None)
    assert parsed({**TEXT_MESSAGE, "item_list": ITEMS}).message_id == "7498123456789012345"


# --- dedup keys (section 2.5) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"message_id": 7, "client_id": "c", "from_user_id": "u"}, "id:7"),
        ({"message_id": "7"}, "id:7"),
        ({"message_id": 18446744073709551615}, "id:18446744073709551615"),
        ({"message_id": 0, "item_list": [{}, {"msg_id": 8}, {"msg_id": 9}], "client_id": "c"}, "item:8"),
        ({"message_id": "", "from_user_id": "u@im.wechat", "client_id": "a:b c"}, "client:u@im.wechat:a%3Ab%20c"),
        ({"from_user_id": "u:v", "client_id": "w"}, "client:u%3Av:w"),
        ({"from_user_id": "u", "seq": 12, "create_time_ms": 99}, "seq:u:12:99"),
    ],
)
def test_the_best_fact_decides(fields: dict[str, Any], key: str) -> None:
    """The layers come in the order of section 2.5; protobuf's zero is no id; parts cannot run into each other."""
    assert parsed(fields).dedup_key() == key


@pytest.mark.parametrize(
    "fields",
    [{}, {"client_id": "c"}, {"from_user_id": "u", "seq": 0, "create_time_ms": 0}, {"seq": 1, "create_time_ms": 2}],
)
def test_half_a_fact_does_not_decide(fields: dict[str, Any]) -> None:
    """Without a sender, or with zeros that mean "not set", two different messages could share a key."""
    assert parsed(fields).dedup_key().startswith("hash:")
    assert parsed({**fields, "item_list": [1]}).dedup_key() != parsed(fields).dedup_key()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(
    st.dictionaries(st.sampled_from([*TEXT_MESSAGE, "x", "y"]), json_values),
    st.text(min_size=1),
    st.text(min_size=1),
    st.randoms(use_true_random=False),
)
def test_copies_share_their_key(fields: dict[str, Any], one: str, other: str, rng: Any) -> None:
    """Another context token, another order of members or other white space makes no other message."""
    first = json.dumps({**fields, "context_token": one})
    members = list({**fields, "context_token": other}.items())
    rng.shuffle(members)
    second = json.dumps(dict(members), indent=1, ensure_ascii=False)
    a, b = parse_message(first.encode("utf-8")), parse_message(second.encode("utf-8", "surrogatepass"))
    assert a is not None
    assert b is not None
    assert a.dedup_key() == b.dedup_key()


def test_a_key_holds_no_context_token_and_no_words() -> None:
    """Keys are logged and stored in clear."""
    fields = {"context_token": "hunter2", "item_list": [{"type": 1, "text_item": {"text": "secret words"}}]}
    key = parsed(fields).dedup_key()
    assert key == parsed({**fields, "context_token": "other"}).dedup_key()
    assert "hunter2" not in key
    assert "words" not in key


def test_known_item_types_have_names() -> None:
    """The numbers are those of section 3.2."""
    assert {kind.name: int(kind) for kind in ItemType} == {
        "NONE": 0,
        "TEXT": 1,
        "IMAGE": 2,
        "VOICE": 3,
        "FILE": 4,
        "VIDEO": 5,
        "TOOL_CALL_START": 11,
        "TOOL_CALL_RESULT": 12,
    }
