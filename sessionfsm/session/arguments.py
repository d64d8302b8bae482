"""What a session and a manager are given, looked at before anything is begun: who is wrong is told what to write."""

from __future__ import annotations

import os

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy
from sessionfsm.store import CredentialStore, MemoryStore, Runner, Store, StoreWriter

__all__ = ["check_credentials", "machine_of", "writer_of"]


def check_credentials(credentials: CredentialStore | None) -> None:
    """Raise :class:`DefinitionError` if it is a path."""
    if isinstance(credentials, str | os.PathLike):
        raise DefinitionError("credentials is a path; write credentials=CredentialFolder(path)")


def writer_of(store: Store | None, run_store: Runner | None, writer: StoreWriter | None) -> StoreWriter:
    """
    Return *writer*, or one for *store*.

    Raises:
        DefinitionError: If both are given, or the store is a path.
    """
    if isinstance(store, str | os.PathLike):
        raise DefinitionError("store is a path; write store=SQLiteStore(path)")
    if writer is None:
        return StoreWriter(store if store is not None else MemoryStore(), run_store)
    if store is not None or run_store is not None:
        raise DefinitionError("pass writer= or store= and run_store=, not both: a writer has its own store")
    return writer


def machine_of(policy: Policy | None, machine: Machine | None) -> Machine:
    """
    Return *machine*, or one with *policy*.

    Raises:
        DefinitionError: If both are given.
    """
    if machine is None:
        return Machine(policy)
    if policy is not None:
        raise DefinitionError("pass policy= or machine=, not both: a machine has its own policy")
    return machine
