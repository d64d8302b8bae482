"""A manager keeps what a credential store has: new logins are started while it runs, and those that go are stopped."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

import anyio

from sessionfsm.errors import CredentialsExposed, StoreError
from sessionfsm.store import Credentials, CredentialStore, Runner, ask

if TYPE_CHECKING:
    from .fleet import Fleet

__all__ = ["LOOK_S", "Following"]

logger = logging.getLogger("sessionfsm")

LOOK_S = 5.0
"""How often the store is looked into."""

_LONGEST_LOOK_S = 60.0
_SHARE = 20
"""A store that takes long to look into is looked into less often: it has one part in so many of the time."""


class Following:
    """
    Follows a credential store.

    Attributes:
        trouble: Why it cannot be read, in words; empty while it can.
    """

    def __init__(self, credentials: CredentialStore, run: Runner, fleet: Fleet) -> None:
        self._credentials = credentials
        self._run = run
        self._fleet = fleet
        self.trouble = ""
        self._took_s = 0.0

    async def current(self, account: str) -> Credentials | None:
        """Return the credentials in force. Raises what the store says it raises."""
        return await ask(self._run, self._credentials.current, account)

    async def look(self) -> None:
        """
        Begin what is new, leave what is gone.

        An account whose user has logged in again is gone from the store under its old name. Its session goes over to
        the new one by itself, with all that is left of the old; so the new one is not begun beside it.

        Raises:
            CredentialsExposed: If others can read what is stored.
            StoreError: If it cannot be read.
        """
        began = anyio.current_time()
        stored = await ask(self._run, self._credentials.accounts)
        successors: set[str] = set()
        for account in self._gone(stored):
            try:
                login = await self.current(account)
            except (CredentialsExposed, StoreError):  # there is something; the session is told when it renews
                continue
            if account not in self._fleet.kept:  # it has ended, or is called otherwise, since
                continue
            if login is None:
                logger.warning("%s: its credentials are gone: stopping it", account)
                self._fleet.kept[account].end()
            elif login.account != account:
                successors.add(login.account)
                self._fleet.kept[account].hurry(login.account)
        self._fleet.follow([name for name in stored if name not in successors])
        self._took_s = anyio.current_time() - began

    def _gone(self, stored: Collection[str]) -> list[str]:
        there = set(stored)
        return [name for name, each in self._fleet.kept.items() if each.followed and name not in there]

    async def run(self) -> None:
        """Look again and again, until this is cancelled. Trouble is said once, and its end as well."""
        while True:
            await anyio.sleep(min(max(LOOK_S, _SHARE * self._took_s), _LONGEST_LOOK_S))
            try:
                await self.look()
            except (CredentialsExposed, StoreError) as error:
                if not self.trouble:
                    logger.error("the stored credentials cannot be looked at, going on with what is known: %s", error)
                self.trouble = str(error)
            else:
                if self.trouble:
                    logger.warning("the stored credentials can be looked at again")
                self.trouble = ""
