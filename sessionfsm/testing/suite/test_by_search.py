"""Every property, decided on everything that the machine can do. This is proof, not sampling."""

from __future__ import annotations

import pytest

from sessionfsm.testing.safety import told
from sessionfsm.verify import STATEMENTS, Report


def _title(number: str) -> str:
    """Return what a property says, in characters that every terminal has."""
    return f"{number}: {STATEMENTS[number]}".replace("½ · ", "half ").replace("·", "*").replace('"', "'")


@pytest.mark.parametrize("number", [pytest.param(number, id=_title(number)) for number in STATEMENTS])
def test_property(number: str, report: Report) -> None:
    """The property that the test is called after is proved on every configuration that the machine can reach."""
    finding = report[number]
    if not finding.holds:
        pytest.fail(told(finding), pytrace=False)
