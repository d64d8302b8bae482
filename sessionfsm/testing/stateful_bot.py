"""A hypothesis state machine that drives a whole bot: hypothesis is the users, the server and the clock."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.session import Session
from sessionfsm.testing import faults
from sessionfsm.testing.bench import Bench
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.strategies import fault_schedules
from sessionfsm.testing.virtual_time import VirtualTimeLoop

__all__ = ["BotStateMachine"]

R = TypeVar("R")

_SENDERS = st.sampled_from(["anna@im.wechat", "bert@im.wechat"])
_TEXTS = st.sampled_from(["hello", "", "/help", "你好"]) | st.text(max_size=20)
_STEPS_S = st.sampled_from([0.1, 1.0, 10.0, 60.0, 600.0])


class BotStateMachine(RuleBasedStateMachine):
    """
    Your bot on a bench, in virtual time on asyncio, while users write and everything goes wrong.

    Inherit, say what the bot does, say what must hold, and let pytest find the test case:

    .. code-block:: python

        class EchoUnderTest(BotStateMachine):
            async def serve(self, session):
                async for message in session:
                    await session.reply(message, message.text)

            def settled(self):
                assert len(self.bench.replies) >= len(self.pushed)

        TestEcho = EchoUnderTest.TestCase

    Rules and invariants of your own are written as in any state machine of hypothesis. After every step what is on the
    wire is judged (:func:`~sessionfsm.testing.assert_session_safe`). At the end all faults are ended, the bot handles
    what there is, and :meth:`settled` is called.

    Attributes:
        policy: The figures; yours go into the class.
        machine: A lifecycle of your own, instead of a policy.
        bench: The bench.
        pushed: The ids of the messages that users wrote, in order.
    """

    policy: ClassVar[Policy | None] = None
    machine: ClassVar[Machine | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.pushed: list[str] = []
        self._handled = sys.exception()  # what somebody further out is at, if anything
        self._runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        try:
            self.bench = self._runner.run(self._made())
            self._task: asyncio.Task[None] = self._runner.run(self._started())
        except BaseException:
            self._runner.close()
            raise

    # --- yours -------------------------------------------------------------------------------------------------------

    async def serve(self, session: Session) -> object:
        """Be the bot: what yours does with a session."""
        raise NotImplementedError(f"{type(self).__name__} needs a method: async def serve(self, session)")

    def settled(self) -> None:
        """Check what must hold when all faults are over and every message was handled."""

    def do(self, act: Callable[[], R]) -> R:
        """Call *act* inside the event loop, then let the bot go on until it waits for something."""

        async def acted() -> R:
            result = act()
            await asyncio.sleep(0)
            return result

        return self._run(acted)

    def advance(self, seconds: float) -> None:
        """Let so much virtual time pass."""
        self._run(lambda: asyncio.sleep(seconds))

    # --- what the world does -----------------------------------------------------------------------------------------

    @rule(text=_TEXTS, sender=_SENDERS)
    def user_writes(self, text: str, sender: str) -> None:
        """A user writes."""
        self.pushed.append(self.do(lambda: self.bench.push(text, sender=sender)))

    @rule(data=st.data())
    def message_comes_again(self, data: Any) -> None:
        """The server hands out again what it has handed out before."""
        if self.pushed:
            message_id = data.draw(st.sampled_from(self.pushed))
            self.do(lambda: self.bench.push_duplicate(message_id))

    @rule(answer_held=st.booleans())
    def session_is_lost(self, answer_held: bool) -> None:
        """The server forgets the session: -14."""
        self.do(lambda: self.bench.apply(faults.Expire(answer_held=answer_held)))

    @rule(for_s=_STEPS_S)
    def nobody_is_there(self, for_s: float) -> None:
        """An outage."""
        self.do(lambda: self.bench.apply(faults.Outage(for_s=for_s)))

    @rule(schedule=fault_schedules(max_size=1))
    def something_goes_wrong(self, schedule: list[Fault]) -> None:
        """Any other fault, now."""
        for fault in schedule:
            if not isinstance(fault, faults.Message):
                self.do(lambda fault=fault: self.bench.apply(fault))  # type: ignore[misc]

    @rule(seconds=_STEPS_S)
    def time_passes(self, seconds: float) -> None:
        """Time passes."""
        self.advance(seconds)

    # --- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def wire_is_in_order(self) -> None:
        """Nothing that the bot's session has done on the wire breaks a property."""
        self.bench.judge()

    def teardown(self) -> None:
        """End all faults, let the bot handle what there is, check, take the bench down."""
        try:
            if sys.exception() is self._handled:  # else a step has failed, and that is what is to be told
                self.do(self.bench.server.clear)
                self._run(lambda: self.bench.settle(4 * 3600.0))
                self.settled()
                self._over.set()
                self._runner.run(self._ended())
        finally:
            self._runner.close()

    # --- the loop ----------------------------------------------------------------------------------------------------

    async def _made(self) -> Bench:
        self._over = asyncio.Event()
        machine = type(self).machine
        return Bench(self.serve, policy=type(self).policy if machine is None else None, machine=machine)

    async def _started(self) -> asyncio.Task[None]:
        ready = asyncio.Event()

        async def lived() -> None:
            # The bench is put up and taken down in one task of its own; between two steps the loop just stands still.
            async with self.bench:
                ready.set()
                await self._over.wait()

        task = asyncio.create_task(lived())
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            await task
        return task

    def _run(self, step: Callable[[], Awaitable[R]]) -> R:
        async def stepped() -> R:
            result = await step()
            self.bench.check()
            return result

        return self._runner.run(stepped())

    async def _ended(self) -> None:
        await self._task
