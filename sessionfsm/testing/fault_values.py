"""Values that servers and networks were seen to send, or could: what strategies and simulations choose from."""

from __future__ import annotations

from typing import Final

__all__ = ["BODIES", "CODES", "HINTS", "RETRY_AFTERS", "STATUSES"]

CODES: Final = (-14, -1, -2, -3, -4, 1)

STATUSES: Final = (302, 401, 403, 404, 405, 408, 429, 500, 501, 502, 503, 504, 524)

RETRY_AFTERS: Final = (None, "0", "3", "3600", "1e9", "-1", "nan", "soon")

HINTS: Final = ("1", "0", "-5", "3600000", "1e300", '"soon"', "null", "[]", "35000")
"""JSON text for ``longpolling_timeout_ms``."""

BODIES: Final = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"ret":0}',
    b'{"msgs":[]}',
    b'{"msgs":null,"get_updates_buf":null}',
    b'{"msgs":[1,null,{}],"get_updates_buf":"x"}',
    b'{"ret":-1,"errmsg":"system error"}',
    b'{"ret":"-14"}',
    b'{"errcode":-14,"msgs":[],"get_updates_buf":"x"}',
    b'{"msgs":[{"message_id":1e400}]}',
    b'{"ret":1e309}',
    b"[" * 5000,
    b'{"msgs":[],"longpolling_timeout_ms":3600000}',
    b'{"msgs":[],"longpolling_timeout_ms":-1}',
)
