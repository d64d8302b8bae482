"""The suite as users run it: on the default, on a file, on a table that is broken, and with what cannot be loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.pages import snippets
from tests.testing_kit.suite_runs import BRIEF, BROKEN, SUITE, pytest_in

DAYS = "test_a_day_of_minus_14_is_lived_through"
"""Four days of virtual time are most of what the suite costs; on this machine tests/test_no_hour_lock.py lives them."""


def test_the_suite_passes_on_the_default(tmp_path: Path) -> None:
    """All of it but three of its days, in a project whose tests are called otherwise, and where warnings are errors."""
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\npython_files = check_*.py\npython_functions = check_*\n"
    )
    done = pytest_in(tmp_path, "--pyargs", SUITE, "-v", "-k", f"not {DAYS} or (denied and asyncio)")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 29
    assert "29 passed, 3 deselected" in done.stdout
    titles = re.findall(r"test_property\[(P\d+: .*?)\] PASSED", done.stdout)
    assert [title.partition(":")[0] for title in titles] == [f"P{number}" for number in range(20)]


def test_a_broken_machine_fails_p1_with_its_trace(tmp_path: Path) -> None:
    """The figures are those of the file, the failure is the shortest run that breaks it, and only that is shown."""
    (tmp_path / "naive.py").write_text(BROKEN)
    (tmp_path / "policy.toml").write_text("session_first_s = 7\nsession_ceiling_s = 7\ntransport_ceiling_s = 2\n")
    done = pytest_in(
        tmp_path,
        "--pyargs",
        f"{SUITE}.test_by_search",
        "--policy",
        "policy.toml",
        "--machine",
        "naive:table",
        "-k",
        "P1:",
    )
    assert done.returncode == 1
    assert "P1 is refuted: between a loss and the next poll, notifystart was called" in done.stdout
    assert "session_expired  recovering → backoff  wait 7 s (session, wait 1" in done.stdout
    assert "retry_due        backoff → active      getupdates" in done.stdout
    assert "Traceback" not in done.stdout
    assert "assert" not in done.stdout


def test_a_broken_machine_is_found_by_walking_and_on_the_wire_too(tmp_path: Path) -> None:
    """Both know nothing of the search, and of the day of -14 the log is shown."""
    (tmp_path / "naive.py").write_text(BROKEN)
    chosen = "no_poll_follows_a_loss or (a_day_of_minus_14 and works and asyncio)"
    done = pytest_in(tmp_path, "--pyargs", SUITE, "--machine", "naive:table", "-k", chosen)
    assert "2 failed" in done.stdout
    assert "broke P1" in done.stdout
    assert re.search(r">.*getupdates   -14", done.stdout)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--policy", "nope.toml"], "--policy: the policy file .*nope.toml cannot be read: No such file or directory"),
        (["--policy=bad.toml"], "--policy: .*bad.toml: jitter = 3 is outside 0 to 0.5 .*"),
        (["--machine", "nope:table"], "--machine: there is no module 'nope' here, nor is one installed"),
        (["--machine", "bad:nope"], "--machine: the module 'bad' has no 'nope'"),
        (["--machine", "bad"], "--machine: 'bad' is not MODULE:ATTR, .*"),
        (["--machine", "bad:raising"], r"--machine: bad:raising\(policy\) raised ZeroDivisionError: .*"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(tmp_path: Path, options: list[str], words: str) -> None:
    """A usage error that names the option; no test is run, and there is no traceback."""
    (tmp_path / "bad.toml").write_text("jitter = 3\n")
    (tmp_path / "bad.py").write_text("def raising(policy): 1 / 0\n")
    done = pytest_in(tmp_path, "--pyargs", SUITE, *options)
    assert done.returncode == 4
    assert re.fullmatch(f"ERROR: {words}", done.stderr.strip()), done.stderr
    assert done.stdout == ""


def test_the_options_are_there_for_the_suite_only(tmp_path: Path) -> None:
    """--help of a run that names the suite shows them; any other run refuses them."""
    assert "--machine=MODULE:ATTR" in pytest_in(tmp_path, "--pyargs", SUITE, "--help").stdout
    done = pytest_in(tmp_path, "--policy", "x")
    assert done.returncode == 4
    assert "unrecognized arguments: --policy" in done.stderr


def test_a_table_that_is_proved_passes_what_samples_it(tmp_path: Path) -> None:
    """A trigger of one's own may come where it has no row, and its pause may add to a silence, as the proof allows."""
    (table, _) = snippets("how-to/run-the-suite.md", "python")
    mended = table.replace("target=State.ACTIVE, order=Order.POLL", "target=State.RECOVERING, order=Order.RENEW")
    (tmp_path / "nights.py").write_text(mended, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(BRIEF)
    chosen = "no_poll_follows_a_loss or hour_of_silence or comes_back"
    done = pytest_in(tmp_path, "--pyargs", f"{SUITE}.test_by_walking", "--machine", "nights:table", "-k", chosen)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
