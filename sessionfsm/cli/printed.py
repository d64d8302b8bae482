"""Lines on standard output while something goes on that must not be confused by their failing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .exit_codes import ExitCode
from .problems import CommandError, unwritable

__all__ = ["Printed"]


class _Gone(BaseException):
    """Standard output cannot be written. No handler of errors on the way may take it for its own."""


class Printed:
    """Prints lines; the first one that cannot be written ends the block of :meth:`ends_unread`."""

    def __init__(self) -> None:
        self._error: OSError | None = None

    def line(self, text: str = "") -> None:
        """Print *text*."""
        self._try(text + "\n")

    def flush(self) -> None:
        """See to it that everything is written."""
        self._try(None)

    def _try(self, text: str | None) -> None:
        if sys.stdout is None:
            return
        try:
            if text is None:
                sys.stdout.flush()
            else:
                sys.stdout.write(text)
        except OSError as error:
            self._error = error
            raise _Gone from error

    @contextmanager
    def ends_unread(self) -> Iterator[None]:
        """
        End the block as soon as nobody reads any more; that is no failure.

        Raises:
            CommandError: If standard output cannot be written for another reason.
        """
        try:
            yield
        except BaseException:
            if self._error is None:
                raise
            # The interpreter would try once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            if not isinstance(self._error, ConnectionError):
                raise CommandError(unwritable(self._error), ExitCode.FAILED) from None
