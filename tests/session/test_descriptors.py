"""How many files may be open: found out before the sessions are, and said with what to type."""

import logging
import resource

import pytest

from sessionfsm import Credentials, MemoryCredentials, SessionManager
from sessionfsm.secret import Secret
from sessionfsm.session import descriptors
from sessionfsm.session.descriptors import check_descriptors, descriptors_needed

from .fleet import fleet, token_of
from .world import URL


class Limits:
    """A process with limits of its own."""

    def __init__(self, soft: int, hard: int) -> None:
        self.now = (soft, hard)
        self.refuses = False

    def get(self, which: int) -> tuple[int, int]:
        assert which == resource.RLIMIT_NOFILE
        return self.now

    def set(self, _which: int, limits: tuple[int, int]) -> None:
        if self.refuses:
            raise ValueError("not allowed to raise maximum limit")
        self.now = limits


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    made = Limits(1024, 524_288)
    monkeypatch.setattr(resource, "getrlimit", made.get)
    monkeypatch.setattr(resource, "setrlimit", made.set)
    return made


def test_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each session's poll, one for each send at the same time, 64 besides; a lock takes one if it is a file."""
    monkeypatch.setattr(descriptors, "parts_can_be_locked", lambda: False)
    assert descriptors_needed(10_000, sends=1000, locked=True) == 10_000 + 10_000 + 1000 + 64
    monkeypatch.setattr(descriptors, "parts_can_be_locked", lambda: True)
    assert descriptors_needed(10_000, sends=1000, locked=True) == 10_000 + 1000 + 64
    assert descriptors_needed(10_000, sends=1000, locked=False) == 10_000 + 1000 + 64
    assert descriptors_needed(10, sends=1000, locked=False) == 10 + 10 + 64


def test_enough_is_not_spoken_of(limits: Limits) -> None:
    """Neither a limit that is large enough, nor one that there is not."""
    assert check_descriptors(1024, 900, raise_it=True) == ""
    limits.now = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert check_descriptors(10**9, 10**9, raise_it=True) == ""


def test_too_few_come_with_what_to_type(limits: Limits) -> None:
    """A limit that the user may raise is raised by a shell command; another one by an administrator."""
    words = check_descriptors(3064, 1000, raise_it=False)
    assert words == (
        "1000 sessions need 3064 open files, and this process may have 1024: type 'ulimit -n 3064' before you start it"
    )
    assert limits.now == (1024, 524_288)
    limits.now = (1024, 2048)
    words = check_descriptors(3064, 1000, raise_it=False)
    assert "the hard limit is 2048" in words
    assert "LimitNOFILE=3064" in words


def test_the_limit_is_raised_when_that_is_asked_for(limits: Limits, caplog: pytest.LogCaptureFixture) -> None:
    """As far as is needed, or as far as is allowed; a refusal is not the end."""
    caplog.set_level(logging.INFO, "sessionfsm")
    assert check_descriptors(3064, 1000, raise_it=True) == ""
    assert limits.now == (3064, 524_288)
    limits.now = (1024, 2048)
    assert "may have 2048; the hard limit is 2048" in check_descriptors(3064, 1000, raise_it=True)
    assert limits.now == (2048, 2048)
    caplog.clear()
    assert "may have 2048; the hard limit is 2048" in check_descriptors(3064, 1000, raise_it=True)
    assert caplog.text == ""  # nothing was raised
    limits.now, limits.refuses = (1024, 524_288), True
    assert "type 'ulimit -n 3064'" in check_descriptors(3064, 1000, raise_it=True)


def test_a_manager_says_it_once_and_again_when_there_are_twice_as_many(
    limits: Limits, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand accounts are not a thousand warnings; nothing is raised that nobody has asked for."""
    limits.now = (100, 524_288)
    manager = SessionManager()
    with caplog.at_level(logging.WARNING):
        for number in range(100):
            manager.add(token_of(number), base_url=URL)
    assert [record.getMessage().partition(" sessions")[0] for record in caplog.records] == ["19", "38", "76"]
    assert limits.now == (100, 524_288)
    manager = SessionManager(raise_descriptor_limit=True)
    for number in range(100):
        manager.add(token_of(number), base_url=URL)
    assert limits.now == (400, 524_288)


@pytest.mark.anyio
async def test_of_all_that_are_stored_it_is_said_once(limits: Limits, caplog: pytest.LogCaptureFixture) -> None:
    """How many there are is known at the start: one line with what all of them need."""
    limits.now = (100, 524_288)
    credentials = MemoryCredentials()
    for number in range(50):
        credentials.save(Credentials(token=Secret(token_of(number)), base_url=URL))
    async with fleet(credentials=credentials) as w:
        w.most = 50
        said = [record.getMessage() for record in caplog.records if "open files" in record.getMessage()]
    assert [each.partition(",")[0] for each in said] == ["50 sessions need 164 open files"]


@pytest.mark.anyio
async def test_a_freeze_is_for_whoever_asks_for_it() -> None:
    """No session touches the collector by itself; asked for, it does not see what is there, and rarely looks at all."""
    import gc

    before, threshold = gc.get_freeze_count(), gc.get_threshold()
    async with fleet(3) as w:
        await w.manager.wait_started()
        assert (gc.get_freeze_count(), gc.get_threshold()) == (before, threshold)
        try:
            w.manager.freeze()
            assert gc.get_freeze_count() > before
            assert gc.get_threshold() == (*threshold[:2], 1000)
        finally:
            gc.unfreeze()
            gc.set_threshold(*threshold)
