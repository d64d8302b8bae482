"""What a user names from outside: a policy in a file, a machine in a module."""

from __future__ import annotations

import importlib
import os
import sys
import tomllib
from pathlib import Path

from .errors import DefinitionError, PolicyError
from .lifecycle import Machine, Policy, Table

__all__ = ["load_machine", "load_policy"]


def load_policy(path: str | Path) -> Policy:
    """
    Read a policy from a TOML file: the fields of :class:`~sessionfsm.Policy` as keys; what is absent keeps its default.

    Raises:
        PolicyError: If the file cannot be read, is no TOML, or says something that no policy may.
    """
    try:
        with open(path, "rb") as file:
            mapping = tomllib.load(file)
    except OSError as error:
        raise PolicyError(f"the policy file {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"the policy file {path} is not TOML: {error}") from error
    except RecursionError:
        raise PolicyError(f"the policy file {path} is nested too deeply") from None
    try:
        return Policy.from_mapping(mapping)
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}", field=error.field, bound=error.bound) from None
    except RecursionError:
        raise PolicyError(f"the policy file {path} is nested too deeply") from None


def load_machine(name: str, policy: Policy | None = None) -> Machine:
    """
    Import a machine, as ``MODULE:ATTR``. The working directory is searched too, and before everything else.

    Args:
        name: ATTR is a :class:`~sessionfsm.lifecycle.Table`, a :class:`~sessionfsm.lifecycle.Machine`, or a function
            that takes a policy and returns one of them. Dots in ATTR go deeper.
        policy: The figures; the default policy's if absent. A machine has figures of its own.

    Raises:
        DefinitionError: If there is no such thing, or it is none of these.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise DefinitionError(f"{name!r} is not MODULE:ATTR, such as my_bot.lifecycle:table")
    found = _imported(module)
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise DefinitionError(f"the module {module!r} has no {attribute!r}") from None
    if isinstance(found, type) or not (callable(found) or isinstance(found, Machine | Table)):
        raise DefinitionError(f"{name} is neither a table, nor a machine, nor a function that makes one")
    if not isinstance(found, Machine | Table):
        try:
            found = found(policy if policy is not None else Policy())
        except DefinitionError:
            raise
        except Exception as error:
            raise DefinitionError(f"{name}(policy) raised {type(error).__name__}: {error}") from error
        if isinstance(found, Machine):
            return found
    if isinstance(found, Machine):
        if policy is not None and policy != found.policy:
            raise DefinitionError(f"{name} is a machine and has a policy of its own; name a table to try another one")
        return found
    if not isinstance(found, Table):
        raise DefinitionError(f"{name}(policy) returned {type(found).__name__}, not a table and not a machine")
    return Machine(policy, found)


def _imported(module: str) -> object:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except DefinitionError as error:
        raise DefinitionError(f"{module}: {error}") from error
    except ModuleNotFoundError as error:
        if error.name is not None and (module + ".").startswith(error.name + "."):
            raise DefinitionError(f"there is no module {error.name!r} here, nor is one installed") from None
        raise DefinitionError(f"the module {module!r} needs {error.name!r}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise DefinitionError(f"the module {module!r} raised {type(error).__name__}: {error}") from error
