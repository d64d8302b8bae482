"""Headers and base_info."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfsm.errors import CredentialsMissing, DefinitionError
from sessionfsm.ilink.headers import (
    CHANNEL_VERSION,
    check_route_tag,
    check_token,
    client_version,
    post_headers,
    sanitize_bot_agent,
    wechat_uin,
)
from sessionfsm.secret import Secret

TOKEN = "0a1b2c3d4e5f@im.bot:00112233445566778899aabbccddeeff"


@pytest.mark.parametrize(
    ("version", "value"),
    [("2.4.9", "132105"), ("2.4.6", "132102"), ("2.4.3", "132099"), ("1.0.11", "65547"), ("1.0.0", "65536")],
)
def test_version_vectors(version: str, value: str) -> None:
    """The vectors of section 1.2."""
    assert client_version(version) == value


@pytest.mark.parametrize(
    ("number", "value"), [(305419896, "MzA1NDE5ODk2"), (0, "MA=="), (4294967295, "NDI5NDk2NzI5NQ==")]
)
def test_uin_vectors(number: int, value: str) -> None:
    """The vectors of section 1.2."""
    assert wechat_uin(number) == value


def test_a_version_may_have_a_suffix_and_overflows_by_eight_bits() -> None:
    """Each number is cut to its eight bits, and a pre-release counts as its release."""
    assert client_version("257.258.259-beta.1") == str(1 << 16 | 2 << 8 | 3)


@pytest.mark.parametrize("version", ["", "2", "2.4", "v2.4.9", "2.4.9\n", "2.4.x", "-1.0.0", "٢.٤.٩"])
def test_other_versions_are_refused(version: str) -> None:
    """A version that would be sent as zero is an error here."""
    with pytest.raises(DefinitionError, match=re.escape(CHANNEL_VERSION)):
        client_version(version)


@pytest.mark.parametrize("number", [-1, 2**32])
def test_other_numbers_are_refused(number: int) -> None:
    """X-WECHAT-UIN is an unsigned 32-bit integer."""
    with pytest.raises(DefinitionError):
        wechat_uin(number)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", "OpenClaw"),
        (" \t\n", "OpenClaw"),
        ("OpenClaw", "OpenClaw"),
        ("no products here", "OpenClaw"),
        ("sessionfsm/0.1.0 (example)", "sessionfsm/0.1.0 (example)"),
        ("MyBot/1.2.0-rc.1+build.5", "MyBot/1.2.0-rc.1+build.5"),
        ("  a/1 \t (two  words)\n b/2 ", "a/1 (two words) b/2"),
        ("a/1 bad! b/2", "a/1 b/2"),
        ("bad! (comment) b/2", "b/2"),
        ("a/1 (nul\x00) b/2", "a/1 b/2"),
        ("a/1 (ünïcode) b/2", "a/1 b/2"),
        ("a/1 () b/2", "a/1 b/2"),
        ("a/1 (" + "x" * 64 + ")", "a/1 (" + "x" * 64 + ")"),
        ("a/1 (" + "x" * 65 + ") b/2", "a/1 b/2"),
        ("a/1 (one) (two) b/2", "a/1 (one) b/2"),
        ("a/1 (never closed b/2", "a/1"),
        ("(first) a/1", "a/1"),
        ("a/1(glued)", "OpenClaw"),
        ("x" * 32 + "/" + "1" * 32, "x" * 32 + "/" + "1" * 32),
        ("x" * 33 + "/1 b/2", "b/2"),
        ("a/" + "1" * 33, "OpenClaw"),
        ("a/1/2 b/2", "b/2"),
        (" ".join(f"product/{n:024}" for n in range(9)), " ".join(f"product/{n:024}" for n in range(7))),
    ],
)
def test_bot_agents(text: str, kept: str) -> None:
    """What fits the grammar of section 1.3 is kept, what does not is dropped with nothing else."""
    assert sanitize_bot_agent(text) == kept


_PRODUCT = r"[A-Za-z0-9_.-]{1,32}/[A-Za-z0-9_.+-]{1,32}( \([\x20-\x27\x2A-\x7E]{1,64}\))?"


@given(st.one_of(st.text(), st.text(alphabet="ab/1 ()\n\x00", max_size=400)))
def test_every_bot_agent_fits_the_grammar(text: str) -> None:
    """Whatever the configuration says, what is sent fits the grammar and 256 bytes, and is stable."""
    agent = sanitize_bot_agent(text)
    assert agent == "OpenClaw" or re.fullmatch(rf"{_PRODUCT}( {_PRODUCT})*", agent)
    assert len(agent.encode("ascii")) <= 256
    assert sanitize_bot_agent(agent) == agent


def test_a_token_is_stripped() -> None:
    """A line feed from a file does not become a part of the token."""
    assert check_token(f"  {TOKEN}\r\n") == Secret(TOKEN) == check_token(Secret(f"{TOKEN}\n"))


@pytest.mark.parametrize("token", ["", "  \n", Secret(""), Secret("\t")])
def test_no_token_is_told(token: Secret | str) -> None:
    """A request without a token would be answered with -14, which says something else."""
    with pytest.raises(CredentialsMissing):
        check_token(token)


@pytest.mark.parametrize(
    "token", ["Bearer hunter2", "hunter2\r\nX-Evil: 1", "hunter2é", "hunter2\x7f", "hunter2\ud800"]
)
def test_a_token_that_breaks_a_header_is_refused_unseen(token: str) -> None:
    """What could not stand in a header is refused, and the message does not repeat it."""
    with pytest.raises(DefinitionError) as caught:
        check_token(token)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("tag", ["", " ", "a\nb", "é"])
def test_a_route_tag_that_breaks_a_header_is_refused(tag: str) -> None:
    """A route tag cannot smuggle a header in."""
    with pytest.raises(DefinitionError):
        check_route_tag(tag)


def test_the_headers_of_the_example() -> None:
    """The header set of section 7, and what we can unpack."""
    headers = post_headers(token=Secret(TOKEN), version="132105", route_tag=None)
    assert headers == {
        "Content-Type": "application/json",
        "AuthorizationType": "ilink_bot_token",
        "Authorization": f"Bearer {TOKEN}",
        "iLink-App-Id": "bot",
        "iLink-App-ClientVersion": "132105",
        "Accept-Encoding": "gzip, deflate",
    }
    tagged = post_headers(token=Secret(TOKEN), version="132105", route_tag="7")
    assert tagged["SKRouteTag"] == "7"
