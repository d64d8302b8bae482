"""
R11: secrets of known value go through every kind of trouble, and show nowhere.

Looked through are all log records with the frames of their errors, every error that comes out with what caused it,
every object of the library that can be reached, records, traces, diagrams and what the command line prints. There is no
code yet for logins, typing and media: a QR payload, a typing ticket and a media key travel here as fields of messages
and of errors, where a server may put them.
"""

import base64
import itertools
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from sessionfsm import (
    AccountInUse,
    CredentialsExposed,
    CredentialsMissing,
    DefinitionError,
    ILinkError,
    Machine,
    MemoryStore,
    Message,
    Policy,
    Record,
    Secret,
    Session,
    SessionFSMError,
    State,
    StoreError,
    TraceWriter,
    TransportError,
)
from sessionfsm.cli import main
from sessionfsm.diagram import FORMATS, diagram_of
from sessionfsm.ilink import ILinkClient
from sessionfsm.ilink.headers import check_token
from sessionfsm.secret import hide_secrets
from sessionfsm.store import (
    Batch,
    CredentialFolder,
    Credentials,
    Incoming,
    SQLiteStore,
    Store,
    StoreThread,
    StoreWriter,
    ask,
    run_inline,
)
from sessionfsm.testing import FakeAccount, FakeServer, MemoryTransport, backend_options, faults

from .canary import Canary
from .hostile import HOW, LeakyStore, LeakyTransport

ACCOUNT, OTHER = "0a1b2c3d4e5f@im.bot", "ffeeddccbbaa@im.bot"
SECRETS = {
    "token": "4f1dc0ffee5eed7a91b3e86d2f0c9a57",
    "token of the next login": "b83e02d97ac64f15a0de5c6b7f812394",
    "cursor": 'kCursor/of+known "value" \\ 7d1e9b60a2c4f8é=',
    "context token": "kContextToken/of+known/value==9e2b7c41d05f",
    "QR payload": "qrcode-of-known-value-51ab8d60e7f3",
    "typing ticket": "ticket-of-known-value-20cd94b1a86e",
    "media key": "c6a1f0e2d3b4958677685940a1b2c3d4",
}
TOKEN, NEXT = f"{ACCOUNT}:{SECRETS['token']}", f"{OTHER}:{SECRETS['token of the next login']}"
CURSOR, CONTEXT = SECRETS["cursor"], SECRETS["context token"]
URL = "http://127.0.0.1:9"
USER = "user@im.wechat"
MESSAGE = {
    "message_id": 7498123456789012345,
    "from_user_id": USER,
    "message_type": 1,
    "create_time_ms": 1_790_000_000_000,
    "context_token": CONTEXT,
    "qrcode": SECRETS["QR payload"],
    "typing_ticket": SECRETS["typing ticket"],
    "item_list": [{"type": 2, "image_item": {"aeskey": SECRETS["media key"], "media": {"aes_key": CONTEXT}}}],
}
BATCH = json.dumps({"msgs": [MESSAGE], "get_updates_buf": CURSOR}).encode()
EVERYTHING = "; ".join([TOKEN, NEXT, *SECRETS.values()])

BACKENDS = ["asyncio", "trio"]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return backend_options(request.param)


@pytest.fixture
def canary() -> Iterator[Canary]:
    """A canary that listens to the log. At the end nothing was shown, and it has looked at something."""
    made = Canary(SECRETS, users=__file__)
    with made.listening():
        yield made
    assert made.found == []
    assert made.looked > 10


def memory_store(_: Path) -> Store:
    return MemoryStore()


def disk_store(folder: Path) -> Store:
    return SQLiteStore(folder / "store.db")


every_store = pytest.mark.parametrize("make_store", [memory_store, disk_store])


class World:
    """A session on the fake server, with everything that can be looked at."""

    def __init__(self, canary: Canary, session: Session, server: FakeServer, account: FakeAccount) -> None:
        self.canary, self.session, self.server, self.account = canary, session, server, account
        self.records: list[Record] = []
        self.handled: list[Message] = []
        session.observe(self.records.append)

    async def settle(self) -> None:
        """Let trouble run its course, look at everything, and end it."""
        await anyio.sleep(60)
        self.look()
        self.server.clear()
        await anyio.sleep(60)

    def look(self) -> None:
        health = self.session.health()
        self.canary.look_at("session", self.session, health, self.records[-20:], self.session.history, self.handled)
        self.canary.look("health", json.dumps(health.to_dict()))
        for record in self.records[-20:]:
            self.canary.look("record", json.dumps(record.to_dict()))

    async def send(self) -> None:
        """Send something; what is raised is looked at."""
        try:
            self.canary.look_at("sent", await self.session.send_text(USER, "hello"))
        except SessionFSMError as error:
            self.canary.look_at("send", error)

    async def poll_with_the_cursor(self) -> None:
        """Let the server hand out the batch, so that cursor and context token are in use, and in the next request."""
        self.server.apply(faults.Body(endpoint="getupdates", body=BATCH, answer_held=True))
        self.account.push("and another", sender=f"other{USER}", context_token=CONTEXT)
        await anyio.sleep(1)
        await self.send()


@asynccontextmanager
async def world(canary: Canary, folder: Path, store: Store, **options: Any) -> AsyncIterator[World]:
    server = FakeServer(hold_s=20.0)
    account = server.account(TOKEN)
    server.account(NEXT)
    memory = server.transport(round_trip_s=0.001)
    transport = options.pop("wrap", lambda inner: inner)(memory)
    handler = options.pop("handler", None)
    trace = folder / "trace.jsonl"
    with TraceWriter(trace) as writer:
        async with httpx.AsyncClient(transport=transport) as http:
            session = Session(
                token=TOKEN, base_url=URL, http=http, store=store, run_store=run_inline, observers=[writer], **options
            )
            made = World(canary, session, server, account)

            async def handle(message: Message) -> None:
                made.handled.append(message)
                if handler is not None:
                    await handler(message)

            async with session, anyio.create_task_group() as group:
                group.start_soon(session.deliver, handle)
                await anyio.sleep(1)
                yield made
                made.look()
                await session.stop()
            made.look()
            canary.look_at("trace writer", writer)
            assert writer.problem is None
    canary.look("trace file", trace.read_text())
    store.close()


# --- the wire --------------------------------------------------------------------------------------------------------

SENT = "; ".join([TOKEN, CURSOR, CONTEXT])
"""What a request holds. The other secrets are never sent, so that no error can be an echo of them."""
ECHOES = {
    "everything": SENT,
    "a part of the token": f"no such bot: {SECRETS['token'][:16]}…",
    "split": "\u200b".join(TOKEN),
    "base64": base64.b64encode(SENT.encode()).decode(),
    "percent-encoded": quote(f"?token={TOKEN}&cursor={CURSOR}&ticket={CONTEXT}", safe=""),
    "JSON in JSON": json.dumps({"get_updates_buf": CURSOR, "context_token": CONTEXT, "Authorization": TOKEN}),
    "long": "x" * 150 + TOKEN + "x" * 5000 + CURSOR,
}


@every_store
@pytest.mark.anyio
@pytest.mark.parametrize("endpoint", ["getupdates", "notifystart", "sendmessage"])
async def test_errors_that_repeat_the_request_show_nothing_of_it(
    canary: Canary, tmp_path: Path, make_store: Callable[[Path], Store], endpoint: faults.Endpoint
) -> None:
    """Whatever code a server answers with, and in whatever way it repeats token, cursor and context token."""
    async with world(canary, tmp_path, make_store(tmp_path)) as w:
        for code, echo in zip(itertools.cycle((-14, -2, 5)), ECHOES.values(), strict=False):
            await w.poll_with_the_cursor()
            w.server.apply(faults.Code(endpoint=endpoint, code=code, errmsg=echo, times=2, answer_held=True))
            w.account.expire(answer_held=True)
            await w.send()
            await w.settle()
    assert canary.errors > 0 or endpoint != "sendmessage"
    assert canary.records > 20
    assert w.handled


BODIES = {
    "no JSON": EVERYTHING.encode(),
    "an array": json.dumps([EVERYTHING]).encode(),
    "a code that is no number": json.dumps({"ret": EVERYTHING}).encode(),
    "a torn answer": BATCH[:-5],
    "messages that are none": json.dumps({"msgs": [EVERYTHING, 5], "get_updates_buf": CURSOR}).encode(),
    "wrong types everywhere": json.dumps(
        {"msgs": [{name: {EVERYTHING: [EVERYTHING]} for name in MESSAGE}], "longpolling_timeout_ms": EVERYTHING}
    ).encode(),
    "not UTF-8": b"\xff" + BATCH,
    "a surrogate": BATCH.replace(b'"typing_ticket": "', b'"typing_ticket": "\\ud800'),
    "nesting": b'{"msgs": ' + b"[" * 900 + json.dumps(EVERYTHING).encode(),
}


@every_store
@pytest.mark.anyio
async def test_broken_answers_show_nothing_of_what_is_in_them(
    canary: Canary, tmp_path: Path, make_store: Callable[[Path], Store]
) -> None:
    """Bodies that are no answer, redirects that have the token in their address, and connections that break."""
    redirect = f"https://elsewhere.invalid/?token={quote(TOKEN)}&qrcode={SECRETS['QR payload']}"
    kinds: list[Callable[[faults.Endpoint], faults.Fault]] = [
        *(lambda e, body=body: faults.Body(endpoint=e, body=body, times=2) for body in BODIES.values()),
        *(lambda e, s=s: faults.Body(endpoint=e, body=EVERYTHING.encode(), status=s) for s in (401, 404, 500)),
        lambda e: faults.Redirect(endpoint=e, location=redirect, times=2),
        lambda e: faults.Status(endpoint=e, status=429, retry_after=EVERYTHING.encode("ascii", "replace").decode()),
        lambda e: faults.Truncated(endpoint=e, body=BATCH[:-5]),
        lambda e: faults.Reset(endpoint=e),
        lambda e: faults.Hang(endpoint=e),
        lambda e: faults.Oversize(endpoint=e),
    ]
    async with world(canary, tmp_path, make_store(tmp_path)) as w:
        for make in kinds:
            await w.poll_with_the_cursor()
            for endpoint in ("getupdates", "notifystart", "sendmessage"):
                w.server.apply(make(endpoint))
            w.account.expire(answer_held=True)
            await w.send()
            await w.settle()
    assert canary.errors > 10


@pytest.mark.anyio
@pytest.mark.parametrize("how", HOW)
async def test_an_http_client_that_raises_the_request_shows_nothing_of_it(
    canary: Canary, tmp_path: Path, how: str
) -> None:
    """The request in the text of an error, in its attributes, in its causes, and in the frames that it passed."""
    leaky: list[LeakyTransport] = []

    def wrap(inner: MemoryTransport) -> LeakyTransport:
        leaky.append(LeakyTransport(inner, how))
        return leaky[0]

    async with world(canary, tmp_path, MemoryStore(), wrap=wrap) as w:
        await w.poll_with_the_cursor()
        leaky[0].leaks = True
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
            await w.session.send_text(USER, "hello")
        canary.look_at_error("send", caught.value)
        # A bug can be found all the same.
        assert isinstance(caught.value, ILinkError) or "hostile.py" in "".join(caught.value.__notes__)
        w.account.expire(answer_held=True)
        await anyio.sleep(100)
        leaky[0].leaks = False
        await w.settle()
        assert w.session.state == State.ACTIVE
    assert leaky[0].raised > 2
    assert canary.frames > 0


@pytest.mark.anyio
async def test_a_call_that_is_cancelled_shows_no_request(canary: Canary, tmp_path: Path) -> None:
    """A cancellation passes the frames of the HTTP client, too. It is still known whose it is."""
    async with world(canary, tmp_path, MemoryStore()) as w:
        await w.poll_with_the_cursor()
        w.server.apply(faults.Hang(endpoint="sendmessage", times=10))
        with anyio.CancelScope() as outer, anyio.move_on_after(5) as scope:
            try:
                try:
                    raise ValueError("being handled")
                except ValueError as handled:
                    kept = handled
                    await w.session.send_text(USER, "hello")
            except anyio.get_cancelled_exc_class() as cancelled:
                canary.look_at_error("cancelled", cancelled)
                assert kept.__traceback__ is not None  # this one is the caller's
                raise
        assert scope.cancelled_caught
        assert not outer.cancelled_caught
    assert canary.errors == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_real_http_client_quotes_is_not_passed_on(canary: Canary, backend: str) -> None:
    """On a real socket: h11 quotes lines that it does not like, and the request is in a dozen frames."""
    answers = [
        b"HTTP/1.1 %s\r\n\r\n",
        b"%s\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n%s\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 30\r\n\r\n%s",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
        b"HTTP/1.1 302 %s\r\nLocation: /?%s\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n%s",
    ]

    async def run() -> None:
        async def answer(stream: SocketStream) -> None:
            async with stream:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    received = b""
                    while not received.endswith(b"}"):
                        received += await stream.receive()
                    words = f"{TOKEN} {CURSOR} {CONTEXT}".encode()
                    await stream.send(now.replace(b"%s", words))

        now = b""
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, answer)
            async with ILinkClient(token=TOKEN, base_url=url) as client:
                now = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BATCH), BATCH)
                updates = await client.get_updates(Secret(CURSOR), deadline_s=5)
                canary.look_at("updates", updates)
                assert updates.cursor == Secret(CURSOR)
                # From here on httpx and httpcore, asked for every detail, log what stands in a status line, a header
                # or an error of the server's. That is theirs to show, and the server's to say.
                canary.others = False
                for now in answers:
                    calls = [
                        lambda: client.get_updates(Secret(CURSOR), deadline_s=5),
                        lambda: client.send_text(USER, "x", context_token=Secret(CONTEXT), deadline_s=5),
                        lambda: client.notify_start(deadline_s=5),
                    ]
                    for call in calls:
                        with pytest.raises(TransportError) as caught:
                            await call()
                        canary.look_at_error(repr(now), caught.value)
                        assert caught.value.__cause__ is caught.value.__context__ is None
                canary.look_at("client", client)
            group.cancel_scope.cancel()

    anyio.run(run, backend=backend)
    assert canary.errors >= 3 * len(answers)


# --- the store -------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("how", HOW)
async def test_a_store_that_raises_the_batch_shows_nothing_of_it(canary: Canary, tmp_path: Path, how: str) -> None:
    """A database that quotes the row which it refuses, or has it in its frames: the session pauses, and keeps quiet."""
    store = LeakyStore(how)
    async with world(canary, tmp_path, store) as w:
        store.leaks = True
        await w.poll_with_the_cursor()
        await anyio.sleep(60)
        assert w.session.health().storage
        w.look()
        store.leaks = False
        await w.settle()
        assert w.session.health().storage == ""
    assert store.raised > 1
    assert canary.records > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_that_come_from_the_worker_thread_show_no_batch(canary: Canary, backend: str) -> None:
    """The way through the thread keeps the error and the call; neither is passed on."""
    batch = Batch(account=ACCOUNT, cursor=Secret(CURSOR), messages=(incoming(),))

    async def run() -> None:
        for how in HOW:
            store, thread = LeakyStore(how), StoreThread()
            store.leaks = True
            with pytest.raises(StoreError) as caught:
                await ask(thread, store.commit, [batch])
            canary.look_at_error(how, caught.value)
            assert caught.value.__cause__ is caught.value.__context__ is None
            async with StoreWriter(store) as writer:
                with pytest.raises(StoreError) as caught:
                    await writer.commit([batch], by=anyio.current_time() + 5)
                canary.look_at("writer", writer, caught.value)
            thread.close()

    anyio.run(run, backend=backend)


def incoming() -> Incoming:
    raw = json.dumps(MESSAGE).encode()
    return Incoming(key="id:1", sender=USER, body=raw, context_token=Secret(CONTEXT))


@every_store
def test_a_store_shows_nothing_of_what_it_keeps(
    canary: Canary, tmp_path: Path, make_store: Callable[[Path], Store]
) -> None:
    """Everything that goes in and comes out, and the store itself."""
    store = make_store(tmp_path)
    store.acquire(ACCOUNT)
    batch = Batch(account=ACCOUNT, cursor=Secret(CURSOR), messages=(incoming(),))
    committed = store.commit([batch])
    canary.look_at("store", store, batch, committed, store.pending(ACCOUNT), store.message(1))
    canary.look_at("tokens", store.cursor(ACCOUNT), store.context_token(ACCOUNT, USER))
    for call in (lambda: store.retry(1), lambda: store.drop(99), lambda: store.acquire(ACCOUNT)):
        with pytest.raises(SessionFSMError) as caught:
            call()
        canary.look_at_error("store", caught.value)
    store.release(ACCOUNT)
    store.close()


@pytest.mark.parametrize("trouble", ["deleted", "damaged", "a folder", "read only", "newer"])
def test_disk_trouble_shows_nothing_of_what_could_not_be_written(canary: Canary, tmp_path: Path, trouble: str) -> None:
    """Whatever becomes of the file: the error names the file, and its frames show no row."""
    path = tmp_path / "store.db"
    store = disk_store(tmp_path)
    store.commit([Batch(account=ACCOUNT, cursor=Secret(CURSOR), messages=(incoming(),))])
    if trouble != "deleted":
        store.close()
    for file in tmp_path.glob("store.db*"):
        match trouble:
            case "deleted":
                file.unlink()
            case "damaged":
                file.write_bytes(file.read_bytes()[:100] + EVERYTHING.encode() * 200)
            case "a folder":
                file.unlink()
                file.mkdir()
            case "read only":
                file.chmod(0o400)
    if trouble == "read only":
        tmp_path.chmod(0o500)
    if trouble == "newer":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 9999")
        connection.close()
    try:
        if trouble != "deleted":
            store = disk_store(tmp_path)
        another = Incoming(key="id:2", sender=USER, body=json.dumps(MESSAGE).encode(), context_token=Secret(CONTEXT))
        for _ in range(2):
            try:
                store.commit([Batch(account=ACCOUNT, cursor=Secret(CURSOR), messages=(another,))])
                canary.look_at("cursor", store.cursor(ACCOUNT), store.pending(ACCOUNT))
            except SessionFSMError as error:
                canary.look_at_error(trouble, error)
        canary.look_at("store", store)
        store.close()
    except SessionFSMError as error:
        canary.look_at_error(trouble, error)
    finally:
        tmp_path.chmod(0o700)


# --- handlers --------------------------------------------------------------------------------------------------------


@every_store
@pytest.mark.anyio
async def test_a_handler_that_raises_with_a_message_in_hand_shows_nothing_of_it(
    canary: Canary, tmp_path: Path, make_store: Callable[[Path], Store]
) -> None:
    """Its own frames are its own; the message in its error's arguments, the log and the parked message show nothing."""

    async def handler(message: Message) -> None:
        raise ValueError("cannot handle", message)

    async with world(canary, tmp_path, make_store(tmp_path), handler=handler) as w:
        await w.poll_with_the_cursor()
        await anyio.sleep(120)
        parked = await w.session.parked()
        assert parked
        canary.look_at("parked", parked, [stored.error for stored in parked])
        canary.look("parked", "".join(stored.error for stored in parked))
    assert canary.errors > 4
    assert MESSAGE["message_id"] in [int(message.message_id or 0) for message in w.handled]
    assert any(CONTEXT.encode() in message.raw for message in w.handled)  # by contract, for whoever needs it


# --- credentials -----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["adopted", "of a host", "with a space", "in use", "exposed", "damaged", "raising"])
async def test_other_credentials_show_no_token(canary: Canary, tmp_path: Path, kind: str) -> None:
    """They are adopted, refused, in use, exposed or damaged; both tokens stay unseen."""
    folder = tmp_path / "credentials"
    kept = CredentialFolder(folder)
    kept.save(Credentials(token=Secret(TOKEN), base_url=URL, user_id=USER))
    new = {
        "of a host": Credentials(token=Secret(NEXT), base_url="https://elsewhere.invalid", user_id=USER),
        "with a space": Credentials(token=Secret(f"{NEXT} {NEXT}"), base_url=URL, user_id=USER),
    }.get(kind, Credentials(token=Secret(NEXT), base_url=URL, user_id=USER))
    store = MemoryStore()

    class Raising(CredentialFolder):
        def current(self, account: str) -> Credentials | None:
            if raises:
                token = NEXT
                raise KeyError(account, kept) if token else None
            return super().current(account)

    raises = False
    credentials = Raising(folder) if kind == "raising" else kept
    async with world(canary, tmp_path, store, credentials=credentials) as w:
        await w.poll_with_the_cursor()
        if kind == "in use":
            store.acquire(OTHER)
        kept.save(new)
        raises = True
        for file in folder.glob("*.json"):
            if kind == "exposed":
                file.chmod(0o644)
            if kind == "damaged":
                file.write_text(file.read_text()[:-3] + EVERYTHING)
        w.account.expire(answer_held=True)
        await anyio.sleep(200)
        w.look()
        assert (w.session.account == OTHER) == (kind == "adopted")
        canary.look_at("credentials", credentials, new)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"token": f"Bearer {TOKEN}"}, DefinitionError),
        ({"token": Secret(f"{TOKEN}\n{TOKEN}")}, DefinitionError),
        ({"token": f"{TOKEN}é"}, DefinitionError),
        ({"token": TOKEN.encode()}, DefinitionError),
        ({"token": [TOKEN]}, DefinitionError),
        ({"token": TOKEN, "account": OTHER}, DefinitionError),
        ({"token": TOKEN, "bot_agent": 5}, Exception),
        ({"token": TOKEN, "base_url": "https://elsewhere.invalid"}, DefinitionError),
        ({"token": TOKEN, "machine": Machine(), "policy": Policy()}, DefinitionError),
        ({"token": TOKEN, "operations": {"unknown": None}}, DefinitionError),
        ({"token": "  "}, CredentialsMissing),
    ],
)
def test_wrong_arguments_leave_no_token_in_a_traceback(
    canary: Canary, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """A token that comes in clear is hidden before anything is checked, and shows in no frame of what refuses it."""
    with pytest.raises(error) as caught:
        Session(**arguments)
    canary.look_at_error("Session", caught.value)
    assert canary.frames > 0
    try:
        check_token(arguments["token"])
    except SessionFSMError as refused:
        canary.look_at_error("check_token", refused)
    of_client = {name: value for name, value in arguments.items() if name in ("token", "base_url", "bot_agent")}
    try:
        client = ILinkClient(**of_client)
    except Exception as refused:
        canary.look_at_error("ILinkClient", refused)
    else:
        canary.look_at("client", client)
    client = ILinkClient(token=TOKEN, base_url=URL)
    for replace in (client.replace_credentials, client.check_credentials):
        try:
            replace(arguments["token"], arguments.get("base_url", URL))
        except SessionFSMError as refused:
            canary.look_at_error("replace_credentials", refused)
    canary.look_at("client", client)


def test_credentials_on_file_are_refused_without_their_token(canary: Canary, tmp_path: Path) -> None:
    """Exposed, damaged, of another account, unwritable: whoever asks is told, and sees no token."""
    folder = CredentialFolder(tmp_path / "credentials")
    ours = Credentials(token=Secret(TOKEN), base_url=URL, user_id=USER)
    folder.save(ours)
    canary.look_at("credentials", folder, ours, folder.current(ACCOUNT))
    (file,) = (tmp_path / "credentials").glob("*.json")
    whole = file.read_text()
    damages: list[Callable[[], object]] = [
        lambda: file.chmod(0o644),
        lambda: file.write_text(whole[:-1]),
        lambda: file.write_text(whole.replace(ACCOUNT, OTHER, 1)),
        lambda: file.write_text(json.dumps({"version": 99, "token": TOKEN})),
        lambda: file.write_text(json.dumps([EVERYTHING])),
        lambda: (file.unlink(), file.mkdir()),
    ]
    for damage in damages:
        damage()
        for use in (
            lambda: folder.current(ACCOUNT),
            lambda: folder.save(ours),
            lambda: Session(credentials=folder, account=ACCOUNT),
        ):
            try:
                use()
            except (CredentialsExposed, StoreError) as error:
                canary.look_at_error("credentials", error)
        if file.is_file():
            file.write_text(whole)
            file.chmod(0o600)
    assert canary.errors >= len(damages)


@pytest.mark.anyio
async def test_an_account_in_use_is_told_without_its_token(canary: Canary, tmp_path: Path) -> None:
    """The second session on the account is refused; its error names the account."""
    store = MemoryStore()
    async with world(canary, tmp_path, store):
        second = Session(token=TOKEN, base_url=URL, store=store)
        with pytest.raises(AccountInUse) as caught:
            async with second:
                pass
        canary.look_at("second", second, caught.value)
        assert ACCOUNT in str(caught.value)


# --- what is printed -------------------------------------------------------------------------------------------------

# Every way to pass a token wrongly, and every way in which a call that has one fails.
COMMANDS = [
    ["run", "--token", TOKEN, "--base-url", "https://elsewhere.invalid"],
    ["run", "--token", f"{TOKEN} {TOKEN}"],
    ["run", "--token", TOKEN, "--base-url", f"http://127.0.0.1:1/?token={TOKEN}"],
    ["run", "--token", TOKEN, "--base-url", f"http://{TOKEN}@127.0.0.1:1"],
    ["run", "--token", TOKEN, "--policy", "no-such-file"],
    ["run", "--token", TOKEN, "--trace", "/dev/full/no"],
    ["run", TOKEN],
    ["run", f"--tokn={TOKEN}"],
    ["run", "--token-file", "TOKEN_FILE", "--base-url", "ftp://x"],
    ["send", "--token", TOKEN, "--base-url", "http://127.0.0.1:1", "--to", USER, "hello"],
    ["send", "--token", TOKEN, "--base-url", "http://127.0.0.1:1", "--to", USER, "--json", "hello"],
    ["send", "--token", f"Bearer {TOKEN}", "--base-url", "http://127.0.0.1:1", "--to", USER, "hello"],
    ["send", "--token", TOKEN, "--to", "", "hello"],
    ["send", TOKEN],
    ["account", "add", "--token", TOKEN, "--credentials", "FOLDER", "--user-id", USER],
    ["account", "add", "--token", NEXT, "--credentials", "FOLDER", "--user-id", USER],
    ["account", "add", "--token", f"{TOKEN}\x00", "--credentials", "FOLDER"],
    ["account", "add", "--token", TOKEN, "--credentials", "/dev/null/x"],
    ["account", "add", TOKEN],
    ["account", "list", "--credentials", "FOLDER", "--json"],
    ["account", "list", "--credentials", "FOLDER"],
    ["inbox", "list", "--store", "STORE"],
    ["inbox", "list", "--store", "STORE", "--json"],
    ["inbox", "drop", "--store", "STORE", "1", "2"],
    ["inbox", "retry", "--store", "STORE", "1", "2"],
    ["inbox", "show", "--store", "DAMAGED", "1"],
    ["run", "--token", TOKEN, "--base-url", "http://127.0.0.1:1", "--store", "DAMAGED/no"],
    [TOKEN],
]


@pytest.mark.parametrize("verbose", [False, True], ids=["", "-v"])
def test_the_command_line_prints_no_secret(
    canary: Canary,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verbose: bool,
) -> None:
    """Wrong input, servers that are not there, tokens that do not fit: with -v and without."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    folder = tmp_path / "credentials"
    with closing(SQLiteStore(tmp_path / "store.db")) as store:
        plain = Incoming(
            key="id:1",
            sender=USER,
            body=json.dumps({"from_user_id": USER, "context_token": CONTEXT, "Context-Token": CONTEXT}).encode(),
            context_token=Secret(CONTEXT),
        )
        store.commit([Batch(account=ACCOUNT, cursor=Secret(CURSOR), messages=(plain,))])
    (tmp_path / "damaged").write_bytes(EVERYTHING.encode() * 100)
    names = {"TOKEN_FILE": str(tmp_path / "token"), "FOLDER": str(folder), "STORE": str(tmp_path / "store.db")}
    names |= {"DAMAGED": str(tmp_path / "damaged"), "DAMAGED/no": str(tmp_path / "damaged" / "no")}
    for command in COMMANDS:
        argv = [names.get(word, word) for word in command]
        main([*argv, "-v"] if verbose else argv)
        shown = capfd.readouterr()
        canary.look(f"what {command[:2]} prints", shown.out + shown.err)
        assert shown.out + shown.err
    for file in folder.glob("*.json"):
        file.chmod(0o644)
    main(["account", "list", "--credentials", names["FOLDER"]])
    shown = capfd.readouterr()
    assert "chmod" in shown.err
    canary.look("what account list prints", shown.out + shown.err)


def test_diagrams_and_tables_come_from_the_machine_alone(canary: Canary) -> None:
    """What is drawn is drawn before there is a token; nothing of a session is in it."""
    machine = Machine()
    session = Session(token=TOKEN, base_url=URL, machine=machine)
    canary.look_at("session", session)
    canary.look("machine", repr(vars(machine)))
    for name, form in FORMATS.items():
        text = form.render(diagram_of(machine), detail="full")
        canary.look(f"diagram as {name}", text)
        assert str(State.ACTIVE) in text


# --- the canary itself -----------------------------------------------------------------------------------------------


class Holder:
    """Something that shows what it holds."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


Holder.__module__ = "sessionfsm.session"


def leaky_frames() -> BaseException:
    from .hostile import raised_with

    return raised_with(TOKEN)


def chained(attribute: str) -> BaseException:
    error = ValueError("harmless")
    setattr(error, attribute, ValueError(CURSOR))
    return error


@pytest.mark.parametrize(
    "leak",
    [
        lambda c: c.look("text", TOKEN),
        lambda c: c.look("part", SECRETS["token"][7:19]),
        lambda c: c.look("base64", base64.b64encode(f"1 2 {TOKEN}".encode()).decode()),
        lambda c: c.look("JSON", json.dumps(json.dumps(CURSOR))),
        lambda c: c.look("percent-encoded", quote(CURSOR)),
        lambda c: c.look_at("object", [{"a": Holder(CURSOR)}]),
        lambda c: c.look_at("attribute", Holder("x"), Holder(TOKEN)),
        lambda c: c.look_at_error("frames", leaky_frames()),
        lambda c: c.look_at_error("cause", chained("__cause__")),
        lambda c: c.look_at_error("context", chained("__context__")),
        lambda c: c.look_at_error("attribute", chained("other")),
        lambda c: c.look_at_error("group", ExceptionGroup("", [ValueError(CONTEXT)])),
        lambda _: logging.getLogger("sessionfsm.x").debug("%s", CONTEXT),
        lambda _: logging.getLogger("somebody").info("x", exc_info=ValueError(CONTEXT)),
    ],
)
def test_the_canary_sees_a_secret_wherever_it_is_put(leak: Callable[[Canary], object]) -> None:
    """A canary that sees nothing would prove nothing."""
    made = Canary(SECRETS, users=__file__)
    with made.listening():
        made.look("harmless", "nothing here")
        assert made.found == []
        leak(made)
    assert made.found


def test_a_text_that_repeats_no_secret_stays_as_it_is() -> None:
    """Words are hidden because they are secret, not because they are long."""
    words = "the session has timed out, see https://weixin.example/errors/0123456789abcdef"
    assert hide_secrets(words, [Secret(value) for value in SECRETS.values()]) == words
    assert hide_secrets(f"a {TOKEN} b", [Secret(TOKEN)]) == "a [secret] b"
    assert hide_secrets("a seven b", [Secret("seven")]) == "a seven b"
    assert hide_secrets("a eight888 b", [Secret("eight888")]) == "a [secret] b"
