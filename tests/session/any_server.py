"""A real session under a server that may do anything, with either kind of renewal."""

from hypothesis import strategies as st

from sessionfsm import Machine, Policy
from sessionfsm.testing import Trial
from sessionfsm.testing.strategies import trials

__all__ = ["MACHINES", "circumstances"]

MACHINES = {"attempted": Machine(), "required": Machine(Policy(renewal="required"))}


def circumstances() -> st.SearchStrategy[Trial]:
    """Draw a server, and everything that goes wrong on it."""
    return st.sampled_from(list(MACHINES.values())).flatmap(trials)
