"""Writing a whole text to standard output, whoever may have closed it."""

from __future__ import annotations

import os
import sys

from .exit_codes import ExitCode
from .problems import CommandError, unwritable

__all__ = ["write_out"]


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
