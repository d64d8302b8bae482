"""A machine as Promela: the table that runs, the world that it meets, and what SPIN is asked about the two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sessionfsm.lifecycle import Machine, Memory, Order, Pause, Perform, State, Trigger
from sessionfsm.lifecycle.machine import EXTERNAL
from sessionfsm.lifecycle.table import limits
from sessionfsm.verify.explore import moves

from .account import ACCOUNT, CLAIMS
from .names import Names, comment, operation_of
from .rows import MEMORY, cell_type, rows_of

__all__ = ["promela", "triggers_of"]

T = Trigger

_NAMED = {
    State.RECOVERING: "renewal",
    State.ACTIVE: "poll",
    State.STOPPING: "close",
    State.STOPPED: "nothing",
}
"""The operation that each of our own states names; that of ``backoff`` is a wait on any ladder."""

_NOT_PLAIN = (T.STOP, T.WAKE, T.CREDENTIALS_CHANGED, T.STORE_FAILED)
"""What is left out with -DPLAIN: a counterexample in which none of it happens is easier to read."""

_HEAD = """\
Written by `sessionfsm verify --export promela`, for SPIN 6.5 or newer.
One claim: spin -a FILE; cc -O1 -DNOREDUCE -o pan pan.c; ./pan -a -f -m1000000 -N P7_heals
The graph alone: spin -o2 -DBARE -a FILE; cc -DSAFETY -DNOREDUCE -o pan pan.c; ./pan -m1000000
Time is left out: whatever can happen while an operation is outstanding can happen at once, or later, or never;
and with weak fairness (-f) an operation that goes on is over at some time."""


def promela(machine: Machine) -> str:
    """
    Return the table of *machine* with its policy's counters, the world, and :data:`CLAIMS`, as a model for SPIN.

    The same machine gives the same text, byte for byte. Code of a machine's own is not looked at, only its table.

    Raises:
        DefinitionError: If the table has something that Promela cannot say.
    """
    names = Names(machine)
    parts = (
        _head(machine),
        _declarations(machine, names),
        rows_of(machine, names),
        ("", "#ifdef BARE", "inline account() { skip }", "#else", ACCOUNT.rstrip("\n"), "#endif"),
        _steps(machine, names),
        _world(machine, names),
        _claims(),
    )
    return "\n".join([line for part in parts for line in part]) + "\n"


def _head(machine: Machine) -> Iterator[str]:
    yield from (comment(line) for line in _HEAD.splitlines())
    yield comment(f"table: {machine.table.name}")
    yield from (comment(f"state {entry.name}: {entry.meaning}") for entry in machine.table.states)
    yield ""


def _declarations(machine: Machine, names: Names) -> Iterator[str]:
    performed = {f"perform {order.name}" for order in machine.table.performed}
    pauses = {f"pause {row.order.name}" for row in machine.table.rows if isinstance(row.order, Pause)}
    own = [names.triggers[name] for name in names.triggers if name not in tuple(T)]
    external = [names.triggers[name] for name in names.triggers if name in machine.external - EXTERNAL]
    yield f"mtype = {{ {', '.join(names.words)} }};"
    yield ""
    yield f"mtype state = {names.states[str(machine.table.initial)]};"
    yield "mtype operation = o_nothing;  /* what is outstanding */"
    figures = max(machine.policy.paces, *limits(machine.policy).values())
    kind = "byte" if figures <= 255 and all(cell_type(machine, cell) != "int" for cell in MEMORY) else "int"
    yield f"{kind} figure;  /* which pace, which wait on its ladder, whether the close says notifystop */"
    yield "bool fresh;  /* whether the poll is on a new connection */"
    for cell, value in MEMORY.items():
        yield f"{cell_type(machine, cell)} {cell} = {str(value).lower()};"
    yield from (f"bool {word};" for word in names.signals.values())
    yield "hidden mtype happened, ended, ordered;"
    yield "hidden int row, applied;"
    yield "hidden byte was_expired, was_trusted;"
    yield from (f"hidden {cell_type(machine, cell)} was_{cell};" for cell in ("waits", "denials", "hurries"))
    yield "#ifndef BARE"
    yield "bool begun;  /* whether the operation goes on long enough to be over at some time, if nothing replaces it */"
    yield "#endif"
    yield ""
    yield f"#define INITIAL {names.states[str(machine.table.initial)]}"
    yield f"#define REQUIRED {str(machine.policy.renewal == 'required').lower()}"
    yield from (f"#define MOST_{counter} {most}" for counter, most in limits(machine.policy).items())
    yield f"#define IS_PAUSE(it) {_among('it', (names.operations[name] for name in sorted(pauses)))}"
    yield f"#define IS_PERFORMED(it) {_among('it', (names.operations[name] for name in sorted(performed)))}"
    yield "#define IS_WAIT(it) (it == o_wait_session || it == o_wait_transport || IS_PAUSE(it))"
    yield "#define IS_LIVE(it) (it != o_nothing && it != o_close)"
    yield "#define LIVE IS_LIVE(operation)"
    yield f"#define IS_OWN(it) {_among('it', own)}"
    yield f"#define IS_EXTERNAL(it) {_among('it', external)}"
    yield "#define RESETS (happened == t_stop || happened == t_credentials_changed)"
    named = " && ".join(f"(state != {names.states[state]} || {what})" for state, what in _named(machine, names))
    yield f"#define NAMED ({named})"
    yield ""
    yield "inline order(what) {"
    yield "  operation = what; ordered = (what == o_nothing -> 0 : what)"
    yield "#ifndef BARE"
    yield "  ; begun = false"
    yield "#endif"
    yield "}"


def _named(machine: Machine, names: Names) -> Iterator[tuple[str, str]]:
    """Yield for each state what its operation has to be. A state of a user's own names what first leads there."""
    for state in names.states:
        if state == State.BACKOFF:
            yield state, "IS_WAIT(operation)"
            continue
        operation = _NAMED.get(State(state)) if state in tuple(State) else None
        orders = [operation_of(row.order) for row in machine.table.rows if row.target == state]
        operation = operation or next((name for name in orders if name is not None), "nothing")
        word = names.operations[operation]
        kinds = ("IS_WAIT", "IS_PERFORMED")
        first = operation.split(" ")[0].partition("_")[0]
        kind = {"wait": kinds[0], "pause": kinds[0], "perform": kinds[1]}.get(first)
        yield state, f"{kind}(operation)" if kind else f"operation == {word}"


def _among(variable: str, words: Iterable[str]) -> str:
    return f"({' || '.join(f'{variable} == {word}' for word in words) or 'false'})"


def _steps(machine: Machine, names: Names) -> Iterator[str]:
    """Yield for each trigger what it does: the first row that applies, as the machine that runs takes it."""
    for number, trigger in enumerate(names.triggers):
        rows = [at for at, row in enumerate(machine.table.rows) if row.trigger == trigger]
        yield ""
        yield f"inline {names.triggers[trigger][2:]}_happens() {{"
        yield f"  happened = {names.triggers[trigger]}; ended = operation; ordered = 0; row = -1;"
        yield "  was_expired = expired; was_trusted = trusted;"
        yield "  was_waits = waits; was_denials = denials; was_hurries = hurries;"
        yield f"  applied = {' + '.join(f'ROW_{at}' for at in rows) or '0'};"
        for at in reversed(rows):
            yield f"  if :: ROW_{at} -> row = {at} :: else fi;"
        yield "  if"
        yield from (f"  :: row == {at} -> row_{at}()" for at in rows)
        yield "  :: else"
        yield "  fi;"
        yield f'  printf("happened %d\\n", {number});'
        yield "  account()"
        yield "}"


def _world(machine: Machine, names: Names) -> Iterator[str]:
    """Yield three processes: what ends operations, who logs in elsewhere, and who owns the session."""
    own = sorted(machine.external - EXTERNAL)
    policy, some = machine.policy, Memory(waits=1, denials=1)
    when: dict[str, list[str]] = {}
    for operation, order in {"nothing": Order.NOTHING, **_orders(machine)}.items():
        for move in moves(machine._command(order, some, some), policy, own):
            at = when.setdefault(str(move.trigger), [])
            if names.operations[operation] not in at:
                at.append(names.operations[operation])

    def ways(triggers: Iterable[str], also: str = "") -> Iterator[str]:
        for trigger in triggers:
            can = f"{also}{_among('operation', when[trigger])}"
            if trigger in own:  # where it has no row, it is not heard
                rows = [f"ROW_{at}" for at, row in enumerate(machine.table.rows) if row.trigger == trigger]
                can += f" && ({' || '.join(rows) or 'false'})"
            way = f"  :: d_step {{ {can} -> {names.triggers[trigger][2:]}_happens() }}"
            yield from ("#ifndef PLAIN", way, "#endif") if trigger in _NOT_PLAIN else (way,)

    def process(name: str, says: str, *lines: Iterable[str]) -> Iterator[str]:
        yield ""
        yield comment(says)
        yield f"active proctype {name}() {{"
        yield "  do"
        yield from (line for part in lines for line in part)
        yield "  od"
        yield "}"

    idles = ("#ifndef BARE", "  :: d_step { true -> skip }  /* it need not do anything */", "#endif")
    outside = [trigger for trigger in when if trigger in machine.external]
    ends = [trigger for trigger in when if trigger not in machine.external and trigger != T.CREDENTIALS_CHANGED]
    yield ""
    yield "#ifdef BARE"
    yield "#define BEGUN true"
    yield "#else"
    yield "#define BEGUN begun"
    yield "#endif"
    yield from process(
        "world",
        "server, network, store and clock: an operation that has begun, and is not replaced, is over at some time",
        ("#ifndef BARE", "  :: d_step { operation != o_nothing && !begun -> begun = true }", "#endif"),
        ways(ends, "BEGUN && "),
    )
    yield from process(
        "elsewhere",
        "another process may log in while a renewal is under way",
        idles,
        ways(trigger for trigger in when if trigger == T.CREDENTIALS_CHANGED),
    )
    yield from process("owner", "whoever owns the session may start, wake and stop it", idles, ways(outside))


def _orders(machine: Machine) -> dict[str, Order | Pause | Perform]:
    """Return every operation that the table can order, and an order for it."""
    orders: dict[str, Order | Pause | Perform] = {}
    for row in machine.table.rows:
        operation = operation_of(row.order)
        if operation is not None and operation != "nothing":
            orders.setdefault(operation, row.order)
    return orders


def _claims() -> Iterator[str]:
    yield ""
    yield "#ifndef BARE"
    for claim in CLAIMS:
        yield comment(claim.says)
        yield f"ltl {claim.name} {{ {claim.formula} }}"
    yield "#endif"


def triggers_of(machine: Machine) -> tuple[str, ...]:
    """Return the triggers in the order in which the model numbers them: those numbers a run prints."""
    return tuple(Names(machine).triggers)
