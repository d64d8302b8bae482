"""The wire faults that are in force: which of them strikes a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sessionfsm.testing.faults import AnswerFault, WireFault
from sessionfsm.testing.requests import account_name

__all__ = ["FaultBook"]

W = TypeVar("W", bound=WireFault)


@dataclass(slots=True)
class _Running:
    fault: WireFault
    left: int | None
    until: float | None

    def is_over(self, clock: Callable[[], float]) -> bool:
        return self.left == 0 or (self.until is not None and clock() >= self.until)


class FaultBook:
    """
    Wire faults in the order in which they were applied.

    Args:
        clock: The server's clock; asked only when a fault ends by it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._running: list[_Running] = []

    def add(self, fault: WireFault) -> None:
        """Put *fault* in force from now on."""
        until = None if fault.for_s is None else self._clock() + fault.for_s
        self._running.append(_Running(fault, fault.requests, until))

    def clear(self) -> None:
        """End all of them."""
        self._running.clear()

    def take_answer(self, endpoint: str, token: str, *, held: bool = False) -> AnswerFault | None:
        """Return the fault that answers this request, and count it. *held*: the request was there before the fault."""
        for running in self._matching(endpoint, token):
            fault = running.fault
            if isinstance(fault, AnswerFault) and (fault.answer_held or not held):
                _count(running)
                return fault
        return None

    def take_all(self, kind: type[W], endpoint: str, token: str) -> list[W]:
        """Return every fault of *kind* that touches this request, and count each."""
        taken: list[W] = []
        for running in self._matching(endpoint, token):
            if isinstance(running.fault, kind):
                _count(running)
                taken.append(running.fault)
        return taken

    def _matching(self, endpoint: str, token: str) -> list[_Running]:
        if not self._running:
            return []
        self._running = [running for running in self._running if not running.is_over(self._clock)]
        return [
            running
            for running in self._running
            if running.fault.endpoint in (None, endpoint)
            and (running.fault.token is None or (token and running.fault.token in (token, account_name(token))))
        ]


def _count(running: _Running) -> None:
    if running.left is not None:
        running.left -= 1
