"""How every command ends; the table is docs/reference/exit-codes.md."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["SIGNALLED", "ExitCode"]


class ExitCode(IntEnum):
    """What the process tells whoever started it."""

    OK = 0
    """All is well."""
    FAILED = 1
    """It failed, or a property is broken."""
    MISUSE = 2
    """An unknown option, a missing argument, or a value that is not allowed."""
    UNDECIDED = 3
    """Neither shown to hold nor shown to be broken."""
    IN_USE = 4
    """The account is in use by another process."""
    NO_CREDENTIALS = 5
    """No credentials are stored."""


SIGNALLED = 128
"""Plus the number of the signal that ended the process before it could stop in order."""
