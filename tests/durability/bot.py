"""
The bot that is killed: a session on a real socket and a store on a real disk, and a diary of what it has done.

Each line of the diary is one append, which survives the process that made it: ``LIFE WORD NUMBER[,NUMBER...]``. Words
are ``kept`` (the commit has returned), ``begin`` and ``end`` (of the handler), ``marked`` (the mark has returned).
"""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from sessionfsm import Message, Session, SQLiteStore
from sessionfsm.store import Batch, Committed, Stored
from sessionfsm.store.locks import AccountLocks

__all__ = ["EVENTS", "Aim", "Diary", "DiaryStore", "Order", "live", "text_of"]

EVENTS = ("commit begins", "commit has returned", "in a handler", "handler returns", "mark begins", "mark has returned")
"""The instants at which a kill can be aimed."""

_NUMBER = re.compile(rb"#(\d+)#")


def text_of(number: int) -> str:
    """Return the text of a message, by which it is known everywhere."""
    return f"#{number}#"


def _number(body: bytes) -> int:
    found = _NUMBER.search(body)
    assert found is not None
    return int(found[1])


@dataclass(frozen=True, kw_only=True)
class Aim:
    """A kill of its own making: *delay_s* after the *nth* time that *event* has come."""

    event: str
    nth: int
    delay_s: float


@dataclass(frozen=True, kw_only=True)
class Order:
    """
    One life of a bot.

    Attributes:
        life: Its number; no two lives of an account have the same.
        work_s: How long a handler may take; how long it does is drawn with *seed*.
        kind: The name of a store in ``kinds.py``.
        aim: Without one somebody else does the killing.
    """

    life: int
    token: str
    url: str
    store: str
    locks: str
    diary: str
    seed: int
    work_s: float = 0.012
    kind: str = "ours"
    aim: Aim | None = None


class Diary:
    """Writes the diary, and kills its process when the time has come."""

    def __init__(self, order: Order) -> None:
        self._life = order.life
        self._aim = order.aim
        self._left = order.aim.nth if order.aim is not None else 0
        self._file = os.open(order.diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, word: str, numbers: Sequence[int]) -> None:
        if numbers:
            line = f"{self._life} {word} {','.join(map(str, numbers))}\n".encode()
            if os.write(self._file, line) != len(line):
                raise OSError("the diary is full")

    def come(self, event: str) -> None:
        """An instant has come at which a kill may be aimed. It may be called in any thread."""
        if self._aim is None or event != self._aim.event:
            return
        self._left -= 1
        if self._left == 0:
            if self._aim.delay_s:
                threading.Thread(target=_die, args=(self._aim.delay_s,), daemon=True).start()
            else:
                _die(0.0)


def _die(delay_s: float) -> None:
    time.sleep(delay_s)
    os.kill(os.getpid(), signal.SIGKILL)


class DiaryStore(SQLiteStore):
    """The store on disk, which notes what it has promised."""

    def __init__(self, diary: Diary, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        self.diary = diary
        self.numbers: dict[int, int] = {}  # of the messages, by the store's own

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        if any(batch.messages for batch in batches):
            self.diary.come("commit begins")
        answers = self.keep(batches)
        self.know(stored for answer in answers for stored in answer.new)
        self.diary.note("kept", [_number(message.body) for batch in batches for message in batch.messages])
        if any(batch.messages for batch in batches):
            self.diary.come("commit has returned")
        return answers

    def keep(self, batches: Sequence[Batch]) -> list[Committed]:
        """Commit."""
        return super().commit(batches)

    def pending(self, account: str, *, after: int = 0, limit: int = 100) -> list[Stored]:
        page = super().pending(account, after=after, limit=limit)
        self.know(page)
        return page

    def know(self, page: Any) -> None:
        self.numbers.update((stored.number, _number(stored.body)) for stored in page)

    def done(self, numbers: Sequence[int]) -> None:
        self.diary.come("mark begins")
        self.mark(numbers)
        self.diary.note("marked", [self.numbers[number] for number in numbers])
        self.diary.come("mark has returned")

    def mark(self, numbers: Sequence[int]) -> None:
        """Mark."""
        super().done(numbers)


async def live(order: Order, kind: type[DiaryStore]) -> None:
    """Live until somebody kills this process."""
    draw = random.Random(order.seed)
    diary = Diary(order)
    locks = AccountLocks(Path(order.locks))
    store = kind(diary, order.store, locks=locks)

    async def handler(message: Message) -> None:
        number = int(message.text.strip("#"))
        diary.note("begin", [number])
        diary.come("in a handler")
        if draw.random() < 0.5:
            await anyio.sleep(draw.uniform(0, order.work_s))
        diary.note("end", [number])
        diary.come("handler returns")

    async with Session(token=order.token, base_url=order.url, store=store) as session:
        await session.deliver(handler)
