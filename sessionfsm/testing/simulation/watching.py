"""The store and the network of a simulation: they work as they should, or as the schedule says, and are watched."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import httpx

from sessionfsm.errors import StoreError
from sessionfsm.store import Batch, Committed, MemoryStore
from sessionfsm.testing.requests import account_name

from .happenings import StoreTrouble
from .ledger import Ledger

__all__ = ["WatchedClient", "WatchedStore", "WatchedTransport"]


class WatchedStore(MemoryStore):
    """A store in memory that writes down what it is told, and fails or is late when it is to."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(clock=anyio.current_time)
        self._ledger = ledger
        self._troubles: list[tuple[float, StoreTrouble]] = []

    def trouble(self, trouble: StoreTrouble) -> None:
        """Fail, or be late, from now on."""
        now = anyio.current_time()
        self._troubles.append((now + trouble.for_s, trouble))
        late_s = trouble.delay_s if trouble.how == "late" else 0.0
        self._ledger.troubles.append((now, now + trouble.for_s + late_s))

    def recover(self) -> None:
        """Be well again."""
        now = anyio.current_time()
        self._troubles.clear()
        self._ledger.troubles[:] = [(begin, min(end, now + 30.0)) for begin, end in self._ledger.troubles]

    def _now(self, method: str, how: str) -> list[StoreTrouble]:
        now = anyio.current_time()
        return [
            trouble
            for until, trouble in self._troubles
            if until > now and trouble.how == how and trouble.method in (None, method)
        ]

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of this store: it is what ``run_store`` of the session is."""
        if self._troubles:
            name = function.__name__
            if self._now(name, "fails"):
                raise StoreError(f"{name}: the simulated store fails")
            if late := self._now(name, "late"):
                answer = function(*args, **kwargs)
                await anyio.sleep(max(trouble.delay_s for trouble in late))
                return answer
        return function(*args, **kwargs)

    def acquire(self, account: str) -> None:
        super().acquire(account)
        self._ledger.held.add(account)

    def release(self, account: str) -> None:
        super().release(account)
        self._ledger.held.discard(account)

    def retire(self, account: str, successor: str) -> None:
        super().retire(account, successor)
        self._ledger.retired(account, successor)

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        results = super().commit(batches)
        self._ledger.commit(batches, results)
        return results

    def done(self, numbers: Sequence[int]) -> None:
        super().done(numbers)
        self._ledger.mark_done(numbers)

    def failed(self, number: int, error: str, *, park: bool) -> bool:
        was_open = super().failed(number, error, park=park)
        self._ledger.mark_failed(number, park=park)
        return was_open


class _NoCookies(httpx.Cookies):
    """The fake server sends none; to look for them is a tenth of the work of a simulation."""

    def extract_cookies(self, response: httpx.Response) -> None: ...


_NO_COOKIES = _NoCookies()


class WatchedClient(httpx.AsyncClient):
    """An HTTP client without cookies."""

    @property
    def cookies(self) -> httpx.Cookies:
        """There are none."""
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None: ...


class WatchedTransport(httpx.AsyncBaseTransport):
    """Writes down what goes out, and which answers to polls arrive whole."""

    def __init__(self, inner: httpx.AsyncBaseTransport, ledger: Ledger) -> None:
        self._inner = inner
        self._ledger = ledger

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        endpoint = request.url.path.rpartition("/")[2]
        if endpoint in ("getupdates", "notifystart"):
            account = _account_of(request)
            self._ledger.requested(endpoint, account)
        elif endpoint == "notifystop":
            self._ledger.said_goodbye()
        if endpoint not in ("getupdates", "sendmessage"):
            return await self._inner.handle_async_request(request)
        document = json.loads(await request.aread())
        if endpoint == "sendmessage":
            attempt = self._ledger.attempts.get(document["msg"]["client_id"])
            if attempt is not None and attempt.out_s is None:
                attempt.out_s = anyio.current_time()
            return await self._inner.handle_async_request(request)
        self._ledger.polled(account, document["get_updates_buf"])
        response = await self._inner.handle_async_request(request)
        if response.status_code == 200:
            response.stream = _Whole(response.stream, lambda body: self._ledger.answered(account, body))
        return response


def _account_of(request: httpx.Request) -> str:
    return account_name(request.headers["authorization"].removeprefix("Bearer "))


class _Whole(httpx.AsyncByteStream):
    """Passes a body on, and tells when all of it was read."""

    def __init__(self, inner: Any, arrived: Callable[[bytes], object]) -> None:
        self._inner = inner
        self._arrived = arrived

    async def __aiter__(self) -> Any:
        parts = []
        async for part in self._inner:
            parts.append(part)
            yield part
        self._arrived(b"".join(parts))

    async def aclose(self) -> None:
        await self._inner.aclose()
