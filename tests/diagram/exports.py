"""The drawings that are committed in ``diagrams/``, and how each is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

from sessionfsm.cli.diagram import FORMATS as NAMES
from sessionfsm.diagram import FORMATS, Detail, diagram_of
from sessionfsm.lifecycle import Machine

from .tables import MACHINES

__all__ = ["EXPORTS", "RUN", "RUN_EXPORTS", "Export"]

_WHOLE = ("json", "scxml")  # of these there is no overview


class Export(NamedTuple):
    """A file in ``diagrams/``, and what is in it."""

    machine: str
    format: str
    detail: Detail

    @property
    def command(self) -> str:
        """What to write to make it anew, but for the file."""
        own = " --machine sessionfsm.examples:official_client" if self.machine == "official client" else ""
        return f"sessionfsm diagram{own}{' --detail overview' if self.detail == 'overview' else ''}"

    def drawn(self) -> str:
        chosen = FORMATS[self.format]
        machine: Machine = MACHINES[self.machine]
        return chosen.render(diagram_of(machine, figures=chosen.figures), detail=self.detail)


def _exports() -> Iterator[tuple[str, Export]]:
    for name, machine in (("lifecycle", "default"), ("official-client", "official client")):
        for detail in ("full", "overview"):
            for format_name in NAMES:
                if detail == "overview" and format_name in _WHOLE:
                    continue
                end = f"{'-overview' if detail == 'overview' else ''}{FORMATS[format_name].suffixes[0]}"
                yield f"{name}{end}", Export(machine, format_name, cast(Detail, detail))


EXPORTS = dict(_exports())

RUN = "demo.jsonl"
"""A run of ``sessionfsm demo --seed 7 --trace``, as it was recorded."""

RUN_EXPORTS = {
    f"demo-{name}{suffix}": options
    for name, options in {
        "path": "--view path",
        "timeline": "--view timeline",
        "sequence": "--view sequence --from 2 --to 8",
    }.items()
    for suffix in (".svg", ".mmd")
} | {"demo.html": ""}
"""What is drawn of that run, by the options of ``sessionfsm trace show``."""
