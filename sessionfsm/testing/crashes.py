"""A story told again and again: each time the session is killed at another of its steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

import anyio

from sessionfsm.errors import DefinitionError
from sessionfsm.store import MemoryStore, Store
from sessionfsm.testing.bench import Bench, Serve
from sessionfsm.testing.determinism import determined
from sessionfsm.testing.server import FakeServer
from sessionfsm.testing.virtual_time import Backend, run

__all__ = ["Crashes", "Story", "kill_at_every_step"]

Story: TypeAlias = Callable[[Bench], Awaitable[object]]
"""What happens to a bot on its bench, and what must have come of it."""

_MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Crashes:
    """
    What was tried.

    Attributes:
        steps: The steps of the story without a kill.
        tried: The numbers of the steps at which the session was killed, one tuple for each time the story was told
            with kills.
    """

    steps: tuple[str, ...]
    tried: tuple[tuple[int, ...], ...]


def kill_at_every_step(
    serve: Serve | None,
    story: Story,
    *,
    kills: int = 1,
    most: int = _MOST,
    seed: int = 0,
    backend: Backend = "asyncio",
    server: Callable[[], FakeServer] = FakeServer,
    store: Callable[[], Store] | None = None,
    limit_s: float | None = 86_400.0,
    **options: Any,
) -> Crashes:
    """
    Tell *story* in virtual time: once as it is, then once for each of its steps, with a kill there and a restart.

    .. code-block:: python

        async def story(bench):
            bench.push("hello")
            await bench.settle()
            assert "you said hello" in bench.replies

        kill_at_every_step(serve, story)

    Each time it gets a new :class:`~sessionfsm.testing.Bench`, with a new server and a new store, and the same chance.
    What it raises comes out with a note that says where the session had been killed, and how to do that once more.

    Args:
        serve: What the bot does with the session; it is called for each start, since a kill takes its memory.
        story: An async function that takes the bench.
        kills: How many kills there are in a telling. With more than one not all combinations are tried, but *most*;
            those with fewer kills that lead to them come besides.
        most: How many tellings there are at most. If there are more steps, the steps are drawn.
        seed: What is drawn is drawn from this, chance in the session as well.
        backend: The event loop.
        server: Makes a server.
        store: Makes a store, which is closed after the telling; by default one in memory.
        limit_s: How much virtual time one telling may take.
        options: Further arguments of the bench.

    Raises:
        DefinitionError: If *kills* or *most* is smaller than 1, or an event loop runs already.
    """
    if kills < 1 or most < 1:
        raise DefinitionError(f"kills and most are 1 or more, not {kills} and {most}")
    if _is_in_a_loop():
        raise DefinitionError("an event loop runs already: call this from a test that is an ordinary function")

    async def told(kill_at: tuple[int, ...]) -> tuple[str, ...]:
        kept = MemoryStore(clock=anyio.current_time) if store is None else store()
        with closing(kept):
            async with Bench(serve, server=server(), store=kept, kill_at=kill_at, **options) as bench:
                await story(bench)
        return tuple(bench.steps)

    known: dict[tuple[int, ...], tuple[str, ...]] = {}

    def tell(kill_at: tuple[int, ...] = ()) -> tuple[str, ...]:
        if kill_at not in known:
            try:
                with determined(seed, backend):
                    known[kill_at] = run(told, kill_at, backend=backend, limit_s=limit_s)
            except Exception as error:
                if kill_at:
                    before = known[kill_at[:-1]]
                    error.add_note(
                        f"the session had been killed at step {kill_at[-1]}, which is {before[kill_at[-1] - 1]!r}; "
                        f"the same once more: seed={seed}, Bench(kill_at={kill_at}, ...)"
                    )
                raise
        return known[kill_at]

    steps = tell()
    chance = Random(f"sessionfsm kills {seed}")
    if kills == 1:
        numbers = list(range(1, len(steps) + 1))
        if len(numbers) > most:
            numbers = sorted(chance.sample(numbers, most))
        for number in numbers:
            tell((number,))
    else:
        for _ in range(most):
            kill_at: tuple[int, ...] = ()
            for _ in range(kills):
                come = len(tell(kill_at))
                first = kill_at[-1] + 1 if kill_at else 1
                if first > come:
                    break  # it was killed at the last step there is
                kill_at = (*kill_at, chance.randint(first, come))
            tell(kill_at)
    return Crashes(steps=steps, tried=tuple(kill_at for kill_at in known if kill_at))


def _is_in_a_loop() -> bool:
    try:
        anyio.get_current_task()
    except RuntimeError:
        return False
    return True
