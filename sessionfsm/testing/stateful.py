"""A hypothesis state machine that drives the lifecycle alone: hypothesis is the server, the network and the clock."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sessionfsm.errors import TriggerRefused
from sessionfsm.lifecycle import (
    EXTERNAL,
    Answered,
    Close,
    Command,
    Lifecycle,
    Machine,
    Outcome,
    Own,
    Poll,
    Renew,
    Step,
    Trigger,
    Wait,
    classify_poll,
    classify_renewal,
    delay,
)
from sessionfsm.session import RequestMonitor
from sessionfsm.testing.strategies import outcomes

__all__ = ["SessionStateMachine"]

T = Trigger

_SHARES = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1)
_ROUNDING_S = 1e-6


class SessionStateMachine(RuleBasedStateMachine):
    """
    One session of :attr:`machine`, and a world that does to it whatever can be done, at any time it can be done.

    Inherit, name your machine, add rules of your own, and let pytest find the test case:

    .. code-block:: python

        class MySession(SessionStateMachine):
            machine = Machine(policy, my_table)

            @rule()
            def night_falls(self):
                self.tell("night_fell")

        TestMySession = MySession.TestCase

    After every step it is checked that no property of a run is broken (P1, P6, P8), that exactly one operation is
    outstanding while the session lives, and none after its end; and with every step that a late outcome changes
    nothing.

    Attributes:
        machine: What is tried; yours goes into the class.
        session: The session.
        now: The time, in seconds.
        monitor: The judge, who sees requests and their ends only.
    """

    machine: ClassVar[Machine | None] = None

    def __init__(self) -> None:
        super().__init__()
        self._machine = self.machine if self.machine is not None else Machine()
        self.session: Lifecycle = self._machine.session()
        self.monitor = RequestMonitor(self._machine.policy, slack_s=_ROUNDING_S, own_s=self._machine.table.own_s)
        self.now = 0.0
        self._began_s = 0.0  # when the outstanding operation began
        self._last_poll_s = -1e9
        self._requests = 0
        self._hollow = 0

    # --- for your own rules ------------------------------------------------------------------------------------------

    @property
    def outstanding(self) -> Command | None:
        """The command whose outcome is awaited."""
        return self.session.outstanding

    @property
    def running(self) -> bool:
        """Whether the session lives: it was started, and nobody has stopped it."""
        return self.outstanding is not None and not isinstance(self.outstanding, Close)

    def tell(self, trigger: str, *, after_s: float = 0.0, news: int = 0) -> Step | None:
        """
        Tell the session what happened, *after_s* seconds after the outstanding operation began.

        What comes from outside and has no row here changes nothing, as in the driver.

        Args:
            news: How many new messages a poll has brought.

        Raises:
            TriggerRefused: If it is the outcome of the outstanding operation, and the table has no row for it.
        """
        ended = self.outstanding
        external = trigger in self._machine.external
        self.now = max(self.now, self._began_s + after_s)
        try:
            step = self.session.handle(trigger, serial=None if external or ended is None else ended.serial)
        except TriggerRefused:
            if external:
                return None
            raise
        assert step is not None, f"{trigger} did not count as the outcome of {ended}"
        self._note(ended, step, external=external, news=news)
        return step

    # --- what the world does -----------------------------------------------------------------------------------------

    @initialize()
    def begins(self) -> None:
        """Somebody starts the session."""
        self.tell(T.START)

    @precondition(lambda self: self.outstanding is None)
    @rule()
    def starts_again(self) -> None:
        """Somebody starts the session again."""
        self.tell(T.START)

    @precondition(lambda self: isinstance(self.outstanding, Renew))
    @rule(outcome=outcomes(), share=_SHARES)
    def renewal_ends(self, outcome: Outcome, share: float) -> None:
        """A renewal ends, within its deadline."""
        assert isinstance(self.outstanding, Renew)
        self.tell(classify_renewal(outcome), after_s=share * self.outstanding.deadline_s)

    @precondition(lambda self: isinstance(self.outstanding, Renew))
    @rule()
    def somebody_logs_in(self) -> None:
        """The renewal finds new credentials and goes on with them."""
        self.tell(T.CREDENTIALS_CHANGED)

    @precondition(lambda self: isinstance(self.outstanding, Poll))
    @rule(outcome=outcomes(), share=_SHARES, quick=st.booleans())
    def poll_ends(self, outcome: Outcome, share: float, quick: bool) -> None:
        """A poll ends, within the longest deadline that it can have."""
        policy = self._machine.policy
        held_s = share * (policy.quick_s if quick else policy.longest_poll_s)
        news = outcome.news if isinstance(outcome, Answered) and outcome.has_messages else 0
        if isinstance(outcome, Answered) and news != outcome.news:
            outcome = Answered(code=outcome.code, has_messages=outcome.has_messages, has_cursor=outcome.has_cursor)
        self.tell(classify_poll(outcome, held_s, policy), after_s=held_s, news=news)

    @precondition(lambda self: isinstance(self.outstanding, Wait))
    @rule(draw=_SHARES, retry_after_s=st.none() | st.floats())
    def wait_ends(self, draw: float, retry_after_s: float | None) -> None:
        """A wait is over; chance shortens it, the server's wish may lengthen it."""
        wait = self.outstanding
        assert isinstance(wait, Wait)
        length = delay(wait, jitter=self._machine.policy.jitter, draw=draw, retry_after_s=retry_after_s)
        assert wait.rung_s / 2 <= length <= wait.ceiling_s
        self.tell(T.RETRY_DUE, after_s=length)

    @precondition(lambda self: isinstance(self.outstanding, Wait))
    @rule(draw=_SHARES)
    def somebody_wakes_it(self, draw: float) -> None:
        """A wait is cut short, though not below its first rung."""
        wait = self.outstanding
        assert isinstance(wait, Wait)
        self.tell(T.WAKE, after_s=min(delay(wait, jitter=self._machine.policy.jitter, draw=draw), wait.first_s))

    @precondition(lambda self: isinstance(self.outstanding, Own))
    @rule(data=st.data(), share=_SHARES)
    def own_operation_ends(self, data: Any, share: float) -> None:
        """An operation of the table's own reports something, or fails."""
        own = self.outstanding
        assert isinstance(own, Own)
        trigger = data.draw(st.sampled_from([*own.outcomes, own.otherwise]))
        self.tell(trigger, after_s=share * own.deadline_s)

    @precondition(lambda self: self.running and len(self._machine.external) > len(EXTERNAL))
    @rule(data=st.data())
    def own_trigger_comes(self, data: Any) -> None:
        """Somebody tells the session an external trigger of its table; a request goes on to its end first."""
        if not isinstance(self.outstanding, Renew | Poll):
            self.tell(data.draw(st.sampled_from(sorted(self._machine.external - EXTERNAL))))

    @precondition(lambda self: self.running)
    @rule(confirmed=st.integers(0, 9))
    def stops(self, confirmed: int) -> None:
        """Somebody stops the session; seldom, so that most lives are long."""
        if confirmed == 9:
            self.tell(T.STOP)

    @precondition(lambda self: isinstance(self.outstanding, Close))
    @rule()
    def is_closed(self) -> None:
        """The close has ended."""
        self.tell(T.CLOSED)

    @rule(trigger=st.sampled_from(sorted(set(T) - EXTERNAL)), off=st.sampled_from([-1, 1]))
    def late_outcome_comes(self, trigger: str, off: int) -> None:
        """The outcome of some other operation comes in: nothing changes."""
        before = self.session.snapshot()
        serial = self.outstanding.serial + off if self.outstanding is not None else None
        assert self.session.handle(trigger, serial=serial) is None
        assert self.session.snapshot() == before

    # --- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def no_property_of_the_run_is_broken(self) -> None:
        """P1, P6 and P8, by somebody who sees requests and their ends only."""
        assert not self.monitor.violations, self.monitor.violations[0]

    def _note(self, ended: Command | None, step: Step, *, external: bool, news: int) -> None:
        """Tell the judge what could be seen from outside."""
        trigger, monitor, policy = step.trigger, self.monitor, self._machine.policy
        if trigger in (T.START, T.CREDENTIALS_CHANGED):
            monitor.anew()
        if trigger == T.CREDENTIALS_CHANGED:
            self._hollow = 0
            return
        if not external and isinstance(ended, Renew | Poll):
            if trigger == T.HOLLOW:
                self._hollow += 1
            elif trigger != T.SILENT and isinstance(ended, Poll):
                self._hollow = 0
            required = policy.renewal == "required"
            renewed = trigger == T.SESSION_RENEWED or (trigger == T.RENEWAL_FAILED and not required)
            if trigger == T.STORE_FAILED and isinstance(ended, Renew):
                monitor.paused()  # the batch in memory could not be committed: there was no request
            else:
                self._requests += 1
                kind: Literal["renewal", "poll"] = "poll" if isinstance(ended, Poll) else "renewal"
                monitor.started(kind, self._began_s, self._requests)
            monitor.ended(
                loss=trigger in (T.SESSION_EXPIRED, T.SESSION_LAPSED) or self._hollow == 3,
                renewed=isinstance(ended, Renew) and renewed,
                good=trigger in (T.POLLED, T.HURRIED),
                news=news > 0,
            )
            self._hollow %= 3
        command = step.command
        if command is None:
            if trigger == T.CLOSED:
                assert self.outstanding is None, f"{self.outstanding} is outstanding after the end"
            return
        assert isinstance(command, Renew) or trigger != T.START, "a session does not begin with a renewal"
        assert isinstance(command, Close) == (trigger == T.STOP), f"{trigger} ordered {command}"
        assert self.outstanding is command, f"{command} was ordered, and {self.outstanding} is outstanding"
        self._began_s = self.now
        if isinstance(command, Poll):
            self._began_s = max(self.now, self._last_poll_s + command.pace_s)
            self._last_poll_s = self._began_s
