"""What became of requests, waits and sends; ``page_words.js`` agrees."""

from __future__ import annotations

from sessionfsm.lifecycle import Trigger

from .run import Request, Run, SendMark, Waiting
from .times import length_of
from .words import REQUESTS, counted

__all__ = [
    "name_of_request",
    "name_of_wait",
    "told_of_end",
    "told_of_request",
    "told_of_send",
    "told_of_wait",
]


def name_of_request(request: Request) -> str:
    """Return what was asked of the server."""
    return counted(request.polls, "quiet poll") if request.counted else REQUESTS[request.kind]


def told_of_request(request: Request) -> str:
    """Return what a request came to."""
    if request.counted:
        return counted(request.news, "message") if request.news else "nothing new"
    if request.kind == "close":
        return "its answer is not on record"
    came = "cut short by a stop" if request.trigger == Trigger.STOP else request.trigger
    news = counted(request.news, "message") if request.news else ""
    return ": ".join(filter(None, [", ".join(filter(None, [came, news])), request.detail]))


def name_of_wait(wait: Waiting) -> str:
    """Return what was waited for, and how long it was to last."""
    if wait.planned_s is None:
        return f"operation: {wait.what}"
    return f"wait ({wait.what}), {length_of(wait.planned_s)} planned"


def told_of_wait(wait: Waiting) -> str:
    """Return how a wait ended."""
    if not wait.over:
        return "goes on"
    return "cut short" if wait.cut else "ended by itself"


def told_of_send(send: SendMark) -> str:
    """Return what became of a text."""
    return f"failed: {send.detail or send.failed}" if send.failed else "sent"


def told_of_end(run: Run) -> str:
    """Return how the records end, in a sentence."""
    match run.end:
        case "closed":
            return "It was closed in order."
        case "torn":
            return "Its process was killed while it wrote the last line: here the records end."
        case "broken_off":
            return f"The file could not be written any more{f': {run.why}' if run.why else ''}."
        case "cut":
            return "The run goes on after that."
        case _:
            return "The run goes on, or was killed: what comes next is not on record here."
