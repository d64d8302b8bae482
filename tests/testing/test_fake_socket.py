"""What only the socket front end has. Real time, in hundredths of seconds."""

from __future__ import annotations

import anyio
import anyio.abc
import httpx
import pytest

from sessionfsm.errors import DefinitionError
from sessionfsm.testing import FakeServer, Listening, faults

pytestmark = pytest.mark.anyio

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"
RENEWAL = (
    b"POST /ilink/bot/msg/notifystart?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n{}"
)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::", ""])
async def test_only_loopback(host: str) -> None:
    """A server that obeys every token must not be reachable from elsewhere."""
    with pytest.raises(DefinitionError, match="listens on loopback only"):
        async with FakeServer().listen(host=host):
            pass


async def test_a_port_in_use_is_an_os_error() -> None:
    """The error of the operating system passes through."""
    async with FakeServer().listen(host="localhost") as listening:
        assert listening.url == f"http://127.0.0.1:{listening.port}"
        with pytest.raises(OSError, match="in use"):
            async with FakeServer().listen(port=listening.port):
                pass


async def test_leaving_the_block_closes_everything() -> None:
    """Afterwards nobody listens; connections are closed, and an error of the block comes out as it was."""
    listening_on: list[Listening] = []
    streams: list[anyio.abc.SocketStream] = []

    async def fail_inside() -> None:
        async with FakeServer().listen() as listening:
            listening_on.append(listening)
            streams.append(await anyio.connect_tcp("127.0.0.1", listening.port))
            await streams[0].send(RENEWAL)
            assert (await streams[0].receive()).startswith(b"HTTP/1.1 200")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_inside()
    async with streams[0] as stream:
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()
    with pytest.raises(OSError, match=r".*"):
        await anyio.connect_tcp("127.0.0.1", listening_on[0].port)


async def test_a_connection_is_kept_for_the_next_request() -> None:
    """Requests follow each other on one connection, even when the second is sent before the first is answered."""
    server = FakeServer()
    server.apply(faults.Slow(delay_s=0.01))
    async with server.listen() as listening, await anyio.connect_tcp("127.0.0.1", listening.port) as stream:
        await stream.send(RENEWAL)
        await stream.send(RENEWAL)
        received = b""
        with anyio.fail_after(2):
            while received.count(b'{"ret":0}') < 2:
                received += await stream.receive()
    assert [entry.endpoint for entry in server.log] == ["notifystart", "notifystart"]


async def test_what_is_no_http_ends_its_connection_only() -> None:
    """A peer that speaks something else, or leaves in the middle of a request, harms nobody."""
    server = FakeServer()
    async with server.listen() as listening:
        async with await anyio.connect_tcp("127.0.0.1", listening.port) as stream:
            await stream.send(b"\x16\x03\x01 hello\r\n\r\n")
            with anyio.fail_after(2), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
        async with await anyio.connect_tcp("127.0.0.1", listening.port) as stream:
            await stream.send(RENEWAL[:-1])
        async with httpx.AsyncClient(base_url=listening.url, trust_env=False) as http:
            assert (await http.post("/ilink/bot/msg/notifystart", json={})).json()["errcode"] == -14
    assert server.log.count == 1


async def test_many_clients_at_once(until) -> None:
    """Fifty held polls are answered when their users write."""
    server = FakeServer(hold_s=30)
    async with (
        server.listen() as listening,
        httpx.AsyncClient(base_url=listening.url, trust_env=False) as http,
        anyio.create_task_group() as tasks,
    ):
        for number in range(50):
            tasks.start_soon(_poll, http, f"token-{number}")
        await until(lambda: len(server.accounts) == 50)
        for account in server.accounts:
            account.push()
    assert all(entry.answer == "messages" for entry in server.log)
    assert len({entry.account for entry in server.log}) == 50


async def _poll(http: httpx.AsyncClient, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    await http.post("/ilink/bot/getupdates", json={"get_updates_buf": ""}, headers=headers, timeout=25)
