"""Which servers a token may be sent to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfsm.errors import AddressError
from sessionfsm.ilink.address import DEFAULT_BASE_URL, check_base_url, is_loopback


@pytest.mark.parametrize(
    ("given_url", "origin"),
    [
        (DEFAULT_BASE_URL, "https://ilinkai.weixin.qq.com/"),
        ("https://ilinkai.weixin.qq.com/", "https://ilinkai.weixin.qq.com/"),
        ("https://weixin.qq.com", "https://weixin.qq.com/"),
        ("HTTPS://ILinkAI.Weixin.QQ.com:443/", "https://ilinkai.weixin.qq.com/"),
        ("https://ilinkai-hk.weixin.qq.com:8443", "https://ilinkai-hk.weixin.qq.com:8443/"),
        ("https://ilinkai.weixin.qq.com.", "https://ilinkai.weixin.qq.com/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("http://127.8.9.10", "http://127.8.9.10/"),
        ("http://localhost:80/", "http://localhost/"),
        ("https://LOCALHOST:1", "https://localhost:1/"),
        ("http://[::1]:65535", "http://[::1]:65535/"),
        ("http://[0:0:0:0:0:0:0:1]", "http://[::1]/"),
    ],
)
def test_allowed_origins_are_normalised(given_url: str, origin: str) -> None:
    """What is allowed comes back as one spelling, with exactly one slash, and is allowed again."""
    assert check_base_url(given_url) == origin
    assert check_base_url(origin) == origin


@pytest.mark.parametrize(
    "url",
    [
        "https://evilweixin.qq.com",
        "https://weixin.qq.com.evil.example",
        "https://weixin.qq.com@evil.example",
        "https://weixin.qq.com%2eevil.example",
        "https://evil.example\\@weixin.qq.com",
        "https://evil.example\\.weixin.qq.com",
        "https://evil.example#.weixin.qq.com",
        "https://evil.example?.weixin.qq.com",
        "https://evil.example/.weixin.qq.com",
        "https://qq.com",
        "http://ilinkai.weixin.qq.com",
        "ftp://ilinkai.weixin.qq.com",
        "ilinkai.weixin.qq.com",
        "//ilinkai.weixin.qq.com",
        "https:ilinkai.weixin.qq.com",
        "https:///ilinkai.weixin.qq.com",
        "https://",
        "https://:443",
        "",
        " https://ilinkai.weixin.qq.com",
        "https://ilinkai.weixin.qq.com\n",
        "https://ilinkai\t.weixin.qq.com",
        "https://ilinkai.weixin.qq.com\x00",
        "https://ilinkai.weixin.qq.com/path",
        "https://ilinkai.weixin.qq.com//",
        "https://ilinkai.weixin.qq.com?",
        "https://ilinkai.weixin.qq.com#",
        "https://@ilinkai.weixin.qq.com",
        "https://ilinkai.weixin.qq.com:",
        "https://ilinkai.weixin.qq.com:0",
        "https://ilinkai.weixin.qq.com:65536",
        "https://ilinkai.weixin.qq.com:+443",
        "https://ilinkai.weixin.qq.com:4_4_3",
        "https://ilinkai.weixin.qq.com:443:443",
        "https://ilinkai.weixin.qq.com:٤٤٣",
        "https://ilinkai.weixin.qq.com..",
        "https://ilinkai..weixin.qq.com",
        "https://.weixin.qq.com",
        "https://-.weixin.qq.com",
        "https://ilinkai.weixin.qq.com。",
        "https://ilinkai.weixin。qq.com",
        "https://\uff49linkai.weixin.qq.com",
        "https://*.weixin.qq.com",
        "https://" + "a" * 64 + ".weixin.qq.com",
        "https://" + "a." * 130 + "weixin.qq.com",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.0.0.1",
        "http://0177.0.0.1",
        "http://127.0.0.256",
        "http://127.0.0.1.5",
        "http://10.0.0.5:8080",
        "http://localhost.evil.example",
        "http://evil.localhost",
        "http://[::2]",
        "http://[::1%25lo]",
        "http://[::ffff:127.0.0.1",
        "http://[127.0.0.1]",
        "http://[::1]x",
        "http://::1",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    """No spelling gets a token to a host that was not allowed, nor is guessed at."""
    with pytest.raises(AddressError):
        check_base_url(url)


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("bots.example.com", "https://bots.example.com", True),
        ("Bots.Example.com.", "https://bots.example.com:8443/", True),
        ("bots.example.com", "http://bots.example.com", False),
        ("bots.example.com", "https://x.bots.example.com", False),
        ("bots.example.com", "https://xbots.example.com", False),
        ("bots.example.com:8443", "https://bots.example.com:8443", True),
        ("bots.example.com:8443", "https://bots.example.com", False),
        ("bots.example.com:443", "https://bots.example.com", True),
        ("bots.example.com:443", "https://bots.example.com:8443", False),
        ("http://10.0.0.5:8080", "http://10.0.0.5:8080/", True),
        ("http://10.0.0.5:8080", "http://10.0.0.5", False),
        ("http://10.0.0.5:8080", "https://10.0.0.5:8080", False),
        ("https://bots.example.com/", "https://bots.example.com:443", True),
        ("[2001:db8::1]", "https://[2001:DB8:0::1]:9", True),
    ],
)
def test_callers_can_allow_more(entry: str, url: str, allowed: bool) -> None:
    """A host means https there; an origin means exactly itself; neither means anything below it."""
    if allowed:
        assert check_base_url(url, [entry])
    else:
        with pytest.raises(AddressError):
            check_base_url(url, [entry])


@pytest.mark.parametrize("entry", ["*", "*.example.com", "u:pw@example.com", "example.com/x", "", "http://"])
def test_a_wrong_entry_is_named_as_such(entry: str) -> None:
    """An entry that cannot mean anything is an error, not an entry that matches nothing."""
    with pytest.raises(AddressError, match="entry of allow_hosts"):
        check_base_url("https://bots.example.com", [entry])


def test_one_string_is_no_collection_of_hosts() -> None:
    """The commonest slip is told, instead of being read as a list of letters."""
    with pytest.raises(AddressError, match="collection"):
        check_base_url("https://bots.example.com", "bots.example.com")


@pytest.mark.parametrize(
    "url", ["https://user:hunter2@evil.example", "https://evil.example/?token=hunter2", "https://evil.example#hunter2"]
)
def test_messages_show_no_secret_part_of_a_url(url: str) -> None:
    """User info, queries and fragments may be credentials: the message does not repeat them."""
    with pytest.raises(AddressError) as caught:
        check_base_url(url)
    assert "hunter2" not in str(caught.value)


def test_the_message_says_what_to_write() -> None:
    """A refusal names the way out."""
    with pytest.raises(AddressError, match=r"allow_hosts=\['bots\.example\.com'\]"):
        check_base_url("https://bots.example.com")
    with pytest.raises(AddressError, match=r"allow_hosts=\['http://10\.0\.0\.5:8080'\]"):
        check_base_url("http://10.0.0.5:8080")


@given(st.one_of(st.text(), st.text(alphabet="htps:/.@[]%0123456789weixnq.com-\\")))
def test_any_text_is_allowed_or_refused(text: str) -> None:
    """Whatever is passed, the answer is an origin or our own error; and what is allowed is where tokens belong."""
    for candidate in (text, f"https://{text}", f"http://{text}", f"https://{text}.weixin.qq.com"):
        try:
            origin = check_base_url(candidate)
        except AddressError:
            continue
        host = origin.split("://")[1].removesuffix("/").rsplit(":", 1)[0].strip("[]")
        assert f".{origin.split('://')[1].split(':')[0].rstrip('/')}".endswith(".weixin.qq.com") or is_loopback(host)
