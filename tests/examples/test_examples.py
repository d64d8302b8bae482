"""What the pages about the original bug and about a machine of one's own say is what the program says."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sessionfsm import examples
from sessionfsm.diagram import diagram_of, mermaid
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.verify import STATEMENTS, Report, decide
from sessionfsm.verify.counterexample import narrate

DOCS = Path(__file__).parents[2] / "docs"
BUG_PAGE = (DOCS / "explanation" / "the-original-bug.md").read_text(encoding="utf-8")
OWN_PAGE = (DOCS / "how-to" / "prove-your-own-machine.md").read_text(encoding="utf-8")
BUGS = ("official_client", "retry_every_5_s", "backoff_reset_by_renewal")

REFUTED = {
    "official_client": "P1 P2 P5 P6 P8 P10 P13 P14 P15 P16 P18",
    "retry_every_5_s": "P1 P5 P8 P10 P13 P14 P15 P16 P18",
    "backoff_reset_by_renewal": "P8 P9 P10 P19",
    "quiet_hours_wrong": "P1 P16",
    "quiet_hours": "",
}


@cache
def machine(name: str) -> Machine:
    return Machine(Policy(), getattr(examples, name)(Policy()))


@cache
def report(name: str) -> Report:
    return decide(machine(name))


@pytest.mark.parametrize("name", examples.__all__)
def test_what_is_refuted(name: str) -> None:
    """Each example is refuted for what is wrong with it, and never for rows that are missing."""
    refuted = [number for number, finding in report(name).properties.items() if finding.verdict == "refuted"]
    assert refuted == REFUTED[name].split()
    assert report(name)["P4"].holds


@pytest.mark.parametrize(
    ("name", "number", "triggers"),
    [
        ("official_client", "P1", "start session_expired"),
        ("official_client", "P2", "start session_renewed session_expired"),
        ("official_client", "P6", "start session_renewed session_expired retry_due"),
        ("official_client", "P8", "start session_renewed hurried hurried"),
        ("official_client", "P16", "start session_renewed session_lapsed"),
        ("backoff_reset_by_renewal", "P9", "start session_expired retry_due session_renewed session_expired"),
        ("quiet_hours_wrong", "P1", "start session_expired quiet_hours retry_due"),
    ],
)
def test_the_shortest_run_is_the_one_that_was_reported(name: str, number: str, triggers: str) -> None:
    assert [str(arc.move.trigger) for arc in report(name)[number].counterexample] == triggers.split()


def test_the_page_shows_what_the_program_prints() -> None:
    """Every trace and the picture of the bug's page, letter by letter."""
    shown = re.findall(r"```text\n(.*?)\n```", BUG_PAGE, re.DOTALL)
    said = {narrate(finding) for name in BUGS for finding in report(name).properties.values() if not finding.holds}
    assert len(shown) == 6
    assert set(shown) <= said
    assert f"```mermaid\n{mermaid(diagram_of(machine('official_client'), figures=False))}```" in BUG_PAGE
    for number in STATEMENTS:
        verdicts = [report(name)[number].verdict.replace("refuted", "**refuted**") for name in BUGS]
        assert f"| {number} | {' | '.join(verdicts)} | proved |" in BUG_PAGE


def test_the_page_about_a_machine_of_ones_own_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """Its snippets are run one after another; the wrong table is refuted, the mended one is the shipped example."""
    names: dict[str, Any] = {}
    for snippet in re.findall(r"```python\n(.*?)```", OWN_PAGE, re.DOTALL):
        exec(snippet, names)
    assert capsys.readouterr().out == "refuted\n"
    assert f"```text\n{narrate(names['report']['P1'])}\n```" in OWN_PAGE
    mended, shipped = names["mended"](Policy()), examples.quiet_hours(Policy())
    assert (mended.name, mended.states, mended.external) == (shipped.name, shipped.states, shipped.external)
    assert set(mended.rows) == set(shipped.rows)
