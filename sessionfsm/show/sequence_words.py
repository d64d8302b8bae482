"""What is written in a sequence diagram: times, what was asked, and what came back."""

from __future__ import annotations

import math

from sessionfsm.lifecycle import Command, Own, Poll, Trigger, Wait
from sessionfsm.verify.counterexample import ANSWERS, ordered

from .run import Request, Waiting
from .times import length_of
from .words import counted, cut_off

__all__ = [
    "NAMES",
    "PATHS",
    "answer",
    "asked",
    "moment",
    "second",
    "waited",
]

NAMES = {"poll": "getupdates", "renew": "notifystart", "close": "notifystop", "send": "sendmessage"}
"""The endpoint of each kind of exchange."""
PATHS = {
    "poll": "ilink/bot/getupdates",
    "renew": "ilink/bot/msg/notifystart",
    "close": "ilink/bot/msg/notifystop",
    "send": "ilink/bot/sendmessage",
}
"""The same as it stands in a URL (docs/reference/protocol.md, section 2)."""


def moment(seconds: float) -> str:
    """Return a time since the run began: to a millisecond in its first minute, to a second from its first hour on."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 59.9995:
        return f"{sign}{seconds:.3f} s"
    if seconds < 3599.95:
        minutes, tenths = divmod(round(seconds * 10), 600)
        return f"{sign}{minutes} min {tenths / 10:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{count:,} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if count]
    return f"{sign}{' '.join(parts)} {rest} s"


def second(seconds: float) -> str:
    """Return a time as ``--from`` takes it, rounded down to the millisecond."""
    return f"{math.floor(seconds * 1000) / 1000:.3f}".rstrip("0").rstrip(".")


def asked(kind: str, command: Command | None, count: int) -> str:
    """Return what was asked: as it was ordered, if that is known."""
    if count > 1:
        return f"{NAMES[kind]} × {count:,}"
    return ordered(command) if kind == "poll" and isinstance(command, Poll) else NAMES[kind]


def answer(request: Request, count: int, *, quiet: bool) -> tuple[str, str]:
    """
    Return what came back for a poll or a renewal, and what was seen of it besides.

    Args:
        request: It, or the last one of several that are told as one.
        count: How many they are.
        quiet: Whether some of them were only counted: then it is not known when the last one was answered.
    """
    news = counted(request.news, "message") if request.news else ""
    if quiet:
        return news or "quiet", "the last one began" if count > 1 else ""
    detail = cut_off(request.detail.removeprefix(f"{NAMES[request.kind]}: "))
    match request.trigger:
        case Trigger.POLLED | Trigger.HURRIED if news:
            return news, detail
        case Trigger.POLLED:
            return "quiet" if count > 1 else "held, nothing new", detail
        case Trigger.POLL_FAILED | Trigger.RENEWAL_FAILED:
            return detail or ANSWERS[request.trigger], ""
        case trigger if trigger in ANSWERS:
            return ANSWERS[trigger], detail
        case trigger:
            return f"given up: {cut_off(trigger)}", detail


def waited(command: Command | None, waiting: Waiting | None, wait_s: float | None) -> tuple[str, str]:
    """
    Return what was waited for, and how that ended otherwise than it was meant to.

    Args:
        command: What ordered it; ``None`` if that is not known.
        waiting: What became of it; ``None`` if it is not over.
        wait_s: How long it was to last; ``None`` for an operation.
    """
    if waiting is None or not waiting.over:
        end = "not over here"
    elif waiting.cut:
        end = f"cut short after {length_of(waiting.until_s - waiting.from_s)}"
    else:
        end = "" if wait_s is not None else f"took {length_of(waiting.until_s - waiting.from_s)}"
    name = cut_off(waiting.what) if waiting else ""
    match command:
        case Own():
            return cut_off(ordered(command)), end
        case Wait() if wait_s is not None:
            return f"wait {length_of(wait_s)} ({cut_off(command.ladder)}, wait {command.attempt})", end
        case _:
            return f"wait {length_of(wait_s)} ({name})" if wait_s is not None else f"perform {name}", end
