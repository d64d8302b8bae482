"""A schedule drawn from a seed: the same for the same seed, on every machine and in every process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final, TypeVar

from sessionfsm.lifecycle import EXTERNAL, Machine
from sessionfsm.testing import faults
from sessionfsm.testing.fault_values import BODIES, CODES, HINTS, RETRY_AFTERS, STATUSES
from sessionfsm.testing.faults import Fault
from sessionfsm.testing.life import STEPS
from sessionfsm.testing.virtual_time import Backend

from .happenings import Again, Behaviour, Handler, Login, Restart, Send, StoreTrouble, Tell, Wake
from .schedule import Schedule

__all__ = ["backend_of", "draw_schedule"]

T = TypeVar("T")

Maker = Callable[[Random, float], Fault]

_USERS: Final = tuple(f"{name}@im.wechat" for name in ("anna", "ben", "carla", "dan"))
_ENDPOINTS: Final[tuple[Any, ...]] = (None, "getupdates", "getupdates", "notifystart", "sendmessage")
_TEMPERS: Final = (0.4, 1.0, 1.0, 2.5)
"""How much happens: a calm world, two usual ones, a stormy one."""
_BURSTS_PER_H: Final = 2.0
_LIFE_PER_H: Final = 9.0
_BURST_S: Final = 90.0
_DOWN_S: Final = (0.5, 5.0, 60.0, 600.0)
_MATTERS: Final = ("getupdates", "commit", "cursor", "handler", "done")  # what decides what is lost, and what repeated
_OFTEN: Final = tuple(step for step in STEPS if step.split()[1] in _MATTERS)
_FAR_HINTS: Final = ("3600000", "3600000", "86400000")  # an hour, a day: what must not be believed


def backend_of(seed: int) -> Backend:
    """Return the event loop of a seed: asyncio for an even one, trio for an odd one."""
    return "trio" if seed % 2 else "asyncio"


def draw_schedule(seed: int, hours: float, machine: Machine, trouble: Sequence[Fault] | None = None) -> Schedule:
    """
    Return what happens in the world of *seed* within so many hours.

    Trouble comes in bursts, because what is hard is one thing on top of another; ordinary life goes on beside it: users
    who write, handlers that misbehave, sends, restarts. How long the server holds a poll goes by the machine's policy.

    Args:
        seed: Which world.
        hours: How long it lasts; longer, if *trouble* does.
        machine: What will live in it.
        trouble: What goes wrong, instead of what is drawn.
    """
    rng = Random(f"sessionfsm simulation {seed}")
    duration_s = max([hours * 3600.0, *(fault.at_s + fault.lasts_s for fault in trouble or ())])
    temper = rng.choice(_TEMPERS)
    own = sorted(machine.external - EXTERNAL)  # the triggers of a table of one's own
    hold_s = machine.policy.hold_default_s * rng.choice((1.0,) * 12 + (0.6, 0.6, 0.2))
    return Schedule(
        seed=seed,
        duration_s=duration_s,
        backend=backend_of(seed),
        hold_s=round(hold_s, 3),
        hint_ms=rng.choice((None, None, round(hold_s * 1000))),
        delivery=rng.choice(("once", "replay")),
        round_trip_s=rng.choice((0.01, 0.05, 0.3)),
        entries=(
            *_life(rng, duration_s, temper, own),
            *(_bursts(rng, duration_s, temper, own) if trouble is None else trouble),
        ),
    )


def _life(rng: Random, duration_s: float, temper: float, own: list[str]) -> Iterator[Fault]:
    for at_s in _times(rng, duration_s, _LIFE_PER_H * temper):
        yield (drawn := _one_of(rng, _LIFE)(rng, at_s))
        yield from _beside(rng, drawn, duration_s)
    if own:
        for at_s in _times(rng, duration_s, 2 * temper):
            yield Tell(at_s=at_s, name=rng.choice(own))


def _bursts(rng: Random, duration_s: float, temper: float, own: list[str]) -> Iterator[Fault]:
    for began_s in _times(rng, duration_s, _BURSTS_PER_H * temper):
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            at_s = min(began_s + round(rng.uniform(0, _BURST_S), 2), duration_s)
            if own and rng.random() < 0.3:
                yield Tell(at_s=at_s, name=rng.choice(own))
            yield (drawn := _one_of(rng, _TROUBLE if rng.random() < 0.75 else _LIFE)(rng, at_s))
            yield from _beside(rng, drawn, duration_s)


def _beside(rng: Random, drawn: Fault, duration_s: float) -> Iterator[Fault]:
    """Yield what makes it hard: a message to be written while the store fails; a login while nobody runs."""

    def within(for_s: float) -> float:
        return min(round(drawn.at_s + rng.uniform(0, for_s), 2), duration_s)

    if isinstance(drawn, StoreTrouble):
        yield _message(rng, within(drawn.for_s))
    elif isinstance(drawn, Restart) and drawn.how == "kill":
        yield _message(rng, within(2.0))
        if rng.random() < 0.3:
            yield _login(rng, within(drawn.down_s))


def _times(rng: Random, duration_s: float, per_hour: float) -> list[float]:
    found, at_s = [], rng.expovariate(per_hour / 3600.0)
    while at_s < duration_s:
        found.append(round(at_s, 2))
        at_s += rng.expovariate(per_hour / 3600.0)
    return found


def _one_of(rng: Random, makers: dict[Maker, int]) -> Maker:
    return rng.choices(list(makers), list(makers.values()))[0]


def _lasting(rng: Random) -> float:
    """Seconds: a moment, a while, or long."""
    return round(rng.choice((rng.uniform(1, 10), rng.uniform(10, 120), rng.uniform(120, 900))), 1)


# --- ordinary life ---------------------------------------------------------------------------------------------------


def _message(rng: Random, at_s: float) -> Fault:
    return faults.Message(at_s=at_s, sender=rng.choice(_USERS), copies=rng.choice((1, 1, 1, 2, 3)))


def _handler(rng: Random, at_s: float) -> Fault:
    how: Behaviour = rng.choice(
        ("raises", "raises", "raises", "cancels", "slow", "slow", "hangs", "floods", "stops", "late")
    )
    times = rng.choice((1, 2, 5, 7)) if how in ("raises", "cancels") else 1
    return Handler(
        at_s=at_s, how=how, times=times, for_s=_lasting(rng), sender=rng.choice((None, None, rng.choice(_USERS)))
    )


def _send(rng: Random, at_s: float) -> Fault:
    return Send(at_s=at_s, to=rng.choice(_USERS), times=rng.choice((1, 1, 2, 5)))


def _again(rng: Random, at_s: float) -> Fault:
    return Again(at_s=at_s, copies=rng.choice((1, 2)))


def _wake(rng: Random, at_s: float) -> Fault:
    return Wake(at_s=at_s, times=rng.choice((1, 1, 20)))


def _restart(rng: Random, at_s: float) -> Fault:
    return Restart(at_s=at_s, how=rng.choice(("stop", "cancel")), down_s=rng.choice(_DOWN_S))


def _kill(rng: Random, at_s: float) -> Fault:
    """Between any two steps: most often those that happen often, or that decide what is lost."""
    step = rng.choice(("", *STEPS, *_OFTEN, *_OFTEN))
    return Restart(at_s=at_s, how="kill", step=step, down_s=rng.choice(_DOWN_S))


def _login(rng: Random, at_s: float) -> Fault:
    return Login(at_s=at_s, notifystart=rng.choice(("works", "denied")), answer_held=rng.random() < 0.7)


_LIFE: Final[dict[Maker, int]] = {
    _message: 20,
    _send: 8,
    _handler: 6,
    _again: 4,
    _wake: 4,
    _restart: 2,
    _kill: 3,
    _login: 1,
}


# --- trouble ---------------------------------------------------------------------------------------------------------


def _expire(rng: Random, at_s: float) -> Fault:
    return faults.Expire(
        at_s=at_s,
        shape=rng.choice(("errcode", "ret", "both", "ret_zero")),
        held_s=rng.choice((0.0, 0.0, 2.0, 5.0)),
        answer_held=rng.random() < 0.5,
        for_s=rng.choice((None, None, _lasting(rng))),
    )


def _takeover(rng: Random, at_s: float) -> Fault:
    return faults.Takeover(
        at_s=at_s,
        for_s=_lasting(rng),
        notifystart=rng.choice(("works", "denied")),
        held_s=rng.choice((0.0, 0.0, 4.0)),
        answer_held=rng.random() < 0.5,
    )


def _lapse(rng: Random, at_s: float) -> Fault:
    return faults.Lapse(
        at_s=at_s,
        shape=rng.choice(("empty", "empty_cursor", "null")),
        held_s=rng.choice((0.0, 0.0, 20.0)),
        answer_held=rng.random() < 0.3,
    )


def _outage(rng: Random, at_s: float) -> Fault:
    return faults.Outage(at_s=at_s, for_s=_lasting(rng))


def _answer(rng: Random, at_s: float) -> Fault:
    endpoint = rng.choice(_ENDPOINTS)
    held_s = rng.choice((0.0, 0.0, 0.0, 9.0, 12.0, 17.0))
    answer_held = rng.random() < 0.3
    times: int | None = rng.choice((1, 2, 3, 8))
    for_s = None
    if rng.random() < 0.15:
        times, for_s = None, _lasting(rng)
    made: Any = rng.choice(
        (
            faults.Status,
            faults.Status,
            faults.Status,
            faults.Code,
            faults.Code,
            faults.Body,
            faults.Body,
            faults.Html,
            faults.Garbage,
            faults.Truncated,
            faults.Drip,
            faults.Reset,
            faults.Reset,
            faults.Hang,
            faults.Hang,
            faults.Hang,
            faults.Hang,
            faults.Redirect,
        )
    )
    fields: dict[str, Any] = {}
    if made is faults.Status:
        fields = {"status": rng.choice(STATUSES), "retry_after": rng.choice(RETRY_AFTERS)}
    elif made is faults.Code:
        fields = {"code": rng.choice(CODES)}
    elif made is faults.Body:
        fields = {"body": rng.choice(BODIES)}
    return made(  # type: ignore[no-any-return]
        at_s=at_s, endpoint=endpoint, times=times, for_s=for_s, held_s=held_s, answer_held=answer_held, **fields
    )


def _hint(rng: Random, at_s: float) -> Fault:
    return faults.Hint(at_s=at_s, hint=rng.choice((*HINTS, *_FAR_HINTS)), times=rng.choice((1, 3, 20)))


def _instant(rng: Random, at_s: float) -> Fault:
    return faults.Instant(at_s=at_s, for_s=min(_lasting(rng), 300.0))


def _slow(rng: Random, at_s: float) -> Fault:
    return faults.Slow(
        at_s=at_s, endpoint=rng.choice(_ENDPOINTS), delay_s=rng.choice((0.5, 3.0, 9.0, 30.0)), times=rng.choice((1, 4))
    )


def _oversize(rng: Random, at_s: float) -> Fault:
    return faults.Oversize(at_s=at_s, endpoint=rng.choice(("notifystart", "sendmessage")), size=2 * 2**20)


_AT_A_START: Final = ("acquire", "retire", "current", "predecessors")


def _store(rng: Random, at_s: float) -> Fault:
    return StoreTrouble(
        at_s=at_s,
        how=rng.choice(("fails", "fails", "late")),
        method=rng.choice((None, None, None, "commit", "commit", "commit", "done", "failed", "pending", *_AT_A_START)),
        for_s=min(_lasting(rng), 300.0),
        delay_s=rng.choice((1.0, 5.0, 20.0)),
    )


_TROUBLE: Final[dict[Maker, int]] = {
    _expire: 5,
    _takeover: 3,
    _lapse: 2,
    _outage: 3,
    _answer: 9,
    _hint: 4,
    _instant: 1,
    _slow: 1,
    _oversize: 1,
    _store: 5,
}
