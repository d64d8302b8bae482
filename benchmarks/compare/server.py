"""
A long-poll server that costs little: it holds polls until it is told to answer them.

It knows no accounts, keeps no messages and checks nothing. Every answer brings a cursor that was never there before, as
the real server's do. It counts its own CPU, so that a report can say that it was not what held the clients up.

    python -m benchmarks.compare.server [--certificate FILE]

Its first line is its port. Then it does what standard input says (see ``pipe``) until that is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from sessionfsm.testing.messages import user_message

from .pipe import answer

__all__ = ["HINT_MS"]

HINT_MS = 120_000
"""What it says of its patience. It answers what it was not told to answer in time, so that no client gives up."""

_FIRST_HOLD_S, _HOLD_S = 25.0, 100.0  # a client that has had no answer yet does not know the hint
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TOKEN = re.compile(rb"Bearer ([0-9a-f]{12})@")
_CURSOR = "Q1VSU09S" * 17  # a real one has a token in it, in base64
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Server:
    """The polls that are held, and what is done with them."""

    def __init__(self) -> None:
        self.held: dict[Connection, float] = {}  # since when; the oldest first
        self.polls = self.renewals = self.answers = self.messages = 0
        self.told: set[int] = set()  # sessions that have had an answer
        self.watched: dict[int, asyncio.Future[float]] = {}  # sessions whose next poll is waited for
        self._wanted = 0
        self._enough = asyncio.Event()

    def hold(self, connection: Connection) -> None:
        """A poll has come."""
        now = time.monotonic()
        self.polls += 1
        self.held[connection] = now
        if len(self.held) >= self._wanted:
            self._enough.set()
        if self.watched and (waiting := self.watched.pop(connection.session, None)) is not None:
            waiting.set_result(now)

    def reply(self, connection: Connection, messages: str = "") -> None:
        """Answer a poll that is held."""
        del self.held[connection]
        self.answers += 1
        self.told.add(connection.session)
        connection.write(
            f'{{"ret":0,"msgs":[{messages}],"get_updates_buf":"{_CURSOR}{self.answers:020}",'
            f'"longpolling_timeout_ms":{HINT_MS}}}'.encode()
        )

    def message(self) -> str:
        """Return a message that says when it was sent."""
        self.messages += 1
        number = self.messages
        message = user_message(number, text=str(time.monotonic_ns()), sender=f"u{number % 97}@im.wechat", receiver="b")
        return json.dumps(message | {"message_id": 7498123456789012345 + 1024 * number})

    async def until(self, count: int, limit_s: float) -> bool:
        """Wait until so many polls are held; return whether they are."""
        self._wanted = count
        self._enough.clear()
        if len(self.held) < count:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), limit_s)
        self._wanted = 0
        return len(self.held) >= count

    async def patience(self) -> None:
        """Answer what has been held for long enough."""
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            for connection, since in list(self.held.items()):
                limit_s = _HOLD_S if connection.session in self.told else _FIRST_HOLD_S
                if now - since > limit_s:
                    self.reply(connection)

    # --- commands ----------------------------------------------------------------------------------------------------

    async def wait(self, count: int, limit_s: float) -> dict[str, Any]:
        """Wait until *count* polls are held."""
        return {"well": await self.until(count, limit_s), "held": len(self.held)}

    async def wave(self, limit_s: float) -> dict[str, Any]:
        """Answer all polls at once; wait until all have come again."""
        everybody = list(self.held)
        for connection in everybody:
            self.reply(connection)
        return {"well": await self.until(len(everybody), limit_s), "answered": len(everybody)}

    async def one_by_one(self, count: int, limit_s: float) -> dict[str, Any]:
        """
        Answer the *count* oldest polls, each when the session before has polled again.

        So a client handles each answer alone, however little of the processor it gets: two that wait for it together
        would cost it less, and a busy machine would make it look better.
        """
        until = time.monotonic() + limit_s
        for number in range(count):
            if not self.held or time.monotonic() > until:
                return {"well": False, "answered": number}
            connection = next(iter(self.held))
            self.watched[connection.session] = waiting = asyncio.get_running_loop().create_future()
            self.reply(connection)
            await asyncio.wait_for(waiting, limit_s)
        return {"well": True, "answered": count}

    async def paced(self, count: int, per_s: float, messages: bool, limit_s: float) -> dict[str, Any]:
        """Answer the *count* oldest polls one by one, *per_s* a second; wait until all have come again."""
        everybody = len(self.held)
        await self._answer_paced(count, per_s, messages)
        return {"well": await self.until(everybody, limit_s), "answered": count}

    async def deliver(self, count: int, per_s: float, idle_per_s: float, limit_s: float) -> dict[str, Any]:
        """Send *count* messages, one by one, while other polls are answered without one."""
        everybody = len(self.held)
        idle = asyncio.create_task(self._answer_paced(int(idle_per_s * count / per_s), idle_per_s, False))
        await self._answer_paced(count, per_s, True)
        await idle
        return {"well": await self.until(everybody, limit_s), "answered": count}

    async def _answer_paced(self, count: int, per_s: float, messages: bool) -> None:
        began = time.monotonic()
        for number in range(count):
            if (early := began + number / per_s - time.monotonic()) > 0:
                await asyncio.sleep(early)
            while not self.held:  # noqa: ASYNC110 - everybody is slow
                await asyncio.sleep(0.001)
            self.reply(next(iter(self.held)), self.message() if messages else "")

    async def reset(self, limit_s: float) -> dict[str, Any]:
        """Reset every connection; wait until all poll again."""
        everybody = list(self.held)
        self.held.clear()
        for connection in everybody:
            connection.reset()
        return {"well": await self.until(len(everybody), limit_s), "renewals": self.renewals}

    async def expire(self, count: int, limit_s: float) -> dict[str, Any]:
        """Answer -14 to one session after the other; return the milliseconds until each polls again."""
        took = []
        for _ in range(count):
            if not self.held:
                return {"failed": "nobody polls"}
            connection = next(iter(self.held))
            del self.held[connection]
            self.watched[connection.session] = waiting = asyncio.get_running_loop().create_future()
            began = time.monotonic()
            connection.write(b'{"ret":-14,"errcode":-14,"errmsg":"session timeout"}')
            took.append((await asyncio.wait_for(waiting, limit_s) - began) * 1000)
            await asyncio.sleep(0.01)
        return {"ms": took, "renewals": self.renewals}


class Connection(asyncio.Protocol):
    """One connection, on which one request comes after the other."""

    __slots__ = ("data", "server", "session", "transport")

    def __init__(self, server: Server) -> None:
        self.server = server
        self.data = b""
        self.session = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.server.held.pop(self, None)

    def data_received(self, data: bytes) -> None:
        self.data += data
        end = self.data.find(b"\r\n\r\n")
        if end < 0 or (length := _LENGTH.search(self.data, 0, end + 2)) is None:
            return
        if len(self.data) < end + 4 + int(length[1]):
            return
        request, self.data = self.data, b""
        if self.session < 0 and (token := _TOKEN.search(request, 0, end)) is not None:
            self.session = int(token[1], 16)
        if request.startswith(b"POST /ilink/bot/getupdates "):
            self.server.hold(self)
        else:
            self.server.renewals += b"notifystart" in request[:40]
            self.write(b'{"ret":0}')

    def write(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)

    def reset(self) -> None:
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


async def serve(certificate: str | None) -> None:
    """Serve until standard input is closed."""
    loop = asyncio.get_running_loop()
    server = Server()
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=4096, ssl=context)
    answer(listening.sockets[0].getsockname()[1])
    patience = asyncio.create_task(server.patience())
    commands: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(commands.put_nowait, line)
        loop.call_soon_threadsafe(commands.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    while line := await commands.get():
        name, arguments = json.loads(line)
        command: Callable[..., Awaitable[dict[str, Any]]] = getattr(server, name)
        began, cpu = time.monotonic(), time.process_time()
        try:
            found = await command(**arguments)
        except TimeoutError:
            found = {"failed": "not in time"}
        answer(found | {"s": time.monotonic() - began, "server_cpu_s": time.process_time() - cpu})
    patience.cancel()
    listening.close()


def main() -> None:
    """Serve on the fastest loop there is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate")
    args = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(args.certificate))
    else:
        uvloop.run(serve(args.certificate))


if __name__ == "__main__":
    main()
