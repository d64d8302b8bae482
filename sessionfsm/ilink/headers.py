"""What accompanies every request: headers and ``base_info`` (docs/reference/protocol.md, sections 1.2 and 1.3)."""

from __future__ import annotations

import base64
import re

from sessionfsm._version import __version__
from sessionfsm.errors import CredentialsMissing, DefinitionError
from sessionfsm.secret import Secret

__all__ = [
    "CHANNEL_VERSION",
    "DEFAULT_BOT_AGENT",
    "check_route_tag",
    "check_token",
    "client_version",
    "post_headers",
    "sanitize_bot_agent",
    "stripped",
    "wechat_uin",
]

CHANNEL_VERSION = "2.4.9"
"""The reference client whose wire this library speaks."""

DEFAULT_BOT_AGENT = f"sessionfsm/{__version__}"
"""How a bot names itself when its author gives it no name."""

_OFFICIAL_BOT_AGENT = "OpenClaw"
_BOT_AGENT_BYTES = 256
_PRODUCT = re.compile(r"[A-Za-z0-9_.-]{1,32}/[A-Za-z0-9_.+-]{1,32}")
_COMMENT = re.compile(r"\([\x20-\x27\x2A-\x7E]{1,64}\)")
_TOKEN = re.compile(r"[!-~]+")
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})(?:[-+][0-9A-Za-z.+-]*)?")


def client_version(version: str) -> str:
    """
    Return the value of ``iLink-App-ClientVersion`` for *version*: its three numbers, eight bits each.

    Raises:
        DefinitionError: If *version* is not of the form ``major.minor.patch``.
    """
    found = _VERSION.fullmatch(version)
    if found is None:
        raise DefinitionError(f"a channel version looks like {CHANNEL_VERSION!r}, not {version[:40]!r}")
    major, minor, patch = (int(number) & 255 for number in found.groups())
    return str(major << 16 | minor << 8 | patch)


def wechat_uin(number: int) -> str:
    """
    Return the value of ``X-WECHAT-UIN`` for *number*, which the caller draws anew for each request.

    Raises:
        DefinitionError: If *number* is no unsigned 32-bit integer.
    """
    if not 0 <= number < 2**32:
        raise DefinitionError(f"X-WECHAT-UIN is made from an integer in [0, 2**32), not {number!r}")
    return base64.b64encode(b"%d" % number).decode("ascii")


def sanitize_bot_agent(text: str) -> str:
    """
    Return what of *text* fits the grammar of ``bot_agent``; ``OpenClaw`` when nothing does.

    A product that does not fit is dropped together with its comment, a comment that does not fit is dropped alone.
    Above 256 bytes whole products are dropped from the end.
    """
    products: list[str] = []
    may_comment = False  # only directly after a product that was kept
    words = iter(text.split())
    for word in words:
        if word.startswith("("):
            comment = word
            while not comment.endswith(")") and (more := next(words, None)) is not None:
                comment += f" {more}"
            if may_comment and _COMMENT.fullmatch(comment):
                products[-1] += f" {comment}"
            may_comment = False
        else:
            may_comment = _PRODUCT.fullmatch(word) is not None
            if may_comment:
                products.append(word)
    while len(" ".join(products)) > _BOT_AGENT_BYTES:
        products.pop()
    return " ".join(products) or _OFFICIAL_BOT_AGENT


def check_token(token: Secret | str) -> Secret:
    """
    Return *token* without surrounding white space.

    Raises:
        CredentialsMissing: If nothing is left.
        DefinitionError: If it could not stand in a header as it is. The message does not show it.
    """
    token = Secret.of(token)
    token = stripped(token)
    if not token:
        raise CredentialsMissing("there is no bot token: log in, or pass token=...")
    if _TOKEN.fullmatch(token.reveal()) is None:
        raise DefinitionError(
            "the bot token has a space, a control character or a character outside ASCII in it; "
            "pass the token alone, without 'Bearer'"
        )
    return token


def stripped(token: Secret | str) -> Secret:
    """
    Return *token* without surrounding white space.

    Raises:
        DefinitionError: If it is no string.
    """
    token = Secret.of(token)
    if not isinstance(token.reveal(), str):
        raise DefinitionError("the bot token is a string; pass the text that the login gave")
    return Secret(token.reveal().strip())


def check_route_tag(route_tag: str) -> str:
    """
    Return *route_tag* without surrounding white space.

    Raises:
        DefinitionError: If it is empty, or could not stand in a header as it is.
    """
    text = route_tag.strip()
    if not text or not all(" " <= character <= "~" for character in text):
        raise DefinitionError("a route tag is printable ASCII; pass route_tag=None to send none")
    return text


def post_headers(*, token: Secret, version: str, route_tag: str | None) -> dict[str, str]:
    """
    Return the headers of every authenticated POST; ``X-WECHAT-UIN`` goes besides, and is new for each request.

    The result holds the token in clear: send it, and keep it where nobody looks.
    """
    headers = {
        "Content-Type": "application/json",
        "AuthorizationType": "ilink_bot_token",
        "Authorization": f"Bearer {token.reveal()}",
        "iLink-App-Id": "bot",
        "iLink-App-ClientVersion": version,
        # What body.py can unpack within a bound.
        "Accept-Encoding": "gzip, deflate",
    }
    if route_tag is not None:
        headers["SKRouteTag"] = route_tag
    return headers
