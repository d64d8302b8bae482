"""What must not be seen: bot tokens, context tokens, cursors (docs/reference/protocol.md, section 1.6)."""

from __future__ import annotations

import base64
import hmac
import json
import os
import traceback
from collections.abc import Iterable
from itertools import groupby
from typing import NoReturn, final
from urllib.parse import quote

__all__ = ["Secret", "hide_secrets", "raised_at"]

_WHOLE = 8  # replacing a shorter text would only spoil the words; real secrets have 40 and more
_PART = 12
_LONGEST_ENCODED = 4096  # characters; nobody repeats a longer text in base64
_FRAMES_NAMED = 6


@final
class Secret:
    """
    A string whose ``repr``, ``str`` and ``format`` hide it.

    Comparison takes the same time wherever the first difference is. :meth:`reveal` is the one way to the text, so
    that every place which handles it can be found by searching for that word.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def of(cls, text: Secret | str) -> Secret:
        """
        Return *text* hidden, whatever it is.

        For the first line of a function that takes a token in clear: ``token = Secret.of(token)``. A traceback of what
        is raised after it does not show the token.
        """
        return text if isinstance(text, Secret) else cls(text)

    def reveal(self) -> str:
        """Return the text. Do not bind it to a name: a traceback with locals would show it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self._text.encode("utf-8", "surrogatepass"), other._text.encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "Secret('…')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled or copied; pass the object itself, or reveal() it where it is stored")


def hide_secrets(text: str, secrets: Iterable[Secret]) -> str:
    """
    Return foreign *text* with ``[secret]`` in the place of the given secrets.

    It finds those of 8 characters and more, and any 12 characters of one, also in base64, percent-encoded or escaped
    as JSON: an error that quotes a request seldom quotes all of it.
    """
    forms: list[str] = []
    for secret in secrets:
        if len(secret.reveal()) >= _WHOLE:
            text = text.replace(secret.reveal(), "[secret]")
            forms += _forms(secret)
    every, hidden = "\n".join(forms), bytearray(len(text))
    for start in range(len(text) - _PART + 1):
        if text[start : start + _PART] in every:
            hidden[start : start + _PART] = b"\1" * _PART
    runs = groupby(range(len(text)), hidden.__getitem__)
    return "".join("[secret]" if is_hidden else "".join(text[at] for at in places) for is_hidden, places in runs)


def raised_at(error: BaseException) -> str:
    """
    Return where *error* was raised, as files, lines and functions, the innermost last.

    It takes the place of a traceback whose frames have secrets among their locals.
    """
    places = [
        f"{os.path.basename(frame.f_code.co_filename)}:{line} in {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return ", ".join(places[-_FRAMES_NAMED:])


def _forms(secret: Secret) -> list[str]:
    """Return a secret as others may write it. In base64 it depends on what stands before it."""
    forms = [secret.reveal()]
    if len(secret.reveal()) <= _LONGEST_ENCODED:
        data = secret.reveal().encode("utf-8", "surrogatepass")
        forms += [quote(data, safe=""), json.dumps(secret.reveal())]
        for shift in range(3):
            encoded = base64.b64encode(bytes(shift) + data).decode("ascii")
            forms += [encoded, encoded.translate(_URL_SAFE)]
    return forms


_URL_SAFE = str.maketrans("+/", "-_")
