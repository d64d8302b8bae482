"""
Keeps the long-poll sessions of iLink (Weixin ClawBot) bots alive, and can prove it.

.. code-block:: python

    async with sessionfsm.Session(token=token) as session:
        async for message in session:
            await session.reply(message, f"you said {message.text}")
"""

from __future__ import annotations

from ._version import __version__

TYPE_CHECKING = False  # as type checkers know it; typing itself would take a tenth of the time of `sessionfsm --help`

if TYPE_CHECKING:
    from .config import load_policy
    from .errors import (
        AccountInUse,
        AddressError,
        BadRequest,
        BrokenAnswer,
        ConnectFailed,
        ConnectionLost,
        ConversationClosed,
        CredentialsExposed,
        CredentialsMissing,
        DeadlineExceeded,
        DefinitionError,
        ILinkError,
        PolicyError,
        PropertyBroken,
        ServerRefused,
        SessionFSMError,
        SessionLost,
        StatusError,
        StorageFull,
        StoreError,
        TraceError,
        TransportError,
        TriggerRefused,
    )
    from .ilink import Message, Sent, split_text
    from .lifecycle import Machine, Policy, Signal, State
    from .secret import Secret
    from .session import Cure, Down, Health, ManagerStatus, Record, RecordMonitor, Session, SessionManager, Violation
    from .store import (
        Credentials,
        CredentialStore,
        MemoryCredentials,
        MemoryStore,
        MessageState,
        SQLiteStore,
        Store,
        Stored,
    )
    from .trace import TraceWriter, check_trace

# Where each public name lives. Modules are imported when a name is first used: `sessionfsm --help` needs none of them.
_HOMES = {
    "Session": "session",
    "SessionManager": "session",
    "ManagerStatus": "session",
    "Down": "session",
    "Cure": "session",
    "Health": "session",
    "Record": "session",
    "RecordMonitor": "session",
    "Violation": "session",
    "Message": "ilink",
    "Sent": "ilink",
    "split_text": "ilink",
    "Policy": "lifecycle",
    "Machine": "lifecycle",
    "State": "lifecycle",
    "Signal": "lifecycle",
    "load_policy": "config",
    "Secret": "secret",
    "Store": "store",
    "MemoryStore": "store",
    "SQLiteStore": "store",
    "Stored": "store",
    "MessageState": "store",
    "Credentials": "store",
    "CredentialStore": "store",
    "MemoryCredentials": "store",
    "TraceWriter": "trace",
    "check_trace": "trace",
    "SessionFSMError": "errors",
    "DefinitionError": "errors",
    "PolicyError": "errors",
    "AddressError": "errors",
    "TriggerRefused": "errors",
    "CredentialsMissing": "errors",
    "CredentialsExposed": "errors",
    "AccountInUse": "errors",
    "StoreError": "errors",
    "StorageFull": "errors",
    "TraceError": "errors",
    "PropertyBroken": "errors",
    "ILinkError": "errors",
    "SessionLost": "errors",
    "ConversationClosed": "errors",
    "BadRequest": "errors",
    "ServerRefused": "errors",
    "TransportError": "errors",
    "ConnectFailed": "errors",
    "ConnectionLost": "errors",
    "DeadlineExceeded": "errors",
    "StatusError": "errors",
    "BrokenAnswer": "errors",
}

__all__ = [
    "__version__",
    "Session",
    "SessionManager",
    "ManagerStatus",
    "Down",
    "Cure",
    "Health",
    "Record",
    "RecordMonitor",
    "Violation",
    "Message",
    "Sent",
    "split_text",
    "Policy",
    "Machine",
    "State",
    "Signal",
    "load_policy",
    "Secret",
    "Store",
    "MemoryStore",
    "SQLiteStore",
    "Stored",
    "MessageState",
    "Credentials",
    "CredentialStore",
    "MemoryCredentials",
    "TraceWriter",
    "check_trace",
    "SessionFSMError",
    "DefinitionError",
    "PolicyError",
    "AddressError",
    "TriggerRefused",
    "CredentialsMissing",
    "CredentialsExposed",
    "AccountInUse",
    "StoreError",
    "StorageFull",
    "TraceError",
    "PropertyBroken",
    "ILinkError",
    "SessionLost",
    "ConversationClosed",
    "BadRequest",
    "ServerRefused",
    "TransportError",
    "ConnectFailed",
    "ConnectionLost",
    "DeadlineExceeded",
    "StatusError",
    "BrokenAnswer",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
