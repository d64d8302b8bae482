"""Who is whose in a folder of credentials: found out by reading every file, and remembered while nothing changes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["CredentialIndex", "Entry", "age"]

_RACY_S = 2.0
"""A folder's time of change says nothing about what happened in the same tick of the file system's clock."""

_DEAR_S = 0.05
_REST = 10
"""An index that took long is good for so many times as long, whatever happens: else it would be made without end."""


class Entry(Protocol):
    """What the index has to know of a file."""

    @property
    def account(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def retired_by(self) -> str | None: ...
    @property
    def saved_at(self) -> float: ...


@dataclass(frozen=True, slots=True)
class _Index:
    users: dict[str, list[str]]  # the accounts of each user that have a token
    predecessors: dict[str, list[str]]


class CredentialIndex:
    """
    Remembers which accounts belong together, and nothing else: no token is in it, and who uses it reads the files anew.

    Ten thousand sessions that renew would else read ten thousand files each. A login replaces files, which changes the
    folder; so while the folder has not changed, the index is right.

    Args:
        folder: The folder.
        read: Reads every usable file.
    """

    def __init__(self, folder: Path, read: Callable[[], Iterable[Entry]]) -> None:
        self._folder = folder
        self._read = read
        self._lock = threading.Lock()
        self._index: _Index | None = None
        self._state: tuple[int, ...] | None = None
        self._settled = False
        self._made_s = 0.0
        self._took_s = 0.0

    def of_user(self, user_id: str) -> list[str]:
        """Return the accounts of a user that had a token."""
        return self._current().users.get(user_id, []) if user_id else []

    def predecessors(self, account: str) -> list[str]:
        """Return the accounts in whose place *account* is, in order."""
        return self._current().predecessors.get(account, [])

    def forget(self) -> None:
        """Something was written: look anew the next time."""
        self._index = None

    def _current(self) -> _Index:
        with self._lock:
            state = _state_of(self._folder)
            index = self._index
            if index is not None and self._is_good(state):
                return index
            began, now = time.monotonic(), time.time()
            index = self._index = _made(self._read())
            self._state = state
            # What was written while it was read has changed the folder, or will be found out when the tick is over.
            self._settled = state is not None and 0 <= state[0] / 1e9 < now - _RACY_S
            self._made_s = time.monotonic()
            self._took_s = self._made_s - began
            return index

    def _is_good(self, state: tuple[int, ...] | None) -> bool:
        if state == self._state and self._settled:
            return True
        return self._took_s > _DEAR_S and time.monotonic() - self._made_s < _REST * self._took_s


def _state_of(folder: Path) -> tuple[int, ...] | None:
    try:
        about = os.stat(folder)
    except OSError:  # whoever reads the files says so
        return None
    return about.st_mtime_ns, about.st_ctime_ns, about.st_ino, about.st_dev


def _made(entries: Iterable[Entry]) -> _Index:
    records = {entry.account: entry for entry in entries}
    users: dict[str, list[str]] = {}
    last: dict[str, Entry] = {}
    for record in records.values():
        if record.retired_by is None and record.user_id:
            users.setdefault(record.user_id, []).append(record.account)
            last[record.user_id] = max(record, last.get(record.user_id, record), key=age)
    predecessors: dict[str, list[str]] = {}
    for name, record in records.items():
        end: Entry | None = record
        passed: set[str] = set()
        while end is not None and end.retired_by is not None and end.account not in passed:
            passed.add(end.account)
            end = records.get(end.retired_by)
        # Else it leads nowhere, or in a circle.
        if end is not None and end.retired_by is None:
            successor = last.get(end.user_id, end).account
            if successor != name:
                predecessors.setdefault(successor, []).append(name)
    for names in predecessors.values():
        names.sort()
    return _Index(users, predecessors)


def age(record: Entry) -> tuple[float, str]:
    """Return what the later of two logins is known by: the larger."""
    return record.saved_at, record.account
