"""What a search found: one finding for each property, and the figures behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sessionfsm.lifecycle import Policy

from .explore import Arc

__all__ = ["Figures", "Finding", "Report", "Verdict"]

Verdict = Literal["proved", "refuted", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    What was found about one property.

    Attributes:
        id: Such as ``P1``.
        statement: What it says.
        verdict: Proved, refuted, or undecided; *why* says what stood in the way.
        figure: The exact figure behind it, where it has one: (value, unit).
        why: What is wrong; empty if it is proved.
        counterexample: The shortest way to where it breaks; empty if it is not refuted, or breaks nowhere in a run.
    """

    id: str
    statement: str
    verdict: Verdict
    figure: tuple[float, str] | None = None
    why: str = ""
    counterexample: tuple[Arc, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it is proved."""
        return self.verdict == "proved"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON. A counterexample is told as steps and as a Mermaid sequence diagram."""
        from .counterexample import sequence_diagram, steps

        shown = None
        if self.verdict == "refuted":
            shown = {"steps": steps(self.counterexample), "sequence_diagram": sequence_diagram(self)}
        return {
            "id": self.id,
            "verdict": self.verdict,
            "statement": self.statement,
            "figure": None if self.figure is None else _finite(dict(zip(("value", "unit"), self.figure, strict=True))),
            "why": self.why or None,
            "counterexample": shown,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    The exact figures of a machine; ``None`` where there is no bound.

    Attributes:
        longest_silence_s: The longest time between the starts of two requests in a row, while the store works.
        longest_between_polls_s: The same of two polls; no renewal is denied, and none fails that has to succeed.
        longest_resumption_s: The longest time to a good poll, from when every request that starts is answered well.
        most_requests: In a second, a minute and an hour (closed windows), by what the server does: ``any server``
            anything but bring news; ``no good poll``; ``denied``: it renews every time, and denies every poll at once.
            Nobody calls ``wake``.
    """

    longest_silence_s: float | None
    longest_between_polls_s: float | None
    longest_resumption_s: float | None
    most_requests: Mapping[str, Mapping[str, int | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    What was found about one machine.

    Attributes:
        policy: The figures that it runs on.
        table: What its table is called.
        states: How many configurations are reachable: state, memory, signals, and the command that is outstanding.
        transitions: How many arcs there are between them.
        properties: The findings, by id.
        figures: The exact figures, unless the search gave up, or verdicts alone were asked for.
    """

    policy: Policy
    table: str
    states: int
    transitions: int
    properties: Mapping[str, Finding]
    figures: Figures | None

    def __getitem__(self, number: str) -> Finding:
        return self.properties[number]

    @property
    def verdict(self) -> Verdict:
        """Refuted if one property is, else undecided if one is, else proved."""
        verdicts = {finding.verdict for finding in self.properties.values()}
        return "refuted" if "refuted" in verdicts else "undecided" if "undecided" in verdicts else "proved"

    @property
    def holds(self) -> bool:
        """Whether every property is proved."""
        return self.verdict == "proved"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {
            "verdict": self.verdict,
            "table": self.table,
            "policy": asdict(self.policy),
            "states": self.states,
            "transitions": self.transitions,
            "figures": None if self.figures is None else asdict(self.figures),
            "properties": [finding.to_dict() for finding in self.properties.values()],
        }


def _finite(figure: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity."""
    return {key: None if value == math.inf else value for key, value in figure.items()}
