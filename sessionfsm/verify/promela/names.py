"""Names that SPIN can read for what a table calls by any name at all."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Order, OwnOrder, Pause, Perform, Signal

__all__ = ["Names", "comment", "operation_of"]

MOST_NAMES = 255
"""SPIN keeps every name in one byte."""

_OPERATIONS: dict[Order, str | None] = {
    Order.RENEW: "renewal",
    Order.POLL: "poll",
    Order.POLL_PACED: "poll",
    Order.POLL_FRESH: "poll",
    Order.WAIT_SESSION: "wait_session",
    Order.WAIT_TRANSPORT: "wait_transport",
    Order.CLOSE: "close",
    Order.GO_ON: None,
    Order.NOTHING: "nothing",
}


def operation_of(order: Order | OwnOrder) -> str | None:
    """Return what is outstanding after *order*; ``None`` if what was outstanding goes on."""
    match order:
        case Pause():
            return f"pause {order.name}"
        case Perform():
            return f"perform {order.name}"
        case _:
            return _OPERATIONS[order]


class Names:
    """
    The names of everything in a machine's table: each one a word of Promela, and no two the same.

    A prefix says what it is (``s_`` a state, ``t_`` a trigger, ``o_`` an operation, ``up_`` a signal), and keeps it
    away from the language's own words, of which ``active`` is one.

    Raises:
        DefinitionError: If there are too many.
    """

    def __init__(self, machine: Machine) -> None:
        table = machine.table
        orders = [name for row in table.rows if (name := operation_of(row.order)) is not None]
        self.states = _words("s", (str(entry.name) for entry in table.states))
        outcomes = (name for performed in table.performed for name in performed.reported)
        self.triggers = _words("t", (*machine.triggers, *outcomes))
        self.operations = _words("o", (*(name for name in _OPERATIONS.values() if name is not None), *orders))
        self.signals = _words("up", Signal)
        count = len(self.states) + len(self.triggers) + len(self.operations)
        if count > MOST_NAMES:
            raise DefinitionError(
                f"table {table.name!r} cannot be written as Promela: it has {count} names of states, triggers and "
                f"operations, and SPIN knows no more than {MOST_NAMES}"
            )

    @property
    def words(self) -> tuple[str, ...]:
        """All that SPIN has to be told of."""
        return (*self.states.values(), *self.triggers.values(), *self.operations.values())


def _words(prefix: str, names: Iterable[str]) -> dict[str, str]:
    words: dict[str, str] = {}
    for name in dict.fromkeys(map(str, names)):
        word = f"{prefix}_{re.sub('[^A-Za-z0-9]+', '_', name).strip('_')}"
        # What is left of two names may be the same word.
        words[name] = word if word not in words.values() else f"{word}_{len(words)}"
        while list(words.values()).count(words[name]) > 1:
            words[name] += "_"
    return words


def comment(text: object) -> str:
    """Return *text* in one line that does not end the comment it stands in."""
    plain = "".join(character if character.isprintable() else " " for character in str(text))
    return f"/* {' '.join(plain.replace('*/', '* /').replace('/*', '/ *').split())} */"
