"""How far a simulation is: a bar on a terminal, else a line now and then. Standard output stays free for the result."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

from .simulation_tally import Tally

__all__ = ["progress"]

_EVERY_S = 10.0


@contextmanager
def progress(tally: Tally, *, plain: bool) -> Iterator[Callable[[], None]]:
    """Hand out what is to be called whenever something has changed, or a moment has passed."""
    if sys.stderr is None:
        yield lambda: None
    elif plain or not sys.stderr.isatty() or find_spec("rich") is None:
        yield _lines(tally)
    else:
        with _bar(tally) as show:
            yield show


def _lines(tally: Tally) -> Callable[[], None]:
    said = time.monotonic()

    def show() -> None:
        nonlocal said
        if time.monotonic() - said >= _EVERY_S:
            said = time.monotonic()
            with suppress(OSError):
                print(f"simulate: {tally.progress()}", file=sys.stderr, flush=True)

    return show


@contextmanager
def _bar(tally: Tally) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(tally.progress(), total=tally.wanted)

        def show() -> None:
            bar.update(task, completed=tally.seeds, description=tally.progress())
            bar.refresh()

        yield show
