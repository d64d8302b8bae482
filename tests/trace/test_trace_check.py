"""``check_trace``: a run that was recorded is clean, and whatever is changed in it is found, on its line."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionfsm import Policy, TraceError
from sessionfsm.examples import quiet_hours
from sessionfsm.lifecycle import Machine
from sessionfsm.testing import Bench
from sessionfsm.verify import STATEMENTS

from .recorded import Lines, checked, everything, parsed, recorded, short_run, unparsed, whole_run

HOUR_S = 3600.0


@pytest.mark.anyio
async def test_a_recorded_run_is_clean() -> None:
    """On asyncio and on trio, whatever happens to a session, its trace is one that its machine allows."""
    report = checked(await recorded(everything))
    assert (report.verdict, report.wrong, report.notes) == ("clean", [], [])
    (run,) = report.runs
    assert run.end == "closed"
    assert run.signals == {"login_required", "renewal_blocked"}


def test_the_summary_counts_what_the_lines_say() -> None:
    """Held against the lines themselves, counted in another way."""
    lines = parsed(whole_run())
    records = lines[1:]
    (run,) = checked(whole_run()).runs
    assert (run.line, run.last_line, run.records) == (1, len(lines), len(lines) - 1)
    assert run.polls == sum(line["operation"] == "poll" and line["started_s"] is not None for line in records)
    assert run.good_polls == sum(line["trigger"] in ("polled", "hurried") for line in records)
    assert run.renewals == sum(line["operation"] == "renew" for line in records)
    assert run.renewals_failed == sum(line["trigger"] == "renewal_failed" for line in records) == 9
    assert run.requests == run.polls + run.renewals
    assert run.losses == sum(line["memory"]["expired"] and line["operation"] == "poll" for line in records)
    assert run.waits == sum((line["command"] or {}).get("kind") == "wait" for line in records)
    assert run.messages == 1
    assert run.duration_s == pytest.approx(lines[-1]["at_s"] - lines[1]["at_s"])
    starts = [line["started_s"] for line in records if line["started_s"] is not None]
    assert run.longest_gap_s == pytest.approx(max(b - a for a, b in itertools.pairwise(starts)))
    good = [records[0]["at_s"], *(line["at_s"] for line in records if line["trigger"] in ("polled", "hurried"))]
    assert run.longest_without_good_poll_s == pytest.approx(max(b - a for a, b in itertools.pairwise(good)))


def test_polls_that_were_only_counted_are_in_the_summary() -> None:
    """A trace of a session without a witness would have them: here they are put in by hand."""
    lines = parsed(whole_run())
    at = next(i for i, line in enumerate(lines) if line.get("number") == 9)
    assert [line["trigger"] for line in lines[at - 2 : at + 1]] == ["polled"] * 3
    first, second = (lines[at - shift]["started_s"] for shift in (1, 0))
    counted = {"polls": 2, "first_started_s": first, "last_started_s": second, "longest_gap_s": second - first}
    lines[at + 1]["quiet"] = {**counted, "news": 0, "since_news": 2}
    del lines[at - 1 : at + 1]
    for number, line in enumerate(lines[1:], start=1):
        line["number"] = number
    report = checked(lines)
    assert report.verdict == "clean"
    before, after = checked(whole_run()).runs[0], report.runs[0]
    assert (after.polls, after.good_polls, after.records) == (before.polls, before.good_polls, before.records - 2)


@pytest.mark.parametrize(
    ("said", "which"),
    [
        ({"polls": 2}, ["P6", "trace"]),
        ({"polls": 1, "since_news": 1}, ["P6", "trace"]),
        ({"polls": 2, "longest_gap_s": HOUR_S}, ["P6"]),
        ({"polls": 200, "since_news": 201}, ["trace"]),
        ({"polls": 200}, []),
    ],
    ids=str,
)
def test_polls_that_were_only_counted_hide_no_silence(said: dict[str, Any], which: list[str]) -> None:
    """An hour needs more polls than two, whatever is said of the longest time between them."""
    lines = parsed(short_run())
    at = next(i for i, line in enumerate(lines) if line["kind"] == "record" and line["trigger"] == "session_expired")
    started = lines[at - 1]["at_s"]
    counted = {"first_started_s": started, "last_started_s": started + HOUR_S - 20, "longest_gap_s": 20.0, "news": 0}
    lines[at]["quiet"] = quiet = {**counted, "since_news": 2, **said}
    for line in lines[at:]:
        line.update({name: line[name] + HOUR_S for name in ("at_s", "started_s") if line[name] is not None})
        if line["serial"] is not None:
            line["serial"] += quiet["polls"]
        if line["command"] is not None:
            line["command"]["serial"] += quiet["polls"]
    assert [wrong.property for wrong in checked(lines).wrong] == which


# --- what is tampered with is found ------------------------------------------------------------------------------

Tamper = Callable[[Lines], int]
"""Changes lines, and says which of them, counted from 1, must be the first that is wrong."""


def first(lines: Lines, **wanted: Any) -> int:
    """Return the index of the first line on which these keys have these values; ``command`` is its kind."""

    def fits(line: dict[str, Any]) -> bool:
        return all(
            ((line.get(key) or {}).get("kind") if key == "command" else line.get(key)) == value
            for key, value in wanted.items()
        )

    return next(at for at, line in enumerate(lines) if fits(line))


def changed(at: int, lines: Lines, **values: Any) -> int:
    lines[at].update(values)
    return at + 1


def later(lines: Lines, since: int, seconds: float) -> None:
    for line in lines[since:]:
        for key in ("at_s", "wall_s", "started_s"):
            if line.get(key) is not None:
                line[key] += seconds


def poll_without_renewal(lines: Lines) -> int:
    """The renewal after a loss is taken out: records, numbers and serials are whole without it."""
    at = first(lines, trigger="session_expired", command="renew")
    assert lines[at + 1]["trigger"] == "session_renewed"
    lines[at]["target"], lines[at]["command"] = (
        "active",
        {**lines[at + 1]["command"], "serial": lines[at]["serial"] + 1},
    )
    lines[at]["memory"] = lines[at + 1]["memory"]
    del lines[at + 1]
    for line in lines[at + 1 :]:
        line["number"] -= 1
        line["serial"] -= 1
        if line["command"]:
            line["command"]["serial"] -= 1
    return at + 1


def notifystart_not_called(lines: Lines) -> int:
    at = first(lines, trigger="session_expired", command="renew") + 1
    return changed(at, lines, started_s=None, held_s=None)


def wait_too_long(lines: Lines) -> int:
    return changed(first(lines, command="wait"), lines, wait_s=HOUR_S)


def wait_cut_short(lines: Lines) -> int:
    at = first(lines, trigger="retry_due")
    later(lines, at, -0.4)
    return at + 1


def two_operations(lines: Lines) -> int:
    return changed(first(lines, operation="renew"), lines, operation="poll")


def started_too_soon(lines: Lines) -> int:
    at = first(lines, trigger="session_renewed")
    return changed(at, lines, started_s=lines[at]["started_s"] - 1)


def impossible_trigger(lines: Lines) -> int:
    return changed(first(lines, trigger="silent"), lines, trigger="retry_due")


def state_renamed(lines: Lines) -> int:
    return changed(first(lines, trigger="silent"), lines, source="alive")


def goodbye_to_nobody(lines: Lines) -> int:
    at = first(lines, trigger="stop")
    lines[at]["command"]["notify"] = False
    return at + 1


def hour_of_silence(lines: Lines) -> int:
    at = first(lines, trigger="silent")
    later(lines, at, HOUR_S)
    return at + 1


def hour_of_waiting(lines: Lines) -> int:
    at = first(lines, trigger="retry_due")
    later(lines, at, HOUR_S)
    return at + 1


def endless_poll(lines: Lines) -> int:
    at = first(lines, trigger="silent")
    later(lines, at + 1, HOUR_S)
    lines[at]["at_s"] += HOUR_S
    lines[at]["held_s"] += HOUR_S
    return at + 1


def hour_without_a_good_poll(lines: Lines) -> int:
    """The batch of a poll is committed an hour late, and is called well all the same."""
    at = first(lines, trigger="session_renewed")
    later(lines, at + 1, 700.0)
    lines[at + 1]["started_s"] -= 700.0
    return at + 2


def other_rung(lines: Lines) -> int:
    at = first(lines, command="wait")
    lines[at]["command"]["rung_s"] = lines[at]["wait_s"] = 2.0
    return at + 1


def ladder_reset_by_a_renewal(lines: Lines) -> int:
    at = next(i for i, line in enumerate(lines) if line.get("trigger") == "session_renewed" and line["memory"]["waits"])
    lines[at]["memory"]["waits"] = 0
    return at + 1


def late_outcome(lines: Lines) -> int:
    at = first(lines, trigger="poll_failed")
    return changed(at, lines, serial=lines[at]["serial"] - 1)


def ends_by_itself(lines: Lines) -> int:
    at = first(lines, trigger="polled")
    return changed(at, lines, target="stopped", command=None)


def begins_with_a_poll(lines: Lines) -> int:
    command = {"kind": "poll", "serial": 1, "pace_s": 0.0, "fresh": False}
    return changed(first(lines, trigger="start"), lines, target="active", command=command)


def other_ladder(lines: Lines) -> int:
    at = first(lines, command="wait")
    lines[at]["command"].update(ladder="session", rung_s=5.0, first_s=5.0, ceiling_s=300.0)
    lines[at]["wait_s"] = 4.0
    return at + 1


def loss_forgotten(lines: Lines) -> int:
    at = first(lines, trigger="session_expired")
    lines[at]["memory"]["expired"] = False
    return at + 1


def pace_left_out(lines: Lines) -> int:
    at = first(lines, trigger="hurried")
    lines[at]["command"]["pace_s"] = 0.0
    return at + 1


def pace_not_kept(lines: Lines) -> int:
    at = first(lines, trigger="hurried") + 1
    later(lines, at, -0.9)
    return at + 1


def called_held(lines: Lines) -> int:
    """A poll that came back at once and with nothing is called a proper one."""
    at = first(lines, trigger="hurried")
    return changed(at, lines, trigger="polled", memory=lines[at - 1]["memory"], command=polls_on(lines[at]))


def polls_on(line: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "poll", "serial": line["command"]["serial"], "pace_s": 0.0, "fresh": False}


def trusted_loss_waits(lines: Lines) -> int:
    at = first(lines, trigger="session_expired", command="renew")
    wait = {"kind": "wait", "serial": lines[at]["command"]["serial"], "ladder": "session", "attempt": 1}
    wait |= {"rung_s": 5.0, "first_s": 5.0, "ceiling_s": 300.0}
    memory = {**lines[at]["memory"], "denials": 1}
    return changed(at, lines, target="backoff", command=wait, wait_s=5.0, memory=memory)


def needless_renewal(lines: Lines) -> int:
    at = first(lines, trigger="silent")
    command = {"kind": "renew", "serial": lines[at]["command"]["serial"], "deadline_s": 10.0}
    return changed(at, lines, target="recovering", command=command)


def three_hollow_are_nothing(lines: Lines) -> int:
    at = first(lines, trigger="hollow", target="recovering")
    command = {"kind": "poll", "serial": lines[at]["command"]["serial"], "pace_s": 4.0, "fresh": False}
    return changed(at, lines, target="active", command=command, memory=lines[at - 1]["memory"])


def signal_unheard(lines: Lines) -> int:
    at = next(i for i, line in enumerate(lines) if line.get("raised"))
    return changed(at, lines, raised=[])


def signal_out_of_nothing(lines: Lines) -> int:
    return changed(first(lines, trigger="polled"), lines, raised=["login_required"])


def close_takes_a_minute(lines: Lines) -> int:
    at = first(lines, trigger="closed")
    later(lines, at, 60.0)
    return at + 1


def dropped(lines: Lines) -> int:
    at = first(lines, trigger="poll_failed")
    del lines[at]
    return at + 1


def twice(lines: Lines) -> int:
    at = first(lines, trigger="poll_failed")
    lines.insert(at, copy.deepcopy(lines[at]))
    return at + 2


def dated_back(lines: Lines) -> int:
    at = first(lines, trigger="polled") + 1
    return changed(at, lines, at_s=0.0)


def other_account(lines: Lines) -> int:
    return changed(first(lines, trigger="polled"), lines, account="somebody@im.bot")


def other_account_in_front(lines: Lines) -> int:
    lines[0]["account"] = "somebody@im.bot"
    return 2


TAMPERED: list[tuple[str, Tamper]] = [
    ("P1", poll_without_renewal),
    ("P1", notifystart_not_called),
    ("P2", wait_too_long),
    ("P2", wait_cut_short),
    ("P2", hour_of_waiting),
    ("P3", two_operations),
    ("P3", started_too_soon),
    ("P4", impossible_trigger),
    ("P4", state_renamed),
    ("P5", goodbye_to_nobody),
    ("P6", hour_of_silence),
    ("P6", endless_poll),
    ("P7", hour_without_a_good_poll),
    ("P9", other_rung),
    ("P10", ladder_reset_by_a_renewal),
    ("P11", late_outcome),
    ("P12", ends_by_itself),
    ("P12", begins_with_a_poll),
    ("P13", other_ladder),
    ("P14", loss_forgotten),
    ("P15", pace_left_out),
    ("P15", pace_not_kept),
    ("P15", called_held),
    ("P16", trusted_loss_waits),
    ("P17", needless_renewal),
    ("P18", three_hollow_are_nothing),
    ("P19", signal_unheard),
    ("P19", signal_out_of_nothing),
    ("R7", close_takes_a_minute),
    ("trace", dropped),
    ("trace", twice),
    ("trace", dated_back),
    ("trace", other_account),
    ("trace", other_account_in_front),
]


@pytest.mark.parametrize(("property", "tamper"), TAMPERED, ids=[f"{name}-{t.__name__}" for name, t in TAMPERED])
def test_what_is_tampered_with_is_found_on_its_line(property: str, tamper: Tamper) -> None:
    """The first line that is wrong is the one that was changed, and the property that it breaks is named."""
    lines = parsed(whole_run())
    line = tamper(lines)
    report = checked(lines, first_only=True)
    assert report.verdict == "broken"
    assert {wrong.line for wrong in report.wrong} == {line}
    assert property in {wrong.property for wrong in report.wrong}, report.wrong


def test_a_hot_loop_is_found() -> None:
    """Time runs a hundred times as fast: that breaks much, and P8 where the requests become too many."""
    lines = parsed(whole_run())
    begin = first(lines, trigger="poll_failed")
    zero = lines[begin]["at_s"]
    for line in lines[begin:]:
        for key in ("at_s", "started_s"):
            if line[key] is not None:
                line[key] = zero + (line[key] - zero) / 100
    report = checked(lines)
    assert begin < next(wrong.line for wrong in report.wrong if wrong.property == "P8") < begin + 20


def test_every_property_of_a_run_is_tampered_with() -> None:
    """All but P0, which is no property of a run, and P8, which has a test of its own."""
    named = {name for name, _ in TAMPERED} | {"P8"}
    assert named == (set(STATEMENTS) - {"P0"}) | {"R7", "trace"}


def test_all_of_it_is_told_when_asked_for() -> None:
    """Two lines far apart are both named; without ``first_only`` reading goes on."""
    lines = parsed(whole_run())
    wanted = {wait_too_long(lines), three_hollow_are_nothing(lines)}
    report = checked(lines)
    assert wanted <= {wrong.line for wrong in report.wrong}
    assert report.wrong_count == len(report.wrong)
    assert report.lines == len(lines)
    (before,) = {wrong.before for wrong in report.wrong if wrong.line == min(wanted)}
    assert [number for number, _ in before] == list(range(min(wanted) - 7, min(wanted)))


# --- one line gone, twice, or elsewhere ---------------------------------------------------------------------------


def test_any_line_gone_twice_or_swapped_is_found() -> None:
    """
    Every line of a run is taken out, doubled, and swapped with the next.

    The first two are never clean. What is taken from the end leaves a run without an end, which is not broken, and is
    not called clean either; without the first line it is no trace.
    """
    lines = short_run().splitlines(keepends=True)
    last = len(lines) - 1
    for at in range(len(lines)):
        gone = b"".join(lines[:at] + lines[at + 1 :])
        if at == 0:
            with pytest.raises(TraceError, match=r"run\.jsonl:1: no run was begun before it"):
                checked(gone)
        elif at == last:
            assert checked(gone).verdict == "unfinished"
        else:
            assert checked(gone, first_only=True).wrong[0].line == at + 1
        doubled = checked(b"".join(lines[: at + 1] + lines[at:]), first_only=True)
        if at == 0:
            assert (doubled.verdict, doubled.run_count) == ("unfinished", 2)
        else:
            assert doubled.wrong[0].line == at + 2
        if at == last:
            continue
        swapped = b"".join([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]])
        if at == 0:
            with pytest.raises(TraceError, match=r"run\.jsonl:1: no run"):
                checked(swapped)
        else:
            assert checked(swapped, first_only=True).wrong[0].line == at + 1


def test_a_line_that_is_gone_is_found_even_if_the_rest_is_numbered_anew() -> None:
    """The serial numbers of the commands tell."""
    original = parsed(short_run())
    for at in range(1, len(original) - 1):
        lines = copy.deepcopy(original[:at] + original[at + 1 :])
        for number, line in enumerate(lines[1:], start=1):
            line["number"] = number
        assert checked(lines, first_only=True).wrong[0].line <= at + 1


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_any_two_lines_swapped_are_found(data: st.DataObject) -> None:
    """Wherever they stand, the first line that is wrong is the first of the two."""
    lines = short_run().splitlines(keepends=True)
    one = data.draw(st.integers(1, len(lines) - 2))
    other = data.draw(st.integers(one + 1, len(lines) - 1))
    lines[one], lines[other] = lines[other], lines[one]
    assert checked(b"".join(lines), first_only=True).wrong[0].line == one + 1


def cells(line: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in line.items():
        found += cells(value, (*path, key)) if isinstance(value, dict) else [(*path, key)]
    return found


def first_wrong(trace: bytes) -> int | None:
    """Return the first line that is wrong, or is no line of a trace."""
    try:
        report = checked(trace, first_only=True)
    except TraceError as error:
        return error.line
    return report.wrong[0].line if report.wrong else None


HARMLESS = {
    "wall_s",  # for people: wall clocks jump
    "reason",  # words
    "detail",  # words
    "trigger",  # two triggers can have the same answer, such as poll_failed and store_failed
    "at_s",  # a little earlier or later is as good
    "started_s",
    "held_s",
    "wait_s",  # within what the jitter allows
    "news",  # a poll may have brought any number of messages
}


@settings(deadline=None)
@given(st.data())
def test_any_cell_that_says_what_the_session_is_or_does_is_held_against_the_machine(data: st.DataObject) -> None:
    """A value that is changed for another one of its kind is found, or is of the few whose values are free."""
    lines = parsed(whole_run())
    at = data.draw(st.integers(1, len(lines) - 2))
    path = data.draw(st.sampled_from([p for p in cells(lines[at]) if p[-1] not in {"kind", "version"}]))
    inside = lines[at]
    for key in path[:-1]:
        inside = inside[key]
    value = inside[path[-1]]
    others: st.SearchStrategy[Any]
    match value:
        case bool():
            others = st.just(not value)
        case int():
            others = st.integers(0, 10)
        case float():
            others = st.floats(0, 1e6)
        case str():
            others = st.sampled_from(["poll", "active", "backoff", "stop", "polled", "transport", ""])
        case list():
            others = st.sampled_from([[], ["login_required"], ["renewal_blocked"], ["fire"]])
        case _:
            others = st.sampled_from([0, None])
    inside[path[-1]] = data.draw(others.filter(lambda other: other != value))
    found = first_wrong(unparsed(lines))
    assert found == at + 1 or (found is None and path[-1] in HARMLESS), path


@settings(deadline=None)
@given(st.data())
def test_whatever_stands_in_a_file_is_judged_or_refused_and_nothing_else(data: st.DataObject) -> None:
    """No file makes the checker raise anything but its own error, which names the line."""
    trace = bytearray(whole_run())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(trace) - 1))
        trace[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b"9", b"-", b"1e9", b"\n", b"\xff"])
        )
    found = first_wrong(bytes(trace))
    assert found is None or 1 <= found <= bytes(trace).count(b"\n") + 1


NUMBERS = (0, 1, 2, 3, 7, 10**6, 2**53)
TIMES = (0.0, 0.5, 1e-300, -1e15, 1e15, 5e14)
WORDS = (
    "",
    "poll",
    "renew",
    "start",
    "stop",
    "closed",
    "polled",
    "hollow",
    "silent",
    "wake",
    "active",
    "backoff",
    "stopped",
)


def extreme(random: Random, key: str, old: Any) -> Any:
    """Return another value for this key, at the edge of what a line may say."""
    match key:
        case "memory":
            return {**old, random.choice(["waits", "denials", "doubts", "hurries"]): random.choice(NUMBERS)}
        case "command":
            return random.choice([line["command"] for line in parsed(whole_run())[1:]])
        case "quiet":
            counts = dict.fromkeys(("polls", "news", "since_news"), random.choice(NUMBERS))
            times = dict.fromkeys(("first_started_s", "longest_gap_s"), abs(random.choice(TIMES)))
            return {**counts, **times, "last_started_s": random.choice(TIMES)}
        case "raised" | "cleared":
            return [random.choice(WORDS)]
        case "number" | "news" | "serial":
            return random.choice(NUMBERS)
        case _:
            return random.choice(WORDS if isinstance(old, str) else TIMES)


@settings(deadline=None, max_examples=50)
@given(st.randoms(use_true_random=False))
def test_no_record_is_too_odd_to_be_judged(random: Random) -> None:
    """Values at the edges of what a line may say, many at once: each is judged, and nothing else is raised."""
    whole = parsed(whole_run())
    begin = random.randrange(1, 60)
    lines = whole[:1] + whole[begin : begin + 12]
    for _ in range(random.randrange(1, 12)):
        line = random.choice(lines[1:])
        key = random.choice([key for key in line if key not in ("kind", "version")])
        line[key] = extreme(random, key, line[key])
    first_wrong(unparsed(lines))
    with contextlib.suppress(TraceError):
        checked(lines)


# --- what it is held against --------------------------------------------------------------------------------------


async def a_night(bench: Bench) -> None:
    bench.push()
    await bench.settle()
    bench.session.trigger("quiet_hours")
    await anyio.sleep(700)
    await bench.settle()


@pytest.mark.anyio
async def test_a_run_on_a_table_of_ones_own_is_held_against_it() -> None:
    """Without being told which, the checker refuses; with it, the run is clean; with another one, it is not."""
    machine = Machine(Policy(), quiet_hours(Policy()))
    trace = await recorded(a_night, machine)
    with pytest.raises(TraceError, match=r"^run\.jsonl:1: it ran on a table of its own, 'quiet hours'; name that"):
        checked(trace)
    for against in (machine, lambda policy: Machine(policy, quiet_hours(policy))):
        report = checked(trace, machine=against)
        assert (report.verdict, report.notes) == ("clean", [])
    wrong = checked(trace, machine=Machine())
    assert wrong.verdict == "broken"
    assert wrong.wrong[0].record.trigger == "quiet_hours"
    assert wrong.notes == [
        "line 1: it ran on the table 'quiet hours', and not on this 'session': it is judged by what was asked for"
    ]


def test_another_policy_is_taken_when_it_is_asked_for_and_said() -> None:
    """The figures on the lines are then wrong, from the first one that differs."""
    other = Machine(Policy(renewal_deadline_s=9, jitter=0.25))
    report = checked(whole_run(), machine=other, first_only=True)
    assert (report.wrong[0].line, report.wrong[0].property) == (2, "P4")
    assert "renewal_deadline_s" in report.notes[0]
    assert "jitter" in report.notes[0]


@pytest.mark.anyio
async def test_the_policy_stands_in_the_trace() -> None:
    """A run with other figures is judged by them, without being told."""
    policy = Policy(renewal="required", session_ceiling_s=40, transport_first_s=2, login_required_denials=2)
    assert checked(await recorded(everything, Machine(policy))).verdict == "clean"


def test_a_table_that_was_another_one_in_an_older_version_is_refused() -> None:
    lines = parsed(whole_run())
    lines[0]["table"]["digest"], lines[0]["library"] = "0" * 64, "0.0.9"
    with pytest.raises(
        TraceError, match=r"run\.jsonl:1: the table 'session' .* another one .*the one that wrote it, 0\.0\.9"
    ):
        checked(lines)


def test_several_runs_are_judged_each_for_itself() -> None:
    """A file that was gone on with holds one run after the other; what is wrong in one is no concern of the next."""
    lines = parsed(whole_run())
    one_wrong = copy.deepcopy(lines)
    wait_too_long(one_wrong)
    report = checked(unparsed([*lines, *one_wrong, *lines]))
    assert report.run_count == 3
    assert {len(lines) < wrong.line <= 2 * len(lines) for wrong in report.wrong} == {True}
    assert [run.line for run in report.runs] == [1, len(lines) + 1, 2 * len(lines) + 1]
