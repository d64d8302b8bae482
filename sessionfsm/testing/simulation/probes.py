"""Looks at a session now and then: whether it says of itself what the wire says (R8), and still lives (P12)."""

from __future__ import annotations

import anyio

from sessionfsm.lifecycle import Policy
from sessionfsm.session import Session
from sessionfsm.testing.wirelog import WireLog

from .checks import ROUNDING_S
from .ledger import Ledger

__all__ = ["probe"]


def probe(session: Session, ledger: Ledger, log: WireLog, policy: Policy) -> None:
    """Note what is wrong with what *session* says of itself now."""
    run, now = ledger.run, anyio.current_time()
    if run is None or run.stop_s <= now or now - run.began_s < ROUNDING_S:
        return
    health = session.health()
    if health.state in ("stopped", "stopping"):
        ledger.wrong("P12", f"the session is {health.state}, and nobody has stopped it")
        return
    last: float | None = None
    newest = log[-1] if len(log) else None
    for back in range(1, len(log) + 1):
        entry = log[-back]
        if entry.number <= run.first_request:
            break
        if entry.ended_s is None or entry.endpoint != "getupdates":
            continue
        if now - entry.ended_s < ROUNDING_S:
            return  # it has ended at this very instant: the session may not have seen it yet
        if entry.good and not entry.aborted:
            last = entry.ended_s
            break
    if ledger.troubled(run.began_s if last is None else last, now):
        return  # a poll whose batch cannot be committed is not a good one
    age = health.last_poll_age_s
    if (age is None) != (last is None) or (age is not None and last is not None and abs(now - last - age) > ROUNDING_S):
        seen = "there was none" if last is None else f"it was {now - last:.3f} s ago"
        ledger.wrong("R8", f"the session says that its last good poll was {age} s ago, and on the wire {seen}")
    out = newest is not None and (newest.ended_s is None or now - newest.ended_s <= policy.pace_ceiling_s + ROUNDING_S)
    if health.ready and not out and not _polling(log, now, policy):
        ledger.wrong("R8", "the session calls itself ready, and no poll is out")


def _polling(log: WireLog, now: float, policy: Policy) -> bool:
    """Whether a poll is out, or was a moment ago."""
    for back in range(1, len(log) + 1):
        entry = log[-back]
        if entry.endpoint == "getupdates":
            return entry.ended_s is None or now - entry.ended_s <= policy.pace_ceiling_s + ROUNDING_S
    return False
