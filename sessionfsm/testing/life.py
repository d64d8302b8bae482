"""
One process of a bot as the world sees it: what it does passes through here, and when it is killed nothing more does.

A kill is what ``kill -9`` does. The store, which stands for the disk, and the server go on; what was on its way to
the store is there whole or not at all; locks are free; what the server was sending is lost. The code itself can only be
cancelled, since all of this happens in one real process: what a handler does in ``finally``, or shielded from
cancellation, it still does, but no request goes out any more and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any, Final, ParamSpec, TypeVar, cast

import anyio
import anyio.lowlevel
import httpx

from sessionfsm.errors import StoreError
from sessionfsm.store import Batch, Runner, Store, run_inline

__all__ = ["STEPS", "Life"]

P = ParamSpec("P")
R = TypeVar("R")

_WRITES: Final = frozenset({"acquire", "commit", "done", "failed", "retire", "retry", "drop"})
_DONE_BY_ITSELF: Final = (
    "acquire", "notifystart", "getupdates", "commit", "cursor", "handler", "sendmessage", "done", "failed",
    "retire", "notifystop",
)  # fmt: skip

STEPS: Final = tuple(f"{when} {what}" for what, when in product(_DONE_BY_ITSELF, ("before", "after")))
"""The steps that a session passes by itself, in the order in which most lives come to them."""

_DEAD: Final = "the process was killed"


class Life:
    """
    The life of a process, from its start to its kill or its end.

    Its steps have names: ``before`` or ``after``, and what is done. That is a method of the store that changes
    something (``acquire``, ``commit``, ``done``, ``failed``, ``retire``, ``retry``, ``drop``; a commit of nothing but
    idle cursors is called ``cursor``), an endpoint (``getupdates``, ``sendmessage``, …; *after* is when the whole
    answer has arrived), or ``handler`` (*after* is when it has returned).

    Args:
        store: The store.
        passed: Told each step; returns whether the process is killed there.
        run: How the store is called.

    Attributes:
        store: What the process has for a store.
        is_killed: Whether it was killed.
    """

    def __init__(self, store: Store, passed: Callable[[str], bool], run: Runner = run_inline) -> None:
        self._shared = store
        self._passed = passed
        self._run = run
        self._acquired: set[str] = set()
        self._scope: anyio.CancelScope | None = None
        self.store = cast(Store, _LivingStore(self, store))
        self.is_killed = False

    @contextmanager
    def lived(self) -> Iterator[None]:
        """Everything that the process runs, it runs in this block; a kill ends the block, and goes no further."""
        with anyio.CancelScope() as self._scope:
            if self.is_killed:
                self._scope.cancel()
            yield

    def kill(self) -> None:
        """Kill it, now."""
        if self.is_killed:
            return
        self.is_killed = True
        for account in sorted(self._acquired):
            self._shared.release(account)
        if self._scope is not None:
            self._scope.cancel()

    async def step(self, name: str) -> None:
        """
        Pass a step; whoever is killed there does not come back from it.

        Raises:
            StoreError: If it was killed, and the caller is shielded from cancellation.
        """
        if not self.is_killed and self._passed(name):
            self.kill()
        if self.is_killed:
            await anyio.lowlevel.checkpoint()  # which does not come back either, but for who is shielded
            raise StoreError(_DEAD)

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the store; it is the process's :class:`~sessionfsm.store.Runner`."""
        name = getattr(function, "__name__", "")
        if name not in _WRITES:
            if self.is_killed:
                await self.step(name)
            return await self._run(function, *args, **kwargs)
        if name == "commit" and not any(batch.messages for batch in cast("list[Batch]", args[0])):
            name = "cursor"
        await self.step(f"before {name}")
        answer = await self._run(function, *args, **kwargs)
        await self.step(f"after {name}")
        return answer

    def transport(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """Return the process's way to the server."""
        return _LivingTransport(self, inner)

    def acquire(self, account: str) -> None:
        """As :meth:`Store.acquire <sessionfsm.store.Store.acquire>`."""
        self._shared.acquire(account)
        self._acquired.add(account)

    def release(self, account: str) -> None:
        """As :meth:`Store.release <sessionfsm.store.Store.release>`; who is dead holds nothing."""
        if not self.is_killed:
            self._acquired.discard(account)
            self._shared.release(account)


class _LivingStore:
    """The store, in which one process holds its accounts."""

    def __init__(self, life: Life, store: Store) -> None:
        self._store = store
        self.acquire = life.acquire
        self.release = life.release

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _LivingTransport(httpx.AsyncBaseTransport):
    def __init__(self, life: Life, inner: httpx.AsyncBaseTransport) -> None:
        self._life = life
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        endpoint = request.url.path.rpartition("/")[2]
        try:
            await self._life.step(f"before {endpoint}")
        except StoreError:
            raise httpx.ConnectError(_DEAD, request=request) from None
        response = await self._inner.handle_async_request(request)
        arrived = f"after {endpoint}"
        if isinstance(response.stream, httpx.ByteStream):
            await self._arrived(arrived, request)
        else:
            response.stream = _Answer(response.stream, lambda: self._arrived(arrived, request))
        return response

    async def _arrived(self, step: str, request: httpx.Request) -> None:
        try:
            await self._life.step(step)
        except StoreError:
            raise httpx.ReadError(_DEAD, request=request) from None


class _Answer(httpx.AsyncByteStream):
    """Passes a body on; when all of it has come, that is a step."""

    def __init__(self, inner: Any, arrived: Callable[[], Any]) -> None:
        self._inner = inner
        self._arrived = arrived

    async def __aiter__(self) -> Any:
        async for part in self._inner:
            yield part
        await self._arrived()

    async def aclose(self) -> None:
        await self._inner.aclose()
