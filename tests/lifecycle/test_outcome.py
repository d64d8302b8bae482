"""How the end of an operation becomes a trigger: sentences of the protocol, each held against a grid of outcomes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sessionfsm.errors import PolicyError
from sessionfsm.lifecycle import (
    Answered,
    NoAnswer,
    Outcome,
    Policy,
    Poll,
    Renew,
    StatusAnswered,
    StoreFailed,
    Trigger,
    Unanswered,
    classify_poll,
    classify_renewal,
)
from sessionfsm.verify import moves

T = Trigger

CODES = (0, -14, -1, -2, -3, -4, 1, 14, 500)
STATUSES = (300, 400, 401, 403, 404, 405, 408, 429, 500, 501, 502, 503, 504, 524)
OUTCOMES: tuple[Outcome, ...] = (
    *(
        Answered(code=code, has_messages=messages, has_cursor=cursor, news=news)
        for code, messages, cursor in product(CODES, (False, True), (False, True))
        for news in ((0, 1, 7) if messages else (0,))
    ),
    *(StatusAnswered(status=status, retry_after_s=after) for status in STATUSES for after in (None, 30.0)),
    *(Unanswered(why=why) for why in NoAnswer),
    StoreFailed(),
)
HELD = (0, 0.999, 1, 2.999, 3, 9.999, 10, 45)


def success(outcome: Outcome) -> bool:
    """An answer without an error."""
    return isinstance(outcome, Answered) and outcome.code == 0


def good(outcome: Outcome) -> bool:
    """No error, and a ``msgs`` key (even an empty one) or a cursor."""
    return success(outcome) and isinstance(outcome, Answered) and (outcome.has_messages or outcome.has_cursor)


def news(outcome: Outcome) -> bool:
    """Messages that are new to us."""
    return isinstance(outcome, Answered) and outcome.news > 0


def coded(outcome: Outcome, *codes: int) -> bool:
    return isinstance(outcome, Answered) and outcome.code in codes


def status(outcome: Outcome, *statuses: int) -> bool:
    return isinstance(outcome, StatusAnswered) and outcome.status in statuses


def unanswered(outcome: Outcome, *why: NoAnswer) -> bool:
    return isinstance(outcome, Unanswered) and outcome.why in why


def gone_quiet(outcome: Outcome) -> bool:
    """Our deadline, a gateway's deadline, or a connection that broke."""
    return status(outcome, 408, 504, 524) or unanswered(outcome, NoAnswer.DEADLINE, NoAnswer.CONNECTION_LOST)


POLL_SENTENCES: dict[str, tuple[Trigger, Callable[[Outcome, float], bool]]] = {
    "a good poll that brought messages new to us": (T.POLLED, lambda seen, _: good(seen) and news(seen)),
    "a good poll without news, held a second or more": (
        T.POLLED,
        lambda seen, held: good(seen) and not news(seen) and held >= 1,
    ),
    "a good poll without news, back in under a second": (
        T.HURRIED,
        lambda seen, held: good(seen) and not news(seen) and held < 1,
    ),
    "no error, neither msgs key nor cursor": (T.HOLLOW, lambda seen, _: success(seen) and not good(seen)),
    "-14 after the poll was held 3 s": (T.SESSION_LAPSED, lambda seen, held: coded(seen, -14) and held >= 3),
    "-14 sooner": (T.SESSION_EXPIRED, lambda seen, held: coded(seen, -14) and held < 3),
    "HTTP 401 and 403, whenever": (T.SESSION_EXPIRED, lambda seen, _: status(seen, 401, 403)),
    "no answer, though the poll was out 10 s": (T.SILENT, lambda seen, held: gone_quiet(seen) and held >= 10),
    "no answer, sooner": (T.POLL_FAILED, lambda seen, held: gone_quiet(seen) and held < 10),
    "another code": (T.POLL_FAILED, lambda seen, _: isinstance(seen, Answered) and seen.code not in (0, -14)),
    "another HTTP status": (
        T.POLL_FAILED,
        lambda seen, _: isinstance(seen, StatusAnswered) and seen.status not in (401, 403, 408, 504, 524),
    ),
    "no connection, or a body that could not be read": (
        T.POLL_FAILED,
        lambda seen, _: unanswered(seen, NoAnswer.NO_CONNECTION, NoAnswer.BROKEN),
    ),
    "the batch could not be committed": (T.STORE_FAILED, lambda seen, _: seen == StoreFailed()),
}

RENEWAL_SENTENCES: dict[str, tuple[Trigger, Callable[[Outcome], bool]]] = {
    "success": (T.SESSION_RENEWED, success),
    "404, 405, 501: this server has no such handshake": (T.SESSION_RENEWED, lambda seen: status(seen, 404, 405, 501)),
    "-14": (T.SESSION_EXPIRED, lambda seen: coded(seen, -14)),
    "401 and 403": (T.SESSION_EXPIRED, lambda seen: status(seen, 401, 403)),
    "the pending batch could not be committed": (T.STORE_FAILED, lambda seen: seen == StoreFailed()),
    "another code": (T.RENEWAL_FAILED, lambda seen: isinstance(seen, Answered) and seen.code not in (0, -14)),
    "another HTTP status": (
        T.RENEWAL_FAILED,
        lambda seen: isinstance(seen, StatusAnswered) and seen.status not in (401, 403, 404, 405, 501),
    ),
    "no answer, the deadline included": (T.RENEWAL_FAILED, lambda seen: isinstance(seen, Unanswered)),
}


@pytest.mark.parametrize("code", [-15, -13, -1, 1, 14, 10**6])
def test_only_one_code_speaks_of_the_session(code: int) -> None:
    """-14 is a loss; its neighbours are errors like any other."""
    for held in (0.0, 5.0, 60.0):
        assert classify_poll(Answered(code=code), held, Policy()) is T.POLL_FAILED
    assert classify_renewal(Answered(code=code)) is T.RENEWAL_FAILED


def test_an_answer_has_only_what_is_said_of_it() -> None:
    """Without messages, cursor or code it is hollow, however long it was held."""
    assert classify_poll(Answered(), 60.0, Policy()) is T.HOLLOW
    assert classify_poll(Answered(has_messages=True), 60.0, Policy()) is T.POLLED
    assert classify_poll(Answered(has_cursor=True), 60.0, Policy()) is T.POLLED
    assert classify_poll(Answered(has_cursor=True), 0.0, Policy()) is T.HURRIED


@pytest.mark.parametrize("sentence", POLL_SENTENCES)
def test_poll(sentence: str) -> None:
    """What the sentence speaks of becomes its trigger, and there is something on the grid that it speaks of."""
    trigger, speaks_of = POLL_SENTENCES[sentence]
    meant = [(outcome, held) for outcome, held in product(OUTCOMES, HELD) if speaks_of(outcome, held)]
    assert meant
    for outcome, held in meant:
        assert classify_poll(outcome, held, Policy()) is trigger, (outcome, held)


@pytest.mark.parametrize("held", HELD)
def test_every_end_of_a_poll_has_one_sentence(held: float) -> None:
    """The sentences leave nothing out, and do not contradict each other."""
    for outcome in OUTCOMES:
        assert [name for name, (_, speaks_of) in POLL_SENTENCES.items() if speaks_of(outcome, held)][1:] == []
        assert any(speaks_of(outcome, held) for _, speaks_of in POLL_SENTENCES.values()), (outcome, held)


@pytest.mark.parametrize("sentence", RENEWAL_SENTENCES)
def test_renewal(sentence: str) -> None:
    """What the sentence speaks of becomes its trigger, and there is something on the grid that it speaks of."""
    trigger, speaks_of = RENEWAL_SENTENCES[sentence]
    meant = [outcome for outcome in OUTCOMES if speaks_of(outcome)]
    assert meant
    for outcome in meant:
        assert classify_renewal(outcome) is trigger, outcome


def test_every_end_of_a_renewal_has_one_sentence() -> None:
    """The sentences leave nothing out, and do not contradict each other."""
    for outcome in OUTCOMES:
        assert sum(speaks_of(outcome) for _, speaks_of in RENEWAL_SENTENCES.values()) == 1, outcome


def test_every_trigger_of_an_operation_can_come_about() -> None:
    """No word of the table is there for nothing: each outcome that it knows is the end of some poll or renewal."""
    polls = {classify_poll(outcome, held, Policy()) for outcome, held in product(OUTCOMES, HELD)}
    renewals = {classify_renewal(outcome) for outcome in OUTCOMES}
    by_the_driver = {T.START, T.STOP, T.WAKE, T.CLOSED, T.RETRY_DUE, T.CREDENTIALS_CHANGED}
    assert polls | renewals == set(Trigger) - by_the_driver


def test_a_store_that_fails_outweighs_what_the_server_said() -> None:
    """There is no way to say both: a batch that was not committed is never reported as a good poll."""
    assert all(classify_poll(StoreFailed(), held, Policy()) is T.STORE_FAILED for held in HELD)


@pytest.mark.parametrize(
    ("field", "value", "outcome", "below", "above"),
    [
        ("quick_s", 7, Answered(has_messages=True), T.HURRIED, T.POLLED),
        ("lapse_after_s", 7, Answered(code=-14), T.SESSION_EXPIRED, T.SESSION_LAPSED),
        ("silent_after_s", 7, Unanswered(why=NoAnswer.DEADLINE), T.POLL_FAILED, T.SILENT),
    ],
)
def test_the_lines_are_the_policys(field: str, value: float, outcome: Outcome, below: Trigger, above: Trigger) -> None:
    """Where an instant answer ends and a held one begins is set by the policy, and the line itself is held."""
    policy = Policy.from_mapping({field: value})
    assert classify_poll(outcome, value - 0.001, policy) is below
    assert classify_poll(outcome, value, policy) is above


# The search's model of the world (sessionfsm.verify.moves) must not be narrower than the classifier.


def uncovered(policy: Policy, held: float, outcome: Outcome) -> str | None:
    """Return what a poll or a renewal can do that the search does not know of."""
    trigger = classify_poll(outcome, held, policy)
    possible = moves(Poll(serial=0), policy)
    if not any(
        move.trigger is trigger and move.least_s <= held <= move.most_s and (news(outcome) or not move.news)
        for move in possible
    ):
        return f"a poll that was held {held} s and ended as {trigger}"
    renewal = Renew(serial=0, deadline_s=policy.renewal_deadline_s)
    ended = min(held, policy.renewal_deadline_s)
    trigger = classify_renewal(outcome)
    if not any(
        move.trigger is trigger and move.least_s <= ended <= move.most_s and not move.news
        for move in moves(renewal, policy)
    ):
        return f"a renewal that took {ended} s and ended as {trigger}"
    return None


LONG = {"hold_ceiling_s": 200, "poll_margin_s": 100}
SHORT = {"hold_default_s": 1, "hold_ceiling_s": 1, "poll_margin_s": 1, "silent_after_s": 1, "renewal_deadline_s": 0.1}


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"quick_s": 60, "lapse_after_s": 300, **LONG},
        {"quick_s": 60, "lapse_after_s": 300, **SHORT},
        {"quick_s": 1, "lapse_after_s": 1, **SHORT},
        {"renewal_deadline_s": 300, "silent_after_s": 11},
        {"renewal": "required"},
    ],
    ids=["default", "late lines", "late lines, short polls", "short polls", "long renewal", "required"],
)
def test_the_search_knows_every_end(figures: dict[str, float]) -> None:
    """Whatever a poll or a renewal can become, and whenever, is a move of the search: nothing is proved too cheaply."""
    policy = Policy.from_mapping(figures)
    lines = (policy.quick_s, policy.lapse_after_s, policy.silent_after_s, policy.longest_poll_s)
    times = {*HELD, *lines, *(line - 0.001 for line in lines)}
    for outcome, held in product(OUTCOMES, sorted(time for time in times if time <= policy.longest_poll_s)):
        assert uncovered(policy, held, outcome) is None


@given(
    outcome=st.sampled_from(OUTCOMES)
    | st.builds(Answered, code=st.integers(), has_messages=st.booleans(), has_cursor=st.booleans())
    | st.builds(Answered, has_messages=st.just(True), news=st.integers(0, 100))
    | st.builds(StatusAnswered, status=st.integers(100, 599)),
    part=st.floats(0, 1),
    figures=st.fixed_dictionaries(
        {},
        optional={
            "quick_s": st.floats(1, 60),
            "lapse_after_s": st.floats(1, 300),
            "silent_after_s": st.floats(1, 20),
            "renewal_deadline_s": st.floats(0.1, 300),
            "hold_ceiling_s": st.floats(35, 200),
            "poll_margin_s": st.floats(1, 100),
        },
    ),
)
def test_the_search_knows_every_end_of_any_policy(outcome: Outcome, part: float, figures: dict[str, float]) -> None:
    """The same for policies, outcomes and times that nobody has written down."""
    try:
        policy = Policy.from_mapping(figures)
    except PolicyError:
        assume(False)
        raise
    assert uncovered(policy, part * policy.longest_poll_s, outcome) is None
