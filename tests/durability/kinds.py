"""Stores to be killed with: ours, and some with the mistakes that the kills must find."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sessionfsm import MemoryStore
from sessionfsm.store import Batch, Committed, Stored

from .bot import DiaryStore

__all__ = ["KINDS"]


class CursorFirst(DiaryStore):
    """Thirteen of twenty clients: the cursor goes to the disk, the messages wait in memory for their handlers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.memory = MemoryStore()

    def keep(self, batches: Sequence[Batch]) -> list[Committed]:
        super().keep([replace(batch, messages=()) for batch in batches])
        return self.memory.commit(batches)

    def pending(self, account: str, *, after: int = 0, limit: int = 100) -> list[Stored]:
        return self.memory.pending(account, after=after, limit=limit)

    def mark(self, numbers: Sequence[int]) -> None:
        self.memory.done(numbers)


class CommitLast(DiaryStore):
    """First the handlers, then the commit: what is in between is only in memory, and so is what has been handled."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.memory = MemoryStore()
        self.waiting: list[tuple[set[int], Batch]] = []

    def keep(self, batches: Sequence[Batch]) -> list[Committed]:
        answers = self.memory.commit(batches)
        for answer, batch in zip(answers, batches, strict=True):
            self.waiting.append(({stored.number for stored in answer.new}, batch))
        return answers

    def pending(self, account: str, *, after: int = 0, limit: int = 100) -> list[Stored]:
        return self.memory.pending(account, after=after, limit=limit)

    def mark(self, numbers: Sequence[int]) -> None:
        self.memory.done(numbers)
        for left, _ in self.waiting:
            left.difference_update(numbers)
        while self.waiting and not self.waiting[0][0]:
            _, batch = self.waiting.pop(0)
            (answer,) = super().keep([batch])
            super().mark([stored.number for stored in answer.new])


class NoMarks(DiaryStore):
    """What was handled is not written down."""

    def mark(self, numbers: Sequence[int]) -> None:
        pass


class MarkedFirst(DiaryStore):
    """What is handed out counts as handled."""

    def keep(self, batches: Sequence[Batch]) -> list[Committed]:
        answers = super().keep(batches)
        super().mark([stored.number for answer in answers for stored in answer.new])
        return answers


class Lifo(DiaryStore):
    """What is read from the disk comes last first."""

    def pending(self, account: str, *, after: int = 0, limit: int = 100) -> list[Stored]:
        page = super().pending(account, after=after, limit=limit)
        numbers = [stored.number for stored in page]
        self.numbers.update(zip(numbers, reversed([self.numbers[number] for number in numbers]), strict=True))
        return [replace(last, number=number) for number, last in zip(numbers, reversed(page), strict=True)]


class Unsynced(DiaryStore):
    """The disk is told when it likes. ``kill -9`` does not find that out, only a power failure does."""

    level = "NORMAL"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        level = self.level

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
                if sql.startswith("PRAGMA synchronous"):
                    sql = f"PRAGMA synchronous = {level}"
                return super().execute(sql, *arguments)

        # In the whole process, which has nothing else to do.
        sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)


class NeverSynced(Unsynced):
    """The disk is never told."""

    level = "OFF"


KINDS: dict[str, type[DiaryStore]] = {
    "ours": DiaryStore,
    "cursor first": CursorFirst,
    "commit last": CommitLast,
    "no marks": NoMarks,
    "marked first": MarkedFirst,
    "lifo": Lifo,
    "unsynced": Unsynced,
    "never synced": NeverSynced,
}
