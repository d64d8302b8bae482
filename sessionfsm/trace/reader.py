"""Reads a trace line by line. Never more than one line is in memory, and none is longer than a megabyte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO

from sessionfsm.errors import TraceError
from sessionfsm.session import Record, SendRecord

from .lines import BrokenOff, Line, LineError, Other, RunLine, Torn, UnfinishedError, line_of

__all__ = ["LONGEST_LINE", "begins_a_run", "name_of", "read_trace"]

LONGEST_LINE = 2**20
"""In bytes. A record has about a thousand."""

_BEGINNING = b'{"kind":'


def name_of(source: str | os.PathLike[str] | BinaryIO) -> str:
    """Return what *source* is called in messages."""
    name = getattr(source, "name", None) if hasattr(source, "readline") else source
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else "the trace"


def read_trace(source: str | os.PathLike[str] | BinaryIO, *, name: str | None = None) -> Iterator[tuple[int, Line]]:
    """
    Yield each line of a trace with its number, counted from 1.

    A trace begins with a :class:`~sessionfsm.trace.RunLine`, and may hold several runs, one after the other. A line
    that a killed process left half written is a :class:`~sessionfsm.trace.Torn`: at the end of the file, or before the
    run that came next.

    Args:
        source: A file by its name, or one that is open for reading bytes.
        name: What it is called in messages.

    Raises:
        TraceError: If it cannot be read, or a line is anything else than a line of a trace.
    """
    name = name_of(source) if name is None else name
    with ExitStack() as stack:
        try:
            if isinstance(source, str | os.PathLike):
                source = stack.enter_context(open(source, "rb"))
            yield from _lines(source, name)
        except OSError as error:
            raise TraceError(f"{name} cannot be read: {error.strerror or error}", name=name) from None


def begins_a_run(text: bytes) -> bool:
    """Return whether *text* is the first line of a trace, or what a killed process left of it."""
    try:
        return isinstance(line_of(text), RunLine)
    except LineError as error:
        return isinstance(error, UnfinishedError) and _begun(text)


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, Line]]:
    number, text = 0, b""
    begun = broken_off = False
    unfinished: TraceError | None = None  # the line before, which is torn if a run begins after it
    while following := file.readline(LONGEST_LINE + 1):
        number, text = number + 1, following
        try:
            line = _line(text)
            _in_place(line, begun=begun, broken_off=broken_off)
        except LineError as error:
            problem = TraceError(f"{name}:{number}: {error}", name=name, line=number)
            if unfinished is not None or not isinstance(error, UnfinishedError) or not _begun(text):
                raise unfinished or problem from None
            unfinished = problem
            continue
        if unfinished is not None:
            if not isinstance(line, RunLine):
                raise unfinished
            yield number - 1, Torn()
            unfinished = None
        begun = begun or isinstance(line, RunLine)
        broken_off = isinstance(line, BrokenOff) or (broken_off and not isinstance(line, RunLine))
        yield number, line
    if unfinished is not None:
        if text.endswith(b"\n"):
            raise unfinished
        yield number, Torn()
    if not number:
        raise TraceError(f"{name} is empty: nothing was recorded", name=name)


def _line(text: bytes) -> RunLine | Record | SendRecord | BrokenOff | Other:
    if len(text) > LONGEST_LINE:
        raise LineError(f"it is longer than {LONGEST_LINE} bytes, so it is no line of a trace")
    if not text.strip():
        raise LineError("it is empty")
    return line_of(text)


def _in_place(line: Line, *, begun: bool, broken_off: bool) -> None:
    if isinstance(line, RunLine):
        return
    if not begun:
        raise LineError("no run was begun before it: the line that begins one is missing")
    if broken_off and isinstance(line, Record | SendRecord):
        what = "a record" if isinstance(line, Record) else "a send"
        raise LineError(f"it is {what} of a run that was broken off")


def _begun(text: bytes) -> bool:
    return text.rstrip(b"\n").startswith(_BEGINNING) or _BEGINNING.startswith(text.rstrip(b"\n"))
