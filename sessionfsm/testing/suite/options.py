"""The options of a run of the suite. ``sessionfsm.testing.plugin`` registers this module, for such runs only."""

from __future__ import annotations

import pytest

from sessionfsm.config import load_machine, load_policy
from sessionfsm.errors import DefinitionError, PolicyError
from sessionfsm.lifecycle import Machine

__all__ = ["MACHINE", "add", "pytest_configure"]

MACHINE = pytest.StashKey[Machine]()
"""Where the machine of this run is."""


def add(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("sessionfsm", "the suite of sessionfsm, on your policy and your machine")
    group.addoption(
        "--policy",
        dest="sessionfsm_policy",
        metavar="FILE",
        help="a TOML file with the fields of sessionfsm.Policy; what is absent keeps its default",
    )
    group.addoption(
        "--machine",
        dest="sessionfsm_machine",
        metavar="MODULE:ATTR",
        help="a table, a machine, or a function that takes a policy and returns one of them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load what is to be tested, so that what cannot be loaded is one error and not twenty."""
    file, name = config.getoption("sessionfsm_policy"), config.getoption("sessionfsm_machine")
    try:
        policy = load_policy(config.invocation_params.dir / file) if file is not None else None
        config.stash[MACHINE] = load_machine(name, policy) if name is not None else Machine(policy)
    except (PolicyError, DefinitionError) as error:
        option = "--policy" if isinstance(error, PolicyError) else "--machine"
        raise pytest.UsageError(f"{option}: {error}") from None
