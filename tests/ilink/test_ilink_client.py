"""What the client asks, and what it makes of the answers; no socket is opened here."""

from __future__ import annotations

import json
import logging
import random
import re
import traceback
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from sessionfsm import Session, SessionManager
from sessionfsm._version import __version__
from sessionfsm.errors import (
    AddressError,
    BadRequest,
    BrokenAnswer,
    ConnectFailed,
    ConnectionLost,
    ConversationClosed,
    CredentialsMissing,
    DeadlineExceeded,
    DefinitionError,
    ILinkError,
    ServerRefused,
    SessionLost,
    StatusError,
)
from sessionfsm.ilink import ILinkClient, Sent, Updates
from sessionfsm.secret import Secret

pytestmark = pytest.mark.anyio

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"
USER = "o9cq80000000000000000000abcd@im.wechat"
CONTEXT = "ZmFicmljYXRlZC1jb250ZXh0LXRva2VuLTAwMDE="
CURSOR = "CAESC2ZhYnJpY2F0ZWQx"
BASE = "https://ilinkai.weixin.qq.com"
BASE_INFO = {"channel_version": "2.4.9", "bot_agent": "OpenClaw"}

Handler = Callable[[httpx.Request], httpx.Response]


class Script:
    """A server that answers from a function and keeps the requests."""

    def __init__(self, answer: object = None, **response: Any) -> None:
        self.requests: list[httpx.Request] = []
        self._response = {"status_code": 200, **({"json": answer} if answer is not None else {}), **response}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(**self._response)

    def body(self, number: int = -1) -> Any:
        return json.loads(self.requests[number].content)


def client(handler: Any, **options: Any) -> tuple[ILinkClient, httpx.AsyncClient]:
    """A client in front of a handler."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return ILinkClient(**{"token": TOKEN, "http": http, "bot_agent": "OpenClaw", **options}), http


# --- what is asked --------------------------------------------------------------------------------------------------


async def test_the_poll_of_the_reference() -> None:
    """The request of section 7.4: URL, method, headers and body are exactly these."""
    script = Script({"msgs": [], "sync_buf": "x", "get_updates_buf": CURSOR})
    ilink, _ = client(script)
    first = await ilink.get_updates(None, deadline_s=1)
    assert first == Updates(has_messages=True, cursor=Secret(CURSOR))
    await ilink.get_updates(first.cursor, deadline_s=1)
    assert script.body(0) == {"get_updates_buf": "", "base_info": BASE_INFO}
    assert script.body(1) == {"get_updates_buf": CURSOR, "base_info": BASE_INFO}
    request = script.requests[0]
    assert (request.method, str(request.url)) == ("POST", "https://ilinkai.weixin.qq.com/ilink/bot/getupdates")
    headers = dict(request.headers)
    assert re.fullmatch("[A-Za-z0-9+/]+={0,2}", headers.pop("x-wechat-uin"))
    assert headers == {
        "host": "ilinkai.weixin.qq.com",
        "content-type": "application/json",
        "authorizationtype": "ilink_bot_token",
        "authorization": f"Bearer {TOKEN}",
        "ilink-app-id": "bot",
        "ilink-app-clientversion": "132105",
        "accept-encoding": "gzip, deflate",
        "content-length": str(len(request.content)),
    }


@pytest.mark.parametrize("name", ["notifystart", "notifystop"])
@pytest.mark.parametrize("answer", [{"ret": 0}, {}, None])
async def test_the_notices_of_the_reference(name: str, answer: object) -> None:
    """The exchanges of section 7.3; an empty body is success too."""
    script = Script(answer)
    ilink, _ = client(script, bot_agent="sessionfsm/0.1.0 (example)")
    await (ilink.notify_start() if name == "notifystart" else ilink.notify_stop())
    assert script.requests[0].url.path == f"/ilink/bot/msg/{name}"
    assert script.body() == {"base_info": {"channel_version": "2.4.9", "bot_agent": "sessionfsm/0.1.0 (example)"}}


@pytest.mark.parametrize("name", ["notify_start", "notify_stop"])
async def test_a_refused_notice(name: str) -> None:
    """A notice can be answered with -14, and that is told."""
    ilink, _ = client(Script({"errcode": -14, "errmsg": "session timeout"}))
    with pytest.raises(SessionLost, match="-14: session timeout"):
        await getattr(ilink, name)()


async def test_the_send_of_the_reference() -> None:
    """The exchange of section 7.5: one request, one item, the context token verbatim."""
    script = Script({"message_id": 7498123456789012399, "ret": 0})
    ilink, _ = client(script)
    sent = await ilink.send_text(
        USER,
        "hi",
        context_token=Secret(CONTEXT),
        client_id="openclaw-weixin:1790000001000-1a2b3c4d",
        run_id="6b3f8f0e-0000-4000-8000-000000000001",
    )
    assert sent == Sent(message_id="7498123456789012399", client_id="openclaw-weixin:1790000001000-1a2b3c4d")
    assert sent.confirmed
    assert script.requests[0].url.path == "/ilink/bot/sendmessage"
    assert script.body() == {
        "msg": {
            "from_user_id": "",
            "to_user_id": USER,
            "client_id": "openclaw-weixin:1790000001000-1a2b3c4d",
            "message_type": 2,
            "message_state": 2,
            "item_list": [{"type": 1, "text_item": {"text": "hi"}}],
            "context_token": CONTEXT,
            "run_id": "6b3f8f0e-0000-4000-8000-000000000001",
        },
        "base_info": BASE_INFO,
    }


async def test_a_send_without_extras() -> None:
    """What is not given is not sent; the client id has the official form and is new each time."""
    script = Script()
    ilink, _ = client(script)
    one, two = await ilink.send_text(USER, "hi"), await ilink.send_text(USER, "hi", context_token=Secret(""))
    assert not one.confirmed
    assert one.client_id != two.client_id
    assert re.fullmatch(r"openclaw-weixin:[0-9]{13}-[0-9a-f]{8}", one.client_id)
    assert script.body(0)["msg"]["client_id"] == one.client_id
    assert all(script.body(n)["msg"].keys().isdisjoint({"context_token", "run_id"}) for n in (0, 1))


async def test_each_request_has_its_own_uin() -> None:
    """X-WECHAT-UIN is drawn anew for every request, from the given source."""
    script = Script()
    ilink, _ = client(script, random=random.Random(7))
    for _ in range(3):
        await ilink.notify_start()
    assert len({request.headers["X-WECHAT-UIN"] for request in script.requests}) == 3
    again = Script()
    repeated, _ = client(again, random=random.Random(7))
    await repeated.notify_start()
    assert again.requests[0].headers["X-WECHAT-UIN"] == script.requests[0].headers["X-WECHAT-UIN"]


async def test_options_reach_the_wire() -> None:
    """Base URL, versions and route tag are the caller's."""
    script = Script()
    ilink, _ = client(
        script,
        base_url="http://10.0.0.5:8080",
        allow_hosts=["http://10.0.0.5:8080"],
        channel_version="2.4.6",
        bot_agent=f"sessionfsm/{__version__}",
        route_tag=" 7 ",
    )
    await ilink.notify_start()
    request = script.requests[0]
    assert str(request.url) == "http://10.0.0.5:8080/ilink/bot/msg/notifystart"
    assert request.headers["iLink-App-ClientVersion"] == "132102"
    assert request.headers["SKRouteTag"] == "7"
    assert script.body()["base_info"] == {"channel_version": "2.4.6", "bot_agent": f"sessionfsm/{__version__}"}


async def test_new_credentials_are_used_from_the_next_request_on() -> None:
    """What another process's login gave, token and server, can be adopted without a new client."""
    script = Script()
    ilink, _ = client(script)
    ilink.replace_credentials(Secret(" other-token\n"), "https://ilinkai-hk.weixin.qq.com")
    await ilink.notify_start()
    assert script.requests[0].headers["Authorization"] == "Bearer other-token"
    assert script.requests[0].url.host == "ilinkai-hk.weixin.qq.com"


@pytest.mark.parametrize(
    ("token", "base_url", "error"),
    [(" ", BASE, CredentialsMissing), ("a b", BASE, DefinitionError), ("other", "https://evil.example", AddressError)],
)
async def test_credentials_that_are_refused_change_nothing(token: str, base_url: str, error: type[Exception]) -> None:
    """A token never travels to the server of another, nor to one that is not allowed."""
    script = Script()
    ilink, _ = client(script)
    with pytest.raises(error):
        ilink.replace_credentials(token, base_url)
    await ilink.notify_start()
    assert script.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert script.requests[0].url.host == "ilinkai.weixin.qq.com"


@pytest.mark.parametrize("make", [ILinkClient, Session])
def test_what_is_no_async_http_client_is_refused_at_once(make: Callable[..., object]) -> None:
    """Found out by the first request it would look like a server that does not answer, for ever."""
    with httpx.Client() as http, pytest.raises(DefinitionError, match="blocks the event loop"):
        make(token=TOKEN, http=http)
    with pytest.raises(DefinitionError, match="http is str"):
        make(token=TOKEN, http="https://proxy.example")
    with pytest.raises(DefinitionError, match="http is str"):
        SessionManager(http="https://proxy.example")  # type: ignore[arg-type]


async def test_nothing_of_the_callers_http_client_gets_in() -> None:
    """Its authentication, default headers, parameters and cookies neither replace nor accompany ours."""
    script = Script({}, headers={"Set-Cookie": "a=b"})
    http = httpx.AsyncClient(
        transport=httpx.MockTransport(script),
        auth=("user", "password"),
        headers={"X-Mine": "1", "Authorization": "mine"},
        params={"p": "1"},
        cookies={"c": "1"},
        follow_redirects=True,
    )
    ilink = ILinkClient(token=TOKEN, http=http)
    await ilink.notify_start()
    await ilink.notify_start()
    for request in script.requests:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert request.headers.keys().isdisjoint({"x-mine", "cookie"})
        assert request.url.query == b""


# --- what is refused here -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"token": ""}, CredentialsMissing),
        ({"token": Secret(" ")}, CredentialsMissing),
        ({"token": "hunter2 x"}, DefinitionError),
        ({"token": "hunter2\u00e9"}, DefinitionError),
        ({"base_url": "https://user:hunter2@evil.example"}, AddressError),
        ({"channel_version": "hunter"}, DefinitionError),
        ({"route_tag": "a\r\nb"}, DefinitionError),
        ({"max_body_bytes": 0}, DefinitionError),
    ],
)
def test_wrong_arguments_are_told_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    """A client that could not work is not made, and the message shows no secret."""
    with pytest.raises(error) as caught:
        ILinkClient(**{"token": TOKEN, **options})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("to", "text", "words"),
    [
        ("", "hi", "nobody"),
        (" ", "hi", "nobody"),
        (USER, "", "empty"),
        (USER, "x" * 2001, "2000 characters.*split_text"),
        (USER, "hi \ud83d", "surrogate"),
        ("\ud83d", "hi", "surrogate"),
    ],
)
async def test_a_send_that_cannot_succeed_is_not_sent(to: str, text: str, words: str) -> None:
    """Whoever notices that a request is malformed, the error is the same; the message names the way out."""
    script = Script()
    ilink, _ = client(script)
    with pytest.raises(BadRequest, match=words) as caught:
        await ilink.send_text(to, text)
    assert caught.value.code is None
    assert not script.requests


# --- what is made of the answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
async def test_an_unauthorised_status_is_the_session(status: int) -> None:
    """Section 4.2: 401 and 403 are read as -14, without a code."""
    ilink, _ = client(Script(status_code=status))
    with pytest.raises(SessionLost) as caught:
        await ilink.get_updates(None, deadline_s=1)
    assert (caught.value.code, caught.value.status) == (None, status)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304, 400, 404, 405, 408, 429, 500, 501, 502, 504, 524])
async def test_other_statuses_are_told(status: int) -> None:
    """A status outside 2xx is a transport error that knows its status; a redirect is one of them."""
    script = Script({"msgs": []}, status_code=status, headers={"Location": "https://evil.example/"})
    ilink, _ = client(script)
    with pytest.raises(StatusError, match=str(status)) as caught:
        await ilink.get_updates(None, deadline_s=1)
    assert (caught.value.status, caught.value.retry_after_s) == (status, None)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("1_0", None),
        ("9" * 400, None),
        ("", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
async def test_retry_after(header: str, seconds: float | None) -> None:
    """Only a plain number of seconds is a wish that can be followed."""
    ilink, _ = client(Script(status_code=503, headers={"Retry-After": header}))
    with pytest.raises(StatusError) as caught:
        await ilink.get_updates(None, deadline_s=1)
    assert caught.value.retry_after_s == seconds


async def test_messages_arrive_through_the_client() -> None:
    """A batch is parsed, and an answer of any 2xx status is one."""
    ilink, _ = client(Script({"msgs": [{"message_id": 1}], "longpolling_timeout_ms": 35000}, status_code=206))
    answer = await ilink.get_updates(None, deadline_s=1)
    assert [message.message_id for message in answer.messages] == ["1"]
    assert answer.hint_ms == 35000


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"ret": -2}, ConversationClosed),
        ({"ret": -2, "errmsg": "invalid arguments"}, BadRequest),
        ({"ret": 9}, ServerRefused),
    ],
)
async def test_refused_sends_through_the_client(answer: object, error: type[ILinkError]) -> None:
    """The table of codes is applied to sends."""
    ilink, _ = client(Script(answer))
    with pytest.raises(error):
        await ilink.send_text(USER, "hi")


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (httpx.ConnectError("refused"), ConnectFailed),
        (httpx.ConnectTimeout("slow"), ConnectFailed),
        (httpx.PoolTimeout("busy"), ConnectFailed),
        (httpx.ProxyError("407"), ConnectFailed),
        (httpx.UnsupportedProtocol("x"), ConnectFailed),
        (httpx.InvalidURL("x"), ConnectFailed),
        (httpx.ReadError("reset"), ConnectionLost),
        (httpx.ReadTimeout("t"), ConnectionLost),
        (httpx.WriteError("reset"), ConnectionLost),
        (httpx.RemoteProtocolError("gone"), ConnectionLost),
        (httpx.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'"), ConnectionLost),
        (httpx.StreamClosed(), ConnectionLost),
        (httpx.DecodingError("x"), BrokenAnswer),
        (anyio.ClosedResourceError(), ConnectionLost),
        (anyio.BrokenResourceError(), ConnectionLost),
        (anyio.EndOfStream(), ConnectionLost),
        (TimeoutError(), ConnectionLost),
        (OSError(5, "io"), ConnectionLost),
        (UnicodeError("label too long"), ConnectionLost),
        (RuntimeError("x"), ConnectionLost),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_foreign_exceptions_become_ours(raised: Exception, error: type[ILinkError]) -> None:
    """Callers need not know the HTTP client. The cause stays inside, since it holds the request; no text shows it."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise raised

    ilink, _ = client(fail)
    with pytest.raises(error) as caught:
        await ilink.get_updates(None, deadline_s=1)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert TOKEN not in str(caught.value)


async def test_a_bug_is_not_taken_for_the_weather() -> None:
    """An exception that no HTTP client raises passes, instead of being retried for ever."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise AssertionError("a bug")

    ilink, _ = client(fail)
    with pytest.raises(AssertionError, match="a bug"):
        await ilink.notify_start()


async def test_a_closed_http_client_is_told() -> None:
    """Using a session after its HTTP client was closed is an error of ours, not httpx's RuntimeError."""
    ilink, http = client(Script())
    await http.aclose()
    with pytest.raises(ConnectFailed, match="closed"):
        await ilink.notify_start()


async def test_closing() -> None:
    """A closed session refuses; it closes the HTTP client only if that is its own; closing twice is allowed."""
    ilink, http = client(Script())
    async with ilink:
        await ilink.notify_start()
    await ilink.aclose()
    assert not http.is_closed
    with pytest.raises(ConnectFailed, match="send before that"):
        await ilink.send_text(USER, "hi")
    async with ILinkClient(token=TOKEN) as own:
        pass
    assert own._http.is_closed


async def test_an_event_hook_may_read_the_answer() -> None:
    """Callers whose HTTP client logs bodies get their answers all the same, and within the bound."""
    script = Script({"msgs": [{"message_id": 1}], "get_updates_buf": CURSOR})
    http = httpx.AsyncClient(
        transport=httpx.MockTransport(script), event_hooks={"response": [lambda response: response.aread()]}
    )
    assert len((await ILinkClient(token=TOKEN, http=http).get_updates(None, deadline_s=1)).messages) == 1
    with pytest.raises(BrokenAnswer, match="longer"):
        await ILinkClient(token=TOKEN, http=http, max_body_bytes=10).get_updates(None, deadline_s=1)


# --- time -----------------------------------------------------------------------------------------------------------


async def test_the_deadline_is_ours() -> None:
    """A server that does not answer is a DeadlineExceeded that knows the limit."""

    async def hang(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    ilink, _ = client(hang)
    with pytest.raises(DeadlineExceeded, match=r"0\.02 s") as caught:
        await ilink.get_updates(None, deadline_s=0.02)
    assert caught.value.deadline_s == 0.02


async def test_cancellation_passes() -> None:
    """Being cancelled is never taken for a deadline or an error, in any call."""

    async def hang(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    ilink, _ = client(hang)
    for call in (
        lambda: ilink.get_updates(None, deadline_s=9),
        lambda: ilink.notify_start(),
        lambda: ilink.notify_stop(),
        lambda: ilink.send_text(USER, "hi"),
    ):
        with anyio.move_on_after(0.01) as scope:
            await call()
        assert scope.cancelled_caught


async def test_a_complete_answer_beats_its_deadline() -> None:
    """Messages that have arrived are not thrown away because the deadline passes while the connection is closed."""

    class SlowToClose(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield b'{"msgs": [{"message_id": 1}]}'

        async def aclose(self) -> None:
            await anyio.sleep(0.03)
            raise httpx.CloseError("late")

    ilink, _ = client(lambda _: httpx.Response(200, stream=SlowToClose()))
    answer = await ilink.get_updates(None, deadline_s=0.01)
    assert len(answer.messages) == 1


async def test_the_deadline_of_a_send_begins_with_its_turn() -> None:
    """A send that hangs does not use up the time of those behind it, nor do two travel at once."""
    travelling = most = 0

    async def slow(request: httpx.Request) -> httpx.Response:
        nonlocal travelling, most
        travelling += 1
        most = max(most, travelling)
        try:
            await anyio.sleep(9 if b"first" in request.content else 0.02)
        finally:
            travelling -= 1
        return httpx.Response(200, json={"message_id": 1})

    ilink, _ = client(slow)
    outcomes: list[object] = []

    async def send(text: str) -> None:
        try:
            outcomes.append(await ilink.send_text(USER, text, deadline_s=0.05))
        except DeadlineExceeded as exc:
            outcomes.append(exc)

    async with anyio.create_task_group() as tasks:
        for text in ("first", "second", "third", "fourth"):
            tasks.start_soon(send, text)
            await anyio.wait_all_tasks_blocked()
    assert [type(outcome) for outcome in outcomes] == [DeadlineExceeded, Sent, Sent, Sent]
    assert most == 1


async def test_a_send_does_not_wait_for_the_poll() -> None:
    """Outbound works while a poll hangs, and the other way round."""

    async def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("getupdates"):
            await anyio.sleep_forever()
        return httpx.Response(200, json={"message_id": 1})

    ilink, _ = client(handler)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: ilink.get_updates(None, deadline_s=9))
        await anyio.wait_all_tasks_blocked()
        assert (await ilink.send_text(USER, "hi")).confirmed
        tasks.cancel_scope.cancel()


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "response",
    [
        {"json": {"ret": 5, "errmsg": f"bad token {TOKEN}, cursor {CURSOR}, context {CONTEXT}"}},
        {"json": {"ret": -14, "errmsg": f"{TOKEN} {CURSOR} {CONTEXT}"}},
        {"status_code": 500, "text": f"{TOKEN} {CURSOR} {CONTEXT}"},
        {"text": f"<html>{TOKEN} {CURSOR} {CONTEXT}"},
        {"json": {"ret": TOKEN}},
        {"text": "x", "headers": {"Content-Encoding": TOKEN}},
    ],
)
async def test_no_error_and_no_log_shows_a_secret(response: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a server repeats: tokens and cursors are in no message, traceback, repr or log."""
    caplog.set_level(logging.DEBUG)
    ilink, _ = client(lambda _: httpx.Response(**{"status_code": 200, **response}))
    for call, secrets in (
        (lambda: ilink.get_updates(Secret(CURSOR), deadline_s=1), (TOKEN, CURSOR)),
        (lambda: ilink.send_text(USER, "hi", context_token=Secret(CONTEXT)), (TOKEN, CONTEXT)),
    ):
        with pytest.raises(ILinkError) as caught:
            await call()
        shown = repr(ilink) + repr(caught.value) + "".join(traceback.format_exception(caught.value)) + caplog.text
        assert not [secret for secret in secrets if secret in shown]
