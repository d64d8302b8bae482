from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from sessionfsm.ilink import LaneTransport
from sessionfsm.testing import FakeServer, backend_options

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"
BASE_INFO = {"channel_version": "2.4.9", "bot_agent": "sessionfsm-tests/1"}
HEADERS = {
    "AuthorizationType": "ilink_bot_token",
    "X-WECHAT-UIN": "MzA1NDE5ODk2",
    "iLink-App-Id": "bot",
    "iLink-App-ClientVersion": "132105",
}

Connect = Callable[..., AbstractAsyncContextManager["Poker"]]


class Poker:
    """A client with no behaviour of its own: it sends what it is told to and hands back what came."""

    def __init__(self, http: httpx.AsyncClient, token: str = TOKEN) -> None:
        self.http = http
        self.headers = HEADERS | ({"Authorization": f"Bearer {token}"} if token else {})

    async def call(self, path: str, **fields: Any) -> httpx.Response:
        return await self.http.post(f"/ilink/bot/{path}", json={"base_info": BASE_INFO} | fields, headers=self.headers)

    async def poll(self, cursor: str = "") -> dict[str, Any]:
        return (await self.call("getupdates", get_updates_buf=cursor)).json()

    async def renew(self) -> dict[str, Any]:
        return (await self.call("msg/notifystart")).json()

    async def send(self, text: str = "hi", **fields: Any) -> dict[str, Any]:
        message = {
            "from_user_id": "",
            "to_user_id": "user@im.wechat",
            "client_id": "c1",
            "message_type": 2,
            "message_state": 2,
            "item_list": [{"type": 1, "text_item": {"text": text}}],
        } | fields
        return (await self.call("sendmessage", msg=message)).json()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Virtual time; the modules that use sockets have a fixture of their own."""
    return backend_options(request.param)


@asynccontextmanager
async def _in_memory(server: FakeServer, token: str = TOKEN) -> AsyncIterator[Poker]:
    async with httpx.AsyncClient(transport=server.transport(), base_url="http://fake", timeout=None) as http:
        yield Poker(http, token)


@asynccontextmanager
async def _by_socket(server: FakeServer, token: str = TOKEN) -> AsyncIterator[Poker]:
    async with (
        server.listen() as listening,
        httpx.AsyncClient(base_url=listening.url, timeout=None, trust_env=False) as http,
    ):
        yield Poker(http, token)


def _by_lane(*, fast: bool) -> Connect:
    @asynccontextmanager
    async def connect(server: FakeServer, token: str = TOKEN) -> AsyncIterator[Poker]:
        async with (
            server.listen() as listening,
            httpx.AsyncClient(base_url=listening.url, timeout=None, transport=LaneTransport(fast=fast)) as http,
        ):
            yield Poker(http, token)

    return connect


@pytest.fixture
def memory() -> Connect:
    return _in_memory


@pytest.fixture(
    params=[_in_memory, _by_socket, _by_lane(fast=True), _by_lane(fast=False)],
    ids=["memory", "socket", "socket, fast lane", "socket, stock lane"],
)
def connect(request: pytest.FixtureRequest) -> Connect:
    """Either front end, and to the socket with httpx as it is, and with the lanes of sessions."""
    return request.param


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait in real time for what the other end of a socket does."""

    async def wait_until(condition: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not condition():  # noqa: ASYNC110 - nobody there could set an event
                await anyio.sleep(0.001)

    return wait_until
