"""The table over unknown figures, as questions to z3; :mod:`sessionfsm.verify.solver` is the way in."""

from .certificate import horn_script, invariant_script, verdict_of
from .figures import Scope, every_policy, scope_of, this_policy
from .horn import ask, reachable_rows
from .statements import STATEMENTS, Statement
from .translate import System, translate
from .way import counterexample

__all__ = [
    "STATEMENTS",
    "Scope",
    "Statement",
    "System",
    "ask",
    "counterexample",
    "every_policy",
    "horn_script",
    "invariant_script",
    "reachable_rows",
    "scope_of",
    "this_policy",
    "translate",
    "verdict_of",
]
