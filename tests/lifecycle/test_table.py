"""The table as data: values that nobody can change, and definitions that are refused with what is wrong."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from sessionfsm import lifecycle
from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import (
    Assign,
    AtLeast,
    Below,
    Count,
    Is,
    Machine,
    Memory,
    Order,
    Pause,
    Perform,
    Policy,
    Row,
    Signal,
    State,
    StateEntry,
    Table,
    table_for,
)
from sessionfsm.lifecycle.table import SignalRule, limits

VALUES = sorted(
    (value for value in vars(lifecycle).values() if inspect.isclass(value) and dataclasses.is_dataclass(value)),
    key=lambda value: value.__name__,
)
BY_PLACE = {Is, Below, AtLeast, Assign, Count, Pause, Perform}
"""What is written many times in a table, with one or two cells."""


def _example(kind: type) -> Any:
    made = object.__new__(kind)
    for field in dataclasses.fields(kind):
        object.__setattr__(made, field.name, None)
    return made


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_of_the_core_cannot_be_changed(kind: type) -> None:
    """Sessions share them: what one could change would change for all. And they carry no dictionary each."""
    value = _example(kind)
    name = dataclasses.fields(kind)[0].name if dataclasses.fields(kind) else "anything"
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        setattr(value, name, 1)
    assert not hasattr(value, "__dict__")
    assert "__slots__" in vars(kind)
    hash(value)


@pytest.mark.parametrize("kind", VALUES)
def test_cells_are_named_where_there_are_many(kind: type) -> None:
    """A row, a command or an outcome is written with the names of its cells; a guard or an update without."""
    kinds = {parameter.kind for parameter in inspect.signature(kind).parameters.values()}
    expected = inspect.Parameter.POSITIONAL_OR_KEYWORD if kind in BY_PLACE else inspect.Parameter.KEYWORD_ONLY
    assert kinds <= {expected}


def test_there_are_values() -> None:
    assert len(VALUES) > 20
    assert set(VALUES) > BY_PLACE


@pytest.mark.parametrize(
    ("guard", "holds", "fails", "cell", "says"),
    [
        (Is("expired", True), {"expired": True}, {"expired": False}, "expired", "expired"),
        (Is("trusted", False), {"trusted": False}, {"trusted": True}, "trusted", "not trusted"),
        (Below("doubts", 2), {"doubts": 1}, {"doubts": 2}, "doubts", "doubts < 2"),
        (Below("waits", 2), {"waits": 0}, {"waits": 3}, "waits", "waits < 2"),
        (AtLeast("doubts", 2), {"doubts": 2}, {"doubts": 1}, "doubts", "doubts ≥ 2"),
        (AtLeast("denials", 2), {"denials": 3}, {"denials": 0}, "denials", "denials ≥ 2"),
    ],
)
def test_guards(guard: Any, holds: dict[str, Any], fails: dict[str, Any], cell: str, says: str) -> None:
    """A guard looks at one cell of the memory, and says so in the words of the table."""
    assert guard.holds(Memory(**holds)) is True
    assert guard.holds(Memory(**fails)) is False
    assert guard.cell == cell
    assert str(guard) == says


@pytest.mark.parametrize(
    ("update", "says"),
    [
        (Assign("expired", True), "expired = yes"),
        (Assign("expired", False), "expired = no"),
        (Assign("waits", 0), "waits = 0"),
        (Assign("waits", 1), "waits = 1"),
        (Count("waits"), "waits + 1"),
    ],
)
def test_updates_say_what_they_do(update: Any, says: str) -> None:
    assert str(update) == says


STATES = tuple(StateEntry(name=name, meaning="…") for name in State)
LOOK = Perform("look", ("clear", "dark"), "cloudy")


def table(*rows: Row, **cells: Any) -> Table:
    return Table(**{"name": "mine", "states": STATES, "rows": rows, "signals": (), **cells})


def row(trigger: str = "start", **cells: Any) -> Row:
    return Row(
        **{
            "trigger": trigger,
            "sources": ("stopped",),
            "target": "stopped",
            "order": Order.NOTHING,
            "reason": "so",
            **cells,
        }
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: table(initial="nowhere"), "the initial state 'nowhere' is not among its states"),
        (lambda: table(row(sources=("stopped", "nowhere"))), "names the state 'nowhere'"),
        (lambda: table(row(target="nowhere")), "names the state 'nowhere'"),
        (lambda: table(row(updates=(Assign("wait", 1),))), "says 'wait = 1', and no memory can hold that"),  # type: ignore[arg-type]
        (lambda: table(row(updates=(Assign("waits", -1),))), "says 'waits = -1'"),
        (lambda: table(row(updates=(Assign("waits", True),))), "says 'waits = yes'"),
        (lambda: table(row(updates=(Assign("expired", 1),))), "says 'expired = 1'"),
        (lambda: table(row(updates=(Count("expired"),))), r"says 'expired \+ 1'"),  # type: ignore[arg-type]
        (lambda: table(row(guards=(Is("waits", True),))), "says 'waits'"),  # type: ignore[arg-type]
        (lambda: table(row(guards=(Below("wait", 1),))), "the row for 'start' says 'wait < 1'"),  # type: ignore[arg-type]
        (
            lambda: table(
                signals=(SignalRule(signal=Signal.LOGIN_REQUIRED, order=Order.POLL, guards=(AtLeast("wait", 1),)),)  # type: ignore[arg-type]
            ),
            "the signal 'login_required' says 'wait ≥ 1'",
        ),
        (lambda: table(external=("",)), "'' is not a trigger of its own"),
        (lambda: table(external=("mine", "wake")), "'wake' is not a trigger of its own"),
        (lambda: table(row("rain")), "nobody reports 'rain'"),
        (lambda: table(row("dark")), "nobody reports 'dark'"),
        (
            lambda: table(row(order=LOOK), external=("dark", "cloudy", "else")),
            "'cloudy', 'dark' cannot be both external and an outcome",
        ),
        (
            lambda: table(row(order=Pause("night", 10)), row("wake", order=Pause("night", 11))),
            "two different orders are called 'night'",
        ),
        (
            lambda: table(row(order=Pause("look", 10)), row("wake", order=LOOK)),
            "two different orders are called 'look'",
        ),
    ],
)
def test_a_table_that_cannot_be_run_is_refused(make: Any, says: str) -> None:
    with pytest.raises(DefinitionError, match=rf"^table 'mine': .*{says}"):
        make()


def test_a_table_with_triggers_and_orders_of_its_own() -> None:
    """The same order can stand in several rows, and each trigger is named once."""
    mine = table(
        row(order=LOOK), row("clear"), row("dark"), row("cloudy", order=LOOK), row("rain"), row(), external=("rain",)
    )
    assert mine.performed == (LOOK,)
    assert mine.triggers == ("start", "clear", "dark", "cloudy", "rain")
    assert table(row(order=Pause("night", 10)), row("wake", order=Pause("night", 10.0))).performed == ()


def test_what_orders_of_ones_own_may_add_to_a_silence() -> None:
    """The ceiling of each pause and the deadline of each operation, once; the session's own orders add nothing."""
    night = Pause("night", 10, 60)
    mine = table(
        row(order=night), row("wake", order=night), row("retry_due", order=LOOK), *(row(t) for t in LOOK.reported)
    )
    assert mine.own_s == 60 + 10
    assert table(row()).own_s == table_for(Policy()).own_s == 0


def test_counters_end_where_nothing_more_would_change() -> None:
    """The top of each ladder, the denial that tells the operator, the third hollow answer, the slowest pace."""
    assert limits(Policy()) == {"waits": 7, "denials": 7, "doubts": 2, "hurries": 3}
    assert limits(Policy(login_required_denials=9))["denials"] == 9


def test_a_counter_does_not_pass_its_end() -> None:
    """What has counted to its end stays there."""
    machine = Machine(Policy(), table(row(updates=tuple(map(Count, ("waits", "denials", "doubts", "hurries"))))))
    session = machine.session()
    for _ in range(9):
        session.handle("start")
    assert session.memory == Memory(waits=7, denials=7, doubts=2, hurries=3)
    session = machine.session()
    session.handle("start")
    assert session.memory == Memory(waits=1, denials=1, doubts=1, hurries=1)


def test_updates_are_made_in_order() -> None:
    first, last = Assign("waits", 3), Count("waits")
    for updates, waits in (((first, last), 4), ((last, first), 3)):
        session = Machine(Policy(), table(row(updates=updates))).session()
        session.handle("start")
        assert session.memory.waits == waits


def test_the_two_default_tables() -> None:
    """They differ in what a failed renewal leads to, and are told apart by their names."""
    attempted, required = table_for(Policy()), table_for(Policy(renewal="required"))
    assert (attempted.name, required.name) == ("session", "session, renewal required")
    assert [each for each in required.rows if each.trigger != "renewal_failed"] == [
        each for each in attempted.rows if each.trigger != "renewal_failed"
    ]
    assert [len([e for e in t.rows if e.trigger == "renewal_failed"]) for t in (attempted, required)] == [1, 2]
