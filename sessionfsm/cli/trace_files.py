"""Which trace the command line names, and which machine for it."""

from __future__ import annotations

import argparse
import sys
from typing import BinaryIO

from sessionfsm.config import load_machine
from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.trace.machines import Against

from .options import policy_of
from .problems import CommandError

__all__ = ["machine_asked_for", "source_of"]


def source_of(file: str) -> tuple[str | BinaryIO, str]:
    """Return what is to be read, and what it is called in messages."""
    if file != "-":
        return file, file
    if sys.stdin is None:
        raise CommandError("standard input is closed; name a file, or send one there")
    return sys.stdin.buffer, "standard input"


def machine_asked_for(args: argparse.Namespace) -> Against | None:
    """Return what ``--machine`` and ``--policy`` name, for the policy of each run; ``None`` without either."""
    policy = policy_of(args) if args.policy is not None else None
    return _Named(args.machine, policy) if args.machine is not None or policy is not None else None


class _Named:
    """The machine that the command line names, for the policy of each run; the last one is kept."""

    def __init__(self, name: str | None, policy: Policy | None) -> None:
        self._name = name
        self._policy = policy
        self._made: dict[Policy, Machine] = {}

    def __call__(self, recorded: Policy) -> Machine:
        policy = self._policy if self._policy is not None else recorded
        if policy not in self._made:
            self._made = {policy: self._make(policy)}
        return self._made[policy]

    def _make(self, policy: Policy) -> Machine:
        if self._name is None:
            return Machine(policy)
        try:
            return load_machine(self._name, policy)
        except DefinitionError:
            if self._policy is not None:
                raise
            return load_machine(self._name)  # a machine that has a policy of its own
