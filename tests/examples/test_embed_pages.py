"""The pages about a session inside another application, and about the lifecycle alone: their code answers users."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

import sessionfsm
from sessionfsm.testing import FakeServer, faults
from tests.examples.pages import snippets

LIFESPAN, PORTAL, ADAPTER = snippets("how-to/embed.md", "python")
(LOOP,) = snippets("how-to/drive-the-lifecycle-yourself.md", "python")
URL = "http://127.0.0.1:8765"
DEADLINE_S = 20.0


def names_of(snippet: str, url: str = URL) -> dict[str, Any]:
    """Run a snippet of a page, with another server's address in it; return what it has defined."""
    assert URL in snippet or url == URL
    names: dict[str, Any] = {"__name__": "a_page"}
    exec(compile(snippet.replace(URL, url), "a page", "exec"), names)
    return names


async def until(is_so: Callable[[], bool]) -> None:
    end = anyio.current_time() + DEADLINE_S
    while anyio.current_time() < end:
        if is_so():
            return
        await anyio.sleep(0.01)
    assert is_so()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_an_asynchronous_application_has_a_session_in_its_lifespan() -> None:
    """It answers users, is ready, sends on its own, and says goodbye when the application ends."""
    server = FakeServer()
    account = server.account("demo")
    app = SimpleNamespace(state=SimpleNamespace())
    async with server.listen() as listening:
        names = names_of(LIFESPAN, listening.url)
        async with names["lifespan"](app):
            account.push("hello")
            await until(lambda: len(account.sent) == 1)
            await names["notify"](app, "user@im.wechat", "by the way")
            await until(lambda: names["ready"](app)[0] == 200)
    assert [sent.text for sent in account.sent] == ["you said: hello", "by the way"]
    assert server.log.requests("notifystop")


@pytest.mark.anyio
async def test_a_failing_application_ends_its_session() -> None:
    """What the application raises gets out, and leaves no poll behind."""
    server = FakeServer()
    async with server.listen() as listening:
        lifespan = names_of(LIFESPAN, listening.url)["lifespan"]

        async def application() -> None:
            async with lifespan(SimpleNamespace(state=SimpleNamespace())):
                await until(lambda: bool(server.log.requests("getupdates")))
                raise ValueError("the application's own")

        with pytest.raises(ExceptionGroup) as caught:
            await application()
        assert caught.group_contains(ValueError, match="the application's own")
        await until(lambda: all(entry.ended_s is not None for entry in server.log))


@pytest.mark.anyio
async def test_a_synchronous_application_runs_a_session_in_a_thread() -> None:
    """Its function answers, it can send and ask how things are from its own thread, and the end is in order."""
    server = FakeServer()
    account = server.account("demo")
    healths: list[sessionfsm.Health] = []

    def application(url: str) -> None:
        names = names_of(PORTAL, url)
        with names["bot"](names["upper"], token="demo", base_url=url) as running:
            answered.wait(DEADLINE_S)
            healths.append(running.health())
            running.send("user@im.wechat", "by the way")

    answered = threading.Event()
    async with server.listen() as listening, anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, application, listening.url)
        account.push("hello")
        await until(lambda: len(account.sent) == 1)
        answered.set()
    assert [sent.text for sent in account.sent] == ["HELLO", "by the way"]
    assert healths[0].state == "active"
    assert server.log.requests("notifystop")


@pytest.mark.anyio
async def test_an_adapter_speaks_the_words_of_a_framework() -> None:
    """Events go in, sends go out, and a closed conversation is an answer and not an error."""
    server = FakeServer()
    account = server.account("demo")
    events: list[Mapping[str, str]] = []

    async def on_event(event: Mapping[str, str]) -> None:
        events.append(event)
        await adapter.send(event["user"], f"you said: {event['text']}")

    async with server.listen() as listening:
        adapter = names_of(ADAPTER)["ILinkAdapter"](on_event, token="demo", base_url=listening.url)
        await adapter.start()
        account.push("hello")
        await until(lambda: len(account.sent) == 1)
        server.apply(faults.Code(endpoint="sendmessage", code=-2, errmsg="out of window"))
        assert not await adapter.send("user@im.wechat", "too late")
        await adapter.stop()
    assert [(event["platform"], event["text"]) for event in events] == [("ilink", "hello")]
    assert server.log.requests("notifystop")


@pytest.mark.anyio
async def test_an_adapter_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The framework hears of it from start, and no task is left."""
    taken = sessionfsm.SQLiteStore(tmp_path / "bot.db")
    server = FakeServer()
    async with server.listen() as listening, sessionfsm.Session(token="demo", base_url=listening.url, store=taken):
        again = sessionfsm.SQLiteStore(tmp_path / "bot.db")
        adapter = names_of(ADAPTER)["ILinkAdapter"](anyio.sleep, token="demo", base_url=listening.url, store=again)
        with pytest.raises(sessionfsm.AccountInUse):
            await adapter.start()
    again.close()
    taken.close()


@pytest.mark.anyio
async def test_a_loop_of_ones_own_survives_a_loss() -> None:
    """Between -14 and the next poll it calls notifystart; no message is lost, and a stop ends it in order."""
    server = FakeServer(hold_s=0.5)
    account = server.account("demo")
    texts: list[str] = []
    told: list[str] = []
    stopping = threading.Event()

    def keep(messages: list[dict[str, Any]]) -> int:
        texts.extend(message["item_list"][0]["text_item"]["text"] for message in messages)
        return len(messages)

    async with server.listen() as listening, anyio.create_task_group() as group:
        names = names_of(LOOP, listening.url)
        wire = names["Wire"]("demo")
        group.start_soon(anyio.to_thread.run_sync, names["live"], wire, keep, stopping, told.append)
        account.push("before")
        await until(lambda: texts == ["before"])
        server.apply(faults.Expire(answer_held=True))
        account.push("after")
        await until(lambda: texts == ["before", "after"])
        stopping.set()
    wire.close()
    answers = [(entry.endpoint, entry.answer) for entry in server.log]
    lost = answers.index(("getupdates", "-14"))
    assert answers[lost + 1] == ("notifystart", "ok")
    assert answers[-1] == ("notifystop", "ok")
    assert not any(entry.deviations or entry.overlapping for entry in server.log)
    assert told[0].startswith("stopped → recovering: ")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("snippet", "answer"), [(PORTAL, "Health(account="), (LOOP, "1 new")], ids=["the portal", "a loop of one's own"]
)
async def test_a_script_runs_as_it_stands(snippet: str, answer: str, tmp_path: Path) -> None:
    """Pasted into a file, it runs, and says what it is to say."""
    server = FakeServer(hold_s=0.5)
    account = server.account("demo")
    async with server.listen() as listening:
        account.push("hello")
        script = tmp_path / "script.py"
        script.write_text(snippet.replace(URL, listening.url), encoding="utf-8")
        command = [sys.executable, "-u", str(script)]
        async with await anyio.open_process(command, stderr=subprocess.STDOUT) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            said = b""
            try:
                with anyio.fail_after(DEADLINE_S):
                    await until(lambda: len(server.log.requests("getupdates")) > 1)
                    await process.stdin.send(b"\n")
                    while answer.encode() not in said:
                        said += await process.stdout.receive()
            finally:
                process.kill()
