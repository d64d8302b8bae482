"""An HTTP transport and a store that are not ours, and raise with everything that they were given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import httpx

from sessionfsm import MemoryStore, StorageFull, StoreError
from sessionfsm.store import Batch, Committed

__all__ = ["HOW", "LeakyStore", "LeakyTransport", "raised_with"]

HOW = ["text", "arguments", "attribute", "cause", "context", "group", "frames", "ours"]


class Refused(Exception):
    """What a library raises that nobody has heard of."""


def raised_with(text: str) -> BaseException:
    """Return an error that was raised in a frame which has *text*."""
    try:
        _refuse(text, "frames")
    except Refused as error:
        return error


def _refuse(text: str, how: str) -> NoReturn:
    shown = text
    match how:
        case "text":
            raise Refused(f"refused: {shown}")
        case "arguments":
            raise Refused("refused", {"what": [shown]})
        case "attribute":
            error = Refused("refused")
            error.request = shown  # type: ignore[attr-defined]
            raise error
        case "cause":
            raise Refused("refused") from ValueError(shown)
        case "context":
            try:
                raise ValueError(shown)
            except ValueError:
                raise Refused("refused") from None
        case "group":
            raise ExceptionGroup("refused", [raised_with(shown)])  # type: ignore[list-item]
        case _:
            raise Refused("refused")


class LeakyTransport(httpx.AsyncBaseTransport):
    """Hands requests on, or raises with what is in them: in a class of its own, or in one of httpx's."""

    def __init__(self, inner: httpx.AsyncBaseTransport, how: str) -> None:
        self._inner = inner
        self._how = how
        self.leaks = False
        self.raised = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = (await request.aread()).decode()
        if self.leaks:
            self.raised += 1
            text = f"{dict(request.headers.raw)} {body}"
            if self._how == "ours":
                raise httpx.ConnectError(text, request=request) from ValueError(text)
            _refuse(text, self._how)
        return await self._inner.handle_async_request(request)


class LeakyStore(MemoryStore):
    """Keeps what it is given, or raises with it: in a class of its own, or in one of ours."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self._how = how
        self.leaks = False
        self.raised = 0

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        if self.leaks and any(batch.messages for batch in batches):
            self.raised += 1
            revealed = [
                (batch.cursor and batch.cursor.reveal(), message.body.decode(), token and token.reveal())
                for batch in batches
                for message in batch.messages
                for token in [message.context_token]
            ]
            if self._how == "ours":
                try:
                    raise ValueError(revealed)
                except ValueError as error:
                    raise (StorageFull("no room") if self.raised % 2 else StoreError("no disk")) from error
            _refuse("; ".join(f"{part}" for row in revealed for part in row), self._how)
        return super().commit(batches)
