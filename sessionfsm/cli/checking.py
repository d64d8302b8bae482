"""What ``sessionfsm trace check`` does and prints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sessionfsm.printable import printable
from sessionfsm.trace import Report, RunReport, Wrong, check_trace
from sessionfsm.trace.words import words_of

from .exit_codes import ExitCode
from .lines import LineWriter, standard_output
from .problems import one_line
from .trace_files import machine_asked_for, source_of
from .writing import say

__all__ = ["check"]

_CODES = {"clean": ExitCode.OK, "broken": ExitCode.FAILED, "unfinished": ExitCode.UNDECIDED}
_RUNS_SHOWN = 20
_MOST_LINES = 1_000_000
_WIDEST = 500
_ENDS = {
    "cut": "its end is not on file: its process was killed, or goes on",
    "torn": "its last line is torn: its process was killed while it wrote it, or writes it now",
    "broken_off": "it is broken off: the file could not be written any more",
    "unread": "it was read no further; --all goes on",
}


def check(args: argparse.Namespace) -> int:
    """Check, print, and return the exit code."""
    source, name = source_of(args.file)
    report = check_trace(source, machine=machine_asked_for(args), first_only=not args.all, name=name)
    writer = LineWriter(standard_output(), limit=_MOST_LINES)
    for line in [json.dumps(_document(report))] if args.json else map(_plain, _lines(report)):
        writer.put(line)
    for note in report.notes[:3]:
        say(one_line(f"sessionfsm: note: {report.name}: {note}"))
    if report.unreadable:
        say(one_line(f"sessionfsm: error: {report.unreadable}"))
    writer.close()
    writer.check()
    return _CODES[report.verdict]


def _lines(report: Report) -> Iterator[str]:
    for wrong in report.wrong:
        yield from _wrong(report.name, wrong)
        yield ""
    if report.run_count > _RUNS_SHOWN:
        yield f"the last {_RUNS_SHOWN} of {report.run_count} runs:"
    for number, run in enumerate(list(report.runs)[-_RUNS_SHOWN:], max(report.run_count - _RUNS_SHOWN, 0) + 1):
        yield from _run(number, run)
    if report.others:
        yield f"{report.others} lines of other kinds were passed over"
    match report.verdict:
        case "clean":
            yield f"{report.name}: nothing is wrong"
        case "unfinished":
            runs = "a run has" if report.unfinished == 1 else f"{report.unfinished} runs have"
            yield f"{report.name}: nothing is wrong on file, but {runs} no end there, and nobody knows what came after"
        case "broken" if report.wrong_count > len(report.wrong):
            yield f"{report.name}: {report.wrong_count} things are wrong, and the first {len(report.wrong)} are shown"
        case "broken":
            broken = ", ".join(dict.fromkeys(wrong.property for wrong in report.wrong))
            yield f"{report.name}: {_count(report.wrong_count, 'thing is', 'things are')} wrong: {broken}"


def _wrong(name: str, wrong: Wrong) -> Iterator[str]:
    yield f"{name}:{wrong.line}: {wrong.property}: {wrong.what}"
    width = len(str(wrong.line))
    for line, record in wrong.before:
        yield f"  {line:>{width}}  {words_of(record, wrong.began_s)}"
    yield f"> {wrong.line:>{width}}  {words_of(wrong.record, wrong.began_s)}"


def _run(number: int, run: RunReport) -> Iterator[str]:
    began = datetime.fromtimestamp(min(max(run.run.wall_s, 0.0), 2e11), UTC)
    yield f"run {number}: {run.run.account}, {began:%Y-%m-%d %H:%M:%S} UTC, lines {run.line} to {run.last_line}"
    failed = f" ({run.renewals_failed} failed)" if run.renewals_failed else ""
    not_sent = f" ({run.sends_failed} failed)" if run.sends_failed else ""
    sent = f", {_count(run.sends, 'text', 'texts')} sent{not_sent}" if run.sends else ""
    yield (
        f"  {_time(run.duration_s)}: {_count(run.records, 'record', 'records')}, "
        f"{_count(run.polls, 'poll', 'polls')} ({run.good_polls} good), "
        f"{_count(run.renewals, 'renewal', 'renewals')}{failed}, {_count(run.losses, 'loss', 'losses')}, "
        f"{_count(run.waits, 'wait', 'waits')} ({_time(run.waiting_s)}), {_count(run.messages, 'message', 'messages')}"
        f"{sent}"
    )
    yield (
        f"  longest time between two requests {_time(run.longest_gap_s)}, "
        f"without a good poll {_time(run.longest_without_good_poll_s)}"
    )
    if run.signals:
        yield f"  raised: {', '.join(sorted(run.signals))}"
    if run.end != "closed":
        yield f"  {_ENDS[run.end]}{f' ({run.why})' if run.why else ''}"


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _time(seconds: float) -> str:
    if abs(seconds) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def _plain(line: str) -> str:
    """Return a line that may have somebody else's words in it, fit for a terminal."""
    cut = line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…"
    return printable(cut)


def _document(report: Report) -> dict[str, Any]:
    return {
        "verdict": report.verdict,
        "file": report.name,
        "lines": report.lines,
        "run_count": report.run_count,
        "unfinished": report.unfinished,
        "runs": [run.to_dict() for run in report.runs],
        "wrong_count": report.wrong_count,
        "wrong": [
            {
                "line": wrong.line,
                "property": wrong.property,
                "what": wrong.what,
                "record": wrong.record.to_dict(),
            }
            for wrong in report.wrong
        ],
        "other_lines": report.others,
        "notes": report.notes,
        "unreadable": report.unreadable or None,
    }
