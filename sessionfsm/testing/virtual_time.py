"""
Virtual time: the clock stands still while anything runs, and jumps to the next timer when nothing does.

A simulated day takes as long as its work takes. The code under test is not changed; it must only use no threads and no
real sockets, for which the clock would not wait.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeVar, TypeVarTuple, cast

import anyio

from sessionfsm.errors import SessionFSMError

__all__ = [
    "Backend",
    "VirtualDeadlock",
    "VirtualTimeExceeded",
    "VirtualTimeLoop",
    "backend_options",
    "backends",
    "run",
]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Backend = Literal["asyncio", "trio"]

_DEADLOCK: Final = "deadlock in virtual time: nothing is scheduled"
_STANDSTILL: Final = (
    "virtual time stands still: something runs again and again without waiting"
    " (a client in a hot loop? give the transport a round_trip_s)"
)
# A thousand sessions that start together need some hundred turns of the loop; a hot loop needs more than any number.
_TURNS: Final = 200_000


class VirtualDeadlock(SessionFSMError, RuntimeError):
    """The clock cannot go on: nothing is scheduled, or something never waits."""


class VirtualTimeExceeded(SessionFSMError, TimeoutError):
    """
    The function had not ended after so much virtual time.

    Attributes:
        limit_s: The limit.
    """

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"not over after {limit_s:g} s of virtual time")
        self.limit_s = limit_s


def run(
    func: Callable[[*Ts], Awaitable[T]],
    *args: *Ts,
    backend: Backend = "asyncio",
    limit_s: float | None = None,
) -> T:
    """
    Run an async function to its end in virtual time, which begins at 0, and return what it returns.

    Raises:
        VirtualTimeExceeded: If it takes longer than *limit_s* seconds of virtual time.
        VirtualDeadlock: If it waits for something that can never come, or never waits.
    """
    watch = _TrioWatch() if backend == "trio" else None

    async def main() -> T:
        with anyio.CancelScope() as outer:
            if watch is not None:
                watch.scope = outer
            with anyio.CancelScope() as scope:
                if limit_s is not None:
                    scope.deadline = anyio.current_time() + limit_s
                return await func(*args)
            if limit_s is not None and scope.cancelled_caught:
                raise VirtualTimeExceeded(limit_s)
        raise VirtualDeadlock(watch.problem if watch is not None else _DEADLOCK)

    _, options = backend_options(backend)
    if watch is not None:
        import trio

        # Not by anyio.run: it passed its options on to trio from 4.14 on only, and the clock was the real one.
        options["instruments"] = [watch]
        return trio.run(main, **options)
    return anyio.run(main, backend=backend, backend_options=options)


def backend_options(backend: str) -> tuple[str, dict[str, Any]]:
    """
    Return what an ``anyio_backend`` fixture returns for tests in virtual time. Good for one test: trio's clock is new.

    .. code-block:: python

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return backend_options(request.param)
    """
    if backend == "asyncio":
        return backend, {"loop_factory": VirtualTimeLoop}
    if backend == "trio":
        # Imported here: trio is a dependency of those who use it.
        import trio.testing

        return backend, {"clock": trio.testing.MockClock(autojump_threshold=0)}
    raise ValueError(f"unknown backend {backend!r} (accepted: 'asyncio', 'trio')")


def backends() -> list[tuple[str, dict[str, Any]]]:
    """Return :func:`backend_options` of both backends; like these, good for one run each."""
    return [backend_options("asyncio"), backend_options("trio")]


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock begins at 0 and jumps."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Return the virtual time."""
        return self._now

    def jump(self) -> None:
        """
        Go to the next timer.

        Raises:
            VirtualDeadlock: If there is none.
        """
        # There is no public way to the next timer. `now + timeout`, which the selector is given, is not exactly its
        # time but may be off by a rounding, and a day of roundings shows in a log.
        timers = cast("list[asyncio.TimerHandle]", self._scheduled)  # type: ignore[attr-defined]
        if not timers:
            raise VirtualDeadlock(_DEADLOCK)
        self._now = max(self._now, timers[0].when())
        # asyncio runs the timers before `now + resolution`. With its own resolution of 1 ns that sum is `now` itself
        # from the 97th day on, and no timer would ever be run.
        self._clock_resolution = math.ulp(self._now)


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: when the loop would, it lets the clock jump."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if timeout == 0 or found:
            self._turns += 1
            if self._turns > _TURNS:
                self._turns = 0
                raise VirtualDeadlock(_STANDSTILL)
            return found
        self._turns = 0
        self._loop.jump()
        return found


class _TrioWatch:
    """A trio instrument that sees what :class:`VirtualTimeLoop` sees; instruments may not raise, so it cancels."""

    def __init__(self) -> None:
        self.scope: anyio.CancelScope | None = None
        self.problem = _DEADLOCK
        self._turns = 0
        self._idle_turns = 0
        self._now = -math.inf

    def before_task_step(self, task: object) -> None:  # noqa: ARG002 - trio's name and signature
        self._idle_turns = 0

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - as above
        import trio

        self._turns += 1
        self._idle_turns += 1
        if self._idle_turns > 2 and self.scope is not None:
            # Nobody has run for two turns, and the clock has had its chance to jump.
            if math.isinf(trio.lowlevel.current_statistics().seconds_to_next_deadline):
                self.scope.cancel()
        elif self._turns > _TURNS and self.scope is not None:
            self._turns = 0
            now = trio.current_time()
            if now == self._now:
                self.problem = _STANDSTILL
                self.scope.cancel()
            self._now = now
