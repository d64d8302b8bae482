"""The reader of traces, and what the disk may hold: what they understand, and what they refuse."""

import random
from pathlib import Path

import pytest

from .power import Disk, judge_order, polls, read_trace


def hexed(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


WAL, DIARY = f"7<{hexed(b'/d/s.db-wal')}>", f"6<{hexed(b'/d/diary')}>"
SOCKET = "9<TCP:[127.0.0.1:4000->127.0.0.1:5000]>"
ANSWER = f'1 recvfrom({SOCKET}, "{hexed(b"HTTP/1.1 200 OK")}", 65536, 0, NULL, NULL) = 15'
MESSAGE = f'1 recvfrom({SOCKET}, "{hexed(b"""..."#17#"...""")}", 65536, 0, NULL, NULL) = 12'
HEADER = f'2 pwrite64({WAL}, "{hexed(bytes(3) + b"2" + bytes(3) + b"2" + bytes(16))}", 24, 32) = 24'
PAGE = f'2 pwrite64({WAL}, "{hexed(b"""{"text":"#17#"}""")}", 15, 56) = 15'
SYNC = f"2 fdatasync({WAL}) = 0"
SYNC_BEGINS, SYNC_RETURNS = f"2 fdatasync({WAL} <unfinished ...>", "2 <... fdatasync resumed>) = 0"
BEGIN = f'1 write({DIARY}, "{hexed(b"1 begin 17" + bytes([10]))}", 11) = 11'
POLL = f'1 sendto({SOCKET}, "{hexed(b"POST /ilink/bot/getupdates HTTP/1.1")}", 35, 0, NULL, 0) = 35'
GOOD = [ANSWER, MESSAGE, HEADER, PAGE, SYNC, BEGIN, POLL]


def wrong(lines: list[str]) -> list[str]:
    return judge_order(read_trace("\n".join(lines)), "/d/diary")


def test_a_sync_between_the_write_and_the_poll_is_what_is_asked_for() -> None:
    """Read, written, synced, handled, polled: in this order there is nothing to say."""
    assert wrong(GOOD) == []
    assert [poll.messages for poll in polls(read_trace("\n".join(GOOD)))] == [(17,)]


@pytest.mark.parametrize(
    "lines",
    [
        [ANSWER, MESSAGE, HEADER, PAGE, BEGIN, POLL],
        [ANSWER, MESSAGE, SYNC, HEADER, PAGE, BEGIN, POLL],
        [ANSWER, MESSAGE, HEADER, PAGE, POLL, SYNC, BEGIN],
        [ANSWER, MESSAGE, HEADER, PAGE, BEGIN, SYNC, POLL],
        [ANSWER, MESSAGE, HEADER, PAGE, SYNC.replace("= 0", "= -1 EIO (Input/output error)"), BEGIN, POLL],
        [ANSWER, MESSAGE, HEADER, PAGE, "2 fdatasync(8</d/s.db>) = 0", BEGIN, POLL],
        [ANSWER, MESSAGE, HEADER, PAGE, SYNC_BEGINS, BEGIN, POLL, SYNC_RETURNS],
        [ANSWER, MESSAGE, POLL],
    ],
    ids=["none", "too early", "late", "handler first", "failed", "another file", "not returned", "not written"],
)
def test_any_other_order_is_found_out(lines: list[str]) -> None:
    """No sync, one at the wrong time or of the wrong file, and one that failed or has not returned do not count."""
    assert wrong(lines)


@pytest.mark.parametrize(
    "line",
    [
        "what is this",
        "1 fdatasync(what",
        f'1 write({DIARY}, "\\x41"..., 9000) = 9000',
        "1 sendfile(7</d/a>, 8</d/b>) = 9",
    ],
    ids=["no line", "no call", "cut short", "unknown"],
)
def test_what_is_not_understood_is_refused(line: str) -> None:
    """A judge that skips what it does not know would find nothing wrong in anything."""
    with pytest.raises(ValueError, match="line 0"):
        read_trace(line)


def test_what_was_not_synced_may_be_there_or_not_and_what_was_is(tmp_path: Path) -> None:
    """The disk keeps what it was told to; of the rest, any part; a name only when its folder was synced."""
    one = f"5<{hexed(b'/d/one')}>"
    text = f"""\
1 openat(AT_FDCWD<{hexed(b"/")}>, "{hexed(b"/d/one")}", O_RDWR|O_CREAT|O_EXCL, 0600) = {one}
1 pwrite64({one}, "{hexed(b"safe")}", 4, 0) = 4
1 fsync({one}) = 0
1 fsync(4<{hexed(b"/d")}>) = 0
1 pwrite64({one}, "{hexed(b"more")}", 4, 4) = 4
1 openat(AT_FDCWD<{hexed(b"/")}>, "{hexed(b"/d/two")}", O_RDWR|O_CREAT, 0600) = 8<{hexed(b"/d/two")}>
1 unlink("{hexed(b"/d/one")}") = 0"""
    disk, draw, seen = Disk(Path("/d")), random.Random(0), set[tuple[tuple[str, bytes], ...]]()
    for call in read_trace(text):
        disk.perform(call)
    for number in range(100):
        into = tmp_path / str(number)
        disk.fail(into, draw)
        seen.add(tuple((path.name, path.read_bytes()) for path in sorted(into.iterdir())))
    two = ("two", b"")
    assert seen == {
        (("one", b"safe"),),
        (("one", b"safemore"),),
        (("one", b"safe"), two),
        (("one", b"safemore"), two),
        (two,),
    }
