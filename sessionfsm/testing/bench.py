"""A bench: a whole bot on a real session, against a fake server in memory, judged when it is taken down."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import anyio
import anyio.abc
import httpx

from sessionfsm.errors import DefinitionError
from sessionfsm.ilink import Message
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.session import Observer, RecordMonitor, Session
from sessionfsm.store import MemoryStore, MessageState, Runner, Store, Stored, run_inline
from sessionfsm.testing.account import FakeAccount
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.life import Life
from sessionfsm.testing.server import FakeServer

__all__ = ["BENCH_TOKEN", "BENCH_URL", "Bench", "Serve"]

BENCH_TOKEN: Final = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"
"""The bot token on a bench; made up."""

BENCH_URL: Final = "http://127.0.0.1:9"

Serve: TypeAlias = Callable[[Session], Awaitable[object]]
"""What a bot does with a session: a loop over its messages, or ``session.deliver(handler)``."""

_ROUND_TRIP_S = 0.01
_LOOK_AGAIN_S = 0.25
_STEP = re.compile(r"(before|after) [a-z]+( [1-9][0-9]*)?")


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

    The session can be killed, as by ``kill -9``, and begins again on the same store: what the disk and the server have
    is there, and nothing else. What has happened so far stands in :attr:`steps`, and each of these steps is a place for
    a kill; how they are called: :class:`~sessionfsm.testing.life.Life`. To kill at each of them, once:
    :func:`~sessionfsm.testing.kill_at_every_step`.

    Args:
        serve: What the bot does with the session; it is called for each start of the session. A bot with a memory is
            made in it, since a kill takes that as well. Without it messages stay unhandled.
        server: The server; by default one of its own, which holds polls for 35 s.
        policy: The figures.
        machine: A lifecycle of your own; its policy is used then.
        store: Where messages are kept; by default in memory. A second bench on the same store is a restart.
        run_store: How the store is called; by default in place, as virtual time needs it.
        token: The bot's token, of an account on *server*; ``None`` for the one that the argument ``credentials`` of
            the session has.
        observers: Called with every record.
        kill_at: At which steps the session is killed: ``"after commit"``, ``"before done 2"`` for the second of its
            name, or the step's number from 1 on. A block in which one of them never comes fails.
        down_s: How long after such a kill it begins again.
        options: Further arguments of :class:`~sessionfsm.Session`.

    Attributes:
        server: The server.
        account: The bot's account on it.
        machine: What the session runs on.
        steps: The names of the steps that were passed, with their numbers among those of the same name.
        kills: The steps at which the session was killed; ``kill()`` for a :meth:`kill` between two of them.

    Raises:
        DefinitionError: If a name in *kill_at* cannot be one of a step, or both a policy and a machine are given.
    """

    def __init__(
        self,
        serve: Serve | None = None,
        *,
        server: FakeServer | None = None,
        policy: Policy | None = None,
        machine: Machine | None = None,
        store: Store | None = None,
        run_store: Runner = run_inline,
        token: str | None = BENCH_TOKEN,
        observers: Iterable[Observer] = (),
        kill_at: str | int | Collection[str | int] = (),
        down_s: float = 1.0,
        **options: Any,
    ) -> None:
        if machine is not None and policy is not None:
            raise DefinitionError("pass policy= or machine=, not both: a machine has its own policy")
        self.server = server if server is not None else FakeServer()
        self.machine = machine if machine is not None else Machine(policy)
        self.steps: list[str] = []
        self.kills: list[str] = []
        self._serve = serve
        self._store: Store = store if store is not None else MemoryStore(clock=anyio.current_time)
        self._run_store = run_store
        self._token = token
        self._observers = tuple(observers)
        self._options = options
        self._kill_at = {_step(each) for each in ([kill_at] if isinstance(kill_at, str | int) else kill_at)}
        self._down_s = down_s
        self._counts: Counter[str] = Counter()
        self._group: anyio.abc.TaskGroup | None = None
        self._problem: Exception | None = None
        self._changed = anyio.Event()
        self._begins_again = False
        self._leaves = False
        self._lives = [_Living(self)]
        self.account: FakeAccount = self.server.account(self.session._driver.operations.token.reveal())
        self._first_sent = len(self.account.sent)

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

    def kill(self) -> None:
        """
        Kill the session, now: nothing of it has any effect any more. :meth:`restart` lets it begin again.

        Its code is cancelled. What a handler does in ``finally``, or shielded from cancellation, it still does, but it
        reaches neither the server nor the store.
        """
        if self._alive:
            self.kills.append("kill()")
            self._lives[-1].kill()

    async def restart(self) -> None:
        """
        Let the session begin again, after a kill; before that stop it in order, if nobody has killed it.

        Raises:
            Exception: What keeps it from beginning; or what the bot has raised.
        """
        living, self._begins_again = self._lives[-1], True
        if self._alive:
            await living.session.stop()
            living.leave()
        self._tell()
        await self._until(lambda: self._lives[-1] is not living)
        await self._begun()

    # --- what came of it ---------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session; after a restart, the one that has begun then."""
        return self._lives[-1].session

    @property
    def monitor(self) -> RecordMonitor:
        """What judges its records."""
        return self._lives[-1].monitor

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
        if not self._lives[-1].has_begun or not self._alive:
            return ["the session is not up"]
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
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._live)
        try:
            await self._begun()
        except BaseException:
            self._group.cancel_scope.cancel()
            await self._group.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._group is not None
        self._leaves = True
        try:
            living = self._lives[-1]
            if self._alive and (exc is None or isinstance(exc, Exception)):
                if exc is None:
                    await living.session.stop()  # loops over the session end, and what is in hand is finished
                living.leave()
                await self._until(lambda: living.is_over)
        finally:
            self._group.cancel_scope.cancel()
            await self._group.__aexit__(None, None, None)
        if exc is None:
            self.check()
            self.judge()
            if self._kill_at:
                missed = ", ".join(sorted(map(repr, self._kill_at)))
                raise AssertionError(f"the session was to be killed at {missed}, and did not come there: {self.steps}")

    def judge(self) -> None:
        """
        Fail if anything on the wire since the bench was made, or in the session's records, breaks a property.

        Raises:
            AssertionError: Its message shows what came before.
        """
        from sessionfsm.testing.safety import assert_session_safe

        for living in self._lives:
            mine = [entry for entry in self.server.log if entry.number > living.first_request]
            mine = [entry for entry in mine if living.last_request is None or entry.number <= living.last_request]
            assert_session_safe([entry for entry in mine if entry.account == self.account.name], machine=self.machine)
            if living.monitor.violations:
                found = living.monitor.violations[0]
                raise AssertionError(f"record {found.number} broke {found.property}: {found.what}")

    @property
    def _alive(self) -> bool:
        return not self._lives[-1].is_over

    async def _live(self) -> None:
        """One life after the other, until the block is left."""
        assert self._group is not None
        while True:
            self._group.start_soon(self._lives[-1].live)
            await self._until(lambda: not self._alive)
            if self.kills and self.kills[-1] == self.steps[-1]:
                await anyio.sleep(self._down_s)
                self._begins_again = True
            await self._until(lambda: self._begins_again)
            self._begins_again = False
            if self._leaves:
                return
            try:
                self._lives.append(_Living(self))
            except Exception as error:  # there are no credentials any more, for one
                self._failed(error)
                return

    def _passed(self, step: str) -> bool:
        """Note a step; return whether the session is killed there."""
        self._counts[step] += 1
        self.steps.append(f"{step} {self._counts[step]}")
        is_fatal = bool(self._kill_at & {self.steps[-1], len(self.steps)})
        if is_fatal:
            self._kill_at -= {self.steps[-1], len(self.steps)}
            self.kills.append(self.steps[-1])
            self._lives[-1].kill()
        return is_fatal

    def _failed(self, error: Exception) -> None:
        self._problem = self._problem or error
        self._tell()

    async def _begun(self) -> None:
        """Wait until the session has begun, or cannot."""
        await self._until(lambda: self._lives[-1].has_begun or self._problem is not None)
        self.check()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class _Living:
    """
    One life of the bot on a bench.

    Attributes:
        first_request: How many requests there had been before it, on the whole server.
        last_request: The same, when it was over.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._life = Life(bench._store, bench._passed, bench._run_store)
        self._http = httpx.AsyncClient(
            transport=self._life.transport(bench.server.transport(round_trip_s=_ROUND_TRIP_S)), trust_env=False
        )
        self._left = anyio.Event()
        self.monitor = RecordMonitor(bench.machine)
        self.session: Session = _SteppedSession(
            self._life,
            token=bench._token,
            base_url=BENCH_URL,
            http=self._http,
            machine=bench.machine,
            store=self._life.store,
            run_store=self._life.call,
            observers=[self.monitor, *bench._observers],
            **bench._options,
        )
        self.first_request = bench.server.log.count
        self.last_request: int | None = None
        self.has_begun = False
        self.is_over = False

    def kill(self) -> None:
        """Be dead, now."""
        self._life.kill()
        self._over()

    def leave(self) -> None:
        """End in order."""
        self._left.set()

    async def live(self) -> None:
        """From the session's start to its end, or to the kill."""
        try:
            with self._life.lived():
                async with self.session:
                    self.has_begun = True
                    self._bench._tell()
                    async with anyio.create_task_group() as group:
                        if self._bench._serve is not None:
                            group.start_soon(self._run, self._bench._serve)
                        await self._left.wait()
                        group.cancel_scope.cancel()
        except Exception as error:
            self._failed(error)
        finally:
            self._over()
            with anyio.CancelScope(shield=True):
                await self._http.aclose()

    async def _run(self, serve: Serve) -> None:
        try:
            await serve(self.session)
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if not self._life.is_killed:
            self._bench._failed(error)

    def _over(self) -> None:
        if not self.is_over:
            self.is_over = True
            self.last_request = self._bench.server.log.count
            self._bench._tell()


class _SteppedSession(Session):
    """A session whose handlers are steps in a life."""

    def __init__(self, life: Life, **options: Any) -> None:
        super().__init__(**options)
        self._life = life

    async def deliver(self, handler: Callable[[Message], Awaitable[object]], **options: Any) -> None:
        async def stepped(message: Message) -> None:
            await self._life.step("before handler")
            await handler(message)
            await self._life.step("after handler")

        await super().deliver(stepped, **options)

    def __aiter__(self) -> AsyncIterator[Message]:
        return _SteppedMessages(super().__aiter__(), self._life)


class _SteppedMessages:
    def __init__(self, messages: AsyncIterator[Message], life: Life) -> None:
        self._messages = messages
        self._life = life
        self._handles = False

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        if self._handles:
            self._handles = False
            await self._life.step("after handler")
        message = await anext(self._messages)
        self._handles = True
        await self._life.step("before handler")
        return message


def _step(step: str | int) -> str | int:
    """Return a step in full."""
    if isinstance(step, int):
        if step < 1:
            raise DefinitionError(f"steps are counted from 1 on; there is no step {step}")
        return step
    found = _STEP.fullmatch(step)
    if found is None:
        raise DefinitionError(f"{step!r} is no step; write it as 'after commit', or 'before done 2' for the second one")
    return step if found[2] else f"{step} 1"
