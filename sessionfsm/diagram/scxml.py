"""The lifecycle as SCXML, the W3C's language for state machines: other programs can load and run it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Assign, AtLeast, Below, Guard, Is, Memory, Order, Pause, Perform, Row, SignalRule

from .model import Diagram
from .terms import Detail
from .words import shown

__all__ = ["scxml"]

_SIGNAL = "signal."
_COMMAND = "command."
# Commands go by these names; those of the table have spaces and commas in them.
_EVENTS = {order: order.name.lower() for order in Order if order not in (Order.GO_ON, Order.NOTHING)}
_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def scxml(diagram: Diagram, *, detail: Detail = "full") -> str:
    """
    Return the table of *diagram* as SCXML 1.0, with the memory as its data model.

    A trigger is an event. A flag is 0 or 1, because expressions are kept to what ECMAScript and Python both read. A
    command is sent as the event ``command.NAME``, with its figures as parameters, and a signal that is raised as
    ``signal.NAME``: a processor that is told no target gives them to the machine itself, which has no transition for
    them, and whoever embeds the machine can listen. Names are written as XML names: what such a name cannot have in it
    is ``_xHHHH_``, with the number of the character.

    Raises:
        DefinitionError: If an overview is asked for.
    """
    if detail != "full":
        raise DefinitionError("SCXML is the whole machine; there is no overview of it: leave the detail out")
    table = diagram.table
    data = [*Memory._fields, *(_data(rule) for rule in table.signals)]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<scxml xmlns="http://www.w3.org/2005/07/scxml" version="1.0" datamodel="ecmascript"'
        f' name="{_name(diagram.name)}" initial="{_name(diagram.initial, data)}">',
        "  <datamodel>",
        *(f'    <data id="{cell}" expr="0"/>' for cell in dict.fromkeys(data)),
        "  </datamodel>",
    ]
    for box in diagram.boxes:
        lines += [f"  <!-- {_comment(box.meaning)} -->", f'  <state id="{_name(box.name, data)}">']
        for row in table.rows:
            if box.name in row.sources:
                lines += [f"    {line}" for line in _transition(diagram, row, data)]
        lines.append("  </state>")
    return "\n".join([*lines, "</scxml>"]) + "\n"


def _transition(diagram: Diagram, row: Row, data: Collection[str]) -> Iterator[str]:
    figure = next((arc.figure for arc in diagram.arcs if diagram.table.rows[arc.row] is row), "")
    content = [*_updates(row, dict(diagram.limits)), *_command(row, figure), *_signals(row, diagram.table.signals)]
    cond = f' cond="{_cond(row.guards)}"' if row.guards else ""
    head = f'<transition event="{_name(row.trigger)}"{cond} target="{_name(row.target, data)}"'
    yield f"<!-- {_comment(row.reason)} -->"
    if not content:
        yield f"{head}/>"
        return
    yield f"{head}>"
    yield from (f"  {line}" for line in content)
    yield "</transition>"


def _updates(row: Row, limits: dict[str, int]) -> Iterator[str]:
    for update in row.updates:
        if isinstance(update, Assign):
            yield _assign(update.cell, str(int(update.value)))
        else:
            counter = update.counter
            yield f'<if cond="{counter} &lt; {limits[counter]}">{_assign(counter, f"{counter} + 1")}</if>'


def _command(row: Row, figure: str) -> Iterator[str]:
    order = row.order
    parameters = {"figure": _literal(figure)} if figure else {}
    match order:
        case Pause():
            name = "pause"
            parameters = {"name": _literal(order.name), "length_s": _number(order.length_s)}
            parameters["longest_s"] = _number(order.longest_s)
        case Perform():
            name = "perform"
            parameters = {"name": _literal(order.name), "deadline_s": _number(order.deadline_s)}
        case Order.GO_ON | Order.NOTHING:
            return
        case _:
            name = _EVENTS[order]
    if not parameters:
        yield f'<send event="{_COMMAND}{name}"/>'
        return
    yield f'<send event="{_COMMAND}{name}">'
    yield from (f'  <param name="{key}" expr="{value}"/>' for key, value in parameters.items())
    yield "</send>"


def _signals(row: Row, rules: Sequence[SignalRule]) -> Iterator[str]:
    """Yield what becomes of the signals. One that is up is not raised again, even by a row that clears the others."""
    mine = [rule for rule in rules if rule.order == row.order]
    if row.clears_signals:
        raised = {rule.signal for rule in mine}
        yield from (_assign(name, "0") for name in {_data(rule): 0 for rule in rules if rule.signal not in raised})
    for signal in dict.fromkeys(rule.signal for rule in mine):
        rules_of = [rule for rule in mine if rule.signal == signal]
        whens = [_cond(rule.guards) or "1 == 1" for rule in rules_of]
        cond = whens[0] if len(whens) == 1 else " || ".join(f"({when})" for when in whens)
        name = _data(rules_of[0])
        yield f'<if cond="{cond}">'
        yield f'  <if cond="{name} == 0"><send event="{_SIGNAL}{signal}"/></if>'
        yield f"  {_assign(name, '1')}"
        if row.clears_signals:
            yield f"  <else/>{_assign(name, '0')}"
        yield "</if>"


def _data(rule: SignalRule) -> str:
    return f"signal_{rule.signal}"


def _assign(location: str, expression: str) -> str:
    return f'<assign location="{location}" expr="{expression}"/>'


def _cond(guards: Sequence[Guard]) -> str:
    return " &amp;&amp; ".join(_compared(guard) for guard in guards)


def _compared(guard: Guard) -> str:
    match guard:
        case Is(flag=flag, value=value):
            return f"{flag} == {int(value)}"
        case Below(counter=counter, limit=limit):
            return f"{counter} &lt; {limit}"
        case AtLeast(counter=counter, limit=limit):
            return f"{counter} &gt;= {limit}"


def _name(name: str, taken: Collection[str] = ()) -> str:
    """Return an XML name for *name*; different names have different ones, and none is in *taken*: ids are unique."""
    escaped = re.sub(r"[^A-Za-z0-9_-]|_(?=x[0-9A-Fa-f]{4,6}_)", _escape, str(name))
    if not escaped or not (escaped[0].isalpha() or escaped[0] == "_") or escaped in taken:
        escaped = re.sub(r"^.", _escape, escaped) or "_x000000_"
    return escaped


def _escape(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):04X}_"


def _comment(text: str) -> str:
    return re.sub(r"-(?=-|$)", "\N{NON-BREAKING HYPHEN}", shown(text))


def _literal(text: str) -> str:
    """Return a string as ECMAScript and Python both write it, fit for an attribute."""
    quoted = shown(text).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'".translate(_XML)


def _number(seconds: float) -> str:
    return f"{seconds:g}" if float(f"{seconds:g}") == seconds else repr(seconds)
