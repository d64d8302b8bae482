"""Lifecycles to draw: ours, the examples, and tables whose words are meant to break a drawing."""

from __future__ import annotations

from hypothesis import strategies as st

from sessionfsm.examples import official_client, quiet_hours
from sessionfsm.lifecycle import (
    Assign,
    AtLeast,
    Below,
    Count,
    Guard,
    Is,
    Machine,
    Order,
    OwnOrder,
    Pause,
    Perform,
    Policy,
    Row,
    Signal,
    SignalRule,
    StateEntry,
    Table,
    Update,
)

__all__ = ["HOSTILE", "MACHINES", "RESERVED", "hostile_table", "tables"]

POLICY = Policy()

HOSTILE = (
    'a: b; c # d % e "f" <g> & `h`\ni',
    "\u202ereversed\u202c \u200bunseen\u0007\u2028line",
    "]]> --> <!-- - -- ->",
    "状态 ü é\u0301 😀",
    "@enduml\n!include /etc/passwd",
    "</state><script>alert('1')</script>",
    "{record|<field>} \\n \\l \\",
    "$$x^2$$ **bold** //italic// __under__ ~~struck~~ [link](http://x) [[y]] %date() &#60; &lt;",
    "]} ''' \"\"\" -- ;",
    "-minus",
    "9th",
    "a_b",
    "a b",
)
RESERVED = ("end", "note", "state", "class", "live", "waits", "constructor", "__proto__", "direction", "title", "as")


def hostile_table(names: tuple[str, ...] = HOSTILE) -> Table:
    """A table in which each of *names* is a state, a trigger, a reason, a pause and an operation."""
    rows: list[Row] = []
    states = list(names)
    for number, name in enumerate(names):
        following = states[(number + 1) % len(states)]
        orders: tuple[Order | OwnOrder, ...] = (
            Pause(f"p {name}", 1 + number, 100 if number % 2 else None),
            Perform(f"o {name}", (f"{name}!",), f"otherwise {name}", 2.5),
            Order.POLL,
        )
        rows += [
            Row(
                trigger=f"{name}!",
                sources=(states[number],),
                target=target,
                order=order,
                reason=name,
                guards=(Below("doubts", 1), Is("trusted", True), AtLeast("hurries", number)),
                updates=(Assign("expired", False), Count("hurries")),
                clears_signals=number == 0,
            )
            for order, target in zip(orders, (following, states[number], states[0]), strict=True)
        ]
    rows.append(Row(trigger="shared", sources=tuple(states[1:5]), target=states[0], order=Order.NOTHING, reason=names[0]))
    return Table(
        name=names[0],
        states=tuple(StateEntry(name=name, meaning=name) for name in states),
        rows=tuple(rows),
        signals=(SignalRule(signal=Signal.LOGIN_REQUIRED, order=Order.POLL, guards=(AtLeast("denials", 2),)),),
        initial=states[0],
        external=("shared",),
    )


MACHINES: dict[str, Machine] = {
    "default": Machine(),
    "renewal required": Machine(Policy(renewal="required")),
    "official client": Machine(table=official_client(POLICY)),
    "quiet hours": Machine(table=quiet_hours(POLICY)),
    "hostile": Machine(table=hostile_table()),
    "reserved words": Machine(table=hostile_table(RESERVED)),
    "no rows": Machine(table=Table(name="", states=(StateEntry(name="x", meaning=""),), rows=(), signals=(), initial="x")),
}


_names = st.text(min_size=1, max_size=12)
_flags = st.sampled_from(["expired", "trusted"])
_counters = st.sampled_from(["waits", "denials", "doubts", "hurries"])
_seconds = st.one_of(st.integers(1, 10**6), st.floats(0.001, 1e9))
_guards: st.SearchStrategy[Guard] = st.one_of(
    st.builds(Is, _flags, st.booleans()),
    st.builds(Below, _counters, st.integers(-3, 2**70)),
    st.builds(AtLeast, _counters, st.integers(-3, 2**70)),
)
_updates: st.SearchStrategy[Update] = st.one_of(
    st.builds(Assign, _flags, st.booleans()),
    st.builds(Assign, _counters, st.integers(0, 2**70)),
    st.builds(Count, _counters),
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Any table of up to five states, with any words in it."""
    names = draw(st.lists(_names, min_size=1, max_size=5, unique=True))
    triggers = [f"own {name}" for name in draw(st.lists(_names, min_size=1, max_size=3, unique=True))]
    pauses = [Pause(f"pause {number}", draw(_seconds)) for number in range(2)]
    performs = [Perform(draw(_names), tuple(f"out {name}" for name in triggers), "other", draw(_seconds))]
    orders = st.sampled_from([*pauses, *performs, Order.POLL, Order.RENEW, Order.NOTHING, Order.GO_ON, Order.CLOSE])
    row = st.builds(
        Row,
        trigger=st.sampled_from(triggers),
        sources=st.lists(st.sampled_from(names), max_size=4, unique=True).map(tuple),
        target=st.sampled_from(names),
        order=orders,
        reason=st.text(max_size=20),
        guards=st.lists(_guards, max_size=2).map(tuple),
        updates=st.lists(_updates, max_size=3).map(tuple),
        clears_signals=st.booleans(),
    )
    rules = st.builds(
        SignalRule,
        signal=st.sampled_from(list(Signal)),
        order=st.sampled_from([Order.POLL, Order.CLOSE]),
        guards=st.lists(_guards, max_size=2).map(tuple),
    )
    return Table(
        name=draw(st.text(max_size=8)),
        states=tuple(StateEntry(name=name, meaning=draw(st.text(max_size=12))) for name in names),
        rows=tuple(draw(st.lists(row, max_size=8))),
        signals=tuple(draw(st.lists(rules, max_size=3))),
        initial=draw(st.sampled_from(names)),
        external=tuple(triggers),
    )
