"""
What durability costs: messages per second, and per second of CPU, from the socket to the mark that they are done.

    python benchmarks/durability.py [--folder FOLDER] [--messages 3000] [--rounds 5] [--sessions 50]

A server in a process of its own answers each poll with a hundred messages, of 1, 16 or 100 senders, as fast as it is
asked; the bot's handlers do nothing. What counts is the bot's process, all of its threads. Four stores take turns in
each round, so that whatever else the machine does strikes all of them:

    durable     SQLiteStore: a batch is one transaction, marks go together
    memory      MemoryStore: nothing is durable
    each alone  SQLiteStore, but one transaction and one sync for each message, and one transaction for each mark
    plain       thirty lines of sqlite3, as one might write by hand: a synced transaction for each message and mark

Then many sessions on one file: with one StoreWriter, which commits for all of them together, and with one each. Of the
rounds the median counts. Ratios and figures go to benchmarks/out/durability.json. Name a folder on the disk that you
ask about.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import anyio

from sessionfsm import MemoryStore, Message, Session, SQLiteStore
from sessionfsm.store import Batch, Committed, Stored, StoreThread, StoreWriter
from sessionfsm.store.locks import AccountLocks
from sessionfsm.testing.messages import user_message

OUT = Path(__file__).parent / "out" / "durability.json"
BATCH = 100
SENDERS = (1, 16, 100)
_TOKEN = re.compile(rb"Bearer (\w+@im\.bot:(\d+)-(\d+)-(\d+))")
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


# --- the server ------------------------------------------------------------------------------------------------------


class Server(asyncio.Protocol):
    """Answers polls from what was made before; a token says of how many senders, how many batches, how large."""

    answers: ClassVar[dict[tuple[int, int, int], list[bytes]]] = {}
    given: ClassVar[dict[bytes, int]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.data = transport, b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        if not end or (length := _LENGTH.search(head)) is None or len(body) < int(length[1]):
            return
        self.data = b""
        if not head.startswith(b"POST /ilink/bot/getupdates"):
            self.reply(b'{"ret":0}')
        elif (token := _TOKEN.search(head)) is not None:
            answers = made(int(token[2]), int(token[3]), int(token[4]))
            number = self.given.get(token[1], 0)
            self.given[token[1]] = number + 1
            if number < len(answers):
                self.reply(answers[number])  # else it is held until the bot leaves

    def reply(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)  # type: ignore[attr-defined]


def made(senders: int, batches: int, size: int) -> list[bytes]:
    key = (senders, batches, size)
    if key not in Server.answers:
        Server.answers[key] = [_answer(senders, number, size) for number in range(batches)]
    return Server.answers[key]


def _answer(senders: int, number: int, size: int) -> bytes:
    messages = []
    for each in range(number * size, (number + 1) * size):
        message = user_message(each + 1, text=f"message {each}", sender=f"{each % senders}@im.wechat", receiver="bot")
        messages.append(message | {"message_id": 7498123456789012345 + 1024 * each})
    return json.dumps({"msgs": messages, "get_updates_buf": f"cursor {number:0150}"}).encode()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def serving() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.communicate()


# --- the stores ------------------------------------------------------------------------------------------------------


class Memory(MemoryStore):
    marked = 0

    def done(self, numbers: Sequence[int]) -> None:
        super().done(numbers)
        self.marked += len(numbers)


class Durable(SQLiteStore):
    marked = commits = 0

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        self.commits += 1
        return super().commit(batches)

    def done(self, numbers: Sequence[int]) -> None:
        super().done(numbers)
        self.marked += len(numbers)


class EachAlone(SQLiteStore):
    """A synced transaction for each message, the last of them with the cursor, and one for each mark."""

    marked = 0

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        answers = []
        for batch in batches:
            new: list[Stored] = []
            for message in batch.messages:
                cursor = batch.cursor if message is batch.messages[-1] else None
                one = Batch(account=batch.account, cursor=cursor, messages=(message,), received_at=batch.received_at)
                new += super().commit([one])[0].new
            answers.append(Committed(new=tuple(new), duplicates=len(batch.messages) - len(new)))
        return answers

    def done(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            super().done([number])
        self.marked += len(numbers)


class Plain(MemoryStore):
    """What one might write by hand. Of what a store promises it does as much as this benchmark needs."""

    marked = 0

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.database = sqlite3.connect(path, check_same_thread=False)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")
        self.database.executescript("""
            CREATE TABLE message (number INTEGER PRIMARY KEY, account TEXT, key TEXT, sender TEXT, body BLOB, done INT,
                UNIQUE (account, key));
            CREATE TABLE token (account TEXT, user TEXT, token TEXT, PRIMARY KEY (account, user));
            CREATE TABLE cursor (account TEXT PRIMARY KEY, cursor TEXT);
        """)

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        answers, run = [], self.database.execute
        for batch in batches:
            new: list[Stored] = []
            for message in batch.messages:
                row = (batch.account, message.key, message.sender, message.body)
                cursor = run("INSERT OR IGNORE INTO message VALUES (NULL, ?, ?, ?, ?, 0)", row)
                if message.context_token:
                    token = message.context_token.reveal()
                    run("INSERT OR REPLACE INTO token VALUES (?, ?, ?)", (batch.account, message.sender, token))
                if message is batch.messages[-1] and batch.cursor:
                    run("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (batch.account, batch.cursor.reveal()))
                self.database.commit()
                if cursor.rowcount:
                    assert cursor.lastrowid is not None
                    new.append(
                        Stored(
                            number=cursor.lastrowid,
                            account=batch.account,
                            sender=message.sender,
                            body=message.body,
                            received_at=0.0,
                        )
                    )
            answers.append(Committed(new=tuple(new), duplicates=len(batch.messages) - len(new)))
        return answers

    def pending(self, account: str, *, after: int = 0, limit: int = 100) -> list[Stored]:
        query = (
            "SELECT number, account, sender, body FROM message WHERE account = ? AND number > ? AND NOT done LIMIT ?"
        )
        rows = self.database.execute(query, (account, after, limit))
        return [Stored(number=n, account=a, sender=s, body=b, received_at=0.0) for n, a, s, b in rows]

    def done(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.database.execute("UPDATE message SET done = 1 WHERE number = ?", (number,))
            self.database.commit()
        self.marked += len(numbers)

    def close(self) -> None:
        self.database.close()


BOUNDS: dict[str, Any] = {"max_messages": 10**9, "max_bytes": 10**12}
KINDS: dict[str, Callable[[Path], Any]] = {
    "durable": lambda folder: Durable(folder / "s.db", locks=AccountLocks(folder / "locks"), **BOUNDS),
    "memory": lambda _: Memory(),
    "each alone": lambda folder: EachAlone(folder / "s.db", locks=AccountLocks(folder / "locks"), **BOUNDS),
    "plain": lambda folder: Plain(folder / "s.db"),
}


# --- what is measured ------------------------------------------------------------------------------------------------


async def nothing(_: Message) -> None:
    pass


serial = 0


def token(senders: int, batches: int, size: int) -> str:
    global serial
    serial += 1
    return f"{serial:012x}@im.bot:{senders}-{batches}-{size}"


async def until_marked(store: Any, count: int) -> None:
    with anyio.fail_after(300):
        while store.marked < count:  # noqa: ASYNC110 - a store sets no event
            await anyio.sleep(0.002)


async def one_session(url: str, store: Any, senders: int, messages: int) -> tuple[float, float]:
    """Return the seconds, and the seconds of CPU, that *messages* messages took."""
    gc.collect()
    async with AsyncExitStack() as stack:
        # What is in memory is called in place, what is on a disk in a thread.
        writer = await stack.enter_async_context(
            StoreWriter(store, StoreThread() if isinstance(store, Plain) else None)
        )
        wall, cpu = time.perf_counter(), time.process_time()
        secret = token(senders, messages // BATCH, BATCH)
        session = await stack.enter_async_context(Session(token=secret, base_url=url, writer=writer))
        async with anyio.create_task_group() as group:
            group.start_soon(session.deliver, nothing)
            await until_marked(store, messages)
            spent = time.perf_counter() - wall, time.process_time() - cpu
            group.cancel_scope.cancel()
    return spent


async def many_sessions(url: str, store: Any, sessions: int, batches: int, *, shared: bool) -> tuple[float, float]:
    """The same for many sessions on one store, which get ten messages a poll."""
    gc.collect()
    async with AsyncExitStack() as stack:
        common = await stack.enter_async_context(StoreWriter(store)) if shared else None

        async def live(secret: str) -> None:
            way: dict[str, Any] = {"writer": common} if common is not None else {"store": store}
            async with Session(token=secret, base_url=url, **way) as session:
                await session.deliver(nothing)

        wall, cpu = time.perf_counter(), time.process_time()
        async with anyio.create_task_group() as group:
            for _ in range(sessions):
                group.start_soon(live, token(5, batches, 10))
            await until_marked(store, sessions * batches * 10)
            spent = time.perf_counter() - wall, time.process_time() - cpu
            group.cancel_scope.cancel()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's folder for such files)")
    parser.add_argument("--messages", type=int, default=3000, metavar="N", help="for each measurement (default: 3000)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often (default: 5)")
    parser.add_argument("--sessions", type=int, default=50, metavar="N", help="that share a file (default: 50)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if min(args.messages, args.rounds, args.sessions) < 1:
        parser.error("--messages, --rounds and --sessions must be at least 1")
    if args.serve:
        asyncio.run(serve())
        return
    logging.disable()
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "messages": args.messages,
        "rounds": args.rounds,
        "one_session": {},
    }
    print(f"Python {found['python']}, SQLite {found['sqlite']}; {args.messages} messages in batches of {BATCH}")
    with serving() as url, tempfile.TemporaryDirectory(dir=args.folder) as name:

        def measure(kind: str, work: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[float, float, int]:
            folder = Path(name) / str(serial)
            folder.mkdir()
            with closing(KINDS[kind](folder)) as store:

                async def run() -> tuple[float, float]:
                    return await work(url, store, *args, **kwargs)

                return *anyio.run(run), getattr(store, "commits", 0)

        for senders in SENDERS:
            rounds: dict[str, list[Any]] = {kind: [] for kind in KINDS}
            for _ in range(args.rounds):
                for kind in KINDS:
                    rounds[kind].append(measure(kind, one_session, senders, args.messages))
            found["one_session"][senders] = report(f"one session, {senders} senders", rounds, args.messages)
        each = args.messages // args.sessions // 10
        rounds = {"one writer": [], "a writer each": []}
        for _ in range(args.rounds):
            for way, shared in (("one writer", True), ("a writer each", False)):
                rounds[way].append(measure("durable", many_sessions, args.sessions, each, shared=shared))
        found["many_sessions"] = report(f"{args.sessions} sessions", rounds, args.sessions * each * 10)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\nwritten to {os.path.relpath(OUT)}")


def report(title: str, rounds: dict[str, list[tuple[float, float, int]]], messages: int) -> dict[str, Any]:
    """Print and return the medians, and the first kind's ratios to the others."""
    print(f"\n{title:26}messages/s   messages/CPU s   CPU µs each   transactions   against it   (CPU)")
    rows: dict[str, dict[str, float]] = {}
    for kind, measured in rounds.items():
        wall, cpu, commits = (statistics.median(column) for column in zip(*measured, strict=True))
        rows[kind] = row = {"messages_per_s": messages / wall, "messages_per_cpu_s": messages / cpu, "commits": commits}
        first = next(iter(rows.values()))
        row["ratio"], row["cpu_ratio"] = (first[k] / row[k] for k in ("messages_per_s", "messages_per_cpu_s"))
        print(
            f"{kind:26}{messages / wall:10,.0f}{messages / cpu:17,.0f}{cpu / messages * 1e6:14.0f}{commits:15.0f}"
            f"{row['ratio']:11.2f} x{row['cpu_ratio']:8.2f} x"
        )
    return rows


if __name__ == "__main__":
    main()
