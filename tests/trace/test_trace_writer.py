"""``TraceWriter``: what is on file, what becomes of it when the disk is full, and what it refuses."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import logging
import os
import pty
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from sessionfsm import DefinitionError, Policy, Record, Session, TraceError, TraceWriter, check_trace
from sessionfsm.lifecycle import Close, Machine, Own, Poll
from sessionfsm.session import Quiet, SendRecord, Witness
from sessionfsm.testing import BENCH_TOKEN, Bench, FakeServer, faults
from sessionfsm.testing.bench import BENCH_URL
from sessionfsm.trace import BrokenOff, RunLine, Torn, read_trace

from .recorded import parsed, read, recorded, whole_run

pytestmark = pytest.mark.anyio


async def a_little(bench: Bench) -> None:
    bench.push()
    await bench.settle()


def records_of(trace: bytes | Path) -> list[Record]:
    source = io.BytesIO(trace) if isinstance(trace, bytes) else trace
    return [line for _, line in read_trace(source) if isinstance(line, Record)]


async def test_what_is_read_is_what_was_recorded() -> None:
    """Every record of a run comes back from the file as it was, the machine and the policy with it."""
    records: list[Record] = []
    file = io.BytesIO()
    policy = Policy(login_required_denials=2)
    with TraceWriter(file) as trace:
        async with Bench(policy=policy, observers=[trace, records.append]) as bench:
            bench.apply(faults.Takeover(for_s=30))
            bench.apply(faults.Status(endpoint="notifystart", status=502))
            await anyio.sleep(100)
    assert len(records) > 12
    assert records_of(file.getvalue()) == records
    _, begun = next(read_trace(io.BytesIO(file.getvalue())))
    assert isinstance(begun, RunLine)
    assert begun.policy == policy
    assert (begun.account, begun.table) == (bench.session.account, "session")
    assert not file.closed  # who opened it closes it


async def test_every_kind_of_command_and_counted_polls_come_back_as_they_were() -> None:
    """Also those that no run of the default table has."""
    first = records_of(whole_run())[0]
    own = Own(serial=3, name="look up", deadline_s=5.5, outcomes=("found", "missing"), otherwise="missing")
    quiet = Quiet(polls=3, first_started_s=1.0, last_started_s=41.5, longest_gap_s=20.25, news=2, since_news=1)
    records = [first, *(dataclasses.replace(first, number=2 + n) for n in range(5))]
    commands = (own, Poll(serial=4, pace_s=2.0, fresh=True), Close(serial=5, notify=False), None)
    for at, command in enumerate(commands, start=1):
        records[at] = dataclasses.replace(records[at], command=command, raised=("login_required",))
    records[5] = dataclasses.replace(records[5], quiet=quiet, cleared=("renewal_blocked", "login_required"))
    file = io.BytesIO()
    trace = TraceWriter(file)
    trace.begin_run(Machine())
    for record in records:
        trace(record)
    assert records_of(file.getvalue()) == records


async def test_a_terminal_that_was_halted_holds_nobody_up() -> None:
    """What takes no more is a trace that is broken off, and no wait."""
    ours, theirs = pty.openpty()
    trace = TraceWriter(os.ttyname(theirs))
    trace.begin_run(Machine())
    for record in records_of(whole_run()):  # nobody reads the other end, which takes some thousand bytes
        trace(record)
    assert trace.problem == "nobody takes what is written"
    trace.close()
    os.close(ours)
    os.close(theirs)


async def test_a_new_file_is_its_owners_and_an_old_one_is_gone_on_with(tmp_path: Path) -> None:
    """0600 whatever the umask; the second run comes after the first, which stays as it was."""
    path = tmp_path / "run.jsonl"
    before = os.umask(0)
    try:
        await recorded(a_little, target=path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_bytes()
    await recorded(a_little, target=str(path))
    assert path.read_bytes().startswith(first)
    report = check_trace(path)
    assert (report.verdict, report.run_count) == ("clean", 2)


async def test_one_writer_records_one_session_after_the_other(tmp_path: Path) -> None:
    """And refuses a second one before the first has ended."""
    path = tmp_path / "run.jsonl"
    with TraceWriter(path) as trace:
        for _ in range(2):
            async with Bench(observers=[trace]) as bench:
                await bench.settle()
                with pytest.raises(DefinitionError, match="has not ended; give each session its own trace"):
                    Session(token="x", observers=[trace])
    report = check_trace(path)
    assert (report.verdict, report.run_count) == ("clean", 2)


@pytest.mark.parametrize("cut", [1, 20, 400])
async def test_a_torn_last_line_is_known_as_such_and_gone_on_after(tmp_path: Path, cut: int) -> None:
    """What a killed process left: half a line. The next run begins on a line of its own."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(whole_run()[:-cut])
    report = check_trace(path)
    assert (report.verdict, report.runs[0].end) == ("unfinished", "torn" if cut > 1 else "closed") or cut == 1
    await recorded(a_little, target=path)
    report = check_trace(path)
    assert report.wrong == []
    assert report.run_count == 2
    torn = [number for number, line in read_trace(path) if isinstance(line, Torn)]
    assert torn == ([] if cut == 1 else [len(whole_run().splitlines())])
    assert report.verdict == ("clean" if cut == 1 else "unfinished")


async def test_the_first_line_may_be_torn_too(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(whole_run()[:50])
    await recorded(a_little, target=path)
    report = check_trace(path)
    assert (report.verdict, report.run_count) == ("clean", 1)


class Filling(io.BytesIO):
    """A file on a disk that has room for so many bytes, and for no half line."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


async def test_a_full_disk_is_said_once_and_harms_no_session(caplog: pytest.LogCaptureFixture) -> None:
    """The session lives on; the trace says where it breaks off, as soon as there is room to say so."""
    disk = Filling(8000)
    with caplog.at_level(logging.ERROR, "sessionfsm"), TraceWriter(disk) as trace:
        async with Bench(observers=[trace]) as bench:
            await everything_until(bench, lambda: trace.problem)
            assert trace.problem == "No space left on device"
            disk.room = 10**6
            await anyio.sleep(60)
            await bench.settle()
            assert bench.session.health().ready
    said = [line.getMessage() for line in caplog.records if "trace" in line.getMessage()]
    assert len(said) == 1
    assert "is broken off at record" in said[0]
    assert "No space left on device; the session goes on without it" in said[0]
    lines = [line for _, line in read_trace(io.BytesIO(disk.getvalue()))]
    assert [type(line) for line in lines].count(BrokenOff) == 1
    assert isinstance(lines[-1], BrokenOff)
    report = check_trace(io.BytesIO(disk.getvalue()))
    assert (report.verdict, report.runs[0].end, report.runs[0].why) == ("unfinished", "broken_off", trace.problem)
    assert report.runs[0].records == len(lines) - 2


async def test_the_next_session_is_recorded_again() -> None:
    """A writer whose file was full for one session records the next one, if there is room."""
    disk = Filling(5000)
    with TraceWriter(disk) as trace:
        async with Bench(observers=[trace]) as bench:
            await everything_until(bench, lambda: trace.problem)
        disk.room = 10**6
        async with Bench(observers=[trace]) as bench:
            assert trace.problem is None
            await bench.settle()
    assert [run.end for run in check_trace(io.BytesIO(disk.getvalue())).runs] == ["broken_off", "closed"]


async def everything_until(bench: Bench, condition: object) -> None:
    for _ in range(600):
        if callable(condition) and condition():
            return
        bench.apply(faults.Expire())
        await anyio.sleep(10)
    raise AssertionError("it did not come to that")


@contextlib.contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_half_a_line_is_taken_back(tmp_path: Path) -> None:
    """A real file that cannot grow: the system writes part of a line, and that part does not stay."""
    path = tmp_path / "run.jsonl"
    records = records_of(whole_run())
    with TraceWriter(path) as trace, no_file_longer_than(4000):
        trace.begin_run(Machine())
        for record in records:
            trace(record)
    assert trace.problem == "File too large"
    lines = [line for _, line in read_trace(path)]
    assert isinstance(lines[-1], BrokenOff)  # there was room for it where the half line had been
    assert records_of(path) == records[: len(lines) - 2]
    assert len(lines) > 3
    report = check_trace(path)
    assert (report.verdict, report.wrong) == ("unfinished", [])


async def test_it_can_be_gone_on_after_it_was_broken_off(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with TraceWriter(path) as trace, no_file_longer_than(4000):
        trace.begin_run(Machine())
        for record in records_of(whole_run()):
            trace(record)
    await recorded(a_little, target=path)
    report = check_trace(path)
    assert [run.end for run in report.runs] == ["broken_off", "closed"]


# --- what it refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"my diary\n", "is no trace of version 1; it is left as it is"),
        (b'{"token": "x"}\n', "is no trace of version 1; it is left as it is"),
        (b"\x00\x01\x02", "is no trace of version 1; it is left as it is"),
        (whole_run().split(b"\n")[1], "is no trace of version 1; it is left as it is"),
    ],
    ids=["text", "json", "binary", "a record without a run"],
)
async def test_a_file_that_is_no_trace_is_left_alone(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=words):
        TraceWriter(path)
    assert path.read_bytes() == content


async def test_what_cannot_be_opened_is_said_at_once(tmp_path: Path) -> None:
    """A folder, a folder that is missing, and a pipe, whose reader could hold up the session."""
    with pytest.raises(TraceError, match="cannot be opened: Is a directory"):
        TraceWriter(tmp_path)
    with pytest.raises(TraceError, match="cannot be opened: No such file"):
        TraceWriter(tmp_path / "missing" / "run.jsonl")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TraceError, match="pipe is no file; a session could be held up"):
        TraceWriter(tmp_path / "pipe")


async def test_two_writers_of_one_file_are_refused(tmp_path: Path) -> None:
    """Their lines would be mixed; the lock goes with the first one."""
    path = tmp_path / "run.jsonl"
    with TraceWriter(path), pytest.raises(TraceError, match="is written by another session"):
        TraceWriter(path)
    TraceWriter(path).close()


async def test_it_has_to_be_there_from_the_beginning(caplog: pytest.LogCaptureFixture) -> None:
    """An observer that comes later has missed the first line: it says how to do it, and writes nothing."""
    file = io.BytesIO()
    async with Bench() as bench:
        trace = TraceWriter(file)
        assert isinstance(trace, Witness)
        bench.session.observe(trace)
        bench.apply(faults.Expire())
        await bench.settle()
    assert "Session(observers=[trace])" in (trace.problem or "")
    assert caplog.text.count("is broken off") == 1
    assert file.getvalue() == b""


async def test_a_writer_that_was_closed_too_early_says_so(tmp_path: Path) -> None:
    trace = TraceWriter(tmp_path / "run.jsonl")
    async with Bench(observers=[trace]) as bench:
        await bench.settle()
        trace.close()
        trace.close()
        bench.apply(faults.Expire())
        await anyio.sleep(60)
        await bench.settle()
    assert "closed file" in (trace.problem or "")


async def test_two_sessions_at_once_are_noticed_even_if_both_were_made_before_either_began() -> None:
    """Their records would be mixed: the trace is broken off where the second one joins in."""
    file = io.BytesIO()
    trace = TraceWriter(file)
    first, second = Bench(observers=[trace]), Bench(observers=[trace])
    async with first as bench, second:
        await bench.settle()
    assert "two sessions at once" in (trace.problem or "")


# --- secrets ------------------------------------------------------------------------------------------------------


async def test_no_secret_stands_in_it() -> None:
    """Neither the token, nor a cursor, nor a context token, nor a message; not even in a server's error."""
    server, file = FakeServer(hold_s=5), io.BytesIO()
    secret = BENCH_TOKEN.partition(":")[2]
    with TraceWriter(file) as trace:
        async with Bench(read, server=server, observers=[trace]) as bench:
            bench.push("a word in confidence")
            bench.apply(faults.Expire())
            await bench.settle()
            body = f'{{"ret":-9,"errmsg":"bad token {BENCH_TOKEN} {secret}"}}'.encode()
            bench.apply(faults.Body(endpoint="getupdates", body=body))
            await anyio.sleep(20)
            await bench.settle()
            cursor = bench.session._driver.operations.cursor
            context = bench._store.context_token(bench.session.account, "ada@im.wechat")
    trace_text = file.getvalue().decode()
    assert "bad token" in trace_text
    assert cursor is not None
    assert secret not in trace_text
    assert cursor.reveal() not in trace_text
    assert context is None or context.reveal() not in trace_text
    assert "in confidence" not in trace_text
    assert all("message" not in line for line in parsed(file.getvalue()))


async def test_words_of_somebody_else_are_cut_and_stand_on_one_line() -> None:
    """A detail may be as long as it likes, and may not be text at all: neither breaks the trace."""
    records = records_of(whole_run())

    file = io.BytesIO()
    trace = TraceWriter(file)
    trace.begin_run(Machine())
    trace(dataclasses.replace(records[0], detail="a\nb \ud800 你好 " + "x" * 10_000))
    assert trace.problem is None
    (record,) = records_of(file.getvalue())
    assert record.detail.startswith("a\nb ? 你好 xxx")
    assert len(record.detail) == 500
    assert file.getvalue().count(b"\n") == 2


async def test_a_session_that_never_began_leaves_no_run(tmp_path: Path) -> None:
    """The file is there, and empty; the next session can use the writer."""
    path = tmp_path / "run.jsonl"
    server = FakeServer()
    async with httpx.AsyncClient(transport=server.transport()) as http:
        with TraceWriter(path) as trace:
            Session(token=BENCH_TOKEN, base_url=BENCH_URL, http=http, observers=[trace])
            async with Bench(observers=[trace]) as bench:
                await bench.settle()
    assert check_trace(path).verdict == "clean"


def test_sends_stand_between_the_records_of_their_run_and_can_be_read() -> None:
    """One before the first record, or after the last one, is not on file; foreign words are cut, and made UTF-8."""
    records = records_of(whole_run())
    send = SendRecord(
        account="a", started_s=1.0, held_s=0.5, state="active", failed="Refused", detail="\ud800" + "x" * 900
    )
    file = io.BytesIO()
    trace = TraceWriter(file)
    trace.sent(send)
    trace.begin_run(Machine())
    trace.sent(send)
    for record in records:
        trace(record)
        if record.number == 3:
            trace.sent(send)
    trace.sent(send)
    assert trace.problem is None
    lines = [line for _, line in read_trace(io.BytesIO(file.getvalue()))]
    assert [at for at, line in enumerate(lines) if isinstance(line, SendRecord)] == [4]
    assert lines[4] == dataclasses.replace(send, detail="?" + "x" * 499)
    assert len(lines) == len(records) + 2
