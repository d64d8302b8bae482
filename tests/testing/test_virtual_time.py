"""Virtual time on both backends."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from sessionfsm.testing import VirtualDeadlock, VirtualTimeExceeded, backend_options, backends, run

BACKENDS = ["asyncio", "trio"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_time_jumps_and_the_result_comes_back(backend: str) -> None:
    """A year of sleep takes no time, and the clock shows exactly what was slept."""

    async def year(days: int) -> float:
        for _ in range(days):
            await anyio.sleep(86400)
        return anyio.current_time()

    assert run(year, 365, backend=backend) == 365 * 86400


@pytest.mark.parametrize("backend", BACKENDS)
def test_deadlines_fire_in_order(backend: str) -> None:
    """Cancel scopes, timeouts and sleeping tasks share the one clock."""
    seen: list[tuple[str, float]] = []

    async def nap(name: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        seen.append((name, anyio.current_time()))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nap, "late", 30.1)
            tasks.start_soon(nap, "early", 10.3)
            with anyio.move_on_after(20.2):
                await anyio.sleep_forever()
            seen.append(("scope", anyio.current_time()))
            with pytest.raises(TimeoutError):
                with anyio.fail_after(5):
                    await anyio.sleep_forever()

    run(main, backend=backend)
    assert [name for name, _ in seen] == ["early", "scope", "late"]
    assert [at_s for _, at_s in seen] == pytest.approx([10.3, 20.2, 30.1], abs=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_waiting_for_what_cannot_come_is_an_error(backend: str) -> None:
    """With nothing scheduled the test fails at once instead of hanging, and cleanup still runs."""
    cleaned = []

    async def main() -> None:
        try:
            await anyio.Event().wait()
        finally:
            cleaned.append(True)

    with pytest.raises(VirtualDeadlock, match="deadlock in virtual time: nothing is scheduled"):
        run(main, backend=backend)
    assert cleaned == [True]


@pytest.mark.parametrize("backend", BACKENDS)
def test_never_waiting_is_an_error(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hot loop, for which the clock can never move, is named as such."""
    monkeypatch.setattr("sessionfsm.testing.virtual_time._TURNS", 500)

    async def main() -> None:
        await anyio.sleep(1)
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(VirtualDeadlock, match="virtual time stands still"):
        run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_busy_program_is_no_hot_loop(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of turns is fine as long as the clock moves between them."""
    monkeypatch.setattr("sessionfsm.testing.virtual_time._TURNS", 500)

    async def main() -> None:
        for _ in range(2000):
            await anyio.lowlevel.checkpoint()
            await anyio.sleep(0.001)

    run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_limit_is_kept(backend: str) -> None:
    """What takes longer than the limit is cancelled; a TimeoutError of the function itself passes through."""
    with pytest.raises(VirtualTimeExceeded, match=r"not over after 10 s of virtual time") as caught:
        run(anyio.sleep, 10.5, backend=backend, limit_s=10)
    assert caught.value.limit_s == 10

    async def fails() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        run(fails, backend=backend, limit_s=10)


def test_backends_are_known_by_name() -> None:
    """Each backend has options, and trio's clock is a new one each time."""
    assert [name for name, _ in backends()] == BACKENDS
    assert backend_options("trio")[1]["clock"] is not backend_options("trio")[1]["clock"]
    with pytest.raises(ValueError, match="unknown backend 'curio'"):
        backend_options("curio")


@pytest.mark.anyio
@pytest.mark.parametrize("turn", [1, 2])
async def test_anyio_tests_run_in_virtual_time(turn: int) -> None:
    """Under anyio's pytest plugin too; the second test has a clock of its own."""
    before = anyio.current_time()
    await anyio.sleep(86400 * turn)
    assert anyio.current_time() - before == pytest.approx(86400 * turn)
    assert before < 1
