"""What the fake server does, in virtual time."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx
import pytest

from sessionfsm.errors import DefinitionError
from sessionfsm.testing import FakeServer, account_name, faults

pytestmark = pytest.mark.anyio

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"
NAME = "0a1b2c3d4e5f@im.bot"


def near(seconds: float) -> Any:
    # trio's MockClock adds up its jumps, so its times can be off by a rounding.
    return pytest.approx(seconds, abs=1e-9)


# --- polls and messages ----------------------------------------------------------------------------------------------


async def test_an_idle_poll_is_held_and_has_no_ret(memory) -> None:
    """A healthy idle answer comes after the hold, has an empty list, a fresh cursor and no ret."""
    server = FakeServer()
    async with memory(server) as client:
        first = await client.poll()
        second = await client.poll(first["get_updates_buf"])
    assert set(first) == {"msgs", "sync_buf", "get_updates_buf"}
    assert first["msgs"] == []
    assert first["get_updates_buf"] != second["get_updates_buf"]
    assert [(entry.started_s, entry.ended_s) for entry in server.log] == [
        (near(0), near(35)),
        (near(35), near(70)),
    ]
    assert all(entry.good and not entry.news and entry.answer == "empty" for entry in server.log)


async def test_a_message_wakes_a_held_poll(memory) -> None:
    """A held poll is answered in the moment in which a user writes."""
    server = FakeServer(hint_ms=20000)
    account = server.account(TOKEN)
    async with memory(server) as client, anyio.create_task_group() as tasks:
        answers: list[dict[str, Any]] = []

        async def poll() -> None:
            answers.append(await client.poll())

        tasks.start_soon(poll)
        await anyio.sleep(7.5)
        assert account.unread == 0
        message_id = account.push("grüße", group_id="g", sender="you@im.wechat")
        assert account.unread == 1
    [answer] = answers
    [message] = answer["msgs"]
    assert answer["longpolling_timeout_ms"] == 20000
    assert message["message_id"] == int(message_id) > 2**53
    assert message["item_list"][0]["text_item"] == {"text": "grüße"}
    assert (message["from_user_id"], message["group_id"]) == ("you@im.wechat", "g")
    [entry] = server.log
    assert (entry.ended_s, entry.answer, entry.messages) == (near(7.5), "messages", (message_id,))
    assert entry.good
    assert entry.news
    assert account.unread == 0
    assert account.handed_out == {message_id: 1}


async def test_replay_follows_the_cursor(memory) -> None:
    """An old cursor brings messages again, an empty or foreign one brings all; the log knows that it is no news."""
    server = FakeServer()
    account = server.account(TOKEN)
    ids = [account.push(), account.push()]
    async with memory(server) as client:
        cursor = (await client.poll())["get_updates_buf"]
        ids.append(account.push())
        for asked, expected in ((cursor, ids[2:]), (cursor, ids[2:]), ("", ids), ("Zm9yZWlnbg==", ids), ("ä", ids)):
            answer = await client.poll(asked)
            assert [str(message["message_id"]) for message in answer["msgs"]] == expected
    assert [entry.news for entry in server.log] == [True, True, False, False, False, False]
    assert account.handed_out[ids[0]] == 4


async def test_once_ignores_the_cursor(memory) -> None:
    """In the other mode nothing is handed out twice, whatever cursor is asked for."""
    server = FakeServer(delivery="once")
    account = server.account(TOKEN)
    account.push()
    async with memory(server) as client:
        assert len((await client.poll())["msgs"]) == 1
        assert (await client.poll())["msgs"] == []
        account.push()
        assert len((await client.poll())["msgs"]) == 1
    assert set(account.handed_out.values()) == {1}


async def test_duplicates_come_in_every_way(memory) -> None:
    """The same id again, with another context token, and without an id; only what a client must think new is news."""
    server = FakeServer()
    account = server.account(TOKEN)
    with pytest.raises(DefinitionError, match="there is no message to repeat"):
        account.push_duplicate()
    first = account.push("a", message_id="77")
    assert account.push(message_id=None) == ""
    async with memory(server) as client:
        answer = await client.poll()
        original = answer["msgs"][0]
        assert "message_id" not in answer["msgs"][1]
        for changes, news in (
            ({}, False),
            ({"new_context_token": True}, False),
            ({"without_id": True}, True),
            ({"without_id": True}, False),
        ):
            account.push_duplicate(first, **changes)
            answer = await client.poll(answer["get_updates_buf"])
            [copy] = answer["msgs"]
            assert (copy["context_token"] == original["context_token"]) is ("new_context_token" not in changes)
            assert copy.get("message_id") == (None if "without_id" in changes else "77")
            assert server.log[-1].news is news
    assert account.handed_out == {"77": 3}


async def test_two_polls_of_one_account_are_both_served(memory) -> None:
    """Simultaneous polls are answered, and both are marked in the log; one after another is not marked."""
    server = FakeServer()
    async with memory(server) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.poll)
            tasks.start_soon(client.poll)
        await client.poll()
    assert [entry.overlapping for entry in server.log] == [True, True, False]
    assert all(entry.good for entry in server.log)


async def test_a_poll_that_its_client_gives_up_takes_nothing(memory) -> None:
    """A cancelled poll is logged as aborted, at its time, and leaves the messages to the next one."""
    server = FakeServer(delivery="once")
    account = server.account(TOKEN)
    async with memory(server) as client:
        with anyio.move_on_after(12):
            await client.poll()
        account.push()
        assert len((await client.poll())["msgs"]) == 1
    assert [(entry.aborted, entry.ended_s) for entry in server.log] == [(True, near(12)), (False, near(12))]


async def test_the_read_timeout_of_httpx_is_kept() -> None:
    """A client that relies on httpx timeouts sees them, for the head and for the body."""
    server = FakeServer()
    async with httpx.AsyncClient(transport=server.transport(), base_url="http://fake", timeout=5) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/ilink/bot/getupdates", json={}, headers={"Authorization": f"Bearer {TOKEN}"})
        server.apply(faults.Drip(each_s=6))
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/ilink/bot/getupdates", json={})
    assert [entry.aborted for entry in server.log] == [True, True]
    assert anyio.current_time() == near(10)


async def test_a_round_trip_takes_time() -> None:
    """With a round trip, answers at once still let the clock move."""
    server = FakeServer(hold_s=0)
    async with httpx.AsyncClient(transport=server.transport(round_trip_s=0.05), base_url="http://fake") as http:
        for _ in range(10):
            await http.post("/ilink/bot/getupdates", json={}, headers={"Authorization": f"Bearer {TOKEN}"})
    assert anyio.current_time() == near(0.5)


# --- requests --------------------------------------------------------------------------------------------------------


async def test_requests_are_judged(memory) -> None:
    """Wrong path, method, body and token get what the real server gives."""
    server = FakeServer(strict_tokens=True)
    server.account(TOKEN)
    async with memory(server) as client, memory(server, "") as nobody, memory(server, "other") as stranger:
        assert (await client.call("getinfo")).status_code == 404
        wrong = await client.http.get("/ilink/bot/getupdates", headers=client.headers)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
        for body in (b"", b"{", b"[]", b"\xff", b"[" * 100_000):
            broken = await client.http.post("/ilink/bot/getupdates", content=body, headers=client.headers)
            assert broken.status_code == 400
        assert await nobody.poll() == {"errcode": -14, "errmsg": "session timeout"}
        assert (await stranger.renew())["errcode"] == -14
        assert (await client.renew()) == {"ret": 0}
    assert [account.name for account in server.accounts] == [NAME]
    assert [entry.account for entry in server.log][-3:] == ["", account_name("other"), NAME]
    assert server.log[0].endpoint == "unknown"


async def test_deviations_are_noted_and_forgiven(memory) -> None:
    """A request without the headers of the protocol is answered; the log says what was missing."""
    server = FakeServer()
    async with memory(server) as client:
        await client.renew()
        await client.http.post(
            "/ilink/bot/msg/notifystart",
            content=b"{}",
            headers={"Authorization": f"Bearer {TOKEN}", "X-WECHAT-UIN": "NDI5NDk2NzI5Ng=="},
        )
    assert server.log[0].deviations == ()
    assert server.log[1].deviations == (
        "Content-Type is not application/json",
        "AuthorizationType is not ilink_bot_token",
        "iLink-App-Id is not bot",
        "iLink-App-ClientVersion is not a decimal number",
        "X-WECHAT-UIN is not the base64 of a decimal uint32",
        "base_info is missing",
    )
    assert server.log[1].code is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"to_user_id": None},
        {"to_user_id": ""},
        {"client_id": None},
        {"from_user_id": None},
        {"message_type": "2"},
        {"message_state": 1},
        {"item_list": []},
        {"item_list": [{"type": 1}, {"type": 2}]},
    ],
)
async def test_a_malformed_send_is_refused(memory, wrong: dict[str, Any]) -> None:
    """What the protocol requires of a message is required."""
    server = FakeServer()
    async with memory(server) as client:
        assert await client.send(**wrong) == {"ret": -2, "errmsg": "invalid arguments"}
    assert server.account(TOKEN).sent == []


async def test_sends_are_kept(memory) -> None:
    """A send gets an id and is kept as it was; one that pretends to be a user's is accepted and dropped."""
    server = FakeServer()
    async with memory(server) as client:
        await anyio.sleep(3)
        answer = await client.send("hi", context_token="ct")
        assert await client.send(message_type=1) == {"ret": 0}
    [sent] = server.account(TOKEN).sent
    assert (sent.to, sent.text, sent.client_id, sent.context_token) == ("user@im.wechat", "hi", "c1", "ct")
    assert sent.at_s == near(3)
    assert sent.message_id == str(answer["message_id"])


async def test_typing_is_answered(memory) -> None:
    """getconfig, sendtyping and notifystop have their minimal answers."""
    server = FakeServer()
    async with memory(server) as client:
        assert "typing_ticket" in (await client.call("getconfig", ilink_user_id="u")).json()
        assert (await client.call("sendtyping", ilink_user_id="u")).json() == {"ret": 0}
        assert (await client.call("sendtyping")).json() == {"ret": -2, "errmsg": "ilink_user_id required"}
        assert (await client.call("msg/notifystop")).json() == {"ret": 0}


async def test_no_secret_is_in_the_log(memory) -> None:
    """Neither token nor cursor nor context token can be read from the log or from a repr."""
    server = FakeServer()
    account = server.account(TOKEN)
    account.push()
    async with memory(server) as client:
        answer = await client.poll()
        await client.send(context_token=answer["msgs"][0]["context_token"])
    shown = repr((list(server.log), account, account.sent, server))
    for secret in (TOKEN, "00112233", answer["get_updates_buf"], answer["msgs"][0]["context_token"]):
        assert secret not in shown
    assert account_name("no-colon@im.bot") != "no-colon@im.bot"


async def test_the_log_is_selected_and_bounded(memory) -> None:
    """Entries are chosen by endpoint and account; a bounded log drops the oldest and goes on counting."""
    server = FakeServer(keep_log=3, hold_s=1)
    async with memory(server) as client, memory(server, "b") as other:
        await client.send()
        await client.renew()
        await client.poll()
        await other.poll()
        await client.send()
    log = server.log
    assert (len(log), log.count, log[0].number) == (3, 5, 3)
    assert [entry.endpoint for entry in log.requests(account=NAME)] == ["getupdates", "sendmessage"]
    assert [entry.account for entry in log.requests("getupdates")] == [NAME, account_name("b")]
    assert [entry.number for entry in log.session_requests(NAME)] == [3]


# --- sessions --------------------------------------------------------------------------------------------------------

SHAPES = [
    ("errcode", {"errcode": -14, "errmsg": "session timeout"}),
    ("ret", {"ret": -14, "errmsg": "session timeout"}),
    ("both", {"ret": -14, "errcode": -14, "errmsg": "session timeout"}),
    ("ret_zero", {"ret": 0, "errcode": -14, "errmsg": "session timeout"}),
]


@pytest.mark.parametrize(("shape", "answer"), SHAPES)
async def test_an_expired_session_lives_again_by_notifystart(memory, shape: Any, answer: dict[str, Any]) -> None:
    """-14 again and again, in the shape that was chosen, until a renewal; sends go on, messages are kept."""
    server = FakeServer()
    account = server.account(TOKEN)
    server.apply(faults.Expire(shape=shape))
    account.push()
    async with memory(server) as client:
        assert await client.poll() == answer
        assert await client.poll() == answer
        assert "message_id" in await client.send()
        assert account.state == "expired"
        assert await client.renew() == {"ret": 0}
        assert account.state == "live"
        assert len((await client.poll())["msgs"]) == 1
    assert [(entry.code, entry.answer, entry.good) for entry in server.log.requests("getupdates")] == [
        (-14, "-14", False),
        (-14, "-14", False),
        (None, "messages", True),
    ]


async def test_a_loss_may_be_told_late(memory) -> None:
    """With held_s the poll is held before it is refused, unless the session was renewed meanwhile."""
    server = FakeServer()
    account = server.account(TOKEN)
    account.expire(held_s=20)
    async with memory(server) as client:
        assert (await client.poll())["errcode"] == -14
        assert anyio.current_time() == near(20)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.poll)
            await anyio.sleep(5)
            await client.renew()
    assert server.log[1].good
    assert anyio.current_time() == near(20 + 20 + 35)


@pytest.mark.parametrize(("answer_held", "ended_s", "answer"), [(True, 10, "-14"), (False, 35, "empty")])
async def test_a_held_poll_may_be_told(memory, answer_held: bool, ended_s: float, answer: str) -> None:
    """When a session ends, a held poll hears of it only if the fault says so."""
    server = FakeServer()
    server.account(TOKEN)
    async with memory(server) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(server.play, [faults.Expire(at_s=10, answer_held=answer_held)])
        await client.poll()
    assert (server.log[0].ended_s, server.log[0].answer) == (near(ended_s), answer)


@pytest.mark.parametrize(("notifystart", "renewal"), [("works", {"ret": 0}), ("denied", SHAPES[0][1])])
async def test_a_takeover_is_not_cured_before_it_ends(memory, notifystart: Any, renewal: dict[str, Any]) -> None:
    """A taken-over session stays lost whatever notifystart says; afterwards notifystart cures it."""
    server = FakeServer()
    account = server.account(TOKEN)
    server.apply(faults.Takeover(notifystart=notifystart, for_s=100))
    async with memory(server) as client:
        for _ in range(3):
            assert await client.renew() == renewal
            assert (await client.poll())["errcode"] == -14
        assert account.state == "taken_over"
        await anyio.sleep(100)
        assert account.state == "expired"
        assert (await client.poll())["errcode"] == -14
        assert await client.renew() == {"ret": 0}
        assert (await client.poll())["msgs"] == []
    account.end_takeover()
    assert account.state == "live"


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        ("empty", {}),
        ("empty_cursor", {"sync_buf": "", "get_updates_buf": ""}),
        ("null", {"ret": None, "msgs": None, "get_updates_buf": None}),
    ],
)
async def test_a_lapsed_session_says_nothing(memory, shape: Any, answer: dict[str, Any]) -> None:
    """A silent lapse gives hollow answers, which are not good, until a renewal."""
    server = FakeServer()
    server.account(TOKEN)
    server.apply(faults.Lapse(shape=shape, held_s=2))
    async with memory(server) as client:
        assert await client.poll() == answer
        assert anyio.current_time() == near(2)
        await client.renew()
        assert (await client.poll())["msgs"] == []
    assert [(entry.answer, entry.good) for entry in server.log.requests("getupdates")] == [
        ("hollow", False),
        ("empty", True),
    ]


async def test_a_loss_may_heal_by_itself(memory) -> None:
    """A transient -14 and a loss with an end by the clock need no renewal."""
    server = FakeServer(hold_s=1)
    account = server.account(TOKEN)
    server.apply(faults.Code(endpoint="getupdates", times=2))
    async with memory(server) as client:
        assert [(await client.poll()).get("errcode") for _ in range(3)] == [-14, -14, None]
        account.expire(for_s=10)
        assert account.state == "expired"
        await anyio.sleep(10)
        assert (await client.poll())["msgs"] == []


async def test_accounts_are_struck_one_by_one_or_together(memory) -> None:
    """A fault for one account, by token or by name, leaves the others alone; one for all strikes all that are known."""
    server = FakeServer(hold_s=1)
    first, second = server.account(TOKEN), server.account("b")
    server.apply(faults.Expire(token=NAME))
    assert (first.state, second.state) == ("expired", "live")
    server.apply(faults.Lapse(token="b"))
    assert (first.state, second.state) == ("expired", "lapsed")
    server.apply(faults.Takeover())
    assert (first.state, second.state) == ("taken_over", "taken_over")
    server.clear()
    server.apply(faults.Status(token=NAME, status=500))
    async with memory(server) as client, memory(server, "b") as other, memory(server, "") as nobody:
        assert (await other.call("getupdates")).status_code == 200
        assert (await nobody.call("getupdates")).status_code == 200
        assert (await client.call("getupdates")).status_code == 500
        assert (await client.call("getupdates")).status_code == 200


# --- schedules -------------------------------------------------------------------------------------------------------


async def test_a_schedule_is_played_on_time() -> None:
    """Each fault is applied at its second after play began; play ends when the last timed one is over."""
    server = FakeServer()
    account = server.account(TOKEN)
    await anyio.sleep(100)
    states: list[tuple[float, str]] = []

    async def look() -> None:
        for _ in range(5):
            states.append((anyio.current_time() - 100, account.state))
            await anyio.sleep(10)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        await server.play(
            [faults.Lapse(at_s=25, for_s=60), faults.Expire(at_s=5, for_s=10), faults.Message(at_s=1, copies=3)]
        )
        assert anyio.current_time() == near(185)
    assert [state for _, state in states] == ["live", "expired", "live", "lapsed", "lapsed"]
    assert account.unread == 3


async def test_faults_that_match_come_in_order(memory) -> None:
    """Wire faults are a queue: applied first, answered first; each counts only what it answers itself."""
    server = FakeServer()
    for status in (500, 404, 501):
        server.apply(faults.Status(endpoint="notifystart", status=status))
    server.apply(faults.Code(endpoint="notifystart", code=-1, shape="ret", errmsg="system error"))
    async with memory(server) as client:
        seen = [await client.call("msg/notifystart") for _ in range(5)]
        assert "message_id" in await client.send()
    assert [answer.status_code for answer in seen] == [500, 404, 501, 200, 200]
    assert [json.loads(answer.content) for answer in seen[3:]] == [
        {"ret": -1, "errmsg": "system error"},
        {"ret": 0},
    ]


async def test_an_own_body_is_judged_in_the_log(memory) -> None:
    """The log tells good from bad for bodies that a test wrote itself, as a client should."""
    server = FakeServer()
    cases = [
        (b'{"msgs":[]}', True, None),
        (b'{"get_updates_buf":"x"}', True, None),
        (b'{"msgs":null,"get_updates_buf":""}', False, None),
        (b'{"msgs":[],"ret":0,"errcode":-14}', False, -14),
        (b'{"msgs":[],"ret":-3}', False, -3),
        (b"[]", False, None),
        (b"", False, None),
    ]
    for body, _, _ in cases:
        server.apply(faults.Body(body=body))
    async with memory(server) as client:
        for body, _, _ in cases:
            assert (await client.call("getupdates")).content == body
    assert [(entry.good, entry.code) for entry in server.log] == [(good, code) for _, good, code in cases]


async def test_a_hint_is_sent_as_it_is(memory) -> None:
    """Any JSON can be the hint, what no client expects included, and nothing but good polls carries it."""
    server = FakeServer(hold_s=1)
    server.apply(faults.Hint(hint='"1e999"', times=1))
    server.apply(faults.Hint(hint="[null]", times=1))
    async with memory(server) as client:
        assert (await client.poll())["longpolling_timeout_ms"] == "1e999"
        assert "longpolling_timeout_ms" not in await client.renew()
        server.apply(faults.Hint(hint="-5"))
        assert (await client.poll())["longpolling_timeout_ms"] == -5
        assert "longpolling_timeout_ms" not in await client.poll()
