"""
Secrets of known value, and everything that is looked through for them.

A secret counts as shown if 12 characters of it stand in a text, as they are or in base64, percent-encoded, or escaped
as JSON or by ``repr``.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any
from urllib.parse import quote

import rich.console
import rich.pretty
import rich.traceback

from sessionfsm import Secret

__all__ = ["PART", "Canary", "pieces_of"]

PART = 12
_STEP, _HINT = 6, 7  # of any PART characters, one place in six has the next seven among them
_CONTAINERS = (dict, list, tuple, set, frozenset, deque)


def pieces_of(secret: str) -> set[str]:
    """Return every part of *secret*, and of the forms that it is written in, of :data:`PART` characters."""
    data = secret.encode()
    forms = {secret, quote(secret, safe=""), json.dumps(secret), repr(secret), repr(data), data.hex()}
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + data).decode().rstrip("=")
        # What stands before and after it shows in the characters at its ends.
        forms |= {encoded[shift + 1 : -2], encoded[shift + 1 : -2].translate(str.maketrans("+/", "-_"))}
    return {form[at : at + PART] for form in forms for at in range(len(form) - PART + 1)}


class Canary:
    """
    Looks through texts, errors, log records and objects for the secrets that it was given.

    Args:
        secrets: By what they are called.
        users: The file whose frames are the user's own: their locals are not looked at.

    Attributes:
        others: Whether log records of other libraries count.
        found: Where a secret was shown.
        looked: How many texts were looked through, so that nobody takes an idle canary for a healthy one.
    """

    def __init__(self, secrets: Mapping[str, str], *, users: str) -> None:
        self._pieces = {piece: name for name, secret in secrets.items() for piece in pieces_of(secret)}
        self._hints = {piece[at : at + _HINT] for piece in self._pieces for at in range(_STEP)}
        self._users = Path(users)
        self.others = True
        self._harmless: set[int] = set()  # hashes of texts
        self._taken_apart: set[str] = set()
        self._drawn: set[tuple[object, ...]] = set()
        self.found: list[str] = []
        self.looked = 0
        self.errors = 0
        self.records = 0  # of the library's
        self.frames = 0

    def look(self, where: str, text: str) -> None:
        """Look through a text."""
        self.looked += 1
        if hash(text) in self._harmless:
            return
        for near in range(0, len(text), _STEP):
            if text[near : near + _HINT] not in self._hints:
                continue
            for at in range(max(near - _STEP + 1, 0), near + 1):
                if (name := self._pieces.get(text[at : at + PART])) is not None:
                    self.found.append(f"{name} in {where}: …{text[max(at - 60, 0) : at + 60]}…")
                    return
        self._harmless.add(hash(text))

    # --- errors ------------------------------------------------------------------------------------------------------

    def look_at_error(self, where: str, error: BaseException) -> None:
        """Look through an error, whatever it was caused by, and every frame that they passed."""
        self.errors += 1
        self._rich(where, error)
        seen: set[int] = set()
        todo = [error]
        while todo:
            link = todo.pop()
            if id(link) in seen:
                continue
            seen.add(id(link))
            name = f"{where}: {type(link).__name__}"
            for text in (str(link), repr(link), repr(link.args), repr(vars(link)), *getattr(link, "__notes__", ())):
                self.look(name, text)
            self._frames(name, link.__traceback__)
            around = [link.__cause__, link.__context__, *vars(link).values(), *link.args]
            todo += [other for other in around if isinstance(other, BaseException)]
            if isinstance(link, BaseExceptionGroup):
                todo += link.exceptions

    def _frames(self, where: str, trace: TracebackType | None) -> None:
        passed = [(frame, line) for frame, line in traceback.walk_tb(trace) if not self._is_users(frame)]
        self.frames += len(passed)
        for frame, _ in passed:
            for name, value in frame.f_locals.items():
                self.look(f"{where}: {frame.f_code.co_filename}:{frame.f_code.co_name}: {name}", f"{value!r} {value}")
        summary = traceback.StackSummary.extract(iter(passed), capture_locals=True)
        self.look(f"{where}: traceback with locals", "".join(summary.format()))

    def _is_users(self, frame: FrameType) -> bool:
        return Path(frame.f_code.co_filename) == self._users

    def _rich(self, where: str, error: BaseException) -> None:
        """The same as rich shows it: it takes containers and dataclasses apart instead of asking for their repr."""
        path = (type(error), *((frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)))
        if path in self._drawn:  # it takes a tenth of a second
            return
        self._drawn.add(path)
        written = io.StringIO()
        rich.console.Console(file=written, width=100_000).print(
            rich.traceback.Traceback.from_exception(
                type(error),
                error,
                error.__traceback__,
                show_locals=True,
                locals_max_length=None,
                locals_max_string=None,
                suppress=[str(self._users)],
            )
        )
        self.look(f"{where}: rich's traceback", written.getvalue())

    # --- logs --------------------------------------------------------------------------------------------------------

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Look through every log record of every logger, at every level, while its frames are as they were."""
        canary = self

        class Listener(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                canary.look_at_record(record)

        listener, loggers = Listener(), [logging.getLogger(), logging.getLogger("sessionfsm")]
        before = [logger.level for logger in loggers]
        loggers[0].addHandler(listener)
        try:
            for logger in loggers:
                logger.setLevel(logging.DEBUG)
            yield
        finally:
            loggers[0].removeHandler(listener)
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)

    def look_at_record(self, record: logging.LogRecord) -> None:
        """Look through a log record."""
        is_ours = record.name.partition(".")[0] == "sessionfsm"
        if not is_ours and not self.others:
            return
        self.records += is_ours
        where = f"log of {record.name}"
        self.look(where, record.getMessage())
        self.look(where, repr(record.args))
        if record.exc_info and record.exc_info[1] is not None:
            self.look_at_error(where, record.exc_info[1])
        for value in record.args if isinstance(record.args, tuple) else ():
            if isinstance(value, BaseException):
                self.look_at_error(where, value)

    # --- objects -----------------------------------------------------------------------------------------------------

    def look_at(self, where: str, *roots: object) -> None:
        """Show objects in every way there is, and every object of sessionfsm that can be reached from them."""
        seen: dict[int, object] = {}  # kept, so that no id comes twice
        todo = [(where, root) for root in roots]
        while todo:
            name, thing = todo.pop()
            if id(thing) in seen:
                continue
            seen[id(thing)] = thing
            if isinstance(thing, BaseException):
                self.look_at_error(name, thing)
            elif isinstance(thing, _CONTAINERS):
                self.look(name, repr(thing))
                parts = [*thing, *thing.values()] if isinstance(thing, dict) else list(thing)
                todo += [(f"{name}[]", part) for part in parts]
            elif _is_ours(thing):
                for text in (repr(thing), str(thing), f"{thing}"):
                    self.look(name, text)
                if repr(thing) not in self._taken_apart:
                    self._taken_apart.add(repr(thing))
                    self.look(name, rich.pretty.pretty_repr(thing, max_depth=3))
                if not isinstance(thing, Secret):
                    todo += [(f"{name}.{attribute}", value) for attribute, value in _attributes(thing)]


def _is_ours(thing: object) -> bool:
    """Whether it is the library's, and may know a secret: the lifecycle imports nothing that has one."""
    package, _, module = type(thing).__module__.partition(".")
    return package == "sessionfsm" and not module.startswith(("lifecycle", "testing")) and not isinstance(thing, Enum)


def _attributes(thing: Any) -> Iterator[tuple[str, object]]:
    yield from getattr(thing, "__dict__", {}).items()
    slots = [slot for kind in type(thing).__mro__ for slot in getattr(kind, "__slots__", ())]
    for name in (*slots, *getattr(thing, "__struct_fields__", ())):
        if hasattr(thing, name):
            yield name, getattr(thing, name)
