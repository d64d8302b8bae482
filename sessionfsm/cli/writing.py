"""Writing to standard output and standard error, whoever may have closed them, and to files."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import contextmanager, suppress

from .exit_codes import ExitCode
from .problems import CommandError, unwritable

TYPE_CHECKING = False  # see sessionfsm/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

__all__ = ["replace_file", "say", "write_bytes", "write_out"]


def write_out(text: str) -> None:
    """
    Write *text* to standard output. That a reader has gone is no failure: the rest of it is for nobody.

    Raises:
        CommandError: If it cannot be written.
    """
    with _standard_output() as out:
        out.write(text)
        out.flush()


def write_bytes(data: bytes) -> None:
    """
    The same with *data* that is no text.

    Raises:
        CommandError: If standard output is a terminal, or it cannot be written.
    """
    with _standard_output() as out:
        if out.isatty():
            raise CommandError("this is no text for a terminal; name a file with --output, or send it to one")
        out.buffer.write(data)
        out.buffer.flush()


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    if sys.stdout is None:  # what the interpreter makes of a descriptor that is closed
        raise CommandError("standard output is closed; send it somewhere, at least to /dev/null", ExitCode.FAILED)
    try:
        yield sys.stdout
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter would try once more at its end
    except OSError as error:
        raise CommandError(unwritable(error), ExitCode.FAILED) from None


def say(line: str) -> None:
    """Write a line to standard error. Where there is none, or nobody reads it, nobody is told."""
    if sys.stderr is not None:  # print() would take standard output for it
        with suppress(OSError):
            print(line, file=sys.stderr)


def replace_file(file: str, data: bytes) -> None:
    """
    Put *data* in the place of *file*: who reads it finds the old or the new, and an error leaves the old.

    Raises:
        CommandError: If it cannot be written.
    """
    import secrets
    from pathlib import Path  # neither is needed to say a line

    path = Path(os.path.realpath(file))  # a link stays a link
    new = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.new")
    try:
        mode = path.stat().st_mode if path.exists() else None
        if mode is not None and not stat.S_ISREG(mode):  # such as /dev/stdout: there is nothing to replace
            path.write_bytes(data)
            return
        try:
            with new.open("xb") as made:
                made.write(data)
                made.flush()
                if mode is not None:
                    os.fchmod(made.fileno(), stat.S_IMODE(mode))
                os.fsync(made.fileno())
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
    except OSError as error:
        raise CommandError(f"the file {file} cannot be written: {error.strerror or error}", ExitCode.FAILED) from None
