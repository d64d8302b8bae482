"""What goes wrong, in one line and with an exit code."""

from __future__ import annotations

import re

from sessionfsm.errors import (
    AccountInUse,
    BadRequest,
    CredentialsMissing,
    DefinitionError,
    SessionFSMError,
    TraceError,
)
from sessionfsm.printable import printable

from .exit_codes import ExitCode

__all__ = ["CommandError", "code_of", "one_line", "only_cause", "unwritable"]

# The library names the argument of its own functions; here the way out is an option.
_ARGUMENT = r"allow_hosts=\['([^']*)'\]"  # not compiled: --help need not wait for that


class CommandError(Exception):
    """
    A command cannot go on.

    Attributes:
        code: How the process ends.
    """

    def __init__(self, message: str, code: int = ExitCode.MISUSE) -> None:
        super().__init__(message)
        self.code = code


def only_cause(error: BaseException) -> BaseException:
    """Return the error inside groups of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def code_of(error: BaseException) -> int | None:
    """Return how a command ends that ended in *error*; ``None`` for an error that nobody foresaw."""
    match error:
        case CommandError():
            return error.code
        case DefinitionError() | BadRequest() | TraceError():
            return ExitCode.MISUSE
        case AccountInUse():
            return ExitCode.IN_USE
        case CredentialsMissing():
            return ExitCode.NO_CREDENTIALS
        case SessionFSMError():
            return ExitCode.FAILED
        case _:
            return None


def unwritable(error: OSError) -> str:
    """Return in words that standard output cannot be written."""
    return f"standard output cannot be written: {error.strerror or error}"


def one_line(text: object) -> str:
    """Return *text* in one line without control characters, in the words of the command line."""
    words = re.sub(_ARGUMENT, r"--allow-host \1", " ".join(str(text).split()))
    return printable(words)
