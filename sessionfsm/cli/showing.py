"""What ``sessionfsm trace show`` does and prints."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Iterator
from pathlib import PurePath
from typing import BinaryIO

from sessionfsm.diagram import mermaid, svg
from sessionfsm.printable import printable
from sessionfsm.show import (
    MOST_RECORDS,
    MOST_REPLAYED,
    Run,
    page,
    read_run,
    run_diagram,
    sequence_mermaid,
    sequence_svg,
    timeline_mermaid,
    timeline_svg,
)
from sessionfsm.show.sequence_story import MOST
from sessionfsm.trace.words import words_of

from .drawings import put
from .exit_codes import ExitCode
from .problems import CommandError, one_line
from .trace_files import machine_asked_for, source_of
from .writing import say

__all__ = ["show"]

_SUFFIXES = {
    ".svg": "svg",
    ".png": "png",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".html": "html",
    ".htm": "html",
    ".txt": "text",
}
_WITHOUT_VIEWS = ("html", "text")


def show(args: argparse.Namespace) -> int:
    """Draw a run, write it, and return the exit code."""
    name = args.format or _format_of(args.output)
    _agree(args, name)
    source, called = source_of(args.file)
    if args.output is not None and _same(source, args.output):
        raise CommandError(f"--output {args.output} is the trace itself, which would be lost; name another file")
    run = read_run(
        source,
        number=args.run,
        from_s=args.from_s,
        until_s=args.to_s,
        machine=machine_asked_for(args),
        most=MOST_REPLAYED if name == "html" else MOST_RECORDS,
        name=called,
    )
    if run.note:
        say(one_line(f"sessionfsm: note: {called}: {run.note}: it is drawn on what was asked for"))
    dots = name == "png"
    put(_drawn(run, "svg" if dots else name, args), dots=dots, output=args.output)
    return ExitCode.OK


def _format_of(file: str | None) -> str:
    if file is None:
        return "mermaid"
    found = _SUFFIXES.get(PurePath(file).suffix.lower())
    if found is None:
        raise CommandError(f"the name of {file} does not say which format it is in; add --format")
    return found


def _agree(args: argparse.Namespace, name: str) -> None:
    """Refuse options that would change nothing."""
    if args.view is not None and name in _WITHOUT_VIEWS:
        raise CommandError(f"{name} has every view; leave --view out, or choose another --format")
    if args.detail is not None and (name in _WITHOUT_VIEWS or (args.view or "path") != "path"):
        raise CommandError("--detail is for the view 'path' alone")
    if args.most is not None and (name in _WITHOUT_VIEWS or args.view != "sequence"):
        raise CommandError("--most is for the view 'sequence' alone")
    if args.from_s > args.to_s:
        raise CommandError(f"--from {args.from_s:g} is later than --to {args.to_s:g}")


def _same(source: str | BinaryIO, output: str) -> bool:
    """Return whether the drawing would take the place of the trace; a terminal may be both."""
    try:
        read = os.stat(source if isinstance(source, str) else source.fileno())
        return stat.S_ISREG(read.st_mode) and os.path.samestat(read, os.stat(output))
    except (OSError, ValueError):  # one of them is not there, or is no file
        return False


def _drawn(run: Run, name: str, args: argparse.Namespace) -> str:
    if name == "html":
        # The page's switch between light and dark reaches pictures that do not choose by themselves.
        return page(run, sequence=sequence_svg(run, scheme="light"))
    if name == "text":
        return "".join(f"{line}\n" for line in _lines(run))
    most = args.most or MOST
    match args.view or "path", name:
        case "timeline", "svg":
            return timeline_svg(run)
        case "timeline", _:
            return timeline_mermaid(run)
        case "sequence", "svg":
            return sequence_svg(run, most=most)
        case "sequence", _:
            return sequence_mermaid(run, most=most)
        case _, "svg":
            return svg(run_diagram(run), detail=args.detail or "full")
        case _:
            return mermaid(run_diagram(run), detail=args.detail or "full")


def _lines(run: Run) -> Iterator[str]:
    """Yield every record and every send in words, in the order of time."""
    lines = [(step.at_s, words_of(step.record, step.record.at_s - step.at_s)) for step in run.steps]
    for send in run.sends:
        came = f"{send.failed} ({send.detail})" if send.detail else send.failed or "sent"
        lines.append((send.until_s, f"{send.until_s:12.3f} s  sendmessage       while {send.state}: {came}"))
    for _, line in sorted(lines, key=lambda line: line[0]):
        yield printable(line)
