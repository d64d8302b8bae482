"""How a store's blocking functions are called from async code, and what may come out of them."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import anyio
import anyio.lowlevel

from sessionfsm.errors import SessionFSMError, StoreError
from sessionfsm.secret import Secret, hide_secrets, raised_at

from .base import Batch, Incoming, Runner, Stored
from .credentials import Credentials

__all__ = ["StoreThread", "ask", "ask_by", "run_inline"]

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("sessionfsm")

_LONGEST = 500  # characters of what a store says


async def ask(run: Runner, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """
    Call a store's function through *run*. What it raises has neither a cause nor frames from within.

    Raises:
        StoreError: If it raises anything that it does not say it raises: nothing was done then.
    """
    # The frames in the store have cursors and tokens in clear, and databases quote the row that they refuse.
    raised: SessionFSMError
    try:
        return await run(function, *args, **kwargs)
    except SessionFSMError as error:
        error.__cause__ = error.__context__ = None
        raised = error
    except Exception as error:
        said = hide_secrets(" ".join(str(error)[:_LONGEST].split()), _secrets_in([args, kwargs]))
        words = f"the store raised {type(error).__name__}: {said}"
        logger.error("%s (at %s)", words, raised_at(error))
        raised = StoreError(words)
    try:
        raise raised.with_traceback(None)
    finally:
        del raised  # its traceback has this frame


def _secrets_in(value: object) -> list[Secret]:
    """Return what is secret in the arguments of a store's function: bodies are, because tokens and keys are in them."""
    match value:
        case Secret():
            return [value]
        case Credentials(token=token):
            return [token]
        case Stored(body=body):
            return [Secret(body.decode("utf-8", "replace"))]
        case Incoming(body=body, context_token=token):
            return [Secret(body.decode("utf-8", "replace")), *_secrets_in(token)]
        case Batch(cursor=cursor, messages=messages):
            return [*_secrets_in(cursor), *_secrets_in(messages)]
        case list() | tuple():
            return [secret for part in value for secret in _secrets_in(part)]
        case dict():
            return _secrets_in(list(value.values()))
        case _:
            return []


async def ask_by(deadline: float, run: Runner, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """
    The same, before *deadline* by :func:`anyio.current_time`.

    Raises:
        StoreError: Also if the answer did not come in time. It is not known then whether it was done.
    """
    try:
        with anyio.fail_after(max(deadline - anyio.current_time(), 0.0)):
            answer = await ask(run, function, *args, **kwargs)
        if anyio.current_time() > deadline:  # a store that is called in place cannot be interrupted
            raise TimeoutError
    except TimeoutError:
        raise StoreError("the store did not answer in time") from None
    return answer


async def run_inline(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call it here and now: for stores that never block, and under virtual time, where a thread stops the clock."""
    return function(*args, **kwargs)


class _Loop:
    """
    An event loop in which calls are waited for.

    The thread does not wait until it has heard of an answer. When it comes to that it hears of all that are there.
    """

    def __init__(self, token: Any) -> None:
        self.token: object = token
        # The first is trio's, the second asyncio's.
        self._soon = getattr(token, "run_sync_soon", None) or token.call_soon_threadsafe
        self._ended: deque[_Job] = deque()
        self._told = False

    def tell(self, job: _Job) -> None:
        """A call has ended: for the thread."""
        self._ended.append(job)
        if not self._told:
            self._told = True
            with contextlib.suppress(RuntimeError):  # the event loop is gone, and with it whoever waited
                self._soon(self._hear)

    def _hear(self) -> None:
        self._told = False  # first: what ends from now on is told again
        while self._ended:
            self._ended.popleft().ended.set()


class _Job:
    """A call on its way to the thread and back."""

    __slots__ = ("answer", "call", "ended", "error", "loop", "wanted")

    def __init__(self, call: Callable[[], object], loop: _Loop) -> None:
        self.call = call
        self.loop = loop
        self.ended = anyio.Event()
        self.wanted = True
        self.answer: object = None
        self.error: BaseException | None = None

    def perform(self) -> None:
        if not self.wanted:
            return
        try:
            self.answer = self.call()
        except BaseException as error:
            self.error = error
        self.loop.tell(self)


class StoreThread:
    """
    Calls a store in one worker thread, one call after the other.

    A cancelled caller goes on at once; a call that has begun goes on to its end, one that has not is dropped. A store
    that hangs holds up this one thread and nothing else, and no process from ending.
    """

    in_order = True

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._process = 0  # in which the thread is
        self._loop: _Loop | None = None  # from which it was called last

    async def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """
        Call *function* and return what it returns.

        Raises:
            StoreError: In a child made by :func:`os.fork`, if it was called before. The thread is the parent's.
        """
        if self._thread is None:
            self._process = os.getpid()
            self._thread = threading.Thread(target=self._work, name="sessionfsm store", daemon=True)
            self._thread.start()
        elif self._process != os.getpid():
            raise StoreError("the store was in use before os.fork(); make a store and a writer of its own in the child")
        token, loop = anyio.lowlevel.current_token().native_token, self._loop
        if loop is None or loop.token is not token:
            loop = self._loop = _Loop(token)
        job = _Job(functools.partial(function, *args, **kwargs), loop)
        self._jobs.put(job)
        try:
            await job.ended.wait()
        finally:
            job.wanted = False
        if job.error is not None:
            raise job.error
        return cast(Any, job.answer)  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the thread when it has done what it was told."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.perform()
