"""Orders of a user's own: what cannot be waited for, or performed, is refused when it is made."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import (
    Assign,
    Count,
    Ladder,
    Machine,
    Order,
    Own,
    Pause,
    Perform,
    Policy,
    Row,
    Snapshot,
    State,
    StateEntry,
    Table,
    Trigger,
    Wait,
)

NUMBERS = [0, -1, math.inf, float("inf"), math.nan]  # there is more than one object that is infinite


@pytest.mark.parametrize("name", ["", *Ladder])
def test_a_pause_has_a_name_of_its_own(name: str) -> None:
    """A record that says "session" or "transport" speaks of a ladder, so no pause may be called that."""
    with pytest.raises(DefinitionError, match="a pause needs a name of its own"):
        Pause(name, 10)


@pytest.mark.parametrize("length_s", NUMBERS)
def test_a_pause_without_a_length_is_refused(length_s: float) -> None:
    """A pause of no time would be a hot loop, and an endless one the end of the bot."""
    with pytest.raises(DefinitionError, match="needs a length above 0 s"):
        Pause("night", length_s)


@pytest.mark.parametrize("ceiling_s", [9.9, 0, -1, math.inf, float("inf"), math.nan])
def test_a_ceiling_below_the_length_is_refused(ceiling_s: float) -> None:
    with pytest.raises(DefinitionError, match="the pause 'night' is 10 s long: its ceiling cannot be"):
        Pause("night", 10, ceiling_s)


@pytest.mark.parametrize("ceiling_s", [10, 10.1, 1e6])
def test_any_other_ceiling_is_taken(ceiling_s: float) -> None:
    """The length itself is the lowest ceiling; whether one is too high is for ``verify`` to say."""
    assert Pause("night", 10, ceiling_s).longest_s == ceiling_s


@pytest.mark.parametrize("length_s", [1e-9, 0.5, 10])
def test_without_a_ceiling_the_length_is_one(length_s: float) -> None:
    assert Pause("night", length_s).longest_s == length_s


def test_an_operation_has_a_name() -> None:
    with pytest.raises(DefinitionError, match="an operation needs a name"):
        Perform("", ("done",), "failed")


@pytest.mark.parametrize("deadline_s", NUMBERS)
def test_an_operation_has_a_deadline(deadline_s: float) -> None:
    """Without one, code of the user's own could hang, and with it the session."""
    with pytest.raises(DefinitionError, match="'look' needs a deadline above 0 s"):
        Perform("look", ("done",), "failed", deadline_s)


@pytest.mark.parametrize(
    ("outcomes", "otherwise", "named"),
    [
        (("polled",), "failed", "not polled:"),
        (("done",), "stop", "not stop:"),
        (("wake", "done", "polled"), "stop", "not polled, stop, wake:"),
        (("done",), "", "not nothing:"),
        (("polled",), "", "not polled:"),
    ],
)
def test_an_operation_reports_triggers_of_its_own(outcomes: tuple[str, ...], otherwise: str, named: str) -> None:
    """Code of a user's own cannot say that the server answered, nor end the session; and it always says something."""
    with pytest.raises(DefinitionError, match=f"must report triggers of its own, {named}"):
        Perform("look", outcomes, otherwise)


def test_what_an_operation_can_report() -> None:
    assert Perform("look", ("a", "b"), "c").reported == ("a", "b", "c")
    assert Perform("look", ("a", "b", "a"), "b").reported == ("a", "b")
    assert Perform("look", (), "c", 0.1).deadline_s == 0.1
    assert Perform("look", (), "c").deadline_s == 10


def test_an_order_says_what_it_is() -> None:
    """Pictures and tables show it in these words."""
    assert str(Pause("night", 10)) == "pause night"
    assert str(Perform("look", ("done",), "failed")) == "perform look"


NIGHT = Pause("night", 600, 900)
LOOK = Perform("look", ("clear",), "cloudy", 5)


def _own(*rows: Row) -> Machine:
    states = tuple(StateEntry(name=name, meaning="…") for name in (*State, "away"))
    return Machine(Policy(), Table(name="mine", states=states, rows=rows, signals=(), external=("go",)))


def _row(trigger: str, source: str, target: str, order: Order | Pause | Perform) -> Row:
    return Row(trigger=trigger, sources=(source,), target=target, order=order, reason="so")


def test_a_pause_is_a_ladder_with_one_rung() -> None:
    """The driver waits for it as for any other wait: jitter, ``Retry-After`` and ``wake`` find the same figures."""
    session = _own(_row("go", "stopped", "away", NIGHT)).session()
    session.handle("go")
    assert session.outstanding == Wait(
        serial=1, ladder="night", attempt=1, rung_s=600.0, first_s=600.0, ceiling_s=900.0
    )
    assert all(isinstance(each, float) for each in (session.outstanding.rung_s, session.outstanding.first_s))
    assert isinstance(session.outstanding.ceiling_s, float)


def test_an_operation_is_ordered_as_it_was_written() -> None:
    """And its outcome needs its serial number, as that of every operation does."""
    machine = _own(
        _row("go", "stopped", "away", LOOK),
        _row("clear", "away", "stopped", Order.NOTHING),
        _row("cloudy", "away", "away", LOOK),
    )
    session = machine.session()
    assert session.operations == ("look",)
    assert session.own_triggers == {"go"}
    session.handle("go")
    assert session.outstanding == Own(serial=1, name="look", deadline_s=5, outcomes=("clear",), otherwise="cloudy")
    assert session.handle("clear", serial=2) is None
    assert session.handle("cloudy", serial=1) is not None
    assert session.handle("clear", serial=2) is not None
    assert session.snapshot() == Snapshot("stopped", session.memory, frozenset(), None)


def test_own_triggers_are_known_to_the_machine() -> None:
    machine = _own(_row("go", "stopped", "away", LOOK), _row("clear", "away", "stopped", Order.NOTHING))
    assert machine.external == {"start", "stop", "wake", "go"}
    assert set(machine.triggers) == {*Trigger, "go", "clear"}
    assert len(machine.triggers) == len(set(machine.triggers))


def test_a_wait_of_the_sessions_own_is_counted() -> None:
    """A ladder whose waits nobody counts would stay on its first rung; a row like that is refused."""
    for order, counter in ((Order.WAIT_SESSION, "denials"), (Order.WAIT_TRANSPORT, "waits")):
        with pytest.raises(DefinitionError, match=rf"without Count\('{counter}'\)"):
            _own(_row("go", "stopped", "away", order))
        other = "waits" if counter == "denials" else "denials"
        row = _row("go", "stopped", "away", order)
        with pytest.raises(DefinitionError, match=rf"without Count\('{counter}'\)"):
            _own(Row(**{**_cells(row), "updates": (Count(other),)}))
        with pytest.raises(DefinitionError, match="or undoes it"):
            _own(Row(**{**_cells(row), "updates": (Count(counter), Assign(counter, 0))}))
        for before in ((), (Assign(counter, 0), Count(other)), (Count(counter),)):
            _own(Row(**{**_cells(row), "updates": (*before, Count(counter), Assign(other, 0))}))


def test_a_counter_is_known_by_its_name() -> None:
    """Also where the name was put together, and is another object than the one in the library."""
    name: Any = "".join(("wa", "its"))
    row = _row("go", "stopped", "away", Order.WAIT_TRANSPORT)
    _own(Row(**{**_cells(row), "updates": (Count(name),)}))


def _cells(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__slots__}
