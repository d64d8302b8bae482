"""The store protocol, as every store that comes with the library keeps it."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import rich.console
import rich.pretty

from sessionfsm import AccountInUse, MemoryStore, MessageState, Secret, Store, Stored, StoreError

from .kit import DAY, YEAR_2026, A, B, Clock, batch, incoming, of, sqlite_store

OPEN, DONE, PARKED, DROPPED = MessageState.OPEN, MessageState.DONE, MessageState.PARKED, MessageState.DROPPED


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryStore(clock=clock.steady, wall=clock.wall)
    else:
        made = sqlite_store(tmp_path, clock)
    yield made
    made.close()


def numbers(store: Store, account: str = A) -> list[int]:
    return [stored.number for stored in store.pending(account)]


def token(store: Store, account: str = A, user: str = "u@im.wechat") -> str | None:
    found = store.context_token(account, user)
    return None if found is None else found.reveal()


def test_a_commit_says_which_messages_are_new(store: Store) -> None:
    """The same key is new once: within a batch, across batches, and when the batch is committed again."""
    (first,) = store.commit([batch("1", "2", "1")])
    assert ([m.body for m in first.new], first.duplicates) == ([b'{"k":"1"}', b'{"k":"2"}'], 1)
    (second,) = store.commit([batch("2", "3")])
    assert ([m.body for m in second.new], second.duplicates) == ([b'{"k":"3"}'], 1)
    assert second.new[0].number > first.new[1].number > first.new[0].number
    (again,) = store.commit([batch("2", "3")])
    assert (again.new, again.duplicates) == ((), 2)
    one, other = store.commit([batch("4", "5"), batch("5", "6")])  # the same account twice in one transaction
    assert ([m.body for m in one.new], one.duplicates) == ([b'{"k":"4"}', b'{"k":"5"}'], 0)
    assert ([m.body for m in other.new], other.duplicates) == ([b'{"k":"6"}'], 1)
    assert store.pending(A) == [*first.new, *second.new, *one.new, *other.new]


def test_an_empty_commit_is_nothing(store: Store) -> None:
    """No batches, or batches without anything in them, are no trouble."""
    assert store.commit([]) == []
    (committed,) = store.commit([batch()])
    assert (committed.new, committed.duplicates, store.cursor(A)) == ((), 0, None)


def test_those_are_marked_that_were_handled_and_no_others(store: Store) -> None:
    """Whichever of five messages were handled, in whatever order, and said twice: the rest is still to be handled."""
    for number, handled in enumerate(itertools.product([True, False], repeat=5)):
        store.commit([batch(*(f"{number} {place}" for place in range(5)))])
        every = numbers(store)
        ours = list(itertools.compress(every, handled))
        store.done([*reversed(ours), *ours])
        left = [each for each in every if each not in ours]
        assert numbers(store) == left
        store.done(left)


def test_batches_of_many_accounts_go_in_one_call_and_stay_apart(store: Store) -> None:
    """One commit, two accounts: keys, numbers, cursors and tokens are each account's own."""
    one, other = store.commit([batch("1", cursor="ca"), batch("1", account=B, cursor="cb")])
    assert len(one.new) == len(other.new) == 1
    assert one.new[0].number != other.new[0].number
    assert [m.account for m in store.pending(B)] == [B]
    assert store.cursor(A) == Secret("ca")
    assert store.cursor(B) == Secret("cb")
    assert store.cursor("nobody") is None
    assert store.pending("nobody") == []


def test_a_batch_without_a_cursor_leaves_the_stored_one(store: Store) -> None:
    """An empty cursor never replaces a good one, and of two batches in one call the later's counts."""
    store.commit([batch(cursor="c1")])
    store.commit([batch("1")])
    assert store.cursor(A) == Secret("c1")
    store.commit([batch(cursor="c2"), batch(cursor="c3"), batch("2")])
    assert store.cursor(A) == Secret("c3")


def test_a_done_message_is_gone_and_still_known(store: Store) -> None:
    """Done: not pending any more, and not new when it comes again."""
    store.commit([batch("1", "2")])
    first, second = numbers(store)
    store.done([first])
    assert numbers(store) == [second]
    assert store.commit([batch("1")])[0].new == ()
    store.done([first, second, 99, 10**30])  # what is done stays done, what never was is nobody's loss
    assert store.pending(A) == []
    assert not store.failed(first, "too late", park=False)
    assert not store.failed(99, "never was", park=False)
    assert not store.failed(10**30, "never can be", park=True)
    assert store.messages(states=[PARKED]) == []


def test_done_takes_messages_of_any_accounts(store: Store) -> None:
    """Marks of many sessions go in one call."""
    one, other = store.commit([batch("1"), batch("1", account=B)])
    store.done([one.new[0].number, other.new[0].number])
    assert store.pending(A) == store.pending(B) == []


def test_pending_pages_through_the_backlog_in_order(store: Store) -> None:
    """after and limit walk through everything once."""
    (committed,) = store.commit([batch(*(str(n) for n in range(250)))])
    seen: list[int] = []
    while page := store.pending(A, after=seen[-1] if seen else 0, limit=100):
        assert len(page) <= 100
        seen += [m.number for m in page]
    assert seen == [m.number for m in committed.new]


def test_a_failed_message_counts_its_attempts_and_a_parked_one_is_set_aside(store: Store) -> None:
    """Its error and its attempts are kept; parked it is pending no more, and not new when it comes again."""
    store.commit([batch("1", "2")])
    first, second = numbers(store)
    assert store.failed(first, "ValueError: x", park=False)
    assert [(m.attempts, m.error) for m in store.pending(A)] == [(1, "ValueError: x"), (0, "")]
    assert store.failed(first, "again", park=True)
    assert not store.failed(first, "and again", park=True)
    assert numbers(store) == [second]
    (parked,) = store.messages(states=[PARKED])
    assert (parked.number, parked.attempts, parked.error, parked.state) == (first, 2, "again", PARKED)
    store.done([first])
    assert store.messages(states=[PARKED]) == [parked]  # only what is open becomes done
    assert store.commit([batch("1")])[0].new == ()


def test_the_newest_context_token_of_each_user_is_kept_also_from_a_duplicate(store: Store) -> None:
    """A message that comes twice may bring a newer token (protocol, section 2.5)."""
    store.commit([of(incoming("1", token="t1"), incoming("2", "v", "t2"))])
    store.commit([of(incoming("1", token="t3"))])
    assert token(store) == "t3"
    assert token(store, user="v") == "t2"
    assert token(store, B, "v") is None
    assert token(store, user="nobody") is None


def test_the_token_of_the_message_that_was_written_last_is_kept(store: Store) -> None:
    """An old message that is replayed does not bring its old token back; of two at one time the later is kept."""
    at = int(YEAR_2026 * 1000)
    store.commit([of(incoming("1", token="new", sent_ms=at), incoming("2", token="old", sent_ms=at - 5000))])
    store.commit([of(incoming("3", token="older", sent_ms=at - 9000))])
    assert token(store) == "new"
    store.commit([of(incoming("4", token="same time", sent_ms=at))])
    assert token(store) == "same time"
    store.commit([of(incoming("5", token="no time"))])
    assert token(store) == "no time"
    store.commit([of(incoming("6", token="old again", sent_ms=at - 1))])
    assert token(store) == "no time"


@pytest.mark.parametrize("sent_ms", [2**80, int((YEAR_2026 + 2 * DAY) * 1000), 0, -5, -(2**80)])
def test_a_time_that_cannot_be_is_none(store: Store, sent_ms: int) -> None:
    """A message from the future brings its token, and does not keep every later one away."""
    store.commit([of(incoming("1", token="t1", sent_ms=sent_ms))])
    assert token(store) == "t1"
    store.commit([of(incoming("2", token="t2", sent_ms=int(YEAR_2026 * 1000)))])
    assert token(store) == "t2"
    store.commit([of(incoming("3", token="t3", sent_ms=sent_ms))])
    assert token(store) == "t3"


def test_keys_are_kept_for_seven_days_whatever_the_time_of_day_does(store: Store, clock: Clock) -> None:
    """A message that comes back after six days is known; after more than seven nobody remembers."""
    store.commit([batch("1")])
    store.done(numbers(store))
    clock.steady_s += 6 * DAY
    clock.wall_s -= 900 * DAY
    assert store.commit([batch("1")])[0].new == ()
    clock.wall_s += 9000 * DAY
    assert store.commit([batch("1")])[0].new == ()
    clock.steady_s += DAY + 1
    store.commit([batch("2")])
    assert len(store.commit([batch("1")])[0].new) == 1


def test_texts_come_back_as_they_were(store: Store) -> None:
    r"""Lone surrogates ("\ud800" is valid JSON), NUL and emptiness are kept, and told apart."""
    odd = ["", "\0", "a\0b", "a", "\ud800", "\udfff\ud800", "\ufffd", "é", "e\u0301"]
    (committed,) = store.commit([of(*(incoming(text, sender=text, token=f"t{text}") for text in odd))])
    assert len(committed.new) == len(odd)
    assert [m.sender for m in store.pending(A)] == odd
    for text in odd:
        assert token(store, user=text) == f"t{text}"
        store.commit([batch(account=text, cursor=f"c{text}")])
    assert [store.cursor(text) for text in odd] == [Secret(f"c{text}") for text in odd]
    assert store.commit([batch(*odd)])[0].new == ()
    number = committed.new[0].number
    store.failed(number, "\ud800", park=False)
    assert store.message(number).error == "\ud800"  # type: ignore[union-attr]


def test_a_dropped_message_is_known_and_comes_no_more(store: Store) -> None:
    """Giving up is final for the handler, not for dedup; what is finished cannot be dropped."""
    store.commit([batch("1", "2", "3")])
    one, two, three = numbers(store)
    store.failed(two, "x", park=True)
    store.drop(one)
    store.drop(two)
    assert numbers(store) == [three]
    assert [m.number for m in store.messages(states=[DROPPED])] == [one, two]
    assert store.commit([batch("1", "2")])[0].new == ()
    with pytest.raises(StoreError, match=f"message {one} is dropped, not open or parked"):
        store.drop(one)
    with pytest.raises(StoreError, match="there is no message 77"):
        store.drop(77)


@pytest.mark.parametrize("state", [PARKED, DROPPED])
def test_a_message_that_is_retried_comes_last_and_begins_anew(store: Store, state: MessageState) -> None:
    """It has a new number, no attempts, no error; its old number is nobody's."""
    store.commit([batch("1", "2", at=5.0)])
    one, two = numbers(store)
    store.failed(one, "x", park=state == PARKED)
    if state == DROPPED:
        store.drop(one)
    opened = store.retry(one)
    assert (opened.attempts, opened.error, opened.state, opened.body) == (0, "", OPEN, b'{"k":"1"}')
    assert (opened.received_at, opened.account) == (5.0, A)
    assert opened.number > two
    assert store.pending(A)[-1] == opened
    assert store.message(one) is None
    assert store.commit([batch("1")])[0].new == ()
    (later,) = store.commit([batch("3")])
    assert later.new[0].number > opened.number


def test_only_what_is_finished_or_parked_is_retried(store: Store) -> None:
    """An open message is on its way already."""
    store.commit([batch("1")])
    (number,) = numbers(store)
    with pytest.raises(StoreError, match=f"message {number} is open"):
        store.retry(number)
    with pytest.raises(StoreError, match="there is no message 88"):
        store.retry(88)
    assert numbers(store) == [number]


def test_people_can_look_at_messages_by_account_state_and_page(store: Store) -> None:
    """The list for people, and one message of it."""
    store.commit([batch("1", "2", "3"), batch("4", account=B)])
    one, two, three = numbers(store)
    (four,) = numbers(store, B)
    store.failed(two, "x", park=True)
    store.drop(three)
    assert [m.number for m in store.messages()] == [one, two, three, four]
    assert [m.number for m in store.messages(account=B)] == [four]
    assert [m.number for m in store.messages(states=[PARKED, DROPPED])] == [two, three]
    assert [m.number for m in store.messages(after=one, limit=2)] == [two, three]
    assert store.messages(states=[]) == store.messages(account="nobody") == []
    assert store.message(two) == store.messages(states=[PARKED])[0]
    assert store.message(10**30) is None


def test_the_successor_has_what_was_waiting(store: Store) -> None:
    """After a new login nothing that waits is lost, and cursor and tokens of the old bot are forgotten."""
    store.commit([of(incoming("1", token="t"), incoming("2"), incoming("3"), cursor="c")])
    store.commit([batch("9", account=B, cursor="b")])
    one, two, three = numbers(store)
    store.failed(two, "x", park=True)
    store.done([three])
    store.retire(A, B)
    assert (store.pending(A), store.cursor(A), token(store)) == ([], None, None)
    assert numbers(store, B)[0] == one
    assert [(m.number, m.account, m.attempts) for m in store.messages(states=[PARKED])] == [(two, B, 1)]
    assert store.cursor(B) == Secret("b")
    assert store.commit([batch("1", "2", account=B)])[0].new == ()
    assert len(store.commit([batch("1")])[0].new) == 1  # the account itself begins anew


def test_the_successor_gets_nothing_twice(store: Store) -> None:
    """What it knows already is done, or was parked before."""
    store.commit([batch("1", "2", "3"), batch("1", "2", account=B)])
    one, two, three = numbers(store)
    store.failed(two, "x", park=True)
    known = numbers(store, B)
    store.retire(A, B)
    assert sorted(numbers(store, B)) == sorted([three, *known])
    assert [m.number for m in store.messages(account=B, states=[PARKED])] == [two]
    stored = store.message(one)
    assert stored is None or stored.state == DONE
    opened = store.retry(two)
    assert (opened.account, opened.number > max(known)) == (B, True)


def test_an_account_is_acquired_once(store: Store) -> None:
    """A second poller is refused until the first has let go; releasing what nobody has is nothing."""
    store.acquire(A)
    with pytest.raises(AccountInUse):
        store.acquire(A)
    store.acquire(B)
    store.release(A)
    store.release(A)
    store.acquire(A)


def test_nothing_shows_a_secret(store: Store) -> None:
    """What a store returns can be printed."""
    store.commit([of(incoming("1", token="canary"), cursor="canary")])
    assert "canary" not in repr((store.cursor(A), store.context_token(A, "u@im.wechat"), store.pending(A), store))
    assert "{" not in repr(store.pending(A))


def test_what_was_said_is_not_shown_and_the_rest_is() -> None:
    """Neither by a log that prints a value, nor by rich, which shows the fields of a struct by itself."""
    one = incoming("1", token="canary")
    stored = Stored(number=7, account=A, sender="u@im.wechat", body=one.body, received_at=0.0)
    for value, fact in ((one, "key='1'"), (stored, "number=7")):
        file = io.StringIO()
        rich.console.Console(file=file, width=1000).print(rich.pretty.Pretty(value))
        for shown in (repr(value), str(value), f"{value}", file.getvalue()):
            assert fact in shown
            assert "sender='u@im.wechat'" in shown
            assert "{" not in shown
            assert "canary" not in shown
