"""What the bot's users see when things go wrong."""

from counting_bot import CountingBot

from sessionfsm.testing import faults


async def test_a_lost_session_costs_no_message(ilink_session, virtual_time):
    """The server answers -14, and the message is answered all the same."""
    async with ilink_session(CountingBot().serve) as bench:
        bench.apply(faults.Expire(answer_held=True))
        bench.push("hello")
        await bench.settle()
    assert bench.replies == ["1: hello"]


async def test_a_message_that_comes_twice_is_answered_once(ilink_session, virtual_time):
    """The server hands a message out again, and the count stays right."""
    async with ilink_session(CountingBot().serve) as bench:
        bench.push("hello")
        bench.push_duplicate()
        await bench.settle()
    assert bench.replies == ["1: hello"]


async def test_an_outage_of_an_hour_costs_no_message(ilink_session, virtual_time):
    """Nobody can be reached for an hour; who wrote meanwhile is answered afterwards."""
    async with ilink_session(CountingBot().serve) as bench:
        bench.apply(faults.Outage(for_s=3600))
        bench.push("hello")
        await bench.settle(limit_s=2 * 3600)
    assert bench.replies == ["1: hello"]


async def test_a_handler_that_raises_keeps_nobody_waiting(ilink_session, virtual_time):
    """A message that crashes the handler is tried five times and parked; the next one is answered."""
    async with ilink_session(CountingBot().serve) as bench:
        bench.push("/crash")
        bench.push("hello")
        await bench.settle()
    assert (bench.replies, len(bench.parked())) == (["1: hello"], 1)


def test_a_kill_at_any_step_costs_no_message(ilink_crashes):
    """Whatever it was at when it was killed, it answers when it is up again; its counts are gone, and begin anew."""

    async def story(bench):
        bench.push("hello")
        await bench.settle()
        assert set(bench.replies) == {"1: hello"}

    ilink_crashes(lambda session: CountingBot().serve(session), story)


def test_an_answer_that_gets_lost_is_sent_again(ilink_session, virtual_time):
    """The same in a test that is an ordinary function: the story is run in virtual time."""

    async def story():
        async with ilink_session(CountingBot().serve) as bench:
            bench.apply(faults.Reset(endpoint="sendmessage"))
            bench.push("hello")
            await bench.settle()
        assert bench.replies == ["1: hello"]

    virtual_time.run(story)
