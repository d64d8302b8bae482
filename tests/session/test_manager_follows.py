"""A manager follows where logins are kept: what comes is started, what goes is stopped, what is replaced goes over."""

import logging
import os
from pathlib import Path

import anyio
import pytest

from sessionfsm import Credentials, CredentialsExposed, Cure, DefinitionError, MemoryCredentials, MemoryStore, Session
from sessionfsm.ilink import Message
from sessionfsm.secret import Secret
from sessionfsm.store import CredentialFolder

from .fleet import fleet, name_of, token_of
from .world import URL

pytestmark = pytest.mark.anyio


def login(number: int, user: str = "", base_url: str = URL) -> Credentials:
    return Credentials(token=Secret(token_of(number)), base_url=base_url, user_id=user)


async def test_logins_come_and_go_while_it_runs(caplog: pytest.LogCaptureFixture) -> None:
    """Within seconds a new login is served, and one that was removed has been stopped in order; both are logged."""
    caplog.set_level(logging.INFO, "sessionfsm")
    credentials = MemoryCredentials()
    credentials.save(login(0))
    credentials.save(login(1))
    async with fleet(credentials=credentials) as w:
        w.most = 3
        assert w.manager.accounts == [name_of(0), name_of(1)]
        await w.until_ready()
        credentials.save(login(2))
        credentials.remove(name_of(0))
        began = anyio.current_time()
        await w.until(lambda: w.manager.accounts == [name_of(1), name_of(2)])
        assert anyio.current_time() - began <= 6
        await w.until_ready()
    assert [record.getMessage() for record in caplog.records if "starting it" in record.getMessage()] == [
        f"{name_of(2)}: it is new among the stored credentials: starting it"
    ]
    assert len(w.requests("notifystop", 0)) == 1


async def test_another_login_of_the_same_user_is_gone_over_to_and_not_started_beside() -> None:
    """One session goes on as the new bot, with the messages that were left; no account is polled twice."""
    credentials, store = MemoryCredentials(), MemoryStore()
    credentials.save(login(0, "user@im.wechat"))
    got: list[str] = []
    ready = False

    async def handler(session: Session, message: Message) -> None:
        if not ready:
            await anyio.sleep_forever()
        got.append(f"{session.account}: {message.text}")

    async with fleet(credentials=credentials, store=store) as w, anyio.create_task_group() as group:
        w.most = 2

        async def deliver() -> None:
            await w.manager.deliver(handler, limit_s=20)

        group.start_soon(deliver)
        await w.until_ready()
        w.account(0).push("left")
        await w.until(lambda: w.health(0).in_hand == 1)
        credentials.save(login(5, "user@im.wechat"))
        await anyio.sleep(20)
        assert w.manager.accounts == [name_of(0)]  # the old one polls on for as long as the server lets it
        ready = True
        w.account(0).take_over(notifystart="denied", answer_held=True)
        await w.until(lambda: w.manager.accounts == [name_of(5)])
        w.account(5).push("new")
        await w.until(lambda: len(got) == 2)
        await anyio.sleep(30)
        assert w.manager.accounts == [name_of(5)]
        await w.until_ready()
        await w.manager.stop()
    assert sorted(got) == [f"{name_of(5)}: left", f"{name_of(5)}: new"]
    assert len(w.requests("notifystart", 5)) == 1


async def test_an_account_that_waits_to_be_tried_again_starts_as_its_successor() -> None:
    """Its user has logged in again while there was no session: it goes on under the new name at once."""
    credentials, store = MemoryCredentials(), MemoryStore()
    credentials.save(login(0, "user@im.wechat"))
    store.acquire(name_of(0))
    async with fleet(credentials=credentials, store=store) as w:
        w.most = 2
        await w.until(lambda: w.manager.status().restarts == 8)
        credentials.save(login(5, "user@im.wechat"))
        began = anyio.current_time()
        await w.until(lambda: w.requests("getupdates", 5))
        assert anyio.current_time() - began < 7
        assert w.manager.accounts == [name_of(5)]


async def test_one_that_was_removed_by_hand_stays_away_while_it_is_stored() -> None:
    """It is not started again behind the user's back; after it was gone and has come again, it is."""
    credentials = MemoryCredentials()
    for number in range(2):
        credentials.save(login(number))
    async with fleet(credentials=credentials) as w:
        await w.until_ready()
        await w.manager.remove(name_of(0))
        await anyio.sleep(60)
        assert w.manager.accounts == [name_of(1)]
        credentials.remove(name_of(0))
        await anyio.sleep(6)
        credentials.save(login(0))
        await w.until(lambda: len(w.manager.accounts) == 2, limit_s=6)
        with pytest.raises(DefinitionError, match="are followed: save the new ones where they are kept"):
            await w.manager.replace(name_of(0), token_of(7))


async def test_a_stored_address_that_is_not_allowed_is_looked_at_again() -> None:
    """Somebody can mend it where it is stored; the reason names the way out, and the others run."""
    credentials = MemoryCredentials()
    credentials.save(login(0))
    credentials.save(login(1, base_url="https://example.com"))
    async with fleet(credentials=credentials) as w:
        await w.until_ready(1)
        (down,) = w.manager.down()
        assert (down.account, down.cure) == (name_of(1), Cure.ELSEWHERE)
        assert "allow_hosts" in down.reason
        credentials.save(login(1))
        await w.until_ready(2)


class Fickle(MemoryCredentials):
    """Credentials that others can read now and then."""

    exposed = False

    def accounts(self) -> list[str]:
        if self.exposed:
            raise CredentialsExposed("others can read /the/folder; type: chmod 700 /the/folder")
        return super().accounts()


async def test_a_store_that_cannot_be_looked_at_stops_nobody() -> None:
    """What is known goes on; the trouble stands in the status, is logged once, and so is its end."""
    credentials = Fickle()
    credentials.save(login(0))
    async with fleet(credentials=credentials) as w:
        await w.until_ready()
        credentials.exposed = True
        await w.until(lambda: w.manager.status().credentials)
        assert "chmod 700" in w.manager.status().credentials
        credentials.save(login(1))
        await anyio.sleep(60)
        assert w.manager.accounts == [name_of(0)]
        credentials.exposed = False
        await w.until(lambda: len(w.manager.accounts) == 2)
        assert w.manager.status().credentials == ""


async def test_a_folder_that_others_can_read_is_refused_at_the_start(tmp_path: Path) -> None:
    """Whoever enters the manager is told what to type, before any token is sent."""
    folder = CredentialFolder(tmp_path / "credentials")
    folder.save(login(0))
    os.chmod(tmp_path / "credentials", 0o755)
    with pytest.raises(CredentialsExposed, match="chmod 700"):
        async with fleet(credentials=folder):
            pytest.fail("it has begun")


async def test_the_files_of_a_folder_are_followed(tmp_path: Path) -> None:
    """As with the store in memory: another process logs in and out, and the manager goes along."""
    folder, other = (CredentialFolder(tmp_path / "credentials") for _ in range(2))
    folder.save(login(0, "zero@im.wechat"))
    async with fleet(credentials=folder) as w:
        w.most = 3
        await w.until_ready()
        other.save(login(1, "one@im.wechat"))
        await w.until(lambda: len(w.manager.accounts) == 2)
        other.save(login(2, "zero@im.wechat"))
        w.account(0).take_over(notifystart="denied", answer_held=True)
        await w.until(lambda: w.manager.accounts == [name_of(1), name_of(2)])
        other.remove(name_of(1))
        await w.until(lambda: w.manager.accounts == [name_of(2)])
        await w.until_ready()


async def test_a_folder_that_has_gone_stops_nobody(tmp_path: Path) -> None:
    """A disk that was unmounted is not taken for a user who has logged out everywhere."""
    path = tmp_path / "credentials"
    folder = CredentialFolder(path)
    folder.save(login(0))
    async with fleet(credentials=folder) as w:
        await w.until_ready()
        path.rename(tmp_path / "elsewhere")
        await w.until(lambda: w.manager.status().credentials)
        assert "was there and is gone" in w.manager.status().credentials
        w.account(0).expire()
        await anyio.sleep(60)
        await w.until_ready()
        (tmp_path / "elsewhere").rename(path)
        await w.until(lambda: not w.manager.status().credentials)
        folder.remove(name_of(0))
        await w.until(lambda: w.manager.accounts == [])


async def test_who_stands_by_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is tried again and again; the log has one line of it, and another one when the reason is another."""
    store = MemoryStore()
    store.acquire(name_of(0))
    async with fleet(store=store) as w:
        w.add(0)
        await w.until(lambda: any(down.failures > 3 for down in w.manager.down()))
        said = [each for each in caplog.records if "there is no session" in each.message]
        assert [each.levelname for each in said if each.levelno >= logging.INFO] == ["ERROR"]
        store.release(name_of(0))
        await w.until_ready()
