"""One simulated world: a real session against the fake server, and everything that a schedule lets happen to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count

import anyio
import anyio.abc

from sessionfsm.errors import DefinitionError, StoreError
from sessionfsm.lifecycle import EXTERNAL, Machine, Own
from sessionfsm.secret import Secret
from sessionfsm.session import Record, RecordMonitor, Session, Violation
from sessionfsm.session.inbox import LAST_S
from sessionfsm.store import Credentials, MemoryCredentials
from sessionfsm.testing import faults
from sessionfsm.testing.account import FakeAccount
from sessionfsm.testing.bench import BENCH_TOKEN, BENCH_URL
from sessionfsm.testing.determinism import determined, living_tasks
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.life import Life
from sessionfsm.testing.messages import id_of
from sessionfsm.testing.server import FakeServer
from sessionfsm.testing.virtual_time import VirtualDeadlock, VirtualTimeExceeded, run

from .bot import SimulatedBot
from .checks import ROUNDING_S, judge_run, judge_whole
from .happenings import Again, Handler, Login, Restart, Send, StoreTrouble, Tell, Wake
from .ledger import Ledger, Run
from .probes import probe
from .schedule import Schedule
from .watching import WatchedClient, WatchedStore, WatchedTransport

__all__ = ["Narrator", "World"]

Narrator = Callable[[float, str], object]
"""Is told what happens: when, by the virtual clock, and in words."""

_LOOK_S = 97.0
_AFTERWARDS_S = 120.0  # so long may it take to handle everything, once the session polls well again
_RETRY_S = 5.0
_AFTER_INSIDE = Restart(how="stop", down_s=5.0)  # what follows when the session was stopped from inside


class World:
    """
    Performs a schedule, once.

    Args:
        schedule: What happens.
        machine: What the session runs on.
        narrator: Told what happens.

    Raises:
        DefinitionError: If the schedule has a trigger that the machine does not have.

    Attributes:
        violations: What was found. The first one ends the world.
        ledger: What was seen.
        server: The fake server, and its log.
        ended_s: How long it lasted, by the virtual clock.
    """

    def __init__(self, schedule: Schedule, machine: Machine, narrator: Narrator | None = None) -> None:
        own = machine.external - EXTERNAL
        for entry in schedule.entries:
            if isinstance(entry, Tell) and entry.name not in own:
                known = ", ".join(map(repr, sorted(own))) or "none"
                raise DefinitionError(f"the table has no external trigger {entry.name!r} (its own: {known})")
        self.schedule = schedule
        self.machine = machine
        self.policy = machine.policy
        self.violations: list[Violation] = []
        self._credentials = MemoryCredentials()
        self.ledger = Ledger(self._found, self._credentials, self.policy.drain_deadline_s)
        self.server = FakeServer(hold_s=schedule.hold_s, delivery=schedule.delivery, hint_ms=schedule.hint_ms)
        self.account = self._logged_in(BENCH_TOKEN)
        self._replaced: list[FakeAccount] = []  # those of earlier logins
        # One for each sender, so that no handler has to wait for another sender's; and one for whoever has no name.
        senders = {entry.sender for entry in schedule.entries if isinstance(entry, faults.Message)}
        self.bot = SimulatedBot(self.ledger, at_once=len(senders) + 2)
        self.ended_s = 0.0
        self._store = WatchedStore(self.ledger)
        self._narrator = narrator
        self._next = 0
        self._numbers = count(1)
        self._group: anyio.abc.TaskGroup | None = None
        self._armed: Restart | None = None  # the kill that waits for its step
        self._killed_by: Restart | None = None

    # --- from outside ------------------------------------------------------------------------------------------------

    def live(self) -> None:
        """Let everything happen, and judge it."""
        limit_s = self.schedule.duration_s + 10 * self.policy.resumption_bound_s + 4 * 3600.0
        try:
            with determined(self.schedule.seed, self.schedule.backend) as self._random:
                run(self._live, backend=self.schedule.backend, limit_s=limit_s)
        except VirtualTimeExceeded as error:
            self._end_at("R7", f"the session did not come to its end: {error}")
        except VirtualDeadlock as error:
            self._end_at("P8" if "stands still" in str(error) else "R7", str(error))
        except BaseException:
            if not self.ledger.endless:
                raise
        self._judge()

    def _end_at(self, which: str, what: str) -> None:
        if not self.violations:
            self._found(Violation(property=which, at_s=self.ended_s, what=what, number=0))

    def _judge(self) -> None:
        entries = [entry for entry in self.server.log if entry.endpoint in ("notifystart", "getupdates")]
        broken = bool(self.violations)
        for each in self.ledger.runs:
            last = each.last_request if each.last_request is not None else self.server.log.count
            mine = [entry for entry in entries if each.first_request < entry.number <= last]
            for found in judge_run(self.ledger, each, mine, self.machine):
                # A world that was broken off in the middle leaves loose ends, which say nothing.
                if not broken or found.property in ("P1", "P6", "P8"):
                    self._found(found)
        if not broken:
            for found in judge_whole(self.ledger, self.schedule):
                self._found(found)
        self.violations.sort(key=lambda violation: violation.at_s)

    def _found(self, violation: Violation) -> None:
        self.violations.append(violation)
        self._say(f"BROKEN  {violation.property}: {violation.what}", violation.at_s)
        self.bot.over()

    def _say(self, words: str, at_s: float | None = None) -> None:
        if self._narrator is not None:
            self._narrator(anyio.current_time() if at_s is None else at_s, words)

    # --- sessions, one after the other -------------------------------------------------------------------------------

    async def _live(self) -> None:
        transport = WatchedTransport(self.server.transport(round_trip_s=self.schedule.round_trip_s), self.ledger)
        restart: Restart | None = _AFTER_INSIDE
        while restart is not None and not self.violations:
            life = Life(self._store, self._passed, self._store.run)
            async with WatchedClient(transport=life.transport(transport), trust_env=False) as http:
                restart = await self._live_once(life, http)
            self.ended_s = anyio.current_time()
            if restart is not None and not self.violations:
                await self._play(self.ended_s + restart.down_s, None)

    async def _live_once(self, life: Life, http: WatchedClient) -> Restart | None:
        """Let one session live; return what follows it, ``None`` for nothing."""
        before = living_tasks()
        session, records = self._session(life, http)
        restart: Restart | None = Restart(down_s=_RETRY_S)
        this: Run | None = None
        left_s = anyio.current_time()
        with life.lived(), anyio.CancelScope() as scope:
            try:
                async with session:
                    this = self._begin(records, life)
                    try:
                        async with anyio.create_task_group() as self._group:
                            restart = await self._with(session, this, life, scope, self._group)
                    finally:
                        left_s = anyio.current_time()
            except Exception as error:
                while isinstance(error, ExceptionGroup):
                    error = error.exceptions[0]
                if this is None and isinstance(error, StoreError):
                    self._say(f"the session cannot begin: {error}")
                else:
                    self.ledger.wrong("R5", f"the session ended in {type(error).__name__}: {error}")
        if this is not None:
            self._ended(this, left_s, before)
        if self.ledger.held and not self.violations:
            self.ledger.wrong("R6", f"the session has ended, and {', '.join(sorted(self.ledger.held))} is still held")
        if life.is_killed:
            restart, self._killed_by = self._killed_by, None
        return restart

    async def _with(
        self, session: Session, this: Run, life: Life, scope: anyio.CancelScope, group: anyio.abc.TaskGroup
    ) -> Restart | None:
        """Let everything happen to a session until something ends it; end it in that way."""
        group.start_soon(self.bot.serve, session)
        restart = await self._play(self.schedule.duration_s, session)
        if life.is_killed:
            return None  # what follows is told by whoever has killed it
        if restart is not None and restart.how == "kill":
            self._killed_by = restart
            self._kill(life)
            return None
        if restart is None and this.stop_s == math.inf:
            await self._end_well(session)
        if restart is None and this.stop_s < math.inf:
            restart = _AFTER_INSIDE  # it was stopped from inside meanwhile: another one has to become well
        if self.violations or (restart is not None and restart.how == "cancel"):
            this.stop_s, this.cancelled = min(this.stop_s, anyio.current_time()), True
            scope.cancel()
        else:
            await self._stop(session, this)
            group.cancel_scope.cancel()
        return restart

    def _passed(self, step: str) -> bool:
        """A process has come to a step; return whether it is killed there."""
        if self._armed is None or self._armed.step != step:
            return False
        self._killed_by, self._armed = self._armed, None
        self._say(f"*       the session is killed {step}")
        self._gone()
        return True

    def _kill(self, life: Life) -> None:
        self._gone()
        life.kill()

    def _gone(self) -> None:
        self.ledger.killed()
        self.bot.killed()

    def _session(self, life: Life, http: WatchedClient) -> tuple[Session, list[Record]]:
        records: list[Record] = []
        monitor = RecordMonitor(self.machine, on_violation=self._found, slack_s=ROUNDING_S, late_s=0.01)
        session = Session(
            # Some go on passing the token that they began with; the renewal finds what has come in its place.
            token=BENCH_TOKEN if self.schedule.seed % 8 < 4 else None,
            base_url=BENCH_URL,
            credentials=self._credentials,
            http=http,
            machine=self.machine,
            store=life.store,
            run_store=life.call,
            operations={order.name: self._perform for order in self.machine.table.performed},
            observers=[monitor, records.append, *([self._narrate] if self._narrator is not None else [])],
            history=1,
            every_poll=self.schedule.seed % 4 < 2,  # both ways of telling of quiet polls, on both event loops
            wall=anyio.current_time,
        )
        return session, records

    def _begin(self, records: list[Record], life: Life) -> Run:
        this = Run(
            number=len(self.ledger.runs) + 1,
            began_s=anyio.current_time(),
            first_request=self.server.log.count,
            records=records,
        )
        self.ledger.begun(this)
        self.bot.begin(this, life)
        return this

    async def _stop(self, session: Session, this: Run) -> None:
        most_s = max(self.policy.drain_deadline_s, self.policy.notifystop_deadline_s)
        this.stop_s = min(this.stop_s, anyio.current_time())
        with anyio.move_on_after(most_s + 60.0):
            await session.stop()
        took = anyio.current_time() - this.stop_s
        if took > most_s + ROUNDING_S:
            self.ledger.wrong("R7", f"the stop took {took:.3f} s, and {most_s:g} s are allowed")
        elif session.state != self.machine.table.initial:
            self.ledger.wrong("R7", f"after the stop the session is {session.state}")

    def _ended(self, this: Run, left_s: float, before: int) -> None:
        now = anyio.current_time()
        this.ended_s = min(this.ended_s, now)
        this.last_request = self.server.log.count
        if self.violations:
            return
        # What was handled last is marked on the way out, and a store that is late is not waited for without end.
        allowed_s = LAST_S if self.ledger.troubled(left_s, now) else 0.0
        if now - left_s > allowed_s + ROUNDING_S:
            self.ledger.wrong("R7", f"leaving the session took {now - left_s:.3f} s after everything in it had ended")
        if (left := living_tasks() - before) > 0:
            self.ledger.wrong("R7", f"{left} tasks were left behind")

    # --- what happens ------------------------------------------------------------------------------------------------

    async def _play(self, until_s: float, session: Session | None) -> Restart | None:
        """Let everything happen that is due until then; return early if it ends the session, or if that has ended."""
        entries = self.schedule.entries
        while self._next < len(entries) and entries[self._next].at_s <= until_s:
            entry = entries[self._next]
            if await self._pass(entry.at_s, session):
                return _AFTER_INSIDE
            self._next += 1
            self._say(f"*       {entry.describe()}")
            if isinstance(entry, Restart) and entry.waits:
                self._armed = entry
                continue
            if isinstance(entry, Restart) and session is not None:
                return entry
            self._happen(entry, session)
        return _AFTER_INSIDE if await self._pass(until_s, session) else None

    async def _pass(self, until_s: float, session: Session | None) -> bool:
        """Let time pass, and look at the session now and then; return whether it has ended meanwhile."""
        while not self.violations:
            now = anyio.current_time()
            if session is None:
                await anyio.sleep_until(until_s)
                return False
            if self.bot.is_over:
                return True
            probe(session, self.ledger, self.server.log, self.policy)
            if now >= until_s:
                return False
            await self.bot.wait_over(min(until_s - now, _LOOK_S))
        return True

    def _happen(self, entry: Fault, session: Session | None) -> None:
        match entry:
            case faults.Message():
                self._write(entry.sender, entry.copies)
            case Again(copies=copies):
                for _ in range(copies if self.account.handed_out or self.account.unread else 0):
                    self.account.push_duplicate(new_context_token=True)
            case Login():
                self._log_in(entry)
            case Handler():
                self.bot.misbehave(entry)
            case StoreTrouble():
                self._store.trouble(entry)
            case Send(to=to, times=times) if session is not None and self._group is not None:
                for _ in range(times):
                    self._group.start_soon(self.bot.send, session, to)
            case Wake(times=times) if session is not None:
                for _ in range(times):
                    session.wake()
            case Tell(name=name) if session is not None:
                session.trigger(name)
            case Send() | Wake() | Tell() | Restart():
                pass  # nobody is there
            case _:
                self.server.apply(entry)
                self._keep_replaced()

    def _log_in(self, login: Login) -> None:
        """The user scans once more: there is another bot, and the old one's session is no more."""
        number, before = len(self._replaced) + 1, self.account
        self.account = self._logged_in(f"{number:012x}@im.bot:{number:032x}")
        self._replaced.append(before)
        self.ledger.logins[before.name] = anyio.current_time()
        before.take_over(notifystart=login.notifystart, answer_held=login.answer_held)

    def _logged_in(self, token: str) -> FakeAccount:
        self._credentials.save(Credentials(token=Secret(token), base_url=BENCH_URL, user_id="user@im.wechat"))
        return self.server.account(token)

    def _keep_replaced(self) -> None:
        """Whatever happens to accounts, one that was replaced stays so."""
        for account in self._replaced:
            if account.state != "taken_over":
                account.take_over(notifystart="denied", answer_held=True)

    def _write(self, sender: str, copies: int = 1) -> None:
        """A user writes."""
        name = str(next(self._numbers))
        # Noted before: a poll may be answered with it at once.
        self.ledger.written[f"m{name}"] = sender
        pushed = self.account.push(f"message {name}", sender=sender, message_id=f"m{name}")
        assert pushed == f"m{name}" == id_of({"message_id": pushed})
        for _ in range(copies - 1):
            self.account.push_duplicate(new_context_token=True)

    async def _perform(self, command: Own) -> str:
        """Be an operation of a machine of one's own: whatever it can report, or an error."""
        choice = self._random.randint(-1, len(command.outcomes) - 1)
        if choice < 0:
            raise RuntimeError(f"the operation {command.name!r} is made to fail")
        return command.outcomes[choice]

    # --- the end -----------------------------------------------------------------------------------------------------

    async def _end_well(self, session: Session) -> None:
        """Everything bad is over, and everybody writes once more: the session must be well again, and miss nothing."""
        self._say("*       everything bad is over")
        self._armed = None
        self.server.clear()
        self._keep_replaced()
        self._store.recover()
        self.bot.recover()
        well_s, bound_s = anyio.current_time(), self.policy.resumption_bound_s + self.machine.table.own_s
        for sender in dict.fromkeys((*self.ledger.written.values(), "user@im.wechat")):
            self._write(sender)
        while not self._polled_since(well_s):
            if await self._pass(min(anyio.current_time() + 1.0, well_s + bound_s + 1.0), session):
                return
            if anyio.current_time() > well_s + bound_s + ROUNDING_S and not self._polled_since(well_s):
                what = f"no good poll in {bound_s:g} s since everything bad was over: the session is deaf"
                self.ledger.wrong("P7", what)
                return
        end_s = anyio.current_time() + _AFTERWARDS_S
        while self.account.unread or self.ledger.unsettled or not session.health().ready:
            if anyio.current_time() >= end_s:
                break
            if await self._pass(anyio.current_time() + 1.0, session):
                return
        if self.account.unread:
            self.ledger.wrong("R4", f"{self.account.unread} messages were never fetched")
        elif not session.health().ready:
            self.ledger.wrong("R8", "the session polls well, and does not call itself ready")

    def _polled_since(self, at_s: float) -> bool:
        for back in range(1, len(self.server.log) + 1):
            entry = self.server.log[-back]
            if entry.ended_s is not None and entry.ended_s < at_s:
                return False
            if entry.good and not entry.aborted and entry.ended_s is not None and entry.ended_s > at_s:
                return True
        return False

    def _narrate(self, record: Record) -> None:
        seen = f" ({record.detail})" if record.detail else ""
        wait = f", waits {record.wait_s:.1f} s" if record.wait_s is not None else ""
        if (record.trigger, record.source, record.target) != ("polled", "active", "active"):
            self._say(f"{record.source} -> {record.target}  {record.trigger}{seen}{wait}")
