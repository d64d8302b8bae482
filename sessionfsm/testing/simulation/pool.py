"""Many simulations at once, in processes of their own: on every platform they are started afresh ("spawn")."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Self

from sessionfsm.errors import SessionFSMError

from .one import SimulationResult

__all__ = ["Job", "Pool", "WorkerDied"]

Job = Callable[[int], SimulationResult]
"""Simulates one seed."""

_LEAVE_S = 1.0


class WorkerDied(SessionFSMError):
    """
    A process that simulated has ended without an answer.

    Attributes:
        seed: What it was at.
    """

    def __init__(self, seed: int, how: str) -> None:
        super().__init__(f"the process that simulated seed {seed} has ended without an answer: {how}")
        self.seed = seed


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception | None
    what: str


class Pool:
    """
    Simulates seeds in several processes; leaving the block ends them.

    Args:
        make_job: Called in each process, once, for the function that simulates a seed. It is pickled: a module's own
            function, or a ``functools.partial`` of one.
        processes: How many.
    """

    def __init__(self, make_job: Callable[[], Job], processes: int) -> None:
        self._make_job = make_job
        self._count = processes
        self._workers: dict[Connection, SpawnProcess] = {}
        self._at: dict[Connection, int] = {}

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        for _ in range(self._count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, self._make_job), daemon=True)
            process.start()
            theirs.close()
            self._workers[ours] = process
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._workers:
            connection.close()  # a worker that waits for a seed ends of this
        for process in self._workers.values():
            if exc is None:
                process.join(_LEAVE_S)
            if process.is_alive():
                process.terminate()
        for process in self._workers.values():
            process.join(_LEAVE_S)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()

    def results(self, seeds: Iterable[int], look_s: float | None = None) -> Iterator[SimulationResult | None]:
        """
        Yield the result of each seed, in the order in which they are there.

        Args:
            look_s: Yield ``None`` whenever nothing has come for so many seconds, so that somebody can look around.

        Raises:
            WorkerDied: If a process has ended while it simulated.
            Exception: What could not be foreseen in one, with the seed in its text.
        """
        waiting = iter(seeds)
        for connection in self._workers:
            self._give(connection, waiting)
        while self._at:
            ready = wait(list(self._at), look_s)
            if not ready:
                yield None
            for connection in [connection for connection in self._at if connection in ready]:
                yield self._take(connection)
                self._give(connection, waiting)

    def _give(self, connection: Connection, waiting: Iterator[int]) -> None:
        seed = next(waiting, None)
        if seed is None:
            return
        self._at[connection] = seed
        with suppress(OSError):  # it has died: that is told when its answer is read
            connection.send(seed)

    def _take(self, connection: Connection) -> SimulationResult:
        seed = self._at.pop(connection)
        try:
            answer = connection.recv()
        except (EOFError, OSError):
            process = self._workers[connection]
            process.join(_LEAVE_S)
            raise WorkerDied(seed, _how(process.exitcode)) from None
        if isinstance(answer, _Failed):
            raise answer.error if answer.error is not None else RuntimeError(f"seed {seed}: {answer.what}")
        assert isinstance(answer, SimulationResult)
        return answer


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _work(connection: Connection, make_job: Callable[[], Job]) -> None:
    """Simulate what is asked for, until nothing more is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches every process; the first one sees to the end
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    job: Job | None = None
    while True:
        try:
            seed = connection.recv()
        except (EOFError, OSError):
            return
        answer: SimulationResult | _Failed
        try:
            job = job if job is not None else make_job()
            answer = job(seed)
        except SessionFSMError as error:  # it says itself what is wrong
            answer = _Failed(error, str(error))
        except Exception as error:
            answer = _Failed(None, f"{type(error).__name__}: {error}")
        try:
            connection.send(answer)
        except OSError:
            return
