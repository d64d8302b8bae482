"""
The secrets that the tests use, and a look through what a test has shown for them.

Every test's captured output and the library's log, at every level, are looked through (tests/conftest.py), and so is
what processes print (tests/cli/process.py). A test that makes up a secret of its own adds it here.
"""

from __future__ import annotations

import base64
import logging

__all__ = ["KNOWN", "Log", "shown_in"]

KNOWN = {
    "TOKEN and BENCH_TOKEN": "00112233445566778899aabbccddeeff",
    "OTHER_TOKEN": "ffeeddccbbaa99887766554433221100",
    "SECRET and CANARY of credentials": "cafe0123456789deadbeef",
    "a token that was replaced": "11111111111111111111111111111111",
    "the token that came next": "22222222222222222222222222222222",
    "a context token of the fake server": "fabricated context token",
    "the typing ticket of the fake server": "fabricated-typing-ticket",
}
"""What a token has behind its account's name, and other secrets, by what they are called."""


def _encoded(secret: str) -> list[str]:
    """Return the base64 of *secret* at each place that it can have in a longer text, such as a cursor."""
    return [base64.b64encode(bytes(shift) + secret.encode()).decode().rstrip("=")[shift + 1 : -2] for shift in range(3)]


_FORMS = [(form, name) for name, secret in KNOWN.items() for form in (secret, *_encoded(secret))]


def shown_in(text: str) -> str | None:
    """Return which secret *text* shows, or ``None`` if it shows none."""
    for form, name in _FORMS:
        if form in text:
            return name
    return None


class Log(logging.Handler):
    """Looks through what the library logs while a test runs; *shown* are the records that showed a secret."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.shown: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if (name := shown_in(message)) is None and record.exc_info and record.exc_info[1] is not None:
            name = shown_in(logging.Formatter().formatException(record.exc_info))
        if name is not None:
            self.shown.append(f"a record of {record.pathname}:{record.lineno}: {name}")
