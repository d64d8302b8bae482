"""What ``sessionfsm diagram`` does and prints."""

from __future__ import annotations

import argparse
import io
from itertools import zip_longest

from sessionfsm.diagram import FORMATS, diagram_of, format_of

from .drawings import put
from .exit_codes import ExitCode
from .options import machine_of
from .problems import CommandError, one_line

__all__ = ["diagram"]

_LONGEST_CHECKED = 16_777_216  # bytes; a thousand times what any lifecycle takes
_SHOWN = 50


def diagram(args: argparse.Namespace) -> int:
    """Draw, write or compare, and return the exit code."""
    name = args.format or _format_of(args.output if args.output is not None else args.check)
    if name == "png" and args.check is not None:
        raise CommandError("a PNG differs from machine to machine; commit the svg, and check that")
    machine = machine_of(args)
    chosen = FORMATS["svg" if name == "png" else name]
    drawn = chosen.render(diagram_of(machine, figures=chosen.figures or args.policy is not None), detail=args.detail)
    if args.check is not None:
        _compare(args.check, drawn)
        drawn = f"{one_line(args.check)}: as the table has it\n"
    put(drawn, dots=name == "png", output=args.output)
    return ExitCode.OK


def _format_of(file: str | None) -> str:
    if file is None:
        return "mermaid"
    found = "png" if file.lower().endswith(".png") else format_of(file)
    if found is None:
        raise CommandError(f"the name of {file} does not say which format it is in; add --format")
    return found


def _compare(file: str, drawn: str) -> None:
    """
    Return if *file* is *drawn*, byte for byte.

    Raises:
        CommandError: If it is not, or cannot be read.
    """
    try:
        with open(file, "rb") as opened:
            data = opened.read(_LONGEST_CHECKED + 1)
    except OSError as error:
        raise CommandError(f"the file {file} cannot be read: {error.strerror or error}") from None
    if data == drawn.encode("utf-8"):
        return
    if len(data) > _LONGEST_CHECKED:
        raise CommandError(f"the file {file} is longer than any lifecycle", ExitCode.FAILED)
    pairs = zip_longest(_lines(data.decode("utf-8", "replace")), _lines(drawn))
    number, found, wanted = next((number, *pair) for number, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    column = _first_difference(found or "", wanted or "")
    raise CommandError(
        f"{file}:{number}:{column + 1}: the file and the table disagree: here is {_excerpt(found, column)}, "
        f"the table says {_excerpt(wanted, column)}; write it anew with --output {file}",
        ExitCode.FAILED,
    )


def _lines(text: str) -> list[str]:
    """Return the lines of *text* with their ends: one that is missing, or is another, is a difference too."""
    return list(io.StringIO(text, newline="\n"))


def _first_difference(line: str, other: str) -> int:
    pairs = enumerate(zip(line, other, strict=False))
    return next((place for place, (mine, its) in pairs if mine != its), min(len(line), len(other)))


def _excerpt(line: str | None, column: int) -> str:
    """Return what *line* says around *column*."""
    if line is None:
        return "the end"
    begin = max(column - 20, 0)
    shown = line[begin : begin + _SHOWN]
    return f"{'…' if begin else ''}{shown!r}{'…' if begin + _SHOWN < len(line) else ''}"
