"""Reading a policy from a file."""

from __future__ import annotations

import tomllib
from pathlib import Path

from .errors import PolicyError
from .lifecycle import Policy

__all__ = ["load_policy"]


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
