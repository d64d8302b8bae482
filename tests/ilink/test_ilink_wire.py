"""Answers and codes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessionfsm.errors import (
    BadRequest,
    BrokenAnswer,
    ConversationClosed,
    ILinkError,
    ServerRefused,
    SessionLost,
)
from sessionfsm.ilink.wire import Updates, effective_code, parse_answer, parse_sent, parse_updates
from sessionfsm.secret import Secret

CURSOR = "CAESC2ZhYnJpY2F0ZWQx"
HOLLOW = Updates()


def updates(answer: object) -> Updates:
    """Read a poll's answer."""
    return parse_updates(json.dumps(answer).encode())


@pytest.mark.parametrize(
    ("ret", "errcode", "code"),
    [
        (None, None, 0),
        (0, None, 0),
        (None, 0, 0),
        (0, 0, 0),
        (None, -14, -14),
        (-14, -14, -14),
        (0, -14, -14),
        (-14, None, -14),
        (-14, 0, -14),
        (-14, -2, -14),
        (-2, None, -2),
        (-2, 0, -2),
        (-2, -3, -3),
        (0, 5, 5),
    ],
)
def test_the_code_in_force(ret: int | None, errcode: int | None, code: int) -> None:
    """Section 4.1: -14 wins wherever it stands, then errcode, then ret."""
    assert effective_code(ret, errcode) == code


def test_healthy_polls_of_the_reference() -> None:
    """Section 7.4: an idle answer needs no ret; the hint arrives."""
    idle = updates({"msgs": [], "sync_buf": "x", "get_updates_buf": CURSOR})
    assert idle == Updates(has_messages=True, cursor=Secret(CURSOR))
    hinted = updates({"ret": 0, "msgs": [], "get_updates_buf": CURSOR, "longpolling_timeout_ms": 35000})
    assert hinted == Updates(has_messages=True, cursor=Secret(CURSOR), hint_ms=35000)


def test_messages_without_a_cursor() -> None:
    """Messages arrive although there is no cursor to advance to."""
    answer = updates({"msgs": [{"from_user_id": "u@im.wechat", "message_type": 1, "item_list": []}]})
    assert [message.sender for message in answer.messages] == ["u@im.wechat"]
    assert answer.cursor is None


@pytest.mark.parametrize(
    "answer",
    [{}, {"sync_buf": "", "get_updates_buf": ""}, {"ret": None, "msgs": None, "get_updates_buf": None}, {"msgs": {}}],
)
def test_hollow_answers(answer: dict[str, Any]) -> None:
    """Section 4.4: success without a list of messages and without a cursor is told apart, not an error here."""
    assert updates(answer) == HOLLOW


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf{}"])
def test_an_empty_poll_is_hollow(body: bytes) -> None:
    """An empty body says no more than an empty object."""
    assert parse_updates(body) == HOLLOW


@pytest.mark.parametrize(
    "answer",
    [
        {"errcode": -14, "errmsg": "session timeout"},
        {"ret": -14, "errcode": -14, "errmsg": "session timeout"},
        {"ret": 0, "errcode": -14, "errmsg": "session timeout"},
        {"ret": -14},
        {"ret": "-14"},
        {"ret": -14.0, "errcode": None},
        {"ret": -14, "msgs": [], "get_updates_buf": CURSOR},
    ],
)
@pytest.mark.parametrize("endpoint", ["getupdates", "sendmessage", "notifystart", "notifystop"])
def test_a_lost_session_is_told_at_every_endpoint(answer: dict[str, Any], endpoint: str) -> None:
    """-14 in any shape is the session, whoever says it."""
    with pytest.raises(SessionLost) as caught:
        parse_answer(json.dumps(answer).encode(), endpoint=endpoint)
    assert (caught.value.code, caught.value.status, caught.value.endpoint) == (-14, None, endpoint)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"ret": -2, "errmsg": "invalid arguments"}, BadRequest),
        ({"ret": -2, "errmsg": "ilink_user_id required"}, BadRequest),
        ({"ret": -2}, ConversationClosed),
        ({"ret": -2, "errmsg": "unknown error"}, ConversationClosed),
        ({"ret": -2, "errmsg": "prepare failed"}, ConversationClosed),
        ({"ret": -2, "errmsg": "rate limited"}, ConversationClosed),
        ({"ret": -2, "errmsg": "freq limit"}, ConversationClosed),
        ({"ret": -2, "errmsg": 7}, ConversationClosed),
        ({"ret": -3}, ConversationClosed),
        ({"errcode": -4, "errmsg": "GetTypingTicket rpc failed"}, ConversationClosed),
        ({"errcode": -14, "errmsg": "session timeout"}, SessionLost),
        ({"ret": -1, "errmsg": "system error"}, ServerRefused),
        ({"ret": 0, "errcode": 1}, ServerRefused),
        ({"message_id": 7, "ret": 0, "errcode": -1}, ServerRefused),
        ({"ret": 2**62}, ServerRefused),
    ],
)
def test_refused_sends(answer: dict[str, Any], error: type[ILinkError]) -> None:
    """The table of section 4.2; an errcode beside ret 0 fails as well."""
    with pytest.raises(error) as caught:
        parse_sent(json.dumps(answer).encode(), client_id="c")
    assert type(caught.value) is error
    assert isinstance(caught.value, SessionLost | ConversationClosed | BadRequest | ServerRefused)
    assert caught.value.code == effective_code(answer.get("ret"), answer.get("errcode"))


@pytest.mark.parametrize("code", [-1, -2, -3, -4, 1, 500])
@pytest.mark.parametrize("endpoint", ["getupdates", "notifystart", "notifystop"])
def test_codes_of_a_conversation_mean_nothing_elsewhere(endpoint: str, code: int) -> None:
    """Only a send can find a conversation closed."""
    with pytest.raises(ServerRefused):
        parse_answer(json.dumps({"ret": code}).encode(), endpoint=endpoint)


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (b'{"message_id": 7498123456789012399, "ret": 0}', "7498123456789012399"),
        (b'{"message_id": "7498123456789012399"}', "7498123456789012399"),
        (b'{"ret": 0}', None),
        (b"{}", None),
        (b"", None),
        (b'{"message_id": 0}', None),
        (b'{"message_id": null, "ret": "0"}', None),
    ],
)
def test_accepted_sends(body: bytes, message_id: str | None) -> None:
    """Section 7.5: without an id a send is accepted but unconfirmed."""
    sent = parse_sent(body, client_id="c")
    assert (sent.message_id, sent.client_id, sent.confirmed) == (message_id, "c", message_id is not None)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"null",
        b"0",
        b'"{}"',
        b"{",
        b'{"ret": 0} trailing',
        b'{"ret": NaN}',
        b'{"ret": Infinity}',
        b'{"ret": true}',
        b'{"ret": "x"}',
        b'{"ret": ""}',
        b'{"ret": []}',
        b'{"errcode": {}}',
        b'{"ret": 0.5}',
        b'{"ret": 1e400}',
        b'{"ret": ' + b"9" * 5000 + b"}",
        b'{"ret": "' + b"9" * 5000 + b'"}',
        b'{"x": ' + b"[" * 10**5 + b"]" * 10**5 + b"}",
        b'{"\xff": ' + b'"\xff',
        b"\x1f\x8b\x08",
    ],
)
def test_broken_answers(body: bytes) -> None:
    """What is no JSON object, or has a code that is no number, is no answer."""
    for endpoint in ("getupdates", "sendmessage"):
        with pytest.raises(BrokenAnswer):
            parse_answer(body, endpoint=endpoint)


@pytest.mark.parametrize("hint", [None, "35000", True, 0, -1, 0.5, 1e400, [], 2**63])
def test_a_strange_hint_is_no_hint(hint: object) -> None:
    """A hint is a wish, and must never spoil the batch it came with."""
    body = json.dumps({"msgs": [{}], "get_updates_buf": CURSOR, "longpolling_timeout_ms": hint}).encode()
    for text in (body, body.replace(b"Infinity", b"1e400")):
        if b"Infinity" not in text:
            answer = parse_updates(text)
            assert (answer.hint_ms, answer.cursor, len(answer.messages)) == (None, Secret(CURSOR), 1)


@pytest.mark.parametrize("cursor", [None, "", 7, True, [], {"a": 1}, "broken \ud800"])
def test_a_strange_cursor_is_no_cursor(cursor: object) -> None:
    """A cursor of a wrong type, or one that did not arrive intact, is not stored; the messages arrive."""
    answer = updates({"msgs": [{}], "get_updates_buf": cursor})
    assert (answer.cursor, len(answer.messages)) == (None, 1)


def test_one_bad_entry_does_not_spoil_its_batch() -> None:
    """Entries that are no messages are counted; the bot's own messages are left out; all others arrive in order."""
    entries: list[object] = [{"message_id": 1}, 5, None, {"message_id": 2, "message_type": 2}, "x", [{}]]
    answer = updates(
        {"msgs": [*entries, {"message_id": 3, "message_type": 7, "item_list": "?"}], "get_updates_buf": CURSOR}
    )
    assert [message.message_id for message in answer.messages] == ["1", "3"]
    assert answer.dropped == 4
    assert answer.cursor == Secret(CURSOR)


def test_errmsg_is_short_printable_and_without_secrets() -> None:
    """The server's words cannot forge a log line, fill it, or give a secret back, even in pieces."""
    token = Secret("0a1b2c3d4e5f@im.bot:0011")
    noise = "0a1b2c3d4e5f\u200b@im.bot:\x000011 \x1b[31mred\r\nINFO forged " + "x" * 1000
    with pytest.raises(ServerRefused) as caught:
        parse_answer(json.dumps({"ret": 5, "errmsg": noise}).encode(), endpoint="getupdates", secrets=lambda: [token])
    for text in (str(caught.value), caught.value.errmsg):
        assert token.reveal() not in text
        assert text.isprintable()
    assert caught.value.errmsg.startswith("[secret] [31mredINFO forged")
    assert len(caught.value.errmsg) == 200


def test_a_secret_inside_the_words_does_not_change_their_meaning() -> None:
    """Hiding a secret happens after the code was understood."""
    with pytest.raises(BadRequest):
        parse_answer(
            b'{"ret": -2, "errmsg": "invalid arguments"}', endpoint="sendmessage", secrets=lambda: [Secret("arguments")]
        )


def test_reprs_hide_the_cursor() -> None:
    """A cursor is a secret: it holds the bot token (section 1.6)."""
    assert CURSOR not in repr(updates({"msgs": [], "get_updates_buf": CURSOR}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)
FIELDS = ("ret", "errcode", "errmsg", "msgs", "get_updates_buf", "longpolling_timeout_ms")
answers = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, json_values))


@given(st.one_of(st.binary(), st.text().map(str.encode), answers.map(lambda value: json.dumps(value).encode())))
@example(b'{"msgs": ' + b"[" * 900 + b"]" * 900 + b"}")
@example(b'{"msgs": [' + b'{"item_list":[' * 400 + b"]}" * 400 + b"]}")
def test_any_body_is_an_answer_or_our_error(body: bytes) -> None:
    """Whatever comes over the wire, nothing but a result or one of our errors comes out."""
    try:
        answer = parse_updates(body)
    except ILinkError:
        return
    for message in answer.messages:
        assert message.dedup_key()
        assert isinstance(message.text, str)
        assert repr(message)
        message.raw.decode()
    assert isinstance(answer.hint_ms, int | None)
    assert answer.cursor is None or answer.cursor


odd = st.sampled_from(
    [None, True, 0.0, 1.5, 35000.0, "", "0", "35000", "-14", [], {}, "x\ufffd", "\ud83d", 2**63, -1, 0, 7]
)
good_answers = st.fixed_dictionaries(
    {},
    optional={
        "ret": st.sampled_from([0, None]) | odd,
        "errcode": st.sampled_from([0, None]) | odd,
        "msgs": st.lists(st.sampled_from([{}, {"message_id": 7}, {"message_type": 2}, {"message_id": "x"}, 7])) | odd,
        "get_updates_buf": st.text(max_size=5) | odd,
        "longpolling_timeout_ms": st.integers(0, 10**6) | odd,
        "sync_buf": odd,
    },
)


@given(good_answers, st.booleans())
def test_the_quick_reading_of_a_poll_says_what_the_careful_one_says(fields: dict[str, Any], bom: bool) -> None:
    """An answer is read in one go if all is as it should be, else field by field; nobody can tell which it was."""
    body = (b"\xef\xbb\xbf" if bom else b"") + json.dumps(fields).encode()

    def read() -> Updates | str:
        try:
            return parse_updates(body)
        except ILinkError as error:
            return f"{type(error).__name__}: {error}"

    quick = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sessionfsm.ilink.wire._GOOD", msgspec.json.Decoder(str))  # which reads none of these
        assert read() == quick
