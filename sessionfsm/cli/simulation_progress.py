"""How far a simulation is: a bar on a terminal, else a line now and then. Standard output stays free for the result."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Protocol

from .simulation_tally import Tally

__all__ = ["Show", "progress"]

_EVERY_S = 10.0


class Show(Protocol):
    """Is called whenever something has changed, or a moment has passed; *news* is told at once."""

    def __call__(self, news: str = "") -> None: ...


@contextmanager
def progress(tally: Tally, *, plain: bool) -> Iterator[Show]:
    """Hand out what shows it."""
    if sys.stderr is None:
        yield lambda news="": None  # noqa: ARG005
    elif plain or not sys.stderr.isatty() or find_spec("rich") is None:
        yield _lines(tally)
    else:
        with _bar(tally) as show:
            yield show


def _lines(tally: Tally) -> Show:
    said = time.monotonic()

    def show(news: str = "") -> None:
        nonlocal said
        with suppress(OSError):
            if news:
                print(f"simulate: {news}", file=sys.stderr, flush=True)
            if time.monotonic() - said >= _EVERY_S:
                said = time.monotonic()
                print(f"simulate: {tally.progress()}", file=sys.stderr, flush=True)

    return show


@contextmanager
def _bar(tally: Tally) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(tally.progress(), total=tally.wanted)

        def show(news: str = "") -> None:
            if news:
                bar.console.print(news, markup=False, highlight=False, soft_wrap=True)
            bar.update(task, completed=tally.seeds, description=tally.progress())
            bar.refresh()

        yield show
