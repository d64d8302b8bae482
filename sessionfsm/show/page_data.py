"""What the page's script replays: a run as JSON that an HTML document can hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sessionfsm.diagram.layout_arrows import kind_of_state
from sessionfsm.diagram.words import shown
from sessionfsm.lifecycle import Memory
from sessionfsm.verify.counterexample import ordered

from .page_words import name_of_request, name_of_wait, told_of_request, told_of_send, told_of_wait
from .run import Run, StepMark, signals_up

__all__ = ["COLUMNS", "page_data"]

COLUMNS = (
    "number",
    "at",
    "wall",
    "arc",
    "quiet_arc",
    "quiet_polls",
    "quiet_news",
    "trigger",
    "source",
    "target",
    "reason",
    "detail",
    "ordered",
    "wait",
    "operation",
    "started",
    "held",
    "news",
    "memory",
    "raised",
    "cleared",
    "up",
    "account",
    "trouble",
)
"""What each record is told by, in the order of its cells. Texts are numbers into ``texts``; 0 is the empty one."""


def page_data(run: Run) -> str:
    """
    Return the run as JSON, one record in a line.

    It is ASCII without ``<``, ``>`` and ``&``, whatever the records say, so that nothing in it ends its element.
    """
    writer = _Writer(run)
    parts = {
        "columns": COLUMNS,
        "records": _Lines([writer.record(step) for step in run.steps]),
        "requests": _Lines(writer.requests()),
        "waits": _Lines(writer.waits()),
        "sends": _Lines(writer.sends()),
        "unrecorded": writer.unrecorded(),
        "stays": _Lines([[writer.state(stay.state), _time(stay.from_s), _time(stay.until_s)] for stay in run.stays]),
        "from": _time(run.from_s),
        "until": _time(run.until_s),
        "closed": run.end == "closed",
        "began": round(run.began_s, 3),
        "account": writer.text(run.account),
        "memory": Memory._fields,
        "memories": _Lines(list(writer.memories)),
        "states": [[shown(box.name), box.id, kind_of_state(run.diagram, box.name)] for box in run.diagram.boxes],
        "arcs": [arc.id for arc in run.diagram.arcs],
        "texts": _Lines(list(writer.texts)),
    }
    lines = ",\n".join(f"{_json(name)}: {_json_of(part)}" for name, part in parts.items())
    return f"{{\n{lines}\n}}".replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


class _Lines(list[Any]):
    """What is written with one element in a line."""


def _json_of(part: object) -> str:
    if not isinstance(part, _Lines) or not part:
        return _json(part)
    return "[\n" + ",\n".join(map(_json, part)) + "\n]"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _time(seconds: float | None) -> float | None:
    """Return seconds to a millionth; the last bits of a clock do not show."""
    return None if seconds is None else round(seconds, 6)


class _Writer:
    """Turns what happened into cells; of texts that come again, each is kept once."""

    def __init__(self, run: Run) -> None:
        self.texts: dict[str, int] = {"": 0}
        self.memories: dict[Memory, int] = {}
        self._numbers: dict[str, int] = {}  # of the same texts as they came: to look through each again takes long
        self._run = run
        self._states = {box.name: at for at, box in enumerate(run.diagram.boxes)}
        self._kinds = {box.name: kind_of_state(run.diagram, box.name) for box in run.diagram.boxes}
        self._arcs = {arc.id: at for at, arc in enumerate(run.diagram.arcs)}
        self._bad = {request.number for request in run.requests if not request.good}
        self._up = run.up

    def text(self, text: str) -> int:
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = self.texts.setdefault(shown(text), len(self.texts))
        return found

    def state(self, name: str) -> int:
        return self._states[name]

    def record(self, step: StepMark) -> list[object]:
        record, quiet = step.record, step.record.quiet
        # The monotonic clock of a run begins anywhere; the steps count from its beginning.
        began = record.at_s - step.at_s
        self._up = signals_up(self._up, [record])
        return [
            record.number,
            _time(step.at_s),
            round(record.wall_s, 3),
            self._arcs[step.arc],
            self._arcs.get(step.quiet_arc, -1),
            quiet.polls if quiet else 0,
            quiet.news if quiet else 0,
            self.text(record.trigger),
            self.state(record.source),
            self.state(record.target),
            self.text(record.reason),
            self.text(record.detail),
            self.text(ordered(record.command)),
            _time(record.wait_s),
            self.text(record.operation),
            None if record.started_s is None else _time(record.started_s - began),
            _time(record.held_s),
            record.news,
            self.memories.setdefault(record.memory, len(self.memories)),
            self._listed(record.raised),
            self._listed(record.cleared),
            self._listed(self._up),
            self.text(record.account),
            int(self._troubled(step)),
        ]

    def requests(self) -> list[list[object]]:
        return [
            [
                _time(each.from_s),
                _time(each.until_s),
                int(each.good),
                self.text(name_of_request(each)),
                self.text(told_of_request(each)),
                each.number,
                each.kind,
                each.polls,
                each.news,
            ]
            for each in self._run.requests
        ]

    def unrecorded(self) -> list[list[object]]:
        """Return which arc quiet polls took that no record tells of yet, how often, and when the last of them began."""
        quiet = [each for each in self._run.requests if each.quiet_arc]
        return [[self._arcs[each.quiet_arc], each.polls, _time(each.until_s)] for each in quiet]

    def waits(self) -> list[list[object]]:
        return [
            [
                _time(each.from_s),
                _time(each.until_s),
                int(not each.cut),
                self.text(name_of_wait(each)),
                self.text(told_of_wait(each)),
            ]
            for each in self._run.waits
        ]

    def sends(self) -> list[list[object]]:
        return [
            [
                _time(each.from_s),
                _time(each.until_s),
                int(not each.failed),
                self.text(f"send, while {each.state}"),
                self.text(told_of_send(each)),
            ]
            for each in self._run.sends
        ]

    def _listed(self, names: Sequence[str]) -> int:
        return self.text(", ".join(map(str, names)))

    def _troubled(self, step: StepMark) -> bool:
        """Whether this is where somebody looks who looks for trouble: a bad answer, a signal, the way into a wait."""
        record = step.record
        begins = self._kinds[record.target] == "trouble" and record.source != record.target
        return record.number in self._bad or bool(record.raised) or begins
