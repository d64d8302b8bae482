"""The whole stack on a loopback socket: what is said of virtual time holds on the wire."""

import statistics

import anyio
import pytest

from sessionfsm import Session
from sessionfsm.testing import FakeServer, faults
from sessionfsm.testing.judge import judge_wire

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("lane")]

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"


async def test_the_next_poll_follows_a_minus_14_within_50_ms_at_the_median(record_property) -> None:
    """From the -14 answer to the next getupdates, notifystart between them included, as the server sees it."""
    server = FakeServer(hold_s=1.0)
    account = server.account(TOKEN)
    async with server.listen() as listening, Session(token=TOKEN, base_url=listening.url) as session:
        # A message proves the session without waiting for a whole hold.
        with anyio.fail_after(20):
            for number in range(15):
                account.push(f"{number}")
                await anext(aiter(session))
                while not session._driver.lifecycle.memory.trusted:  # noqa: ASYNC110 - the wire is in between
                    await anyio.sleep(0.001)
                account.expire(answer_held=True)
                while account.state != "live":  # noqa: ASYNC110
                    await anyio.sleep(0.001)
            account.push("the last one")
            await anyio.sleep(0.05)
    log = server.log.session_requests(account.name)
    lost = [entry for entry in log if entry.code == -14]
    assert len(lost) == 15
    times = []
    for entry in lost:
        following = next(e for e in log if e.endpoint == "getupdates" and e.number > entry.number)
        times.append(following.started_s - entry.ended_s)
    record_property("minus_14_to_next_poll_median_ms", statistics.median(times) * 1000)
    print(f"-14 to next poll: median {statistics.median(times) * 1000:.1f} ms, worst {max(times) * 1000:.1f} ms")
    assert statistics.median(times) < 0.05


async def test_a_short_life_with_faults_on_a_real_socket() -> None:
    """A loss, a reset and an outage in a second: everything arrives, nothing is broken."""
    server = FakeServer(hold_s=0.3)
    account = server.account(TOKEN)
    seen: list[str] = []
    async with server.listen() as listening, Session(token=TOKEN, base_url=listening.url) as session:

        async def read() -> None:
            async for message in session:
                seen.append(message.text)
                await session.reply(message, f"re: {message.text}")

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            with anyio.fail_after(30):
                await server.play(
                    [
                        faults.Message(at_s=0.05, text="one"),
                        faults.Expire(at_s=0.1, answer_held=True),
                        faults.Reset(at_s=0.3, endpoint="getupdates"),
                        faults.Message(at_s=0.35, text="two"),
                        faults.Outage(at_s=0.8, for_s=0.3),
                        faults.Message(at_s=1.2, text="three"),
                    ]
                )
                while len(account.sent) < 3:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            await session.stop()
    assert seen == ["one", "two", "three"]
    assert [sent.text for sent in account.sent] == ["re: one", "re: two", "re: three"]
    assert judge_wire(server.log.session_requests(account.name), session._driver.lifecycle.policy).violations == ()


FAULTS = [
    faults.Status(status=502, endpoint="getupdates"),
    faults.Status(status=429, endpoint="getupdates", retry_after="1"),
    faults.Html(endpoint="getupdates"),
    faults.Garbage(endpoint="getupdates"),
    faults.Body(endpoint="getupdates", body=b"", status=204),
    faults.Oversize(endpoint="getupdates", size=20_000_000),
    faults.Reset(endpoint="getupdates"),
    faults.Truncated(endpoint="getupdates"),
    faults.Redirect(endpoint="getupdates"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{type(fault).__name__} {getattr(fault, 'status', '')}")
async def test_a_session_comes_through_each_fault_on_each_lane(fault: faults.Fault) -> None:
    """What goes wrong in one answer costs a wait; the message behind it arrives, and nothing is broken."""
    server = FakeServer(hold_s=0.2)
    account = server.account(TOKEN)
    server.apply(fault)
    async with server.listen() as listening, Session(token=TOKEN, base_url=listening.url) as session:
        with anyio.fail_after(30):
            while fault_is_due(server):  # noqa: ASYNC110 - the wire is in between
                await anyio.sleep(0.01)
            account.push("behind it")
            async for message in session:
                assert message.text == "behind it"
                break
    assert judge_wire(server.log.session_requests(account.name), session._driver.lifecycle.policy).violations == ()


def fault_is_due(server: FakeServer) -> bool:
    """Whether no poll has been spoiled yet."""
    return not any(entry.endpoint == "getupdates" and entry.ended_s is not None for entry in server.log)
