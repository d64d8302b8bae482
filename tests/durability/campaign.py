"""Bots that are killed again and again while users write, and then are left to finish: what is judged in the end."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import anyio
import anyio.abc

from sessionfsm.testing import Exchange, FakeAccount, FakeServer

from .bot import EVENTS, Aim, Order, text_of
from .judge import Answer, Evidence, Life, Verdict, judge, read_diary

__all__ = ["Campaign", "campaign"]

ROOT: Final = Path(__file__).resolve().parents[2]
_UP_S: Final = 0.4  # a kill at random comes at most so long after the first poll, or after the birth
_AIM_LIMIT_S: Final = 2.0  # when the instant that was aimed at does not come
_LIMIT_S: Final = 30.0


class Nursery:
    """The process that forks the bots."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self._process = process
        self._births: dict[int, anyio.Event] = {}
        self._ends: dict[int, anyio.Event] = {}
        self._status: dict[int, int] = {}
        self._last = 0

    async def bear(self, order: Order) -> int:
        """Let a bot live; return what its life is called here."""
        self._last += 1
        name = self._last
        self._births[name], self._ends[name] = anyio.Event(), anyio.Event()
        await self._write({"live": asdict(order), "id": name})
        with anyio.fail_after(_LIMIT_S):
            await self._births[name].wait()
        return name

    async def kill(self, name: int) -> None:
        """Kill it with SIGKILL; nothing happens if it is dead already."""
        await self._write({"kill": name})

    def has_ended(self, name: int) -> bool:
        """Whether its process has ended."""
        return name in self._status

    async def wait_end(self, name: int) -> int:
        """Wait until its process has ended; return how."""
        await self._ends[name].wait()
        return self._status[name]

    async def read(self) -> None:
        """Hear what the nursery says, to its end."""
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                word, name, *status = line.split()
                if word == b"born":
                    self._births[int(name)].set()
                else:
                    self._status[int(name)] = int(status[0])
                    self._ends[int(name)].set()

    async def _write(self, document: dict[str, object]) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send(json.dumps(document).encode() + b"\n")


@asynccontextmanager
async def nursery(log: Path) -> AsyncIterator[Nursery]:
    """Run a nursery; what bots say goes to *log*. When the block is left, nobody lives on."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("ab") as err:
        process = await anyio.open_process(
            [sys.executable, "-m", f"{__package__}.nursery"],
            stdin=subprocess.PIPE, stderr=err, cwd=ROOT, env=environment,
        )  # fmt: skip
    async with process:
        made = Nursery(process)
        async with anyio.create_task_group() as group:
            group.start_soon(made.read)
            try:
                yield made
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(10, shield=True):
                    assert process.stdin is not None
                    await process.stdin.aclose()
                    await process.wait()
                group.cancel_scope.cancel()


@dataclass(kw_only=True)
class Campaign:
    """
    What is done, and what came of it.

    Attributes:
        kills: How many kills there are in all.
        delivery: As :class:`~sessionfsm.testing.FakeServer` has it.
        kind: The store; see ``kinds.py``.
        accounts: How many bots live at a time. Two share a file, the others have one each.
        rate: About how many messages a second users write to each bot.
        rest_s: How long a bot may take in the end to finish what is left.
    """

    folder: Path
    kills: int
    delivery: Literal["once", "replay"]
    kind: str = "ours"
    accounts: int = 4
    senders: int = 6
    rate: float = 60.0
    seed: int = 0
    rest_s: float = 120.0
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0
    gaps_s: list[float] = field(default_factory=list)
    """From the end of each answer with messages to the next poll: what is killed in between may be lost."""

    @property
    def log(self) -> str:
        """What the bots said, at the level WARNING and above."""
        return (self.folder / "bots.log").read_text()


async def campaign(todo: Campaign) -> None:
    """Carry it out, and judge it."""
    began = time.monotonic()
    server = FakeServer(hold_s=20.0, delivery=todo.delivery)
    async with server.listen() as listening, nursery(todo.folder / "bots.log") as bots:
        targets = [_Target(todo, server, bots, listening.url, place) for place in range(todo.accounts)]
        async with anyio.create_task_group() as group:
            for target in targets:
                group.start_soon(target.suffer)
    for target in targets:
        todo.verdict += judge(target.evidence())
        todo.gaps_s += target.gaps_s()
    for path in {target.store for target in targets}:
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    todo.seconds = time.monotonic() - began


class _Target:
    """One account: its users, and its bot's lives."""

    def __init__(self, todo: Campaign, server: FakeServer, bots: Nursery, url: str, place: int) -> None:
        self._todo = todo
        self._server = server
        self._bots = bots
        self._url = url
        self._token = f"{place:012x}@im.bot:{place:032x}"
        self._account: FakeAccount = server.account(self._token)
        self._draw = random.Random(f"{todo.seed} {todo.delivery} {place}")
        # An aim needs a bot that does something, so that there are more kills at random where messages are rare.
        self._kills = todo.kills // todo.accounts + (place < todo.kills % todo.accounts)
        self.store = todo.folder / f"store-{max(place, 1)}.db"
        self._diary = todo.folder / f"diary-{place}"
        self._senders: dict[int, str] = {}
        self._ids: dict[str, int] = {}  # the server's, to ours
        self._lives: list[Life] = []
        self._first: list[int] = []  # the number of the first request that a life can have made

    async def suffer(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._write)
            for number in range(1, self._kills + 1):
                await self._live_and_die(number)
            group.cancel_scope.cancel()
        await self._finish(self._kills + 1)

    async def _write(self) -> None:
        """Users write: a burst now and then, and now and then the server hands the last message out again."""
        draw, number = self._draw, 0
        while True:
            burst = draw.choice((1, 1, 1, 2, 5, 12))
            for _ in range(burst):
                number += 1
                sender = f"{draw.randrange(self._todo.senders)}@im.wechat"
                self._senders[number] = sender
                self._ids[self._account.push(text_of(number), sender=sender)] = number
            if draw.random() < 0.05:
                self._account.push_duplicate(new_context_token=True)
            await anyio.sleep(draw.expovariate(self._todo.rate / 3.7))

    async def _bear(self, number: int, aim: Aim | None) -> int:
        self._first.append(self._server.log.count + 1)
        return await self._bots.bear(
            Order(
                life=number,
                token=self._token,
                url=self._url,
                store=str(self.store),
                locks=str(self._todo.folder / "locks"),
                diary=str(self._diary),
                seed=self._draw.getrandbits(32),
                kind=self._todo.kind,
                aim=aim,
            )
        )

    async def _live_and_die(self, number: int) -> None:
        aim = self._aim()
        name = await self._bear(number, aim)
        if aim is None and self._draw.random() < 0.8:  # else it may be killed before it is up
            await self._wait_up(name)
        with anyio.move_on_after(_AIM_LIMIT_S if aim is not None else self._draw.uniform(0, _UP_S)) as scope:
            status = await self._bots.wait_end(name)
        if scope.cancelled_caught:
            await self._bots.kill(name)
            with anyio.fail_after(_LIMIT_S):
                status = await self._bots.wait_end(name)
        if status != -signal.SIGKILL:
            raise AssertionError(f"a bot ended by itself ({status}): {self._todo.log[-2000:]}")
        aimed = aim.event if aim is not None and not scope.cancelled_caught else ""
        self._lives.append(Life(number=number, status=status, aimed=aimed))
        await self._settle()

    async def _wait_up(self, name: int) -> None:
        """Wait until it polls."""
        with anyio.fail_after(_LIMIT_S):
            while not self._bots.has_ended(name) and not any(
                entry.endpoint == "getupdates" for entry in self._requests(self._first[-1])
            ):
                await self._server.log.wait_changed()

    def _aim(self) -> Aim | None:
        draw = self._draw
        if draw.random() < 0.5:
            return None
        event = draw.choice(EVENTS)
        # A commit takes milliseconds, most of it in the disk: that is where these are to hit.
        delay_s = draw.choice((0.0, draw.uniform(0, 0.001), draw.uniform(0, 0.008)))
        return Aim(event=event, nth=draw.choice((1, 1, 2, 3, 5)), delay_s=delay_s)

    async def _settle(self) -> None:
        """Wait until the server has heard the last of a bot that is dead."""
        with anyio.fail_after(_LIMIT_S):
            while True:
                count = self._server.log.count
                await anyio.sleep(0.005)
                open_ones = [entry for entry in self._requests(self._first[-1]) if entry.ended_s is None]
                if not open_ones and self._server.log.count == count:
                    return
                if not open_ones and not any(entry.number > count for entry in self._requests(count)):
                    return

    async def _finish(self, number: int) -> None:
        """One life more, in peace: until nothing is open in the store, and nothing is left on the server."""
        name = await self._bear(number, None)
        with anyio.move_on_after(self._todo.rest_s):  # what is not done by then is judged
            while not self._is_at_rest():  # noqa: ASYNC110 - it is another process that comes to rest
                await anyio.sleep(0.02)
        await self._bots.kill(name)
        await self._bots.wait_end(name)

    def _is_at_rest(self) -> bool:
        polls = [entry for entry in self._requests(self._first[-1]) if entry.endpoint == "getupdates"]
        if not polls or polls[-1].ended_s is not None or polls[-1].answer or self._account.unread:
            return False
        states = self._states()
        if self._todo.delivery == "replay" and len(states) < len(self._senders):
            return False
        return "open" not in states.values() and self._is_told()

    def _is_told(self) -> bool:
        """Whether the diary has a mark for every handler's end; a store with a mistake may have nothing else to say."""
        lines = [line for line in read_diary(self._diary.read_text()) if line.life == len(self._first)]
        ended = {number for line in lines if line.word == "end" for number in line.numbers}
        begun = {number for line in lines if line.word == "begin" for number in line.numbers}
        marked = {number for line in lines if line.word == "marked" for number in line.numbers}
        return begun == ended == marked

    def _requests(self, first: int) -> Iterator[Exchange]:
        return (e for e in self._server.log.requests(account=self._account.name) if e.number >= first)

    def _states(self) -> dict[int, str]:
        query = """SELECT substr(body, instr(body, '#') + 1, 12), state FROM message
            WHERE account = (SELECT id FROM account WHERE name = ?)"""
        with closing(sqlite3.connect(self.store)) as database:
            rows = database.execute(query, (self._account.name.encode(),)).fetchall()
        return {int(text.split(b"#")[0]): state for text, state in rows}

    def evidence(self) -> Evidence:
        """Return what is known in the end."""
        return Evidence(
            once=self._todo.delivery == "once",
            senders=self._senders,
            lives=self._lives,
            diary=read_diary(self._diary.read_text()),
            answers=list(self._answers()),
            states=self._states(),
        )

    def gaps_s(self) -> Iterator[float]:
        """Return how long after each answer with messages the next poll came."""
        for own in self._polls():
            for entry, following in pairwise(own):
                if entry.messages and entry.ended_s is not None:
                    yield following.started_s - entry.ended_s

    def _answers(self) -> Iterator[Answer]:
        for life, own in enumerate(self._polls(), 1):
            for entry in own:
                yield Answer(
                    life=life,
                    messages=tuple(self._ids[each] for each in entry.messages),
                    whole=not entry.aborted,
                    last=entry is own[-1],
                )

    def _polls(self) -> Iterator[list[Exchange]]:
        """Return the polls of each life."""
        polls = [entry for entry in self._requests(1) if entry.endpoint == "getupdates"]
        for first, following in pairwise([*self._first, sys.maxsize]):
            yield [entry for entry in polls if first <= entry.number < following]
