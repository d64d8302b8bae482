"""Kills: a session that is killed at any step goes on from what the disk and the server have, and loses no more."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

from sessionfsm import AccountInUse, DefinitionError, MemoryStore, Secret, Session
from sessionfsm.ilink import Message
from sessionfsm.store import Credentials, MemoryCredentials, SQLiteStore
from sessionfsm.testing import Bench, Delivery, FakeServer, kill_at_every_step, run
from sessionfsm.testing.bench import BENCH_TOKEN, BENCH_URL
from sessionfsm.testing.messages import id_of
from sessionfsm.testing.virtual_time import Backend
from tests.simulation import bugs

ANNA, BEN, CARLA = "anna@im.wechat", "ben@im.wechat", "carla@im.wechat"
NEW_TOKEN = "ffffffffffff@im.bot:ffeeddccbbaa99887766554433221100"

Play = Callable[[Callable[[], Awaitable[object]]], Any]

on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
in_both_ways = pytest.mark.parametrize("delivery", ["once", "replay"])


@pytest.fixture(params=["asyncio", "trio"])
def play(request: pytest.FixtureRequest) -> Play:
    """Run a story in virtual time, on either backend."""
    backend: Backend = request.param
    return lambda story: run(story, backend=backend, limit_s=86_400)


async def echo(session: Session) -> None:
    async for message in session:
        await session.reply(message, f"you said {message.text}")


class Told:
    """A story of several messages and senders, a handler that fails, a duplicate; and what everybody saw of it."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery: Delivery = delivery
        self.told: list[tuple[str, str]] = []
        self.pushed: list[str] = []
        self.ids: dict[int, str] = {}
        self.tries = 0

    def server(self) -> FakeServer:
        self.told.clear()
        self.pushed.clear()
        self.tries = 0
        return FakeServer(delivery=self.delivery)

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the store, and note what it is told, by message id."""
        answer = function(*args, **kwargs)
        match function.__name__:
            case "commit":
                for stored in (stored for committed in answer for stored in committed.new):
                    self.ids[stored.number] = id_of(json.loads(stored.body))
                    self.told.append(("committed", self.ids[stored.number]))
            case "done":
                self.told += [("done", self.ids[number]) for number in args[0]]
            case "failed":
                self.told.append(("parked" if kwargs["park"] else "failed", self.ids[args[0]]))
        return answer

    async def serve(self, session: Session) -> None:
        self.told.append(("begun", ""))
        await session.deliver(lambda message: self.handle(session, message))

    async def handle(self, session: Session, message: Message) -> None:
        name = message.message_id or ""
        self.told.append(("called", name))
        if message.text == "fails twice":
            self.tries += 1
            if self.tries <= 2:
                raise ValueError("not yet")
        if message.text == "always fails":
            raise ValueError("never")
        await session.reply(message, f"you said {message.text}")
        self.told.append(("returned", name))

    async def story(self, bench: Bench) -> None:
        for text, sender in (
            ("one", ANNA),
            ("two", ANNA),
            ("fails twice", BEN),
            ("after it", BEN),
            ("always fails", CARLA),
        ):
            self.pushed.append(bench.push(text, sender=sender))
        bench.push_duplicate(self.pushed[0])
        await anyio.sleep(3)
        self.pushed.append(bench.push("three", sender=ANNA))
        await bench.settle()
        self.judge(bench)

    def judge(self, bench: Bench) -> None:
        committed = {name for what, name in self.told if what == "committed"}
        self.judge_lost(bench, [name for name in self.pushed if name not in committed])
        over = {name for what, name in self.told if what in ("done", "parked")}
        assert committed == over, f"{committed - over} were committed, and nobody dealt with them"
        finished: set[str] = set()  # never to be handed out again
        returned: list[str] = []  # nor these, but by another process
        again: set[str] = set()
        for what, name in self.told:
            if what == "begun":
                again |= set(returned) - finished
                returned.clear()
            elif what == "called":
                assert name not in finished, f"{name} was handed out again, although that had been noted"
                assert name not in returned, f"{name} was handed out again in the same process"
            elif what == "returned":
                returned.append(name)
            elif what in ("done", "parked"):
                assert what == "parked" or name in [*returned, *again], f"{name} was marked, and not handled"
                finished.add(name)
        # A sender's next message is handed out when the one before it is marked: so a kill repeats one for each.
        assert len(again) <= 3 * len(bench.kills)
        parked = [id_of(json.loads(stored.body)) for stored in bench.parked()]
        assert parked == [name for name in self.pushed[4:5] if name in committed]

    def judge_lost(self, bench: Bench, lost: list[str]) -> None:
        """Lost is only what had left a server that forgets it, and was not committed when the process was killed."""
        assert not lost or self.delivery == "once", f"{lost} were lost"
        if lost:
            assert any(self.was_between(bench, kill) for kill in bench.kills), f"{lost} were lost at {bench.kills}"

    def was_between(self, bench: Bench, kill: str) -> bool:
        for step in reversed(bench.steps[: bench.steps.index(kill) + 1]):
            if step.startswith("after getupdates"):
                return True
            if step.startswith("after commit"):
                return False
        return False


@in_both_ways
@on_both
def test_a_kill_at_any_step_loses_no_committed_message_and_repeats_only_what_was_with_a_handler(
    backend: Backend, delivery: Delivery
) -> None:
    """Whatever the process was at: what it had committed is handled, and what was marked is not handled again."""
    told = Told(delivery)
    found = kill_at_every_step(told.serve, told.story, backend=backend, server=told.server, run_store=told.run)
    names = {step.rpartition(" ")[0] for step in found.steps}
    for what in ("acquire", "commit", "done", "failed", "handler", "notifystart", "getupdates", "sendmessage"):
        assert {f"before {what}", f"after {what}"} <= names
    assert found.tried == tuple((number,) for number in range(1, len(found.steps) + 1))


def test_a_kill_at_any_step_is_survived_on_a_disk(tmp_path: Path) -> None:
    """The same with the store that ``run`` uses: a file, of which a new process knows nothing but its name."""
    numbers = count()
    told = Told("once")
    found = kill_at_every_step(
        told.serve,
        told.story,
        most=30,
        server=told.server,
        store=lambda: SQLiteStore(tmp_path / f"{next(numbers)}.db"),
        run_store=told.run,
    )
    assert len(found.tried) == 30


@in_both_ways
@on_both
def test_two_kills_are_no_worse_than_one(backend: Backend, delivery: Delivery) -> None:
    """The second process may be killed at any step as well, also while it picks up what the first one left."""
    told = Told(delivery)
    found = kill_at_every_step(
        told.serve, told.story, kills=2, most=25, seed=1, backend=backend, server=told.server, run_store=told.run
    )
    assert sum(len(kill_at) == 2 for kill_at in found.tried) >= 20


@pytest.mark.parametrize(
    ("bug", "delivery", "says"),
    [
        (bugs.cursor_in_a_transaction_of_its_own, "replay", "lost"),
        (bugs.done_before_the_handler_returned, "once", "marked, and not handled"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_order_is_found(
    bug: Callable[[pytest.MonkeyPatch], None], delivery: Delivery, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor that is durable before its batch, a mark that comes before its handler: some kill shows it."""
    bug(monkeypatch)
    told = Told(delivery)
    with pytest.raises(AssertionError, match=says) as raised:
        kill_at_every_step(told.serve, told.story, server=told.server, run_store=told.run)
    notes = getattr(raised.value, "__notes__", [])
    if says == "lost":
        assert re.match(r"the session had been killed at step \d+, which is 'after cursor 1'; the same once", notes[0])


@pytest.mark.parametrize("stale", [True, False], ids=["the old token is passed", "only credentials are stored"])
@on_both
def test_a_kill_while_another_login_is_adopted_loses_nothing(backend: Backend, stale: bool) -> None:
    """At any step: the new bot polls from its own cursor, the old one's messages are handled, one lock is held."""
    new = Credentials(token=Secret(NEW_TOKEN), base_url=BENCH_URL, user_id="anna")
    handled: list[str] = []
    stores: list[MemoryStore] = []

    async def serve(session: Session) -> None:
        async def handle(message: Message) -> None:
            if message.text == "before" and not logins.accounts() == [new.account]:
                raise ValueError("it is still open when the new login comes")
            handled.append(message.text)

        await session.deliver(handle)

    def store() -> MemoryStore:
        handled.clear()
        logins._kept.clear()
        logins._successors.clear()
        logins.save(Credentials(token=Secret(BENCH_TOKEN), base_url=BENCH_URL, user_id="anna"))
        stores.append(MemoryStore(clock=anyio.current_time))
        return stores[-1]

    logins = MemoryCredentials()

    async def story(bench: Bench) -> None:
        bench.push("before")
        await anyio.sleep(5)
        logins.save(new)
        bench.account.take_over(notifystart="denied", answer_held=True)
        account = bench.server.account(NEW_TOKEN)
        account.push("after")
        await anyio.sleep(120)
        assert bench.session.account == new.account
        assert set(handled) == {"before", "after"}
        assert account.handed_out.total() <= 1 + len(bench.kills)
        assert stores[-1].pending(new.account) == []
        for free in (bench.account.name, new.account):
            if free == new.account:
                with pytest.raises(AccountInUse):
                    stores[-1].acquire(free)
            else:
                stores[-1].acquire(free)

    token = BENCH_TOKEN if stale else None
    found = kill_at_every_step(serve, story, backend=backend, store=store, token=token, credentials=logins)
    assert {"before retire 1", "after retire 1", "before acquire 2", "after acquire 2"} <= set(found.steps)


# --- the bench -------------------------------------------------------------------------------------------------------


def test_a_kill_is_one_between_two_steps(play: Play) -> None:
    """From that instant nothing more happens: no answer, no mark, no request; restart() goes on from the disk."""
    ends: list[str] = []

    async def serve(session: Session) -> None:
        async def handle(message: Message) -> None:
            try:
                await anyio.sleep(10)
                ends.append("returned")
                await session.reply(message, "done")
            finally:
                ends.append("left")

        await session.deliver(handle)

    async def story() -> None:
        async with Bench(serve) as bench:
            first = bench.session
            bench.push()
            await anyio.sleep(5)
            bench.kill()
            bench.kill()
            requests = bench.server.log.count
            with pytest.raises(TimeoutError, match="the session is not up"):
                await bench.settle(limit_s=100)
            assert (bench.replies, bench.server.log.count, ends) == ([], requests, ["left"])
            await bench.restart()
            assert bench.session is not first
            await bench.settle()
            assert (bench.replies, bench.kills) == (["done"], ["kill()"])

    play(story)


def test_who_is_shielded_reaches_nobody(play: Play) -> None:
    """A handler that goes on after its process was killed cannot send, and cannot hold up the next process."""
    errors: list[str] = []

    async def serve(session: Session) -> None:
        async def handle(message: Message) -> None:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(10)
                try:
                    await session.reply(message, "done")
                except Exception as error:
                    errors.append(f"{type(error).__name__}: {error}")

        await session.deliver(handle)

    async def story() -> None:
        async with Bench(serve, kill_at="after getupdates 2") as bench:
            bench.push()
            await anyio.sleep(1)
            bench.push("another", sender=BEN)
            await anyio.sleep(3)
            assert bench.session.health().ready, "the next one is up before the shield has ended"
            await bench.settle()
            assert bench.replies == ["done", "done"]
            assert len(errors) == 1

    play(story)


def test_a_restart_stops_a_session_in_order(play: Play) -> None:
    """Nobody has killed it: what is in hand is finished, the goodbye is said, and nothing is handled twice."""

    async def story() -> None:
        async with Bench(echo, server=FakeServer(delivery="once")) as bench:
            bench.push()
            await anyio.sleep(0.012)
            await bench.restart()
            await bench.settle()
            assert bench.replies == ["you said hello"]
            assert len(bench.server.log.requests("notifystop")) == 1
            assert bench.kills == []

    play(story)


def test_a_kill_during_a_stop_is_followed_by_a_start(play: Play) -> None:
    """Killed while it says goodbye, or while it marks what was handled: restart() has a session that is up."""

    async def story(step: str) -> None:
        async with Bench(echo, kill_at=step) as bench:
            bench.push()
            await anyio.sleep(1)
            await bench.restart()
            await bench.settle()
            assert set(bench.replies) == {"you said hello"}
            assert bench.kills == [step]

    for step in ("before notifystop 1", "after notifystop 1"):
        play(lambda step=step: story(step))  # type: ignore[misc]


def test_a_kill_that_never_comes_fails_the_block(play: Play) -> None:
    """A test that thinks it has killed something and has not is worth nothing."""

    async def story() -> None:
        async with Bench(echo, kill_at=("after done", 1000)) as bench:
            await bench.settle()

    with pytest.raises(
        AssertionError, match=r"to be killed at 'after done 1', 1000, and did not come there: \['before"
    ):
        play(story)


def test_the_bot_is_made_anew_for_each_process(play: Play) -> None:
    """A kill takes the memory of a bot with it; its own errors after the kill are nobody's."""
    made: list[Session] = []

    async def serve(session: Session) -> None:
        made.append(session)
        try:
            await echo(session)
        finally:
            if len(made) == 1:
                raise LookupError("of somebody who is dead")

    async def story() -> None:
        async with Bench(serve, kill_at="after commit", down_s=7) as bench:
            bench.push()
            await bench.settle()
        assert bench.replies == ["you said hello"]
        assert len(made) == 2

    play(story)


def test_what_keeps_a_session_from_beginning_again_is_raised(play: Play) -> None:
    """Somebody else has taken the account meanwhile."""

    async def story() -> None:
        store = MemoryStore()
        async with Bench(echo, store=store) as bench:
            bench.kill()
            store.acquire(bench.account.name)
            await bench.restart()

    with pytest.raises(AccountInUse):
        play(story)


@pytest.mark.parametrize("step", ["commit", "after", "after commit 0", "after  commit", 0, ["before x y"]])
def test_what_can_be_no_step_is_refused(step: Any) -> None:
    """The message says how a step is written."""
    with pytest.raises(DefinitionError, match="no step"):
        Bench(kill_at=step)


def test_a_story_is_the_same_each_time() -> None:
    """The same steps in the same order, on either backend; with more steps than wanted some are drawn."""

    async def story(bench: Bench) -> None:
        for sender in (ANNA, BEN, CARLA):
            bench.push(sender=sender)
        await bench.settle()

    for backend in ("asyncio", "trio"):
        found = [kill_at_every_step(echo, story, backend=backend, most=3, seed=5) for _ in range(2)]
        assert found[0] == found[1]
        assert len(found[0].tried) == 3 < len(found[0].steps)


def test_what_cannot_be_asked() -> None:
    """No kill at all; and a story in a story, which an event loop does not allow."""

    async def story(bench: Bench) -> None: ...

    async def inside() -> None:
        kill_at_every_step(echo, story)

    with pytest.raises(DefinitionError, match="1 or more, not 0 and 1000"):
        kill_at_every_step(echo, story, kills=0)
    with pytest.raises(DefinitionError, match="a test that is an ordinary function"):
        run(inside)
