"""What the tests of the suite share: the machine on trial, and what a search has found out about it."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from sessionfsm.lifecycle import Machine
from sessionfsm.testing.suite.options import MACHINE
from sessionfsm.verify import Report, decide

_HERE = Path(__file__).parent


class SuiteModule(pytest.Module):
    """A module of the suite. What a project calls its own tests does not matter here."""

    def funcnamefilter(self, name: str) -> bool:
        return name.startswith("test_")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if module_path.parent != _HERE:
        return None
    made: pytest.Module = SuiteModule.from_parent(parent, path=module_path)
    return made


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect a module of the suite also where the project's ``python_files`` would leave it out."""
    if file_path.parent != _HERE or not fnmatch(file_path.name, "test_*.py"):
        return None
    asked_for = parent.session.isinitpath(file_path)
    if asked_for or any(fnmatch(file_path.name, pattern) for pattern in parent.config.getini("python_files")):
        return None  # pytest does it
    return pytest_pycollect_makemodule(file_path, parent)


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    """The machine on trial."""
    return request.config.stash.get(MACHINE, None) or Machine()


@pytest.fixture(scope="session")
def report(machine: Machine) -> Report:
    """Everything that it can do, searched."""
    return decide(machine)
