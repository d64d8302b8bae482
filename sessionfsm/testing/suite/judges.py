"""What is wrong with a record of requests: said in requests, answers and times, not in states."""

from __future__ import annotations

from collections.abc import Sequence

from sessionfsm.lifecycle import MOST_REQUESTS_PER_S, Trigger
from sessionfsm.testing.suite.walk import Entry

__all__ = ["longest_silence", "most_excess", "retried_without_notifystart"]

T = Trigger

_ENDED, _SUCCEEDED = 1, 2
"""What ``notifystart`` has to have done before the next poll."""


def retried_without_notifystart(record: Sequence[Entry], *, required: bool) -> list[int]:
    """
    Return the positions of the polls that were made although the session was lost and not renewed since.

    A loss: the server does not know the session (in answer to anything), or the third hollow answer in a row. A stop or
    new credentials excuse no one from calling ``notifystart``; where it has to succeed, they excuse from the success.

    Args:
        required: Whether ``notifystart`` has to have succeeded; otherwise it has to have ended.
    """
    wrong: list[int] = []
    owed = hollow = 0
    for position, entry in enumerate(record):
        if entry.what in ("start", "stop", "login"):
            owed, hollow = min(owed, _ENDED), 0
        elif entry.what == "getupdates":
            if owed:
                wrong.append(position)
            hollow = hollow + 1 if entry.end == T.HOLLOW else hollow if entry.end == T.SILENT else 0
        elif entry.end == T.SESSION_RENEWED or (entry.end == T.RENEWAL_FAILED and owed == _ENDED):
            owed = 0
        if entry.end in (T.SESSION_EXPIRED, T.SESSION_LAPSED) or hollow == 3:
            owed, hollow = _SUCCEEDED if required else _ENDED, 0
    return wrong


def longest_silence(record: Sequence[Entry], now: float) -> float:
    """Return the longest time from a request to the next, to the stop, or to *now*; a store that fails excuses it."""
    longest, last = 0.0, None
    for entry in record:
        if entry.what == "login":
            continue
        if last is not None and entry.what != "start":
            longest = max(longest, entry.at_s - last)
        last = entry.at_s if entry.what in ("getupdates", "notifystart") else None
        if entry.end == T.STORE_FAILED:
            last = None
    return max(longest, now - last) if last is not None else longest


def most_excess(record: Sequence[Entry]) -> float:
    """
    Return how many requests above 10/3 a second there were, in the worst window without news.

    The window is closed: a request at either end of it counts. P8 allows 10/3.
    """
    most = excess = 0.0
    last = 0.0
    for entry in record:
        if entry.what not in ("getupdates", "notifystart"):
            if entry.what in ("start", "login"):
                excess = 0.0
            continue
        excess = max(0.0, excess - MOST_REQUESTS_PER_S * (entry.at_s - last)) + 1.0
        most, last = max(most, excess), entry.at_s
        if entry.news:
            excess = 0.0
    return most
