"""The calls of one bot session: what is asked, on which connection, within which deadline."""

from __future__ import annotations

import functools
import random as random_module
import time
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import anyio
import msgspec

from sessionfsm.errors import BadRequest, ConnectFailed, ConnectionLost, DefinitionError
from sessionfsm.ilink.address import DEFAULT_BASE_URL, check_base_url
from sessionfsm.ilink.border import bare_errors
from sessionfsm.ilink.exchange import post
from sessionfsm.ilink.headers import (
    CHANNEL_VERSION,
    DEFAULT_BOT_AGENT,
    check_route_tag,
    check_token,
    client_version,
    post_headers,
    sanitize_bot_agent,
    wechat_uin,
)
from sessionfsm.ilink.lanes import Lane, LaneOwner, check_http, default_http_client
from sessionfsm.ilink.message import ItemType, MessageType
from sessionfsm.ilink.route import Fields, route
from sessionfsm.ilink.text import MAX_BYTES, MAX_CHARACTERS, fits
from sessionfsm.ilink.wire import Sent, Updates, parse_answer, parse_sent, parse_updates
from sessionfsm.secret import Secret

if TYPE_CHECKING:
    from sessionfsm.ilink.lanes import HttpClient

__all__ = ["DEFAULT_BASE_URL", "ILinkClient"]

_MIB = 1024 * 1024
_RANDOM = random_module.SystemRandom()  # one for all: each takes room for a state that it never uses
_FINISHED = 2  # message_state
_RECENT = 8
_SINGLE_USES = 50
"""
After a connection was lost soon after a request was sent, so many requests of its kind get one of their own.

A server, or something in front of it, that closes connections shortly after an answer without saying so would else
break every request that follows another at once, and with them every poll that follows a renewal.
"""
_SOON_S = 1.0
"""A request that was out for longer was accepted by whoever lost it: the connection had not been closed before."""


class ILinkClient:
    """
    One bot session's view of the iLink server.

    Polls and the two notices share one connection, sends have another, so that neither waits for the other. Nothing
    is retried here, and no call knows how the one before it ended.

    Args:
        token: The bot token; surrounding white space is dropped.
        base_url: The server, as :func:`~sessionfsm.ilink.address.check_base_url` allows it.
        allow_hosts: Hosts outside ``weixin.qq.com`` that may receive the token.
        channel_version: The version of the reference client that we say we are like.
        bot_agent: What you are, as products ``name/version (comment)``; what does not fit the grammar is dropped.
        route_tag: The operator's ``SKRouteTag``, if there is one.
        http: An HTTP client to share between sessions, best one of
            :func:`~sessionfsm.ilink.lanes.default_http_client`. Yours to close; by default the session makes its own.
            Its cookies, authentication, default headers and redirect setting are not used.
        max_body_bytes: The longest answer to a poll; any other answer may have 1 MiB at most.
        random: Where ids and ``X-WECHAT-UIN`` are drawn from, so that tests can choose.

    Raises:
        CredentialsMissing: If the token is empty.
        DefinitionError: If another argument is wrong. No message shows the token.

    Every call raises only :class:`~sessionfsm.errors.ILinkError`, and lets cancellation pass. What it raises has
    neither a cause nor frames from within: these would show the request and the answer.
    """

    def __init__(
        self,
        *,
        token: Secret | str,
        base_url: str = DEFAULT_BASE_URL,
        allow_hosts: Collection[str] = (),
        channel_version: str = CHANNEL_VERSION,
        bot_agent: str = DEFAULT_BOT_AGENT,
        route_tag: str | None = None,
        http: HttpClient | None = None,
        max_body_bytes: int = 16 * _MIB,
        random: random_module.Random | None = None,
    ) -> None:
        token = Secret.of(token)
        self._base_url = ""  # for the repr, which a traceback of what is raised here may show
        self._token = check_token(token)
        self._allow_hosts = tuple(allow_hosts)
        self._base_url = check_base_url(base_url, allow_hosts)
        self._version = client_version(channel_version)
        self._base_info = {"channel_version": channel_version, "bot_agent": sanitize_bot_agent(bot_agent)}
        self._route_tag = None if route_tag is None else check_route_tag(route_tag)
        if max_body_bytes < 1:
            raise DefinitionError(f"max_body_bytes is at least 1, not {max_body_bytes!r}")
        self._max_body_bytes = max_body_bytes
        self._random = _RANDOM if random is None else random
        check_http(http)
        self._owns_http = http is None
        self._http = default_http_client() if http is None else http
        self._owner = LaneOwner()
        self._lanes: dict[Literal["poll", "send"], Lane] = {
            "poll": Lane(self._owner, "poll"),
            "send": Lane(self._owner, "send"),
        }
        self._fields: Fields | None = None  # made when they are needed, and anew for another token
        self._sending: anyio.Lock | None = None  # many sessions never send
        self._recent: dict[Secret, None] = {}  # the latest last
        self._single_use: dict[Literal["poll", "send"], int] = {"poll": 0, "send": 0}
        self._closed = False

    @property
    def base_url(self) -> str:
        """Where the server is that requests go to now, with a slash at the end."""
        return self._base_url

    def __repr__(self) -> str:
        return f"ILinkClient(base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close this session's connections, and the HTTP client if it was made here. May be called again."""
        self._closed = True
        await self._owner.aclose()
        if self._owns_http:
            with anyio.CancelScope(shield=True):
                await self._http.aclose()

    def replace_credentials(self, token: Secret | str, base_url: str) -> None:
        """
        Use what another login gave, from the next request on. If either is refused, nothing is changed.

        Raises:
            CredentialsMissing: If the token is empty.
            DefinitionError: If it could not stand in a header, or *base_url* is not allowed.
        """
        token = Secret.of(token)
        before = self._token
        self._token, self._base_url = self.check_credentials(token, base_url)
        self._fields = None
        self._remember(before)  # it is in the requests that are out

    def check_credentials(self, token: Secret | str, base_url: str) -> tuple[Secret, str]:
        """Return both as they would be used. Raises what :meth:`replace_credentials` raises, and changes nothing."""
        token = Secret.of(token)
        return check_token(token), check_base_url(base_url, self._allow_hosts)

    @bare_errors
    async def get_updates(self, cursor: Secret | None, *, deadline_s: float, fresh: bool = False) -> Updates:
        """
        Poll once. The server holds the request until there is something new or its own time is over.

        Args:
            cursor: The newest cursor; ``None`` for the first poll of a bot.
            deadline_s: For the whole exchange; longer than the server holds it (section 1.4).
            fresh: Close the poll connection first, because it may be dead.
        """
        self._remember(cursor)
        body = await self._post(
            "getupdates",
            {"get_updates_buf": cursor.reveal() if cursor else ""},
            "poll",
            fresh=fresh,
            deadline_s=deadline_s,
            max_body_bytes=self._max_body_bytes,
            other=cursor,
        )
        return parse_updates(body, secrets=functools.partial(self._secrets, cursor))

    @bare_errors
    async def notify_start(self, *, deadline_s: float = 10.0) -> None:
        """Tell the server that this client is online. It is not told twice by itself: the caller decides."""
        # On a connection of its own: one that the server is just closing would swallow the notice, and the poll after
        # it would be a retry without notifystart. The poll goes on with that connection.
        await self._notify("notifystart", deadline_s, fresh=True)

    @bare_errors
    async def notify_stop(self, *, deadline_s: float = 5.0) -> None:
        """Tell the server that this client goes offline. Not after a takeover (section 2.4)."""
        await self._notify("notifystop", deadline_s)

    @bare_errors
    async def send_text(
        self,
        to: str,
        text: str,
        *,
        context_token: Secret | None = None,
        client_id: str | None = None,
        run_id: str | None = None,
        deadline_s: float = 15.0,
    ) -> Sent:
        """
        Send one text. A longer one is cut with :func:`~sessionfsm.ilink.text.split_text` first.

        Sends of one session wait for each other; the deadline begins when this one's turn has come.

        Args:
            to: The user's id.
            context_token: The newest one that this user's messages brought.
            client_id: Made if there is none. Only for the one resend that is allowed after a deadline.
            run_id: One UUID per turn of a conversation.

        Raises:
            BadRequest: Also without asking the server, ``code`` being ``None``, when *to* or *text* is empty, *text*
                is too long, or something cannot be written as UTF-8.
        """
        if not to.strip():
            raise BadRequest("to is empty: there is nobody to send to", endpoint="sendmessage", code=None)
        if not text:
            raise BadRequest("the text is empty", endpoint="sendmessage", code=None)
        if not fits(text):
            raise BadRequest(
                f"the text has {len(text)} characters; one message holds {MAX_CHARACTERS} characters "
                f"and {MAX_BYTES} bytes: send the pieces that split_text() makes",
                endpoint="sendmessage",
                code=None,
            )
        client_id = client_id or self._new_client_id()
        message: dict[str, Any] = {
            "from_user_id": "",
            "to_user_id": to,
            "client_id": client_id,
            "message_type": int(MessageType.BOT),
            "message_state": _FINISHED,
            "item_list": [{"type": int(ItemType.TEXT), "text_item": {"text": text}}],
        }
        if context_token:
            message["context_token"] = context_token.reveal()
        if run_id:
            message["run_id"] = run_id
        if self._sending is None:
            self._sending = anyio.Lock()
        async with self._sending:
            self._remember(context_token)
            body = await self._post("sendmessage", {"msg": message}, "send", deadline_s=deadline_s, other=context_token)
        return parse_sent(body, client_id=client_id, secrets=lambda: self._secrets(context_token))

    async def _notify(self, endpoint: str, deadline_s: float, *, fresh: bool = False) -> None:
        body = await self._post(endpoint, {}, "poll", fresh=fresh, deadline_s=deadline_s, folder="msg/")
        parse_answer(body, endpoint=endpoint, secrets=self.known_secrets)

    async def _post(
        self,
        endpoint: str,
        fields: dict[str, Any],
        kind: Literal["poll", "send"],
        *,
        deadline_s: float,
        other: Secret | None = None,
        fresh: bool = False,
        max_body_bytes: int = _MIB,
        folder: str = "",
    ) -> bytes:
        if self._closed:
            raise ConnectFailed("this client is closed, as its session has ended: send before that", endpoint=endpoint)
        single_use = self._single_use[kind] > 0
        self._single_use[kind] -= single_use
        started = anyio.current_time()
        try:
            return await post(
                self._http,
                route(f"{self._base_url}ilink/bot/{folder}{endpoint}"),
                self._fields or self._new_fields(),
                endpoint=endpoint,
                uin=wechat_uin(self._random.getrandbits(32)),
                content=self._content(endpoint, fields),
                lane=Lane(self._owner, kind, fresh=True) if fresh or single_use else self._lanes[kind],
                deadline_s=deadline_s,
                max_body_bytes=max_body_bytes,
                secrets=self._secrets,
                secret=other,
                single_use=single_use,  # for a client of the caller's, which knows no lanes
            )
        except ConnectionLost:
            if anyio.current_time() - started < _SOON_S:
                self._single_use[kind] = _SINGLE_USES
            raise

    def _content(self, endpoint: str, fields: dict[str, Any]) -> bytes:
        try:
            return msgspec.json.encode({**fields, "base_info": self._base_info})
        except UnicodeEncodeError:
            # Not chained: the cause quotes what could not be written.
            raise BadRequest("half a surrogate pair cannot be sent", endpoint=endpoint, code=None) from None

    def _new_fields(self) -> Fields:
        headers = post_headers(token=self._token, version=self._version, route_tag=self._route_tag)
        fields = self._fields = Fields(headers)
        return fields

    def _remember(self, secret: Secret | None) -> None:
        """Keep what was sent lately: a server may repeat it in the error of another request, an older one too."""
        if secret:
            recent = self._recent
            recent.pop(secret, None)
            recent[secret] = None
            if len(recent) > _RECENT:
                del recent[next(iter(recent))]

    def known_secrets(self) -> Sequence[Secret]:
        """Return what has been sent lately, so that no error repeats it."""
        return self._secrets(None)

    def _secrets(self, other: Secret | None) -> list[Secret]:
        """Return what no error of this request may show, the longest first: one may be part of another."""
        # The part of a token behind the bot id is as secret as the whole.
        parts = Secret(self._token.reveal().partition(":")[2])
        return sorted(filter(None, (self._token, parts, other, *self._recent)), key=lambda s: -len(s.reveal()))

    def _new_client_id(self) -> str:
        """Return an id of the reference client's form; unlike ours, it is known to be accepted (section 2.6)."""
        return f"openclaw-weixin:{time.time_ns() // 1_000_000}-{self._random.getrandbits(32):08x}"
