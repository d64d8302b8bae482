"""
What a power failure would leave, read from what a process told its kernel (by ``strace``).

Two judges. :func:`judge_order` looks at the order of system calls: each transaction with messages in it is synced
before a handler begins and before the next poll is on the socket. :class:`Disk` goes further: it makes the files that
the disk may hold if the power failed at some instant: everything that was synced, and of the rest any part that chance
draws, torn at any sector.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["STRACE", "Call", "Disk", "Poll", "judge_order", "polls", "read_trace", "wal_syncs"]

_FILES = "openat,rename,unlink,ftruncate,write,pwrite64,fsync,fdatasync"
# These would escape the judges, so that a trace with one of them is refused.
_OTHERS = "open,creat,renameat,renameat2,unlinkat,link,linkat,truncate,fallocate,writev,pwritev,pwritev2,sendfile"
_MORE = "copy_file_range,io_uring_enter,sync_file_range,sendmsg,sendmmsg,recvmsg,recvmmsg"
STRACE: Final = (
    "strace", "--follow-forks", "--decode-fds=path,socket", "--strings-in-hex=all", "--string-limit=10000000",
    "--signal=none", f"--trace={_FILES},sendto,recvfrom,{_OTHERS},{_MORE}",
)  # fmt: skip

_LINE = re.compile(r"(\d+) (.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(<[^<>]*(?:<[^<>]*>)?>)?( E\w+ \(.*\))?", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_UNFINISHED = " <unfinished ...>"
_WAL_HEADER, _FRAME_HEADER, _SECTOR = 32, 24, 512
_POLL = b"POST /ilink/bot/getupdates "


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    A system call.

    Attributes:
        begin: The line of the trace on which it began.
        end: The line on which it had returned.
        about: What its first descriptor is: a path, or a socket's addresses.
        strings: The data and paths among its arguments.
        numbers: Its plain numbers.
        made: What the descriptor that it returned is.
    """

    begin: int
    end: int
    name: str
    about: str
    strings: tuple[bytes, ...]
    numbers: tuple[int, ...]
    flags: str
    result: int
    made: str


def read_trace(text: str) -> list[Call]:
    """
    Return the calls of a trace in the order of their return.

    Raises:
        ValueError: If a line is not understood, or a call is one that the judges do not know.
    """
    calls: list[Call] = []
    begun: dict[str, tuple[int, str]] = {}
    for place, line in enumerate(text.splitlines()):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {place} is not understood: {line[:200]!r}")
        thread, words = match[1].strip(), match[2].lstrip()
        if words.startswith("+++ "):
            continue
        if words.endswith(_UNFINISHED):
            begun[thread] = (place, words.removesuffix(_UNFINISHED))
            continue
        begin = place
        if (resumed := _RESUMED.fullmatch(words)) is not None:
            begin, first = begun.pop(thread)
            words = first + resumed[2]
        if not words.endswith(" = ?"):  # it has not returned: its process ended
            calls.append(_call(words, begin, place))
    return calls


def _call(words: str, begin: int, end: int) -> Call:
    match = _CALL.fullmatch(words)
    if match is None:
        raise ValueError(f"line {end} is not understood: {words[:200]!r}")
    name, arguments, result, made, failed = match.groups()
    if int(result) >= 0 and not failed and (name in _OTHERS.split(",") or name in _MORE.split(",")):
        raise ValueError(f"line {end}: {name} is not known to the judges")
    strings = tuple(_bytes(found) for found in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments))
    plain = re.sub(r'"[^"]*"(\.\.\.)?', "", arguments)
    if '"...' in arguments:
        raise ValueError(f"line {end}: the trace is cut short")
    about = re.match(r"(?:-?\d+|AT_FDCWD)<([^>]*)>", arguments)
    flags = re.search(r"\b(?:O_\w+\|?)+", plain)
    return Call(
        begin=begin,
        end=end,
        name=name,
        about=_path(about[1]) if about else "",
        strings=strings,
        numbers=tuple(map(int, re.findall(r"(?<![\w.<:\[>-])\d+(?![\w<\]:.-])", re.sub(r"^[^,]*,", "", plain)))),
        flags=flags[0] if flags else "",
        result=int(result),
        made=_path(made[1:-1]) if made else "",
    )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _path(text: str) -> str:
    text = text.partition("<")[0]  # a device's number follows
    return _bytes(text).decode() if text.startswith("\\x") else text


# --- the order of calls ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """
    A ``getupdates`` that followed an answer with messages.

    Attributes:
        answered: The line on which the answer before it had been read.
        sent: The line on which the poll began to be written.
        messages: What was in the answer before it.
    """

    answered: int
    sent: int
    messages: tuple[int, ...]


def polls(calls: Iterable[Call]) -> list[Poll]:
    """Return the polls that followed an answer with messages."""
    found = []
    heard: dict[str, tuple[int, bytes]] = {}  # by connection, since its last poll
    for call in calls:
        if call.name == "recvfrom" and call.result > 0:
            heard[call.about] = (call.end, heard.get(call.about, (0, b""))[1] + call.strings[0])
        elif call.name == "sendto" and call.strings[0].startswith(_POLL):
            answered, data = heard.pop(call.about, (0, b""))
            if messages := tuple(dict.fromkeys(int(number) for number in re.findall(rb'"#(\d+)#"', data))):
                found.append(Poll(answered=answered, sent=call.begin, messages=messages))
    return found


@dataclass(kw_only=True)
class _Transaction:
    begin: int
    end: int = 0
    messages: set[int] = field(default_factory=set)


def _transactions(calls: Iterable[Call]) -> Iterator[_Transaction]:
    """Return what was committed to the write-ahead log."""
    current: _Transaction | None = None
    committing = False
    for call in calls:
        if call.name != "pwrite64" or not call.about.endswith("-wal"):
            continue
        (data,) = call.strings
        if call.result != len(data):
            raise ValueError(f"line {call.end}: a write was cut short")
        if len(data) == _WAL_HEADER and call.numbers[-1] == 0:
            continue
        current = current or _Transaction(begin=call.begin)
        current.end = call.end
        if len(data) == _FRAME_HEADER:
            committing = data[4:8] != bytes(4)  # the size of the database, which a commit frame has
            continue
        current.messages.update(int(number) for number in re.findall(rb'"#(\d+)#"', data))
        if committing:
            yield current
            current = None


def wal_syncs(calls: Iterable[Call]) -> list[Call]:
    """Return the calls that have put the write-ahead log on the disk."""
    return [c for c in calls if c.name in ("fsync", "fdatasync") and c.about.endswith("-wal") and c.result == 0]


def judge_order(calls: Sequence[Call], diary: str) -> list[str]:
    """
    Return what is wrong, in words: a poll, or a handler, that came before its messages were on the disk.

    Args:
        diary: The path of the bot's diary, to which it writes when a handler begins.
    """
    wrong = []
    transactions, syncs = list(_transactions(calls)), wal_syncs(calls)
    on_disk: dict[int, float] = {}  # from which line on
    for transaction in transactions:
        for number in transaction.messages - set(on_disk):
            on_disk[number] = min((sync.end for sync in syncs if sync.begin > transaction.end), default=float("inf"))
    for poll in polls(calls):
        late = [number for number in poll.messages if on_disk.get(number, float("inf")) > poll.sent]
        if late:
            wrong.append(f"the poll on line {poll.sent} came before messages {late} were on the disk")
    for call in calls:
        if call.name == "write" and call.about == diary and (begun := re.match(rb"\d+ begin (\d+)\n", call.strings[0])):
            number = int(begun[1])
            if on_disk.get(number, float("inf")) > call.begin:
                wrong.append(f"the handler of message {number} began before it was on the disk")
    return wrong


# --- what the disk may hold ------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _File:
    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[tuple[int, bytes | None]] = field(default_factory=list)  # offset and data, or a new size

    def contents(self, draw: random.Random) -> bytes:
        """Return what the disk may hold of it."""
        data = bytearray(self.safe)
        share = draw.choice((0.0, 0.5, 1.0))
        for offset, written in self.unsafe:
            if draw.random() >= share:
                continue
            if written is not None and draw.random() < 0.3:
                # Torn: a sector is written whole or not at all, in no order.
                for start in range(0, len(written), _SECTOR):
                    if draw.random() < 0.5:
                        _apply(data, offset + start, written[start : start + _SECTOR])
            else:
                _apply(data, offset, written)
        return bytes(data)


def _apply(data: bytearray, offset: int, written: bytes | None) -> None:
    if written is None:
        del data[offset:]
        data.extend(bytes(offset - len(data)))
        return
    data.extend(bytes(max(0, offset - len(data))))
    data[offset : offset + len(written)] = written


class Disk:
    """
    The files of one folder, as the disk may hold them.

    A file's name is safe once its folder was synced, and so is the loss of a name. The folder was empty before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _File] = {}  # by name, as the process sees them
        self._safe_names: dict[str, _File] = {}
        self._unsafe_names: list[tuple[str, _File | None]] = []

    def perform(self, call: Call) -> None:
        """Do what the process did."""
        if call.result < 0:
            return
        if call.name in ("fsync", "fdatasync") and Path(call.about) == self._folder:
            for name, file in self._unsafe_names:
                _enter(self._safe_names, name, file)
            self._unsafe_names.clear()
            return
        match call.name:
            case "openat":
                if (name := self._name(call.made)) and "O_CREAT" in call.flags and name not in self._files:
                    self._note(name, _File())
                if name and "O_TRUNC" in call.flags:
                    self._files[name].unsafe.append((0, None))
            case "unlink":
                if name := self._name(call.strings[0].decode()):
                    self._note(name, None)
            case "rename":
                old, new = (self._name(path.decode()) for path in call.strings)
                if old and new:
                    self._note(new, self._files[old])
                    self._note(old, None)
            case "pwrite64" | "ftruncate" | "fsync" | "fdatasync" | "write":
                # A file that is open and has no name any more is nobody's.
                if (name := self._name(call.about)) and name in self._files:
                    self._change(self._files[name], call)

    def _change(self, file: _File, call: Call) -> None:
        match call.name:
            case "pwrite64":
                file.unsafe.append((call.numbers[-1], call.strings[0][: call.result]))
            case "ftruncate":
                file.unsafe.append((call.numbers[-1], None))
            case "write":
                raise ValueError(f"line {call.end}: a plain write to {call.about}; the judge does not know where to")
            case _:
                for offset, written in file.unsafe:
                    _apply(file.safe, offset, written)
                file.unsafe.clear()

    def fail(self, into: Path, draw: random.Random) -> None:
        """Put into a folder what the disk may hold if the power fails now."""
        names = dict(self._safe_names)
        for name, file in self._unsafe_names[: draw.randint(0, len(self._unsafe_names))]:
            _enter(names, name, file)
        into.mkdir(mode=0o700)
        for name, file in names.items():
            if not name.endswith("-shm"):  # which is only memory, shared by processes
                (into / name).write_bytes(file.contents(draw))
                (into / name).chmod(0o600)

    def _name(self, path: str) -> str:
        path = path.removesuffix("(deleted)").strip()
        return Path(path).name if Path(path).parent == self._folder else ""

    def _note(self, name: str, file: _File | None) -> None:
        self._unsafe_names.append((name, file))
        _enter(self._files, name, file)


def _enter(names: dict[str, _File], name: str, file: _File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file
