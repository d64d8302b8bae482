"""What a login gave, and what a session needs of whoever keeps it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from sessionfsm.identity import account_id
from sessionfsm.secret import Secret

__all__ = ["CredentialStore", "Credentials", "MemoryCredentials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """
    What a login gave.

    Attributes:
        token: The bot token.
        base_url: Where the API is for this account.
        user_id: The Weixin user who scanned; one user has one live bot (docs/reference/protocol.md, section 2.2).
    """

    token: Secret
    base_url: str
    user_id: str = ""

    @property
    def account(self) -> str:
        """What the account is called."""
        return account_id(self.token)


class CredentialStore(Protocol):
    """
    Keeps the credentials of accounts.

    Its methods are ordinary blocking functions, which are called as those of a :class:`~sessionfsm.store.Store` are.
    """

    def current(self, account: str) -> Credentials | None:
        """
        Return the credentials in force for the user behind *account*, or ``None`` if there are none.

        After a new login of the same user they belong to another account than the one asked for.

        Raises:
            CredentialsExposed: If others than their owner could have read or changed them.
            StoreError: If they cannot be read.
        """

    def save(self, credentials: Credentials) -> list[str]:
        """
        Keep what a login gave; return the accounts that it has retired: those of the same user.

        Raises:
            CredentialsExposed: If others than their owner could read or change what is kept.
            StoreError: If they cannot be written, or not so that they survive a power failure. The old ones or the new
                ones are in force then, and it may be tried again.
        """

    def accounts(self) -> list[str]:
        """
        Return the accounts that have credentials in force, in order.

        One whose credentials cannot be used is among them: whoever asks for them is told why.

        Raises:
            CredentialsExposed: If others than their owner could read or change what is kept.
            StoreError: If it cannot be read.
        """

    def predecessors(self, account: str) -> list[str]:
        """
        Return the accounts in whose place *account* is now, in order: what is left of them is its own.

        One whose credentials cannot be read is not among them.

        Raises:
            CredentialsExposed: If others than their owner could read or change what is kept.
            StoreError: If it cannot be read.
        """

    def remove(self, account: str) -> bool:
        """
        Forget an account's credentials; return whether there were any.

        Raises:
            StoreError: If they cannot be removed.
        """


class MemoryCredentials:
    """Keeps credentials as long as its process lasts; see :class:`CredentialStore` for what each method promises."""

    def __init__(self) -> None:
        self._kept: dict[str, Credentials] = {}
        self._successors: dict[str, str] = {}
        self._of_user: dict[str, str] = {}  # the account that was saved last
        self._lock = threading.Lock()

    def current(self, account: str) -> Credentials | None:
        with self._lock:
            while (successor := self._successors.get(account)) is not None:
                account = successor
            return self._kept.get(account)

    def save(self, credentials: Credentials) -> list[str]:
        with self._lock:
            name = credentials.account
            user, retired = credentials.user_id, []
            if user:
                before = self._of_user.get(user, name)
                # It may have been removed, or saved for another user since.
                if before != name and before in self._kept and self._kept[before].user_id == user:
                    retired.append(before)
                self._of_user[user] = name
            self._successors.pop(name, None)
            for account in retired:
                del self._kept[account]
                self._successors[account] = name
            self._kept[name] = credentials
            return retired

    def accounts(self) -> list[str]:
        with self._lock:
            return sorted(self._kept)

    def predecessors(self, account: str) -> list[str]:
        found = [(name, self.current(name)) for name in sorted(self._successors)]
        return [name for name, login in found if login is not None and login.account == account]

    def remove(self, account: str) -> bool:
        with self._lock:
            return self._kept.pop(account, None) is not None
