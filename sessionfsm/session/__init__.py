"""One session, driven: commands performed, outcomes fed back, messages handed out, everything recorded."""

from .health import Health
from .inbox import Inbox
from .monitor import RequestMonitor, Violation
from .record_monitor import RecordMonitor
from .records import Observer, Quiet, Record, SendObserver, SendRecord, Witness
from .session import Session

__all__ = [
    "Health",
    "Inbox",
    "Observer",
    "Quiet",
    "Record",
    "RecordMonitor",
    "RequestMonitor",
    "SendObserver",
    "SendRecord",
    "Session",
    "Violation",
    "Witness",
]
