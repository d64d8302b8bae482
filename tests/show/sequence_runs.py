"""Runs to tell in sequence diagrams: of real sessions in virtual time, and of records that were made up."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import anyio
import pytest

from sessionfsm import Session
from sessionfsm.errors import ILinkError
from sessionfsm.examples import official_client
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.session import Record, SendRecord
from sessionfsm.show import Run, run_from
from sessionfsm.testing import Bench, faults, run

__all__ = ["Lived", "bug", "lived", "long_run"]


@dataclass(frozen=True)
class Lived:
    """What a session has left behind."""

    machine: Machine
    records: tuple[Record, ...]
    sends: tuple[SendRecord, ...]

    def run(self, first: int = 0, until: int | None = None) -> Run:
        """As it is read off its records, or off some of them."""
        return run_from(self.records[first:until], self.machine, sends=self.sends)


async def _answer(session: Session) -> None:
    async for message in session:
        with contextlib.suppress(ILinkError):
            await session.reply(message, "you are welcome")


async def _wake(bench: Bench) -> None:
    """Somebody calls for the session while it waits."""
    for _ in range(1000):
        await anyio.sleep(0.1)
        if (bench.session.history[-1].wait_s or 0.0) > 5:
            bench.session.wake()
            return


async def _slow_answers(bench: Bench) -> None:
    """A text is under way while polls end and begin."""
    bench.apply(faults.Slow(delay_s=3, endpoint="sendmessage", times=1))
    bench.push("one")
    await anyio.sleep(1)
    bench.push("two")
    await anyio.sleep(20)


@cache
def lived() -> Lived:
    """A session that met most of what can happen: quiet polls, losses, denials, silence, broken connections, sends."""

    async def story() -> Bench:
        bench = Bench(_answer)
        async with bench:
            await anyio.sleep(300)
            await _slow_answers(bench)
            bench.apply(faults.Expire())
            await anyio.sleep(60)
            bench.apply(faults.Status(status=502, times=3))
            await anyio.sleep(60)
            bench.apply(faults.Code(code=-3, endpoint="sendmessage", times=1))
            bench.push("three")
            await anyio.sleep(60)
            bench.apply(faults.Takeover(for_s=60))
            await anyio.sleep(30)
            await _wake(bench)
            await anyio.sleep(300)
            bench.apply(faults.Instant(times=3))
            await anyio.sleep(60)
            bench.apply(faults.Hang(times=1))
            await anyio.sleep(900)
        return bench

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bench, "judge", lambda _: None)
        bench = run(story)
    return Lived(bench.machine, tuple(bench.session.history), tuple(bench.session.sends))


@cache
def bug() -> Lived:
    """The official client's loop, after its session was lost: it polls again without telling the server."""

    async def story() -> Bench:
        bench = Bench(machine=Machine(table=official_client(Policy())))
        async with bench:
            await anyio.sleep(60)
            bench.apply(faults.Takeover(for_s=60))
            await anyio.sleep(5000)
        return bench

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bench, "judge", lambda _: None)
        bench = run(story)
    return Lived(bench.machine, tuple(bench.session.history), tuple(bench.session.sends))


def long_run(count: int) -> Run:
    """A loss and a renewal, again and again."""
    machine, records = lived().machine, lived().records
    lost = next(at for at, record in enumerate(records) if record.trigger == "session_expired")
    return run_from([*records[:lost], *_again(records[lost : lost + 2], count - lost)], machine)


def _again(two: Sequence[Record], count: int) -> list[Record]:
    return [
        replace(two[at % 2], number=two[0].number + at, at_s=two[0].at_s + at, started_s=two[0].at_s + at - 0.5)
        for at in range(count)
    ]
