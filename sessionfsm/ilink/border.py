"""
What comes out of the client besides answers: exceptions, without the frames that had secrets in clear.

Inside, a request is written with the token, and an answer is read that has context tokens in it. A traceback keeps
every frame that it passed, with its locals; tools that report errors print these. So it begins anew at the border,
and what had caused an error stays inside: its text and its attributes are the HTTP client's, and may be the request.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sessionfsm.errors import ILinkError
from sessionfsm.secret import Secret, hide_secrets, raised_at

__all__ = ["bare_errors"]

P = ParamSpec("P")
R = TypeVar("R")

_LONGEST = 10_000


class _Client(Protocol):
    def known_secrets(self) -> Sequence[Secret]: ...


C = TypeVar("C", bound=_Client)


def bare_errors(
    call: Callable[Concatenate[C, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[C, P], Coroutine[Any, Any, R]]:
    """Let what *call* raises leave it with no traceback of the inside, and with no cause."""

    @functools.wraps(call)
    async def at_the_border(client: C, /, *args: P.args, **kwargs: P.kwargs) -> R:
        outside = sys.exception()
        try:
            return await call(client, *args, **kwargs)
        except Exception as raised:
            error = raised if isinstance(raised, ILinkError) else _shown(raised, client)
        except BaseException as raised:
            _strip(raised, outside)
            raise
        error.__cause__ = error.__context__ = None
        try:
            # Not inside the handler, where what was caught would become its context.
            raise error.with_traceback(None)
        finally:
            del error  # its traceback has this frame

    return at_the_border


def _strip(cancelled: BaseException, outside: BaseException | None) -> None:
    """Take the frames from a cancellation, and from those before it, by which anyio finds out whose it is."""
    for member in cancelled.exceptions if isinstance(cancelled, BaseExceptionGroup) else ():
        _strip(member, outside)
    link: BaseException | None = cancelled
    while link is not None and link is not outside:
        link.__traceback__ = link.__cause__ = None
        if link.__context__ is not outside and not isinstance(link.__context__, type(cancelled)):
            link.__context__ = None
        link = link.__context__


def _shown(error: Exception, client: _Client) -> Exception:
    """
    Return an error that nobody foresaw, a bug here or in the HTTP client, with a note in place of its traceback.

    It is another one if it would show a secret.
    """
    words = f"{type(error).__name__}: {error} {error.args!r} {vars(error)!r}"
    place = f"raised at {raised_at(error)}"
    is_group = isinstance(error, ExceptionGroup)  # its members have frames
    if is_group or len(words) > _LONGEST or hide_secrets(words, client.known_secrets()) != words:
        error = RuntimeError(f"{type(error).__name__}; no more is said of it, because it may repeat what was sent")
    error.add_note(place)
    return error
