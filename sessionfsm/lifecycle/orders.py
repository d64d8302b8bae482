"""What an arc can order: the session's own commands, and commands of a user's own. Data, so that all can read them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from sessionfsm.errors import DefinitionError

from .terms import Ladder, Trigger

__all__ = ["Order", "OwnOrder", "Pause", "Perform"]


class Order(StrEnum):
    """The command that an arc gives; the machine makes it a :data:`~sessionfsm.lifecycle.Command` with figures."""

    RENEW = "renew"
    POLL = "poll"
    POLL_PACED = "poll, paced"
    POLL_FRESH = "poll, on a fresh connection"
    WAIT_SESSION = "wait session"
    WAIT_TRANSPORT = "wait transport"
    CLOSE = "close"
    GO_ON = "go on"
    """The outstanding operation continues."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Pause:
    """
    An order of your own: wait. A pause is a ladder with one rung.

    Attributes:
        name: What the wait is called, on records and in pictures.
        length_s: How long it lasts before jitter, in seconds.
        ceiling_s: The longest that it may become (``Retry-After``, and what your code asks for); the length if absent.

    Raises:
        DefinitionError: If it is no wait at all. Whether it is too long, ``verify`` says.
    """

    name: str
    length_s: float
    ceiling_s: float | None = None

    def __post_init__(self) -> None:
        if not self.name or self.name in tuple(Ladder):
            raise DefinitionError(f"a pause needs a name of its own, not {self.name!r}")
        if not 0 < self.length_s < math.inf:
            raise DefinitionError(f"the pause {self.name!r} needs a length above 0 s, not {self.length_s!r}")
        if not self.length_s <= self.longest_s < math.inf:
            raise DefinitionError(
                f"the pause {self.name!r} is {self.length_s:g} s long: its ceiling cannot be {self.longest_s!r} s"
            )

    @property
    def longest_s(self) -> float:
        """The ceiling."""
        return self.length_s if self.ceiling_s is None else self.ceiling_s

    def __str__(self) -> str:
        return f"pause {self.name}"


@dataclass(frozen=True, slots=True)
class Perform:
    """
    An order of your own: run an operation that was given to the session under this name.

    Attributes:
        name: Which one.
        outcomes: What it may report: triggers of your own, for which the table has rows.
        otherwise: What is reported when it raises, says anything else, or is not over in time; such a trigger, too.
        deadline_s: How long it may take, in seconds.

    Raises:
        DefinitionError: If it could not be performed.
    """

    name: str
    outcomes: tuple[str, ...]
    otherwise: str
    deadline_s: float = 10.0

    def __post_init__(self) -> None:
        if not self.name:
            raise DefinitionError("an operation needs a name")
        if not 0 < self.deadline_s < math.inf:
            raise DefinitionError(f"the operation {self.name!r} needs a deadline above 0 s, not {self.deadline_s!r}")
        taken = sorted({*self.outcomes, self.otherwise} & set(Trigger))
        if taken or not self.otherwise:
            raise DefinitionError(
                f"the operation {self.name!r} must report triggers of its own, not {', '.join(taken) or 'nothing'}: "
                "those are reported by the session's own operations"
            )

    @property
    def reported(self) -> tuple[str, ...]:
        """Everything that can be reported, each once."""
        return tuple(dict.fromkeys((*self.outcomes, self.otherwise)))

    def __str__(self) -> str:
        return f"perform {self.name}"


OwnOrder: TypeAlias = Pause | Perform
