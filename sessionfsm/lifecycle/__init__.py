"""The life of a session as one declared state machine: triggers in, commands out. Pure: no clock, no chance, no I/O."""

from .machine import EXTERNAL, Lifecycle, Machine, Snapshot, Step
from .outcome import (
    NO_HANDSHAKE,
    Answered,
    NoAnswer,
    Outcome,
    StatusAnswered,
    StoreFailed,
    Unanswered,
    classify_poll,
    classify_renewal,
)
from .policy import MOST_REQUESTS_PER_S, Policy, delay
from .table import Memory, Order, Row, StateEntry, Table, table_for
from .terms import Close, Command, Ladder, Poll, Renew, Signal, State, Trigger, Wait

__all__ = [
    "EXTERNAL",
    "MOST_REQUESTS_PER_S",
    "NO_HANDSHAKE",
    "Answered",
    "Close",
    "Command",
    "Ladder",
    "Lifecycle",
    "Machine",
    "Memory",
    "NoAnswer",
    "Order",
    "Outcome",
    "Policy",
    "Poll",
    "Renew",
    "Row",
    "Signal",
    "Snapshot",
    "State",
    "StateEntry",
    "StatusAnswered",
    "Step",
    "StoreFailed",
    "Table",
    "Trigger",
    "Unanswered",
    "Wait",
    "classify_poll",
    "classify_renewal",
    "delay",
    "table_for",
]
