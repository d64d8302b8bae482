"""Where things are kept when nobody says where."""

from __future__ import annotations

from pathlib import Path

__all__ = ["credentials_folder", "locks_folder", "store_file"]


def store_file() -> Path:
    """Return the file of the SQLite store."""
    return _home() / "store.db"


def locks_folder() -> Path:
    """Return the folder of the accounts' locks: one for each user, so that runs on different stores see each other."""
    return _home() / "locks"


def credentials_folder() -> Path:
    """Return the folder of the credentials."""
    return _home() / "credentials"


def _home() -> Path:
    import platformdirs  # not needed by those who say where things are

    return platformdirs.user_data_path("sessionfsm")
