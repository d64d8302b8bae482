"""The recorded run of the demo in ``diagrams/``, and its pictures: they are what the code makes of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sessionfsm import check_trace
from sessionfsm.cli import ExitCode, main
from tests.diagram.exports import RUN, RUN_EXPORTS

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", RUN_EXPORTS)
def test_the_committed_picture_is_what_the_code_makes_of_the_run(name: str, tmp_path: Path) -> None:
    """Character for character, by the command that is on the page."""
    drawn = tmp_path / name
    options = RUN_EXPORTS[name].split()
    assert main(["trace", "show", str(ROOT / "diagrams" / RUN), *options, "--output", str(drawn)]) == ExitCode.OK
    command = " ".join(["sessionfsm trace show", f"diagrams/{RUN}", *options, "--output", f"diagrams/{name}"])
    assert drawn.read_bytes() == (ROOT / "diagrams" / name).read_bytes(), f"write: {command}"


def test_the_recorded_run_is_one_in_which_everything_goes_wrong_and_nothing_is_broken() -> None:
    """It is judged like any other; every fault of the demo's first round is in it."""
    report = check_trace(ROOT / "diagrams" / RUN)
    assert (report.verdict, report.run_count) == ("clean", 1)
    (run,) = report.runs
    assert run.losses >= 5
    assert run.renewals_failed >= 3
    assert (run.messages > 20, run.sends > 20) == (True, True)


def test_nothing_private_is_in_it() -> None:
    """No token, message or path: it was made for people to look at."""
    text = (ROOT / "diagrams" / RUN).read_text("utf-8")
    assert not re.search(r"Bearer|wechat|/home|/root|/work|token\b", text)
