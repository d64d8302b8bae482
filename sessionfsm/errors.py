"""
Every error that sessionfsm raises, in one tree.

.. code-block:: text

    SessionFSMError
    ├── DefinitionError (ValueError)   your side: a policy, a table, an address or an option is wrong
    │   ├── PolicyError                a policy that could break a property; names the bound and why it stands
    │   └── AddressError               a base URL that is not allowed
    ├── TriggerRefused                 this trigger is not possible in this state; nothing was changed
    ├── CredentialsMissing             there is no token
    ├── TraceError                     a trace that cannot be read, or a file that none can be written to
    ├── CredentialsExposed             stored credentials that others can read; says what to type
    ├── AccountInUse                   somebody else polls for this account; says who
    ├── StoreError                     the store could not do what it was asked; nothing was half done
    │   └── StorageFull                an account has as many messages in the store as it may have
    ├── PropertyBroken                 a session did what its machine cannot do; a monitor ended it
    └── ILinkError                     a call to iLink did not succeed
        ├── SessionLost                the session: -14, or HTTP 401 / 403
        ├── ConversationClosed         this conversation: -2, -3, -4; the session is not touched
        ├── BadRequest                 this request is malformed; never repeat it unchanged
        ├── ServerRefused              any other code
        └── TransportError             nobody answered, or what came was no answer
            ├── ConnectFailed          no connection; nothing was sent
            ├── ConnectionLost         the connection broke before the whole answer was there
            ├── DeadlineExceeded       the whole exchange did not end in time
            ├── StatusError            an HTTP status outside 2xx
            └── BrokenAnswer           a body that is too long, or not what the protocol says

Facts are attributes as well as text. No message contains a token, a cursor, a body or a URL query.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AccountInUse",
    "AddressError",
    "BadRequest",
    "BrokenAnswer",
    "ConnectFailed",
    "ConnectionLost",
    "ConversationClosed",
    "CredentialsExposed",
    "CredentialsMissing",
    "DeadlineExceeded",
    "DefinitionError",
    "ILinkError",
    "PolicyError",
    "PropertyBroken",
    "ServerRefused",
    "SessionFSMError",
    "SessionLost",
    "StatusError",
    "StorageFull",
    "StoreError",
    "TraceError",
    "TransportError",
    "TriggerRefused",
]


class SessionFSMError(Exception):
    """Base of everything that sessionfsm raises."""


class DefinitionError(SessionFSMError, ValueError):
    """Something that you defined is wrong; the message says what to write instead."""


class PolicyError(DefinitionError):
    """
    A policy that could break a property is refused when it is made.

    Attributes:
        field: The policy's field, or ``None`` when several fields together are wrong.
        bound: What would have been accepted, in words.
    """

    def __init__(self, message: str, *, field: str | None = None, bound: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.bound = bound


class AddressError(DefinitionError):
    """A base URL that tokens must not be sent to."""


class TriggerRefused(SessionFSMError):
    """
    A trigger that is not possible now. The session was not changed.

    Its message is made when it is read: a search is refused by the ten thousand.
    """

    def __init__(self, trigger: str, state: str, accepted: Sequence[str]) -> None:
        super().__init__(trigger, state, accepted)

    @property
    def trigger(self) -> str:
        """What was asked."""
        return str(self.args[0])

    @property
    def state(self) -> str:
        """The state it was asked in."""
        return str(self.args[1])

    @property
    def accepted(self) -> tuple[str, ...]:
        """The triggers that this state accepts."""
        return tuple(self.args[2])

    def __str__(self) -> str:
        listed = ", ".join(repr(name) for name in self.accepted) or "none"
        return f"no transition for {self.trigger!r} in state {self.state!r} (accepted here: {listed})"


class CredentialsMissing(SessionFSMError):
    """There is no token, or it is empty."""


class CredentialsExposed(SessionFSMError):
    """Stored credentials are not used, because others than their owner can read or change them."""


class AccountInUse(SessionFSMError):
    """
    Somebody else polls for this account. Two pollers would take each other's messages.

    Attributes:
        account: Which account.
        pid: The process that has it; ``None`` if it did not say.
        holder: More about that process, in words; may be empty.
    """

    def __init__(self, account: str, *, pid: int | None = None, holder: str = "") -> None:
        who = "a process that did not leave its number" if pid is None else f"process {pid}"
        super().__init__(f"account {account} is in use by {who}{f' ({holder})' if holder else ''}; stop it first")
        self.account = account
        self.pid = pid
        self.holder = holder


class StoreError(SessionFSMError):
    """The store could not do what it was asked. Nothing was half done."""


class StorageFull(StoreError):
    """An account has as many messages in the store as it may have, and none is old enough to be forgotten."""


class TraceError(SessionFSMError):
    """
    A trace that cannot be read, or a file to which none can be written.

    Attributes:
        name: What the file is called.
        line: The line that is wrong, counted from 1; ``None`` if it is the file.
    """

    def __init__(self, message: str, *, name: str, line: int | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.line = line


class PropertyBroken(SessionFSMError):
    """
    A session did what its machine says cannot be done. A monitor raised it, and that ended the session in order.

    Attributes:
        property: Such as ``P1``.
        number: The record that shows it.
    """

    def __init__(self, message: str, *, property: str, number: int) -> None:
        super().__init__(message)
        self.property = property
        self.number = number


class ILinkError(SessionFSMError):
    """
    A call to iLink did not succeed.

    Attributes:
        endpoint: The endpoint's name, such as ``getupdates``.
    """

    def __init__(self, message: str, *, endpoint: str) -> None:
        super().__init__(f"{endpoint}: {message}")
        self.endpoint = endpoint


class _CodeError(ILinkError):
    """
    The server answered with a code.

    Attributes:
        code: The code in force (docs/reference/protocol.md, section 4.1), ``None`` when there was only an HTTP status.
        errmsg: The server's own words, cut to 200 characters.
    """

    def __init__(self, message: str, *, endpoint: str, code: int | None, errmsg: str = "") -> None:
        super().__init__(message, endpoint=endpoint)
        self.code = code
        self.errmsg = errmsg


class SessionLost(_CodeError):
    """
    The server does not know this session: -14, or HTTP 401 / 403.

    Attributes:
        status: The HTTP status when that was what said so, else ``None``.
    """

    def __init__(
        self, message: str, *, endpoint: str, code: int | None, errmsg: str = "", status: int | None = None
    ) -> None:
        super().__init__(message, endpoint=endpoint, code=code, errmsg=errmsg)
        self.status = status


class ConversationClosed(_CodeError):
    """The conversation with one user is closed (window, quota or rate): -2, -3, -4. Only the user can reopen it."""


class BadRequest(_CodeError):
    """The request itself is malformed. Never repeat it unchanged."""


class ServerRefused(_CodeError):
    """Any other code than zero."""


class TransportError(ILinkError):
    """Nobody answered, or what came was no answer."""


class ConnectFailed(TransportError):
    """No connection could be made; nothing was sent."""


class ConnectionLost(TransportError):
    """The connection broke before the whole answer was there."""


class DeadlineExceeded(TransportError):
    """
    The whole exchange, body included, did not end in time.

    Attributes:
        deadline_s: The limit, in seconds.
    """

    def __init__(self, message: str, *, endpoint: str, deadline_s: float) -> None:
        super().__init__(message, endpoint=endpoint)
        self.deadline_s = deadline_s


class StatusError(TransportError):
    """
    An HTTP status outside 2xx.

    Attributes:
        status: The status.
        retry_after_s: What ``Retry-After`` asked for, in seconds; ``None`` without one, or with one that is no number.
    """

    def __init__(self, message: str, *, endpoint: str, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message, endpoint=endpoint)
        self.status = status
        self.retry_after_s = retry_after_s


class BrokenAnswer(TransportError):
    """A body that is too long, or not what the protocol says."""
