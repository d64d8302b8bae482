"""A bench: a whole bot on a real session, against a fake server in memory, judged when it is taken down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import anyio
import anyio.abc
import httpx

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.session import Observer, RecordMonitor, Session
from sessionfsm.store import MemoryStore, MessageState, Store, Stored
from sessionfsm.testing.account import FakeAccount
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.server import FakeServer

__all__ = ["BENCH_TOKEN", "BENCH_URL", "Bench", "Serve"]

BENCH_TOKEN: Final = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"
"""The bot token on a bench; made up."""

BENCH_URL: Final = "http://127.0.0.1:9"

Serve: TypeAlias = Callable[[Session], Awaitable[object]]
"""What a bot does with a session: a loop over its messages, or ``session.deliver(handler)``."""

_ROUND_TRIP_S = 0.01
_LOOK_AGAIN_S = 0.25


class Bench:
    """
    Runs *serve* on a session until the block is left; then the session is stopped in order, and judged.

    .. code-block:: python

        async with Bench(serve) as bench:
            bench.push("hello")
            bench.apply(faults.Expire())
            await bench.settle()
        assert bench.replies == ["you said hello"]

    It is made for virtual time (:func:`~sessionfsm.testing.run`), and works in real time too. What *serve* raises, the
    block raises. An orderly end of the block fails if the run broke P1, P6 or P8, polled twice at once, or sent
    something that a strict server could complain about: see :func:`~sessionfsm.testing.assert_session_safe`.

    Args:
        serve: What the bot does with the session; it is called once. Without it messages stay unhandled.
        server: The server; by default one of its own, which holds polls for 35 s.
        policy: The figures.
        machine: A lifecycle of your own; its policy is used then.
        store: Where messages are kept; by default in memory. A second bench on the same store is a restart.
        token: The bot's token, of an account on *server*.
        observers: Called with every record.
        options: Further arguments of :class:`~sessionfsm.Session`.

    Attributes:
        server: The server.
        account: The bot's account on it.
        session: The session.
        machine: What it runs on.
        monitor: What judges its records.
    """

    def __init__(
        self,
        serve: Serve | None = None,
        *,
        server: FakeServer | None = None,
        policy: Policy | None = None,
        machine: Machine | None = None,
        store: Store | None = None,
        token: str = BENCH_TOKEN,
        observers: Iterable[Observer] = (),
        **options: Any,
    ) -> None:
        if machine is not None and policy is not None:
            raise DefinitionError("pass policy= or machine=, not both: a machine has its own policy")
        self.server = server if server is not None else FakeServer()
        self.account: FakeAccount = self.server.account(token)
        self.machine = machine if machine is not None else Machine(policy)
        self.monitor = RecordMonitor(self.machine)
        self._serve = serve
        self._store: Store = store if store is not None else MemoryStore(clock=anyio.current_time)
        self._http = httpx.AsyncClient(transport=self.server.transport(round_trip_s=_ROUND_TRIP_S))
        self.session = Session(
            token=token,
            base_url=BENCH_URL,
            http=self._http,
            machine=self.machine,
            store=self._store,
            observers=[self.monitor, *observers],
            **options,
        )
        self._first_sent = len(self.account.sent)
        self._first_request = self.server.log.count + 1
        self._group: anyio.abc.TaskGroup | None = None
        self._problem: Exception | None = None

    # --- the world ---------------------------------------------------------------------------------------------------

    def push(self, text: str = "hello", **fields: Any) -> str:
        """A user writes; see :meth:`FakeAccount.push <sessionfsm.testing.FakeAccount.push>`. Return the message id."""
        return self.account.push(text, **fields)

    def push_duplicate(self, message_id: str | None = None) -> str:
        """The server hands a message out again, the newest by default, with another context token."""
        return self.account.push_duplicate(message_id, new_context_token=True)

    def apply(self, fault: Fault) -> None:
        """Put *fault* in force now; see :mod:`sessionfsm.testing.faults` for all there are."""
        self.server.apply(fault)

    # --- what came of it ---------------------------------------------------------------------------------------------

    @property
    def replies(self) -> list[str]:
        """The texts that the bot has sent, in order."""
        return [sent.text for sent in self.account.sent[self._first_sent :]]

    def parked(self) -> list[Stored]:
        """Return the messages that were given up because the handler raised each time."""
        return self._store.messages(account=self.session.account, states=(MessageState.PARKED,))

    async def settle(self, limit_s: float = 3600.0) -> None:
        """
        Wait until everything is over: nothing is unread or unhandled, and the session polls well.

        A handler that raises gets its message again after a while; that is waited for, too.

        Raises:
            TimeoutError: If that takes longer than *limit_s* seconds; the message says what is still open.
            Exception: What the bot has raised.
        """
        with anyio.move_on_after(limit_s):
            while self._open():  # noqa: ASYNC110 - stores and other people's handlers set no event
                await anyio.sleep(_LOOK_AGAIN_S)
        self.check()
        if still := self._open():
            raise TimeoutError(f"not settled after {limit_s:g} s: {', '.join(still)}")

    def check(self) -> None:
        """Raise what the bot has raised, if it has."""
        if self._problem is not None:
            raise self._problem

    def _open(self) -> list[str]:
        if self._problem is not None:
            return []
        health = self.session.health()
        unhandled = len(self._store.pending(self.session.account))
        found = {
            f"{self.account.unread} messages have not been fetched": self.account.unread,
            f"{unhandled} messages have not been handled": unhandled,
            f"{health.in_hand} messages are with handlers": health.in_hand,
            f"the session is not polling well ({health.state}: {health.reason})": not health.ready,
            f"the server thinks that the session is {self.account.state}": self.account.state != "live",
        }
        return [words for words, is_open in found.items() if is_open]

    # --- up and down -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self.session.__aenter__()
        except BaseException:
            await self._http.aclose()
            raise
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        if self._serve is not None:
            self._group.start_soon(self._run, self._serve)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._group is not None
        try:
            if exc is None:
                await self.session.stop()  # loops over the session end, and what is in hand is finished
        finally:
            self._group.cancel_scope.cancel()
            try:
                await self._group.__aexit__(None, None, None)
            finally:
                try:
                    await self.session.__aexit__(exc_type, exc, traceback)
                finally:
                    with anyio.CancelScope(shield=True):
                        await self._http.aclose()
        if exc is None:
            self.check()
            self.judge()

    def judge(self) -> None:
        """
        Fail if anything on the wire since the bench was made, or in the session's records, breaks a property.

        Raises:
            AssertionError: Its message shows what came before.
        """
        from sessionfsm.testing.safety import assert_session_safe

        mine = [entry for entry in self.server.log if entry.number >= self._first_request]
        mine = [entry for entry in mine if entry.account == self.account.name]
        assert_session_safe(mine, machine=self.machine)
        if self.monitor.violations:
            found = self.monitor.violations[0]
            raise AssertionError(f"record {found.number} broke {found.property}: {found.what}")

    async def _run(self, serve: Serve) -> None:
        try:
            await serve(self.session)
        except Exception as error:
            self._problem = error
