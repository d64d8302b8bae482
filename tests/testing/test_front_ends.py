"""Every wire fault, through memory and through a socket. Real time, in hundredths of seconds."""

from __future__ import annotations

import itertools

import anyio
import httpx
import pytest

from sessionfsm.testing import FakeServer, faults

pytestmark = pytest.mark.anyio

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Real time: a socket does not wait for a virtual clock."""
    return request.param


async def test_messages_go_both_ways(connect, until) -> None:
    """Poll, wake by a message, renewal, send: the same through both front ends."""
    server = FakeServer(hold_s=5)
    account = server.account(TOKEN)
    async with connect(server) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.poll)
            await until(lambda: len(server.accounts) == 1)
            message_id = account.push()
        assert (await client.renew()) == {"ret": 0}
        assert "message_id" in await client.send()
    assert server.log[0].messages == (message_id,)
    assert [entry.endpoint for entry in server.log] == ["getupdates", "notifystart", "sendmessage"]
    assert all(entry.ended_s is not None and not entry.aborted and not entry.deviations for entry in server.log)


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 501, 502, 503, 504, 524])
async def test_status(connect, status: int) -> None:
    """Any HTTP status, with Retry-After if wanted; the connection can be used again."""
    server = FakeServer()
    server.apply(faults.Status(status=status, retry_after="7", held_s=0.01))
    async with connect(server) as client:
        answer = await client.call("getupdates")
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
        assert await client.renew() == {"ret": 0}
    assert (server.log[0].status, server.log[0].answer) == (status, f"status {status}")
    assert server.log[0].ended_s - server.log[0].started_s >= 0.01


@pytest.mark.parametrize(
    ("fault", "status", "content"),
    [
        (faults.Html(), 200, b"<!DOCTYPE html>"),
        (faults.Garbage(), 200, b"\xff\xfe"),
        (faults.Body(body=b"\x00x", status=203), 203, b"\x00x"),
        (faults.Oversize(size=300_000), 200, b'{"msgs":[]'),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
async def test_bodies(connect, fault: faults.Fault, status: int, content: bytes) -> None:
    """Bodies that are not what the protocol says arrive whole, and the connection can be used again."""
    server = FakeServer()
    server.apply(fault)
    async with connect(server) as client:
        answer = await client.call("getupdates")
        assert answer.status_code == status
        assert answer.content.startswith(content)
        if isinstance(fault, faults.Oversize):
            assert len(answer.content) == 300_000
        assert await client.renew() == {"ret": 0}
    entry = server.log[0]
    assert (entry.answer, entry.status, entry.aborted) == (fault.kind, status, False)


async def test_redirect(connect) -> None:
    """A redirect names its place and has no body."""
    server = FakeServer()
    server.apply(faults.Redirect(location="https://evil.invalid/x"))
    async with connect(server) as client:
        answer = await client.call("getupdates")
    assert (answer.status_code, answer.headers["location"]) == (302, "https://evil.invalid/x")


async def test_code(connect) -> None:
    """An error code on any endpoint."""
    server = FakeServer()
    server.apply(faults.Code(endpoint="sendmessage"))
    async with connect(server) as client:
        assert (await client.send())["errcode"] == -14
        assert "message_id" in await client.send()
    assert server.account(TOKEN).state == "live"


async def test_truncated(connect) -> None:
    """The connection ends before the announced length; the next request gets a new one."""
    server = FakeServer()
    server.apply(faults.Truncated())
    async with connect(server) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            await client.call("getupdates")
        assert await client.renew() == {"ret": 0}
    assert (server.log[0].answer, server.log[0].aborted) == ("truncated", False)


@pytest.mark.parametrize("held_s", [0.0, 0.02])
async def test_reset(connect, held_s: float) -> None:
    """The connection is lost, at once or later; the next request gets a new one."""
    server = FakeServer()
    server.apply(faults.Reset(held_s=held_s))
    async with connect(server) as client:
        with pytest.raises(httpx.ReadError):
            await client.call("getupdates")
        assert await client.renew() == {"ret": 0}
    assert (server.log[0].answer, server.log[0].status) == ("reset", None)
    assert server.log[0].ended_s - server.log[0].started_s >= held_s


async def test_reset_of_held_polls(connect, until) -> None:
    """With answer_held a fault strikes polls that were there before it; without, it waits for the next."""
    server = FakeServer()
    async with connect(server) as client, anyio.create_task_group() as tasks:

        async def held() -> None:
            with pytest.raises(httpx.ReadError):
                await client.poll()

        tasks.start_soon(held)
        await until(lambda: len(server.accounts) == 1)
        server.apply(faults.Hang())
        server.apply(faults.Reset(answer_held=True))
    assert server.log[0].answer == "reset"


async def test_hang(connect, until) -> None:
    """No answer, until the client leaves; that is noticed."""
    server = FakeServer()
    server.apply(faults.Hang(endpoint="notifystart"))
    async with connect(server) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.renew)
            await until(lambda: server.log.count == 1 and server.log[0].answer == "hang")
            tasks.cancel_scope.cancel()
        await until(lambda: server.log[0].aborted)
        assert await client.renew() == {"ret": 0}
    assert (server.log[0].answer, server.log[0].status) == ("hang", None)


async def test_leaving_a_held_poll_is_noticed(connect, until) -> None:
    """A poll that the client drops ends in the log when it is dropped, and takes no message."""
    server = FakeServer(hold_s=30, delivery="once")
    account = server.account(TOKEN)
    async with connect(server) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.poll)
            await until(lambda: len(server.accounts) == 1 and server.log.count == 1)
            tasks.cancel_scope.cancel()
        await until(lambda: server.log[0].aborted)
        account.push()
        assert len((await client.poll())["msgs"]) == 1
    assert server.log[0].ended_s - server.log[0].started_s < 25


async def test_drip(connect, until) -> None:
    """A body that goes on for ever: every byte is in time, only a limit on the whole helps."""
    server = FakeServer()
    server.apply(faults.Drip(each_s=0.005))
    received = 0
    async with connect(server) as client:
        with anyio.CancelScope() as scope:
            async with client.http.stream("POST", "/ilink/bot/getupdates", json={}) as answer:
                assert answer.status_code == 200
                async for chunk in answer.aiter_raw():
                    received += len(chunk)
                    if received >= 3:
                        scope.cancel()
        assert received >= 3
        assert not server.log[0].good
        await until(lambda: server.log[0].aborted)
        assert await client.renew() == {"ret": 0}
    assert server.log[0].answer == "drip"


async def test_slow_and_instant(connect) -> None:
    """Latency adds to whatever follows; without a hold, idle polls come back at once."""
    server = FakeServer(hold_s=30)
    server.apply(faults.Instant(times=2))
    server.apply(faults.Slow(delay_s=0.02))
    async with connect(server) as client:
        await client.poll()
        await client.poll()
    first, second = server.log
    assert 0.02 <= first.ended_s - first.started_s < 25
    assert second.ended_s - second.started_s < 25


async def test_outage(connect, until) -> None:
    """Held polls are dropped, connections refused, and afterwards everything is as before, at the same address."""
    server = FakeServer(hold_s=30)
    async with connect(server) as client:
        async with anyio.create_task_group() as tasks:

            async def held() -> None:
                with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                    await client.poll()

            tasks.start_soon(held)
            await until(lambda: len(server.accounts) == 1)
            server.apply(faults.Outage())
        await _wait_answered(client, False)
        with pytest.raises(httpx.ConnectError):
            await client.renew()
        server.apply(faults.Outage(for_s=0.05))
        await _wait_answered(client, True)
        server.apply(faults.Outage())
        await _wait_answered(client, False)
        server.clear()
        await _wait_answered(client, True)
    assert server.log[0].answer == "reset"


async def _wait_answered(client, wanted: bool) -> None:
    """Ask until it is so: a socket's listener needs some turns of the loop. Ask without a body: httpx leaks one that
    it cannot send."""
    with anyio.fail_after(10):
        for _ in itertools.count():
            try:
                answered = (await client.http.get("/ilink/bot/getupdates")).status_code == 405
            except httpx.ConnectError:
                answered = False
            except httpx.TransportError:
                continue  # a connection that was just being dropped
            if answered is wanted:
                return
            await anyio.sleep(0.001)
