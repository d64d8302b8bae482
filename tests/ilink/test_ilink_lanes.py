"""Lanes and exchanges over real sockets, with servers that misbehave; each test on each kind of lane."""

from __future__ import annotations

import gzip
import json
import logging
import ssl
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import httpx
import pytest

from sessionfsm.errors import BrokenAnswer, ConnectFailed, ConnectionLost, DeadlineExceeded, ILinkError, StatusError
from sessionfsm.ilink import ILinkClient, Lane, LaneTransport
from sessionfsm.ilink.lanes import LaneOwner
from sessionfsm.secret import Secret

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("make_http")]

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"
IDLE = b'{"msgs":[],"get_updates_buf":"c1"}'
Serve = Callable[[Any], AbstractAsyncContextManager[Any]]
MakeHttp = Callable[[], httpx.AsyncClient]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxies stay out of the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def idle(connection: Any) -> None:
    """Answer at once, with a cursor."""
    await connection.answer(IDLE)


# --- lanes ----------------------------------------------------------------------------------------------------------


async def test_one_connection_for_polls_and_one_for_sends(serve: Serve) -> None:
    """However many requests a session makes, it has two connections."""
    async with serve(idle) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        await ilink.notify_start()
        for _ in range(3):
            await ilink.get_updates(None, deadline_s=1)
        assert server.connections == 1
        for _ in range(3):
            await ilink.send_text("u", "hi")
        await ilink.notify_stop()
        assert server.connections == 2
        assert len(server.requests) == 8


async def test_a_fresh_poll_has_a_new_connection(serve: Serve) -> None:
    """A connection that may be dead is closed, and not used for the next poll; the send connection stays."""
    async with serve(idle) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        await ilink.get_updates(None, deadline_s=1)
        await ilink.send_text("u", "hi")
        await ilink.get_updates(None, deadline_s=1, fresh=True)
        await ilink.send_text("u", "hi")
        assert server.connections == 3
        await server.wait_gone(1)


async def test_a_session_that_moves_leaves_no_connection_behind(serve: Serve) -> None:
    """New credentials may name another server: the connection to the old one is closed, not kept beside the new."""
    async with serve(idle) as old, serve(idle) as new, ILinkClient(token=TOKEN, base_url=old.url) as ilink:
        await ilink.get_updates(None, deadline_s=1)
        ilink.replace_credentials("other", new.url)
        await ilink.get_updates(None, deadline_s=1)
        await old.wait_gone(1)
        await new.wait_gone(0)
        assert (old.connections, new.connections) == (1, 1)
        assert b"Bearer other" in new.requests[0]


async def test_a_connection_that_the_server_closed_is_replaced(serve: Serve) -> None:
    """An idle connection that died is noticed before it is used."""

    async def once(connection: Any) -> None:
        await connection.answer(IDLE, headers="Connection: close\r\n")
        raise EOFError

    async with serve(once) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        for _ in range(3):
            await ilink.get_updates(None, deadline_s=1)
        assert server.connections == 3


async def test_many_sessions_share_a_client_and_never_wait_for_each_other(serve: Serve, make_http: MakeHttp) -> None:
    """More sessions than a stock pool has connections all poll at once, and all can still send."""
    count = 120

    async def hold(connection: Any) -> None:
        if b"getupdates" in server.requests[-1]:
            await anyio.sleep_forever()
        await connection.answer(b'{"message_id":1}')

    async with serve(hold) as server, make_http() as http:
        clients = [ILinkClient(token=TOKEN, base_url=server.url, http=http) for _ in range(count)]
        async with anyio.create_task_group() as tasks:
            for ilink in clients:
                tasks.start_soon(lambda ilink=ilink: ilink.get_updates(None, deadline_s=60))
            with anyio.fail_after(10):
                await server.wait_requests(count)
                for ilink in clients:
                    assert (await ilink.send_text("u", "hi")).confirmed
            assert server.connections == 2 * count
            tasks.cancel_scope.cancel()


async def test_closing_a_session_closes_its_own_connections(serve: Serve, make_http: MakeHttp) -> None:
    """A session that shares the HTTP client takes only its own connections with it."""
    async with serve(idle) as server, make_http() as http:
        one, two = (ILinkClient(token=TOKEN, base_url=server.url, http=http) for _ in range(2))
        for ilink in (one, two):
            await ilink.get_updates(None, deadline_s=1)
        await one.aclose()
        await server.wait_gone(1)
        assert server.connections == 2
        await two.get_updates(None, deadline_s=1)
        assert server.connections == 2


async def test_closing_is_done_even_when_cancelled(serve: Serve) -> None:
    """A cancelled owner leaves no socket behind."""
    async with serve(idle) as server:
        ilink = ILinkClient(token=TOKEN, base_url=server.url)
        await ilink.get_updates(None, deadline_s=1)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await ilink.aclose()
        await server.wait_gone(1)


async def test_closing_ends_a_poll_that_is_out(serve: Serve) -> None:
    """Whoever still waits on a session that is closed gets our error, on every backend."""

    async def hold(_: Any) -> None:
        await anyio.sleep_forever()

    async with serve(hold) as server:
        ilink = ILinkClient(token=TOKEN, base_url=server.url)
        caught: list[ILinkError] = []

        async def poll() -> None:
            with pytest.raises(ConnectionLost) as info:
                await ilink.get_updates(None, deadline_s=9)
            caught.append(info.value)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poll)
            await server.wait_requests(1)
            await ilink.aclose()
        assert len(caught) == 1


async def test_a_cancelled_poll_leaves_a_lane_that_works(serve: Serve) -> None:
    """Cancelled at any moment, the lane's one connection is free again."""

    async def slow(connection: Any) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(IDLE))
        await anyio.sleep(0.002)
        await connection.send(IDLE)

    async with serve(slow) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        for step in range(12):
            with anyio.move_on_after(step * 0.0005):
                await ilink.get_updates(None, deadline_s=1)
            assert (await ilink.get_updates(None, deadline_s=1)).cursor == Secret("c1")


async def test_requests_without_a_lane_share_one(serve: Serve) -> None:
    """The transport serves ordinary requests too, one connection to an origin; owners may be anything hashable."""
    async with serve(idle) as server, httpx.AsyncClient(transport=LaneTransport()) as http:
        for _ in range(2):
            response = await http.post(server.url, content=b"x")
            assert response.json()["get_updates_buf"] == "c1"
        assert server.connections == 1
        await http.post(server.url, content=b"x", extensions={"sessionfsm.lane": Lane("mine", "poll")})
        assert server.connections == 2


async def test_lanes_are_closed_through_any_wrapper(serve: Serve) -> None:
    """An owner finds its lanes although the HTTP client hides the transport."""

    class Wrapper(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.inner = LaneTransport()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return await self.inner.handle_async_request(request)

        async def aclose(self) -> None:
            await self.inner.aclose()

    async with serve(idle) as server, httpx.AsyncClient(transport=Wrapper(), trust_env=False) as http:
        owner = LaneOwner()
        await http.post(server.url, content=b"x", extensions={"sessionfsm.lane": Lane(owner, "poll")})
        await owner.aclose()
        await server.wait_gone(1)


# --- TLS and proxies ------------------------------------------------------------------------------------------------


async def test_tls_is_made_once_and_only_when_needed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, make_http: MakeHttp
) -> None:
    """Certificates are loaded when the first https URL is seen, once for all lanes."""
    made: list[ssl.SSLContext] = []

    def make(**_: Any) -> ssl.SSLContext:
        made.append(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        return made[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", make)
    async with serve(idle) as server, make_http() as http:
        await ILinkClient(token=TOKEN, base_url=server.url, http=http).notify_start()
        assert not made
        for _ in range(2):
            ilink = ILinkClient(token=TOKEN, base_url=server.url.replace("http:", "https:"), http=http)
            with pytest.raises(ConnectFailed):
                await ilink.notify_start(deadline_s=1)
        assert len(made) == 1


async def test_certificates_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong SSL_CERT_FILE is told as our error, not as a FileNotFoundError out of a poll."""
    monkeypatch.setenv("SSL_CERT_FILE", "missing.pem")
    async with ILinkClient(token=TOKEN, base_url="https://localhost:9") as ilink:
        with pytest.raises(ConnectFailed, match="CA certificates"):
            await ilink.notify_start()


async def test_a_proxy_of_the_environment_is_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http goes through the proxy with its full URL; NO_PROXY and the loopback go directly."""
    async with serve(idle) as proxy, serve(idle) as server:
        monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))
        monkeypatch.setenv("no_proxy", "10.0.0.6")
        named = "http://10.0.0.5:8080"
        async with ILinkClient(token=TOKEN, base_url=named, allow_hosts=[named]) as ilink:
            await ilink.notify_start()
        assert proxy.requests[0].startswith(b"POST http://10.0.0.5:8080/ilink/bot/msg/notifystart HTTP/1.1")
        async with ILinkClient(token=TOKEN, base_url=server.url) as ilink:
            await ilink.notify_start()
        assert (len(proxy.requests), len(server.requests)) == (1, 1)
        transport = LaneTransport()
        assert transport._proxy_for(httpx.URL("http://10.0.0.6:8080")) is None
        assert transport._proxy_for(httpx.URL(named)) == proxy.url
        assert LaneTransport(trust_env=False)._proxy_for(httpx.URL(named)) is None


@pytest.mark.parametrize(
    "proxy", ["socks5://u:hunter2@127.0.0.1:9", "gopher://u:hunter2@127.0.0.1:9", "http://u:hunter2@127.0.0.1:port"]
)
async def test_a_proxy_that_cannot_be_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that we cannot use is told, without its password."""
    monkeypatch.setenv("all_proxy", proxy)
    async with ILinkClient(token=TOKEN) as ilink:
        with pytest.raises(ConnectFailed, match="proxy") as caught:
            await ilink.notify_start()
    assert "hunter2" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)  # the cause shows the URL


# --- exchanges ------------------------------------------------------------------------------------------------------


async def test_a_dripping_body_does_not_outlive_the_deadline(serve: Serve) -> None:
    """One deadline covers the body too: a server that sends a byte now and then gains nothing."""

    async def drip(connection: Any) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await connection.send(b" ")
            await anyio.sleep(0.005)

    async with serve(drip) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        with pytest.raises(DeadlineExceeded):
            await ilink.get_updates(None, deadline_s=0.05)


async def test_a_dripping_head_does_not_outlive_the_deadline(serve: Serve) -> None:
    """The same for a server that never finishes its headers."""

    async def drip(connection: Any) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            await connection.send(b"x")
            await anyio.sleep(0.005)

    async with serve(drip) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        with pytest.raises(DeadlineExceeded):
            await ilink.get_updates(None, deadline_s=0.05)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + IDLE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"22\r\n" + IDLE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBroken\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    ],
)
async def test_an_answer_that_breaks_off_is_a_lost_connection(serve: Serve, answer: bytes) -> None:
    """Half an answer, or none, or none in HTTP, is never taken for an empty one; the lane works afterwards."""
    broken = True

    async def cut(connection: Any) -> None:
        await connection.send(answer if broken else b"HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\n" + IDLE)
        if broken:
            raise EOFError

    async with serve(cut) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        with pytest.raises(ConnectionLost) as caught:
            await ilink.get_updates(None, deadline_s=1)
        # What the server's bytes were is not told: they may repeat ours.
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        broken = False
        assert (await ilink.get_updates(None, deadline_s=1)).has_messages


async def test_a_reset_is_a_lost_connection(serve: Serve) -> None:
    """A reset in the middle of an answer is told as such."""
    import socket
    import struct

    async def reset(connection: Any) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
        raw = connection.stream.extra(anyio.abc.SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise EOFError

    async with serve(reset) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        with pytest.raises(ConnectionLost):
            await ilink.get_updates(None, deadline_s=1)


async def test_nobody_listening_is_a_failed_connection() -> None:
    """A refused connection, and a name that does not exist, are known to have sent nothing."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with ILinkClient(token=TOKEN, base_url=f"http://127.0.0.1:{port}") as ilink:
        with pytest.raises(ConnectFailed, match="no connection"):
            await ilink.get_updates(None, deadline_s=1)


async def test_http_where_https_was_expected(serve: Serve) -> None:
    """A failed TLS handshake is a failed connection."""
    async with serve(idle) as server, ILinkClient(token=TOKEN, base_url=f"https{server.url[4:]}") as ilink:
        with pytest.raises(ConnectFailed):
            await ilink.get_updates(None, deadline_s=2)


def chunked(body: bytes) -> bytes:
    """One chunk, and no end."""
    return b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(body), body)


BOMB = gzip.compress(bytes(8 * 2**20))


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 1001\r\n\r\n",
        b"Content-Length: 99999999999999\r\n\r\n",
        b"\r\n" + b"x" * 1001,
        chunked(b"x" * 1001),
        chunked(b"x" * 400) + b"190\r\n" + b"x" * 400 + b"\r\n190\r\n" + b"x" * 400 + b"\r\n",
        b"Content-Encoding: gzip\r\n" + chunked(BOMB),
        b"Content-Encoding: deflate\r\n" + chunked(zlib.compress(bytes(8 * 2**20))),
        b"Content-Encoding: br\r\n" + chunked(b"x"),
        b"Content-Encoding: gzip\r\n" + chunked(b"not gzip"),
    ],
)
async def test_a_body_that_cannot_be_kept_is_refused(serve: Serve, rest: bytes) -> None:
    """Reading stops at the bound, packed or not, announced or not; that connection is closed, the lane works."""
    hostile = True

    async def flood(connection: Any) -> None:
        if hostile:
            await connection.send(b"HTTP/1.1 200 OK\r\n" + rest)
            await connection.request()  # until the client closes
        else:
            await connection.answer(IDLE)

    async with serve(flood) as server, ILinkClient(token=TOKEN, base_url=server.url, max_body_bytes=1000) as ilink:
        with pytest.raises(BrokenAnswer):
            await ilink.get_updates(None, deadline_s=1)
        hostile = False
        assert (await ilink.get_updates(None, deadline_s=1)).has_messages
        assert server.connections == 2


async def test_answers_other_than_polls_have_a_smaller_bound(serve: Serve) -> None:
    """Nobody needs more than a mebibyte to say that a message was accepted."""

    async def long(connection: Any) -> None:
        await connection.answer(b'{"msgs":[],"x":"' + b"x" * 2**20 + b'"}')

    async with serve(long) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        assert (await ilink.get_updates(None, deadline_s=5)).has_messages
        for call in (ilink.notify_start, lambda: ilink.send_text("u", "hi")):
            with pytest.raises(BrokenAnswer, match="1048576"):
                await call()


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_packed_answers_arrive(serve: Serve, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """What was offered in Accept-Encoding is understood, and the connection is used again."""
    body = json.dumps({"msgs": [{"message_id": 7498123456789012345}], "get_updates_buf": "c1"}).encode()

    async def packed(connection: Any) -> None:
        await connection.answer(pack(body), headers=f"Content-Encoding: {encoding}\r\n")

    async with serve(packed) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        for _ in range(2):
            answer = await ilink.get_updates(None, deadline_s=1)
            assert [message.message_id for message in answer.messages] == ["7498123456789012345"]
        assert server.connections == 1


async def test_a_redirect_is_not_followed(serve: Serve) -> None:
    """The token goes to the server it was meant for, and nowhere else."""
    async with serve(idle) as elsewhere:

        async def redirect(connection: Any) -> None:
            await connection.answer(b"", status="307 Temporary Redirect", headers=f"Location: {elsewhere.url}/\r\n")

        async with serve(redirect) as server, httpx.AsyncClient(follow_redirects=True, trust_env=False) as http:
            for options in ({}, {"http": http}):
                async with ILinkClient(token=TOKEN, base_url=server.url, **options) as ilink:
                    with pytest.raises(StatusError) as caught:
                        await ilink.get_updates(None, deadline_s=1)
                    assert caught.value.status == 307
        assert not elsewhere.requests


async def test_cookies_are_not_kept(serve: Serve, make_http: MakeHttp) -> None:
    """A server cannot mark a session."""

    async def cookie(connection: Any) -> None:
        await connection.answer(IDLE, headers="Set-Cookie: a=b; Path=/\r\n")

    async with serve(cookie) as server, make_http() as http:
        ilink = ILinkClient(token=TOKEN, base_url=server.url, http=http)
        for _ in range(2):
            await ilink.get_updates(None, deadline_s=1)
        assert not any(b"cookie" in request.lower() for request in server.requests)
        assert not list(http.cookies.jar)
        await ilink.aclose()


async def test_an_empty_answer_of_any_shape_is_hollow(serve: Serve) -> None:
    """200 without a body and 204 are hollow polls, not errors."""
    answers = iter([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"])

    async def empty(connection: Any) -> None:
        await connection.send(next(answers))

    async with serve(empty) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        for _ in range(2):
            answer = await ilink.get_updates(None, deadline_s=1)
            assert (answer.has_messages, answer.cursor) == (False, None)


async def test_debug_logs_show_no_secret(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Even with the HTTP client's own logs at DEBUG, tokens and cursors stay unseen."""
    caplog.set_level(logging.DEBUG)
    async with serve(idle) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        await ilink.get_updates(Secret("CURSOR-0123"), deadline_s=1)
        await ilink.send_text("u", "hi", context_token=Secret("CONTEXT-0123"))
        assert b"CONTEXT-0123" in server.requests[-1]
    assert "getupdates" in caplog.text
    for secret in (TOKEN, "CURSOR-0123", "CONTEXT-0123"):
        assert secret not in caplog.text


@pytest.mark.parametrize("soon_s", [0.0, 60.0])
async def test_a_poll_that_was_held_and_lost_says_nothing_against_keeping_connections(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, soon_s: float
) -> None:
    """When a server drops everybody, each comes back on one connection; one lost at once is another matter."""
    monkeypatch.setattr("sessionfsm.ilink.client._SOON_S", soon_s)
    broken = True

    async def drop(connection: Any) -> None:
        if broken:
            raise EOFError
        await connection.answer(IDLE)

    async with serve(drop) as server, ILinkClient(token=TOKEN, base_url=server.url) as ilink:
        with pytest.raises(ConnectionLost):
            await ilink.get_updates(None, deadline_s=1)
        broken = False
        for _ in range(3):
            await ilink.get_updates(None, deadline_s=1)
        assert server.connections == (4 if soon_s else 2)
