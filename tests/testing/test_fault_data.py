"""Faults as data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sessionfsm.errors import DefinitionError
from sessionfsm.testing import FakeServer, Fault, faults, load_faults

EXAMPLES: list[tuple[Fault, str]] = [
    (faults.Expire(), "-14, cured by notifystart"),
    (faults.Expire(held_s=20, for_s=60, shape="both"), "-14 after 20 s, cured by notifystart or after 60 s"),
    (faults.Takeover(for_s=60), "taken over: -14, and notifystart does not help for 60 s"),
    (faults.Takeover(), "taken over: -14, and notifystart does not help"),
    (faults.Takeover(notifystart="denied"), "taken over: -14, and notifystart is denied too"),
    (faults.Lapse(shape="null"), "silent lapse: hollow answers, cured by notifystart"),
    (faults.Status(status=524, held_s=17), "HTTP 524 after 17 s, once"),
    (faults.Status(status=429, retry_after="30", times=3), "HTTP 429, Retry-After 30, 3 times"),
    (faults.Code(endpoint="getupdates"), "code -14 on getupdates, once"),
    (faults.Code(code=-1, endpoint="notifystart", for_s=9), "code -1 on notifystart for 9 s"),
    (faults.Html(), "an HTML page, once"),
    (faults.Garbage(), "bytes that are no text, once"),
    (faults.Body(body=b"\xff"), "HTTP 200 with 1 bytes of your own, once"),
    (faults.Truncated(body=b"{"), "the answer breaks off, once"),
    (faults.Drip(each_s=5), "a body without end, a byte each 5 s, once"),
    (faults.Reset(times=2, for_s=5), "the connection is lost, 2 times for 5 s"),
    (faults.Hang(token="secret"), "never answered, once"),
    (faults.Redirect(), "HTTP 302 to somewhere else, once"),
    (faults.Oversize(size=10), "a body of 10 bytes, once"),
    (faults.Slow(delay_s=2), "2 s late, once"),
    (faults.Instant(for_s=60), "polls are not held for 60 s"),
    (faults.Hint(hint="null"), "the hint null, once"),
    (faults.Outage(at_s=5, for_s=30), "outage: connections are refused for 30 s"),
    (faults.Message(copies=2), "a user writes, and it comes 2 times"),
]


@pytest.mark.parametrize(("fault", "sentence"), EXAMPLES, ids=lambda value: getattr(value, "kind", ""))
def test_fault_survives_a_dict_and_describes_itself(fault: Fault, sentence: str) -> None:
    """A fault written to a dict and read again is equal, hashable, and says in words what it does."""
    again = Fault.from_dict(fault.to_dict())
    assert again == fault
    assert hash(again) == hash(fault)
    assert fault.describe() == sentence
    assert "secret" not in repr(fault)


def test_examples_have_every_kind() -> None:
    """No kind is left untested, and every kind stands in the module's tables."""
    assert {fault.kind for fault, _ in EXAMPLES} == set(faults.KINDS)
    assert faults.__doc__ is not None
    assert all(f"\n``{kind}``" in faults.__doc__ for kind in faults.KINDS)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('kind = "expires"', "unknown kind 'expires' (accepted: expire, takeover, lapse, status, code"),
        ("at_s = 1", "kind is missing (accepted: expire"),
        (
            'kind = "expire"\nstatus = 500',
            "expire: unknown field 'status' (accepted: at_s, token, for_s, held_s, answer_held, shape)",
        ),
        ('kind = "expire"\nat_s = -1', "expire: at_s must be a number of seconds, 0 or more, not -1"),
        ('kind = "expire"\nat_s = nan', "expire: at_s must be a number of seconds, 0 or more, not nan"),
        ('kind = "expire"\nat_s = true', "expire: at_s must be a number of seconds, 0 or more, not True"),
        ('kind = "outage"\nfor_s = 0', "outage: for_s must be a number of seconds, 0.001 or more, not 0"),
        (
            'kind = "expire"\nshape = "x"',
            "expire: shape must be one of errcode, ret, both, ret_zero, not 'x'",
        ),
        ('kind = "status"\ntimes = 0', "status: times must be a whole number, 1 or more, not 0"),
        ('kind = "status"\nstatus = 99', "status: status must be a whole number from 200 to 599, not 99"),
        ('kind = "status"\nendpoint = "x"', "status: endpoint must be one of getupdates, notifystart"),
        ('kind = "status"\nretry_after = "1\\nX: 2"', "status: retry_after must be printable ASCII"),
        ('kind = "code"\ncode = 0', "code: code must be a whole number that is not 0, not 0"),
        ('kind = "body"\nbody_hex = "f"', "body: body_hex must be pairs of hexadecimal digits"),
        ('kind = "body"\nbody_hex = "ff"\nbody = "x"', "body: give body or body_hex, not both"),
        ('kind = "instant"\nendpoint = "sendmessage"', "instant: endpoint must be one of getupdates, not"),
        ('kind = "outage"\ntoken = "a"', "outage: token must be left out"),
        ('kind = "lapse"\nanswer_held = 1', "lapse: answer_held must be true or false, not 1"),
        ('kind = "message"\ntext = 1', "message: text must be text, not 1"),
        ('kind = "expire"\ntoken = ["very secret"]', "expire: token must be a token or the name of an account"),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, text: str, problem: str) -> None:
    """A mistake in a schedule is named with file, entry, field, and what would have been right."""
    file = tmp_path / "faults.toml"
    file.write_text(f'[[fault]]\nkind = "expire"\n[[fault]]\n{text}\n')
    with pytest.raises(DefinitionError) as caught:
        load_faults(file)
    assert str(caught.value).startswith(f"{file}: fault 2: {problem}")
    assert "very secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[fault]", "this is not TOML"),
        ("x = 1", "unknown entry 'x'"),
        ("[fault]\nkind = 'expire'", "fault must be an array of tables"),
        ("fault = [1]", "fault 1: this is not a table"),
    ],
)
def test_a_file_that_is_no_schedule_is_explained(tmp_path: Path, text: str, problem: str) -> None:
    """What is no schedule at all is refused with the way to write one."""
    file = tmp_path / "faults.toml"
    file.write_text(text)
    with pytest.raises(DefinitionError, match=r"faults\.toml: ") as caught:
        load_faults(file)
    assert problem in str(caught.value)


def test_a_good_file_is_read_in_order(tmp_path: Path) -> None:
    """A schedule is read as it is written."""
    file = tmp_path / "faults.toml"
    file.write_text('[[fault]]\nkind = "outage"\nat_s = 60\nfor_s = 30\n[[fault]]\nkind = "body"\nbody_hex = "ff00"\n')
    assert load_faults(file) == [faults.Outage(at_s=60.0, for_s=30.0), faults.Body(body=b"\xff\x00")]


def test_importing_the_kit_imports_no_test_framework() -> None:
    """Who only wants the fake server needs no pytest, hypothesis or trio."""
    code = "import sys, sessionfsm.testing; print(*{'pytest', 'hypothesis', 'trio'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_server_is_set_up_without_an_event_loop() -> None:
    """Accounts, messages and faults without an end by the clock need no loop."""
    server = FakeServer()
    account = server.account("a")
    account.push()
    for fault, _ in EXAMPLES:
        if not fault.lasts_s:
            server.apply(fault)
    assert account.state == "lapsed"
    server.clear()
    assert account.state == "live"
