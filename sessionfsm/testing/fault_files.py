"""Schedules of faults in TOML files: an array of tables ``[[fault]]``, each one what ``Fault.from_dict`` takes."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from sessionfsm.errors import DefinitionError
from sessionfsm.testing.faults import Fault

__all__ = ["load_faults"]


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
    file = Path(path)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise DefinitionError(f"{file}: this is not TOML: {exc}") from exc
    except RecursionError:
        raise DefinitionError(f"{file}: this is nested too deeply") from None
    for name in document:
        if name != "fault":
            raise DefinitionError(f"{file}: unknown entry {name!r} (accepted: an array of tables, [[fault]])")
    entries = document.get("fault", [])
    if not isinstance(entries, list):
        raise DefinitionError(f"{file}: fault must be an array of tables; write [[fault]] above each")
    faults: list[Fault] = []
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise DefinitionError(f"{file}: fault {number}: this is not a table; write [[fault]] above each")
        try:
            faults.append(Fault.from_dict(entry))
        except DefinitionError as exc:
            raise DefinitionError(f"{file}: fault {number}: {exc}") from exc
        except RecursionError:
            raise DefinitionError(f"{file}: fault {number}: this is nested too deeply") from None
    return faults
