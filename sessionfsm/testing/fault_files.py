"""Schedules of faults in TOML files: an array of tables ``[[fault]]``, each one what ``Fault.from_dict`` takes."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sessionfsm.errors import DefinitionError
from sessionfsm.testing.faults import Fault

__all__ = ["load_faults", "read_faults"]


def load_faults(path: str | os.PathLike[str]) -> list[Fault]:
    """
    Read a schedule of faults, in the order of the file.

    .. code-block:: toml

        [[fault]]
        kind = "expire"
        at_s = 60

    Raises:
        DefinitionError: If the file is not such a schedule; the message names the file, the entry and the field.
        OSError: If the file cannot be read.
    """
    return read_faults(path)[0]


def read_faults(
    path: str | os.PathLike[str], kinds: Mapping[str, type[Fault]] | None = None, *, table: str | None = None
) -> tuple[list[Fault], dict[str, Any] | None]:
    """
    The same; return also the table that may stand beside the faults, ``None`` without it.

    Args:
        kinds: The kinds of faults that are accepted; by default those of a server.
        table: The name of that table.
    """
    file = Path(path)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise DefinitionError(f"{file}: this is not TOML: {exc}") from exc
    except RecursionError:
        raise DefinitionError(f"{file}: this is nested too deeply") from None
    beside = document.pop(table, None) if table is not None else None
    if beside is not None and not isinstance(beside, dict):
        raise DefinitionError(f"{file}: {table} must be a table; write [{table}] above it")
    for name in document:
        if name != "fault":
            accepted = "an array of tables, [[fault]]" + (f", and [{table}]" if table is not None else "")
            raise DefinitionError(f"{file}: unknown entry {name!r} (accepted: {accepted})")
    entries = document.get("fault", [])
    if not isinstance(entries, list):
        raise DefinitionError(f"{file}: fault must be an array of tables; write [[fault]] above each")
    faults: list[Fault] = []
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise DefinitionError(f"{file}: fault {number}: this is not a table; write [[fault]] above each")
        try:
            faults.append(Fault.from_dict(entry, kinds))
        except DefinitionError as exc:
            raise DefinitionError(f"{file}: fault {number}: {exc}") from exc
        except RecursionError:
            raise DefinitionError(f"{file}: fault {number}: this is nested too deeply") from None
    return faults, beside
