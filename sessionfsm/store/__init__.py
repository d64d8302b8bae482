"""Where messages, cursors and credentials are kept: the protocol, and a store in memory."""

from .base import Batch, Committed, Credentials, Incoming, Runner, Store, Stored
from .memory import MemoryStore
from .runner import StoreThread, ask, ask_by, run_inline

__all__ = [
    "Batch",
    "Committed",
    "Credentials",
    "Incoming",
    "MemoryStore",
    "Runner",
    "Store",
    "Stored",
    "StoreThread",
    "ask",
    "ask_by",
    "run_inline",
]
