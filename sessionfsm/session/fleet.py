"""What the accounts of a manager share, and how a session is made of it. It decides nothing by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from sessionfsm.errors import CredentialsMissing
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.store import Credentials, CredentialStore, MemoryCredentials, StoreWriter

from .descriptors import check_descriptors, descriptors_needed
from .following import Following
from .limiter import RenewalLimiter
from .manager_status import Tally
from .records import Observer
from .session import Session
from .supervisor import Supervisor

if TYPE_CHECKING:
    from sessionfsm.ilink.lanes import HttpClient

__all__ = ["Fleet"]

logger = logging.getLogger("sessionfsm")

_STARTING = 64
"""So many sessions at once start: they have their turn at the store, or stand in line for their first renewal."""

_LOADING = 8
"""
So many of them have something to ask of the store. It answers one after the other, so that more would only let each
wait longer, until a store that is slow is taken for one that does not answer, by all of them, again and again.
"""

_SENDS = 1000
"""So many texts may be on their way at the same time; for the count of descriptors."""


class Fleet:
    """
    The accounts that are kept, each with its supervisor, and what they share.

    Attributes:
        kept: The accounts, by what they are called now.
        living: Those, and what has not ended yet of accounts that are kept no longer.
        given: The credentials of those that were added by their token.
        following: The credentials that are followed, if any are.
        passed_over: Accounts that were removed by hand and are followed still.
        starting: Places for those who start. The ones that run already are not to stand behind ten thousand of them.
        loading: Places for those of them who read what the store has.
        limiter: Who may renew next.
        on_up: Called with each session that has begun, while messages are delivered.
        all_over: Set when the manager has stopped.
    """

    def __init__(
        self,
        *,
        machine: Machine,
        writer: StoreWriter,
        credentials: CredentialStore | None,
        limiter: RenewalLimiter,
        allow_hosts: Collection[str],
        bot_agent: str,
        observers: Callable[[str], Iterable[Observer]] | None,
        history: int,
        raise_descriptor_limit: bool,
    ) -> None:
        self.machine = machine
        self.writer = writer
        self.limiter = limiter
        self.http: HttpClient | None = None
        self.kept: dict[str, Supervisor] = {}
        self.living: set[Supervisor] = set()
        self.given = MemoryCredentials()
        self.following: Following | None = None
        self.passed_over: set[str] = set()
        self.tally = Tally(machine.policy)
        self.starting = anyio.Semaphore(_STARTING, fast_acquire=True)
        self.loading = anyio.Semaphore(_LOADING, fast_acquire=True)
        self.group: anyio.abc.TaskGroup | None = None
        self.on_up: Callable[[Session], object] | None = None
        self.is_stopping = False
        self.all_over = anyio.Event()
        self._changed = anyio.Event()
        self._watched = False  # somebody waits for it
        self._credentials = credentials
        self._allow_hosts = tuple(allow_hosts)
        self._bot_agent = bot_agent
        self._observers = observers
        self._history = history
        self._raise_descriptor_limit = raise_descriptor_limit
        self._said_of_descriptors = 0

    @property
    def policy(self) -> Policy:
        """The figures."""
        return self.machine.policy

    def begin(self, account: str, *, followed: bool) -> None:
        """Keep this account as well."""
        self._begin(account, followed=followed)
        self._look_at_descriptors()

    def _begin(self, account: str, *, followed: bool) -> None:
        each = self.kept[account] = Supervisor(self, account, followed=followed)
        self.living.add(each)
        if self.group is not None:
            self.group.start_soon(each.run)

    def follow(self, stored: Collection[str]) -> None:
        """Keep these as well, except those that were removed by hand and have been there ever since."""
        self.passed_over.intersection_update(stored)
        if self.is_stopping:
            return
        for account in stored:
            if account not in self.kept and account not in self.passed_over:
                self._begin(account, followed=True)
                if self.group is not None:
                    logger.info("%s: it is new among the stored credentials: starting it", account)
        self._look_at_descriptors()

    async def open(self, each: Supervisor) -> Session:
        """
        Make a session with the credentials that are in force now.

        Raises:
            CredentialsMissing: If there are none.
            CredentialsExposed: If others can read them.
            StoreError: If they cannot be read.
            DefinitionError: If they cannot be used.
        """
        store: CredentialStore | None = self.given
        login: Credentials | None
        if each.followed:
            assert self.following is not None
            store, login = self._credentials, await self.following.current(each.account)
        else:
            login = self.given.current(each.account)
        if login is None:
            raise CredentialsMissing(f"no credentials are stored for account {each.account}: log in first")
        if login.account != each.account:  # its user has logged in again while there was no session
            self.rename(each, login.account)
        observers = () if self._observers is None else self._observers(each.account)
        session = Session(
            token=login.token,
            base_url=login.base_url,
            credentials=store,
            allow_hosts=self._allow_hosts,
            machine=self.machine,
            writer=self.writer,
            http=self.http,
            bot_agent=self._bot_agent,
            observers=[each.told, *observers],
            history=self._history,
            gate=each.gate,
        )
        session._inbox.on_parked = self.tally.one_parked
        return session

    def up(self, session: Session) -> None:
        """A session has begun."""
        if self.on_up is not None:
            self.on_up(session)

    def rename(self, each: Supervisor, account: str) -> None:
        """Its user has logged in again: the account goes on under another name."""
        before, each.account = each.account, account
        if self.kept.get(before) is each:
            del self.kept[before]
        other = self.kept.get(account)
        if other is not None and other.session is not None:  # it is served already
            each.end(goodbye=False)
            return
        if other is not None:  # begun beside it, before anybody could know
            other.end(goodbye=False)
        self.kept[account] = each
        self.tell()

    def over(self, each: Supervisor) -> None:
        """An account has ended, and is kept no longer; nor is the token that it was added with."""
        self.living.discard(each)
        if self.kept.get(each.account) is each:
            del self.kept[each.account]
            # Here and not by whoever waits for it: until that one's turn comes it may have been added again.
            if not each.followed:
                self.given.remove(each.account)
        if self.is_stopping and not self.living:
            self.all_over.set()
        self.tell()

    def tell(self) -> None:
        """Something has changed that somebody may wait for."""
        if self._watched:
            self._watched = False
            self._changed.set()
            self._changed = anyio.Event()

    async def _wait_changed(self) -> None:
        self._watched = True
        await self._changed.wait()

    async def wait_renamed(self, each: Supervisor, account: str) -> None:
        """
        Wait until what was before has ended, and the account goes on under this name, or that of a token which was
        given to it since; or is kept no longer.
        """
        while not each.is_over:
            login = self.given.current(account)
            if not each.begins_anew and (login is None or each.account == login.account):
                return
            await self._wait_changed()

    async def wait_over(self, each: Supervisor) -> None:
        """Wait until the account is kept no longer."""
        while not each.is_over:
            await self._wait_changed()

    async def wait_begun(self) -> None:
        """Wait until each account has had its first turn, or has a reason for not having had it."""
        for each in tuple(self.kept.values()):
            while not each.has_begun and not each.is_over:
                await self._wait_changed()

    def _look_at_descriptors(self) -> None:
        """Say it if there are too few, and again when there are twice as many accounts."""
        accounts = len(self.kept)
        if accounts < 2 * self._said_of_descriptors:
            return
        needed = descriptors_needed(accounts, sends=_SENDS, locked=self.writer.store.shared)
        if problem := check_descriptors(needed, accounts, raise_it=self._raise_descriptor_limit):
            self._said_of_descriptors = accounts
            logger.warning("%s", problem)
