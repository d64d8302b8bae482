"""
One HTTP/1.1 answer, read from bytes as they come. No socket is opened here.

h11 reads answers, but takes longer over one than all the rest of a poll (docs/explanation/lanes.md has the figures).
So the one form that nearly every answer has is recognised here: a whole head of plain ASCII in one piece, and a body
whose length is said once, in digits. Everything else goes to h11 byte for byte, so there is one judge of what is
HTTP: what is recognised here is a part of what h11 accepts, and means the same to it.
"""

from __future__ import annotations

import re

import h11

__all__ = ["HEAD_BYTES", "Answer", "NotHTTP"]

HEAD_BYTES = 64 * 1024
"""The longest head, with all provisional answers (1xx) before it. Stock connections allow 100 KiB for each."""

_HEAD = re.compile(
    rb"HTTP/1\.1 (?!204|304)([2-5][0-9][0-9]) ([\t -~]*)\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n)+)\r\n"
)
_LENGTH = re.compile(rb"[0-9]{1,18}")
# Fields that say where an answer ends, or what becomes of the connection. Of any other kind of value, h11 decides.
_FRAMING = (b"content-length", b"transfer-encoding", b"connection")


class NotHTTP(Exception):
    """What came is no answer in HTTP/1.1; the message quotes nothing of it. Callers translate it."""


class Answer:
    """
    The answer to one request that has a body of its own (not to HEAD or CONNECT).

    Attributes:
        status: The status, once the head is here; 0 before.
        reason: What follows it.
        fields: The header fields in their order, names as they came.
        whole: The body has ended.
        reusable: The connection may carry another request. Decided when the body has ended.
    """

    __slots__ = ("_h11", "_head_bytes", "_left", "_values", "fields", "reason", "reusable", "status", "whole")

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.whole = False
        self.reusable = False
        self._left = 0
        self._head_bytes = 0
        self._h11: h11.Connection | None = None
        self._values: dict[bytes, bytes] = {}  # by names in lower case

    def field(self, name: str) -> str:
        """Return the value of the field with this name, in lower case; several of them joined, none empty."""
        if not self._values:
            for other, value in self.fields:
                other = other.lower()
                self._values[other] = self._values[other] + b", " + value if other in self._values else value
        return self._values.get(name.encode("ascii"), b"").decode("latin-1")

    def feed(self, data: bytes) -> bytes:
        """
        Take the next bytes from the wire, or the wire's end as ``b""``; return what of the body is among them.

        Raises:
            NotHTTP: If they cannot be (part of) an answer, or the answer is not whole.
        """
        if self._h11 is not None:
            return self._by_h11(self._h11, data)
        if self.status == 0:
            if (end := self._plain_head(data)) == 0:
                self._h11 = _after_a_request()
                return self._by_h11(self._h11, data)
            data = data[end:]
        elif not data:
            raise NotHTTP("peer closed connection without sending complete message body")  # as httpx says it
        self._left -= len(data)
        if self._left <= 0:
            self.whole = True
            if self._left < 0:  # more than was announced: whatever it is, it answers nothing that we ask
                self.reusable = False
                data = data[: self._left]
        return data

    def _plain_head(self, data: bytes) -> int:
        """Take the head if it has the plain form; return where it ends, and 0 if h11 has to read it."""
        if (found := _HEAD.match(data)) is None or found.end() > HEAD_BYTES:
            return 0
        fields: list[tuple[bytes, bytes]] = []
        length = None
        reusable = True
        for line in found[3].split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            value = value.strip(b" \t")
            fields.append((name, value))
            if (lower := name.lower()) in _FRAMING:
                if lower == b"content-length" and length is None and _LENGTH.fullmatch(value):
                    length = int(value)
                elif lower == b"connection" and (lower := value.lower()) in (b"keep-alive", b"close"):
                    reusable = reusable and lower == b"keep-alive"
                else:
                    return 0
        if length is None:
            return 0
        self.status, self.reason, self.fields = int(found[1]), found[2], fields
        self._left, self.reusable = length, reusable
        return found.end()

    def _by_h11(self, connection: h11.Connection, data: bytes) -> bytes:
        body: list[bytes] = []
        try:
            connection.receive_data(data)
            while not self.whole:
                event = connection.next_event()
                if isinstance(event, h11.Data):
                    body.append(bytes(event.data))
                elif isinstance(event, h11.Response):
                    self.status, self.reason = event.status_code, bytes(event.reason)
                    self.fields = list(event.headers.raw_items())
                elif isinstance(event, h11.EndOfMessage):
                    self.whole = True
                    at_rest = connection.our_state is h11.DONE and connection.their_state is h11.DONE
                    self.reusable = at_rest and not connection.trailing_data[0]
                elif not isinstance(event, h11.InformationalResponse):
                    if event is h11.NEED_DATA:
                        break
                    raise NotHTTP("the connection ended before the answer")
        except h11.RemoteProtocolError:
            # Not chained: its text quotes the bytes.
            raise NotHTTP("what came is not HTTP/1.1, or ends too early") from None
        if self.status == 0:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                raise NotHTTP(f"the head is longer than {HEAD_BYTES} bytes")
        return b"".join(body)


def _after_a_request() -> h11.Connection:
    """Return a reader of what follows a request. Which one it was changes nothing of how the answer is read."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
    connection.send(h11.Request(method=b"POST", target=b"/", headers=[(b"Host", b"h"), (b"Content-Length", b"0")]))
    connection.send(h11.EndOfMessage())
    return connection
