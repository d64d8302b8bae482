"""The store protocol, as the store in memory keeps it: the reference for every other store."""

import pytest

from sessionfsm import MemoryStore, Secret, Store, StoreError
from sessionfsm.store import Batch, Credentials, Incoming
from sessionfsm.store.memory import KEEP_KEYS_S

A, B = "a@im.bot", "b@im.bot"


def incoming(key: str, sender: str = "u@im.wechat", token: str | None = None) -> Incoming:
    return Incoming(
        key=key, sender=sender, body=f'{{"k":"{key}"}}'.encode(), context_token=Secret(token) if token else None
    )


def batch(*keys: str, account: str = A, cursor: str | None = None, at: float = 0.0) -> Batch:
    return Batch(
        account=account,
        cursor=Secret(cursor) if cursor else None,
        messages=tuple(incoming(key) for key in keys),
        received_at=at,
    )


@pytest.fixture
def store() -> Store:
    return MemoryStore()


def test_a_commit_says_which_messages_are_new(store: Store) -> None:
    """The same key is new once: within a batch, across batches, and when the batch is committed again."""
    (first,) = store.commit([batch("1", "2", "1")])
    assert ([m.body for m in first.new], first.duplicates) == ([b'{"k":"1"}', b'{"k":"2"}'], 1)
    (second,) = store.commit([batch("2", "3")])
    assert ([m.number for m in second.new], second.duplicates) == ([3], 1)
    (again,) = store.commit([batch("2", "3")])
    assert (again.new, again.duplicates) == ((), 2)


def test_batches_of_many_accounts_go_in_one_call_and_stay_apart(store: Store) -> None:
    """One commit, two accounts: keys, numbers, cursors and tokens are each account's own."""
    one, other = store.commit([batch("1", cursor="ca"), batch("1", account=B, cursor="cb")])
    assert len(one.new) == len(other.new) == 1
    assert store.cursor(A) == Secret("ca")
    assert store.cursor(B) == Secret("cb")
    assert store.cursor("nobody") is None


def test_a_batch_without_a_cursor_leaves_the_stored_one(store: Store) -> None:
    """An empty cursor never replaces a good one."""
    store.commit([batch(cursor="c1")])
    store.commit([batch("1")])
    assert store.cursor(A) == Secret("c1")


def test_a_done_message_is_gone_and_still_known(store: Store) -> None:
    """Done: not pending any more, and not new when it comes again."""
    store.commit([batch("1", "2")])
    store.done(A, [1])
    assert [m.number for m in store.pending(A)] == [2]
    assert store.commit([batch("1")])[0].new == ()
    store.done(A, [1, 2, 99])  # what is done stays done, what never was is nobody's loss
    assert store.pending(A) == []
    with pytest.raises(StoreError, match="no open message 1"):
        store.failed(A, 1, "too late", park=False)


def test_pending_pages_through_the_backlog_in_order(store: Store) -> None:
    """after and limit walk through everything once."""
    store.commit([batch(*(str(n) for n in range(250)))])
    seen: list[int] = []
    while page := store.pending(A, after=seen[-1] if seen else 0, limit=100):
        seen += [m.number for m in page]
    assert seen == list(range(1, 251))


def test_a_failed_message_counts_its_attempts_and_a_parked_one_is_set_aside(store: Store) -> None:
    """Its error and its attempts are kept; parked it is pending no more."""
    store.commit([batch("1", "2")])
    store.failed(A, 1, "ValueError: x", park=False)
    assert [(m.attempts, m.error) for m in store.pending(A)] == [(1, "ValueError: x"), (0, "")]
    store.failed(A, 1, "again", park=True)
    assert [m.number for m in store.pending(A)] == [2]
    assert [(m.number, m.attempts, m.parked) for m in store.parked(A)] == [(1, 2, True)]


def test_the_newest_context_token_of_each_user_is_kept_also_from_a_duplicate(store: Store) -> None:
    """A message that comes twice may bring a newer token (protocol, section 2.5)."""
    store.commit([Batch(account=A, cursor=None, messages=(incoming("1", token="t1"), incoming("2", "v", "t2")))])
    store.commit([Batch(account=A, cursor=None, messages=(incoming("1", token="t3"),))])
    assert store.context_token(A, "u@im.wechat") == Secret("t3")
    assert store.context_token(A, "v") == Secret("t2")
    assert store.context_token(B, "v") is None


def test_keys_are_kept_for_seven_days_whatever_the_time_of_day_does() -> None:
    """A message that comes back after six days is known; after more than seven nobody remembers."""
    now = 0.0
    store = MemoryStore(clock=lambda: now)
    store.commit([batch("1", at=0.0)])
    now = KEEP_KEYS_S - 86400
    assert store.commit([batch("1", at=1e12)])[0].new == ()
    now = KEEP_KEYS_S + 1
    store.commit([batch("2", at=-1e12)])
    assert len(store.commit([batch("1")])[0].new) == 1


def test_credentials_are_kept_per_account_and_shown_to_nobody(store: Store) -> None:
    """What was saved comes back; its repr hides the token."""
    assert store.credentials(A) is None
    saved = Credentials(token=Secret("a@im.bot:very-secret"), base_url="https://x.weixin.qq.com/", user_id="u")
    store.save_credentials(A, saved)
    assert store.credentials(A) == saved
    assert "very-secret" not in repr(saved)
    store.close()
