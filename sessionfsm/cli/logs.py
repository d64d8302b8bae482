"""What the library logs, on standard error: one readable line per record."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .problems import one_line

__all__ = ["logger", "logs_to_stderr"]

logger = logging.getLogger("sessionfsm.cli")


class _OneLine(logging.Formatter):
    """Time, level, message. The traceback is left to ``-v``; without it the error is named."""

    def __init__(self, *, tracebacks: bool) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        record.message, record.asctime = record.getMessage(), self.formatTime(record, self.datefmt)
        line = one_line(self.formatMessage(record))
        if not record.exc_info or record.exc_info[1] is None:
            return line
        if self._tracebacks:
            return f"{line}\n{self.formatException(record.exc_info)}"
        error = record.exc_info[1]
        return one_line(f"{line} ({type(error).__name__}: {error}; -v shows where)")


@contextmanager
def logs_to_stderr(*, verbose: bool) -> Iterator[None]:
    """Show the library's log, and nobody else's, inside the block: INFO and up, or everything."""
    library = logging.getLogger("sessionfsm")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(tracebacks=verbose))
    before = library.level, library.propagate
    library.addHandler(handler)
    library.setLevel(logging.DEBUG if verbose else logging.INFO)
    library.propagate = False
    try:
        yield
    finally:
        library.removeHandler(handler)
        library.setLevel(before[0])
        library.propagate = before[1]
