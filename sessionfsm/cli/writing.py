"""Writing to standard output and standard error, whoever may have closed them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from .exit_codes import ExitCode
from .problems import CommandError, unwritable

__all__ = ["say", "write_out"]


def write_out(text: str) -> None:
    """
    Write *text* to standard output. That a reader has gone is no failure: the rest of it is for nobody.

    Raises:
        CommandError: If it cannot be written.
    """
    if sys.stdout is None:  # what the interpreter makes of a descriptor that is closed
        raise CommandError("standard output is closed; send it somewhere, at least to /dev/null", ExitCode.FAILED)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter would try once more at its end
    except OSError as error:
        raise CommandError(unwritable(error), ExitCode.FAILED) from None


def say(line: str) -> None:
    """Write a line to standard error. Where there is none, or nobody reads it, nobody is told."""
    if sys.stderr is not None:  # print() would take standard output for it
        with suppress(OSError):
            print(line, file=sys.stderr)
