"""What happens at a fake server, a line each: its log, told as it is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio

from sessionfsm.testing import Exchange, Fault, WireLog

__all__ = ["ServerLines"]

_KEEP = 1000


class ServerLines(WireLog):
    """
    A server's log that tells of each exchange when it is over.

    Args:
        say: What to do with a line.
        as_json: Each line is a JSON object.

    Attributes:
        polled: The names of the accounts that have polled.
        began_s: When the server began to listen, on the clock of the event loop.
    """

    def __init__(self, say: Callable[[str], object], *, as_json: bool) -> None:
        super().__init__(keep=_KEEP)
        self.polled: set[str] = set()
        self._say = say
        self._as_json = as_json
        self.began_s = 0.0

    def start(self, url: str) -> None:
        """Say where the server listens. The clock starts here."""
        self.began_s = anyio.current_time()
        self._say(json.dumps({"event": "listening", "url": url}) if self._as_json else f"listening on {url}")

    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return anyio.current_time() - self.began_s

    def fault(self, fault: Fault, *, in_vain: bool = False) -> None:
        """Say that *fault* was applied; *in_vain*: there is no account yet that it could strike."""
        if self._as_json:
            # A fault can name a token, which has no business in a log.
            facts = {name: value for name, value in fault.to_dict().items() if name not in ("token", "at_s")}
            self._say_json("fault", self.elapsed_s(), facts | {"in_vain": in_vain})
        else:
            tail = "  (in vain: no account is known yet)" if in_vain else ""
            self._say(f"{self.elapsed_s():9.3f}  FAULT         {fault.describe()}{tail}")

    def open(self, *, account: str, endpoint: str, now: float, deviations: tuple[str, ...] = ()) -> Exchange:
        if endpoint == "getupdates" and account:
            self.polled.add(account)
        return super().open(account=account, endpoint=endpoint, now=now, deviations=deviations)

    def close(self, entry: Exchange, *, now: float, aborted: bool = False) -> None:
        was_open = entry.ended_s is None
        super().close(entry, now=now, aborted=aborted)
        if was_open and self._as_json:
            self._say_json("request", now - self.began_s, _facts(entry, now))
        elif was_open:
            self._say(f"{now - self.began_s:9.3f}  {_words(entry, now)}")

    def _say_json(self, event: str, at_s: float, facts: dict[str, Any]) -> None:
        self._say(json.dumps({"event": event, "at_s": round(at_s, 3), **facts}))


def _facts(entry: Exchange, now: float) -> dict[str, Any]:
    return {
        "number": entry.number,
        "account": entry.account,
        "endpoint": entry.endpoint,
        "held_s": round(now - entry.started_s, 3),
        "status": entry.status,
        "code": entry.code,
        "answer": entry.answer,
        "messages": list(entry.messages),
        "aborted": entry.aborted,
        "overlapping": entry.overlapping,
        "deviations": list(entry.deviations),
    }


def _words(entry: Exchange, now: float) -> str:
    answer = entry.answer or "no answer"
    if entry.messages:
        answer = f"{len(entry.messages)} message" + ("s" if len(entry.messages) > 1 else "")
    notes = [*entry.deviations]
    if entry.overlapping:
        notes.insert(0, "another poll was open")
    if entry.aborted:
        notes.insert(0, "the client left")
    tail = f"  ({'; '.join(notes)})" if notes else ""
    account = entry.account or "(no token)"
    return f"{entry.endpoint:<12}  {account:<20}  {answer}, after {now - entry.started_s:.3f} s{tail}"
