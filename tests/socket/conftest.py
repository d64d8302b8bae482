"""Real loopback sockets and real time, on asyncio and on trio."""

import functools

import pytest

from sessionfsm.ilink import client, default_http_client


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[True, False], ids=["fast lane", "stock lane"])
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions make their HTTP clients with lanes of each kind, one after the other."""
    monkeypatch.setattr(client, "default_http_client", functools.partial(default_http_client, fast=request.param))
