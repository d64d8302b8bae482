"""What a machine must allow for a number of sessions."""

from __future__ import annotations

import importlib.util
import os
import resource

__all__ = ["why_not"]

_BESIDES = 128
_PER_SESSION = 1  # a connection
_KB_PER_SESSION = 500  # six rows and their servers, TLS included


def why_not(sessions: int, backend: str = "asyncio") -> str:
    """Return why so many sessions cannot be measured here, and what to do; nothing if they can."""
    if backend == "uvloop" and importlib.util.find_spec("uvloop") is None:
        return "uvloop is not installed"
    if not os.path.exists("/proc/self/statm"):
        return "memory is read from /proc, which this system does not have"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sessions * _PER_SESSION + _BESIDES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = hard == resource.RLIM_INFINITY or hard >= wanted
        way = f"write: ulimit -n {wanted}" if allowed else f"the hard limit is {hard}; root can raise it"
        return f"{wanted:,} open files are needed and {soft:,} are allowed; {way}"
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    if free < sessions * _KB_PER_SESSION:
        return f"{sessions * _KB_PER_SESSION // 1024:,} MB of free memory are wanted, and there are {free // 1024:,}"
    return ""
