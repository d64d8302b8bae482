"""No test shows a secret unnoticed: what it prints and what the library logs is looked through."""

import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .cli.process import started
from .known_secrets import KNOWN, shown_in

HERE = Path(__file__).parent
TESTS = """
import logging, sys
import pytest
TOKEN = "0a1b2c3d4e5f@im.bot:" + "00112233445566778899" + "aabbccddeeff"
log = logging.getLogger("sessionfsm.part")

def test_shown_by_print(): print("a", TOKEN)
def test_shown_on_stderr(): print(TOKEN, file=sys.stderr)
def test_shown_in_capsys(capsys):
    print(TOKEN)
    capsys.readouterr()
def test_shown_in_capfdbinary(capfdbinary):
    print(TOKEN)
    capfdbinary.readouterr()
def test_shown_in_debug(): log.debug("polls with %s", TOKEN)
def test_shown_in_traceback():
    try:
        raise ValueError(TOKEN)
    except ValueError:
        log.debug("x", exc_info=True)
def test_shown_in_foreign_warning(): logging.getLogger("other").warning(TOKEN)
@pytest.fixture
def noisy(): print(TOKEN)
def test_shown_in_setup(noisy): pass
@pytest.mark.shows_secrets
def test_shown_without_reason(): print(TOKEN)

@pytest.mark.shows_secrets("it is about that")
def test_well_with_reason(): print(TOKEN)
def test_well_with_nothing(caplog):
    print("0a1b2c3d4e5f@im.bot")
    log.debug("quiet")
    assert caplog.records == []
def test_well_with_its_level(caplog):
    with caplog.at_level(logging.INFO, logger="sessionfsm"):
        log.info("seen")
    assert caplog.messages == ["seen"]
"""


def test_a_test_that_shows_a_secret_fails_and_is_told_where(tmp_path: Path) -> None:
    """Printed, logged at any level, in a traceback, read from capsys, in a fixture: it fails, unless it says why."""
    folder = tmp_path / "tests"
    folder.mkdir()
    for name in ("__init__.py", "conftest.py", "known_secrets.py"):
        (folder / name).write_text((HERE / name).read_text())
    (folder / "test_it.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        "-o",
        "log_level=WARNING",
        "tests",
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    outcomes = {
        name: outcome
        for outcome, name in re.findall(r"^(PASSED|FAILED|ERROR) tests/test_it.py::(\w+)", ended.stdout, re.MULTILINE)
    }
    assert len(outcomes) == 12, ended.stdout
    for name, outcome in outcomes.items():
        assert (outcome == "PASSED") == name.startswith("test_well"), (name, ended.stdout)
    assert "TOKEN and BENCH_TOKEN" in ended.stdout
    assert "shows_secrets needs a reason" in ended.stdout


def test_a_process_that_shows_a_secret_fails_its_test(tmp_path: Path) -> None:
    """What a process prints is looked through when it has ended."""
    secret = KNOWN["OTHER_TOKEN"]
    with (
        pytest.raises(AssertionError, match="shows a secret: OTHER_TOKEN"),
        started(tmp_path, "account", "remove", secret) as process,
    ):
        process.wait()


def test_a_secret_is_recognised_inside_a_cursor() -> None:
    """A cursor is base64 with the token in it, wherever that begins."""
    for name, secret in KNOWN.items():
        for before in ("", "1 ", "12 34 "):
            assert shown_in(base64.b64encode(f"{before}{secret} and more".encode()).decode()) == name
    assert shown_in("0a1b2c3d4e5f@im.bot") is None
