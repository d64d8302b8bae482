"""A table as JSON and back: the form is documented in docs/reference/table-format.md."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar, cast

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import (
    Assign,
    AtLeast,
    Below,
    Count,
    Guard,
    Is,
    Order,
    OwnOrder,
    Pause,
    Perform,
    Row,
    Signal,
    SignalRule,
    StateEntry,
    Table,
    Update,
)

__all__ = ["table_from_json", "table_json"]

_FORMAT = "sessionfsm table"
_VERSION = 1
_LONGEST_SHOWN = 60

_Part = TypeVar("_Part")


def table_json(table: Table) -> str:
    """
    Return *table* as JSON: a line for each state, row and signal. :func:`table_from_json` makes an equal table of it.

    Characters that nobody sees are escaped.

    Raises:
        DefinitionError: If a name or a sentence has half a character in it (a lone surrogate), which is no text.
    """
    lists = {
        "states": [{"name": entry.name, "meaning": entry.meaning} for entry in table.states],
        "rows": [_row(row) for row in table.rows],
        "signals": [
            {"signal": rule.signal, "command": rule.order, "when": [_guard(guard) for guard in rule.guards]}
            for rule in table.signals
        ],
    }
    head = {
        "format": _FORMAT,
        "version": _VERSION,
        "name": table.name,
        "initial": table.initial,
        "external": list(table.external),
    }
    entries = [f"  {_dumped(key)}: {_dumped(value)}" for key, value in head.items()]
    for key, parts in lists.items():
        lines = ",\n".join(f"    {_dumped(part)}" for part in parts)
        entries.append(f"  {_dumped(key)}: [\n{lines}\n  ]" if lines else f"  {_dumped(key)}: []")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def _dumped(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if re.search(r"[\ud800-\udfff]", text):
        raise DefinitionError(
            f"{_shortened(ascii(value))} is no text: it has half a character in it (a lone surrogate)"
        )
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _row(row: Row) -> dict[str, Any]:
    return {
        "trigger": row.trigger,
        "from": list(row.sources),
        "when": [_guard(guard) for guard in row.guards],
        "to": row.target,
        "memory": [_update(update) for update in row.updates],
        "command": _order(row.order),
        "reason": row.reason,
        "clears_signals": row.clears_signals,
    }


def _guard(guard: Guard) -> dict[str, Any]:
    match guard:
        case Is(flag=flag, value=value):
            return {"flag": flag, "is": value}
        case Below(counter=counter, limit=limit):
            return {"counter": counter, "below": limit}
        case AtLeast(counter=counter, limit=limit):
            return {"counter": counter, "at_least": limit}


def _update(update: Update) -> dict[str, Any]:
    if isinstance(update, Assign):
        return {"set": update.cell, "to": update.value}
    return {"count": update.counter}


def _order(order: Order | OwnOrder) -> object:
    match order:
        case Pause():
            return {"pause": order.name, "length_s": order.length_s, "ceiling_s": order.ceiling_s}
        case Perform():
            return {
                "perform": order.name,
                "outcomes": list(order.outcomes),
                "otherwise": order.otherwise,
                "deadline_s": order.deadline_s,
            }
        case _:
            return str(order)


def table_from_json(text: str | bytes) -> Table:
    """
    Make a table of what :func:`table_json` has written, or somebody by hand.

    Raises:
        DefinitionError: If *text* is no such table; it names the place, such as ``rows[3].when[0].below``.
    """
    try:
        document = json.loads(
            text, object_pairs_hook=_object, parse_constant=lambda name: _refuse("the document", f"has {name}")
        )
    except DefinitionError:
        raise
    except RecursionError:
        raise DefinitionError("the table cannot be read: it is nested too deeply") from None
    except ValueError as error:  # no JSON, no UTF-8, or an integer of thousands of digits
        raise DefinitionError(f"the table cannot be read: {_shortened(str(error))}") from None
    root = _Place("the document", document).mapping()
    if root.get("format").value != _FORMAT:
        root.get("format").refuse(f"is not {_FORMAT!r}")
    if (version := root.get("version")).whole() != _VERSION:
        version.refuse(f"is not {_VERSION}, which is all that this sessionfsm reads")
    states = root.get("states").each(_read_state)
    rows = root.get("rows").each(_read_row)
    signals = root.get("signals").each(_read_signal)
    name, initial = root.get("name").text(), root.get("initial").text()
    external = root.get("external").each(_Place.text)
    root.no_more()
    return Table(name=name, initial=initial, external=external, states=states, rows=rows, signals=signals)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        _refuse("the document", f"has an object with the key {_shown(twice)} twice")
    return found


def _refuse(where: str, what: str) -> NoReturn:
    raise DefinitionError(f"the table cannot be read: {where} {what}")


class _Place:
    """A value and where it stands."""

    def __init__(self, where: str, value: Any) -> None:
        self.where = where
        self.value = value

    def refuse(self, what: str) -> NoReturn:
        _refuse(self.where, f"{what}: {_shown(self.value)}")

    def text(self) -> str:
        if not isinstance(self.value, str):
            self.refuse("is no text")
        if re.search(r"[\ud800-\udfff]", self.value):
            self.refuse("has half a character in it (a lone surrogate)")
        return self.value

    def boolean(self) -> bool:
        if not isinstance(self.value, bool):
            self.refuse("is neither true nor false")
        return self.value

    def whole(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.refuse("is no whole number")
        return self.value

    def seconds(self) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.refuse("is no number of seconds")
        if isinstance(self.value, int) and self.value > 10**15:  # no float could tell it from its neighbour
            self.refuse("is too large")
        return self.value

    def each(self, read: Callable[[_Place], _Part]) -> tuple[_Part, ...]:
        if not isinstance(self.value, list):
            self.refuse("is no list")
        return tuple(read(_Place(f"{self.where}[{number}]", part)) for number, part in enumerate(self.value))

    def mapping(self) -> _Object:
        if not isinstance(self.value, dict):
            self.refuse("is no object")
        return _Object(self.where, self.value)


class _Object:
    """An object and where it stands; each key must be asked for."""

    def __init__(self, where: str, value: Mapping[str, Any]) -> None:
        self._where = where
        self._value = value
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def get(self, key: str) -> _Place:
        self._asked.append(key)
        if key not in self._value:
            _refuse(self._where, f"has no {key!r}")
        return _Place(key if self._where == "the document" else f"{self._where}.{key}", self._value[key])

    def no_more(self) -> None:
        """Refuse what was not asked for: it is a misspelling, or from a later version."""
        for key in self._value:
            if key not in self._asked:
                known = ", ".join(dict.fromkeys(self._asked))
                _refuse(self._where, f"has the unknown key {_shown(key)} (known here: {known})")


def _read_state(place: _Place) -> StateEntry:
    entry = place.mapping()
    state = StateEntry(name=entry.get("name").text(), meaning=entry.get("meaning").text())
    entry.no_more()
    return state


def _read_row(place: _Place) -> Row:
    entry = place.mapping()
    row = Row(
        trigger=entry.get("trigger").text(),
        sources=entry.get("from").each(_Place.text),
        guards=entry.get("when").each(_read_guard),
        target=entry.get("to").text(),
        updates=entry.get("memory").each(_read_update),
        order=_read_order(entry.get("command")),
        reason=entry.get("reason").text(),
        clears_signals=entry.get("clears_signals").boolean(),
    )
    entry.no_more()
    return row


def _read_signal(place: _Place) -> SignalRule:
    entry = place.mapping()
    rule = SignalRule(
        signal=_one_of(entry.get("signal"), Signal),
        order=_one_of(entry.get("command"), Order),
        guards=entry.get("when").each(_read_guard),
    )
    entry.no_more()
    return rule


def _read_guard(place: _Place) -> Guard:
    entry = place.mapping()
    guard: Guard
    # Whether the memory has the cell the table says.
    if "flag" in entry:
        guard = Is(cast(Any, entry.get("flag").text()), entry.get("is").boolean())
    elif "below" in entry:
        guard = Below(cast(Any, entry.get("counter").text()), entry.get("below").whole())
    else:
        guard = AtLeast(cast(Any, entry.get("counter").text()), entry.get("at_least").whole())
    entry.no_more()
    return guard


def _read_update(place: _Place) -> Update:
    entry = place.mapping()
    update: Update
    if "count" in entry:
        update = Count(cast(Any, entry.get("count").text()))
    else:
        value = entry.get("to")
        update = Assign(
            cast(Any, entry.get("set").text()), value.value if isinstance(value.value, bool) else value.whole()
        )
    entry.no_more()
    return update


def _read_order(place: _Place) -> Order | OwnOrder:
    if isinstance(place.value, str):
        return _one_of(place, Order)
    entry = place.mapping()
    order: OwnOrder
    try:
        if "perform" in entry:
            order = Perform(
                name=entry.get("perform").text(),
                outcomes=entry.get("outcomes").each(_Place.text),
                otherwise=entry.get("otherwise").text(),
                deadline_s=entry.get("deadline_s").seconds(),
            )
        else:
            ceiling = entry.get("ceiling_s")
            order = Pause(
                name=entry.get("pause").text(),
                length_s=entry.get("length_s").seconds(),
                ceiling_s=None if ceiling.value is None else ceiling.seconds(),
            )
    except DefinitionError as error:
        if str(error).startswith("the table cannot be read"):
            raise
        raise DefinitionError(f"the table cannot be read: {place.where}: {error}") from None
    entry.no_more()
    return order


_Member = TypeVar("_Member", Order, Signal)


def _one_of(place: _Place, kind: type[_Member]) -> _Member:
    text = place.text()
    if text not in tuple(kind):
        place.refuse(f"is none of {', '.join(map(repr, map(str, kind)))}")
    return kind(text)


def _shown(value: object) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return _shortened(json.dumps(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
