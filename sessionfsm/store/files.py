"""Files that are their owner's alone: how they are named, made, read, replaced and locked."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import UnixFileLock

__all__ = ["file_name", "lock_file", "make_private_folder", "read_file", "sync_folder", "way_out", "write_file"]

_UNSAFE = re.compile(rb"^\.|[^A-Za-z0-9@._-]")
_LONGEST_NAME = 200  # bytes; 255 are allowed, and a suffix comes after it


def way_out(
    error: OSError, otherwise: str = "the folder must be yours, on a local file system that is not full"
) -> str:
    """Return what to do about *error*: nothing is wrong with any file if the process has too many of them open."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "this process needs a higher limit of open files: ulimit -n, or LimitNOFILE="
    return otherwise


def file_name(account: str) -> str:
    """
    Return a name for the account's file, without a suffix: other accounts have other names.

    Letters, digits and ``@._-`` stay, ``%`` and two hex digits stand for every other byte. The end of a name that is
    too long for a file system is replaced by ``~`` and its SHA-256.
    """
    text = account.encode("utf-8", "surrogatepass")
    name = _UNSAFE.sub(lambda found: b"%%%02X" % ord(found[0]), text).decode("ascii")
    if len(name) > _LONGEST_NAME:
        return f"{name[:100]}~{hashlib.sha256(text).hexdigest()}"
    return name or "%"


def make_private_folder(folder: Path) -> None:
    """
    Make *folder*, and those above it that are missing, for the owner alone, whatever the umask. One that is there
    stays as it is.

    Raises:
        OSError: If that cannot be done.
    """
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_private_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        os.chmod(folder, 0o700)  # the umask may have taken something away


def lock_file(path: Path, *, timeout_s: float) -> UnixFileLock | None:
    """
    Lock a file by ``flock``, and make it when it is missing; return ``None`` if it is locked.

    The lock is in force until it is released, by any thread, or until the process has ended. The file stays: its
    presence means nothing.

    Args:
        timeout_s: How long to wait for it, in seconds; 0 to try once.

    Raises:
        OSError: If it cannot be locked: there is no ``flock`` there, or the file is no ordinary one.
    """
    # At its import filelock starts to watch forks, which is of no use to those who lock nothing.
    from filelock import Timeout, UnixFileLock

    # A soft lock, which is the file's presence, would outlive a process that is killed.
    lock = UnixFileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        return None
    return lock


def read_file(path: Path, limit: int) -> tuple[bytes, os.stat_result]:
    """
    Return what is in a file, and of whom it is.

    Args:
        path: An ordinary file; links are not followed.
        limit: How many bytes it may have.

    Raises:
        OSError: If it cannot be read, is no ordinary file, or is longer.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not an ordinary file", os.fspath(path))
        if about.st_size > limit:
            raise OSError(errno.EFBIG, f"longer than {limit} bytes", os.fspath(path))
        # Its owner may write on while it is read.
        parts, wanted = [], limit
        while wanted and (part := os.read(descriptor, wanted)):
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts), about
    finally:
        os.close(descriptor)


def write_file(path: Path, new: Path, data: bytes, *, durable: bool) -> None:
    """
    Put *data* in the place of *path*, for the owner alone, whatever the umask. Who reads finds the old or the new.

    Args:
        path: The file.
        new: What it is called until it is whole, in the same folder. There must be no such file.
        durable: Whether it stays so after a power failure.

    Raises:
        OSError: If that cannot be done. What was there stays, unless only making it durable has failed.
    """
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        try:
            os.fchmod(descriptor, 0o600)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """
    Make durable which files are in *folder*.

    Raises:
        OSError: If that cannot be done.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
