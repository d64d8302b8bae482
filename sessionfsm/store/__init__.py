"""Where messages, cursors and credentials are kept: the protocols, and what keeps them in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Batch, Committed, Incoming, MessageState, Runner, Store, Stored
from .credential_folder import CredentialFolder
from .credentials import Credentials, CredentialStore, MemoryCredentials
from .locks import AccountLocks
from .memory import MemoryStore
from .runner import StoreThread, ask, ask_by, run_inline
from .writer import StoreWriter

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

__all__ = [
    "AccountLocks",
    "Batch",
    "Committed",
    "CredentialFolder",
    "CredentialStore",
    "Credentials",
    "Incoming",
    "MemoryCredentials",
    "MemoryStore",
    "MessageState",
    "Runner",
    "SQLiteStore",
    "Store",
    "StoreThread",
    "StoreWriter",
    "Stored",
    "ask",
    "ask_by",
    "run_inline",
]


def __getattr__(name: str) -> object:
    # Not everybody keeps messages on disk, and there are builds of Python without SQLite.
    if name != "SQLiteStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .sqlite import SQLiteStore

    return SQLiteStore
