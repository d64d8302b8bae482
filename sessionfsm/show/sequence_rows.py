"""What a sequence diagram is made of: rows in the order of time, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Answered", "Asked", "Changed", "Exchange", "Outcome", "Row", "Story", "Waited"]

Outcome: TypeAlias = Literal["good", "bad", "lost", "cut"]
"""An answer that is wanted, one that is not, none that means anything, or none because the session gave it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """
    A request and its answer.

    Attributes:
        kind: ``poll``, ``renew``, ``close`` or ``send``.
        from_s: When it was asked.
        until_s: When it was answered, or given up.
        asked: The request, in words.
        answer: The answer, in words; empty if none is on record.
        seen: What was seen of it besides, in words; may be empty.
        outcome: How it ended.
        number: Of the record that tells of it; ``None`` for a text that was sent.
    """

    kind: Literal["poll", "renew", "close", "send"]
    from_s: float
    until_s: float
    asked: str
    answer: str
    seen: str
    outcome: Outcome
    number: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The beginning of an exchange."""

    at_s: float
    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The end of an exchange; *apart*: something else was told since its beginning."""

    at_s: float
    exchange: Exchange
    apart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """
    A record that tells more than that a request was answered.

    Attributes:
        at_s: When.
        number: The record's.
        trigger: What happened.
        source: The state before.
        target: The state after; often the same.
        reason: Why the table has this arc.
        detail: What was seen, if that stands at no request.
        raised: Signals that are up since then.
        cleared: Signals that are down since then.
    """

    at_s: float
    number: int
    trigger: str
    source: str
    target: str
    reason: str
    detail: str
    raised: tuple[str, ...]
    cleared: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """
    A wait, where it begins.

    Attributes:
        at_s: When it began.
        until_s: When it was over.
        what: Which, in words.
        end: How it ended otherwise than it was meant to; may be empty.
    """

    at_s: float
    until_s: float
    what: str
    end: str


Row: TypeAlias = Asked | Answered | Changed | Waited


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """
    What is told.

    Attributes:
        state: The state in which it begins.
        rows: What happened, in order.
        end: How it ends, sentence by sentence.
    """

    state: str
    rows: tuple[Row, ...]
    end: tuple[str, ...]
