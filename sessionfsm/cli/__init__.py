"""
The command line: one more caller of the public API.

What is imported here comes before the signal handlers, so it is next to nothing; the rest is in ``commands``.
"""

from __future__ import annotations

from collections.abc import Sequence

from .exit_codes import SIGNALLED, ExitCode
from .stop_signals import StopSignals

__all__ = ["ExitCode", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Whatever happens, no traceback without ``-v``."""
    try:
        with StopSignals() as signals:
            from .commands import perform

            return perform(argv, signals)
    except KeyboardInterrupt:
        return SIGNALLED + 2
