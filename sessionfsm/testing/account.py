"""What the fake server knows of one account: its session, its messages, and what its bot sent."""

from __future__ import annotations

import base64
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal

import anyio

from sessionfsm.errors import DefinitionError
from sessionfsm.testing.faults import CodeShape, HollowShape
from sessionfsm.testing.messages import SentMessage, context_token, id_of, identity, user_message
from sessionfsm.testing.replies import Reply, code_reply, hollow_reply
from sessionfsm.testing.requests import account_name

__all__ = ["Delivery", "FakeAccount", "SessionState"]

Delivery = Literal["once", "replay"]
SessionState = Literal["live", "expired", "taken_over", "lapsed"]


class _Next(Enum):
    ID = "the next"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loss:
    state: SessionState
    reply: Reply
    held_s: float
    answer_held: bool
    denied: bool = False
    until: float | None = None


@dataclass(kw_only=True, slots=True)
class _Entry:
    """A message in the account's history."""

    message: dict[str, Any]
    handed_out: bool = False


class FakeAccount:
    """
    One bot's account on a fake server. Made by :meth:`FakeServer.account <sessionfsm.testing.FakeServer.account>`.

    Attributes:
        name: What it is called in the log; no secret.
        sent: What the bot sent, in order.
        handed_out: How often each message id was put into an answer.
    """

    def __init__(self, token: str, *, delivery: Delivery, clock: Callable[[], float], ids: Iterator[int]) -> None:
        self.name = account_name(token)
        self.sent: list[SentMessage] = []
        self.handed_out: Counter[str] = Counter()
        self._token = token
        self._once = delivery == "once"
        self._clock = clock
        self._history: list[_Entry] = []
        self._first_unread = 0
        self._seen: set[object] = set()
        self._loss: _Loss | None = None
        self._numbers = itertools.count(1)
        self._cursors = itertools.count(1)
        self._ids = ids  # the server's: no two messages have the same
        self._waiters: set[anyio.Event] = set()

    def __repr__(self) -> str:
        return f"<FakeAccount {self.name}>"

    # --- what users do -------------------------------------------------------------------------------------------

    @property
    def unread(self) -> int:
        """How many messages no poll has brought yet."""
        return sum(not entry.handed_out for entry in self._history[self._first_unread :])

    def push(
        self,
        text: str = "hello",
        *,
        sender: str = "user@im.wechat",
        message_id: int | str | _Next | None = _Next.ID,
        **fields: Any,
    ) -> str:
        """
        A user writes; a held poll is answered at once. Return the message's id, empty if it has none.

        Every message has a context token of its own.

        Args:
            message_id: The next one by default; ``None`` for a message without an id.
            fields: Further fields of the message, or others than the usual ones.
        """
        number = next(self._numbers)
        message = user_message(number, text=text, sender=sender, receiver=self.name)
        if message_id is not None:
            message["message_id"] = next(self._ids) if message_id is _Next.ID else message_id
        message |= fields
        return self._add(message)

    def push_duplicate(
        self,
        message_id: int | str | None = None,
        *,
        new_context_token: bool = False,
        without_id: bool = False,
    ) -> str:
        """
        The server hands a message out again. Return the id of the copy.

        Args:
            message_id: Which message; the newest by default.
            new_context_token: The copy has another context token.
            without_id: The copy has no id.

        Raises:
            DefinitionError: If there is no such message.
        """
        if message_id is None:
            originals = self._history[-1:]
        else:
            originals = [entry for entry in self._history if id_of(entry.message) == str(message_id)]
        if not originals:
            raise DefinitionError(f"{self.name}: there is no message to repeat; push one first")
        message = dict(originals[0].message)
        if new_context_token:
            message["context_token"] = context_token(next(self._numbers), self.name)
        if without_id:
            message.pop("message_id", None)
        return self._add(message)

    # --- what becomes of the session -----------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """What the server thinks of the session now."""
        loss = self._current_loss()
        return "live" if loss is None else loss.state

    def expire(
        self,
        *,
        shape: CodeShape = "errcode",
        held_s: float = 0.0,
        answer_held: bool = False,
        for_s: float | None = None,
    ) -> None:
        """Polls get -14 until ``notifystart``, or for *for_s* seconds."""
        reply = code_reply(-14, shape=shape)
        self._lose(_Loss(state="expired", reply=reply, held_s=held_s, answer_held=answer_held), for_s)

    def take_over(
        self,
        *,
        notifystart: Literal["works", "denied"] = "works",
        shape: CodeShape = "errcode",
        held_s: float = 0.0,
        answer_held: bool = False,
        for_s: float | None = None,
    ) -> None:
        """Polls get -14 whatever ``notifystart`` says, until :meth:`end_takeover` or for *for_s* seconds."""
        self._lose(
            _Loss(
                state="taken_over",
                reply=code_reply(-14, shape=shape),
                held_s=held_s,
                answer_held=answer_held,
                denied=notifystart == "denied",
            ),
            for_s,
        )

    def end_takeover(self) -> None:
        """Nobody else has the session any more: the next ``notifystart`` cures it. Without a takeover, do nothing."""
        loss = self._loss
        if loss is not None and loss.state == "taken_over":
            self._loss = _Loss(state="expired", reply=loss.reply, held_s=loss.held_s, answer_held=False)

    def lapse(
        self,
        *,
        shape: HollowShape = "empty",
        held_s: float = 0.0,
        answer_held: bool = False,
        for_s: float | None = None,
    ) -> None:
        """Polls get hollow answers until ``notifystart``, or for *for_s* seconds."""
        reply = hollow_reply(shape)
        self._lose(_Loss(state="lapsed", reply=reply, held_s=held_s, answer_held=answer_held), for_s)

    def revive(self) -> None:
        """Make the session live, whatever it was."""
        self._loss = None

    # --- what the server asks ------------------------------------------------------------------------------------

    def renew(self) -> Reply:
        """Return the answer to ``notifystart``, which cures what it can cure."""
        loss = self._current_loss()
        if loss is not None and loss.state == "taken_over":
            return code_reply(-14) if loss.denied else Reply(body=b'{"ret":0}')
        self._loss = None
        return Reply(body=b'{"ret":0}')

    def refusal(self, *, held: bool = False) -> tuple[Reply, float] | None:
        """Return what a poll gets instead of messages, and after how long. *held*: it was there before the loss."""
        loss = self._current_loss()
        if loss is None or (held and not loss.answer_held):
            return None
        return loss.reply, loss.held_s

    def has_messages(self, cursor: str) -> bool:
        """Whether a poll with *cursor* has something to bring."""
        return len(self._history) > self._start(cursor)

    def take(self, cursor: str, *, hint: str | None) -> Reply:
        """Return a good answer to a poll with *cursor*. *hint* is JSON text."""
        batch = self._history[self._start(cursor) :]
        news = False
        for entry in batch:
            entry.handed_out = True
            if message_id := id_of(entry.message):
                self.handed_out[message_id] += 1
            key = identity(entry.message)
            news = news or key not in self._seen
            self._seen.add(key)
        if self._once:
            self._first_unread = len(self._history)
        messages = json.dumps([entry.message for entry in batch], ensure_ascii=False) if batch else "[]"
        fresh = self._cursor()
        extra = "" if hint is None else f',"longpolling_timeout_ms":{hint}'
        body = f'{{"msgs":{messages},"sync_buf":"{fresh}","get_updates_buf":"{fresh}"{extra}}}'
        return Reply(
            body=body.encode("utf-8", "surrogatepass"),
            answer="messages" if batch else "empty",
            messages=tuple(id_of(entry.message) for entry in batch),
            good=True,
            news=news,
        )

    def send(self, message: dict[str, Any]) -> Reply:
        """Return the answer to a ``sendmessage`` that is in order."""
        if message["message_type"] == 1:  # accepted and dropped: protocol, section 2.6
            return Reply(body=b'{"ret":0}')
        message_id = next(self._ids)
        self.sent.append(SentMessage.of(message, at_s=self._clock(), message_id=str(message_id)))
        return Reply(body=b'{"message_id":%d,"ret":0}' % message_id)

    async def wait_changed(self, limit_s: float) -> None:
        """Wait until something happened to this account, at most *limit_s* seconds."""
        event = anyio.Event()
        self._waiters.add(event)
        try:
            with anyio.move_on_after(limit_s):
                await event.wait()
        finally:
            self._waiters.discard(event)

    def wake(self) -> None:
        """Let held polls look again."""
        for event in self._waiters:
            event.set()

    def _add(self, message: dict[str, Any]) -> str:
        self._history.append(_Entry(message=message))
        self.wake()
        return id_of(message)

    def _lose(self, loss: _Loss, for_s: float | None) -> None:
        until = None if for_s is None else self._clock() + for_s
        self._loss = replace(loss, until=until)
        self.wake()

    def _current_loss(self) -> _Loss | None:
        loss = self._loss
        if loss is not None and loss.until is not None and self._clock() >= loss.until:
            if loss.state == "taken_over":
                self.end_takeover()
            else:
                self._loss = None
        return self._loss

    def _cursor(self) -> str:
        # The real cursor has the bot token inside (protocol, section 1.6): whoever logs it is found out here too.
        return base64.b64encode(f"{len(self._history)} {next(self._cursors)} {self._token}".encode()).decode()

    def _start(self, cursor: str) -> int:
        """Return where in the history a poll with *cursor* begins."""
        return self._first_unread if self._once else self._position(cursor)

    def _position(self, cursor: str) -> int:
        """Return how many messages the holder of *cursor* has had; 0 for a cursor of somebody else."""
        try:
            position, _, token = base64.b64decode(cursor, validate=True).decode().split(" ", 2)
            known = token == self._token and 0 <= int(position) <= len(self._history)
        except ValueError:
            return 0
        return int(position) if known else 0
