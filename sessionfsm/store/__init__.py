"""Where messages, cursors and credentials are kept: the protocols, and what keeps them in memory."""

from .base import Batch, Committed, Incoming, MessageState, Runner, Store, Stored
from .credential_folder import CredentialFolder
from .credentials import Credentials, CredentialStore, MemoryCredentials
from .locks import AccountLocks
from .memory import MemoryStore
from .runner import StoreThread, ask, ask_by, run_inline
from .writer import StoreWriter

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
    "Store",
    "StoreThread",
    "StoreWriter",
    "Stored",
    "ask",
    "ask_by",
    "run_inline",
]
