"""Real threads and real connections: a store in a worker thread, and a server that closes without saying so."""

import os
import subprocess
import sys
import threading
import time

import anyio
import anyio.abc
import anyio.to_thread
import pytest

from sessionfsm import ConnectionLost, Session
from sessionfsm.store import StoreThread
from sessionfsm.testing import FakeServer

pytestmark = pytest.mark.anyio

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"


async def test_a_store_is_called_in_one_thread_one_call_after_the_other() -> None:
    """Answers and errors come back to whoever asked; the loop is not blocked meanwhile."""
    run, threads = StoreThread(), set()

    def work(number: int) -> int:
        threads.add(threading.get_ident())
        time.sleep(0.01)
        if number == 3:
            raise KeyError(number)
        return number

    answers: dict[int, object] = {}

    async def ask(number: int) -> None:
        try:
            answers[number] = await run(work, number)
        except KeyError as error:
            answers[number] = error.args

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(ask, number)
    assert answers == {0: 0, 1: 1, 2: 2, 3: (3,), 4: 4}
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    run.close()


async def test_a_call_that_hangs_is_left_at_once_and_costs_one_thread_only() -> None:
    """Sixty callers give up on a store that hangs: one thread waits, and what had not begun is dropped."""
    run, release, begun = StoreThread(), threading.Event(), []

    def hang(number: int) -> None:
        begun.append(number)
        release.wait(10)

    before = threading.active_count()
    for number in range(60):
        with anyio.move_on_after(0.002 if number else 0.5):  # the first has begun, however busy the machine is
            await run(hang, number)
    assert threading.active_count() <= before + 2  # it, and perhaps one of another that is just ending
    release.set()
    assert await run(lambda: "well again") == "well again"
    assert begun == [0]
    run.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork()")
def test_a_child_made_by_fork_is_told_that_the_store_is_its_parents() -> None:
    """The thread is not in the child: a call would wait for ever. What was not used before is the child's own."""
    program = """
import anyio, os
from sessionfsm import StoreError
from sessionfsm.store import StoreThread

used, unused = StoreThread(), StoreThread()
assert anyio.run(used, int) == 0
if (child := os.fork()) == 0:
    try:
        anyio.run(used, int)
    except StoreError as error:
        os._exit(3 if "os.fork()" in str(error) and anyio.run(unused, int) == 0 else 1)
    os._exit(2)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 3


async def test_a_store_is_called_from_several_event_loops() -> None:
    """Each gets its own answers, side by side and one after the other, also when the thread was ended in between."""
    run = StoreThread()

    async def ask(number: int) -> list[int]:
        found: list[int] = []

        async def one(each: int) -> None:
            found.append(await run(lambda: each))

        async with anyio.create_task_group() as group:
            for each in range(number, number + 200):
                group.start_soon(one, each)
        return sorted(found)

    def elsewhere(number: int, backend: str) -> None:
        answers[number] = anyio.run(ask, number, backend=backend)

    answers: dict[int, list[int]] = {}
    async with anyio.create_task_group() as group:
        for number, backend in ((1000, "asyncio"), (2000, "trio"), (3000, "asyncio")):
            group.start_soon(anyio.to_thread.run_sync, elsewhere, number, backend)
        answers[0] = await ask(0)
    run.close()
    answers[4000] = await ask(4000)
    assert answers == {number: list(range(number, number + 200)) for number in (0, 1000, 2000, 3000, 4000)}
    run.close()


@pytest.mark.usefixtures("lane")
async def test_a_server_that_closes_after_each_answer_without_saying_so_is_heard() -> None:
    """It costs one failed poll; after that each request has a connection of its own, and messages arrive."""
    server = FakeServer(hold_s=0.2)
    account = server.account(TOKEN)
    polls = 0

    async def relay(client: anyio.abc.SocketStream) -> None:
        nonlocal polls
        async with client, await anyio.connect_tcp("127.0.0.1", behind) as upstream:

            async def forth() -> None:
                nonlocal polls
                async for chunk in client:
                    polls += b"getupdates" in chunk
                    await upstream.send(chunk)

            async with anyio.create_task_group() as group:
                group.start_soon(forth)
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += await upstream.receive()
                head, _, body = answer.partition(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                while len(body) < length:
                    body += await upstream.receive()
                await client.send(head + b"\r\n\r\n" + body)
                await anyio.sleep(0.003)
                group.cancel_scope.cancel()

    async with server.listen() as listening, anyio.create_task_group() as group:
        behind = int(listening.url.rsplit(":", 1)[1].rstrip("/"))
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)

        async def serve() -> None:
            async with listener:
                await listener.serve(relay)

        group.start_soon(serve)
        async with Session(token=TOKEN, base_url=f"http://127.0.0.1:{port}") as session:
            with anyio.fail_after(15):
                account.push("hello")
                async for message in session:
                    assert message.text == "hello"
                    break
                while session.health().polls < 5:  # noqa: ASYNC110 - the wire is in between
                    await anyio.sleep(0.01)
            lost = 0
            for number in range(5):
                try:
                    await session.send_text("user@im.wechat", f"{number}")
                except ConnectionLost:
                    lost += 1
            assert lost <= 1
        group.cancel_scope.cancel()
    assert polls >= 5


async def test_health_can_be_asked_from_another_thread() -> None:
    """A readiness check runs where it runs; the ages are those that the session itself would tell."""
    server = FakeServer(hold_s=0.1)
    server.account(TOKEN)
    async with server.listen() as listening, Session(token=TOKEN, base_url=listening.url) as session:
        with anyio.fail_after(10):
            while not session.health().ready:  # noqa: ASYNC110 - the wire is in between
                await anyio.sleep(0.01)
        here = session.health().last_poll_age_s
        there = (await anyio.to_thread.run_sync(session.health)).last_poll_age_s
        assert here is not None
        assert there is not None
        assert abs(there - here) < 1
