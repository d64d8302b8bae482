"""The state machines to inherit from: they find what is wrong, take rules of one's own, and pass what is right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from sessionfsm import Machine, Message, Policy, Session
from sessionfsm.lifecycle import Order, Pause, Perform, Row, StateEntry, Table, table_for
from sessionfsm.testing import BotStateMachine, SessionStateMachine, faults

from .tables import forgetful, naive

QUICK = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
# It stops at the first find. How soon that comes hangs on which modules are loaded: hypothesis draws their constants.
PATIENT = settings(QUICK, max_examples=2000)
BRIEF = settings(QUICK, max_examples=8, stateful_step_count=12)


def tried(machine: type[RuleBasedStateMachine], how: settings = QUICK) -> None:
    run_state_machine_as_test(machine, settings=how)


def test_the_default_machine_passes() -> None:
    """Nothing is found where nothing is wrong."""
    tried(SessionStateMachine)


def test_a_machine_that_polls_a_lost_session_is_found() -> None:
    """P1, from requests and their ends alone."""

    class Naive(SessionStateMachine):
        machine = naive()

    with pytest.raises(AssertionError, match="P1"):
        tried(Naive, PATIENT)


def test_a_machine_in_a_hot_loop_is_found() -> None:
    """P8."""

    class Forgetful(SessionStateMachine):
        machine = forgetful()

    with pytest.raises(AssertionError, match="P8"):
        tried(Forgetful, PATIENT)


def resting(policy: Policy) -> Table:
    """Return a table with commands and triggers of its own: `rest` pauses, then looks whether somebody is at home."""
    table = table_for(policy)
    rows = (
        Row(trigger="rest", sources=("backoff",), target="resting", order=Pause("rest", 60), reason="rest"),
        Row(trigger="retry_due", sources=("resting",), target="looking", order=LOOK, reason="look"),
        Row(trigger="wake", sources=("resting",), target="looking", order=LOOK, reason="look"),
        Row(trigger="at_home", sources=("looking",), target="recovering", order=Order.RENEW, reason="go on"),
        Row(trigger="nobody", sources=("looking",), target="recovering", order=Order.RENEW, reason="go on"),
    )
    stops = tuple(
        replace(row, sources=(*row.sources, "resting", "looking")) if row.trigger == "stop" else row
        for row in table.rows
    )
    states = (*table.states, StateEntry(name="resting", meaning="rests"), StateEntry(name="looking", meaning="looks"))
    return replace(table, name="resting", states=states, rows=(*stops, *rows), external=("rest",))


LOOK = Perform("look", ("at_home",), "nobody", deadline_s=5)


def test_commands_and_triggers_of_ones_own_are_driven_too() -> None:
    """A pause, an operation and an external trigger of a table are met; an own rule and an own invariant are used."""
    met: set[str] = set()

    class Resting(SessionStateMachine):
        machine = Machine(Policy(), resting(Policy()))

        @rule()
        def rests(self) -> None:
            self.tell("rest")

        @invariant()
        def note(self) -> None:
            met.add(self.session.state)

    tried(Resting, settings(QUICK, max_examples=150))
    assert {"resting", "looking"} <= met


class Answering(BotStateMachine):
    """A bot that answers everything."""

    async def serve(self, session: Session) -> None:
        async def answer(message: Message) -> None:
            await session.reply(message, f"you said {message.text}")

        await session.deliver(answer)

    def settled(self) -> None:
        assert len(self.bench.replies) + len(self.bench.parked()) >= len(self.pushed)


def test_a_sound_bot_passes() -> None:
    """At least one answer a message, or it is parked."""
    tried(Answering, BRIEF)


def test_a_bot_that_swallows_its_errors_is_found() -> None:
    """A reply that did not go out is lost for ever: some message goes unanswered."""

    class Swallowing(Answering):
        @rule()
        def an_answer_is_refused(self) -> None:
            self.do(lambda: self.bench.apply(faults.Status(endpoint="sendmessage")))

        async def serve(self, session: Session) -> None:
            async for message in session:
                try:
                    await session.reply(message, "yes")
                except Exception:
                    continue

    with pytest.raises(AssertionError):
        tried(Swallowing, settings(BRIEF, max_examples=200, stateful_step_count=25))


def test_what_the_bot_raises_ends_the_test_with_it() -> None:
    """An error of the bot is told as it is, at the step after which it came."""

    class Falling(Answering):
        async def serve(self, session: Session) -> None:
            async for _ in session:
                raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        tried(Falling, settings(BRIEF, max_examples=100))


def test_an_unsafe_lifecycle_under_a_bot_is_found() -> None:
    """What is on the wire is judged after every step."""

    class Unsafe(Answering):
        machine = naive()

    with pytest.raises(AssertionError, match="P1"):
        tried(Unsafe, settings(BRIEF, max_examples=200, stateful_step_count=25))


def test_a_bot_without_serve_is_told_what_to_write() -> None:
    """The base class is no bot."""
    with pytest.raises(NotImplementedError, match="async def serve"):
        tried(BotStateMachine, BRIEF)
