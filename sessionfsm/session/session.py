"""A session as a bot author meets it: an async context manager that is iterated, sends, and tells how it is."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
import anyio.abc

from sessionfsm.errors import CredentialsMissing, DefinitionError, ILinkError, PropertyBroken, SessionFSMError
from sessionfsm.identity import account_id
from sessionfsm.ilink import DEFAULT_BASE_URL, DEFAULT_BOT_AGENT, ILinkClient, Message, Sent
from sessionfsm.ilink.headers import stripped
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.secret import Secret
from sessionfsm.store import (
    Committed,
    Credentials,
    CredentialStore,
    MessageState,
    Runner,
    Store,
    Stored,
    StoreWriter,
)

from .arguments import check_credentials, machine_of, writer_of
from .at_work import AtWork
from .cancellation import TASK_ENDS, being_cancelled
from .delivery import HANDLER_LIMIT_S, Delivery, Handler, check_handler, check_limits, message_of
from .driver import Driver, OwnOperation, WaitLength
from .health import Health
from .inbox import LAST_S, Inbox
from .operations import Gate, Operations
from .records import Observer, Quiet, Record, SendObserver, SendRecord, Witness

if TYPE_CHECKING:
    from sessionfsm.ilink.lanes import HttpClient

__all__ = ["Session"]

_STORE_DEADLINE_S = 2.0  # a send goes out without its context token rather than wait longer for the store

logger = logging.getLogger("sessionfsm")


class Session:
    """
    One bot's session. Entering starts it, leaving stops it in order.

    .. code-block:: python

        async with Session(token=token) as session:
            async for message in session:
                await session.reply(message, f"you said {message.text}")

    A message is done when the loop asks for the next one; left by an exception, or by ``break``, it is not, and comes
    again. Polling goes on meanwhile, whatever the loop does. Several loops may iterate one session: messages of one
    sender stay in order, and each message goes to one loop.

    While it runs the account is its own: a second session on the account is refused, as far as the store can see.

    Args:
        token: The bot token. Without it *credentials* have it.
        account: Whose session it is, if *credentials* have several accounts.
        credentials: Where logins are kept. They are read again on every renewal: after a new login of the same user
            the session goes on as the new bot, from the new bot's cursor.
        base_url: The server; by default the one that the login named, else the official one. ``https`` at or below
            ``weixin.qq.com``, loopback, or what *allow_hosts* names.
        allow_hosts: Hosts that may receive the token besides.
        policy: The figures; the default suits the real server.
        store: Where messages and cursors are kept. By default in memory: they end with the process.
        run_store: How the store is called; by default in a worker thread, and a store in memory in place.
        writer: In place of both: a way to one store that sessions share, so that their commits go to disk together.
        http: An HTTP client to share between sessions; by default the session has its own.
        bot_agent: How the bot names itself to the server, as ``name/version``.
        machine: A lifecycle of your own, to be shared by sessions; its policy is used then.
        operations: What your lifecycle performs (:class:`~sessionfsm.lifecycle.Perform`), by name. An operation is
            called with its command and returns one of the command's outcomes.
        wait_length: Asked how long each wait should last, in seconds, before it begins; ``None`` leaves it to chance.
            It is a wish: the wait stays within what the jitter allows and its ceiling, whatever is answered.
        observers: Called with every record; see :class:`~sessionfsm.Record`. A
            :class:`~sessionfsm.session.SendObserver` is told of every text that is sent as well.
        history: How many records :attr:`history` keeps, and how many :attr:`sends`.
        every_poll: Record good polls that change nothing as well; otherwise they are counted in the next record. A
            :class:`~sessionfsm.session.Witness` among the observers turns it on.
        gate: Awaited with the server's address before each renewal, each poll on a new connection, and the goodbye: by
            it a :class:`~sessionfsm.SessionManager` spreads what many sessions do at once. The deadlines of requests
            begin after it.

    Attributes:
        machine: What its lifecycle runs on.

    Raises:
        CredentialsMissing: If the token is empty, or no credentials are stored.
        CredentialsExposed: If others can read the stored credentials.
        StoreError: If the stored credentials cannot be read.
        DefinitionError: If an argument is wrong.
    """

    def __init__(
        self,
        *,
        token: Secret | str | None = None,
        account: str | None = None,
        credentials: CredentialStore | None = None,
        base_url: str | None = None,
        allow_hosts: Collection[str] = (),
        policy: Policy | None = None,
        store: Store | None = None,
        run_store: Runner | None = None,
        writer: StoreWriter | None = None,
        http: HttpClient | None = None,
        bot_agent: str = DEFAULT_BOT_AGENT,
        machine: Machine | None = None,
        operations: Mapping[str, OwnOperation] | None = None,
        wait_length: WaitLength | None = None,
        observers: Iterable[Observer] = (),
        history: int = 256,
        every_poll: bool = False,
        gate: Gate | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        check_credentials(credentials)
        if token is None:
            login = _stored_login(credentials, account)
            secret, base_url = login.token, base_url or login.base_url
        else:
            token = Secret.of(token)
            secret = stripped(token)
        if not secret:
            raise CredentialsMissing("the token is empty: log in, or pass the token that a login gave")
        self._client = ILinkClient(
            token=secret,
            base_url=DEFAULT_BASE_URL if base_url is None else base_url,
            allow_hosts=allow_hosts,
            http=http,
            bot_agent=bot_agent,
        )
        self._own_writer = writer is None
        self._writer = writer_of(store, run_store, writer)
        machine = machine_of(policy, machine)
        observers = tuple(observers)
        witnesses = [observer for observer in observers if isinstance(observer, Witness)]
        name = account_id(secret)
        if token is not None and account not in (None, name):
            raise DefinitionError(f"the token is of account {name}, not of {account}")
        self._inbox = Inbox(self._writer, name)
        self._driver = Driver(
            machine.session(),
            Operations(
                client=self._client,
                writer=self._writer,
                credentials=credentials,
                policy=machine.policy,
                account=name,
                wall=wall,
                committed=self._committed,
                recheck=self._inbox.recheck,
                token=secret,
                gate=gate,
            ),
            self._inbox,
            own=operations or {},
            wait_length=wait_length,
            observers=observers,
            history=history,
            every_poll=every_poll or bool(witnesses),
        )
        self.machine = machine
        self._sends: list[SendRecord] = []  # an empty list takes a tenth of what a deque does
        self._kept = history
        self._send_observers = [observer for observer in observers if isinstance(observer, SendObserver)]
        for witness in witnesses:
            witness.begin_run(machine)
        self._group: anyio.abc.TaskGroup | None = None
        self._entered = self._has_begun = False
        self._at_work = AtWork()

    @property
    def account(self) -> str:
        """What the account is called; fit to be shown."""
        return self._driver.operations.account

    @property
    def state(self) -> str:
        """Where the lifecycle is: a :class:`~sessionfsm.State`."""
        return self._driver.lifecycle.state

    @property
    def signals(self) -> frozenset[str]:
        """What is raised: :class:`~sessionfsm.Signal` members."""
        return frozenset(self._driver.lifecycle.signals)

    @property
    def history(self) -> tuple[Record, ...]:
        """The last records, oldest first."""
        return tuple(self._driver.history)

    @property
    def quiet(self) -> Quiet | None:
        """The good polls since the last record, which changed nothing and so were only counted."""
        return self._driver.quiet

    def now_s(self) -> float:
        """Return the time on the clock of the records. It may be called from any thread."""
        return self._driver.now()

    @property
    def sends(self) -> tuple[SendRecord, ...]:
        """The last texts that were sent, or failed, oldest first."""
        return tuple(self._sends)

    def health(self) -> Health:
        """Return how the session is now. It may be called from any thread, such as that of a readiness check."""
        return self._driver.health()

    def observe(self, observer: Observer) -> None:
        """Call *observer* with every record from now on."""
        self._driver.observers.append(observer)

    def wake(self) -> None:
        """Cut a wait short, though not below its ladder's first rung; does nothing when the session is not waiting."""
        self._driver.wake()

    def trigger(self, name: str) -> None:
        """
        Tell the session one of the external triggers of your own table.

        It ends a wait, or an operation of your own, at once. A request is not torn: it goes on to its end, and then
        the session is told. In a state that has no row for it, nothing happens, as with :meth:`wake`.

        Raises:
            DefinitionError: If the table has no such external trigger.
        """
        self._driver.trigger(name)

    async def __aenter__(self) -> Self:
        await self._begin()
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        if self._own_writer:
            self._group.start_soon(self._writer.work)
        self._group.start_soon(self._live)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._group is not None
        self._inbox.abandon()  # nobody is left who could finish what is in hand
        try:
            if exc is None or isinstance(exc, Exception):
                await self.stop()
        except BaseException:
            await self._abandon(self._group)
            raise
        else:
            await self._abandon(self._group)
        finally:
            await self._end()

    # A manager has no use for a task of the session's own: it calls these three, one after the other, in one of its.

    async def _begin(self) -> None:
        """Have the account, and what the store knows of it. After that :meth:`_end` has to be called."""
        if self._entered:
            raise SessionFSMError("a Session is entered once; make another one to start again")
        self._entered = True
        try:
            await self._driver.operations.load()
        except BaseException:
            await self._close()
            raise
        self._stop_listening = self._writer.listen(self._inbox.recheck)
        self._has_begun = True

    async def _run(self) -> None:
        """Run to the end; handlers that have not ended by then are cut off, but for who has asked for the end."""
        try:
            await self._driver.run()
        finally:
            self._at_work.cut_off(self._inbox.excused)

    async def _end(self) -> None:
        """Give the account back. What is in hand is handed out again the next time."""
        self._driver.closed.set()  # if it has never run
        self._inbox.abandon()
        self._stop_listening()
        try:
            # A handler that was cut off may have returned all the same: nobody is to have its message before its mark.
            await self._at_work.wait_ended(LAST_S)
            await self._inbox.mark_last()
        finally:
            try:
                await self._close()
            finally:
                self._driver.operations.release()

    async def _close(self) -> None:
        await self._client.aclose()  # which cannot be cancelled where it waits for anything
        if self._own_writer:
            self._writer.close()

    async def _abandon(self, group: anyio.abc.TaskGroup) -> None:
        """Leave the task group with nothing running in it. What the body raised goes on as it is, in no group."""
        if not being_cancelled(group.cancel_scope):
            group.cancel_scope.cancel()
        try:
            if not self._driver.closed.is_set():
                with anyio.CancelScope(shield=True):
                    await self._driver.closed.wait()
        finally:
            try:
                await group.__aexit__(None, None, None)
            except ExceptionGroup as group_of_one:
                if isinstance(broken := group_of_one.exceptions[0], PropertyBroken):
                    raise broken from None
                raise

    async def stop(self) -> None:
        """
        End the session in order, and wait until it has ended.

        What is in hand may be finished within the policy's deadline; loops over the session end. A second call waits
        for the same end. To abandon a session at once, cancel the scope that it runs in.
        """
        self._inbox.excuse(anyio.get_current_task().id)  # a handler may ask for the end, too
        self._driver.stop()
        if self._has_begun:
            await self._driver.closed.wait()

    async def send_text(self, to: str, text: str, *, client_id: str | None = None, run_id: str | None = None) -> Sent:
        """
        Send one text to a user. It works in every state of the session and never moves it.

        The newest context token that came from this user goes with it.

        Raises:
            SessionLost: The server does not know the session; a renewal is the poll's affair, so just try later.
            ConversationClosed: The user has to write first (docs/reference/protocol.md, section 2.6).
            BadRequest: The request is wrong; nothing is gained by repeating it.
            TransportError: It is not known whether the message went out; resend once, with the same *client_id*.
        """
        started, state = anyio.current_time(), self.state
        try:
            sent = await self._send(to, text, client_id=client_id, run_id=run_id)
        except BaseException as error:  # a send that was cancelled may have gone out all the same
            self._sent(started, state, error)
            raise
        self._sent(started, state)
        return sent

    async def _send(self, to: str, text: str, *, client_id: str | None, run_id: str | None) -> Sent:
        try:
            by = anyio.current_time() + _STORE_DEADLINE_S
            token = await self._writer.ask(by, self._writer.store.context_token, self.account, to)
        except SessionFSMError as error:
            logger.warning("%s: no context token can be read, sending without: %s", self.account, error)
            token = None
        return await self._client.send_text(to, text, context_token=token, client_id=client_id, run_id=run_id)

    def _sent(self, started: float, state: str, error: BaseException | None = None) -> None:
        send = SendRecord(
            account=self.account,
            started_s=started,
            held_s=anyio.current_time() - started,
            state=state,
            failed=type(error).__name__ if error is not None else "",
            detail=_seen(error) if isinstance(error, ILinkError) else "",
        )
        self._sends.append(send)
        if len(self._sends) > self._kept:
            del self._sends[0]
        for observer in self._send_observers:
            try:
                observer.sent(send)
            except Exception:
                logger.exception("%s: an observer raised", self.account)

    async def reply(self, message: Message, text: str) -> Sent:
        """Answer the sender of *message*. Raises what :meth:`send_text` raises."""
        return await self.send_text(message.sender, text)

    def __aiter__(self) -> AsyncIterator[Message]:
        return _Messages(self._inbox, self._message)

    async def parked(self) -> list[Stored]:
        """
        Return the messages that were set aside because handlers kept failing on them, at most the first 1,000.

        Raises:
            StoreError: If the store cannot be read.
        """
        store, states = self._writer.store, (MessageState.PARKED,)
        return await self._writer.ask(math.inf, store.messages, account=self.account, states=states, limit=1000)

    async def retry(self, number: int) -> Stored:
        """
        Hand a parked, dropped or done message out once more, after all others; return it, with its new number.

        Raises:
            StoreError: If there is no such message, or it is open.
        """
        await self._inbox.mark()  # it may just have been handled
        stored = await self._writer.ask(math.inf, self._writer.store.retry, number)
        self._inbox.recheck()
        return stored

    async def drop(self, number: int) -> None:
        """
        Give an open or parked message up; a handler that has it goes on to its end.

        Raises:
            StoreError: If there is no such message, or it is finished.
        """
        await self._inbox.mark()  # it may just have been handled
        await self._writer.ask(math.inf, self._writer.store.drop, number)
        self._inbox.forget(number)

    async def deliver(
        self,
        handler: Handler,
        *,
        at_once: int = 16,
        limit_s: float | None = HANDLER_LIMIT_S,
    ) -> None:
        """
        Call *handler* for each message until the session stops.

        Messages of one sender come in order, one at a time; up to *at_once* senders are served side by side. A handler
        that raises, or takes longer than *limit_s* seconds and is cancelled, gets the message again, after 1, 2, 4 and
        8 s; after five attempts the message is parked in the store. Neither polling nor other senders wait for it.
        ``None`` lets a handler take as long as it likes. A handler that has not ended when the session has is
        cancelled, and its message comes again the next time; not so the one that has asked for the stop.

        :class:`SystemExit` counts as raising: argparse raises it for a wrong word, which a user may have written.

        Raises:
            DefinitionError: If *at_once* is below 1, *limit_s* is not above 0, or the handler is no async function of
                one argument.
        """
        check_handler(handler, "message")
        check_limits(at_once, limit_s)
        await self._delivery(handler, at_once=at_once, limit_s=limit_s).run()

    def _delivery(
        self, handler: Handler, *, at_once: int, limit_s: float | None, slots: anyio.Semaphore | None = None
    ) -> Delivery:
        return Delivery(
            self._inbox,
            handler,
            read=self._message,
            closed=self._driver.closed,
            at_work=self._at_work,
            at_once=at_once,
            limit_s=limit_s,
            slots=slots,
        )

    async def _live(self) -> None:
        with TASK_ENDS:
            await self._run()

    def _committed(self, committed: Committed) -> None:
        self._inbox.arrived(committed.new)

    def _message(self, stored: Stored) -> Message:
        return self._driver.operations.take_parsed(stored.body) or message_of(stored)


def _seen(error: ILinkError) -> str:
    """Return what was seen of a send that failed, without the server's words: they may name the user."""
    said: str = getattr(error, "errmsg", "")
    return str(error).replace(f": {said}", "") if said else str(error)


class _Messages:
    """One loop over a session. What it was handed last is done when it asks for the next."""

    def __init__(self, inbox: Inbox, read: Callable[[Stored], Message]) -> None:
        self._inbox = inbox
        self._read = read
        self._last: Stored | None = None

    def __aiter__(self) -> _Messages:
        return self

    async def __anext__(self) -> Message:
        if self._last is not None:
            last, self._last = self._last, None
            await self._inbox.done(last)
        self._last = await self._inbox.next()
        if self._last is None:
            raise StopAsyncIteration
        return self._read(self._last)

    def __del__(self) -> None:
        # The loop was left with a message in hand: another loop may have it.
        if self._last is not None and not self._inbox.closed():
            self._inbox.put_back(self._last)


def _stored_login(credentials: CredentialStore | None, account: str | None) -> Credentials:
    """Return the login that is stored for *account*; for the only one there is, if that is not named."""
    if credentials is None:
        raise CredentialsMissing("there is no token: pass token=, or credentials= that a login has filled")
    if account is None:
        known = credentials.accounts()
        if len(known) > 1:
            raise DefinitionError(f"several accounts are stored, pass account= to choose: {', '.join(known)}")
        if not known:
            raise CredentialsMissing("no credentials are stored: log in first")
        account = known[0]
    login = credentials.current(account)
    if login is None:
        raise CredentialsMissing(f"no credentials are stored for account {account}: log in first")
    return login
