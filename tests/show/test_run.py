"""A run as values: what a picture shows is what the records say, and nothing is left out."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from dataclasses import replace

import anyio
import pytest

from sessionfsm import DefinitionError, Session, TraceError
from sessionfsm.errors import ILinkError
from sessionfsm.lifecycle import Machine
from sessionfsm.session import Quiet, Record, SendRecord
from sessionfsm.show import Run, read_run, run_diagram, run_from, run_of
from sessionfsm.testing import Bench, faults, run
from sessionfsm.trace import check_trace, read_trace
from tests.trace.recorded import everything, parsed, recorded, unparsed, whole_run


@pytest.fixture(scope="module")
def whole() -> Run:
    return read_run(io.BytesIO(whole_run()))


def records(data: bytes) -> list[Record]:
    return [line for _, line in read_trace(io.BytesIO(data)) if isinstance(line, Record)]


def test_the_run_is_all_there(whole: Run) -> None:
    """Every record is a step, every request a request, every wait a wait; the figures are those of the check."""
    (report,) = check_trace(io.BytesIO(whole_run())).runs
    kinds = Counter(request.kind for request in whole.requests)
    assert len(whole.steps) == report.records
    assert (kinds["poll"], kinds["renew"], kinds["close"]) == (report.polls, report.renewals, 1)
    assert sum(request.news for request in whole.requests) == report.messages
    assert len(whole.waits) == report.waits
    assert (whole.from_s, whole.until_s, whole.end, whole.whole) == (0.0, report.duration_s, "closed", True)


def test_somewhere_the_session_is_at_every_moment(whole: Run) -> None:
    """The stays follow each other without a gap, and no two of one state."""
    assert whole.stays[0].from_s == 0.0
    assert whole.stays[-1].until_s == whole.until_s
    for before, after in zip(whole.stays, whole.stays[1:], strict=False):
        assert before.until_s == after.from_s
        assert before.state != after.state
    assert whole.state == "stopped"


def test_a_wait_lasts_as_long_as_it_was_to_last_unless_it_was_cut(whole: Run) -> None:
    cut = [wait for wait in whole.waits if wait.cut]
    assert len(cut) == 1  # the wake at the end of the story
    for wait in whole.waits:
        assert wait.planned_s is not None
        length = wait.until_s - wait.from_s
        assert length < wait.planned_s if wait.cut else length == pytest.approx(wait.planned_s)


def test_every_step_took_an_arc_of_the_table_that_leads_where_it_led(whole: Run) -> None:
    arcs = {arc.id: arc for arc in whole.diagram.arcs}
    for step in whole.steps:
        arc, record = arcs[step.arc], step.record
        assert (arc.trigger, arc.source, arc.target, arc.reason) == (
            record.trigger,
            record.source,
            record.target,
            record.reason,
        )


def test_an_arc_that_the_table_does_not_have_is_named() -> None:
    lines = parsed(whole_run())
    lines[5]["target"] = "stopped"
    with pytest.raises(DefinitionError, match=r"record 5: the table 'session' has no arc from 'active' to 'stopped'"):
        read_run(io.BytesIO(unparsed(lines)))


@pytest.mark.parametrize(
    ("cell", "told", "why"),
    [
        ("raised", ["made up"], r"record 5: the table 'session' has no signal 'made up'"),
        ("cleared", [""], r"record 5: the table 'session' has no signal ''"),
        ("raised", ["login_required"] * 2, r"record 5: a signal stands there twice"),
    ],
)
def test_signals_that_no_session_raises_are_refused(cell: str, told: list[str], why: str) -> None:
    """A file that makes up a signal in each of its records would make a page without an end."""
    lines = parsed(whole_run())
    lines[5][cell] = told
    with pytest.raises(DefinitionError, match=why):
        read_run(io.BytesIO(unparsed(lines)))


def test_neither_are_they_remembered_from_before_a_stretch() -> None:
    """A stretch tells what was up before it, and a file cannot make up what that was."""
    lines = parsed(whole_run())
    lines[5]["raised"] = ["made up"]
    with pytest.raises(DefinitionError, match=r"before the stretch: the table 'session' has no signal 'made up'"):
        read_run(io.BytesIO(unparsed(lines)), from_s=60.0)


def test_a_stretch_is_what_a_part_of_the_whole_is(whole: Run) -> None:
    """Whether a file is read in part, or a run that was read whole is cut, comes to the same."""
    for begin, end in ((100.0, 200.0), (0.0, 61.5), (333.3, math.inf)):
        read = read_run(io.BytesIO(whole_run()), from_s=begin, until_s=end)
        cut = whole.between(begin, end)
        assert (read.steps, read.stays, read.requests, read.waits) == (cut.steps, cut.stays, cut.requests, cut.waits)
        assert (read.from_s, read.until_s, read.whole) == (cut.from_s, cut.until_s, cut.whole)
        assert sum(stay.until_s - stay.from_s for stay in cut.stays) == pytest.approx(cut.until_s - cut.from_s)


def test_where_nothing_of_the_run_lies_it_is_said() -> None:
    with pytest.raises(DefinitionError, match=r"nothing between 5000 s and 6000 s: it is told from .* s to 64"):
        read_run(io.BytesIO(whole_run()), from_s=5000, until_s=6000)


def test_which_run() -> None:
    """The last one in the file, unless another is asked for."""
    second = parsed(whole_run())
    second[0]["account"] = second[1]["account"] = "other@im.bot"
    data = whole_run() + unparsed(second)
    assert read_run(io.BytesIO(data)).account == "other@im.bot"
    assert read_run(io.BytesIO(data), number=1).account == "0a1b2c3d4e5f@im.bot"
    with pytest.raises(TraceError, match="has 2 runs, and no run 3"):
        read_run(io.BytesIO(data), number=3)


def test_how_it_ends() -> None:
    lines = whole_run().splitlines(keepends=True)
    assert read_run(io.BytesIO(b"".join(lines[:9]))).end == "open"
    assert read_run(io.BytesIO(b"".join(lines[:9]) + lines[9][:40])).end == "torn"
    mark = b'{"kind":"broken_off","at_s":1.0,"why":"No space left on device"}\n'
    broken = read_run(io.BytesIO(b"".join(lines[:9]) + mark))
    assert (broken.end, broken.why, broken.state) == ("broken_off", "No space left on device", "active")


def test_a_run_that_is_too_long_is_drawn_in_parts() -> None:
    with pytest.raises(TraceError, match=r"more than 20 records; draw a part of it"):
        read_run(io.BytesIO(whole_run()), most=20)
    assert len(read_run(io.BytesIO(whole_run()), most=20, until_s=60.0).steps) < 20


def test_a_stretch_has_the_sends_that_reach_into_it() -> None:
    """One that ended before it, or began after it, is none of its own, and does not count for the bound either."""
    lines = parsed(whole_run())
    began = lines[0]["at_s"]
    send = {"kind": "send", "account": "a", "state": "active", "failed": "", "detail": ""}
    times = [(5.0, 1.0), (9.0, 4.0), (30.0, 1.0), *[(70.0, 1.0)] * 50]
    lines[-1:-1] = [{**send, "started_s": began + at, "held_s": held} for at, held in times]
    drawn = read_run(io.BytesIO(unparsed(lines)), most=20, from_s=10.0, until_s=60.0)
    assert [each.from_s for each in drawn.sends] == pytest.approx([9.0, 30.0])


def test_a_run_with_too_many_sends_is_told_so() -> None:
    """It is the sends that are too many, and not the records."""
    send = b'{"kind":"send","account":"a","started_s":0.0,"held_s":1e9,"state":"active","failed":"","detail":""}\n'
    lines = whole_run().splitlines(keepends=True)
    with pytest.raises(TraceError, match=r"more than 20 sends; draw a part of it"):
        read_run(io.BytesIO(b"".join(lines[:9]) + send * 21), most=20)


def test_what_was_sent_stands_on_record_and_in_the_run() -> None:
    """
    A text that went out, one that failed, one that was cancelled: each is there with the state it was sent in.

    Neither text nor user is on file.
    """

    async def story(bench: Bench) -> None:
        await bench.settle()
        session = bench.session
        await session.send_text("bo@im.wechat", "the secret plan")
        bench.apply(faults.Status(endpoint="sendmessage", status=502, times=1))
        with pytest.raises(ILinkError):
            await session.send_text("bo@im.wechat", "again")
        bench.apply(faults.Hang(endpoint="sendmessage"))
        with anyio.move_on_after(3.0):
            await session.send_text("bo@im.wechat", "and again")
        bench.apply(faults.Takeover(for_s=40))
        await anyio.sleep(25)
        assert session.state == "backoff"
        await session.send_text("bo@im.wechat", "still")
        live = run_of(session)
        assert [(send.state, bool(send.failed)) for send in live.sends] == [
            ("active", False),
            ("active", True),
            ("active", True),
            ("backoff", False),
        ]
        assert live.sends[2].until_s - live.sends[2].from_s == pytest.approx(3.0)
        assert [send.detail for send in session.sends] == ["", "sendmessage: HTTP status 502", "", ""]

    data = run(lambda: recorded(story))
    drawn = read_run(io.BytesIO(data))
    assert [send.failed for send in drawn.sends] == ["", "StatusError", drawn.sends[2].failed, ""]
    assert b"secret plan" not in data
    assert b"bo@im.wechat" not in data
    (report,) = check_trace(io.BytesIO(data)).runs
    assert (report.sends, report.sends_failed) == (4, 2)


def test_what_the_server_says_of_a_send_is_not_told() -> None:
    """A server may name the user, or repeat the text, when it refuses; neither is kept, on file nor in memory."""

    async def story(bench: Bench) -> None:
        await bench.settle()
        echo = "no user bo@im.wechat for: the secret plan"
        for code in (-14, -2, -1):
            bench.apply(faults.Code(endpoint="sendmessage", code=code, errmsg=echo, times=1))
            with pytest.raises(ILinkError):
                await bench.session.send_text("bo@im.wechat", "the secret plan")
        told = [send.detail for send in bench.session.sends]
        assert [re.sub(r"[a-z ]+", "", words) for words in told] == [":(-14)", ":(-2)", ":(-1)"]

    data = run(lambda: recorded(story))
    assert b"secret plan" not in data
    assert b"bo@im.wechat" not in data


def test_a_send_observer_that_raises_changes_nothing_for_the_send() -> None:
    class Broken:
        def __call__(self, record: Record) -> None: ...

        def sent(self, send: SendRecord) -> None:
            raise ValueError(f"broken by {send.account}")

    async def read(session: Session) -> None:
        async for _ in session:
            pass

    async def main() -> None:
        async with Bench(read, observers=[Broken()]) as bench:
            await bench.settle()
            assert (await bench.session.send_text("bo@im.wechat", "hello")).client_id
            assert len(bench.session.sends) == 1

    run(main)


def test_a_live_session_whose_beginning_is_forgotten() -> None:
    """The history keeps the last records only; the run is told from there on, and says that it is not whole."""

    async def read(session: Session) -> None:
        async for _ in session:
            pass

    async def main() -> None:
        async with Bench(read, history=10) as bench:
            await everything(bench)
            await bench.settle()
            live = run_of(bench.session)
            assert (live.whole, live.end, len(live.steps), live.state) == (False, "open", 10, "active")
            assert live.from_s == 0.0
            assert live.stays[0].state in (live.steps[0].record.source, live.steps[0].record.target)

    run(main)


def test_quiet_polls_are_there_though_they_are_only_counted() -> None:
    """They are one mark that says how many, and their arc is counted as often."""
    kept = [record for record in records(whole_run()) if record.trigger != "polled"]
    at = next(number for number, record in enumerate(kept) if record.source == "active")
    quiet = Quiet(
        polls=12, first_started_s=kept[at].at_s - 300, last_started_s=kept[at].at_s - 30, longest_gap_s=30, news=2,
        since_news=1,
    )  # fmt: skip
    kept[at] = replace(kept[at], quiet=quiet)
    drawn = run_from(kept, Machine())
    (mark,) = [request for request in drawn.requests if request.polls > 1]
    assert (mark.polls, mark.news, mark.good, mark.kind) == (12, 2, True, "poll")
    assert drawn.steps[at].quiet_arc == "arc-active-polled-active"
    assert {arc.id: arc.taken for arc in run_diagram(drawn).arcs}["arc-active-polled-active"] == 12


def test_a_live_session_that_waits_is_drawn_until_now() -> None:
    """What it does at this moment is what one wants to see: here it waits."""

    async def read(session: Session) -> None:
        async for _ in session:
            pass

    async def main() -> None:
        async with Bench(read) as bench:
            await bench.settle()
            bench.apply(faults.Takeover(for_s=600))
            await anyio.sleep(300)
            last = bench.session.history[-1]
            waited_s = anyio.current_time() - last.at_s
            assert last.wait_s is not None
            assert 0 < waited_s < last.wait_s
            live = run_of(bench.session)
            wait = live.waits[-1]
            assert (wait.over, wait.cut, wait.planned_s) == (False, False, last.wait_s)
            assert wait.until_s == live.until_s == live.stays[-1].until_s
            assert wait.until_s - wait.from_s == pytest.approx(waited_s)
            assert live.state == "backoff"

    run(main)


def test_nothing_has_happened_yet() -> None:
    with pytest.raises(DefinitionError, match="nothing is on record yet"):
        run_from([], Machine())


def test_quiet_polls_that_no_record_tells_of_yet_are_in_the_picture_of_a_live_session() -> None:
    """A bot that has been quiet for hours polled all the time, and its picture says how often and until when."""

    async def read(session: Session) -> None:
        async for _ in session:
            pass

    async def main() -> None:
        async with Bench(read) as bench:
            await bench.settle()
            await anyio.sleep(7200)
            session = bench.session
            assert session.history[-1].at_s < anyio.current_time() - 7000
            live = run_of(session)
            (quiet,) = [request for request in live.requests if request.counted]
            assert sum(request.polls for request in live.requests if request.kind == "poll") == session.health().polls
            taken = {arc.id: arc.taken for arc in run_diagram(live).arcs}
            assert taken["arc-active-polled-active"] == session.health().polls
            assert live.until_s - quiet.until_s <= 71.0  # the last of them was held for 35 s, as the one that is out is
            # In a stretch that they reach into they are there as well, and before them they are not.
            assert live.between(3600, 3700).requests == (quiet,)
            assert not any(request.counted for request in live.between(0, 0.001).requests)
            # Where no loop is, they are the last that is known.
            elsewhere = await anyio.to_thread.run_sync(run_of, session)
            assert elsewhere.requests[-1].counted
            assert elsewhere.until_s == elsewhere.requests[-1].until_s
            # As soon as something happens they belong to its record.
            await session.stop()
            (quiet,) = [request for request in run_of(session).requests if request.counted]
            assert (quiet.number, quiet.quiet_arc) == (session.history[-2].number, "")

    run(main)


def test_a_signal_is_up_in_a_stretch_after_the_record_that_raised_it(whole: Run) -> None:
    """Who looks at the middle of the trouble sees that an operator was called."""
    raised = next(step for step in whole.steps if step.record.raised)
    cleared = next(step for step in whole.steps if step.at_s > raised.at_s and step.record.cleared)
    begin = (raised.at_s + cleared.at_s) / 2
    assert whole.up == ()
    for stretch in (whole.between(begin, math.inf), read_run(io.BytesIO(whole_run()), from_s=begin)):
        assert stretch.up == raised.record.raised
    assert whole.between(cleared.at_s + 0.001, math.inf).up == ()
    # A record that clears what none on record has raised says that it was up.
    later = [step.record for step in whole.steps if step.at_s > begin]
    assert run_from(later, Machine()).up == raised.record.raised


def test_a_live_session_that_has_forgotten_who_raised_a_signal_still_shows_it() -> None:
    async def read(session: Session) -> None:
        async for _ in session:
            pass

    async def main() -> None:
        async with Bench(read, history=3) as bench:
            await bench.settle()
            bench.apply(faults.Takeover(for_s=7200))
            await anyio.sleep(3600)
            session = bench.session
            assert session.signals
            assert not any(record.raised for record in session.history)
            assert set(run_of(session).up) == session.signals

    run(main)


def test_a_stretch_says_that_the_run_goes_on_and_the_account_that_it_had_then(whole: Run) -> None:
    """It is not a run that was killed; and after another login it is one of the other account."""
    assert whole.between(0, whole.until_s / 2).end == "cut"
    assert whole.between(1, math.inf).end == "closed"
    changed = [replace(step.record, account="second@im.bot") if step.at_s > 60 else step.record for step in whole.steps]
    both = run_from(changed, Machine())
    assert both.whose == f"{whole.account}, then second@im.bot"
    assert both.between(whole.until_s - 10, math.inf).whose == "second@im.bot"
    many = [replace(record, account=f"{record.number}@im.bot") for record in changed]
    assert run_from(many, Machine()).whose == f"1@im.bot, then {len(many) - 1} others"
