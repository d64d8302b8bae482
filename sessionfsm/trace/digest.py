"""A short name for what a table does, to tell whether two tables do the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple
from typing import Any

from sessionfsm.lifecycle import Pause, Perform, Row, Table

__all__ = ["table_digest"]


def table_digest(table: Table) -> str:
    """
    Return the SHA-256, in hex, of everything in *table* that a session's behaviour depends on.

    What only people read is left out: the table's name, the meanings of the states, the reasons of the rows.
    """
    document = {
        "initial": str(table.initial),
        "states": [str(entry.name) for entry in table.states],
        "rows": [_row(row) for row in table.rows],
        "signals": [[str(rule.signal), str(rule.order), _cells(rule.guards)] for rule in table.signals],
        "external": list(table.external),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _row(row: Row) -> list[Any]:
    return [
        str(row.trigger),
        [str(source) for source in row.sources],
        _cells(row.guards),
        str(row.target),
        _cells(row.updates),
        _order(row.order),
        row.clears_signals,
    ]


def _cells(values: tuple[Any, ...]) -> list[list[Any]]:
    return [[type(value).__name__, *astuple(value)] for value in values]


def _order(order: object) -> object:
    match order:
        case Pause():
            return ["pause", order.name, float(order.length_s), float(order.longest_s)]
        case Perform():
            return ["perform", order.name, list(order.outcomes), order.otherwise, float(order.deadline_s)]
        case _:
            return str(order)
