"""The demo performed before somebody: a live view, plain lines, or only the figures."""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import anyio

from sessionfsm.cli.exit_codes import ExitCode
from sessionfsm.cli.lines import LineWriter, standard_output
from sessionfsm.cli.problems import CommandError, one_line
from sessionfsm.cli.stop_signals import StopSignals
from sessionfsm.lifecycle import Policy
from sessionfsm.trace import TraceWriter

from .events import Event
from .plan import make_plan, shortest_s
from .scene import Scene
from .summary import Summary, summarise
from .words import intro, outro

__all__ = ["show"]

_LOOK_S = 0.1
_PATIENCE_S = 1.0
_GET_RICH = "for the live view: pip install 'sessionfsm[cli]'"


def show(args: argparse.Namespace, policy: Policy, signals: StopSignals) -> ExitCode:
    """Perform the demo, and say at the end how it went."""
    seed = random.randrange(1_000_000) if args.seed is None else args.seed
    rng = random.Random(seed)
    plan = make_plan(args.duration, policy, rng)
    if not plan.incidents:
        shortest = math.ceil(shortest_s(policy) * 10) / 10
        raise CommandError(
            f"--duration {args.duration:g} is too short for anything to go wrong and be over; give {shortest:g} or more"
        )
    random.seed(seed)  # the session draws its jitter from here
    with ExitStack() as stack:
        trace = stack.enter_context(TraceWriter(args.trace)) if args.trace is not None else None
        scene = Scene(plan, policy, rng, [trace] if trace is not None else [])
        code = _show(args, scene, seed, signals)
    if trace is not None and trace.problem is not None:
        raise CommandError(f"the trace {args.trace} is not whole: {trace.problem}", ExitCode.FAILED)
    return code


def _show(args: argparse.Namespace, scene: Scene, seed: int, signals: StopSignals) -> ExitCode:
    with _errors_told(scene):
        if args.json:
            writer = LineWriter(standard_output())
            summary = _run_plain(scene, signals, writer)
            writer.put(json.dumps(summary.to_dict()))
            _finish(writer, signals)
        elif not args.plain and _is_a_terminal() and _has_rich():
            summary = _run_live(scene, signals, seed)
        else:
            writer = LineWriter(standard_output())
            scene.listeners.append(lambda event: writer.put(_line(event)))
            if not args.plain and _is_a_terminal() and not _has_rich():
                writer.put(_GET_RICH)
            for line in intro(scene.plan, seed):
                writer.put(line)
            summary = _run_plain(scene, signals, writer)
            for label, text, _ in outro(summary, seed):
                writer.put(f"{label:<11}{text}".rstrip())
            _finish(writer, signals)
    return ExitCode.OK if summary.is_well else ExitCode.FAILED


def _run_plain(scene: Scene, signals: StopSignals, writer: LineWriter) -> Summary:
    async def perform() -> Summary:
        await scene.play(lambda: _asked_to_end(signals, writer))
        return summarise(scene)

    return anyio.run(perform)


def _finish(writer: LineWriter, signals: StopSignals) -> None:
    """Wait until the reader has everything; after a signal, not for long."""
    while not writer.close(timeout_s=_LOOK_S):
        if signals.caught is not None and not writer.close(timeout_s=_PATIENCE_S):
            raise CommandError("nobody read standard output: the end of it was not written", ExitCode.FAILED)
    writer.check()


def _run_live(scene: Scene, signals: StopSignals, seed: int) -> Summary:
    from rich.console import Console

    from .live import LiveView

    console = Console(highlight=False)
    view = LiveView(console, scene)
    signals.last_words = view.leave_at_once

    async def perform() -> Summary:
        with view:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(view.keep_fresh)
                await scene.play(signals.wait)
                tasks.cancel_scope.cancel()
        return summarise(scene)

    summary = anyio.run(perform)
    for label, text, style in outro(summary, seed):
        console.print(f"[bold]{label:<11}[/bold]", end="")
        console.print(text, style=style, markup=False, soft_wrap=True)
    return summary


async def _asked_to_end(signals: StopSignals, writer: LineWriter) -> None:
    """Wait for a signal, or until nobody reads any more."""
    async with anyio.create_task_group() as tasks:

        async def wait_for_signal() -> None:
            await signals.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(wait_for_signal)
        await writer.wait_failed()
        tasks.cancel_scope.cancel()


def _line(event: Event) -> str:
    return f"{event.at_s:7.2f}  {event.kind:<8} {event.words}"


def _is_a_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty() and sys.stdout.encoding.lower().replace("-", "") == "utf8"


def _has_rich() -> bool:
    from importlib.util import find_spec

    return find_spec("rich") is not None


@contextmanager
def _errors_told(scene: Scene) -> Iterator[None]:
    """The library's log says what the view shows anyway; only what nobody foresaw is passed on to the viewer."""

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                error = record.exc_info[1]
                scene.tell("error", one_line(f"{record.getMessage()} ({type(error).__name__}: {error})"))

    library, handler = logging.getLogger("sessionfsm"), Told()
    before = library.propagate
    library.addHandler(handler)
    library.propagate = False
    try:
        yield
    finally:
        library.removeHandler(handler)
        library.propagate = before
