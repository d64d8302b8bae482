"""What stands between sessions and their store: writes go together, and idle cursors wait for company."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

import anyio
import anyio.abc

from sessionfsm.errors import SessionFSMError, StorageFull, StoreError

from .base import Batch, Committed, Runner, Store
from .memory import MemoryStore
from .runner import StoreThread, ask, ask_by, run_inline

__all__ = ["MARK_S", "Marks", "StoreWriter"]

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("sessionfsm")

LAZY_S = 5.0
"""How long the cursor of a poll that brought no messages may wait to be written."""

MARK_S = 0.01
"""
How long a mark may wait for company: it is written with the next that somebody waits for, or then. A commit takes none
along that are not due yet: its session waits for it.
"""

_MANY_MARKS = 100
"""So many of one session are company enough: they are written as soon as the store is free."""

LOOK_S = 5.0
"""How often a store that is shared with other processes is asked whether they have changed it."""


class _Write:
    """What somebody waits for: batches are committed, or messages are marked."""

    __slots__ = ("answers", "batches", "ended", "error", "numbers")

    def __init__(self, *, batches: Sequence[Batch] = (), numbers: Sequence[int] = ()) -> None:
        self.batches = batches
        self.numbers = numbers
        self.answers: list[Committed] = []
        self.error: StoreError | None = None
        self.ended = anyio.Event()

    def fail(self, error: StoreError) -> None:
        """It could not be done."""
        self.error = error
        self.ended.set()


class Marks:
    """
    The messages of one session that were handled, and the store has not said yet that it knows.

    Attributes:
        waiting: The store is still to be told of these, in the order in which they were handled.
        telling: It is being told of these.
        queued: A writer will see to it.
    """

    __slots__ = ("queued", "telling", "waiting")

    def __init__(self) -> None:
        self.waiting: list[int] = []
        self.telling: set[int] = set()
        self.queued = False

    def __len__(self) -> int:
        return len(self.waiting) + len(self.telling)

    def begin(self) -> list[int]:
        """Return the numbers that the store is to be told of now."""
        numbers, self.waiting = self.waiting, []
        self.telling.update(numbers)
        return numbers

    def end(self, numbers: Sequence[int], *, told: bool) -> None:
        """The store knows of these; or it does not, and is to be told again."""
        self.telling.difference_update(numbers)
        if not told:
            self.waiting[:0] = numbers


class StoreWriter:
    """
    Writes to a store for one session, or for many that share it.

    While one transaction is on its way to the disk, everything that sessions want written collects, and goes in the
    next one. If a commit fails each session's share is tried alone, so that nobody suffers for another's.

    .. code-block:: python

        async with StoreWriter(SQLiteStore()) as writer:
            async with Session(token=one, writer=writer) as first, Session(token=other, writer=writer) as second:
                ...

    Args:
        store: Where it goes. It is not closed.
        run: How the store is called; by default in a worker thread, and a store in memory in place.
    """

    def __init__(self, store: Store, run: Runner | None = None) -> None:
        self.store = store
        self._thread = StoreThread()
        if run is None:
            run = run_inline if isinstance(store, MemoryStore) else self._thread
        self._run: Runner = run
        self._waiting: list[_Write] = []
        self._lazy: dict[str, Batch] = {}  # by account
        self._lazy_due_s = math.inf
        self._look_due_s = math.inf
        self._listeners: dict[object, Callable[[], object]] = {}
        self._well = True
        self._marks: list[Marks] = []  # what is to be told of, soon
        self._marks_due_s = math.inf
        self._marks_well = True
        self._wake = anyio.Event()
        self._group: anyio.abc.TaskGroup | None = None
        self._works = False
        self._in_order = run is run_inline or getattr(run, "in_order", False)
        self._busy = False  # something is on its way to the store
        self._owed = False  # the writer's task has to wait for that
        self._left = False  # who was to bring it there and back has left: nobody knows whether it has begun, or ended

    async def __aenter__(self) -> Self:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._works = True
        self._group.start_soon(self.work)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._group is not None
        self._group.cancel_scope.cancel()
        try:
            await self._group.__aexit__(None, None, None)  # what the body raised goes on as it is, in no group
        finally:
            self.close()

    def close(self) -> None:
        """End the worker thread when it has done what it was told."""
        self._thread.close()

    @property
    def works(self) -> bool:
        """Whether writes go together now; else each goes alone."""
        return self._works

    async def work(self) -> None:
        """
        Write what the sessions want written, until this is cancelled.

        It is what the context manager does; call it only in place of that. Without it every write goes alone.
        """
        self._works = True
        writes: list[_Write] = []
        try:
            while True:
                await self._wait()
                self._busy, self._owed = True, False
                if self._left:
                    with contextlib.suppress(SessionFSMError):
                        await ask(self._run, _nothing)
                    self._left = False
                writes = self._take(marks=True)
                await self._mark(writes)
                writes = self._take(marks=False)
                await self._commit(writes)
                await self._look()
                self._busy = False
        finally:
            self._works = self._busy = False
            for write in (*writes, *self._waiting):  # of the first it is not known whether they were done
                if not write.ended.is_set():
                    write.fail(StoreError("the writer has ended"))
            self._waiting = []

    def _take(self, *, marks: bool) -> list[_Write]:
        """Return the marks, or the commits, that are to be begun now: from now on it is too late to give them up."""
        taken = [write for write in self._waiting if bool(write.batches) != marks]
        self._waiting = [write for write in self._waiting if bool(write.batches) == marks]
        return taken

    async def _wait(self) -> None:
        while self._busy or not (self._waiting or self._left):
            due_s = min(self._lazy_due_s, self._look_due_s, self._marks_due_s)
            if self._busy:  # a session is at the store itself, and wakes us when it is back
                self._owed, due_s = True, math.inf
            elif due_s <= anyio.current_time():
                return
            with anyio.CancelScope(deadline=due_s):
                await self._wake.wait()
            self._wake = anyio.Event()

    # --- what sessions ask for ---------------------------------------------------------------------------------------

    async def ask(self, by: float, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """
        Call a function of the store, alone, before the time *by* of :func:`anyio.current_time`.

        Raises:
            StoreError: If it raised anything, or did not answer in time; then it is not known whether it was done.
        """
        if by == math.inf:
            return await ask(self._run, function, *args, **kwargs)
        return await ask_by(by, self._run, function, *args, **kwargs)

    async def commit(self, batches: Sequence[Batch], *, by: float) -> list[Committed]:
        """
        Commit *batches*, with whatever else is to be written; return what became of each.

        Raises:
            StoreError: As :meth:`ask` does.
        """
        # What waits of these accounts is older. Written later, by somebody else's commit, it would bring the old back.
        accounts = {batch.account for batch in batches if batch.cursor is not None}
        older = [self._lazy.pop(account) for account in accounts if account in self._lazy]
        if not self._works:
            return await self.ask(by, self.store.commit, batches)
        write = _Write(batches=batches)
        try:
            await self._put(write, by)
        finally:
            if write.error is not None:  # it was not written, and not: nobody knows whether it was
                for batch in older:
                    self._wait_lazily(batch)
        return write.answers

    async def done(self, numbers: Sequence[int]) -> None:
        """
        Mark messages as handled now, with whatever else is to be written; none, to wait for what was asked for before.

        Raises:
            StoreError: If the store could not.
        """
        if self._works and self._run is not run_inline:
            await self._put(_Write(numbers=numbers), math.inf)
            return
        try:
            await ask(self._run, self.store.done, numbers)
        except SessionFSMError as error:
            self._not_marked(len(numbers), error)
            raise
        if numbers:
            self._marked()

    def soon(self, marks: Marks) -> bool:
        """
        Mark what is waiting in *marks*, and what will be by then: in :data:`MARK_S`, or with what is marked before.

        Return whether that will do. It will not where a mark is as good as done when it is asked for, and not while the
        store is in trouble, which has to be found out then.
        """
        if marks.queued:
            if len(marks.waiting) + 1 == _MANY_MARKS and self._marks_well:
                self._marks_due_s = anyio.current_time()
                self._wake.set()
            return self._works and self._marks_well
        if not (self._works and self._marks_well) or self._run is run_inline:
            return False
        marks.queued = True
        self._marks.append(marks)
        if self._marks_due_s > (due_s := anyio.current_time() + MARK_S):  # what was kept for later may go with it
            self._marks_due_s = due_s
            self._wake.set()
        return True

    def keep(self, marks: Marks) -> None:
        """Tell the store when it is well again of what is waiting in *marks*: nobody else will."""
        if self._works and marks.waiting and not marks.queued:
            marks.queued = True
            self._marks.append(marks)
            if self._marks_due_s == math.inf:
                self._marks_due_s = anyio.current_time() + LAZY_S
                self._wake.set()

    def later(self, batch: Batch) -> bool:
        """
        Write the cursor of a poll that brought no messages: with the next transaction, or in a few seconds.

        Return whether that will do. It will not while the store is in trouble, which has to be found out then.
        """
        if not (self._works and self._well):
            return False
        self._wait_lazily(batch)
        return True

    def _wait_lazily(self, batch: Batch) -> None:
        self._lazy[batch.account] = batch
        if self._lazy_due_s == math.inf:
            self._lazy_due_s = anyio.current_time() + LAZY_S
            self._wake.set()

    async def flush(self, account: str, *, by: float) -> None:
        """
        Write the account's cursor now, if it waits.

        Raises:
            StoreError: As :meth:`ask` does.
        """
        if (batch := self._lazy.pop(account, None)) is not None:
            await self.commit([batch], by=by)

    def listen(self, changed: Callable[[], object]) -> Callable[[], object]:
        """Call *changed* when another process may have opened messages; return what ends that."""
        me = object()
        self._listeners[me] = changed
        if self.store.shared and self._look_due_s == math.inf:
            self._look_due_s = anyio.current_time() + LOOK_S
            self._wake.set()
        return lambda: self._listeners.pop(me, None)

    async def _put(self, write: _Write, by: float) -> None:
        due = self._marks_due_s <= anyio.current_time()
        idle = not (self._busy or self._owed or self._left or self._waiting or due)
        written = self._lead(write) if idle and write.batches and self._in_order else self._follow(write)
        try:
            if by == math.inf:
                await written
            else:
                with anyio.fail_after(max(by - anyio.current_time(), 0.0)):
                    await written
                if anyio.current_time() > by:  # a store that is called in place cannot be interrupted
                    raise TimeoutError
        except TimeoutError:
            raise StoreError("the store did not answer in time") from None
        if write.error is not None:
            raise write.error

    async def _lead(self, write: _Write) -> None:
        """Write it here: for the writer's task to do it, and to wake us then, is two more turns of the event loop."""
        self._busy = self._left = True
        try:
            await self._commit([write])
            self._left = False
        finally:
            self._busy = False
            if self._owed or self._left:
                self._wake.set()

    async def _follow(self, write: _Write) -> None:
        """Have the writer's task write it, with what others want written."""
        self._waiting.append(write)
        self._wake.set()
        try:
            await write.ended.wait()
        finally:
            if write in self._waiting:  # nobody waits for it any more, and it is not begun
                self._waiting.remove(write)

    # --- what is done about it ---------------------------------------------------------------------------------------

    async def _mark(self, writes: Sequence[_Write]) -> None:
        """Mark what somebody waits for; and what may wait, if it has company or its time has come."""
        soon: list[tuple[Marks, list[int]]] = []
        if self._marks and (writes or self._marks_due_s <= anyio.current_time()):
            soon = [(marks, marks.begin()) for marks in self._marks]
            self._marks, self._marks_due_s = [], math.inf
            for marks, _ in soon:
                marks.queued = False
        numbers = [number for _, each in soon for number in each]
        for write in writes:
            numbers += write.numbers
        told = not numbers
        try:
            if numbers:
                await ask(self._run, self.store.done, numbers)
                self._marked()
            told = True
        except SessionFSMError as error:
            for write in writes:
                write.fail(_as_store_error(error))
            self._not_marked(len(numbers), error)
        else:
            for write in writes:
                write.ended.set()
        finally:
            self._marks_well = self._marks_well and told
            for marks, each in soon:
                marks.end(each, told=told)
                if not (told or marks.queued):
                    marks.queued = True
                    self._marks.append(marks)
            if not told and self._marks:
                self._marks_due_s = anyio.current_time() + LAZY_S

    def _marked(self) -> None:
        if not self._marks_well:
            self._marks_well = True
            logger.warning("handled messages can be marked again")

    def _not_marked(self, count: int, error: SessionFSMError) -> None:
        """Say it once: each handler of thousands of sessions that returns now finds out the same."""
        level = logging.WARNING if self._marks_well else logging.DEBUG
        self._marks_well = False
        logger.log(level, "%d handled messages could not be marked, will try again: %s", count, error)

    async def _commit(self, writes: Sequence[_Write]) -> None:
        """Commit what is asked for, and every cursor that waits, together; if that fails, each alone."""
        lazy = tuple(self._lazy.values())
        if not lazy:
            self._lazy_due_s = math.inf
        if not writes and (not lazy or anyio.current_time() < self._lazy_due_s):
            return
        # Idle cursors first: of one account, what is asked for now is newer.
        batches = [*lazy, *(batch for write in writes for batch in write.batches)]
        try:
            answers = iter(await self._committed(batches))
        except StoreError as error:
            if lazy and self._lazy_due_s <= anyio.current_time():
                self._lazy_due_s = anyio.current_time() + LAZY_S
            if not writes:
                logger.warning("%d cursors cannot be written yet: %s", len(lazy), error)
            elif len(writes) == 1 and not lazy:
                writes[0].fail(error)
            else:
                for write in writes:
                    await self._commit_alone(write)
            return
        for batch in lazy:
            next(answers)
            if self._lazy.get(batch.account) is batch:
                del self._lazy[batch.account]
        self._lazy_due_s = anyio.current_time() + LAZY_S if self._lazy else math.inf
        for write in writes:
            write.answers = [next(answers) for _ in write.batches]
            write.ended.set()

    async def _commit_alone(self, write: _Write) -> None:
        try:
            write.answers = await self._committed(write.batches)
        except StoreError as error:
            write.fail(error)
        else:
            write.ended.set()

    async def _committed(self, batches: Sequence[Batch]) -> list[Committed]:
        try:
            answers = await ask(self._run, self.store.commit, batches)
            if len(answers or ()) != len(batches):
                raise StoreError("the store did not say what became of each batch")
        except StorageFull:  # which is one account's trouble
            raise
        except SessionFSMError as error:
            self._well = False
            raise _as_store_error(error) from None
        self._well = True
        return answers

    async def _look(self) -> None:
        if anyio.current_time() < self._look_due_s:
            return
        self._look_due_s = anyio.current_time() + LOOK_S if self._listeners else math.inf
        try:
            changed = await ask(self._run, self.store.changed)
        except SessionFSMError:
            return  # whoever needs the store will say so
        if changed:
            for listener in tuple(self._listeners.values()):
                listener()


def _nothing() -> None:
    """What a store's thread has done before it is done when this is."""


def _as_store_error(error: SessionFSMError) -> StoreError:
    """Return the error, as what a store says it raises: one that raises another must not end the writer of all."""
    return error if isinstance(error, StoreError) else StoreError(f"the store raised {type(error).__name__}: {error}")
