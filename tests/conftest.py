"""
What all tests share.

In the gate, hypothesis draws the same examples every time; elsewhere it looks further. No test may show one of the
secrets that it works with, on its output or in the library's log: :func:`shown_in` decides.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

from .known_secrets import Log, shown_in

settings.register_profile("gate", derandomize=True)
# For `make mutants`: a mutant is to die fast, and nobody reads how.
settings.register_profile("mutants", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))
if os.environ.get("CI"):
    settings.load_profile("gate")

_HERE = Path(__file__).parent
LONG = [
    "testing_kit/test_suite.py",
    "testing_kit/test_plugin.py",
    "testing_kit/test_stateful.py",
    "testing_kit/test_suite_pages.py",
    "testing_kit/test_crashes.py",
    "cli/test_cli_processes.py",
    "test_secrets_canary.py",
    "examples/test_docs_build.py",
    "cli/test_cli_simulate.py",
    "test_no_hour_lock.py",
    "benchmarks/test_compare.py",
    "testing_kit/test_strategies.py",
    "cli/test_cli_store.py",
    "socket/test_loopback.py",
    "examples/test_examples.py",
    "session/test_manager.py",
    "session/test_limiter.py",
    "diagram/test_scxml.py",
    "diagram/test_formats.py",
    "socket/test_threads_and_connections.py",
    "cli/test_cli_run_all.py",
    "session/test_contract_of_the_fix.py",
    "durability/test_power_loss.py",
    "session/test_any_server.py",
    "show/test_timeline.py",
    "ilink/test_ilink_lanes.py",
    "lifecycle/test_properties.py",
    "verify/test_mutants.py",
    "show/test_sequence.py",
    "examples/test_tutorial_page.py",
    "session/test_manager_starts.py",
    "verify/test_certificate.py",
    "verify/test_promela.py",
    "session/test_manager_status.py",
    "test_no_retry_without_notifystart.py",
    "lifecycle/test_machine.py",
    "trace/test_trace_check.py",
    "session/test_session.py",
    "lifecycle/test_seeded_bugs.py",
]
"""
Files that take ten seconds and more, the longest first: `make test` begins with them.

A file goes to one process; of a long one that is begun last the others would wait for the end.
"""

_MARK = "shows_secrets"
_LIBRARY = logging.getLogger("sessionfsm")
_log = Log()
_taken: list[str] = []  # secrets in output that a test has taken for itself, by capsys or capfd


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Stores, credentials and locks of tests go to a folder of their own, in this process and those that it starts."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{_MARK}(reason): it has to show one of the suite's secrets, and says why")
    _watch_captures()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {_HERE / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path, len(LONG)))


def _watch_captures() -> None:
    """Look through what tests read from capsys and capfd: pytest does not report that."""
    read = pytest.CaptureFixture.readouterr

    def readouterr(self: pytest.CaptureFixture[Any]) -> Any:
        captured = read(self)
        for text in captured:
            words = text if isinstance(text, str) else text.decode("utf-8", "replace")
            if (name := shown_in(words)) is not None:
                _taken.append(f"captured output: {name}")
        return captured

    pytest.CaptureFixture.readouterr = readouterr  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Listen to the library at every level. The records that tests see stay those that they ask for (log_level)."""
    before = _LIBRARY.level
    _LIBRARY.addHandler(_log)
    _LIBRARY.setLevel(logging.DEBUG)
    try:
        return (yield)
    finally:
        _LIBRARY.setLevel(before)
        _LIBRARY.removeHandler(_log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    report: pytest.TestReport = yield
    shown = [*_log.shown, *_taken]
    # The log of a phase is among its sections at WARNING and up only.
    shown += [f"{title}: {name}" for title, text in report.sections if (name := shown_in(text)) is not None]
    _log.shown, _taken[:] = [], []
    mark = item.get_closest_marker(_MARK)
    if mark is not None and not (mark.args and mark.args[0]):
        report.outcome, report.longrepr = "failed", f"{item.nodeid}: {_MARK} needs a reason"
    elif mark is None and shown and report.passed:
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} shows a secret in its {call.when}:\n"
            + "\n".join(f"  {where}" for where in dict.fromkeys(shown))
            + f'\nIf it has to, say why: @pytest.mark.{_MARK}("reason")'
        )
    return report
