"""
The fake server, on a loopback socket, which lets things go wrong as standard input says (see ``compare.pipe``).

    python -m benchmarks.soak.server --sessions N

Its first line is its port.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import time
from typing import Any

import anyio
import anyio.abc

from benchmarks.compare.worker import BACKENDS
from sessionfsm import Policy
from sessionfsm.session.limiter import RENEWALS_PER_S
from sessionfsm.testing import FakeServer, faults

from .judged_log import JudgedLog
from .lateness import Lateness
from .obey import obey
from .texts import text_of, token_of

__all__ = ["Trouble"]

_LATE_S = 5.0
"""How late a busy machine may do what is due, on top of what sessions wait for each other."""


class Trouble:
    """
    What happens on the server.

    Args:
        sessions: How many there are.
        group: Where what takes a while runs.
    """

    def __init__(self, sessions: int, group: anyio.abc.TaskGroup) -> None:
        self.sessions = sessions
        self._group = group
        self.server = FakeServer(hold_s=35.0)
        self.log = self.server.log = JudgedLog(Policy(), own_s=sessions / RENEWALS_PER_S + _LATE_S)
        self._serials = [0] * sessions
        self._scope = anyio.CancelScope()
        self.lateness = Lateness()
        self.sent = 0
        self.expired = 0

    def push(self, number: int) -> None:
        """A user writes to a session's bot."""
        self._serials[number] += 1
        self.sent += 1
        self.server.account(token_of(number)).push(text_of(number, self._serials[number], time.monotonic_ns()))

    async def _each(self, per_s: float, what: Any) -> None:
        """Do *what* for one session after the other, in an order that is none."""
        step = next(each for each in (7919, 104729, 1299709) if self.sessions % each)
        began = anyio.current_time()
        for count in itertools.count(1):
            await anyio.sleep_until(began + count / per_s)
            what(count * step % self.sessions)

    def _expire(self, number: int) -> None:
        self.expired += 1
        self.server.account(token_of(number)).expire(answer_held=True)

    async def run(self, messages_per_s: float, expired_per_min: float) -> None:
        """Let users write and sessions expire until :meth:`quiet`."""
        with self._scope:
            async with anyio.create_task_group() as group:
                if messages_per_s:
                    group.start_soon(self._each, messages_per_s, self.push)
                if expired_per_min:
                    group.start_soon(self._each, expired_per_min / 60, self._expire)

    # --- commands ----------------------------------------------------------------------------------------------------

    def begin(self, *, messages_per_s: float, expired_per_min: float) -> dict[str, Any]:
        """Begin to send messages and to let sessions expire."""
        gc.collect()
        gc.freeze()  # what the server stands still for would be counted as what the client takes
        gc.set_threshold(700, 10, 1000)
        self._scope = anyio.CancelScope()
        self._group.start_soon(self.run, messages_per_s, expired_per_min)
        return {}

    def quiet(self) -> dict[str, Any]:
        """Send nothing more, and let nothing expire."""
        self._scope.cancel()
        return self.sample()

    def reset(self) -> dict[str, Any]:
        """Reset every connection."""
        self.log.reset(now=anyio.current_time(), late_s=_LATE_S)
        self.server.apply(faults.Outage(for_s=0.01))
        return {}

    def flood(self, *, numbers: list[int], per_s: float, for_s: float) -> dict[str, Any]:
        """Send so many messages a second to each of these sessions."""

        async def run(number: int) -> None:
            began = anyio.current_time()
            for count in range(int(per_s * for_s)):
                await anyio.sleep_until(began + count / per_s)
                self.push(number)

        for number in numbers:
            self._group.start_soon(run, number)
        return {}

    def sample(self) -> dict[str, Any]:
        """Return what there was so far."""
        return {
            "sent": self.sent,
            "serials": sum(self._serials),
            "expired": self.expired,
            "requests": self.log.count,
            "cpu_s": time.process_time(),
            **self.lateness.take(),
        }

    def serials(self) -> dict[str, Any]:
        """Return how many messages each session was sent."""
        return {"serials": self._serials}

    def verdict(self) -> dict[str, Any]:
        """Return what the judges say."""
        return self.log.verdict()


async def serve(sessions: int) -> None:
    """Serve until standard input is closed."""
    async with anyio.create_task_group() as group:
        trouble = Trouble(sessions, group)
        group.start_soon(trouble.lateness.run)
        async with trouble.server.listen() as listening:
            await obey(trouble, first=listening.port)
            group.cancel_scope.cancel()


def main() -> None:
    """Serve, on the fastest loop there is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, required=True)
    args = parser.parse_args()
    try:
        import uvloop  # noqa: F401
    except ImportError:
        anyio.run(serve, args.sessions)
    else:
        anyio.run(serve, args.sessions, **BACKENDS["uvloop"])


if __name__ == "__main__":
    main()
