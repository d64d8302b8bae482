"""Credentials: what both keepers promise, and what the folder does when files, disks and processes fail."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionfsm.errors import CredentialsExposed, StoreError
from sessionfsm.secret import Secret
from sessionfsm.store import Credentials, CredentialStore, MemoryCredentials, files
from sessionfsm.store import credential_folder as module
from sessionfsm.store.credential_folder import CredentialFolder
from sessionfsm.store.credential_index import CredentialIndex, Entry

URL = "https://ilinkai.weixin.qq.com"
CANARY = "cafe0123456789deadbeef"


def login(name: str, user: str = "", secret: str = CANARY) -> Credentials:
    return Credentials(token=Secret(f"{name}@im.bot:{secret}"), base_url=URL, user_id=user)


A, A2, B = login("a", "u@im.wechat"), login("a2", "u@im.wechat"), login("b", "v@im.wechat")


@pytest.fixture(params=["memory", "folder"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> CredentialStore:
    return MemoryCredentials() if request.param == "memory" else CredentialFolder(tmp_path / "credentials")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "not" / "there yet"


@pytest.fixture
def folder(path: Path) -> CredentialFolder:
    return CredentialFolder(path)


# --- both keepers ----------------------------------------------------------------------------------------------------


def test_what_was_saved_is_there(kept: CredentialStore) -> None:
    """A login's token, address and user come back as they were; others have nothing."""
    assert (kept.accounts(), kept.current("a@im.bot"), kept.remove("a@im.bot")) == ([], None, False)
    assert kept.save(B) == []
    assert kept.save(A) == []
    assert kept.accounts() == ["a@im.bot", "b@im.bot"]
    assert kept.current("a@im.bot") == A
    assert kept.current("c@im.bot") is None


def test_a_later_login_of_the_same_account_replaces_the_earlier(kept: CredentialStore) -> None:
    """The newest token of an account counts, and no account is retired by itself."""
    kept.save(A)
    newer = login("a", "u@im.wechat", "another")
    assert kept.save(newer) == []
    assert kept.current("a@im.bot") == newer
    assert kept.accounts() == ["a@im.bot"]


def test_a_user_has_one_live_account(kept: CredentialStore) -> None:
    """Who logs in again gets a new account; whoever asks by an old name, however old, is given the new credentials."""
    kept.save(A)
    kept.save(B)
    assert kept.save(A2) == ["a@im.bot"]
    assert kept.accounts() == ["a2@im.bot", "b@im.bot"]
    third = login("a3", "u@im.wechat")
    assert kept.save(third) == ["a2@im.bot"]
    assert [kept.current(account) for account in ("a@im.bot", "a2@im.bot", "a3@im.bot")] == [third] * 3
    assert kept.current("b@im.bot") == B


def test_an_account_knows_in_whose_place_it_is(kept: CredentialStore) -> None:
    """Through any number of logins; one that came back is in the place of all; others have nothing to do with it."""
    last = login("a3", "u@im.wechat")
    for credentials in (A, A2, B, last):
        kept.save(credentials)
    assert kept.predecessors(last.account) == sorted([A.account, A2.account])
    assert [kept.predecessors(each.account) for each in (A, A2, B)] == [[], [], []]
    assert kept.predecessors("nobody@im.bot") == []
    kept.save(A)
    assert kept.predecessors(A.account) == sorted([A2.account, last.account])


def test_to_find_predecessors_each_file_is_read_once(folder: CredentialFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two hundred accounts it took seconds, of the thread that every session's store waits for."""
    for number in range(20):
        folder.save(login(f"a{number}", f"u{number % 10}"))
    read: list[Path] = []
    load = module._load

    def counted(path: Path) -> Any:
        read.append(path)
        return load(path)

    monkeypatch.setattr(module, "_load", counted)
    assert folder.predecessors("a15@im.bot") == ["a5@im.bot"]
    assert len(read) == len(set(read)) == 20


def test_many_sessions_that_renew_do_not_read_every_file_each(
    folder: CredentialFolder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who belongs together is remembered while the folder does not change; a login of another process changes it."""
    for number in range(30):
        folder.save(login(f"a{number}", f"u{number}"))
    _let_time_pass(path)
    read: list[Path] = []
    load = module._load

    def counted(path: Path) -> Any:
        read.append(path)
        return load(path)

    monkeypatch.setattr(module, "_load", counted)
    for number in range(30):
        assert folder.current(f"a{number}@im.bot") == login(f"a{number}", f"u{number}")
        assert folder.predecessors(f"a{number}@im.bot") == []
    assert len(read) <= 30 + 2 * 30
    other = CredentialFolder(path)
    other.save(login("b", "u3"))
    _let_time_pass(path)
    assert folder.current("a3@im.bot") == login("b", "u3")
    assert folder.predecessors("b@im.bot") == ["a3@im.bot"]
    assert other.remove("b@im.bot")
    assert folder.current("a3@im.bot") is None


def _let_time_pass(path: Path) -> None:
    """Make the folder look as if it had been changed a while ago."""
    about = os.stat(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns - 10**10))


def test_an_index_that_takes_long_to_make_is_not_made_without_end(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """A folder that changes all the time is read in one tenth of the time, at most; what this process saves is seen."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    made: list[float] = []

    def read() -> list[Entry]:
        nonlocal now
        made.append(now)
        now += 1.0
        return []

    index = CredentialIndex(path / "nowhere", read)
    for _ in range(50):
        assert index.of_user("user") == []
        now += 0.5
    assert len(made) == 3
    index.forget()
    index.of_user("user")
    assert len(made) == 4


def test_pointers_in_a_circle_have_no_predecessors(folder: CredentialFolder, path: Path) -> None:
    """Nor do they keep anybody from finding others."""
    for credentials in (A, A2, B):
        folder.save(credentials)
    record = json.loads((path / "a@im.bot.json").read_text())
    for account, successor in (("x@im.bot", "y@im.bot"), ("y@im.bot", "x@im.bot")):
        (path / f"{account}.json").write_text(json.dumps(record | {"account": account, "retired_by": successor}))
        (path / f"{account}.json").chmod(0o600)
    assert folder.predecessors("x@im.bot") == folder.predecessors("y@im.bot") == []
    assert folder.predecessors(A2.account) == [A.account]


def test_an_account_that_was_retired_can_come_back(kept: CredentialStore) -> None:
    """The same account once more is in force, the one that had replaced it retired, and nobody goes in circles."""
    kept.save(A)
    kept.save(A2)
    assert kept.save(A) == ["a2@im.bot"]
    assert [kept.current(account) for account in ("a@im.bot", "a2@im.bot")] == [A, A]
    assert kept.accounts() == ["a@im.bot"]


def test_accounts_of_unknown_users_do_not_retire_each_other(kept: CredentialStore) -> None:
    """A login that did not say who scanned stands for itself."""
    one, other = login("x"), login("y")
    assert [kept.save(one), kept.save(other)] == [[], []]
    assert kept.accounts() == ["x@im.bot", "y@im.bot"]


def test_what_is_removed_is_gone(kept: CredentialStore) -> None:
    """Removed credentials are in force for nobody, under no name; a second time there is nothing to remove."""
    kept.save(A)
    kept.save(A2)
    assert not kept.remove("a@im.bot")  # it has no credentials of its own any more
    assert kept.remove("a2@im.bot")
    assert not kept.remove("a2@im.bot")
    assert (kept.accounts(), kept.current("a@im.bot"), kept.current("a2@im.bot")) == ([], None, None)


def test_any_account_can_be_kept(kept: CredentialStore) -> None:
    """A token of unknown form, or one with a name that is no file name, is kept as well as any other."""
    tokens = ["plain", "../../etc/passwd@im.bot:x", ".hidden@im.bot:x", f"{'n' * 300}@im.bot:x", "é/\0@im.bot:x"]
    every = [Credentials(token=Secret(token), base_url=URL) for token in tokens]
    for each in every:
        kept.save(each)
    assert kept.accounts() == sorted(each.account for each in every)
    assert [kept.current(each.account) for each in every] == every


# --- on file ---------------------------------------------------------------------------------------------------------


def test_only_the_owner_can_read_what_is_on_file(folder: CredentialFolder, path: Path) -> None:
    """Files are 0600 and folders 0700, whatever the umask; nothing else is left."""
    for umask in (0o777, 0o000):
        before = os.umask(umask)
        try:
            folder.save(A)
        finally:
            os.umask(before)
    assert {(each.name, stat.S_IMODE(each.stat().st_mode)) for each in path.iterdir()} == {
        ("a@im.bot.json", 0o600),
        (".lock", 0o600),
    }
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)} == {0o700}


def test_the_form_on_file(path: Path) -> None:
    """The files can be read by other programs, and a retired account has no token on file."""
    folder = CredentialFolder(path, clock=lambda: 1000.0)
    folder.save(A)
    folder.save(A2)
    assert json.loads((path / "a2@im.bot.json").read_bytes()) == {
        "version": 1,
        "account": "a2@im.bot",
        "token": f"a2@im.bot:{CANARY}",
        "base_url": URL,
        "user_id": "u@im.wechat",
        "saved_at": 1000.001,
    }
    assert json.loads((path / "a@im.bot.json").read_bytes()) == {
        "version": 1,
        "account": "a@im.bot",
        "retired_by": "a2@im.bot",
        "saved_at": 1000.001,
    }


def test_another_process_sees_a_new_login_at_once(folder: CredentialFolder, path: Path) -> None:
    """A running bot that reads its credentials again gets those of a login in another process."""
    folder.save(A)
    CredentialFolder(path).save(A2)
    assert folder.current("a@im.bot") == A2


def test_the_last_login_counts_also_when_the_clock_was_set_back(path: Path) -> None:
    """Time of day that runs backwards does not bring an old account back."""
    CredentialFolder(path, clock=lambda: 2000.0).save(A)
    CredentialFolder(path, clock=lambda: 1000.0).save(A2)
    os.replace(path / "a@im.bot.json", path / "kept")
    assert CredentialFolder(path).current("a2@im.bot") == A2
    CredentialFolder(path, clock=lambda: 500.0).save(A)
    assert CredentialFolder(path).current("a2@im.bot") == A


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o666])
def test_a_file_that_others_can_read_or_change_is_not_used(folder: CredentialFolder, path: Path, mode: int) -> None:
    """A token that others may know or have put there is refused, with what to type; the other accounts go on."""
    folder.save(A)
    folder.save(B)
    (path / "a@im.bot.json").chmod(mode)
    with pytest.raises(CredentialsExposed) as caught:
        folder.current("a@im.bot")
    assert str(caught.value) == (
        f"others can read or change {path}/a@im.bot.json, so it is not used; type: chmod 600 '{path}/a@im.bot.json'"
    )
    assert folder.current("b@im.bot") == B
    assert folder.accounts() == ["a@im.bot", "b@im.bot"]
    (path / "a@im.bot.json").chmod(0o600)
    assert folder.current("a@im.bot") == A


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda folder: folder.current("a@im.bot"), id="current"),
        pytest.param(lambda folder: folder.save(B), id="save"),
        pytest.param(lambda folder: folder.accounts(), id="accounts"),
    ],
)
def test_a_folder_that_others_can_read_or_change_is_not_used(
    folder: CredentialFolder, path: Path, use: Callable[[CredentialFolder], object]
) -> None:
    """Nothing is read from such a folder, and no token written into it."""
    folder.save(A)
    path.chmod(0o770)
    before = sorted(os.listdir(path))
    with pytest.raises(CredentialsExposed, match=f"type: chmod 700 '{path}'"):
        use(folder)
    assert sorted(os.listdir(path)) == before


def test_what_belongs_to_somebody_else_is_not_used(folder: CredentialFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that another user has put there are refused."""
    folder.save(A)
    owner = os.geteuid()
    monkeypatch.setattr(module.os, "geteuid", lambda: 4711)
    with pytest.raises(CredentialsExposed, match=rf"belongs to another user \(uid {owner}\).*; .*type: chown 4711 '"):
        folder.current("a@im.bot")


def directory(path: Path) -> None:
    path.mkdir()


def link(path: Path) -> None:
    path.symlink_to("elsewhere")


def fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def text(content: str | bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.touch(0o600)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def record(**fields: Any) -> str:
    common = {"version": 1, "account": "a@im.bot", "token": f"a@im.bot:{CANARY}", "base_url": URL, "saved_at": 1.0}
    return json.dumps(common | fields)


ODD = [
    pytest.param(directory, "not an ordinary file; remove what is there, and log in again", id="directory"),
    pytest.param(link, "cannot be read: .*; remove what is there, and log in again", id="link"),
    pytest.param(fifo, "not an ordinary file; remove", id="fifo"),
    pytest.param(text(""), "are damaged; remove the file, and log in again", id="empty"),
    pytest.param(text(record()[:-9]), "are damaged", id="half"),
    pytest.param(text("[" * 60_000), "are damaged", id="deep"),
    pytest.param(text(record() + " " * 65_536), "longer than 65536 bytes; remove", id="long"),
    pytest.param(text(record(version=0)), "are damaged", id="version 0"),
    pytest.param(text(record(version="1")), "are damaged", id="version as text"),
    pytest.param(text(record(version=2)), "by a newer version of sessionfsm; use that one", id="newer"),
    pytest.param(
        text('{"version": 7, "vault": {}}'), "by a newer version of sessionfsm; use that one", id="much newer"
    ),
    pytest.param(text(record(token=7)), "are damaged", id="token is a number"),
    pytest.param(text(record(token="")), "are damaged", id="token is empty"),
    pytest.param(text(record(token=None)), "are damaged", id="no token"),
    pytest.param(text(record(retired_by="a2@im.bot")), "are damaged", id="token and pointer"),
    pytest.param(text(record(saved_at=-1)), "are damaged", id="before time"),
    pytest.param(text(record(token="b@im.bot:x")), "of another account; remove", id="token of another"),
    pytest.param(text(record(account="b@im.bot", token="b@im.bot:x")), "of another account", id="renamed"),
    pytest.param(text(b"\xff" + CANARY.encode()), "are damaged", id="no UTF-8"),
]


def test_a_process_with_too_many_open_files_is_not_told_to_remove_credentials(
    folder: CredentialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is wrong with what is stored: the way out is the limit."""
    folder.save(B)

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(module, "read_file", fail)
    monkeypatch.setattr(module.os, "listdir", fail)
    for ask in (lambda: folder.current("b@im.bot"), folder.accounts):
        with pytest.raises(StoreError, match=r"cannot be read: Too many open files; .* limit of open files: ulimit -n"):
            ask()


@pytest.mark.parametrize(("make", "words"), ODD)
def test_what_is_damaged_is_named_and_not_repeated(
    folder: CredentialFolder, path: Path, make: Callable[[Path], None], words: str
) -> None:
    """One error names the file and the way out; nothing of it is shown; the other accounts go on, and a login heals."""
    folder.save(B)
    file = path / "a@im.bot.json"
    make(file)
    with pytest.raises(StoreError, match=words) as caught:
        folder.current("a@im.bot")
    assert f"the credentials in {file} " in str(caught.value)
    assert CANARY not in everything_of(caught.value)
    assert folder.accounts() == ["a@im.bot", "b@im.bot"]
    assert folder.current("b@im.bot") == B
    if make is directory:
        with pytest.raises(StoreError, match="cannot be removed: "):
            folder.remove("a@im.bot")
        file.rmdir()
    else:
        assert folder.remove("a@im.bot")
    assert folder.accounts() == ["b@im.bot"]


@pytest.mark.parametrize("make", [pytest.param(each.values[0], id=each.id) for each in ODD])
def test_a_login_replaces_what_is_damaged(folder: CredentialFolder, path: Path, make: Callable[[Path], None]) -> None:
    """Logging in again is a way out of everything but a directory; that has to be removed by hand."""
    folder.save(B)
    make(path / "a@im.bot.json")
    if make is directory:
        with pytest.raises(StoreError, match="cannot be written to ") as caught:
            folder.save(A)
        assert CANARY not in everything_of(caught.value)
        assert sorted(os.listdir(path)) == [".lock", "a@im.bot.json", "b@im.bot.json"]
    else:
        folder.save(A)
        assert folder.current("a@im.bot") == A


def test_files_that_are_nobody_s_are_passed_over(
    folder: CredentialFolder, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Notes and copies in the folder are no accounts; what looks like one and cannot be told is logged."""
    folder.save(A)
    for name in ("README", "a@im.bot.json.bak", ".a.json"):
        (path / name).write_text("{}")
    (path / f"{'n' * 100}~0.json").touch(0o600)
    assert folder.accounts() == ["a@im.bot"]
    assert [each.levelname for each in caplog.records] == ["WARNING"]


def test_pointers_that_go_in_circles_end(folder: CredentialFolder, path: Path) -> None:
    """Damaged pointers are an error, not a hang."""
    folder.save(B)
    for name, other in (("a", "a2"), ("a2", "a")):
        pointer = {"version": 1, "account": f"{name}@im.bot", "retired_by": f"{other}@im.bot", "saved_at": 1.0}
        text(json.dumps(pointer))(path / f"{name}@im.bot.json")
    with pytest.raises(StoreError, match="name each other as what came later"):
        folder.current("a@im.bot")
    assert folder.accounts() == ["b@im.bot"]


def test_a_broken_account_does_not_keep_others_from_logging_in(
    folder: CredentialFolder, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A login is not lost because another file is damaged; that is logged."""
    path.mkdir(mode=0o700, parents=True)
    text("{")(path / "x@im.bot.json")
    folder.save(A)
    assert folder.save(A2) == ["a@im.bot"]
    assert "x@im.bot.json are damaged" in caplog.text


# --- when something fails --------------------------------------------------------------------------------------------


def everything_of(error: BaseException) -> str:
    """Return all that a traceback with locals would show."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(shown.format()) + repr(error) + repr(error.__context__) + repr(error.__cause__)


class Failing:
    """Stands before ``os`` in the module that writes files; the n-th call that changes something fails."""

    CALLS = ("open", "fchmod", "write", "fsync", "close", "replace")

    def __init__(self, fail_at: int, fail: Callable[[], None]) -> None:
        self.left = fail_at
        self._fail = fail
        self._read: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        if name not in self.CALLS:
            return function

        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & (os.O_WRONLY | os.O_DIRECTORY):
                self._read.add(descriptor := function(*args, **kwargs))
                return descriptor
            if name == "close" and args[0] in self._read:
                self._read.remove(args[0])
                return function(*args, **kwargs)
            self.left -= 1
            if self.left < 0:
                if name == "close":
                    function(*args, **kwargs)
                self._fail()
            return function(*args, **kwargs)

        return call


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def saved_with_failure_at(path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, StoreError | None]:
    """Save A2 in place of A while the disk fails at a step; return whether it got there, and the error."""
    failing = Failing(step, full)
    with monkeypatch.context() as patched:
        patched.setattr(files, "os", failing)
        try:
            CredentialFolder(path).save(A2)
        except StoreError as error:
            return True, error
    return failing.left < 0, None


def test_a_disk_that_fails_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full at open, write, sync, rename or afterwards: one login is in force, whole; trying again succeeds."""
    outcomes = []
    for step in range(100):
        path = tmp_path / str(step)
        folder = CredentialFolder(path)
        folder.save(A)
        reached, error = saved_with_failure_at(path, step, monkeypatch)
        if not reached:
            break
        in_force = folder.current("a@im.bot")
        assert in_force in (A, A2)
        assert folder.accounts() == [in_force.account]
        if error is None:
            assert in_force == A2  # only its predecessor's dead token is still on file
        else:
            assert "No space left on device; the folder must be yours" in str(error)
            assert CANARY not in everything_of(error)
        assert not (path / ".new").exists()
        outcomes.append((error is None, in_force.account))
        folder.save(A2)
        assert CANARY not in (path / "a@im.bot.json").read_text()
        assert folder.current("a@im.bot") == A2
    # Both files are written by open, fchmod, write, fsync, close, replace, and open, fsync, close of the folder.
    assert outcomes == [(False, "a@im.bot")] * 6 + [(False, "a2@im.bot")] * 3 + [(True, "a2@im.bot")] * 9


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.store import test_credentials as these
from sessionfsm.store import files
for step in range(100):
    path = Path(sys.argv[1], str(step))
    these.CredentialFolder(path).save(these.A)
    child = os.fork()
    if child == 0:
        files.os = these.Failing(step, lambda: os.kill(os.getpid(), 9))
        these.CredentialFolder(path).save(these.A2)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
print(step)
"""


def test_a_process_killed_at_any_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """kill -9 between any two steps: one login is in force, whole; the next one clears up what was left."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(root)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "18\n"
    for step in range(18):
        path = tmp_path / str(step)
        folder = CredentialFolder(path)
        in_force = folder.current("a@im.bot")
        assert in_force == (A if step < 6 else A2)
        assert folder.accounts() == [in_force.account]
        if step == 2:
            assert (path / ".new").exists()
        folder.save(A2)
        assert sorted(os.listdir(path)) == [".lock", "a2@im.bot.json", "a@im.bot.json"]
        assert CANARY not in (path / "a@im.bot.json").read_text()
        assert folder.current("a@im.bot") == A2


def test_a_token_that_no_file_can_hold_is_refused(folder: CredentialFolder) -> None:
    """Half a surrogate pair is said to be that, and the token is not shown."""
    with pytest.raises(StoreError, match="half a surrogate pair") as caught:
        folder.save(Credentials(token=Secret(f"{CANARY}\ud800"), base_url=URL))
    assert CANARY not in everything_of(caught.value)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file in the folder's place: one error that names it."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "credentials", tmp_path / "file"):
        with pytest.raises(StoreError, match="the folder must be yours") as caught:
            CredentialFolder(path).save(A)
        assert str(tmp_path / "file") in str(caught.value)
        assert CANARY not in everything_of(caught.value)


def test_whoever_writes_waits_for_another_and_not_for_ever(
    folder: CredentialFolder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is halted while it writes holds up a login for some seconds; reading goes on."""
    import fcntl

    folder.save(A)
    monkeypatch.setattr(module, "_LOCK_S", 0.01)
    with (path / ".lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match=r"another process holds .*\.lock; try again when it has ended"):
            folder.save(A2)
        assert folder.current("a@im.bot") == A


def test_two_that_save_at_once_do_not_lose_each_other(path: Path) -> None:
    """Eight logins of one user at the same time: one is in force, all others are retired, and all point to it."""
    logins = [login(str(number), "u@im.wechat") for number in range(8)]
    retired: list[str] = []
    gate = threading.Barrier(len(logins))

    def work(credentials: Credentials) -> None:
        gate.wait(20)
        retired.extend(CredentialFolder(path).save(credentials))

    threads = [threading.Thread(target=work, args=(each,)) for each in logins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    (last,) = CredentialFolder(path).accounts()
    assert sorted([*retired, last]) == [each.account for each in logins]
    assert {CredentialFolder(path).current(each.account) for each in logins} == {
        each for each in logins if each.account == last
    }


def test_nothing_shows_a_token(folder: CredentialFolder) -> None:
    """Neither the folder nor what it returns shows a token when it is printed."""
    folder.save(A)
    assert CANARY not in repr(folder) + repr(folder.current("a@im.bot")) + str(folder.accounts())
