"""A record in words, on one line."""

from __future__ import annotations

from sessionfsm.lifecycle import Trigger
from sessionfsm.session import Record
from sessionfsm.verify.counterexample import ordered

__all__ = ["words_of"]


def words_of(record: Record, began_s: float = 0.0) -> str:
    """Return when it happened, since *began_s*; what, where that led, and what was ordered."""
    length = f", for {record.wait_s:.1f} s" if record.wait_s is not None else ""
    quiet = f"  (after {record.quiet.polls} quiet polls)" if record.quiet is not None else ""
    seen = f"  ({record.detail})" if record.detail else ""
    if record.trigger == Trigger.CREDENTIALS_CHANGED:
        seen = f"  (account {record.account}){seen}"
    at, arrow = record.at_s - began_s, f"{record.source} → {record.target}"
    line = f"{at:12.3f} s  {record.trigger:16}  {arrow:21}  {ordered(record.command)}{length}{quiet}{seen}"
    return line.rstrip()
