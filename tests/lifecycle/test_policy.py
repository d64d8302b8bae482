"""A policy that could break a property cannot be made; what can be made waits within its bounds."""

from __future__ import annotations

import itertools
import math
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfsm.errors import DefinitionError, PolicyError
from sessionfsm.lifecycle import Ladder, Policy, Wait, delay

# (lowest, highest, the properties that the refusal must name), written down a second time on purpose.
BOUNDS: dict[str, tuple[float, float, tuple[str, ...]]] = {
    "session_first_s": (2, 900, ("P8",)),
    "session_ceiling_s": (2, 900, ("P6", "P8")),
    "transport_first_s": (1, 900, ("P2", "P8")),
    "transport_ceiling_s": (2, 900, ("P6", "P8")),
    "jitter": (0, 0.5, ("P2",)),
    "pace_first_s": (1, 60, ("P6", "P8")),
    "pace_ceiling_s": (1, 60, ("P6", "P8")),
    "renewal_deadline_s": (0.1, 300, ("P6",)),
    "hold_default_s": (1, 300, ("P6",)),
    "hold_floor_s": (1, 300, ("P6",)),
    "hold_ceiling_s": (1, 300, ("P6",)),
    "poll_margin_s": (1, 300, ("P6",)),
    "quick_s": (1, 60, ("P8",)),
    "lapse_after_s": (1, 300, ("P8",)),
    "silent_after_s": (1, 300, ("P8",)),
    "drain_deadline_s": (0, 300, ("P6",)),
    "notifystop_deadline_s": (0.1, 300, ("P6",)),
}

ROOM: dict[str, dict[str, float]] = {
    "session_first_s": {"session_ceiling_s": 900},
    "session_ceiling_s": {"session_first_s": 2},
    "transport_first_s": {"transport_ceiling_s": 900},
    "transport_ceiling_s": {"transport_first_s": 1},
    "pace_first_s": {"pace_ceiling_s": 60},
    "pace_ceiling_s": {"pace_first_s": 1},
    "hold_default_s": {"hold_floor_s": 1, "hold_ceiling_s": 299, "poll_margin_s": 1, "silent_after_s": 1},
    "hold_floor_s": {"hold_default_s": 299, "hold_ceiling_s": 299, "poll_margin_s": 1, "silent_after_s": 1},
    "hold_ceiling_s": {"hold_default_s": 1, "poll_margin_s": 1, "silent_after_s": 1},
    "poll_margin_s": {"hold_default_s": 1, "hold_ceiling_s": 1, "silent_after_s": 1},
    "silent_after_s": {"poll_margin_s": 180},
}
"""What the other figures must be, so that a figure can be at either end of its bounds."""

HIGHEST = {
    "hold_default_s": 299,
    "hold_floor_s": 299,
    "hold_ceiling_s": 299,
    "poll_margin_s": 299,
    "silent_after_s": 181,
}
"""Where a combination, and not the figure's own bound, is what stops it."""


def refusal(**figures: Any) -> PolicyError:
    with pytest.raises(PolicyError) as refused:
        Policy(**figures)
    return refused.value


def test_every_figure_has_bounds() -> None:
    """No figure of the policy is taken as it comes."""
    assert {field.name for field in fields(Policy)} == {*BOUNDS, "login_required_denials", "renewal"}


@pytest.mark.parametrize("name", BOUNDS)
def test_both_ends_are_accepted(name: str) -> None:
    """A bound is part of what is allowed, at both ends, with a whole number as well as a float."""
    lowest, highest, _ = BOUNDS[name]
    for value in (lowest, min(highest, HIGHEST.get(name, highest))):
        for number in (value, float(value)):
            assert getattr(Policy(**{**ROOM.get(name, {}), name: number}), name) == value


@pytest.mark.parametrize("outside", ["below", "above", "zero less", "nan", "inf", "-inf", "an hour"])
@pytest.mark.parametrize("name", BOUNDS)
def test_outside_its_bounds_it_is_refused(name: str, outside: str) -> None:
    """The refusal names the figure, what would be accepted, and the property that stands on it."""
    lowest, highest, properties = BOUNDS[name]
    value = {
        "below": math.nextafter(lowest, -math.inf),
        "above": math.nextafter(highest, math.inf),
        "zero less": -1,
        "nan": math.nan,
        "inf": math.inf,
        "-inf": -math.inf,
        "an hour": 3600,
    }[outside]
    error = refusal(**ROOM.get(name, {}) | {name: value})
    assert error.field == name
    assert error.bound == f"{lowest:g} to {highest:g}"
    assert str(error).startswith(f"{name} = {value:g} is outside {error.bound}")
    assert all(number in str(error) for number in properties)


@pytest.mark.parametrize("value", [True, False, "5", "", None, [5], 5j, b"5"], ids=repr)
@pytest.mark.parametrize("name", BOUNDS)
def test_what_is_no_number_is_refused(name: str, value: object) -> None:
    """A truth value is no number of seconds, and a text from a configuration file is not guessed at."""
    error = refusal(**{name: value})
    assert error.field == name
    assert repr(value) in str(error)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 100, "'" + "x" * 39),
        (999_999_999, "1e+09"),
        (10**9, "a huge number"),
        (10**400, "a huge number"),
        (-(10**400), "a huge number"),
        (1e300, "1e+300"),
    ],
    ids=["a long text", "below", "a billion", "more than a float holds", "less", "a large float"],
)
def test_what_is_refused_is_shown_in_a_few_characters(value: object, shown: str) -> None:
    """Whatever somebody wrote into the file, the message stays a line, and says how it went on."""
    assert f" {shown} (" in str(refusal(quick_s=value)) or f" = {shown} is outside " in str(refusal(quick_s=value))


def test_the_default_policy() -> None:
    """The figures of the documentation; those of the ladders, of silence and of the pace have tests of their own."""
    policy = Policy()
    assert (policy.renewal_deadline_s, policy.drain_deadline_s, policy.notifystop_deadline_s) == (10, 10, 5)
    assert (policy.hold_default_s, policy.hold_floor_s, policy.hold_ceiling_s, policy.poll_margin_s) == (35, 1, 120, 10)
    assert (policy.quick_s, policy.lapse_after_s, policy.silent_after_s) == (1, 3, 10)
    assert (policy.jitter, policy.login_required_denials, policy.renewal) == (0.5, 3, "attempted")


@pytest.mark.parametrize("value", [0, -1, 101, 3.0, 2.5, True, "3", None, math.nan], ids=repr)
def test_denials_are_counted_in_whole_numbers(value: object) -> None:
    """``login_required`` is raised at a denial that can be counted to."""
    error = refusal(login_required_denials=value)
    assert (error.field, error.bound) == ("login_required_denials", "1 to 100")
    assert repr(value) in str(error)


@pytest.mark.parametrize("value", [1, 100])
def test_denials_at_both_ends(value: int) -> None:
    """A bound is part of what is allowed."""
    assert Policy(login_required_denials=value).login_required_denials == value


@pytest.mark.parametrize("value", ["", "Required", "never", None, True, 1, ["required"]], ids=repr)
def test_renewal_is_one_of_two_words(value: object) -> None:
    """There is no third way to treat a handshake, least of all to leave it out."""
    error = refusal(renewal=value)
    assert (error.field, error.bound) == ("renewal", "'attempted' or 'required'")
    assert repr(value) in str(error)


@pytest.mark.parametrize("name", ["session_ceiling_s", "transport_ceiling_s"])
def test_an_hour_is_refused(name: str) -> None:
    """The hour of silence that this library is about cannot be configured: it is refused in the name of P6."""
    error = refusal(**{name: 3600})
    assert str(error) == (
        f"{name} = 3600 is outside 2 to 900 (P6: no policy may be silent for more than 20 minutes, "
        "15 of them waiting; P8: below 2 s it is a hot loop)"
    )


@pytest.mark.parametrize(
    ("figures", "field", "says"),
    [
        ({"session_first_s": 301}, "session_first_s", "session_first_s = 301 is above session_ceiling_s = 300"),
        ({"session_ceiling_s": 4}, "session_first_s", "session_first_s = 5 is above session_ceiling_s = 4"),
        ({"transport_first_s": 61}, "transport_first_s", "transport_first_s = 61 is above transport_ceiling_s = 60"),
        ({"pace_first_s": 5}, "pace_first_s", "pace_first_s = 5 is above pace_ceiling_s = 4"),
        ({"hold_floor_s": 36}, "hold_floor_s", "hold_floor_s = 36 is above hold_default_s = 35"),
        ({"hold_default_s": 121}, "hold_default_s", "hold_default_s = 121 is above hold_ceiling_s = 120"),
        ({"hold_ceiling_s": 291}, "hold_ceiling_s", "hold_ceiling_s + poll_margin_s = 301 is above 300 (P6"),
        ({"poll_margin_s": 181}, "hold_ceiling_s", "hold_ceiling_s + poll_margin_s = 301 is above 300 (P6"),
        ({"silent_after_s": 12}, "poll_margin_s", "hold_floor_s + poll_margin_s = 11 is below silent_after_s = 12"),
        ({"poll_margin_s": 8}, "poll_margin_s", "hold_floor_s + poll_margin_s = 9 is below silent_after_s = 10"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_figures_that_contradict_each_other_are_refused(figures: dict[str, float], field: str, says: str) -> None:
    """Each may be well on its own; the refusal says which two, and what would be accepted."""
    error = refusal(**figures)
    assert error.field == field
    assert error.bound
    assert str(error).startswith(says)


def test_a_policy_error_is_the_users_own() -> None:
    """It can be caught as what it is: a wrong definition, a wrong value."""
    error = refusal(jitter=1)
    assert isinstance(error, DefinitionError)
    assert isinstance(error, ValueError)


def test_a_policy_cannot_be_changed() -> None:
    """What was checked stays as it was checked."""
    with pytest.raises(FrozenInstanceError):
        Policy().session_ceiling_s = 3600  # type: ignore[misc]


# From plain data.


def test_from_mapping() -> None:
    """What is absent keeps its default."""
    assert Policy.from_mapping({}) == Policy()
    assert Policy.from_mapping({"jitter": 0.1, "renewal": "required"}) == Policy(jitter=0.1, renewal="required")


@pytest.mark.parametrize("key", ["session_ceiling", "", "SESSION_CEILING_S", "__class__"])
def test_an_unknown_key_is_refused(key: str) -> None:
    """A misspelt key is not a default in disguise: the refusal names it, and every key there is."""
    with pytest.raises(PolicyError) as refused:
        Policy.from_mapping({key: 5})
    assert refused.value.field == key
    assert f"unknown policy key {key!r}" in str(refused.value)
    assert all(field.name in str(refused.value) for field in fields(Policy))


def test_from_mapping_checks_like_the_class() -> None:
    """There is no way around the bounds."""
    with pytest.raises(PolicyError, match="P6"):
        Policy.from_mapping({"session_ceiling_s": 3600})


# The poll's deadline.

HINTS = st.none() | st.floats() | st.integers() | st.just(10**400) | st.just(-(10**400))


@given(HINTS)
def test_no_hint_is_a_road_to_silence(hint_ms: float | None) -> None:
    """Whatever the server hints at, NaN and numbers without end included, a poll's deadline is 11 to 130 s."""
    assert 11 <= Policy().poll_deadline_s(hint_ms) <= 130


@pytest.mark.parametrize(
    ("hint_ms", "deadline_s"),
    [
        (None, 45),
        (math.nan, 45),
        (math.inf, 45),
        (float("inf"), 45),  # as JSON reads 1e999: another object than math.inf
        (-math.inf, 45),
        (0, 45),
        (-5, 45),
        (1, 11),
        (1000, 11),
        (35_000, 45),
        (60_000.5, 70.0005),
        (120_000, 130),
        (120_001, 130),
        (3_600_000, 130),
        (10**400, 130),
    ],
)
def test_a_hint_is_a_wish(hint_ms: float | None, deadline_s: float) -> None:
    """A hint that makes sense is followed between floor and ceiling; nonsense is taken for no hint at all."""
    assert Policy().poll_deadline_s(hint_ms) == pytest.approx(deadline_s)


@given(HINTS, st.lists(st.floats(1, 200), min_size=3, max_size=3), st.floats(10, 100))
def test_hints_are_clamped_to_any_policy(hint_ms: float | None, holds: list[float], margin: float) -> None:
    """The deadline lies between the policy's floor and ceiling, plus its margin, which is what P6 counts with."""
    floor, default, ceiling = sorted(holds)
    policy = Policy(hold_floor_s=floor, hold_default_s=default, hold_ceiling_s=ceiling, poll_margin_s=margin)
    assert floor + margin <= policy.poll_deadline_s(hint_ms) <= ceiling + margin == policy.longest_poll_s


# The ladders.


@st.composite
def ladders(draw: st.DrawFn) -> Policy:
    """A policy with any session ladder."""
    first = draw(st.floats(2, 900))
    return Policy(session_first_s=first, session_ceiling_s=draw(st.floats(first, 900)))


def wait_on(policy: Policy, attempt: int) -> Wait:
    return Wait(
        serial=1,
        ladder=Ladder.SESSION,
        attempt=attempt,
        rung_s=policy.rung_s(Ladder.SESSION, attempt),
        first_s=policy.first_s(Ladder.SESSION),
        ceiling_s=policy.ceiling_s(Ladder.SESSION),
    )


@pytest.mark.parametrize(
    ("ladder", "rungs"),
    [(Ladder.SESSION, [5, 10, 20, 40, 80, 160, 300]), (Ladder.TRANSPORT, [1, 2, 4, 8, 16, 32, 60])],
)
def test_the_default_ladders(ladder: Ladder, rungs: list[float]) -> None:
    """Seven rungs each, doubling, and after the last one always the last one."""
    policy = Policy()
    assert policy.rungs(ladder) == len(rungs)
    assert [policy.rung_s(ladder, attempt) for attempt in range(1, 10)] == [*rungs, rungs[-1], rungs[-1]]


@given(ladders())
def test_a_ladder_climbs_to_its_ceiling(policy: Policy) -> None:
    """It begins at its first rung, never falls, and is at its ceiling with its last rung, and not before."""
    last = policy.rungs(Ladder.SESSION)
    rungs = [policy.rung_s(Ladder.SESSION, attempt) for attempt in range(1, last + 3)]
    assert rungs[0] == policy.session_first_s
    assert rungs == sorted(rungs)
    assert rungs.index(policy.session_ceiling_s) == last - 1
    assert all(later == min(2 * sooner, policy.session_ceiling_s) for sooner, later in itertools.pairwise(rungs))


@pytest.mark.parametrize("power", range(1, 10))
def test_a_ceiling_just_above_a_rung_is_reached(power: int) -> None:
    """A logarithm once rounded the number of rungs, and a ladder stopped short of such a ceiling for ever."""
    ceiling = math.nextafter(float(2**power), math.inf)
    policy = Policy(transport_first_s=1, transport_ceiling_s=ceiling)
    assert policy.rung_s(Ladder.TRANSPORT, policy.rungs(Ladder.TRANSPORT)) == ceiling


@pytest.mark.parametrize("attempt", [1_000, 10_000, 10**12])
@pytest.mark.parametrize("ladder", Ladder)
def test_the_ten_thousandth_attempt_does_not_overflow(ladder: Ladder, attempt: int) -> None:
    """A session that is denied for a month still waits its ceiling."""
    assert Policy().rung_s(ladder, attempt) == Policy().ceiling_s(ladder)
    assert Policy().pace_s(attempt) == Policy().pace_ceiling_s


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_count_from_one(attempt: int) -> None:
    """There is no wait before the first."""
    with pytest.raises(ValueError, match="attempts count from 1"):
        Policy().rung_s(Ladder.SESSION, attempt)


def test_paces() -> None:
    """Without an answer that came too quickly there is no pace; then 1, 2, 4 s, and no slower."""
    assert [Policy().pace_s(count) for count in range(6)] == [0, 1, 2, 4, 4, 4]
    assert Policy().paces == 3


# The length of a wait.

ANY_NUMBER = st.floats() | st.integers(-(10**12), 10**12)


@given(ladders(), st.integers(1, 10_000), ANY_NUMBER, ANY_NUMBER, st.none() | ANY_NUMBER | st.just(10**400))
def test_a_wait_stays_within_its_bounds(
    policy: Policy, attempt: int, jitter: float, draw: float, retry_after_s: float | None
) -> None:
    """Between half its rung and its ladder's ceiling, whatever chance draws and whatever the server asks for."""
    wait = wait_on(policy, attempt)
    length = delay(wait, jitter=jitter, draw=draw, retry_after_s=retry_after_s)
    assert wait.rung_s / 2 <= length <= wait.ceiling_s <= 900


@given(ladders(), st.integers(1, 20), st.floats(0, 0.5), st.floats(0, 1, exclude_max=True), st.floats(0, 10_000))
def test_the_server_can_only_lengthen_a_wait(
    policy: Policy, attempt: int, jitter: float, draw: float, retry_after_s: float
) -> None:
    """``Retry-After`` is obeyed up to the ceiling, and never makes a wait shorter."""
    wait = wait_on(policy, attempt)
    own = delay(wait, jitter=jitter, draw=draw)
    assert delay(wait, jitter=jitter, draw=draw, retry_after_s=retry_after_s) == min(
        max(own, retry_after_s), wait.ceiling_s
    )
    assert wait.rung_s * (1 - jitter) <= own <= wait.rung_s


@pytest.mark.parametrize("attempt", range(1, 10))
def test_without_jitter_a_wait_is_its_rung(attempt: int) -> None:
    """Chance is the only thing that shortens a wait; with none of it the schedule is exact."""
    wait = wait_on(Policy(), attempt)
    assert delay(wait, jitter=0, draw=0.999) == delay(wait, jitter=0.5, draw=0) == wait.rung_s


def test_waits_are_spread_at_the_ceiling_too() -> None:
    """Sessions that were knocked out together do not all come back in the same second."""
    wait = wait_on(Policy(), 100)
    assert {delay(wait, jitter=0.5, draw=draw / 4) for draw in range(4)} == {300, 262.5, 225, 187.5}


TEN_S = Wait(serial=0, ladder="mine", attempt=1, rung_s=10, first_s=10, ceiling_s=60)


@pytest.mark.parametrize(
    ("asked_s", "length_s"),
    [
        *((0, 8), (-5, 8), (7.9, 8), (8.5, 8.5), (30, 30), (60, 60), (61, 60), (1e12, 60)),
        *((math.inf, 60), (math.nan, 8), (-math.inf, 8)),
    ],
)
def test_what_code_of_ones_own_asks_for_is_a_wish(asked_s: float, length_s: float) -> None:
    """It is no shorter than the jitter allows, no longer than the ceiling, and draws nothing."""
    for draw in (0.0, 0.5, 0.999):
        assert delay(TEN_S, jitter=0.2, draw=draw, own_s=asked_s) == length_s
        longer = max(length_s, 20.0)
        assert delay(TEN_S, jitter=0.2, draw=draw, own_s=asked_s, retry_after_s=20) == longer


def test_a_wish_of_less_than_a_second_is_one_too() -> None:
    wait = Wait(serial=0, ladder="mine", attempt=1, rung_s=1, first_s=1, ceiling_s=60)
    assert delay(wait, jitter=0.5, draw=0, own_s=0.7) == 0.7


@pytest.mark.parametrize(
    ("jitter", "draw"), [(-1, 1), (-0.3, 0.5), (0.5, -1), (0.5, -0.1), (math.nan, 1), (0.5, math.nan)]
)
def test_chance_never_lengthens_a_wait(jitter: float, draw: float) -> None:
    """What lies outside is clamped, also where it would only make the wait longer."""
    assert delay(TEN_S, jitter=jitter, draw=draw) == 10


def test_chance_is_named() -> None:
    """Jitter and draw are easily mistaken for one another, so neither is given by its place."""
    with pytest.raises(TypeError):
        delay(TEN_S, 0.5, 0.1)  # type: ignore[misc]


# The bounds that the figures add up to.


def test_the_bounds_of_the_default_policy() -> None:
    """430 s of silence and 570 s to resume, as the documents say."""
    policy = Policy()
    assert (policy.longest_poll_s, policy.longest_ceiling_s) == (130, 300)
    assert (policy.silence_bound_s, policy.resumption_bound_s) == (430, 570)


@given(
    st.floats(2, 900),
    st.floats(2, 900),
    st.floats(10, 290),
    st.floats(0.1, 300),
    st.floats(1, 60),
)
def test_no_policy_is_silent_for_more_than_twenty_minutes(
    session: float, transport: float, hold: float, renewal: float, pace: float
) -> None:
    """The bound that P6 proves is itself bounded: 15 minutes of ceiling and 5 of deadline."""
    policy = Policy(
        session_first_s=2,
        session_ceiling_s=session,
        transport_ceiling_s=transport,
        hold_default_s=hold,
        hold_ceiling_s=hold,
        renewal_deadline_s=renewal,
        pace_ceiling_s=pace,
        pace_first_s=1,
    )
    assert policy.silence_bound_s <= 1200
    assert policy.silence_bound_s >= policy.longest_poll_s + max(session, transport)


def test_a_first_rung_of_no_length_that_slips_past_the_check_is_not_climbed_for_ever() -> None:
    """Such a policy cannot be made; asked how many rungs it has, it answers all the same."""
    policy = Policy()
    object.__setattr__(policy, "session_first_s", 0.0)
    assert 1 < policy.rungs(Ladder.SESSION) < 100
    assert policy.rung_s(Ladder.SESSION, 100) == 0
