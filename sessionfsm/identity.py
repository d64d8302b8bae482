"""What an account is called: a name that can be shown, made from a token that cannot."""

from __future__ import annotations

import hashlib

from .secret import Secret

__all__ = ["account_id"]


def account_id(token: Secret) -> str:
    """
    Return the account that *token* belongs to.

    It is the part before ``:`` if that ends in ``@im.bot`` (docs/reference/protocol.md, section 2.2), and otherwise
    ``t-`` and 16 hex digits of the token's SHA-256: nothing of a token of unknown form is shown.
    """
    name, colon, _ = token.reveal().partition(":")
    if colon and name.endswith("@im.bot"):
        return name
    return "t-" + hashlib.sha256(token.reveal().encode("utf-8", "surrogatepass")).hexdigest()[:16]
