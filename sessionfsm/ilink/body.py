"""
A body that is bounded while it is read, packed or not.

The bound holds for the bytes on the wire and for what they unpack to, so that neither an endless answer nor a
decompression bomb takes more memory than the caller allowed.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zlib import _Decompress

__all__ = ["BodyError", "BoundedBody"]


class BodyError(Exception):
    """This body cannot be read; the message says why. Callers translate it: it has no place in the error tree."""


class BoundedBody:
    """
    Collect a body of at most *limit* bytes.

    Args:
        encoding: The value of ``Content-Encoding``; gzip, deflate and identity are understood.
        length: The value of ``Content-Length``, so that a body which is too long is refused before it is read.

    Raises:
        BodyError: If the encoding is another, or the announced length is above the limit.
    """

    def __init__(self, limit: int, *, encoding: str = "", length: str = "") -> None:
        self._limit = limit
        self._body = bytearray()
        self._wire_bytes = 0
        codings = [name for part in encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
        if codings not in ([], ["gzip"], ["x-gzip"], ["deflate"]):
            raise BodyError("the body has an encoding that was not offered")
        self._coding = codings[0] if codings else None
        self._head = b""
        self._unpacker: _Decompress | None = None
        if length.isascii() and length.isdecimal() and (len(length) > 18 or int(length) > limit):
            raise self._too_long()

    def feed(self, data: bytes) -> None:
        """
        Take the next bytes from the wire.

        Raises:
            BodyError: If the body is too long, or cannot be unpacked.
        """
        self._wire_bytes += len(data)
        if self._wire_bytes > self._limit:
            raise self._too_long()
        if self._coding is None:
            self._body += data
        elif self._unpacker is not None:
            self._unpack(self._unpacker, data)
        elif len(self._head + data) < 2:
            self._head += data
        else:
            data, self._head = self._head + data, b""
            self._unpacker = zlib.decompressobj(self._window_bits(data))
            self._unpack(self._unpacker, data)

    def finish(self) -> bytes:
        """
        Return the body.

        Raises:
            BodyError: If it ends in the middle of its packing.
        """
        if self._head or (self._unpacker is not None and not self._unpacker.eof):
            raise BodyError("the packed body ends too early")
        return bytes(self._body)

    def _unpack(self, unpacker: _Decompress, data: bytes) -> None:
        # What follows the end of the packing is ignored, as browsers do; it counts against the limit all the same.
        try:
            while data and not unpacker.eof:
                # One byte more than is allowed is enough to know, and 0 would mean "no bound".
                self._body += unpacker.decompress(data, self._limit - len(self._body) + 1)
                if len(self._body) > self._limit:
                    raise self._too_long()
                data = unpacker.unconsumed_tail
        except zlib.error:
            raise BodyError("the packed body is damaged") from None

    def _window_bits(self, head: bytes) -> int:
        if self._coding != "deflate":
            return 16 + zlib.MAX_WBITS
        # "deflate" means the zlib format (RFC 9110, section 8.4.1.2), but some servers send it without its header.
        is_zlib = head[0] & 15 == zlib.DEFLATED and int.from_bytes(head[:2], "big") % 31 == 0
        return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS

    def _too_long(self) -> BodyError:
        return BodyError(f"the body is longer than {self._limit} bytes")
