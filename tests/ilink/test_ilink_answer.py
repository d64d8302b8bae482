"""Answers read from bytes: whatever is recognised without h11 is what h11 reads, and nothing besides."""

from __future__ import annotations

import itertools

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessionfsm.ilink.answer import HEAD_BYTES, Answer, NotHTTP

Read = tuple[int, list[tuple[bytes, bytes]], bytes, bool]


def by_h11(data: bytes) -> Read | None:
    """What h11 alone makes of the whole of *data* and the end of the connection; ``None`` if it is no whole answer."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=b"POST", target=b"/", headers=[(b"Host", b"h"), (b"Content-Length", b"0")]))
    connection.send(h11.EndOfMessage())
    status, fields, body = 0, [], b""
    try:
        connection.receive_data(data)
        eof = False
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status, fields = event.status_code, list(event.headers.raw_items())
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                at_rest = connection.their_state is h11.DONE
                return status, fields, body, at_rest and not connection.trailing_data[0]
            elif event is h11.NEED_DATA:
                connection.receive_data(b"")
                assert not eof
                eof = True
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


def by_us(data: bytes, cuts: list[int]) -> Read | None:
    """The same by an :class:`Answer`, which gets *data* in pieces."""
    answer, body = Answer(), b""
    edges = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    try:
        for piece in [*pieces, b""]:
            body += answer.feed(piece)
            if answer.whole:
                break
    except NotHTTP:
        return None
    return answer.status, answer.fields, body, answer.reusable


# Near enough to HTTP that half of it is accepted, and with everything in it that ever smuggled something.
names = st.sampled_from(
    [b"Content-Length", b"content-length", b"Transfer-Encoding", b"Connection", b"X", b"Content-Encoding", b"X\xe9"]
) | st.sampled_from([b"Content-Length ", b" Content-Length", b"", b"X Y", b"X\x00", b"Content\tLength"])
values = (
    st.sampled_from(
        [
            b"5",
            b"0",
            b"05",
            b"3",
            b"10",
            b"+5",
            b"-5",
            b"5, 5",
            b"5,6",
            b"5 5",
            b"0x5",
            b"5_0",
            b"",
            b"1" * 19,
            b"1" * 30,
        ]
    )
    | st.sampled_from(
        [b"chunked", b"Chunked", b"gzip, chunked", b"identity", b"close", b"keep-alive", b"Keep-Alive, x", b"upgrade"]
    )
    | st.sampled_from(
        [b"gzip", b"a b\tc", b"\x00", b"a\x00b", b"a\rb", b"a\x0bb", b"\xe9", b"\x7f", b"\xff", b"a\r\n b", b"a\nX: 1"]
    )
)
spaces = st.sampled_from([b"", b" ", b"\t", b"  "])
ends = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\r\n"])
lines = st.tuples(names, st.sampled_from([b":"] * 8 + [b" :", b""]), spaces, values, spaces, ends).map(b"".join)
plain_lines = st.sampled_from(
    [
        b"Content-Length: 5\r\n",
        b"Server: x\r\n",
        b"Connection: keep-alive\r\n",
        b"Date: now\r\n",
        b"connection:close\r\n",
    ]
)
statuses = (
    st.sampled_from(
        [b"HTTP/1.1 200 OK\r\n"] * 6
        + [
            b"HTTP/1.1 204 No Content\r\n",
            b"HTTP/1.1 304 \r\n",
            b"HTTP/1.0 200 OK\r\n",
            b"HTTP/1.1 200\r\n",
            b"ICY 200 OK\r\n",
        ]
    )
    | st.sampled_from(
        [
            b"HTTP/1.1 101 Switching Protocols\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
            b"http/1.1 200 OK\r\n",
        ]
    )
    | st.sampled_from(
        [
            b"HTTP/1.1 2000 OK\r\n",
            b"HTTP/1.1 099 \r\n",
            b"HTTP/1.1 600 x\r\n",
            b"HTTP/1.1  200 OK\r\n",
            b"HTTP/2.0 200 OK\r\n",
        ]
    )
    | st.sampled_from(
        [b"\r\nHTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 \xe9\r\n", b"HTTP/1.1 200 a\x00\r\n", b"HTTP/1.1 200 OK\n"]
    )
)
bodies = st.sampled_from(
    [
        b"hello",
        b"",
        b"hell",
        b"hello, and more",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n",
        b"0\r\n\r\nHTTP/",
    ]
)
heads = st.tuples(
    statuses,
    st.lists(lines | plain_lines, max_size=4).map(b"".join),
    st.sampled_from([b"\r\n"] * 5 + [b"\n", b""]),
    bodies,
).map(b"".join)


@given(heads, st.lists(st.integers(0, 400), max_size=3))
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 3\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive, x\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\x00\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX Y: 1\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\nX: a\r\n Content-Length: 5\r\n\r\nhello", [])
@example(b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\nhello", [])
@example(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", [])
def test_an_answer_is_what_h11_says_it_is(data: bytes, cuts: list[int]) -> None:
    """However the bytes are cut, and whatever is wrong with them: the same verdict, fields, body and connection."""
    alone, ours = by_h11(data), by_us(data, cuts)
    if alone is None or ours is None:
        assert ours == alone
        return
    assert ours[:3] == alone[:3]
    # What follows an answer may be on its way still: then it is the connection's affair to look for it.
    assert ours[3] == alone[3] or (cuts and not alone[3])


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 500 Internal Server Error\r\nserver:x\r\nCONTENT-LENGTH:\t5 \r\nConnection: close\r\n\r\n",
    ],
)
def test_the_form_that_answers_have_is_read_without_h11(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of this would be for nothing."""
    monkeypatch.setattr(h11, "Connection", None)
    answer = Answer()
    assert answer.feed(head + b"hel") == b"hel"
    assert (answer.whole, answer.status) == (False, int(head[9:12]))
    assert answer.feed(b"lo") == b"lo"
    assert answer.whole
    assert answer.reusable == (b"close" not in head)
    assert answer.field("content-length") == "5"


def test_what_follows_an_answer_belongs_to_nobody() -> None:
    """Bytes behind the end are dropped, and the connection with them: they would be taken for the next answer."""
    for head in (b"Content-Length: 2\r\n\r\nhi", b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"):
        answer = Answer()
        assert answer.feed(b"HTTP/1.1 200 OK\r\n" + head + b"HTTP/1.1 200 OK\r\n") == b"hi"
        assert answer.whole
        assert not answer.reusable


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n", b"x", b"X: " + b"x" * 1000 + b"\r\n"])
def test_a_head_has_an_end(piece: bytes) -> None:
    """Provisional answers without end, lines without end, and a line without end are given up on."""
    answer, sent = Answer(), 0
    with pytest.raises(NotHTTP):  # noqa: PT012 - it is not known which piece is one too many
        sent += len(answer.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX:" if piece[:1] != b"H" else piece))
        while sent <= 2 * HEAD_BYTES:
            answer.feed(piece)
            sent += len(piece)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * (HEAD_BYTES + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: " + b"x" * (HEAD_BYTES + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 21 + b"\r\n",
    ],
)
def test_chunks_do_not_hide_what_is_too_long(data: bytes) -> None:
    """Extensions, trailers and sizes have no room for more than a head may have."""
    with pytest.raises(NotHTTP):
        Answer().feed(data)


def test_no_error_quotes_the_server() -> None:
    """The server's bytes may repeat ours."""
    for data in (b"hunter2 hunter2\r\n\r\n", b"HTTP/1.1 200 OK\r\nhunter2\r\n\r\n"):
        with pytest.raises(NotHTTP) as caught:
            Answer().feed(data)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
