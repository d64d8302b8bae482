"""A secret is shown by nothing that shows things."""

import copy
import json
import pickle
import traceback

import pytest

from sessionfsm import Secret
from sessionfsm.identity import account_id


def test_no_way_of_showing_shows_it() -> None:
    """repr, str, format, %-formatting and containers hide the text; reveal() gives it."""
    secret = Secret("hunter2")
    shown = [f"{secret} {secret!r} {secret:>20}", str([secret, {"k": secret}]), "%s %r" % (secret, secret)]  # noqa: UP031
    assert not any("hunter2" in text for text in shown)
    assert secret.reveal() == "hunter2"


def test_it_cannot_leave_by_pickle_copy_or_json() -> None:
    """What writes objects out refuses it, and says why."""
    for leave in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            leave(Secret("hunter2"))


def test_a_traceback_with_locals_does_not_show_it() -> None:
    """The tools that print local variables print its repr."""
    try:
        secret = Secret("hunter2")
        raise ValueError(secret)
    except ValueError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    # The line that made it is in the source, not in the locals.
    assert "hunter2" not in text.replace('Secret("hunter2")', "")


def test_equality_and_truth() -> None:
    """Equal texts are equal secrets; an empty one is false; a plain string is never equal."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a")
    assert not Secret("")
    assert Secret("\ud800") == Secret("\ud800")


@pytest.mark.parametrize(
    ("token", "name"),
    [
        ("0a1b2c3d4e5f@im.bot:00112233", "0a1b2c3d4e5f@im.bot"),
        ("0a1b2c3d4e5f@im.bot", "t-"),  # no colon: the whole of it is the token
        ("abc:def", "t-"),
        ("plain", "t-"),
    ],
)
def test_the_account_of_a_token_shows_nothing_secret(token: str, name: str) -> None:
    """The bot id is public; of any other token only a hash is shown."""
    account = account_id(Secret(token))
    assert account.startswith(name)
    if name == "t-":
        assert len(account) == 18
        assert token not in account
