"""
Lifecycles to look at: the bug that this project exists for, naive repairs of it, and a table of one's own.

Each is a function from a policy to a table, for ``sessionfsm verify --machine sessionfsm.examples:NAME``.
"""

from .bugs import backoff_reset_by_renewal, official_client, retry_every_5_s
from .quiet_hours import quiet_hours, quiet_hours_wrong

__all__ = [
    "backoff_reset_by_renewal",
    "official_client",
    "quiet_hours",
    "quiet_hours_wrong",
    "retry_every_5_s",
]
