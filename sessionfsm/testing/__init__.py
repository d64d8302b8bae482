"""
The test kit: a fake iLink server with scripted faults, in memory or on a loopback socket, and virtual time.

Importing it imports neither pytest nor hypothesis nor trio.
"""

from sessionfsm.testing import faults
from sessionfsm.testing.account import Delivery, FakeAccount, SessionState
from sessionfsm.testing.fault_files import load_faults
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.memory_transport import MemoryTransport
from sessionfsm.testing.messages import SentMessage
from sessionfsm.testing.requests import account_name
from sessionfsm.testing.server import FakeServer
from sessionfsm.testing.socket_server import Listening
from sessionfsm.testing.virtual_time import (
    VirtualDeadlock,
    VirtualTimeExceeded,
    backend_options,
    backends,
    run,
)
from sessionfsm.testing.wirelog import Exchange, WireLog

__all__ = [
    "FakeServer",
    "FakeAccount",
    "SentMessage",
    "SessionState",
    "Delivery",
    "MemoryTransport",
    "Listening",
    "account_name",
    "WireLog",
    "Exchange",
    "faults",
    "Fault",
    "load_faults",
    "run",
    "backends",
    "backend_options",
    "VirtualDeadlock",
    "VirtualTimeExceeded",
]
