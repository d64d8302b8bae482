"""Bounded bodies."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfsm.ilink.body import BodyError, BoundedBody


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKINGS = {
    "": lambda data: data,
    "identity": lambda data: data,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip , identity": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
}


def read(data: bytes, *, limit: int, encoding: str, chunk: int) -> bytes:
    body = BoundedBody(limit, encoding=encoding)
    for start in range(0, len(data), chunk):
        body.feed(data[start : start + chunk])
    return body.finish()


@pytest.mark.parametrize("encoding", PACKINGS)
@given(data=st.binary(max_size=500), times=st.integers(1, 50), chunk=st.integers(1, 64))
def test_packed_bodies_arrive(encoding: str, data: bytes, times: int, chunk: int) -> None:
    """However a body is packed and however it is cut on the way, it arrives whole."""
    data *= times
    packed = PACKINGS[encoding](data)
    assert read(packed, limit=max(len(data), len(packed)), encoding=encoding, chunk=chunk) == data


@pytest.mark.parametrize("encoding", PACKINGS)
def test_one_byte_too_many_is_too_long(encoding: str) -> None:
    """The limit is exact, for the unpacked body."""
    packed = PACKINGS[encoding](b"x" * 1001)
    with pytest.raises(BodyError, match="longer than 1000 bytes"):
        read(packed, limit=1000, encoding=encoding, chunk=7)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "Deflate"])
def test_a_bomb_does_not_go_off(encoding: str) -> None:
    """Unpacking stops at the limit, not after it: memory stays near the limit."""
    packed = PACKINGS[encoding](bytes(64 * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(BodyError, match="longer"):
            read(packed, limit=100_000, encoding=encoding, chunk=len(packed))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_endless_tail_is_too_long(encoding: str) -> None:
    """Bytes after the end of the packing unpack to nothing, but count."""
    assert read(PACKINGS[encoding](b"x") + b"tail", limit=100, encoding=encoding, chunk=5) == b"x"
    with pytest.raises(BodyError, match="longer"):
        read(PACKINGS[encoding](b"x") + bytes(200), limit=100, encoding=encoding, chunk=5)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip, br", "\x00"])
def test_encodings_that_were_not_offered_are_refused(encoding: str) -> None:
    """What we cannot unpack within a bound is not read at all."""
    with pytest.raises(BodyError, match="not offered"):
        BoundedBody(100, encoding=encoding)


@pytest.mark.parametrize("length", ["101", "9" * 5000])
def test_an_announced_length_is_believed_when_it_is_too_long(length: str) -> None:
    """A body that says it is too long is refused before it is read."""
    with pytest.raises(BodyError, match="longer"):
        BoundedBody(100, length=length)


@pytest.mark.parametrize("length", ["100", "0", "", "x", "-1", "٩٩٩"])
def test_other_lengths_are_left_to_the_http_client(length: str) -> None:
    """Judging the header is not our work."""
    assert BoundedBody(100, length=length).finish() == b""


@pytest.mark.parametrize("cut", range(1, 20))
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "Deflate"])
def test_a_packed_body_that_ends_early_is_an_error(encoding: str, cut: int) -> None:
    """Half a packing is not mistaken for a short body; no body at all is one."""
    packed = PACKINGS[encoding](b"hello, hello, hello, 0123456789")
    with pytest.raises(BodyError):
        read(packed[:cut], limit=1000, encoding=encoding, chunk=100)
    assert read(b"", limit=1000, encoding=encoding, chunk=100) == b""


@given(st.binary(), st.sampled_from(["gzip", "deflate"]), st.integers(1, 20))
def test_any_bytes_unpack_or_are_an_error(data: bytes, encoding: str, chunk: int) -> None:
    """No bytes make the unpacker raise anything of its own."""
    with contextlib.suppress(BodyError):
        assert len(read(data, limit=1000, encoding=encoding, chunk=chunk)) <= 1000
