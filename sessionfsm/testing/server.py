"""The fake iLink server: how it behaves, whichever front end a request came through."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Final

import anyio

from sessionfsm.testing import faults
from sessionfsm.testing.account import Delivery, FakeAccount
from sessionfsm.testing.fault_book import FaultBook
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.memory_transport import MemoryTransport
from sessionfsm.testing.replies import LOST, Reply, code_reply, fault_reply, json_reply, status_reply
from sessionfsm.testing.requests import Request, account_name, bad_send, deviations
from sessionfsm.testing.socket_server import Listening, listen
from sessionfsm.testing.verdict import judged
from sessionfsm.testing.wirelog import Exchange, WireLog

__all__ = ["FakeServer"]

_FIRST_ID: Final = 7498123456789012345  # above 2**53: a client that reads ids as floats is found out


class FakeServer:
    """
    An iLink server for tests: what clients get from it is what the real one was seen to send, faults included.

    It needs no event loop to be made and set up. What depends on time (``for_s``) needs one.

    Args:
        hold_s: How long a poll is held when there are no messages.
        delivery: ``replay``: the cursor decides what a poll brings; an old one brings messages again, an empty one
            brings all. ``once``: each message is handed out once, whatever the cursor says.
        hint_ms: ``longpolling_timeout_ms`` of good polls; absent when ``None``.
        strict_tokens: An unknown token gets -14. Otherwise it is an account that is made when it is first seen.
        keep_log: How many entries the log keeps; ``None``: all.

    Attributes:
        log: Every request, in order.
    """

    def __init__(
        self,
        *,
        hold_s: float = 35.0,
        delivery: Delivery = "replay",
        hint_ms: int | None = None,
        strict_tokens: bool = False,
        keep_log: int | None = None,
    ) -> None:
        self.log = WireLog(keep=keep_log)
        self._hold_s = hold_s
        self._delivery: Delivery = delivery
        self._hint = None if hint_ms is None else str(hint_ms)
        self._strict_tokens = strict_tokens
        self._accounts: dict[str, FakeAccount] = {}
        self._book = FaultBook(anyio.current_time)
        self._down_until = -math.inf
        self._ids = itertools.count(_FIRST_ID, 1024)
        self._in_flight: dict[anyio.CancelScope, None] = {}  # in order: a run must be the same each time
        self._outage_listeners: list[Callable[[], None]] = []

    # --- for tests -----------------------------------------------------------------------------------------------

    @property
    def accounts(self) -> list[FakeAccount]:
        """Every account that is known, in the order in which they were made."""
        return list(self._accounts.values())

    def account(self, token: str) -> FakeAccount:
        """Return the account of *token*; make it if there is none."""
        account = self._accounts.get(token)
        if account is None:
            account = FakeAccount(token, delivery=self._delivery, clock=anyio.current_time, ids=self._ids)
            self._accounts[token] = account
        return account

    def transport(self, *, round_trip_s: float = 0.0) -> MemoryTransport:
        """
        Return the in-memory front end, to be given to an ``httpx.AsyncClient``.

        Args:
            round_trip_s: How long a request is on its way. A client that hurries without limit needs more than 0,
                else it stops the clock of virtual time.
        """
        return MemoryTransport(self, round_trip_s=round_trip_s)

    def listen(self, *, host: str = "127.0.0.1", port: int = 0) -> AbstractAsyncContextManager[Listening]:
        """
        Listen on a loopback socket; leaving the block closes the listener and all connections.

        Args:
            host: ``127.0.0.1``, another loopback address, or ``localhost``.
            port: 0 for any that is free.

        Raises:
            DefinitionError: If *host* is no loopback address.
            OSError: If the port is in use.
        """
        return listen(self, host=host, port=port)

    async def play(self, schedule: Iterable[Fault]) -> None:
        """
        Apply each fault at its ``at_s``, counted from now; return when all were applied and the timed ones are over.

        Run it in a task group beside the client.
        """
        start = anyio.current_time()
        end = start
        for fault in sorted(schedule, key=lambda fault: fault.at_s):
            await anyio.sleep_until(start + fault.at_s)
            self.apply(fault)
            end = max(end, start + fault.at_s + fault.lasts_s)
        await anyio.sleep_until(end)

    def apply(self, fault: Fault) -> None:
        """
        Put *fault* in force now; its ``at_s`` is not looked at.

        A fault for one account makes the account if its ``token`` is unknown; one for all accounts touches those that
        are known (session) or every request (wire).
        """
        match fault:
            case faults.WireFault():
                self._book.add(fault)
                for account in self._accounts.values():
                    account.wake()
            case faults.Outage(for_s=for_s):
                self._down_until = math.inf if for_s is None else anyio.current_time() + for_s
                for scope in self._in_flight:
                    scope.cancel()
                self._tell_listeners()
            case _:
                for account in self._accounts_of(fault):
                    _strike(account, fault)

    def clear(self) -> None:
        """End every fault now: all sessions are live, nothing is in the way."""
        self._book.clear()
        for account in self._accounts.values():
            account.revive()
        self._down_until = -math.inf
        self._tell_listeners()

    # --- for front ends ------------------------------------------------------------------------------------------

    @property
    def down_until(self) -> float:
        """When the outage ends; a time in the past without one, infinity for one that :meth:`clear` ends."""
        return self._down_until

    @property
    def is_down(self) -> bool:
        """Whether connections are refused."""
        down_until = self._down_until
        return down_until > 0 and (down_until == math.inf or anyio.current_time() < down_until)

    @contextmanager
    def told_of_outages(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call *callback* whenever an outage begins or is cleared."""
        self._outage_listeners.append(callback)
        try:
            yield
        finally:
            self._outage_listeners.remove(callback)

    def open(self, request: Request) -> Exchange:
        """Note that *request* has arrived. Whoever calls this calls :meth:`close` too."""
        return self.log.open(account=account_name(request.token), endpoint=request.endpoint, now=anyio.current_time())

    def close(self, entry: Exchange, *, aborted: bool = False) -> None:
        """Note that the exchange is over: completely answered, or *aborted* by the client."""
        self.log.close(entry, now=anyio.current_time(), aborted=aborted and entry.answer != LOST.answer)

    async def answer(self, entry: Exchange, request: Request) -> Reply:
        """Return the answer to *request*, after as long as the server takes. Cancel it when the client leaves."""
        scope = anyio.CancelScope()
        self._in_flight[scope] = None
        reply = LOST  # what it is if an outage cancels the scope
        try:
            with scope:
                reply = judged(await self._answer(entry, request), entry.endpoint)
        finally:
            self._in_flight.pop(scope, None)
            if scope.cancel_called:
                entry.answer = LOST.answer  # also when the front end is cancelled as a whole, as the socket's is
        entry.answer, entry.code = reply.answer, reply.code
        entry.status = None if reply.lost else reply.status
        entry.messages, entry.good, entry.news = reply.messages, reply.good, reply.news
        return reply

    # --- behaviour -----------------------------------------------------------------------------------------------

    async def _answer(self, entry: Exchange, request: Request) -> Reply:
        endpoint, token = entry.endpoint, request.token
        for slow in self._book.take_all(faults.Slow, endpoint, token):
            await anyio.sleep(slow.delay_s)
        fault = self._book.take_answer(endpoint, token)
        if fault is not None:
            return await self._perform(fault, entry)
        if endpoint == "unknown":
            return status_reply(404)
        if request.method != "POST":
            return status_reply(405, ("allow", "POST"))
        document = request.document()
        if document is None:
            return status_reply(400)
        entry.deviations = deviations(request, document)
        if not token or (self._strict_tokens and token not in self._accounts):
            return code_reply(-14)
        account = self.account(token)
        if endpoint == "getupdates":
            return await self._poll(account, token, entry, document)
        return _call(account, endpoint, document)

    async def _poll(self, account: FakeAccount, token: str, entry: Exchange, document: dict[str, Any]) -> Reply:
        if (refusal := account.refusal()) is not None:
            await anyio.sleep(refusal[1])
            # Looked at again: somebody else may have renewed the session meanwhile.
            if (refusal := account.refusal()) is not None:
                return refusal[0]
        cursor = document.get("get_updates_buf")
        cursor = cursor if isinstance(cursor, str) else ""
        hold_s = 0.0 if self._book.take_all(faults.Instant, "getupdates", token) else self._hold_s
        end = anyio.current_time() + hold_s
        while True:
            is_over = anyio.current_time() >= end
            if is_over or account.has_messages(cursor):
                hints = self._book.take_all(faults.Hint, "getupdates", token)
                return account.take(cursor, hint=hints[0].hint if hints else self._hint)
            await account.wait_changed(end - anyio.current_time())
            fault = self._book.take_answer("getupdates", token, held=True)
            if fault is not None:
                return await self._perform(fault, entry)
            if (refusal := account.refusal(held=True)) is not None:
                return refusal[0]

    async def _perform(self, fault: faults.AnswerFault, entry: Exchange) -> Reply:
        await anyio.sleep(fault.held_s)
        if isinstance(fault, faults.Hang):
            entry.answer = "hang"
            await anyio.sleep_forever()
        return fault_reply(fault)

    def _accounts_of(self, fault: Fault) -> list[FakeAccount]:
        if fault.token is None:
            return self.accounts
        named = [account for account in self.accounts if account.name == fault.token]
        return named or [self.account(fault.token)]

    def _tell_listeners(self) -> None:
        for callback in self._outage_listeners:
            callback()


def _strike(account: FakeAccount, fault: Fault) -> None:
    match fault:
        case faults.Expire():
            account.expire(shape=fault.shape, held_s=fault.held_s, answer_held=fault.answer_held, for_s=fault.for_s)
        case faults.Takeover():
            account.take_over(
                notifystart=fault.notifystart,
                shape=fault.shape,
                held_s=fault.held_s,
                answer_held=fault.answer_held,
                for_s=fault.for_s,
            )
        case faults.Lapse():
            account.lapse(shape=fault.shape, held_s=fault.held_s, answer_held=fault.answer_held, for_s=fault.for_s)
        case faults.Message():
            account.push(fault.text, sender=fault.sender)
            for _ in range(fault.copies - 1):
                account.push_duplicate(new_context_token=True)
        case _:
            raise AssertionError(f"{fault.kind} is for no single account")


def _call(account: FakeAccount, endpoint: str, document: dict[str, Any]) -> Reply:
    """Answer what is answered at once."""
    match endpoint:
        case "notifystart":
            return account.renew()
        case "sendmessage":
            if bad_send(document):
                return code_reply(-2, shape="ret", errmsg="invalid arguments")
            return account.send(document["msg"])
        case "getconfig" | "sendtyping":
            if not isinstance(document.get("ilink_user_id"), str):
                return code_reply(-2, shape="ret", errmsg="ilink_user_id required")
            if endpoint == "getconfig":
                return json_reply({"ret": 0, "typing_ticket": "ZmFicmljYXRlZC10eXBpbmctdGlja2V0"})
            return json_reply({"ret": 0})
        case _:
            return json_reply({"ret": 0})
