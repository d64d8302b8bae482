"""Recorded runs to look at and to tamper with."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from typing import Any

import anyio

from sessionfsm import Session, TraceWriter
from sessionfsm.lifecycle import Machine
from sessionfsm.testing import Bench, FakeServer, faults, run
from sessionfsm.trace import Report, check_trace

Lines = list[dict[str, Any]]
Story = Callable[[Bench], Awaitable[object]]


async def everything(bench: Bench) -> None:
    """Each thing that can happen to a session happens at least once."""
    bench.push("hello")
    await bench.settle()
    for fault in (
        faults.Expire(),
        faults.Status(endpoint="getupdates", status=502, times=3),
        faults.Takeover(for_s=60),
        faults.Lapse(),
        faults.Instant(for_s=6),
        faults.Hang(endpoint="getupdates"),
    ):
        bench.apply(fault)
        await anyio.sleep(61)
        await bench.settle()
    bench.apply(faults.Status(endpoint="notifystart", status=502, for_s=200))
    bench.apply(faults.Takeover(for_s=200))
    await anyio.sleep(30)
    bench.session.wake()
    await bench.settle()


async def read(session: Session) -> None:
    async for _ in session:
        pass


async def recorded(story: Story, machine: Machine | None = None, target: Any = None) -> bytes:
    """Run a bot through *story* and return its trace."""
    random.seed(7)  # the jitter
    file = io.BytesIO() if target is None else target
    with TraceWriter(file) as trace:
        async with Bench(read, server=FakeServer(hold_s=20.0), machine=machine, observers=[trace]) as bench:
            await story(bench)
    assert trace.problem is None
    return b"" if target is not None else file.getvalue()


@cache
def whole_run() -> bytes:
    """The trace of one run in which everything happens."""
    return run(lambda: recorded(everything))


async def a_few_things(bench: Bench) -> None:
    for fault in (
        faults.Expire(),
        faults.Status(endpoint="getupdates", times=2),
        faults.Takeover(for_s=45),
        faults.Lapse(),
    ):
        bench.apply(fault)
        await anyio.sleep(50)
        await bench.settle()


@cache
def short_run() -> bytes:
    """The trace of a run in which a few things happen, for tests that look at every line of it."""
    return run(lambda: recorded(a_few_things))


def parsed(trace: bytes) -> Lines:
    return [json.loads(line) for line in trace.splitlines()]


def unparsed(lines: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def checked(trace: bytes | Lines, **options: Any) -> Report:
    text = trace if isinstance(trace, bytes) else unparsed(trace)
    return check_trace(io.BytesIO(text), name="run.jsonl", **options)
