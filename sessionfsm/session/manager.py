"""Many accounts in one process: one store, one writer, one HTTP client, one machine, and a session for each."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from sessionfsm.errors import DefinitionError, SessionFSMError
from sessionfsm.ilink import DEFAULT_BASE_URL, DEFAULT_BOT_AGENT, Message, check_base_url
from sessionfsm.ilink.headers import check_token
from sessionfsm.ilink.lanes import check_http, default_http_client
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.secret import Secret
from sessionfsm.store import (
    Credentials,
    CredentialStore,
    MemoryCredentials,
    Runner,
    Store,
    StoreThread,
    StoreWriter,
    run_inline,
)

from .arguments import check_credentials, machine_of, writer_of
from .delivery import HANDLER_LIMIT_S, check_handler, check_limits, wrong_handler
from .fleet import Fleet
from .following import Following
from .health import Health
from .limiter import RENEWALS_PER_S, RenewalLimiter
from .manager_status import ManagerStatus
from .records import Observer
from .session import Session
from .supervisor import Down, Supervisor

if TYPE_CHECKING:
    from sessionfsm.ilink.lanes import HttpClient

__all__ = ["SessionManager"]

_OLD = 1000
"""After so many collections of what is neither young nor old, what is old is looked at as well; Python's own is 10."""

_HISTORY = 16

ManagerHandler = Callable[[Session, Message], Awaitable[object]]


class SessionManager:
    """
    Keeps the sessions of many accounts, each by itself: what happens to one is nothing to the others.

    .. code-block:: python

        async with SessionManager(credentials=CredentialFolder(), store=SQLiteStore()) as manager:
            await manager.deliver(handler)  # async def handler(session, message)

    Entering begins the accounts that *credentials* have; more are added and removed while it runs. A session that ends
    though nobody has asked it to is started again; why, and what it takes, says :meth:`down`. Leaving stops all of them
    in order, within the deadline of one.

    Sessions that begin, renew or reconnect at the same time do so one after the other, *renewals_per_s* a second for
    each host. With N sessions on a host that adds at most ``N / renewals_per_s`` seconds to how long a session may be
    silent; its own deadlines begin when it is let through.

    It is for one event loop, in which all its methods are called.

    Args:
        credentials: Where logins are kept. Each account in it is kept, a new one a few seconds after its login, and
            one that is removed there is stopped.
        store: Where messages and cursors are kept, for all accounts; by default in memory. It is not closed.
        run_store: How the store is called; by default in a worker thread, and a store in memory in place.
        writer: In place of both: a way to a store that is used by others as well.
        policy: The figures; the default suits the real server.
        machine: A lifecycle of your own; its policy is used then.
        http: An HTTP client to share; by default the manager has its own.
        allow_hosts: Hosts that may receive tokens, besides those at or below ``weixin.qq.com`` and loopback.
        bot_agent: How the bots name themselves to the server, as ``name/version``.
        observers: Called with an account each time its session starts; what it returns is called with the records.
        history: How many records each session keeps.
        renewals_per_s: How many sessions may begin, renew or reconnect in a second, for each host.
        raise_descriptor_limit: Let the process have as many open files as the sessions need, as far as it may; without
            it a warning says what to type. Code that uses ``select()`` cannot cope with more than 1,024.

    Raises:
        DefinitionError: If an argument is wrong.
    """

    def __init__(
        self,
        *,
        credentials: CredentialStore | None = None,
        store: Store | None = None,
        run_store: Runner | None = None,
        writer: StoreWriter | None = None,
        policy: Policy | None = None,
        machine: Machine | None = None,
        http: HttpClient | None = None,
        allow_hosts: Collection[str] = (),
        bot_agent: str = DEFAULT_BOT_AGENT,
        observers: Callable[[str], Iterable[Observer]] | None = None,
        history: int = _HISTORY,
        renewals_per_s: float = RENEWALS_PER_S,
        raise_descriptor_limit: bool = False,
    ) -> None:
        check_credentials(credentials)
        check_base_url(DEFAULT_BASE_URL, allow_hosts)  # which looks at allow_hosts
        check_http(http)
        self._own_writer = writer is None
        self._writer = writer_of(store, run_store, writer)
        self._http = http
        self._allow_hosts = tuple(allow_hosts)
        self._fleet = Fleet(
            machine=machine_of(policy, machine),
            writer=self._writer,
            credentials=credentials,
            limiter=RenewalLimiter(renewals_per_s),
            allow_hosts=allow_hosts,
            bot_agent=bot_agent,
            observers=observers,
            history=history,
            raise_descriptor_limit=raise_descriptor_limit,
        )
        self._thread = StoreThread()  # not that of the store: looking through ten thousand files takes a while
        if credentials is not None:
            in_place = run_store is run_inline or isinstance(credentials, MemoryCredentials)
            self._fleet.following = Following(credentials, run_inline if in_place else self._thread, self._fleet)
        self._stack = AsyncExitStack()
        self._entered = False
        self._gifts = 0
        self._slots: tuple[int, anyio.Semaphore] | None = None  # of the handlers, and how many there are

    # --- from the beginning to the end -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._entered:
            raise SessionFSMError("a SessionManager is entered once; make another one to start again")
        self._entered = True
        fleet = self._fleet
        try:
            fleet.http = self._http
            if fleet.http is None:
                fleet.http = default_http_client()
                self._stack.push_async_callback(_close, fleet.http)
            self._stack.callback(self._thread.close)
            if self._own_writer:
                await self._stack.enter_async_context(self._writer)
            if fleet.following is not None:
                await fleet.following.look()
        except BaseException:
            await self._stack.aclose()
            raise
        fleet.group = anyio.create_task_group()
        await fleet.group.__aenter__()
        for each in fleet.kept.values():
            fleet.group.start_soon(each.run)
        fleet.group.start_soon(fleet.tally.run)
        if fleet.following is not None:
            fleet.group.start_soon(fleet.following.run)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        fleet = self._fleet
        assert fleet.group is not None
        try:
            if exc is None or isinstance(exc, Exception):
                await self.stop()
        finally:
            fleet.is_stopping = True
            fleet.group.cancel_scope.cancel()
            try:
                await fleet.group.__aexit__(None, None, None)  # what the body raised goes on as it is, in no group
            finally:
                fleet.all_over.set()
                await self._stack.aclose()

    async def stop(self) -> None:
        """
        End all sessions in order, side by side, and wait until they have ended.

        What is in hand may be finished within the policy's deadline, which is the same for all of them. Each says
        goodbye to the server, as far as *renewals_per_s* and its deadline allow: of ten thousand, most do not come to
        that. A second call waits for the same end. To abandon everything at once, cancel the scope around it.
        """
        fleet = self._fleet
        me = anyio.get_current_task().id
        for each in tuple(fleet.living):
            each.excuse(me)  # a handler may ask for the end, too
            if not fleet.is_stopping:
                each.end()
        fleet.is_stopping = True
        if fleet.group is not None and fleet.living:
            await fleet.all_over.wait()
        fleet.all_over.set()

    # --- which accounts ----------------------------------------------------------------------------------------------

    def add(self, token: Secret | str, *, base_url: str = DEFAULT_BASE_URL) -> str:
        """
        Keep the account of this token as well; return what it is called. It starts when its turn comes.

        Args:
            token: The bot token.
            base_url: The server.

        Raises:
            CredentialsMissing: If the token is empty.
            DefinitionError: If the account is kept already, the address is not allowed, or the manager has stopped.
        """
        token = Secret.of(token)  # first of all: what is raised shows the names of this function
        login = self._checked(token, base_url)
        if (other := self._fleet.kept.get(login.account)) is not None:
            self._check_stays(other)
            raise DefinitionError(
                f"account {login.account} is kept already: replace() gives it another token, remove() ends it"
            )
        self._gifts += 1
        self._fleet.given.save(Credentials(token=login.token, base_url=login.base_url, user_id=f"gift {self._gifts}"))
        self._fleet.passed_over.discard(login.account)
        self._fleet.begin(login.account, followed=False)
        return login.account

    async def remove(self, account: str) -> None:
        """
        Stop the account's session in order, wait until it has ended, and keep the account no longer.

        Its messages stay in the store. Credentials that are followed stay as well, and are passed over while this
        manager runs, until they were gone for a while; :meth:`add` begins the account nevertheless.

        Raises:
            DefinitionError: If the account is not kept.
        """
        each = self._one(account)
        if each.followed:
            self._fleet.passed_over.add(each.account)
        each.excuse(anyio.get_current_task().id)
        each.end()
        if self._fleet.group is None:
            self._fleet.over(each)
        else:
            await self._fleet.wait_over(each)

    async def replace(self, account: str, token: Secret | str, *, base_url: str = DEFAULT_BASE_URL) -> str:
        """
        Give an account that was added by its token another one; return what it is called from now on.

        Its session ends without a goodbye, since the server may know the new one already, and what is in hand may be
        finished first; that is waited for. The next session has the new token. Messages that are left of the old
        account are its own, also if it is called otherwise now.

        Raises:
            CredentialsMissing: If the token is empty.
            DefinitionError: If the account is not kept or is removed meanwhile, another one of the new name is kept,
                the address is not allowed, or its credentials are followed: then save the new ones in that store.
        """
        token = Secret.of(token)
        each = self._one(account)
        if each.followed:
            raise DefinitionError(
                f"the credentials of {account} are followed: save the new ones where they are kept, and its session "
                "goes over to them"
            )
        login = self._checked(token, base_url)
        self._check_stays(each)
        if self._fleet.kept.get(login.account, each) is not each:
            raise DefinitionError(f"account {login.account} is kept already: remove() it first, or {account}")
        before = self._fleet.given.current(each.account)
        assert before is not None
        self._fleet.given.save(Credentials(token=login.token, base_url=login.base_url, user_id=before.user_id))
        each.excuse(anyio.get_current_task().id)
        each.begin_anew()
        if self._fleet.group is None:
            self._fleet.rename(each, login.account)
        else:
            await self._fleet.wait_renamed(each, login.account)
            if each.account not in self._fleet.kept:
                raise DefinitionError(f"account {account} was removed, or the manager stopped, before it began anew")
        return each.account  # which another call may have changed since

    def wake(self, account: str) -> None:
        """
        Try again now: cut the wait of a session short, and that of an account that has none, whatever the reason was.

        Raises:
            DefinitionError: If the account is not kept.
        """
        self._one(account).wake()

    @property
    def accounts(self) -> list[str]:
        """The accounts that are kept, in the order in which they came."""
        return list(self._fleet.kept)

    def session(self, account: str) -> Session:
        """
        Return the account's session: to send, and to see to messages that were set aside.

        It is another one after each restart, so ask again rather than keep it.

        Raises:
            DefinitionError: If the account is not kept.
            SessionFSMError: If it has no session now; the message says why.
        """
        each = self._one(account)
        if each.session is None:
            raise SessionFSMError(f"account {account} has no session now: {each.health().reason}")
        return each.session

    # --- what comes in -----------------------------------------------------------------------------------------------

    async def deliver(
        self,
        handler: ManagerHandler,
        *,
        at_once: int = 16,
        at_once_in_all: int = 1000,
        limit_s: float | None = HANDLER_LIMIT_S,
    ) -> None:
        """
        Call *handler* with the session and the message, for each message of every account, until the manager stops.

        For each session it is as with :meth:`Session.deliver`: in order per sender, up to *at_once* senders side by
        side, again after a failure, set aside after five. *at_once_in_all* handlers run at the same time; who comes
        then waits in line, sessions behind each other. Polling never waits.

        Raises:
            DefinitionError: If an argument is out of range, the handler is no async function of two arguments, or
                messages are being delivered already.
        """
        check_handler(handler, "session", "message")
        check_limits(at_once, limit_s)
        if at_once_in_all < 1 or at_once_in_all % 1:
            raise DefinitionError(f"at_once_in_all is {at_once_in_all!r}; it must be a whole number, at least 1")
        fleet = self._fleet
        if fleet.on_up is not None:
            raise DefinitionError("messages are being delivered already: deliver() is called once at a time")
        slots = anyio.Semaphore(at_once_in_all, fast_acquire=True)

        def serve(session: Session) -> None:
            delivery = session._delivery(
                lambda message: handler(session, message), at_once=at_once, limit_s=limit_s, slots=slots
            )
            delivery.begin(group)

        try:
            async with anyio.create_task_group() as group:
                fleet.on_up, self._slots = serve, (at_once_in_all, slots)
                for each in fleet.kept.values():
                    if each.session is not None:
                        fleet.on_up(each.session)
                await fleet.all_over.wait()
        except ExceptionGroup as several:
            if (wrong := wrong_handler(several)) is not None:  # each session has found out the same
                raise wrong from None
            raise
        finally:
            fleet.on_up = self._slots = None

    # --- how it is ---------------------------------------------------------------------------------------------------

    def status(self) -> ManagerStatus:
        """Return how all of them are. It costs next to nothing, however many there are."""
        fleet, now = self._fleet, anyio.current_time()
        tally, following = fleet.tally, fleet.following
        oldest_s, ready, accounts = tally.oldest_s(), tally.ready(now), len(fleet.kept)
        return ManagerStatus(
            accounts=accounts,
            states={state: count for state, count in tally.states.items() if count},
            without_session=accounts - sum(tally.states.values()),
            ready=ready,
            not_ready=accounts - ready,
            oldest_poll_age_s=None if oldest_s is None else now - oldest_s,
            queued=fleet.limiter.waiting,
            restarts=tally.restarts,
            parked=tally.parked,
            storage_trouble=tally.storage_trouble,
            storage=tally.storage if tally.storage_trouble else "",
            signals={signal: count for signal, count in tally.signals.items() if count},
            handlers=self._slots[0] - self._slots[1].value if self._slots is not None else 0,
            credentials=following.trouble if following is not None else "",
        )

    def health(self, account: str) -> Health:
        """
        Return how one of them is; of an account that has no session, why.

        Raises:
            DefinitionError: If the account is not kept.
        """
        return self._one(account).health()

    def healths(self) -> Iterator[Health]:
        """Yield the health of each account."""
        for each in tuple(self._fleet.kept.values()):
            yield each.health()

    def down(self) -> Iterator[Down]:
        """Yield the accounts that have no session, why, and what it takes."""
        for each in tuple(self._fleet.kept.values()):
            if (down := each.down()) is not None:
                yield down

    async def wait_started(self) -> None:
        """Wait until each account has had its turn to begin: it has a session, or a reason for having none."""
        await self._fleet.wait_begun()

    @staticmethod
    def freeze() -> None:
        """
        Keep the garbage collector from holding up the sessions, which are millions of objects and hardly any garbage.

        What is in memory now is taken out of its sight, and it looks at all that comes later a hundred times less often
        than Python does by itself; at what is young, as often. One look at ten thousand sessions holds up everything
        for more than a second. It is for once, after a large number of sessions has started: :meth:`wait_started`. It
        concerns the whole process, which is why nobody does it for you; ``gc.unfreeze()`` and ``gc.set_threshold()``
        take it back.
        """
        gc.collect()
        gc.freeze()
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, _OLD)

    # --- within ------------------------------------------------------------------------------------------------------

    def _one(self, account: str) -> Supervisor:
        each = self._fleet.kept.get(account)
        if each is None:
            raise DefinitionError(f"account {account} is not kept here")
        return each

    @staticmethod
    def _check_stays(each: Supervisor) -> None:
        if each.is_ending:
            raise DefinitionError(f"account {each.account} is being removed: add() it when remove() has ended")

    def _checked(self, token: Secret, base_url: str) -> Credentials:
        secret = check_token(token)
        if self._fleet.is_stopping:
            raise DefinitionError("the manager has stopped")
        return Credentials(token=secret, base_url=check_base_url(base_url, self._allow_hosts))


async def _close(http: HttpClient) -> None:
    with anyio.CancelScope(shield=True):
        await http.aclose()
