"""The writer: what sessions want written goes to the store together, and nobody suffers for another's trouble."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sessionfsm import AccountInUse, MemoryStore, Secret, StorageFull, StoreError
from sessionfsm.store import Batch, Committed, Incoming, StoreWriter, run_inline
from sessionfsm.store.writer import LAZY_S, LOOK_S, MARK_S, Marks
from sessionfsm.testing import backend_options

pytestmark = pytest.mark.anyio

A, B, C = "a@im.bot", "b@im.bot", "c@im.bot"
DISK_S = 0.01


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return backend_options(request.param)


def batch(account: str, *keys: str, cursor: str | None = None) -> Batch:
    messages = tuple(Incoming(key=key, sender="u@im.wechat", body=b"{}") for key in keys)
    return Batch(account=account, cursor=Secret(cursor) if cursor else None, messages=messages)


class Disk(MemoryStore):
    """A store that others may change too, that counts its transactions, and refuses what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[list[Batch]] = []
        self.marks: list[list[int]] = []
        self.broken = False
        self.full: set[str] = set()
        self.news = False

    @property
    def shared(self) -> bool:
        return True

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        if self.broken:
            raise StoreError("the disk is broken")
        if full := self.full & {batch.account for batch in batches}:
            raise StorageFull(f"no room for {', '.join(full)}")
        self.commits.append(list(batches))
        return super().commit(batches)

    def done(self, numbers: Sequence[int]) -> None:
        if self.broken:
            raise StoreError("the disk is broken")
        self.marks.append(list(numbers))
        super().done(numbers)

    def changed(self) -> bool:
        news, self.news = self.news, False
        return news


class InOrder:
    """Calls a store one call after the other, as a thread does."""

    in_order = True

    def __init__(self, call: Callable[..., Awaitable[Any]]) -> None:
        self._call = call

    async def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await self._call(function, *args, **kwargs)


@InOrder
async def slowly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A disk that takes its time."""
    await anyio.sleep(DISK_S)
    return function(*args, **kwargs)


def soon() -> float:
    return anyio.current_time() + 5.0


async def test_what_many_sessions_commit_meanwhile_goes_in_one_transaction() -> None:
    """A hundred sessions need two transactions: the first, and one for all that came while it was on its way."""
    disk = Disk()
    async with StoreWriter(disk, slowly) as writer, anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(lambda number=number: writer.commit([batch(f"{number}@im.bot", "m")], by=soon()))
            if number == 0:
                await anyio.sleep(DISK_S / 2)
    assert [len(batches) for batches in disk.commits] == [1, 99]
    assert all(len(disk.pending(f"{number}@im.bot")) == 1 for number in range(100))


async def test_a_commit_that_nothing_stands_before_is_at_the_store_at_once() -> None:
    """The message's handler waits for it: nobody else has a turn on its way there."""
    events: list[str] = []

    async def other() -> None:
        events.append("another task")

    @InOrder
    async def note(function: Callable[..., Any], *args: Any) -> Any:
        events.append("the store")
        return await slowly(function, *args)

    async with StoreWriter(Disk(), note) as writer, anyio.create_task_group() as group:
        await anyio.sleep(DISK_S)
        group.start_soon(other)
        await writer.commit([batch(A, "m")], by=soon())
    assert events == ["the store", "another task"]


async def test_marks_of_many_handlers_go_together() -> None:
    """One call of the store for all that returned meanwhile."""
    disk = Disk()
    disk.commit([batch(A, *map(str, range(10)))])
    async with StoreWriter(disk, slowly) as writer, anyio.create_task_group() as group:
        for number in range(1, 11):
            group.start_soon(writer.done, [number])
    assert sorted(number for numbers in disk.marks for number in numbers) == list(range(1, 11))
    assert len(disk.marks) <= 2
    assert disk.pending(A) == []


def handled(*numbers: int) -> Marks:
    marks = Marks()
    marks.waiting += numbers
    return marks


async def test_marks_wait_for_a_moment_or_for_one_that_somebody_waits_for() -> None:
    """Those of many sessions go together, 10 ms later at most; a commit, for which a session waits, goes first."""
    disk = Disk()
    disk.commit([batch(A, *map(str, range(10)))])
    one, two = handled(1, 2), handled(3)
    async with StoreWriter(disk, slowly) as writer:
        assert writer.soon(one)
        assert writer.soon(two)
        await anyio.sleep(MARK_S / 2)
        one.waiting.append(4)
        assert writer.soon(one)
        assert disk.marks == []
        await anyio.sleep(MARK_S / 2 + DISK_S + 0.001)
        assert disk.marks == [[1, 2, 4, 3]]
        assert len(one) == len(two) == 0
        one.waiting.append(5)
        assert writer.soon(one)
        await writer.commit([batch(B, "m")], by=soon())
        assert disk.marks[1:] == []
        await anyio.sleep(MARK_S + DISK_S + 0.001)
        assert disk.marks[1:] == [[5]]
        two.waiting.append(6)
        assert writer.soon(two)
        await writer.done([])  # who wants no more than to be sure
        assert disk.marks[2:] == [[6]]


async def test_marks_that_were_kept_for_later_do_not_keep_others_from_their_time() -> None:
    """A session that was cut off leaves its marks for when the store is well; those of all others wait 10 ms."""
    disk = Disk()
    async with StoreWriter(disk, slowly) as writer:
        kept, marks = Marks(), Marks()
        kept.waiting.append(1)
        writer.keep(kept)
        assert writer.soon(marks)
        marks.waiting.append(2)
        await anyio.sleep(MARK_S + 2 * DISK_S)
    assert disk.marks == [[1, 2]]


async def test_marks_that_could_not_be_written_are_kept_and_nobody_relies_on_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While the store is in trouble each handler's return finds it out; what waits is tried again by itself."""
    disk = Disk()
    disk.commit([batch(A, *map(str, range(10)))])
    marks = handled(1)
    async with StoreWriter(disk, slowly) as writer:
        disk.broken = True
        assert writer.soon(marks)
        await anyio.sleep(1)
        assert "1 handled messages could not be marked" in caplog.text
        assert (marks.waiting, len(marks)) == ([1], 1)
        assert not writer.soon(marks)
        disk.broken = False
        await anyio.sleep(LAZY_S)
        assert disk.marks == [[1]]
        assert writer.soon(marks)


async def test_a_full_disk_is_said_once_and_not_for_each_handler_that_returns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its beginning is a line and its end is one, also where the store is called in place."""
    for run in (slowly, run_inline):
        caplog.clear()
        disk = Disk()
        disk.commit([batch(A, *map(str, range(10)))])
        async with StoreWriter(disk, run) as writer:
            disk.broken = True
            for number in range(1, 10):
                with pytest.raises(StoreError):
                    await writer.done([number])
                if run is slowly:
                    await writer.done([])  # which says nothing of the disk
            disk.broken = False
            await writer.done([1])
            await writer.done([2])
        said = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert len(said) == 2
        assert said[0].startswith("1 handled messages could not be marked, will try again: ")
        assert said[1] == "handled messages can be marked again"


async def test_where_a_mark_costs_nothing_it_does_not_wait_nor_without_the_writers_task() -> None:
    """A store that is called in place is told at once, and so is any store when nobody would do it later."""
    disk = Disk()
    disk.commit([batch(A, "1")])
    late = StoreWriter(disk, slowly)
    assert not late.soon(handled(1))
    async with StoreWriter(disk, run_inline) as writer:
        assert not writer.soon(handled(1))
        await writer.done([1])
    marks = handled(1)
    async with late:
        assert late.soon(marks)
    assert not late.soon(marks)
    assert marks.waiting == [1]


async def test_idle_cursors_wait_for_company_or_five_seconds() -> None:
    """They go with the next batch of anybody; alone, once in five seconds, the newest of each account."""
    disk = Disk()
    async with StoreWriter(disk, slowly) as writer:
        assert writer.later(batch(A, cursor="a1"))
        assert writer.later(batch(B, cursor="b1"))
        await anyio.sleep(LAZY_S / 2)
        assert disk.commits == []
        await writer.commit([batch(C, "m", cursor="c1")], by=soon())
        assert (disk.cursor(A), disk.cursor(B), disk.cursor(C)) == (Secret("a1"), Secret("b1"), Secret("c1"))
        for number in range(2, 40):
            assert writer.later(batch(A, cursor=f"a{number}"))
            await anyio.sleep(1.0)
        assert 1 + 38 // (LAZY_S + 1) <= len(disk.commits) <= 1 + 38 / LAZY_S
        await writer.flush(A, by=soon())
        assert disk.cursor(A) == Secret("a39")
        commits = len(disk.commits)
        await anyio.sleep(3 * LAZY_S)
        assert len(disk.commits) == commits


async def test_a_cursor_that_waited_never_overwrites_a_newer_one() -> None:
    """What an account commits itself is newer than what waited."""
    disk = Disk()
    async with StoreWriter(disk, slowly) as writer:
        writer.later(batch(A, cursor="old"))
        await writer.commit([batch(A, "m", cursor="new")], by=soon())
        await anyio.sleep(2 * LAZY_S)
    assert disk.cursor(A) == Secret("new")


async def test_a_cursor_that_waited_never_overwrites_a_newer_one_that_went_alone() -> None:
    """Nor when the whole group could not be written, for another's sake."""
    disk = Disk()
    disk.full = {A}

    async def commit_more() -> None:
        with pytest.raises(StorageFull):
            await writer.commit([batch(A, "m")], by=soon())

    async with StoreWriter(disk, slowly) as writer:
        writer.later(batch(B, cursor="old"))
        async with anyio.create_task_group() as group:
            group.start_soon(commit_more)
            await writer.commit([batch(B, "m", cursor="new")], by=soon())
        await anyio.sleep(2 * LAZY_S)
    assert disk.cursor(B) == Secret("new")


async def test_a_cursor_that_waited_is_not_brought_back_by_a_session_that_left_in_its_commit() -> None:
    """The commit goes on to its end; nobody is there to hear that what went with it is written."""
    disk = Disk()

    @InOrder
    async def goes_on(function: Callable[..., Any], *args: Any) -> Any:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(DISK_S)
            answer = function(*args)
        await anyio.lowlevel.checkpoint()
        return answer

    async with StoreWriter(disk, goes_on) as writer:
        await anyio.sleep(1)
        writer.later(batch(A, cursor="old"))
        with anyio.move_on_after(DISK_S / 2) as left:
            await writer.commit([batch(A, cursor="new")], by=math.inf)
        assert left.cancelled_caught
        assert disk.cursor(A) == Secret("new")
        await anyio.sleep(3 * LAZY_S)
    assert disk.cursor(A) == Secret("new")


async def test_what_calls_a_store_in_no_order_is_given_one_commit_at_a_time() -> None:
    """Threads of a pool overtake each other: a commit whose session has left would come after the one that follows."""
    disk, began = Disk(), list[str]()

    async with anyio.create_task_group() as pool:

        async def in_some_thread(function: Callable[..., Any], *args: Any) -> Any:
            answers: list[Any] = []
            ended = anyio.Event()

            async def perform() -> None:
                if args:
                    began.append(args[0][0].cursor.reveal())
                    await anyio.sleep(10 if args[0][0].cursor == Secret("first") else 1)
                answers.append(function(*args))
                ended.set()

            pool.start_soon(perform)
            await ended.wait()
            return answers[0]

        async with StoreWriter(disk, in_some_thread) as writer:
            await anyio.sleep(1)
            with pytest.raises(StoreError, match="in time"):
                await writer.commit([batch(A, "m", cursor="first")], by=anyio.current_time() + 2)
            await writer.commit([batch(A, "m", "n", cursor="second")], by=anyio.current_time() + 100)
    assert began == ["first", "second"]
    assert disk.cursor(A) == Secret("second")


@pytest.mark.parametrize("answer", [[], None, AccountInUse(A)], ids=["too few", "nothing", "another error"])
async def test_a_store_that_answers_nonsense_ends_nobody(answer: Any) -> None:
    """Whoever asked is told, and the writer of all goes on."""
    disk = Disk()

    async def lie(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer if function == disk.commit else function(*args, **kwargs)

    async with StoreWriter(disk, lambda *args, **kwargs: run(*args, **kwargs)) as writer:
        run: Any = lie
        with pytest.raises(StoreError):
            await writer.commit([batch(A, "m")], by=soon())
        run = slowly
        await writer.commit([batch(A, "m")], by=soon())
        await writer.done([1])
    assert disk.pending(A) == []


async def test_whoever_waits_when_the_writer_ends_is_told() -> None:
    """Also if the write was on its way: nobody comes back from it."""
    told: list[StoreError] = []

    async def never(*_: Any, **__: Any) -> Any:
        await anyio.sleep_forever()

    async def mark(number: int) -> None:
        try:
            await writer.done([number])
        except StoreError as error:
            told.append(error)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group, StoreWriter(Disk(), never) as writer:
            group.start_soon(mark, 1)
            await anyio.sleep(1)
            group.start_soon(mark, 2)
            await anyio.sleep(1)
    assert len(told) == 2


async def test_one_accounts_trouble_is_nobody_elses() -> None:
    """Of a group that fails each share is tried alone: the full account is told, the others are committed."""
    disk = Disk()
    disk.full = {A}
    told: list[StoreError] = []

    async def commit(account: str) -> None:
        try:
            await writer.commit([batch(account, "m")], by=soon())
        except StoreError as error:
            told.append(error)

    async with StoreWriter(disk, slowly) as writer:
        async with anyio.create_task_group() as group:
            for account in (A, B, C):
                group.start_soon(commit, account)
        assert [type(error) for error in told] == [StorageFull]
        assert len(disk.pending(B)) == len(disk.pending(C)) == 1
        assert writer.later(batch(B, cursor="b")), "one account's bound is not the disk's trouble"


async def test_a_broken_disk_is_found_out_by_idle_polls_too(caplog: pytest.LogCaptureFixture) -> None:
    """A cursor that cannot be written says so, and idle polls do not go on as if nothing were; nothing is forgotten."""
    disk = Disk()
    async with StoreWriter(disk, slowly) as writer:
        disk.broken = True
        assert writer.later(batch(A, cursor="a1"))
        await anyio.sleep(LAZY_S + 1)
        assert "cannot be written" in caplog.text
        assert not writer.later(batch(A, cursor="a2"))
        with pytest.raises(StoreError, match="broken"):
            await writer.commit([batch(A, cursor="a2")], by=soon())
        with pytest.raises(StoreError, match="broken"):
            await writer.done([1])
        disk.broken = False
        await writer.commit([batch(B, "m")], by=soon())
        assert disk.cursor(A) == Secret("a1")
        assert writer.later(batch(A, cursor="a3"))


async def test_who_gives_up_waiting_is_not_written_unless_it_had_begun() -> None:
    """By its deadline, or cancelled: a batch that nobody waits for is not committed behind its session's back."""
    disk = Disk()

    async def stuck(function: Callable[..., Any], *args: Any) -> Any:
        await anyio.sleep(100)
        return function(*args)

    async with StoreWriter(disk, stuck) as writer, anyio.create_task_group() as group:
        group.start_soon(lambda: writer.commit([batch(A, "begun")], by=anyio.current_time() + 200))
        await anyio.sleep(1)
        with pytest.raises(StoreError, match="in time"):
            await writer.commit([batch(B, "late")], by=anyio.current_time() + 2)
        with anyio.move_on_after(2):
            await writer.commit([batch(C, "cancelled")], by=anyio.current_time() + 50)
    assert [[one.account for one in batches] for batches in disk.commits] == [[A]]


async def test_who_gives_up_while_marks_are_written_is_not_written_afterwards() -> None:
    """A batch that waits for marks on their way has not begun: its account may be somebody else's by then."""
    disk = Disk()

    async def stuck(function: Callable[..., Any], *args: Any) -> Any:
        await anyio.sleep(100)
        return function(*args)

    async with StoreWriter(disk, stuck) as writer:
        assert writer.soon(handled(1))
        await anyio.sleep(2 * MARK_S)
        with anyio.move_on_after(10):
            await writer.commit([batch(A, "given up", cursor="old")], by=anyio.current_time() + 50)
        await writer.commit([batch(B, "waited for")], by=anyio.current_time() + 500)
    assert disk.marks == [[1]]
    assert [[one.account for one in batches] for batches in disk.commits] == [[B]]


async def test_behind_a_write_whose_session_has_left_nothing_begins_that_may_be_given_up() -> None:
    """A store that hangs has one write on its way, and when it goes on it does only what is still waited for."""
    disk, calls = Disk(), anyio.Lock()

    @InOrder
    async def in_its_thread(function: Callable[..., Any], *args: Any) -> Any:
        """One call after the other; it goes on to its end though nobody waits for that, if it has begun."""
        answers: list[Any] = []
        ended, wanted = anyio.Event(), [True]

        async def perform() -> None:
            async with calls:
                if wanted[0]:
                    await anyio.sleep(100)
                    answers.append(function(*args))
                    ended.set()

        thread.start_soon(perform)
        try:
            await ended.wait()
        finally:
            wanted[0] = False
        return answers[0]

    async with anyio.create_task_group() as thread, StoreWriter(disk, in_its_thread) as writer:
        with pytest.raises(StoreError, match="in time"):
            await writer.commit([batch(A, "begun")], by=anyio.current_time() + 1)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: writer.commit([batch(B, "waited for")], by=anyio.current_time() + 500))
            with anyio.move_on_after(2):
                await writer.commit([batch(C, "given up")], by=math.inf)
    assert [[one.account for one in batches] for batches in disk.commits] == [[A], [B]]


async def test_without_its_task_every_write_goes_alone() -> None:
    """Before it works, and after: a handler that returns late is marked all the same."""
    disk = Disk()
    writer = StoreWriter(disk, slowly)
    assert not writer.later(batch(A, cursor="a1"))
    await writer.commit([batch(A, "m")], by=soon())
    async with writer:
        pass
    await writer.done([1])
    assert disk.pending(A) == []


async def test_what_another_process_opens_is_noticed() -> None:
    """Whoever listens is told within five seconds, and not after it has stopped to."""
    disk = Disk()
    heard: list[str] = []
    async with StoreWriter(disk, slowly) as writer:
        stop = writer.listen(lambda: heard.append("x"))
        await anyio.sleep(LOOK_S * 3)
        assert heard == []
        disk.news = True
        await anyio.sleep(LOOK_S * 1.5)
        assert heard == ["x"]
        stop()
        disk.news = True
        await anyio.sleep(LOOK_S * 3)
    assert heard == ["x"]
