"""Messages on their way to handlers: apart from the poll, in order per sender, at least once, and handled once."""

import itertools

import anyio
import pytest

from sessionfsm import DefinitionError, MemoryStore, Message, MessageState, StoreError
from sessionfsm.session.inbox import Inbox
from sessionfsm.store import Batch, Committed, Incoming, StoreWriter
from sessionfsm.testing import FakeServer

from .world import World, tasks, world

pytestmark = pytest.mark.anyio


class Interrupted(BaseException):
    """What Ctrl-C raises, as a test can bear it."""


async def collect(w: World, count: int) -> list[str]:
    texts = []
    async for message in w.session:
        texts.append(message.text)
        if len(texts) == count:
            return texts
    return texts


async def test_a_message_is_done_when_the_loop_asks_for_the_next() -> None:
    """Until the loop comes back, the message is open in the store; then it is not."""
    store = MemoryStore()
    async with world(store=store) as w:
        w.account.push("one")
        w.account.push("two")
        loop = aiter(w.session)
        assert (await anext(loop)).text == "one"
        assert [m.number for m in store.pending(w.account.name)] == [1, 2]
        assert (await anext(loop)).text == "two"
        assert [m.number for m in store.pending(w.account.name)] == [2]


async def test_a_message_that_is_read_before_its_commit_is_answered_is_handed_out_once() -> None:
    """A loop that asks at that very moment finds it in the store; the answer, a turn later, brings nothing."""
    store = MemoryStore()
    inbox = Inbox(StoreWriter(store), "a")
    batch = Batch(account="a", cursor=None, messages=tuple(Incoming(key=key, sender=key, body=b"{}") for key in "xy"))
    (committed,) = store.commit([batch])
    first = await inbox.next()
    inbox.arrived(committed.new)
    second = await inbox.next()
    assert (first, second) == committed.new
    for stored in committed.new:
        await inbox.done(stored)
    with anyio.move_on_after(60):
        raise AssertionError(f"{await inbox.next()} was handed out again")


async def test_left_by_an_exception_a_message_is_not_done_and_comes_again() -> None:
    """A crash in the loop's body loses nothing: the next session on the store hands the same message out again."""
    store = MemoryStore()

    async def crash() -> None:
        async with world(store=store) as w:
            w.account.push("precious")
            async for _ in w.session:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):  # as it was raised, in no group
        await crash()
    assert len(store.pending("0a1b2c3d4e5f@im.bot")) == 1
    async with world(store=store) as w:
        assert await collect(w, 1) == ["precious"]
        assert w.account.unread == 0


async def test_left_by_break_a_message_goes_to_the_next_loop() -> None:
    """Nobody asked for the next one, so nobody said that it was done."""
    async with world() as w:
        w.account.push("again")
        async for message in w.session:
            assert message.text == "again"
            break
        assert await collect(w, 1) == ["again"]


async def test_a_handler_that_hangs_or_raises_never_delays_a_poll() -> None:
    """Handlers run apart from the poll loop: the rhythm of the polls is that of the server, whatever they do."""
    async with world(server=FakeServer(hold_s=5.0)) as w:

        async def handler(message: Message) -> None:
            if message.text == "hang":
                await anyio.sleep_forever()
            raise ValueError(message.text)

        async with tasks() as group:
            group.start_soon(w.session.deliver, handler)
            await w.until_polling_well()
            start = anyio.current_time()
            w.account.push("hang", sender="a@im.wechat")
            w.account.push("raise", sender="b@im.wechat")
            await anyio.sleep(100)
            polls = [e for e in w.requests("getupdates", since=start - 5) if e.ended_s is not None]
            assert len(polls) >= 100 / 5
            assert all(e.good for e in polls)
            assert w.session.health().ready
            assert w.session.health().in_hand == 1
            group.cancel_scope.cancel()


async def test_a_handler_that_exits_ends_nothing_and_its_message_is_parked() -> None:
    """A user's "/roll --help" makes argparse raise SystemExit: neither the bot nor the others suffer from it."""
    handled: list[str] = []

    async def handler(message: Message) -> None:
        if message.text == "/roll --help":
            raise SystemExit(2)
        handled.append(message.text)

    async with world() as w, tasks() as group:
        group.start_soon(w.session.deliver, handler)
        w.account.push("/roll --help")
        w.account.push("hello", sender="b@im.wechat")
        await anyio.sleep(60)
        assert handled == ["hello"]
        assert [(stored.attempts, stored.error) for stored in await w.session.parked()] == [(5, "SystemExit: 2")]
        assert w.session.health().ready
        await w.session.stop()


async def test_a_handler_that_is_interrupted_is_not_begun_again_on_the_way_out() -> None:
    """Ctrl-C inside a handler, and fifteen others wait for work: none of them begins the message once more."""
    begun: list[str] = []

    async def handler(message: Message) -> None:
        begun.append(message.text)
        raise Interrupted

    async with world() as w:
        w.account.push("hello")
        with pytest.raises(BaseExceptionGroup) as caught:
            await w.session.deliver(handler)
        assert caught.group_contains(Interrupted)
        assert begun == ["hello"]


@pytest.mark.parametrize(
    "arguments", [{"at_once": 0}, {"at_once": 1.5}, {"limit_s": 0}, {"limit_s": -1.0}, {"limit_s": float("nan")}]
)
async def test_what_would_deliver_nothing_is_refused(arguments: dict[str, float]) -> None:
    """No handler at all, or one that is cut off before it begins, would look like a quiet day."""

    async def handler(_: Message) -> None: ...

    async with world() as w:
        with pytest.raises(DefinitionError, match="must be"):
            await w.session.deliver(handler, **arguments)  # type: ignore[arg-type]


async def test_messages_of_one_sender_stay_in_order_and_senders_do_not_wait_for_each_other() -> None:
    """One sender's handler hangs; a hundred others are served at once, and that sender's next message waits."""
    seen: list[tuple[str, str]] = []
    release = anyio.Event()

    async def handler(message: Message) -> None:
        seen.append((message.sender, message.text))
        if message.text == "slow":
            await release.wait()

    async with world() as w, tasks() as group:
        group.start_soon(w.session.deliver, handler)
        w.account.push("slow", sender="slow@im.wechat")
        w.account.push("after", sender="slow@im.wechat")
        for number in range(100):
            w.account.push("x", sender=f"{number}@im.wechat")
        await w.until(lambda: len(seen) == 101)
        assert ("slow@im.wechat", "after") not in seen
        release.set()
        await w.until(lambda: len(seen) == 102)
        assert [text for sender, text in seen if sender == "slow@im.wechat"] == ["slow", "after"]
        await w.session.stop()


async def test_a_flood_from_one_sender_whose_handler_hangs_does_not_hide_the_others() -> None:
    """Far more messages than the window holds wait behind one sender; another one's message still gets through."""
    seen = []

    async def handler(message: Message) -> None:
        if message.sender == "flood@im.wechat":
            await anyio.sleep_forever()
        seen.append(message.text)

    async with world() as w, tasks() as group:
        for number in range(1500):
            w.account.push(f"{number}", sender="flood@im.wechat")
        w.account.push("me too", sender="other@im.wechat")
        group.start_soon(w.session.deliver, handler)
        await w.until(lambda: seen == ["me too"], limit_s=60)
        group.cancel_scope.cancel()


async def test_a_handler_of_other_arguments_is_refused_before_any_message_fails_on_it() -> None:
    """One that was written for a manager, or is called on the spot, is no reason to park messages."""

    async def of_a_manager(session: object, message: Message) -> None:
        """It takes one too many."""

    async with world() as w:
        for handler in (of_a_manager, None, 5):
            with pytest.raises(DefinitionError, match="write 'async def handler\\(message\\)'"):
                await w.session.deliver(handler)  # type: ignore[arg-type]


async def test_a_message_that_keeps_failing_is_parked_visibly_after_five_attempts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is tried after 1, 2, 4 and 8 s more; then it is set aside with its error, and the sender's next one comes."""
    store, attempts, others = MemoryStore(), [], []

    async def handler(message: Message) -> None:
        if message.text == "poison":
            attempts.append(anyio.current_time())
            raise ValueError("no")
        others.append(message.text)

    async with world(store=store) as w, tasks() as group:
        group.start_soon(w.session.deliver, handler)
        w.account.push("poison")
        w.account.push("next")
        await w.until(lambda: others == ["next"])
        gaps = [round(later - earlier) for earlier, later in itertools.pairwise(attempts)]
        assert gaps == [1, 2, 4, 8]
        (parked,) = await w.session.parked()
        assert (parked.attempts, parked.error, parked.state) == (5, "ValueError: no", MessageState.PARKED)
        assert any("is parked after 5 attempts" in record.message for record in caplog.records)
        await w.session.stop()


@pytest.mark.parametrize("delivery", ["once", "replay"])
async def test_a_message_that_comes_twice_is_handled_once(delivery: str) -> None:
    """The same id, the same id with another context token, and the same content without an id: each is handled once."""
    async with world(server=FakeServer(hold_s=5.0, delivery=delivery)) as w:
        first = w.account.push("first")
        nameless = w.account.push("nameless", message_id=None)
        assert nameless == ""
        await w.until_polling_well()
        w.account.push_duplicate(first)
        w.account.push_duplicate(first, new_context_token=True)
        await w.until_polling_well()
        w.account.push("last")
        assert await collect(w, 3) == ["first", "nameless", "last"]
        # The newest context token is the one that goes out (protocol, section 2.6).
        await w.session.send_text("user@im.wechat", "hi")
        assert w.account.sent[-1].context_token


class Failing(MemoryStore):
    """A store whose disk comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: Exception | None = None
        self.commits = 0

    def commit(self, batches: list[Batch]) -> list[Committed]:
        if self.broken is not None:
            raise self.broken
        self.commits += 1
        return super().commit(batches)


@pytest.mark.parametrize("error", [StoreError("the disk is full"), OSError("input/output error")], ids=["ours", "any"])
async def test_a_batch_that_cannot_be_committed_is_kept_and_committed_before_anything_else(error: Exception) -> None:
    """R10: polling pauses with a reason, no cursor moves, no message is lost although the server had handed it out."""
    store = Failing()
    async with world(store=store, store_fails=True, server=FakeServer(hold_s=5.0, delivery="once")) as w:
        await w.until_polling_well()
        store.broken = error
        cursor = store.cursor(w.account.name)
        w.account.push("only once")
        await w.until(lambda: w.session.state == "backoff")
        assert w.session.health().uncommitted == 1
        assert "disk is full" in w.session.health().detail or "input/output" in w.session.health().detail
        polls = len(w.requests("getupdates"))
        await anyio.sleep(600)
        assert len(w.requests("getupdates")) == polls
        assert store.cursor(w.account.name) == cursor
        assert not w.session.health().ready
        store.broken = None
        assert await collect(w, 1) == ["only once"]
        await w.until_polling_well()
        assert w.session.health().uncommitted == 0
        assert w.session.health().ready


async def test_what_is_only_in_memory_at_a_stop_is_committed_then() -> None:
    """A disk that comes back just before the end still gets the batch."""
    store = Failing()
    async with world(store=store, server=FakeServer(hold_s=5.0, delivery="once")) as w:
        await w.until_polling_well()
        store.broken = StoreError("full")
        w.account.push("late")
        await w.until(lambda: w.session.state == "backoff")
        store.broken = None
    assert len(store.pending(w.account.name)) == 1


async def test_no_handler_sees_a_message_before_its_batch_is_committed_with_its_cursor() -> None:
    """R3: when the handler runs, message and cursor are in the store, and the next poll is not out yet or later."""
    store = Failing()
    async with world(store=store) as w:
        await w.until_polling_well()
        before = store.cursor(w.account.name)
        w.account.push("x")
        await anext(aiter(w.session))
        assert store.cursor(w.account.name) != before
        assert len(store.pending(w.account.name)) == 1
