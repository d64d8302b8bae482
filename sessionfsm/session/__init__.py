"""One session, driven: commands performed, outcomes fed back, messages handed out, everything recorded."""

from .health import Health
from .inbox import Inbox
from .manager import SessionManager
from .manager_status import ManagerStatus
from .monitor import RequestMonitor, Violation
from .record_monitor import RecordMonitor
from .records import Observer, Quiet, Record, SendObserver, SendRecord, Witness
from .session import Session
from .supervisor import Cure, Down

__all__ = [
    "Cure",
    "Down",
    "Health",
    "Inbox",
    "ManagerStatus",
    "Observer",
    "Quiet",
    "Record",
    "RecordMonitor",
    "RequestMonitor",
    "SendObserver",
    "SendRecord",
    "Session",
    "SessionManager",
    "Violation",
    "Witness",
]
