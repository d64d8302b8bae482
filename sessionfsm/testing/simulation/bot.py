"""The bot of a simulation: its handlers answer, unless the schedule lets them misbehave; and it sends from outside."""

from __future__ import annotations

import asyncio
import sys
from itertools import count

import anyio

from sessionfsm.errors import ILinkError
from sessionfsm.ilink import Message
from sessionfsm.session import Session
from sessionfsm.testing.life import Life

from .happenings import Handler
from .ledger import LIMIT_S, Attempt, Call, Ledger, Run

__all__ = ["SimulatedBot"]

_FLOOD = 12
_SOMEBODY = "user@im.wechat"  # who is answered where a message, as a broken server sends it, has no sender


class SimulatedBot:
    """
    Handles messages.

    Args:
        ledger: Where calls and sends are written down.
        at_once: How many senders are served side by side.
    """

    def __init__(self, ledger: Ledger, at_once: int) -> None:
        self._ledger = ledger
        self._at_once = at_once
        self._planned: list[tuple[Handler, int]] = []  # how the next calls misbehave, and how often
        self._texts = count(1)
        self._run: Run | None = None
        self._life: Life | None = None
        self._over: anyio.Event | None = None
        self._released: anyio.Event | None = None

    @property
    def is_over(self) -> bool:
        """Whether the session has ended, or ought to."""
        return self._over is not None and self._over.is_set()

    def begin(self, run: Run, life: Life) -> None:
        """A session begins."""
        self._run, self._life = run, life
        self._over, self._released = anyio.Event(), anyio.Event()

    def killed(self) -> None:
        """The process was killed: nobody waits for anything any more."""
        if self._released is not None:
            self._released.set()
        self.over()

    def over(self) -> None:
        """There is no point in going on."""
        if self._over is not None:
            self._over.set()

    async def wait_over(self, limit_s: float) -> None:
        """Wait until the session has ended, at most so long."""
        assert self._over is not None
        with anyio.move_on_after(limit_s):
            await self._over.wait()

    def misbehave(self, how: Handler) -> None:
        """The next calls do not go well."""
        self._planned.append((how, how.times))

    def recover(self) -> None:
        """Be a good bot from now on; what hangs returns."""
        self._planned.clear()
        if self._released is not None:
            self._released.set()

    async def serve(self, session: Session) -> None:
        """Handle messages until the session ends."""
        life = self._life
        assert life is not None

        async def handle(message: Message) -> None:
            await life.step("before handler")
            await self._handle(session, message)
            await life.step("after handler")

        try:
            await session.deliver(handle, at_once=self._at_once, limit_s=LIMIT_S)
        except Exception as error:
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            self._ledger.wrong("R5", f"deliver() ended in {type(error).__name__}, which a handler had raised: {error}")
        if self._run is not None and anyio.current_time() < self._run.stop_s:
            self._ledger.wrong("P12", "deliver() has ended, and nobody has stopped the session")
        self.over()

    async def send(self, session: Session, to: str) -> None:
        """Send one text, and write down when it was tried, and when it was over."""
        text = f"text {next(self._texts)}"
        attempt = self._ledger.attempts[text] = Attempt(anyio.current_time(), self._run)
        try:
            await session.send_text(to, text, client_id=text)
        except ILinkError as error:
            attempt.error = f"{type(error).__name__}: {error}"
        attempt.over_s = anyio.current_time()

    async def _handle(self, session: Session, message: Message) -> None:
        call, began_s = self._ledger.begin(message), anyio.current_time()
        how = self._how(message.sender)
        is_late = how is not None and how.how == "late"
        try:
            if how is not None:
                await self._misbehave(how, session, message)
            else:
                await self.send(session, message.sender or _SOMEBODY)
        except Exception:
            self._end(call, "failed", is_late)
            raise
        except BaseException:
            # It cancelled itself, as code does that awaits what it has cancelled; or it has taken too long.
            itself = (how is not None and how.how == "cancels") or anyio.current_time() >= began_s + LIMIT_S
            self._end(call, "failed" if itself else "cancelled", is_late)
            raise
        self._end(call, "ok", is_late)

    def _end(self, call: Call | None, result: str, is_late: bool) -> None:
        if call is not None:
            self._ledger.end(call, result, is_late=is_late)

    def _how(self, sender: str) -> Handler | None:
        for index, (how, left) in enumerate(self._planned):
            if how.sender in (None, sender):
                if left > 1:
                    self._planned[index] = (how, left - 1)
                else:
                    del self._planned[index]
                return how
        return None

    async def _misbehave(self, how: Handler, session: Session, message: Message) -> None:
        assert self._released is not None
        match how.how:
            case "raises":
                raise ValueError("the handler is made to raise")
            case "cancels":
                if "trio" not in sys.modules or asyncio._get_running_loop() is not None:
                    raise asyncio.CancelledError
                raise ValueError("on trio nobody but trio can make a Cancelled")
            case "slow":
                await self._rest(how.for_s)
            case "hangs":
                await self._released.wait()
            case "floods":
                for _ in range(_FLOOD):
                    await self.send(session, message.sender or _SOMEBODY)
            case "stops":
                if self._run is not None:
                    self._run.stop_s = min(self._run.stop_s, anyio.current_time())
                await session.stop()
                self.over()
            case "late":
                with anyio.CancelScope(shield=True):
                    await self._rest(how.for_s)

    async def _rest(self, seconds: float) -> None:
        assert self._released is not None
        with anyio.move_on_after(seconds):
            await self._released.wait()
