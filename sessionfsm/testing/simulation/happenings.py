"""
What happens besides what a server and a network do (``sessionfsm.testing.faults``): as data, in the same form.

Every happening has ``at_s``: seconds after the simulation began.

=============  ===================================================  ==================================================
kind           what happens                                         fields and defaults
=============  ===================================================  ==================================================
``handler``    the next calls of a handler misbehave                ``how`` ``"raises"``, ``times`` 1, ``for_s`` 60,
                                                                    ``sender`` (``None``: whoever wrote)
``send``       somebody sends from outside of the handlers          ``times`` 1, ``to`` ``"user@im.wechat"``
``again``      the server hands out its newest message again        ``copies`` 1
``wake``       ``wake()`` is called                                 ``times`` 1
``trigger``    ``trigger(name)`` is called: a table of your own     ``name``
``restart``    the session ends, and another one begins on the      ``how`` ``"stop"``, ``down_s`` 5, ``step`` (for
               same store; the server goes on                       ``"kill"``; empty: now)
``login``      the same user logs in once more, as another bot,     ``notifystart`` ``"denied"``, ``answer_held`` true
               which takes the old one's place
``store``      the store fails, or answers late                     ``how`` ``"fails"``, ``method`` (``None``: all),
                                                                    ``for_s`` 30, ``delay_s`` 3
=============  ===================================================  ==================================================

A handler ``raises``; ``cancels`` (itself, as code does that awaits what it has cancelled); is ``slow`` by ``for_s``
seconds; ``hangs`` until the session has ended; ``floods`` (a dozen texts in a row); ``stops`` the session from inside;
or is ``late``: it goes on for ``for_s`` seconds although it is cancelled. A restart is an orderly ``stop``, a
``cancel``, or a ``kill``: as by ``kill -9``, at once or when the process comes to a ``step`` such as ``after commit``
(:mod:`sessionfsm.testing.life` has them all).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal, get_args

from sessionfsm.testing import faults
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.life import STEPS

__all__ = [
    "KINDS",
    "Again",
    "Behaviour",
    "Handler",
    "Happening",
    "Login",
    "Restart",
    "Send",
    "StoreMethod",
    "StoreTrouble",
    "Tell",
    "Wake",
]

Behaviour = Literal["raises", "cancels", "slow", "hangs", "floods", "stops", "late"]
StoreMethod = Literal[
    "commit",
    "done",
    "failed",
    "pending",
    "context_token",
    "cursor",
    "acquire",
    "retire",
    "current",
    "predecessors",
]


class Happening(Fault):
    """Base of what the simulation sees to itself."""


@dataclass(frozen=True, kw_only=True)
class Handler(Happening):
    """The next calls of a handler misbehave."""

    kind = "handler"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({"how": get_args(Behaviour)})

    how: Behaviour = "raises"
    times: int = 1
    for_s: float = 60.0
    sender: str | None = None

    @property
    def lasts_s(self) -> float:
        """It has no end by the clock: it waits for a message."""
        return 0.0

    def _what(self) -> str:
        length = f" {self.for_s:g} s" if self.how in ("slow", "late") else ""
        whose = f" for {self.sender}" if self.sender else ""
        often = f", {self.times} times" if self.times > 1 else ""
        return f"a handler {_HOW[self.how]}{length}{whose}{often}"


_HOW: Final[Mapping[str, str]] = {
    "raises": "raises",
    "cancels": "cancels itself",
    "slow": "takes",
    "hangs": "hangs",
    "floods": "sends a dozen texts",
    "stops": "stops the session",
    "late": "goes on, cancelled or not, for",
}


@dataclass(frozen=True, kw_only=True)
class Send(Happening):
    """Somebody sends."""

    kind = "send"

    to: str = "user@im.wechat"
    times: int = 1

    def _what(self) -> str:
        return "somebody sends" + (f" {self.times} texts at once" if self.times > 1 else "")


@dataclass(frozen=True, kw_only=True)
class Again(Happening):
    """The server hands out its newest message again."""

    kind = "again"

    copies: int = 1

    def _what(self) -> str:
        return "the newest message comes again" + (f", {self.copies} times" if self.copies > 1 else "")


@dataclass(frozen=True, kw_only=True)
class Wake(Happening):
    """``wake()`` is called."""

    kind = "wake"

    times: int = 1

    def _what(self) -> str:
        return "wake()" + (f", {self.times} times" if self.times > 1 else "")


@dataclass(frozen=True, kw_only=True)
class Tell(Happening):
    """An external trigger of a table of one's own."""

    kind = "trigger"

    name: str

    def _what(self) -> str:
        return f"trigger({self.name!r})"


@dataclass(frozen=True, kw_only=True)
class Restart(Happening):
    """The session ends, and another one begins on the same store."""

    kind = "restart"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {"how": ("stop", "cancel", "kill"), "step": ("", *STEPS)}
    )

    how: Literal["stop", "cancel", "kill"] = "stop"
    down_s: float = 5.0
    step: str = ""

    @property
    def waits(self) -> bool:
        """Whether it happens at the next step of that name, not now."""
        return self.how == "kill" and self.step != ""

    def _what(self) -> str:
        how = {"stop": "is stopped", "cancel": "is cancelled", "kill": "is killed"}[self.how]
        when = f" {self.step}" if self.waits else ""
        return f"the session {how}{when}, and begins again after {self.down_s:g} s"


@dataclass(frozen=True, kw_only=True)
class Login(Happening):
    """The same user logs in once more, as another bot."""

    kind = "login"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({"notifystart": ("works", "denied")})

    notifystart: Literal["works", "denied"] = "denied"
    answer_held: bool = True

    def _what(self) -> str:
        return "the user logs in as another bot"


@dataclass(frozen=True, kw_only=True)
class StoreTrouble(Happening):
    """The store fails, or answers late; what it answers late is done all the same."""

    kind = "store"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {"how": ("fails", "late"), "method": get_args(StoreMethod)}
    )

    how: Literal["fails", "late"] = "fails"
    method: StoreMethod | None = None
    for_s: float = 30.0
    delay_s: float = 3.0

    def _what(self) -> str:
        whose = "credentials" if self.method in ("current", "predecessors") else "store"
        what = f"{self.method}() of the {whose}" if self.method else "the store"
        return f"{what} fails" if self.how == "fails" else f"{what} answers {self.delay_s:g} s late"


KINDS: Final[Mapping[str, type[Fault]]] = {
    **faults.KINDS,
    **{made.kind: made for made in (Handler, Send, Again, Wake, Tell, Restart, Login, StoreTrouble)},
}
"""Every kind that a schedule can have, by its name."""
