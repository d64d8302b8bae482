"""The demo itself: the server, a session, users who write, a bot that answers, and texts that are sent regardless."""

from __future__ import annotations

import itertools
import random
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

import anyio

from sessionfsm.errors import ILinkError, TransportError
from sessionfsm.ilink import Message
from sessionfsm.lifecycle import Policy, State, Trigger
from sessionfsm.session import Observer, Record, RecordMonitor, Session
from sessionfsm.testing import FakeAccount, FakeServer

from .events import Event, Happened, reply_id, reply_to
from .plan import TAIL_S, Plan

__all__ = ["Scene"]

_HOLD_S = 2.0
"""Real servers hold a poll for 35 s; here the users write so often that it hardly matters."""
_EACH_TICK_S = 1.0
_USERS = ("ada", "bo", "cleo", "dev")
_WORDS = ("hello", "are you there?", "what is next?", "thanks", "one more thing", "how is the build?", "good night")
_REPEAT_EVERY = 9
_RETRY_S = 0.4
_KEEP_RECORDS = 100
_SESSION_REQUESTS = ("getupdates", "notifystart")
_STRIKE_WITHIN_S = 0.5
_CALM_S = 0.02
_LATE_S = 5.0
"""How long the bot may still be answering after its time: a demo must end, even if something is wrong."""


class Scene:
    """
    Everything that is on the stage, for whoever watches.

    Args:
        plan: What goes wrong.
        policy: The figures.
        rng: Decides who writes what.
        observers: Called with every record of the session.

    Attributes:
        began_s: When the demo began, on the clock of the event loop; all other times are seconds since.
        records: The session's last records.
        state_s: Seconds spent in each state.
        incidents: What goes wrong, and what became of it.
        pushed: The ids of the messages that users wrote.
        repeated: How often a message was put on the wire a second time.
        ticks: How many texts the bot has tried to send of its own accord.
        ticks_failed: How many of these tries failed.
        ticks_in_trouble: How many of these tries succeeded while the session was not active.
        interrupted: Somebody asked for the end before its time.
    """

    def __init__(self, plan: Plan, policy: Policy, rng: random.Random, observers: Sequence[Observer] = ()) -> None:
        self.plan = plan
        self.policy = policy
        self.server = FakeServer(hold_s=_HOLD_S)
        self.session: Session | None = None
        self.monitor = RecordMonitor(policy)
        self.began_s = 0.0
        self.ended_s: float | None = None
        self.records: list[Record] = []
        self.state_s: dict[str, float] = defaultdict(float)
        self.incidents = [Happened(incident=incident) for incident in plan.incidents]
        self.pushed: dict[str, str] = {}
        self.repeated = 0
        self.ticks = 0
        self.ticks_failed = 0
        self.ticks_in_trouble = 0
        self.listeners: list[Callable[[Event], object]] = []
        self.interrupted = False
        self._token = f"demo@im.bot:{secrets.token_hex(16)}"
        self._rng = rng
        self._observers = observers
        self._state_since_s = 0.0
        self._closing = anyio.Event()
        self._seen_sent = 0
        self._answered: set[str] = set()
        self._handlings = 0
        self._pushed_at_s = 0.0
        self._replied = anyio.Event()

    # --- for whoever watches -------------------------------------------------------------------------------------

    @property
    def account(self) -> FakeAccount:
        """The bot's account, as the server sees it."""
        return self.server.account(self._token)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return (anyio.current_time() if self.ended_s is None else self.ended_s) - self.began_s

    @property
    def current(self) -> Happened | None:
        """What is going wrong now."""
        return next((one for one in self.incidents if one.began_s is not None and one.ended_s is None), None)

    def answered(self) -> set[str]:
        """Return the ids of the messages whose answer is in the server's log."""
        sent = self.account.sent
        for one in sent[self._seen_sent :]:
            if message_id := reply_to(one.client_id):
                self._answered.add(message_id)
        self._seen_sent = len(sent)
        return self._answered

    def states(self) -> dict[str, float]:
        """Return the seconds spent in each state until now."""
        now: dict[str, float] = dict(self.state_s)
        if self.session is not None and self.ended_s is None:
            now[self.session.state] = now.get(self.session.state, 0.0) + self.elapsed_s - self._state_since_s
        return now

    # --- the play ------------------------------------------------------------------------------------------------

    async def play(self, asked_to_end: Callable[[], Awaitable[object]]) -> None:
        """
        Run the demo from its beginning to its end.

        Args:
            asked_to_end: Returns when the demo shall end before its time.
        """
        async with self.server.listen() as listening:
            self.began_s = anyio.current_time()
            session = Session(
                token=self._token,
                base_url=listening.url,
                policy=self.policy,
                observers=[self.monitor, self._recorded, *self._observers],
            )
            self.session = session
            async with session, anyio.create_task_group() as bot:
                bot.start_soon(session.deliver, self._answer)
                async with anyio.create_task_group() as world:
                    world.start_soon(self._write_messages)
                    world.start_soon(self._send_texts, session)
                    await self._go_wrong(asked_to_end)
                    self._closing.set()
                await self._catch_up(session)
                await session.stop()
            self.ended_s = anyio.current_time()

    async def _go_wrong(self, asked_to_end: Callable[[], Awaitable[object]]) -> None:
        with anyio.move_on_at(self.began_s + self.plan.duration_s - TAIL_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._begin_incidents)
                await asked_to_end()
                self.interrupted = True
                tasks.cancel_scope.cancel()

    async def _begin_incidents(self) -> None:
        for number, happened in enumerate(self.incidents, start=1):
            await anyio.sleep_until(self.began_s + happened.incident.at_s)
            with anyio.move_on_after(_STRIKE_WITHIN_S):
                await self._wait_for_a_held_poll()
            for fault in happened.incident.faults:
                self.server.apply(fault)
            happened.began_s = self.elapsed_s
            self.tell("fault", f"{number} of {len(self.incidents)}: {happened.incident.title}")

    async def _wait_for_a_held_poll(self) -> None:
        # Between two polls an outage would leave no trace in the server's log: nobody is there to write it.
        while True:
            now = anyio.current_time()
            last = next((one for one in reversed(list(self.server.log)) if one.endpoint in _SESSION_REQUESTS), None)
            if last is not None and last.ended_s is None and now - max(last.started_s, self._pushed_at_s) > _CALM_S:
                return
            await anyio.sleep(_CALM_S)

    async def _write_messages(self) -> None:
        for number in itertools.count(1):
            sender = f"{self._rng.choice(_USERS)}@im.wechat"
            text = f"{self._rng.choice(_WORDS)} ({number})"
            if self.pushed and number % _REPEAT_EVERY == 0:
                # In one batch with a new message, so that this poll has news: what is shown here is the repetition.
                self.account.push_duplicate(self._rng.choice(list(self.pushed)[-3:]), new_context_token=True)
                self.repeated += 1
            self.pushed[self.account.push(text, sender=sender)] = text
            self._pushed_at_s = anyio.current_time()
            if await self._is_closing_within(self._rng.uniform(0.45, 0.95)):
                return

    async def _send_texts(self, session: Session) -> None:
        while not await self._is_closing_within(_EACH_TICK_S):
            self.ticks += 1
            state = session.state
            try:
                await session.send_text("owner@im.wechat", f"text {self.ticks}", client_id=f"text:{self.ticks}")
            except ILinkError as error:
                self.ticks_failed += 1
                self.tell("text", f"{self.ticks} failed, the session being {state}: {error}")
            else:
                self.ticks_in_trouble += state != State.ACTIVE
                self.tell("text", f"{self.ticks} sent, the session being {state}")

    async def _answer(self, message: Message) -> None:
        """The bot: it answers each message, and insists. One handling has one client id, so that the log shows two."""
        self._handlings += 1
        client_id = reply_id(message.message_id or "", self._handlings)
        assert self.session is not None
        for attempt in itertools.count(1):
            try:
                await self.session.send_text(message.sender, f"you said: {message.text}", client_id=client_id)
            except TransportError:
                await anyio.sleep(_RETRY_S)
            else:
                late = "" if attempt == 1 else f", the {attempt}. try"
                self.tell("message", f"{message.text!r} from {message.sender}, answered{late}")
                self._replied.set()
                self._replied = anyio.Event()
                return

    async def _catch_up(self, session: Session) -> None:
        """Let the bot answer what is there. The users are silent by now."""
        limit_s = TAIL_S + _LATE_S
        if self.interrupted:
            self.tell("demo", "stopping: the faults are over, and what was received is answered")
            self.server.clear()
            session.wake()  # a wait is never cut below its first rung
            limit_s = min(self.policy.session_first_s, 2 * _LATE_S) + TAIL_S
        with anyio.move_on_after(limit_s):
            while not self.answered() >= self.pushed.keys():
                await self._replied.wait()

    async def _is_closing_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._closing.wait()
        return self._closing.is_set()

    def _recorded(self, record: Record) -> None:
        at_s = record.at_s - self.began_s
        self.records.append(record)
        del self.records[:-_KEEP_RECORDS]
        self.state_s[record.source] += at_s - self._state_since_s
        self._state_since_s = at_s
        current = self.current
        if current is not None and record.trigger in (Trigger.POLLED, Trigger.HURRIED):
            current.ended_s = (record.started_s or record.at_s) - self.began_s
        wait = "" if record.wait_s is None else f" for {record.wait_s:.1f} s"
        self.tell("session", f"{record.source} -> {record.target}{wait}: {record.reason}", at_s)

    def tell(self, kind: str, words: str, at_s: float | None = None) -> None:
        event = Event(at_s=self.elapsed_s if at_s is None else at_s, kind=kind, words=words)
        for listener in self.listeners:
            listener(event)
