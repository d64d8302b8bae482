"""A machine as a model for SPIN: its table, its world, and claims that speak of what happens at some time."""

from .account import CLAIMS, Claim
from .model import promela, triggers_of

__all__ = ["CLAIMS", "Claim", "promela", "triggers_of"]
