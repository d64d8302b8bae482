"""
Credentials in a folder, a small JSON file for each account.

The file of an account whose user has logged in again holds a pointer to the account that came after it, and no token:

.. code-block:: text

    0a1b2c3d4e5f@im.bot.json   {"version":1,"account":"0a1b2c3d4e5f@im.bot","retired_by":"f5e4d3c2b1a0@im.bot",…}
    f5e4d3c2b1a0@im.bot.json   {"version":1,"account":"f5e4d3c2b1a0@im.bot","token":…,"base_url":…,"user_id":…,…}

Of the accounts of one user the one that was saved last is in force, whatever became of the pointers: writing its file
is the one step that counts.
"""

from __future__ import annotations

import logging
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote_to_bytes

import msgspec

from sessionfsm.errors import CredentialsExposed, StoreError
from sessionfsm.identity import account_id
from sessionfsm.secret import Secret

from .credential_index import CredentialIndex, age
from .credentials import Credentials
from .files import file_name, lock_file, make_private_folder, read_file, sync_folder, way_out, write_file
from .places import credentials_folder

__all__ = ["CredentialFolder"]

_VERSION = 1
_LONGEST_FILE = 65_536
_LOCK_S = 10.0
_SUFFIX = ".json"
_NEW, _LOCK = ".new", ".lock"  # no account's file begins with a dot
_OTHERS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH

logger = logging.getLogger("sessionfsm")


class _Version(msgspec.Struct, frozen=True):
    version: Annotated[int, msgspec.Meta(ge=1)]


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is in a file: credentials, or a pointer."""

    version: int
    account: str
    token: Secret | None = None
    base_url: str = ""
    user_id: str = ""
    retired_by: str | None = None
    saved_at: Annotated[float, msgspec.Meta(ge=0)]  # wall time, seconds since the epoch; later for a later login

    def credentials(self) -> Credentials | None:
        """Return what it holds; ``None`` for a pointer."""
        if self.token is None:
            return None
        return Credentials(token=self.token, base_url=self.base_url, user_id=self.user_id)


class CredentialFolder:
    """
    Keeps credentials in a folder; see :class:`~sessionfsm.store.CredentialStore` for what each method promises.

    No credentials are kept in memory, so that what another process saves is seen at once. A file is replaced in one
    step that survives a power failure: a process that is killed leaves the old one or the new one. The folder and the
    files can be read by their owner only, and are not used otherwise.

    It may be used by several threads and processes.

    Args:
        path: The folder; by default in the user's data folder. It is made when something is saved.
        clock: Wall time, in seconds since the epoch.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = credentials_folder() if path is None else Path(path)
        self._clock = clock
        self._was_there = False
        self._index = CredentialIndex(self._folder, lambda: self._usable(level=logging.DEBUG))

    def __repr__(self) -> str:
        return f"CredentialFolder({os.fspath(self._folder)!r})"

    def current(self, account: str) -> Credentials | None:
        """
        Return the credentials in force for the user behind *account*, or ``None`` if there are none.

        Raises:
            CredentialsExposed: If others can read or change them, or they are somebody else's.
            StoreError: If they cannot be read.
        """
        record = self._read(account)
        seen: set[str] = set()
        while record is not None and record.retired_by is not None:
            if record.retired_by in seen:
                raise StoreError(
                    f"the credentials of {account} name each other as what came later: {self._path(account)}; "
                    "remove the file, and log in again"
                )
            seen.add(record.retired_by)
            record = self._read(record.retired_by)
        if record is None:
            return None
        others: list[_Record] = []
        for name in self._index.of_user(record.user_id):
            try:
                other = self._read(name)
            except (CredentialsExposed, StoreError) as error:
                logger.debug("passed over: %s", error)
            else:
                if other is not None and other.token is not None and other.user_id == record.user_id:
                    others.append(other)
        return max([record, *others], key=age).credentials()

    def save(self, credentials: Credentials) -> list[str]:
        """
        Keep what a login gave; return the accounts that it has retired: those of the same user.

        Raises:
            CredentialsExposed: If others can read or change the folder, or it is somebody else's.
            StoreError: If they cannot be written, or not so that they survive a power failure. The old ones or the new
                ones are in force then, and it may be tried again.
        """
        account = credentials.account
        try:
            make_private_folder(self._folder)
        except OSError as error:
            raise self._failed("be made", self._folder, error) from None
        with self._locked():
            every = self._of_user(credentials.user_id, level=logging.WARNING)
            others = [record for record in every if record.account != account]
            before = max((record.saved_at for record in others), default=0.0)
            # The clock may have been set back since.
            saved_at = max(self._clock(), before + 0.001)
            self._write(
                _Record(
                    version=_VERSION,
                    account=account,
                    token=credentials.token,
                    base_url=credentials.base_url,
                    user_id=credentials.user_id,
                    saved_at=saved_at,
                )
            )
            for record in others:
                self._retire(record.account, account, saved_at)
            self._index.forget()
        return sorted(record.account for record in others)

    def accounts(self) -> list[str]:
        """
        Return the accounts that have credentials in force, and those whose file cannot be used, in order.

        Raises:
            CredentialsExposed: If others can read or change the folder, or it is somebody else's.
            StoreError: If the folder cannot be read, or was there before and is gone: who unmounts a disk has not
                logged out all accounts.
        """
        if not self._check_folder() and self._was_there:
            raise StoreError(
                f"{self._folder} was there and is gone; put it back, or mount it: "
                "accounts are taken out one by one, with 'sessionfsm account remove'"
            )
        found: dict[str, _Record | None] = {}
        for path in self._paths():
            try:
                record = self._read_path(path)
            except (CredentialsExposed, StoreError) as error:
                # Whoever wants to use it is told what is wrong, and nobody wonders where it is.
                account = _account_of(path)
                if account is None:
                    logger.warning("passed over: %s", error)
                else:
                    found[account] = None
            else:
                if record is not None:
                    found[record.account] = record
        last: dict[str, _Record] = {}
        for record in found.values():
            if record is not None and record.token is not None and record.user_id:
                last[record.user_id] = max(record, last.get(record.user_id, record), key=age)
        return sorted(
            account
            for account, record in found.items()
            if record is None or (record.token is not None and last.get(record.user_id, record) is record)
        )

    def predecessors(self, account: str) -> list[str]:
        """
        Return the accounts in whose place *account* is now, in order: what is left of them is its own.

        One whose file cannot be used is not among them.

        Raises:
            CredentialsExposed: If others can read or change the folder, or it is somebody else's.
            StoreError: If the folder cannot be read.
        """
        return list(self._index.predecessors(account))

    def remove(self, account: str) -> bool:
        """
        Forget an account's credentials; return whether there were any. A file that cannot be used goes, too.

        Raises:
            StoreError: If they cannot be removed.
        """
        path = self._path(account)
        if not os.path.lexists(path):
            return False
        with self._locked():
            try:
                record = self._read_path(path)
            except (CredentialsExposed, StoreError):
                pass
            else:
                if record is None or record.token is None:
                    return False
            try:
                path.unlink()
                self._index.forget()
                sync_folder(self._folder)
            except OSError as error:
                raise self._failed("be removed", path, error) from None
        return True

    # --- files -------------------------------------------------------------------------------------------------------

    def _path(self, account: str) -> Path:
        return self._folder / f"{file_name(account)}{_SUFFIX}"

    def _paths(self) -> list[Path]:
        """Return the files of accounts; there need not be a folder."""
        if not self._check_folder():
            return []
        try:
            names = os.listdir(self._folder)
        except OSError as error:
            raise self._failed("be read", self._folder, error) from None
        return [self._folder / name for name in sorted(names) if name.endswith(_SUFFIX) and not name.startswith(".")]

    def _check_folder(self) -> bool:
        """Return whether there is a folder; one that others can read or change is refused."""
        try:
            about = os.stat(self._folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._failed("be read", self._folder, error) from None
        exposed = _exposed(self._folder, about, "700")
        if exposed is not None:
            raise exposed
        self._was_there = True
        return True

    def _of_user(self, user_id: str, *, level: int) -> Iterator[_Record]:
        """Yield the credentials of a user that have not become pointers; files that cannot be used are logged."""
        for record in self._usable(level=level) if user_id else ():
            if record.token is not None and record.user_id == user_id:
                yield record

    def _usable(self, *, level: int) -> Iterator[_Record]:
        """Yield what is in every file; those that cannot be used are logged."""
        for path in self._paths():
            try:
                record = self._read_path(path)
            except (CredentialsExposed, StoreError) as error:
                logger.log(level, "passed over: %s", error)
            else:
                if record is not None:
                    yield record

    def _read(self, account: str) -> _Record | None:
        return self._read_path(self._path(account)) if self._check_folder() else None

    def _read_path(self, path: Path) -> _Record | None:
        """Return what is in a file, or ``None`` if there is none."""
        record = _load(path)
        if isinstance(record, Exception):
            raise record
        return record

    def _write(self, record: _Record) -> None:
        # What was raised is not passed on, since it remembers what was to be written.
        problem = _store(self._path(record.account), self._folder / _NEW, record)
        if problem is not None:
            raise StoreError(
                f"the credentials of {record.account} cannot be written to {self._path(record.account)}: {problem}"
            )

    def _retire(self, account: str, successor: str, saved_at: float) -> None:
        """Replace a file by a pointer. The successor is in force already, so that this can wait for the next time."""
        try:
            self._write(_Record(version=_VERSION, account=account, retired_by=successor, saved_at=saved_at))
        except StoreError as error:
            logger.warning("the dead token of %s stays on file: %s", account, error)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only one who writes, and clear away what one who was killed has left."""
        self._check_folder()
        path = self._folder / _LOCK
        try:
            lock = lock_file(path, timeout_s=_LOCK_S)
        except OSError as error:
            raise self._failed("be locked", path, error) from None
        if lock is None:
            raise StoreError(f"another process holds {path}; try again when it has ended")
        try:
            try:
                (self._folder / _NEW).unlink(missing_ok=True)
            except OSError as error:
                raise self._failed("be removed", self._folder / _NEW, error) from None
            yield
        finally:
            lock.release()

    def _failed(self, verb: str, path: Path, error: OSError) -> StoreError:
        return StoreError(f"{path} cannot {verb}: {error.strerror or error}; {way_out(error)}")


def _account_of(path: Path) -> str | None:
    """Return whose file it is, by its name alone; ``None`` if that does not say."""
    stem = path.name.removesuffix(_SUFFIX)
    account = unquote_to_bytes(stem).decode("utf-8", "surrogateescape")
    return account if file_name(account) == stem else None


def _load(path: Path) -> _Record | CredentialsExposed | StoreError | None:
    """
    Return what is in a file, ``None`` if there is none, or why it cannot be used.

    The error is returned and not raised, since its traceback would remember what was read.
    """
    try:
        data, about = read_file(path, _LONGEST_FILE)
    except FileNotFoundError:
        return None
    except OSError as error:
        then = way_out(error, "remove what is there, and log in again")
        return _unusable(path, f"cannot be read: {error.strerror or error}; {then}")
    exposed = _exposed(path, about, "600")
    if exposed is not None:
        return exposed
    try:
        if msgspec.json.decode(data, type=_Version).version > _VERSION:
            return _unusable(path, "were written by a newer version of sessionfsm; use that one")
        record = msgspec.json.decode(data, type=_Record, dec_hook=_secret)
    except ValueError:
        return _unusable(path, "are damaged; remove the file, and log in again")
    if bool(record.token) == bool(record.retired_by):
        return _unusable(path, "are damaged; remove the file, and log in again")
    of_token = record.account if record.token is None else account_id(record.token)
    if record.account != of_token or path.name != f"{file_name(record.account)}{_SUFFIX}":
        return _unusable(path, "are those of another account; remove the file, and log in again")
    return record


def _unusable(path: Path, why: str) -> StoreError:
    return StoreError(f"the credentials in {path} {why}")


def _store(path: Path, new: Path, record: _Record) -> str | None:
    """Write a file; return in words why it cannot be written."""
    try:
        write_file(path, new, msgspec.json.encode(record, enc_hook=_reveal), durable=True)
    except OSError as error:
        return f"{error.strerror or error}; {way_out(error)}"
    except ValueError:
        return "half a surrogate pair is in them; log in again"
    return None


def _exposed(path: Path, about: os.stat_result, mode: str) -> CredentialsExposed | None:
    """Return what is wrong if others can read or change the file or the folder, or own it."""
    name = shlex.quote(os.fspath(path))
    if about.st_uid != os.geteuid():
        return CredentialsExposed(
            f"{path} belongs to another user (uid {about.st_uid}), so it is not used; "
            f"run this as that user, or type: chown {os.geteuid()} {name}"
        )
    if about.st_mode & _OTHERS:
        return CredentialsExposed(f"others can read or change {path}, so it is not used; type: chmod {mode} {name}")
    return None


def _secret(kind: type, value: object) -> Secret:
    if kind is not Secret or not isinstance(value, str):
        raise ValueError("not a token")
    return Secret(value)


def _reveal(value: object) -> str:
    if not isinstance(value, Secret):
        raise TypeError(type(value).__name__)
    return value.reveal()
