"""What is special to the fast lane: a socket and TLS of our own, and whatever a server may do to them."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSAttribute, TLSStream

from sessionfsm.errors import BrokenAnswer, ConnectFailed, ConnectionLost, DeadlineExceeded, ILinkError, StatusError
from sessionfsm.ilink import ILinkClient, Lane, LaneTransport, default_http_client
from sessionfsm.ilink.connection import Connection, _with_tls
from sessionfsm.ilink.fast_lane import FastLane
from sessionfsm.ilink.lanes import StockLane
from sessionfsm.secret import Secret

pytestmark = pytest.mark.anyio

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"
IDLE = b'{"msgs":[],"get_updates_buf":"c1"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(IDLE), IDLE)
CERTIFICATE = Path(__file__).parent / "loopback.pem"  # self-signed; its key is no secret, and nobody trusts it
Serve = Callable[[Any], AbstractAsyncContextManager[Any]]
Speak = Callable[[TLSStream], Awaitable[None]]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxies stay out of the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def open_files() -> Callable[[], int]:
    """Return what counts the descriptors of this process."""
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return lambda: len(os.listdir(folder))


async def idle(connection: Any) -> None:
    """Answer at once, with a cursor."""
    await connection.answer(IDLE)


def opened(http: httpx.AsyncClient) -> list[FastLane | StockLane]:
    """The lanes that a client has opened."""
    transport = http._transport
    assert isinstance(transport, LaneTransport)
    return [lane for owned in transport._lanes.values() for lane in owned.values()]


# --- which lane -----------------------------------------------------------------------------------------------------


async def test_a_session_is_on_fast_lanes_by_itself(serve: Serve) -> None:
    """Nobody has to ask for them."""
    async with serve(idle) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        await ilink.get_updates(None, deadline_s=1)
        await ilink.send_text("u", "hi")
        assert [type(lane) for lane in opened(ilink._http)] == [FastLane, FastLane]


async def test_a_proxy_leads_over_the_stock_lane(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies are left to httpx, which knows all their kinds."""
    async with serve(idle) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        named = "http://10.0.0.5:8080"
        async with ILinkClient(token=TOKEN, base_url=named, allow_hosts=[named]) as ilink:
            assert (await ilink.get_updates(None, deadline_s=1)).has_messages
            assert [type(lane) for lane in opened(ilink._http)] == [StockLane]
        assert proxy.requests[0].startswith(b"POST http://10.0.0.5:8080/ilink/bot/getupdates HTTP/1.1")


async def test_windows_has_stock_lanes(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """There sockets are waited for in another way, on which the fast lane was never tried."""
    monkeypatch.setattr("sys.platform", "win32")
    http = default_http_client()
    monkeypatch.undo()
    async with serve(idle) as server, http, ILinkClient(token=TOKEN, base_url=server.url, http=http) as ilink:
        assert (await ilink.get_updates(None, deadline_s=1)).has_messages
        assert [type(lane) for lane in opened(http)] == [StockLane]


async def test_a_client_and_a_transport_of_the_callers_see_every_request(serve: Serve) -> None:
    """Whoever passes a client or wraps the transport gets what was asked for: no request goes around them."""
    seen: list[str] = []

    class Counting(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.inner = httpx.AsyncHTTPTransport()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request.url.path)
            return await self.inner.handle_async_request(request)

        async def aclose(self) -> None:
            await self.inner.aclose()

    async def hear(request: httpx.Request) -> None:
        seen.append(request.url.path)

    hooked = default_http_client()
    hooked.event_hooks = {"request": [hear]}
    clients = [hooked, httpx.AsyncClient(transport=Counting()), httpx.AsyncClient(trust_env=False)]
    async with serve(idle) as server:
        for http in clients:
            async with http, ILinkClient(token=TOKEN, base_url=server.url, http=http) as ilink:
                assert (await ilink.get_updates(None, deadline_s=1)).has_messages
        assert len(server.requests) == 3
        # And they are the same on the wire, but for httpx's own order.
        lines = [sorted(line for line in r.split(b"\r\n") if b"UIN" not in line) for r in server.requests]
        assert lines[0] == lines[1] == lines[2]
    assert seen == ["/ilink/bot/getupdates"] * 2


async def test_the_request_is_the_same_on_each_lane(serve: Serve) -> None:
    """Section 7: the reference's headers, nothing more and nothing less, whichever way they take."""
    async with serve(idle) as server:
        for fast in (True, False):
            async with default_http_client(fast=fast) as http:
                ilink = ILinkClient(token=TOKEN, base_url=server.url, http=http, route_tag="7")
                await ilink.get_updates(None, deadline_s=1)
                await ilink.send_text("u", "hi", client_id="c", run_id="r")
        requests = [sorted(line for line in r.split(b"\r\n") if b"UIN" not in line) for r in server.requests]
        assert requests[:2] == requests[2:]
        assert all(r.count(b"X-WECHAT-UIN: ") == 1 for r in server.requests)


async def test_both_lanes_say_the_same_of_a_broken_answer(serve: Serve) -> None:
    """Whatever comes, the error is the same, so that nothing above can tell on which lane it was."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answers = [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + IDLE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"HTTP/1.1 200 OK\r\nContent-Length: 34\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + IDLE,
        b"HTTP/1.1 200 OK\r\nContent-Length : 34\r\n\r\n" + IDLE,
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 34\r\n\r\n" + IDLE,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 150_000 + b"\r\nContent-Length: 34\r\n\r\n" + IDLE,
        chunked + b"22\r\n" + IDLE,
        chunked + b"22\r\n" + IDLE + b"0\r\n\r\n",
        chunked + b"22;" + b"x" * 150_000 + b"\r\n" + IDLE + b"\r\n0\r\n\r\n",
        chunked + b"22;a=b\r\n" + IDLE + b"\r\n0\r\nTrailer: t\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + IDLE,
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + ANSWER,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 34\r\nX: a\r\n b\r\n\r\n" + IDLE,
        b"HTTP/1.1 200 OK\nContent-Length: 34\n\n" + IDLE,
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
    ]
    answer = b""

    async def speak(connection: Any) -> None:
        await connection.send(answer)
        raise EOFError

    said: dict[bool, list[str]] = {}
    async with serve(speak) as server:
        for fast in (True, False):
            said[fast] = []
            async with default_http_client(fast=fast) as http:
                for answer in answers:  # noqa: B007 - the server sends it
                    try:
                        updates = await ILinkClient(token=TOKEN, base_url=server.url, http=http).get_updates(
                            None, deadline_s=5
                        )
                        said[fast].append(repr(updates))
                    except ILinkError as error:
                        said[fast].append(f"{type(error).__name__} {error} {vars(error)}")
    assert said[True] == said[False]
    assert sum("Updates(" in outcome for outcome in said[True]) >= 6
    assert sum("ConnectionLost" in outcome for outcome in said[True]) >= 8


async def test_no_error_of_a_fast_lane_keeps_the_request(serve: Serve) -> None:
    """Whoever prints a traceback with its locals, of an error or of a cancellation, shows no token and no cursor."""

    async def cut(connection: Any) -> None:
        if connection.number == 1:
            raise EOFError
        await anyio.sleep_forever()

    def frames(error: BaseException) -> str:
        return "".join(repr(frame.f_locals) for frame, _ in traceback.walk_tb(error.__traceback__.tb_next))

    raised: list[BaseException] = []
    async with serve(cut) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        with anyio.move_on_after(0.2):
            for _ in range(2):
                try:
                    await ilink.get_updates(Secret("CURSOR-0123"), deadline_s=5)
                except ConnectionLost as error:
                    raised.append(error)
                except anyio.get_cancelled_exc_class() as cancelled:
                    raised.append(cancelled)
                    raise
    assert len(raised) == 2
    for error in raised:
        assert error.__cause__ is None
        for secret in (TOKEN, TOKEN.partition(":")[2], "CURSOR-0123"):
            assert secret not in frames(error) + str(error)


# --- connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("farewell", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
async def test_a_half_closed_connection_is_noticed_before_a_request_is_written(serve: Serve, farewell: bytes) -> None:
    """The request goes out once, on a new connection: whoever retried it could have sent it twice."""

    async def once(connection: Any) -> None:
        await connection.answer(IDLE)
        if farewell:
            await connection.send(farewell)
        await connection.stream.send_eof()
        await connection.request()

    async with serve(once) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        for _ in range(3):
            await ilink.get_updates(None, deadline_s=1)
            await anyio.sleep(0.005)
        assert (server.connections, len(server.requests)) == (3, 3)


async def test_a_request_that_is_refused_before_it_was_read() -> None:
    """What the server said of it is heard, although writing failed; that connection is not used again."""
    accepted: list[int] = []
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    said = refusal

    async def refuse(stream: SocketStream) -> None:
        accepted.append(1)
        async with stream:
            await stream.receive()
            if said:
                await stream.send(said)  # what was not read becomes a reset when the connection is closed

    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        huge = "c" * 16_000_000  # more than the system takes before anybody reads
        async with anyio.create_task_group() as tasks, httpx.AsyncClient(transport=LaneTransport()) as http:
            tasks.start_soon(listener.serve, refuse)
            for number in (1, 2):
                assert (await http.post(url, content=huge)).status_code == 413
                assert len(accepted) == number
            async with ILinkClient(token=TOKEN, base_url=url) as ilink:
                with pytest.raises(StatusError, match="413"):
                    await ilink.get_updates(Secret(huge), deadline_s=5)
                said = b""
                with pytest.raises(ConnectionLost):
                    await ilink.get_updates(Secret(huge), deadline_s=5)
            tasks.cancel_scope.cancel()


async def test_a_connection_with_surplus_bytes_is_not_used_again(serve: Serve) -> None:
    """What follows an answer would be taken for the answer to the next request, perhaps somebody else's."""

    async def generous(connection: Any) -> None:
        await connection.send(ANSWER + ANSWER.replace(b"c1", b"c2"))

    async with serve(generous) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        for _ in range(3):
            cursor = (await ilink.get_updates(None, deadline_s=1)).cursor
            assert cursor is not None
            assert cursor.reveal() == "c1"
        assert server.connections == 3


async def test_a_connection_that_was_long_idle_is_replaced(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two minutes a middlebox may have forgotten it (section 1.4)."""
    async with serve(idle) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        await ilink.send_text("u", "hi")
        monkeypatch.setattr("sessionfsm.ilink.connection.KEEPALIVE_S", -1.0)
        await ilink.send_text("u", "hi")
        assert server.connections == 2


@pytest.mark.parametrize(
    "endless",
    [b"HTTP/1.1 100 Continue\r\n\r\n" * 100, b"x" * 4096, b"1\r\nx\r\n" * 100, b"1;" + b"x" * 1000 + b"\r\n \r\n"],
)
@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
async def test_a_server_that_never_stops_is_stopped(serve: Serve, head: bytes, endless: bytes) -> None:
    """Floods of provisional answers, of headers, of tiny chunks: an error within the deadline, and little memory."""

    async def flood(connection: Any) -> None:
        await connection.send(head)
        while True:
            await connection.send(endless)

    async with serve(flood) as server, ILinkClient(token=TOKEN, base_url=server.url, max_body_bytes=10**6) as ilink:
        with anyio.fail_after(5), pytest.raises((ConnectionLost, BrokenAnswer, DeadlineExceeded)):
            await ilink.get_updates(None, deadline_s=0.5)


@pytest.mark.parametrize("before_s", [0.02, 5.0], ids=["shorter", "longer"])
async def test_each_poll_has_its_own_deadline_whatever_that_of_the_one_before_it_was(
    serve: Serve, before_s: float
) -> None:
    """Polls of one connection share a timer: it ends none too early, none too late, and not one that was answered."""
    asked = 0

    async def once(connection: Any) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            await connection.answer(IDLE)

    async with serve(once) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        await ilink.get_updates(None, deadline_s=before_s)
        began = anyio.current_time()
        with pytest.raises(DeadlineExceeded):
            await ilink.get_updates(None, deadline_s=0.06)
        assert 0.06 <= anyio.current_time() - began < 1
        assert (asked, server.connections) == (2, 1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_polls_that_are_answered_leave_no_timers_behind(serve: Serve) -> None:
    """An event loop keeps a cancelled timer until it is due: with ten thousand sessions that is a heap of them."""
    loop: Any = asyncio.get_running_loop()
    async with serve(idle) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        await ilink.get_updates(None, deadline_s=45)  # connecting has a limit of its own
        before = len(loop._scheduled)
        for _ in range(20):
            await ilink.get_updates(None, deadline_s=45)
        assert len(loop._scheduled) <= before
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]
    assert timers == []


async def test_a_poll_that_waits_for_its_lane_or_its_connection_has_a_deadline_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever holds it up, it ends in time, and the lane is free for the next one."""

    async def hold(_: Any) -> None: ...

    async def never(*_: Any) -> Any:
        await anyio.sleep_forever()

    async with serve(hold) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: ilink.notify_stop(deadline_s=5))
            await server.wait_requests(1)
            with pytest.raises(DeadlineExceeded):
                await ilink.get_updates(None, deadline_s=0.02)
            group.cancel_scope.cancel()
        with monkeypatch.context() as patch:
            patch.setattr("sessionfsm.ilink.connection._connected_to", never)
            with pytest.raises(DeadlineExceeded):
                await ilink.get_updates(None, deadline_s=0.02)
        with pytest.raises(DeadlineExceeded):
            await ilink.get_updates(None, deadline_s=0.02)
        assert len(server.requests) == 2


async def test_requests_on_one_lane_take_turns(serve: Serve) -> None:
    """In their order, one at a time; one that is cancelled while it waits keeps nobody from theirs."""
    release = anyio.Event()

    async def slow(connection: Any) -> None:
        await release.wait()
        await connection.answer(IDLE)

    order: list[int] = []
    async with serve(slow) as server, default_http_client() as http, anyio.create_task_group() as tasks:
        cancelled = anyio.CancelScope()

        async def ask(number: int) -> None:
            extensions = {"sessionfsm.lane": Lane("one", "poll")}
            if number == 2:
                with cancelled:
                    await http.post(server.url, content=b"2", extensions=extensions)
            else:
                await http.post(server.url, content=b"%d" % number, extensions=extensions)
                order.append(number)

        for number in range(5):
            tasks.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
        cancelled.cancel()
        await anyio.wait_all_tasks_blocked()
        assert len(server.requests) == 1
        release.set()
        with anyio.fail_after(5):
            while len(order) < 4:  # noqa: ASYNC110 - the wire is in between
                await anyio.sleep(0.001)
        assert order == [0, 1, 3, 4]
        assert server.connections == 1


async def test_who_waits_for_a_lane_that_is_closed_is_told(serve: Serve) -> None:
    """The one that is out is lost; the one that waits was not sent; neither opens a connection that nobody closes."""

    async def hold(connection: Any) -> None:
        await connection.request()  # until the client closes

    errors: list[str] = []
    async with serve(hold) as server, default_http_client() as http, anyio.create_task_group() as tasks:

        async def ask() -> None:
            try:
                await http.post(server.url, content=b"x", extensions={"sessionfsm.lane": Lane("one", "poll")})
            except httpx.TransportError as error:
                errors.append(type(error).__name__)

        for _ in range(3):
            tasks.start_soon(ask)
        await server.wait_requests(1)
        await anyio.wait_all_tasks_blocked()
        transport = http._transport
        assert isinstance(transport, LaneTransport)
        await transport.aclose_lane("one")
        with anyio.fail_after(5):
            while len(errors) < 3:  # noqa: ASYNC110 - the wire is in between
                await anyio.sleep(0.001)
        assert sorted(errors) == ["ConnectError", "ConnectError", "ReadError"]
        await server.wait_gone(1)


async def test_a_name_with_several_addresses(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address that answers is taken: one that refuses is passed over, and one that is silent soon."""
    with socket.socket() as silent, socket.socket() as refusing:
        for sock in (silent, refusing):
            sock.bind(("127.0.0.1", 0))
        silent.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:  # nobody accepts, so that the queue is full and one more gets no answer
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())

        async def resolve(_: str, port: int, **__: Any) -> list[Any]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, sock.getsockname()) for sock in (refusing, silent)] + [(*kind, ("127.0.0.1", port))]

        monkeypatch.setattr(anyio, "getaddrinfo", resolve)
        async with serve(idle) as server:
            url = server.url.replace("127.0.0.1", "localhost")
            async with ILinkClient(token=TOKEN, base_url=url) as ilink:
                with anyio.fail_after(5):
                    assert (await ilink.get_updates(None, deadline_s=4)).has_messages

        async def nowhere(*_: Any, **__: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", refusing.getsockname())] * 2

        monkeypatch.setattr(anyio, "getaddrinfo", nowhere)
        async with ILinkClient(token=TOKEN, base_url="http://localhost:9") as ilink:
            with pytest.raises(ConnectFailed, match="refused"):
                await ilink.get_updates(None, deadline_s=4)
        for filler in fillers:
            filler.close()


async def test_cancelled_at_any_moment_no_socket_is_left(serve: Serve, open_files: Callable[[], int]) -> None:
    """While connecting, shaking hands, writing, waiting and reading; plain and over TLS."""

    async def slow(connection: Any) -> None:
        for part in (ANSWER[:20], ANSWER[20:60], ANSWER[60:]):
            await anyio.sleep(0.002)
            await connection.send(part)

    async def slowly(stream: TLSStream) -> None:
        for part in (ANSWER[:20], ANSWER[20:60], ANSWER[60:]):
            await anyio.sleep(0.002)
            await stream.send(part)

    async with serve(slow) as plain, serve_tls(slowly) as (secure, context):
        for url in (plain.url, secure):
            async with over(context) as http:
                before = 0
                for step in (*range(5), *range(40)):  # the first ones only to have the loop open what it needs itself
                    ilink = ILinkClient(token=TOKEN, base_url=url, http=http)
                    with anyio.move_on_after(step * 0.0004):
                        await ilink.get_updates(None, deadline_s=5)
                    await ilink.aclose()
                    if not before and step == 4:
                        await anyio.sleep(0.05)
                        before = open_files()
                with anyio.fail_after(5):
                    while open_files() > before:  # noqa: ASYNC110 - the server's ends
                        await anyio.sleep(0.005)


async def test_a_connection_that_was_reset_leaves_nothing_to_the_garbage_collector(serve: Serve) -> None:
    """Ten thousand that are reset together would leave it as many rings of frames, with their sockets in them."""

    async def hangs_up(connection: Any) -> None:
        raw = connection.stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await connection.stream.aclose()
        raise EOFError

    async with serve(hangs_up) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        with pytest.raises(ConnectionLost):
            await ilink.get_updates(None, deadline_s=5)
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                with pytest.raises(ConnectionLost):
                    await ilink.get_updates(None, deadline_s=5)
            await anyio.sleep(0.01)  # so that the event loop lets go of the last one
            assert not [each for each in gc.get_objects() if isinstance(each, Connection)]
        finally:
            gc.enable()


async def test_who_cannot_write_is_told_when_the_lane_is_closed() -> None:
    """A server that reads nothing holds nobody who has closed the lane."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        async with default_http_client() as http:
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
            failed = anyio.Event()

            async def write() -> None:
                with pytest.raises(httpx.TransportError):
                    await http.post(url, content=b"x" * 50_000_000)
                failed.set()

            async with anyio.create_task_group() as group:
                group.start_soon(write)
                with anyio.fail_after(5):
                    while not opened(http):  # noqa: ASYNC110 - nobody says it
                        await anyio.sleep(0.001)
                    await anyio.sleep(0.05)
                    assert not failed.is_set()
                    (lane,) = opened(http)
                    await lane.aclose()
                    await failed.wait()


# --- TLS ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serve_tls(speak: Speak, **counted: list[int]) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """Run a TLS server that calls *speak* for each request; yield its URL, and a context that trusts it."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(CERTIFICATE)
    server_context.set_alpn_protocols(["h2", "http/1.1"])

    async def handle(raw: anyio.abc.SocketStream) -> None:
        counted.get("connections", []).append(1)
        async with raw:
            try:
                stream = await TLSStream.wrap(raw, server_side=True, ssl_context=server_context)
                while True:
                    data = b""
                    while b'"base_info"' not in data or not data.endswith(b"}}"):
                        data += await stream.receive()
                    counted.get("requests", []).append(1)
                    await speak(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError, EOFError):
                pass

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        port = listener.extra(SocketAttribute.local_port)
        yield f"https://127.0.0.1:{port}", ssl.create_default_context(cafile=str(CERTIFICATE))
        tasks.cancel_scope.cancel()


def over(context: ssl.SSLContext, *, fast: bool = True) -> httpx.AsyncClient:
    """A client that trusts the test's server."""
    return httpx.AsyncClient(transport=LaneTransport(ssl_context=context, fast=fast))


async def test_tls_connections_are_kept() -> None:
    """One handshake for many polls; the tickets that a server sends in between are no reason for another."""
    connections: list[int] = []

    async def speak(stream: TLSStream) -> None:
        await stream.send(ANSWER)

    async with serve_tls(speak, connections=connections) as (url, context), over(context) as http:
        ilink = ILinkClient(token=TOKEN, base_url=url, http=http)
        for _ in range(3):
            assert (await ilink.get_updates(None, deadline_s=5)).has_messages
        assert len(connections) == 1
        assert [type(lane) for lane in opened(http)] == [FastLane]


@pytest.mark.parametrize("fast", [True, False])
async def test_tls_says_which_protocol_will_be_spoken(fast: bool) -> None:
    """A server that speaks HTTP/2 as well, and one that insists on being told, gets the same from each lane."""
    agreed: list[str | None] = []

    async def speak(stream: TLSStream) -> None:
        agreed.append(stream.extra(TLSAttribute.alpn_protocol))
        await stream.send(ANSWER)

    async with serve_tls(speak) as (url, context), over(context, fast=fast) as http:
        context.set_alpn_protocols(["h2", "http/1.1"])  # as another client that has the same context may
        assert (await ILinkClient(token=TOKEN, base_url=url, http=http).get_updates(None, deadline_s=5)).has_messages
        assert agreed == ["http/1.1"]


@pytest.mark.parametrize("fast", [True, False])
async def test_tls_that_ends_without_its_farewell(fast: bool) -> None:
    """A whole answer counts, half of one is a lost connection; the next request has a new connection."""
    connections: list[int] = []
    cut = len(ANSWER)

    async def speak(stream: TLSStream) -> None:
        await stream.send(ANSWER[:cut])
        raise EOFError

    async with serve_tls(speak, connections=connections) as (url, context), over(context, fast=fast) as http:
        ilink = ILinkClient(token=TOKEN, base_url=url, http=http)
        for _ in range(2):
            assert (await ilink.get_updates(None, deadline_s=5)).has_messages
            await anyio.sleep(0.01)
        cut -= 1
        with pytest.raises(ConnectionLost):
            await ilink.get_updates(None, deadline_s=5)
        assert len(connections) == 3


async def test_a_farewell_that_comes_with_the_answer_is_noticed() -> None:
    """It is in our memory then, and not to be seen on the socket."""
    requests: list[int] = []

    async def speak(stream: TLSStream) -> None:
        stream._ssl_object.write(ANSWER)
        with pytest.raises(ssl.SSLWantReadError):
            stream._ssl_object.unwrap()
        await stream.transport_stream.send(stream._write_bio.read())
        await anyio.sleep_forever()

    async with serve_tls(speak, requests=requests) as (url, context), over(context) as http:
        ilink = ILinkClient(token=TOKEN, base_url=url, http=http)
        for number in range(1, 4):
            assert (await ilink.get_updates(None, deadline_s=5)).has_messages
            assert len(requests) == number


@pytest.mark.parametrize("fast", [True, False])
async def test_a_certificate_that_nobody_vouches_for(fast: bool) -> None:
    """No request is written; on the fast lane the message says what is wrong."""
    requests: list[int] = []

    async def speak(stream: TLSStream) -> None:
        await stream.send(ANSWER)

    async with serve_tls(speak, requests=requests) as (url, _), default_http_client(fast=fast) as http:
        words = "CERTIFICATE_VERIFY_FAILED" if fast else "no connection"
        with pytest.raises(ConnectFailed, match=words):
            await ILinkClient(token=TOKEN, base_url=url, http=http).get_updates(None, deadline_s=5)
        assert not requests


async def test_a_handshake_that_hangs_ends_with_the_deadline() -> None:
    """A server that accepts and then says nothing is left; nothing of ours was written but the hello."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        url = f"https://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        async with ILinkClient(token=TOKEN, base_url=url) as ilink:
            with pytest.raises(DeadlineExceeded):
                await ilink.get_updates(None, deadline_s=0.05)


async def test_a_connection_that_is_reset_before_the_handshake_is_closed(open_files: Callable[[], int]) -> None:
    """As overloaded servers do it; no descriptor is left for the garbage collector, which would warn of it."""
    context = ssl.create_default_context()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
        sock.setblocking(False)
        accepted, _ = server.accept()
        before = open_files()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        with pytest.raises(ConnectionResetError) as caught:
            await _with_tls(sock, context, "127.0.0.1")
        assert sock.fileno() < 0
        assert open_files() == before - 2
        assert caught.value.__traceback__ is not None  # its frames would keep the descriptor open


async def test_a_tls_server_that_never_stops_leaves_others_their_turn() -> None:
    """Over TLS there can always be something to read; the deadline comes all the same."""

    async def speak(stream: TLSStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send(b"1\r\nx\r\n" * 1000)

    async with serve_tls(speak) as (url, context), over(context) as http:
        ilink = ILinkClient(token=TOKEN, base_url=url, http=http)
        with anyio.fail_after(5), pytest.raises((DeadlineExceeded, BrokenAnswer)):
            await ilink.get_updates(None, deadline_s=0.2)


# --- as a transport of httpx ----------------------------------------------------------------------------------------


async def test_other_requests_are_served_as_well(serve: Serve) -> None:
    """What sessions never send goes over a stock connection: a body of unknown length, an answer without its body."""

    async def echo(connection: Any) -> None:
        await connection.answer(b"", headers="Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n")

    async def parts() -> AsyncIterator[bytes]:
        yield b"x"

    async with serve(echo) as server, httpx.AsyncClient(transport=LaneTransport(), trust_env=False) as http:
        response = await http.put(server.url, content=b"x")
        assert (response.status_code, response.reason_phrase, response.http_version) == (200, "OK", "HTTP/1.1")
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert [type(lane) for lane in opened(http)] == [FastLane]
        request = http.build_request("HEAD", server.url, headers={"Content-Length": "0"})
        assert (await http.send(request)).status_code == 200
        assert [type(lane) for lane in opened(http)] == [StockLane]


async def test_what_httpx_is_asked_to_do_in_another_way_it_does(serve: Serve) -> None:
    """Extensions of a request that a hook has set, such as one that traces it, are not silently passed over."""
    seen: list[str] = []

    async def trace(event: str, _: object) -> None:
        seen.append(event)

    async def mark(request: httpx.Request) -> None:
        request.extensions = {**request.extensions, "trace": trace, "target": b"/elsewhere"}

    http = default_http_client()
    http.event_hooks = {"request": [mark]}
    async with serve(idle) as server, http, ILinkClient(token=TOKEN, base_url=server.url, http=http) as ilink:
        for _ in range(2):
            assert (await ilink.get_updates(None, deadline_s=1)).has_messages
        assert [type(lane) for lane in opened(http)] == [StockLane]
        assert all(request.startswith(b"POST /elsewhere HTTP/1.1") for request in server.requests)
        assert server.connections == 1
    assert "http11.send_request_headers.started" in seen


async def test_the_limits_of_a_request_are_kept(serve: Serve) -> None:
    """Each kind of timeout is raised as httpx raises it, and the lane works afterwards."""

    async def hold(connection: Any) -> None:
        if b"hold" in server.requests[-1]:
            await anyio.sleep_forever()
        await connection.answer(IDLE)

    limits = httpx.Timeout(5, read=0.03, pool=0.01)
    async with serve(hold) as server, httpx.AsyncClient(transport=LaneTransport(), timeout=limits) as http:
        errors: list[type[Exception]] = []

        async def ask() -> None:
            try:
                await http.post(server.url, content=b"hold")
            except httpx.TimeoutException as error:
                errors.append(type(error))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        assert errors == [httpx.PoolTimeout, httpx.ReadTimeout]
        assert (await http.post(server.url, content=b"x")).content == IDLE


async def test_a_header_that_would_be_two_is_not_sent(serve: Serve) -> None:
    """httpx passes anything on; h11 would refuse it, and so does this."""
    async with serve(idle) as server, httpx.AsyncClient(transport=LaneTransport(), trust_env=False) as http:
        for headers in ({"X": "hunter2\r\nY: 1"}, {"X": "a\x00"}, {"X Y": "1"}, {"X": " a"}):
            with pytest.raises(httpx.LocalProtocolError) as caught:
                await http.post(server.url, content=b"x", headers=headers)
            assert "hunter2" not in str(caught.value)
        assert server.connections == 0


async def test_an_answer_that_is_not_read_takes_its_connection_with_it(serve: Serve) -> None:
    """Half an answer on a connection would be the beginning of the next one. A whole one is no trouble."""

    async def halves(connection: Any) -> None:
        await connection.send(ANSWER if b"whole" in server.requests[-1] else ANSWER[:-1])

    async with serve(halves) as server, httpx.AsyncClient(transport=LaneTransport(), trust_env=False) as http:
        for content, connections in ((b"whole", 1), (b"half", 1), (b"half", 2), (b"whole", 3), (b"whole", 3)):
            async with http.stream("POST", server.url, content=content) as response:
                assert response.status_code == 200
                assert server.connections == connections
            await response.aclose()


async def test_a_body_of_another_length_than_its_header_says_is_not_sent(serve: Serve) -> None:
    """It would be one request and a half, and the answer to the half would be taken for that of the next request."""
    async with serve(idle) as server, httpx.AsyncClient(transport=LaneTransport(), trust_env=False) as http:
        for length in ("1", "40", "x", "2, 2"):
            with pytest.raises(httpx.LocalProtocolError):
                await http.post(server.url, content=b"ab", headers={"Content-Length": length})
        assert server.connections == 0
        assert (await http.post(server.url, content=b"ab")).content == IDLE


async def test_a_connection_that_was_announced_to_end_is_not_used_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the server says to it: by then it may be closing, and the next poll would be lost."""
    monkeypatch.setattr("sessionfsm.ilink.client._SINGLE_USES", 2)

    async def drop_first(connection: Any) -> None:
        if len(server.requests) == 1:
            raise EOFError
        await connection.answer(IDLE)

    async with serve(drop_first) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        with pytest.raises(ConnectionLost):
            await ilink.get_updates(None, deadline_s=1)
        for connections in (2, 3, 4, 4):
            await ilink.get_updates(None, deadline_s=1)
            assert server.connections == connections
        announced = [b"Connection: close" in request for request in server.requests]
        assert announced == [False, True, True, False, False]


async def test_an_answer_that_is_read_on_after_its_lane_was_closed_ends_as_httpx_ends_it(serve: Serve) -> None:
    """Whoever closes the lane in the middle of an answer gets an error of httpx, on each event loop."""

    async def half(connection: Any) -> None:
        await connection.send(ANSWER[:-1])

    transport = LaneTransport()
    async with (
        serve(half) as server,
        httpx.AsyncClient(transport=transport, trust_env=False) as http,
        http.stream("POST", server.url, content=b"x") as response,
    ):
        chunks = response.aiter_raw()
        assert await anext(chunks) == IDLE[:-1]
        await transport.aclose()
        with pytest.raises(httpx.ReadError):
            await anext(chunks)
