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
    first, rows = names[0], []
    for number, name in enumerate(names):
        following = names[(number + 1) % len(names)]
        rows += [
            Row(
                trigger=f"{name}!",
                sources=(name,),
                target=name,
                order=Perform(f"o {name}", (f"out {name}",), f"otherwise {name}", 2.5),
                reason=name,
                guards=(Below("hurries", 2), AtLeast("denials", 0)),
                updates=(Assign("expired", number % 2 == 0), Count("hurries")),
            ),
            Row(
                trigger=f"{name}!",
                sources=(name,),
                target=following,
                order=Pause(f"p {name}", 1 + number, 100 if number % 2 else None),
                reason=name,
                guards=(AtLeast("hurries", 2), Is("trusted", False)),
                updates=(Assign("trusted", True), Assign("hurries", 0), Count("denials")),
                clears_signals=number == 0,
            ),
            Row(
                trigger=f"{name}!",
                sources=(name,),
                target=first if number % 3 == 2 else following,
                order=Order.POLL,
                reason=name,
                guards=(AtLeast("hurries", 2), Is("trusted", True)),
                updates=(Assign("trusted", False),),
            ),
        ]
    rows.append(Row(trigger="shared", sources=names[1:5], target=first, order=Order.NOTHING, reason=first))
    return Table(
        name=first,
        states=tuple(StateEntry(name=name, meaning=name) for name in names),
        rows=tuple(rows),
        signals=(SignalRule(signal=Signal.LOGIN_REQUIRED, order=Order.POLL, guards=(AtLeast("denials", 2),)),),
        initial=first,
        external=("shared", *(f"{name}!" for name in names)),
    )


MACHINES: dict[str, Machine] = {
    "default": Machine(),
    "renewal required": Machine(Policy(renewal="required")),
    "official client": Machine(table=official_client(POLICY)),
    "quiet hours": Machine(table=quiet_hours(POLICY)),
    "hostile": Machine(table=hostile_table()),
    "reserved words": Machine(table=hostile_table(RESERVED)),
    "no rows": Machine(
        table=Table(name="", states=(StateEntry(name="x", meaning=""),), rows=(), signals=(), initial="x")
    ),
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
