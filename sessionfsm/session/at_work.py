"""Which handlers are at work in a session, for whoever ends it."""

from __future__ import annotations

from collections.abc import Callable

import anyio

__all__ = ["AtWork"]


class AtWork:
    """The scopes of handlers, by their task."""

    __slots__ = ("_changed", "_outliving", "_scopes")

    def __init__(self) -> None:
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._outliving: list[int] = []
        self._changed: anyio.Event | None = None  # somebody waits for it

    def begin(self, task: int, scope: anyio.CancelScope) -> None:
        """This task calls a handler in *scope*."""
        self._scopes[task] = scope

    def end(self, task: int) -> None:
        """It has ended, and what is to be known of its message is known."""
        self._scopes.pop(task, None)
        if self._changed is not None:
            self._changed.set()

    def outlives(self, task: int) -> None:
        """This task waits for something that comes after the end of the session."""
        self._outliving.append(task)

    def cut_off(self, excused: Callable[[int], bool]) -> None:
        """Cancel all handlers but those in tasks that are *excused*."""
        for task, scope in self._scopes.items():
            if not excused(task):
                scope.cancel()

    async def wait_ended(self, limit_s: float) -> None:
        """Wait, whoever cancels it, until all have ended but those that outlive the session; no longer than that."""
        if not self._scopes:  # as nearly always; the scope would cost as much as the end of a socket
            return
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + limit_s):
            while any(task not in self._outliving for task in self._scopes):
                self._changed = anyio.Event()
                await self._changed.wait()
