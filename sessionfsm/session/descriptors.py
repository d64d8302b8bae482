"""How many files and sockets this process may have open, and whether so many sessions have room in that."""

from __future__ import annotations

import logging

from sessionfsm.store.lock_files import parts_can_be_locked

__all__ = ["OTHERS", "check_descriptors", "descriptors_needed"]

logger = logging.getLogger("sessionfsm")

OTHERS = 64
"""For the program itself: its standard streams, the store and its locks, the event loop, its own files."""


def descriptors_needed(sessions: int, *, sends: int, locked: bool) -> int:
    """
    Return how many descriptors so many sessions need.

    Args:
        sessions: Each has one connection, that of its poll.
        sends: How many texts are being sent at the same time, at most one for each session; each has a connection.
        locked: The store locks accounts between processes; where parts of a file cannot be locked, that is a file for
            each.
    """
    return sessions * (2 if locked and not parts_can_be_locked() else 1) + min(sends, sessions) + OTHERS


def check_descriptors(needed: int, sessions: int, *, raise_it: bool) -> str:
    """
    Return what is wrong with the process's limit, and what to type; empty if nothing is.

    Args:
        needed: How many descriptors there should be.
        sessions: For how many sessions, to be said.
        raise_it: Raise the soft limit, as far as the hard limit allows.
    """
    try:
        import resource
    except ImportError:  # no such limit here
        return ""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    if soft in (endless, -1) or soft >= needed:
        return ""
    allowed = hard in (endless, -1) or hard >= needed
    if raise_it and soft != hard:
        # Twice as many as before, at least: accounts are added one by one, and this is not to be done for each.
        wanted = max(needed, 2 * soft)
        wanted = wanted if hard in (endless, -1) else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:
            logger.warning("the limit of open files cannot be raised from %d to %d: %s", soft, wanted, error)
        else:
            logger.info("the limit of open files is raised from %d to %d", soft, wanted)
            if allowed:
                return ""
            soft = wanted
    problem = f"{sessions} sessions need {needed} open files, and this process may have {soft}"
    if allowed:
        return f"{problem}: type 'ulimit -n {needed}' before you start it"
    return (
        f"{problem}; the hard limit is {hard}, so that an administrator has to raise it: LimitNOFILE={needed} in the "
        f"systemd unit, '--ulimit nofile={needed}' for docker, or 'hard nofile {needed}' in /etc/security/limits.conf"
    )
