"""The live view, drawn with ``rich``: what the session does, what goes wrong, and what arrives all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import anyio
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sessionfsm.lifecycle import State
from sessionfsm.session import Record

from .events import Happened
from .scene import Scene

__all__ = ["LiveView"]

_REFRESH_S = 0.1
_COLOURS = {
    State.ACTIVE: "green",
    State.RECOVERING: "yellow",
    State.BACKOFF: "red",
    State.STOPPING: "blue",
    State.STOPPED: "bright_black",
}
_LIVE = (State.ACTIVE, State.RECOVERING, State.BACKOFF)
_FIXED_LINES = 11
_BAR = 16


class LiveView:
    """
    Draws the scene anew ten times a second, on the terminal's second screen. Use it as a context manager.

    It draws in the event loop: a frame takes a few milliseconds.
    """

    def __init__(self, console: Console, scene: Scene) -> None:
        self._console = console
        self._scene = scene
        self._live = Live(self, console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    async def keep_fresh(self) -> None:
        """Draw until cancelled."""
        while True:
            self._live.refresh()
            await anyio.sleep(_REFRESH_S)

    def leave_at_once(self) -> None:
        """Give the terminal its first screen and its cursor back, without any lock: the process ends in a moment."""
        os.write(self._console.file.fileno(), b"\x1b[?1049l\x1b[?25h")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.height
        rows = max(height - _FIXED_LINES, 2)
        # The incidents get what they need, and at most what leaves some rows to the transitions.
        fitting = min(len(self._scene.incidents), max(rows - max(rows // 3, 4), 1))
        yield Group(
            self._headline(),
            # A bar ends no line of its own.
            ProgressBar(total=self._scene.plan.duration_s, completed=self._scene.elapsed_s, width=options.max_width),
            Text(),
            self._state(),
            Text(),
            self._figures(),
            _heading("what goes wrong"),
            *self._incidents(fitting),
            _heading("transitions"),
            *self._transitions(rows - fitting),
        )

    def _headline(self) -> Table:
        scene = self._scene
        line = Table.grid(expand=True)
        line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_column(justify="right", no_wrap=True)
        line.add_row(
            Text.assemble(("sessionfsm demo", "bold"), ("  real HTTP, real waits, simulated server", "dim")),
            f"{min(scene.elapsed_s, scene.plan.duration_s):.1f} of {scene.plan.duration_s:g} s",
        )
        return line

    def _state(self) -> Text:
        scene = self._scene
        state = scene.session.state if scene.session is not None else State.STOPPED
        last = scene.records[-1] if scene.records else None
        return Text.assemble(
            (f" {state.upper()} ", f"bold white on {_COLOURS[State(state)]}"),
            "  ",
            _doing(State(state), last, scene),
            no_wrap=True,
            overflow="ellipsis",
        )

    def _figures(self) -> Table:
        scene, states = self._scene, self._scene.states()
        whole = max(sum(states.get(state, 0.0) for state in _LIVE), 0.001)
        answered = len(scene.answered())
        waiting = len(scene.pushed) - answered
        grid = _figure_grid()
        lines = (
            ("messages in", len(scene.pushed), f"{scene.repeated} of them twice" if scene.repeated else "", "cyan"),
            ("answered", answered, f"{waiting} waiting" if waiting else "", "yellow"),
            ("texts sent", scene.ticks - scene.ticks_failed, _in_trouble(scene.ticks_in_trouble), "cyan"),
        )
        for (label, count, note, style), state in zip(lines, _LIVE, strict=True):
            seconds = states.get(state, 0.0)
            filled = round(seconds / whole * _BAR)
            grid.add_row(
                Text(label, style="dim"),
                Text(f"{count}", style="bold"),
                Text(note, style=style),
                Text(state, style=_COLOURS[state]),
                Text.assemble(("█" * filled, _COLOURS[state]), ("·" * (_BAR - filled), "dim")),
                f"{seconds:.1f} s",
            )
        failed = scene.ticks_failed
        grid.add_row(
            Text("texts failed", style="dim"),
            Text(f"{failed}", style="bold"),
            Text("nobody was there" if failed else "", style="red"),
        )
        return grid

    def _incidents(self, fitting: int) -> Iterator[Text]:
        every = self._scene.incidents
        current = next((place for place, one in enumerate(every) if one.ended_s is None), len(every) - 1)
        first = max(0, min(current - fitting // 2, len(every) - fitting))
        for happened in every[first : first + fitting]:
            yield _incident(happened, self._scene.elapsed_s)

    def _transitions(self, rows: int) -> Iterator[Text]:
        for record in self._scene.records[-rows:] if rows > 0 else ():
            wait = "" if record.wait_s is None else f" {record.wait_s:.1f} s"
            yield Text.assemble(
                (f"{record.at_s - self._scene.began_s:7.2f}  ", "dim"),
                (f"{record.target + wait:<15}", _COLOURS[State(record.target)]),
                record.reason,
                (f"  {record.detail}" if record.detail else "", "dim"),
                no_wrap=True,
                overflow="ellipsis",
            )


def _figure_grid() -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, width=4, justify="right")
    grid.add_column(no_wrap=True, width=21)
    grid.add_column(no_wrap=True, width=10)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, width=8, justify="right")
    return grid


def _in_trouble(count: int) -> str:
    return f"{count} while not polling" if count else ""


def _heading(text: str) -> Rule:
    return Rule(Text(text, style="dim"), align="left", style="bright_black", characters="─")


def _doing(state: State, last: Record | None, scene: Scene) -> str:
    match state:
        case State.ACTIVE if last is not None and last.memory.doubts:
            return "the last answer had nothing in it: the next poll will tell"
        case State.ACTIVE:
            return "a poll is with the server, or about to be"
        case State.RECOVERING:
            return "notifystart is with the server"
        case State.BACKOFF if last is not None and last.wait_s is not None:
            left_s = max(0.0, last.at_s + last.wait_s - scene.began_s - scene.elapsed_s)
            return f"the next try is in {left_s:.1f} s"
        case State.STOPPING:
            return "the last answers go out, and the server is told goodbye"
        case _:
            return ""


def _incident(happened: Happened, now_s: float) -> Text:
    title = happened.incident.title
    if happened.began_s is None:
        return Text(f"  · {happened.incident.at_s:5.1f} s  {title}", style="dim", no_wrap=True, overflow="ellipsis")
    if happened.ended_s is None:
        return Text(
            f"  ▶ {happened.began_s:5.1f} s  {title}, for {now_s - happened.began_s:.1f} s",
            style="bold red",
            no_wrap=True,
            overflow="ellipsis",
        )
    return Text.assemble(
        ("  ✓ ", "green"),
        f"{happened.began_s:5.1f} s  {title}",
        (f", back after {happened.ended_s - happened.began_s:.2f} s", "green"),
        no_wrap=True,
        overflow="ellipsis",
    )
