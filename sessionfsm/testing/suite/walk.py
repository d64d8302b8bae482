"""
A life that hypothesis draws, event by event, and what can be seen of it from outside: requests, answers and waits.

Nothing here knows the states, the memory or the table of the machine; what it does is found out by telling it what
happens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sessionfsm.errors import TriggerRefused
from sessionfsm.lifecycle import EXTERNAL, Close, Command, Lifecycle, Machine, Own, Poll, Renew, Trigger, Wait, delay
from sessionfsm.verify import Move, moves

__all__ = ["Entry", "Walk"]

T = Trigger

What: TypeAlias = Literal["start", "getupdates", "notifystart", "login", "stop"]


@dataclass(slots=True)
class Entry:
    """
    A line of the record.

    Attributes:
        what: A request, or ``start``, ``stop``, or ``login``: somebody else logged in, and there are new credentials.
        at_s: When it was, or started.
        end: How a request ended; ``None`` if it was cut off, or goes on.
        news: Whether it brought messages that were new.
    """

    what: What
    at_s: float
    end: str | None = None
    news: bool = False


@dataclass
class Walk:
    """
    One session of *machine*, and what could be seen of it.

    Attributes:
        machine: The machine.
        never: What the world does not do, as long as it has something else to do. Without such worlds a good poll
            always comes before the ladders have been climbed.
        record: Requests and what people did, in order of their times.
        waits: Every wait that was ordered, and how long it lasted.
        wrong: What no session may do at all, in words.
        now: The time, in seconds.
    """

    machine: Machine
    never: Iterable[str] = ()
    record: list[Entry] = field(default_factory=list)
    waits: list[tuple[Wait, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    now: float = 0.0
    _began_s: float = 0.0
    _last_poll_s: float = -1e9
    _request: Entry | None = None
    _stopped: bool = False

    def __post_init__(self) -> None:
        self.session: Lifecycle = self.machine.session()
        self._own = sorted(self.machine.external - EXTERNAL)

    @property
    def outstanding(self) -> Command | None:
        """What the session awaits."""
        return self.session.outstanding

    def live(self, chances: bytes) -> Walk:
        """Live through one event for every three bytes: which one, when, and what ``Retry-After`` asks for."""
        for which, when, asked in zip(chances[::3], chances[1::3], chances[2::3], strict=True):
            possible = self._possible()
            likely = [
                move for move in possible if move.trigger not in self.never and (move.trigger != T.STOP or which == 255)
            ]
            move = (likely or possible)[which % len(likely or possible)]
            self._happen(move, when / 255, None if asked < 128 else float(asked - 128) ** 3)
        return self

    def recover(self, most_events: int = 60) -> float | None:
        """
        Answer every request well from now on, as late as can be; return how long a good poll takes to end.

        The time counts from now, or from the next start. ``None``: after so many events there was none.
        """
        since = self.now
        for _ in range(most_events):
            operation, possible = self.outstanding, self._possible()
            wanted = {type(None): T.START, Close: T.CLOSED, Renew: T.SESSION_RENEWED, Poll: T.POLLED, Wait: T.RETRY_DUE}
            good = [
                move
                for move in possible
                if not move.news and (isinstance(operation, Own) or move.trigger == wanted[type(operation)])
            ]
            if not good:
                return None
            self._happen(good[0], 1.0, None)
            if operation is None:
                since = self.now
            elif isinstance(operation, Poll):
                return self.now - since
        return None

    def _possible(self) -> list[Move]:
        return [
            move
            for move in moves(self.outstanding, self.machine.policy, self._own)
            if move.least_s <= move.most_s  # a policy can leave no room for a lapse, say
        ]

    def _happen(self, move: Move, share: float, retry_after_s: float | None) -> None:
        ended, trigger = self.outstanding, move.trigger
        length = move.least_s + share * (move.most_s - move.least_s)
        if isinstance(ended, Wait) and trigger == T.RETRY_DUE:
            jitter = self.machine.policy.jitter
            length = delay(ended, jitter=jitter, draw=1.0 - share, retry_after_s=retry_after_s)
        self.now = max(self.now, self._began_s + length)
        external, before = trigger in self.machine.external, self.session.snapshot()
        try:
            step = self.session.handle(trigger, serial=None if external or ended is None else ended.serial)
        except TriggerRefused:
            if trigger not in self._own:
                raise
            if self.session.snapshot() != before:
                self.wrong.append(f"{trigger} was refused, and something changed")
            return  # a trigger of one's own that has no row here: nothing happens, as in the driver
        if isinstance(ended, Wait):
            self.waits.append((ended, length))
        if step is None:
            self.wrong.append(f"{trigger} was dropped although {ended} is outstanding")
            return
        if ended is not None:
            self._tell_late(ended)
        goes_on = self.outstanding is not None and self.outstanding == ended
        if self._request is not None and not goes_on:
            self._request.end = None if external else str(trigger)
            self._request.news = move.news
            self._request = None
        if trigger in (T.START, T.STOP, T.CREDENTIALS_CHANGED):
            what: dict[str, What] = {T.START: "start", T.STOP: "stop"}
            self.record.append(Entry(what.get(trigger, "login"), self.now))
        self._note(trigger, ended, step.command, goes_on=goes_on)

    def _tell_late(self, ended: Command) -> None:
        """What has ended, ends once more: nothing may come of it."""
        before = self.session.snapshot()
        if self.outstanding is not None and self.outstanding.serial == ended.serial:
            return
        for trigger in (T.POLLED, T.SESSION_RENEWED, T.RETRY_DUE, T.CLOSED):
            if self.session.handle(trigger, serial=ended.serial) is not None or self.session.snapshot() != before:
                self.wrong.append(f"a late {trigger}, for {ended}, was not dropped")

    def _note(self, trigger: str, ended: Command | None, command: Command | None, *, goes_on: bool) -> None:
        if command is None:
            if not goes_on and trigger != T.CLOSED:
                self.wrong.append(f"{trigger} ended {ended}, and nothing was ordered")
            return
        if self._stopped and trigger != T.START:
            self.wrong.append(f"after the stop, {trigger} ordered {command}")
        self._stopped = trigger == T.STOP
        if isinstance(command, Close) != (trigger == T.STOP):
            self.wrong.append(f"{trigger} ordered {command}")
        if trigger == T.START and not isinstance(command, Renew):
            self.wrong.append(f"the session began with {command}")
        self._began_s = self.now
        if isinstance(command, Poll):
            self._began_s = self._last_poll_s = max(self.now, self._last_poll_s + command.pace_s)
        if isinstance(command, Renew | Poll):
            what: What = "getupdates" if isinstance(command, Poll) else "notifystart"
            self._request = Entry(what, self._began_s)
            self.record.append(self._request)
