"""One poller per account: the lock of the operating system, with real processes."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sessionfsm.errors import AccountInUse, StoreError
from sessionfsm.store import AccountLocks, lock_notes
from sessionfsm.store import locks as module
from sessionfsm.store.files import file_name
from sessionfsm.store.lock_files import FILES, FilePerLock, Parts

ACCOUNT = "0a1b2c3d4e5f@im.bot"
KEY = lock_notes._key(ACCOUNT)
HEAD = b'{"pid": 1, "command": "c", "host": "h"}'.ljust(1024)
DEADLINE_S = 20.0

# Waits for a line, then locks the account and says how that went; holds it until its input ends.
CONTENDER = """
import os, sys
from sessionfsm.errors import AccountInUse
from sessionfsm.store import AccountLocks
from sessionfsm.store import locks as module
if os.environ["WAY"] == "flock":
    module.parts_can_be_locked = lambda: False
locks = AccountLocks(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    try:
        locks.acquire(sys.argv[2])
        print("locked", flush=True)
    except AccountInUse as error:
        print("refused", error.pid, error, flush=True)
"""


class Contender:
    """A process that can lock an account."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self.popen = popen
        self.pid = popen.pid

    def tell(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write("go\n")
        self.popen.stdin.flush()

    def heard(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().rstrip()

    def locked(self) -> str:
        self.tell()
        return self.heard()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(DEADLINE_S)


@contextmanager
def contender(folder: Path) -> Iterator[Contender]:
    with subprocess.Popen(
        [sys.executable, "-c", CONTENDER, str(folder), ACCOUNT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as popen:
        guard = threading.Timer(10 * DEADLINE_S, popen.kill)  # nothing is read for ever
        guard.start()
        try:
            one = Contender(popen)
            assert one.heard() == "ready"
            yield one
        finally:
            guard.cancel()
            popen.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "not" / "there" / "yet"


@pytest.fixture(params=["parts", "flock"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The locks that Linux has, and those of other systems; here, and in processes that a test starts."""
    monkeypatch.setenv("WAY", request.param)
    if request.param == "flock":
        monkeypatch.setattr(module, "parts_can_be_locked", lambda: False)
    return str(request.param)


@pytest.fixture
def locks(folder: Path) -> Iterator[AccountLocks]:
    locks = AccountLocks(folder)
    yield locks
    locks.close()


def notes(folder: Path) -> Path:
    """Return the one file that says who holds locks."""
    (found,) = folder.glob("holder-*.notes")
    return found


def open_files() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0


def lock_name(way: str) -> str:
    """Return what the file is called in which the account is locked."""
    kind = Parts if way == "parts" else FilePerLock
    return kind(Path()).path(ACCOUNT).name


def test_two_in_one_process_refuse_each_other(folder: Path, locks: AccountLocks) -> None:
    """A second poller in the same process is refused as one elsewhere is; after release the account is free."""
    other = AccountLocks(folder)
    locks.acquire(ACCOUNT)
    for each in (other, locks):
        with pytest.raises(AccountInUse, match="this very process") as caught:
            each.acquire(ACCOUNT)
        assert (caught.value.account, caught.value.pid) == (ACCOUNT, os.getpid())
    other.release(ACCOUNT)  # it is not its own
    with pytest.raises(AccountInUse):
        other.acquire(ACCOUNT)
    locks.release(ACCOUNT)
    other.acquire(ACCOUNT)
    other.close()
    other.close()
    locks.acquire(ACCOUNT)


def test_accounts_do_not_disturb_each_other(locks: AccountLocks) -> None:
    """Another account is another lock, also where their names are hard to tell apart."""
    for account in (
        ACCOUNT,
        ACCOUNT.upper(),
        "a/b",
        "a%2Fb",
        "a%2fb",
        "..",
        ".",
        "",
        "%",
        "a" * 5000,
        "a" * 5001,
        "\ud800é",
    ):
        locks.acquire(account)


@pytest.mark.parametrize("umask", [0o777, 0o022, 0o000])
def test_only_the_owner_can_read_what_is_made(folder: Path, way: str, umask: int) -> None:
    """Folders are 0700 and files 0600, whatever the umask."""
    locks = AccountLocks(folder)
    before = os.umask(umask)
    try:
        locks.acquire(ACCOUNT)
    finally:
        os.umask(before)
    for each in (folder.parents[1], folder.parent, folder):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700
    file = lock_name(way)
    assert {(path.name, stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()} == {
        (file, 0o600),
        (notes(folder).name, 0o600),
    }
    locks.close()
    assert os.listdir(folder) == [file]


def test_the_holder_is_named_and_its_arguments_are_not(folder: Path, locks: AccountLocks) -> None:
    """A refusal says which process to stop and since when it has been there; a token among its arguments stays out."""
    with contender(folder) as holder:
        assert holder.locked() == "locked"
        with pytest.raises(AccountInUse) as caught:
            locks.acquire(ACCOUNT)
        assert caught.value.pid == holder.pid
        assert re.fullmatch(
            rf"account {ACCOUNT} is in use by process {holder.pid} "
            r"\(python, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\); stop it first",
            str(caught.value),
        )
        assert str(folder) not in notes(folder).read_text()  # argv[1]


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/opt/my_bot.py", "--token", "s3cret"], "my_bot.py"),
        (["/x/sessionfsm/__main__.py", "run"], "python -m sessionfsm"),
        (["-c"], "python"),
        ([""], "python"),
        ([], "python"),
    ],
)
def test_a_program_is_called_what_it_is_called(monkeypatch: pytest.MonkeyPatch, argv: list[str], name: str) -> None:
    """People recognise their program, however it was started, and none of its arguments is shown."""
    monkeypatch.setattr(sys, "argv", argv)
    assert lock_notes._program() == name


def test_a_killed_holder_leaves_nothing_that_holds(folder: Path, locks: AccountLocks) -> None:
    """After kill -9 the account is free at once, and nobody is told of the process that has gone."""
    with contender(folder) as holder:
        assert holder.locked() == "locked"
        holder.kill()
    left = notes(folder)  # nobody cleared up
    assert lock_notes.holder_of(folder, ACCOUNT) is None
    locks.acquire(ACCOUNT)
    assert notes(folder) != left
    assert json.loads(notes(folder).read_text().splitlines()[0])["pid"] == os.getpid()


@pytest.mark.parametrize("said", [{"pid": os.getpid()}, {"host": "a-container-that-is-gone"}], ids=["pid", "host"])
def test_what_a_killed_holder_has_left_is_no_holder_whatever_it_says(
    folder: Path, locks: AccountLocks, said: dict[str, object]
) -> None:
    """Its number may be another's by now, or it ran in a container of another name; and each kill leaves a file."""
    with contender(folder) as first:
        assert first.locked() == "locked"
        first.kill()
    left = notes(folder)
    content = left.read_bytes()
    head = json.loads(content[:1024]) | said
    left.write_bytes(json.dumps(head).encode().ljust(1024) + content[1024:])
    assert lock_notes.holder_of(folder, ACCOUNT) is None
    with contender(folder) as second:
        assert second.locked() == "locked"
        assert notes(folder) != left, "it was removed by the next one"
        with pytest.raises(AccountInUse) as caught:
            locks.acquire(ACCOUNT)
        assert caught.value.pid == second.pid


def test_a_program_that_is_started_does_not_inherit_the_lock(folder: Path) -> None:
    """A bot that starts programs and is killed leaves no account locked behind, though the programs live on."""
    script = CONTENDER.replace(
        'print("locked"',
        "import subprocess; child = subprocess.Popen(['sleep', '60'], close_fds=False, stdout=-3); "
        'print("locked", child.pid',
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder), ACCOUNT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as popen:
        holder = Contender(popen)
        assert holder.heard() == "ready"
        child = int(holder.locked().removeprefix("locked "))
        popen.kill()
    try:
        locks = AccountLocks(folder)
        locks.acquire(ACCOUNT)
        locks.close()
    finally:
        os.kill(child, signal.SIGKILL)


FORK = """
import os, sys, time
from sessionfsm.errors import AccountInUse
from sessionfsm.store import AccountLocks
from sessionfsm.store import locks as module
if os.environ["WAY"] == "flock":
    module.parts_can_be_locked = lambda: False
folder, account = sys.argv[1:]
locks = AccountLocks(folder)
locks.acquire(account)
done, told = os.pipe()
child = os.fork()
if child == 0:
    locks.release(account)
    locks.close()
    try:
        locks.acquire(account)
    except AccountInUse as error:
        os.write(told, str(error.pid).encode())
    time.sleep(60)
    os._exit(0)
try:
    assert int(os.read(done, 100)) == os.getpid(), "the child must be refused"
    try:
        AccountLocks(folder).acquire(account)
    except AccountInUse as error:
        assert error.pid == os.getpid(), "the child must not have unlocked it"
    else:
        raise AssertionError("the child must not have unlocked it")
    locks.release(account)
    AccountLocks(folder).acquire(account)  # the child is there still, and holds nothing
finally:
    os.kill(child, 9)
"""


def test_a_fork_neither_has_the_lock_nor_can_give_it_away(folder: Path) -> None:
    """A child that shares the memory of a poller is refused, cannot unlock it, and does not keep the lock alive."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK, str(folder), ACCOUNT],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")


def contest(contenders: list[Contender]) -> Contender:
    """Let all of them want the account at once; return the one that has it, whom all others must have named."""
    for each in contenders:
        each.tell()
    heard = {each.pid: each.heard() for each in contenders}
    (winner,) = [each for each in contenders if heard[each.pid] == "locked"]
    for each in contenders:
        if each is not winner:
            assert heard[each.pid].startswith(f"refused {winner.pid} ")
    return winner


def test_of_processes_that_come_at_once_one_gets_the_account(folder: Path, locks: AccountLocks) -> None:
    """Four processes at the same instant: exactly one polls, the others say which; killed, it is free at once."""
    with ExitStack() as stack:
        contenders = [stack.enter_context(contender(folder)) for _ in range(4)]
        contest(contenders).kill()
        locks.acquire(ACCOUNT)


@pytest.mark.slow
def test_two_hundred_times(folder: Path) -> None:
    """Four processes at the same instant, 200 times: one has it, the others name it; kill -9 frees it at once."""
    with ExitStack() as stack:
        contenders = [stack.enter_context(contender(folder)) for _ in range(4)]
        for number in range(200):
            random.Random(number).shuffle(contenders)
            winner = contest(contenders)
            winner.kill()
            contenders.remove(winner)
            contenders.append(stack.enter_context(contender(folder)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"pid": 0, "command": "c", "host": "h"}'.ljust(1024) + KEY + b" 1",
        b'{"pid": -9, "command": "c", "host": "h"}'.ljust(1024) + KEY + b" 1",
        b'{"pid": 1e99, "command": "c", "host": "h"}'.ljust(1024) + KEY + b" 1",
        b'{"pid": 1, "command": 7, "host": "h"}'.ljust(1024) + KEY + b" 1",
        b"[" * 1024 + KEY + b" 1",
        HEAD,
        HEAD + KEY,
        HEAD + KEY + b" x",
        HEAD + KEY + b" nan",
        HEAD + KEY + b" 1e300",
    ],
)
def test_odd_words_beside_a_lock_are_not_repeated(
    folder: Path, locks: AccountLocks, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """What stands beside a lock is for people: if it is damaged, the account is in use all the same, by somebody."""
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    locks.acquire(ACCOUNT)
    notes(folder).write_bytes(content)
    with pytest.raises(AccountInUse, match="by a process that did not leave its number; stop it first") as caught:
        locks.acquire(ACCOUNT)
    assert caught.value.pid is None


def test_words_beside_a_lock_are_made_harmless(folder: Path, locks: AccountLocks) -> None:
    """A program's name cannot write on the terminal or fill it; one on another computer is said to be there."""
    locks.acquire(ACCOUNT)
    head = {"pid": 4242, "command": "\x1b[31m" + "x" * 200, "host": "elsewhere\n"}
    notes(folder).write_bytes(json.dumps(head).encode().ljust(1024) + KEY + b" 1700000000.000")
    with pytest.raises(AccountInUse) as caught:
        locks.acquire(ACCOUNT)
    assert (caught.value.pid, caught.value.holder) == (
        4242,
        f"\N{REPLACEMENT CHARACTER}[31m{'x' * 75} on elsewhere\N{REPLACEMENT CHARACTER}, since 2023-11-14 22:13:20 UTC",
    )


@pytest.mark.parametrize("call", ["mkstemp", "pwrite"])
def test_a_holder_without_room_for_its_name_holds_all_the_same(
    folder: Path, locks: AccountLocks, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Where nothing can be written beside the lock, it holds; only nobody learns who has it."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = open_files()
    with monkeypatch.context() as full:
        full.setattr(tempfile if call == "mkstemp" else os, call, fail)
        locks.acquire(ACCOUNT)
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    with pytest.raises(AccountInUse, match="did not leave its number"):
        AccountLocks(folder).acquire(ACCOUNT)
    locks.release(ACCOUNT)
    assert open_files() <= before
    locks.acquire(ACCOUNT)
    with pytest.raises(AccountInUse, match="this very process"):
        AccountLocks(folder).acquire(ACCOUNT)


def test_one_file_says_who_holds_ten_thousand_locks(folder: Path, locks: AccountLocks) -> None:
    """A lock is taken and given back without a file being made or removed, so that many sessions can end at once."""
    for number in range(300):
        locks.acquire(f"{number:012x}@im.bot")
    file, size = notes(folder), notes(folder).stat().st_size
    for number in range(0, 300, 2):
        locks.release(f"{number:012x}@im.bot")
    for number in range(300):
        held = lock_notes.holder_of(folder, f"{number:012x}@im.bot")
        assert (held is not None) == bool(number % 2), "who has let go is not named"
    for number in range(0, 300, 2):
        locks.acquire(f"other{number}@im.bot")
    assert (notes(folder), file.stat().st_size) == (file, size), "it does not grow with each that comes and goes"
    for number in range(0, 300, 2):
        assert lock_notes.holder_of(folder, f"other{number}@im.bot") is not None
    locks.close()
    assert not file.exists()


@pytest.mark.parametrize("what", ["a directory", "a symbolic link", "no folder"])
def test_what_is_no_lock_is_not_taken_for_one(folder: Path, way: str, locks: AccountLocks, what: str) -> None:
    """An account that cannot be locked is not polled: one error that names the file."""
    path = folder / lock_name(way)
    if what == "no folder":
        folder.parent.mkdir(parents=True)
        folder.write_text("")
    else:
        folder.mkdir(parents=True)
        path.mkdir() if what == "a directory" else path.symlink_to("/etc/passwd")
    with pytest.raises(StoreError, match=f"account {ACCOUNT} cannot be locked: .*; the folder must be yours") as caught:
        locks.acquire(ACCOUNT)
    assert str(folder) in str(caught.value)


def test_a_process_with_too_many_open_files_is_told_of_its_limit(
    locks: AccountLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is wrong with the folder, and nobody is to look for it there."""

    def fail(_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("sessionfsm.store.locks.make_private_folder", fail)
    with pytest.raises(StoreError, match=r"cannot be locked: .*Too many open files; .* limit of open files: ulimit -n"):
        locks.acquire(ACCOUNT)


@pytest.mark.parametrize("name", ["ENOSYS", "EOPNOTSUPP", "ENOLCK"])
def test_without_locks_there_is_no_lock(locks: AccountLocks, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """On a file system without locks an account is refused. A file whose presence is the lock would outlive a kill."""
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(getattr(errno, name), "no locks here")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        patch.setattr(fcntl, "fcntl", refuse)
        with pytest.raises(StoreError, match="no locks here; the folder must be yours, on a local file system"):
            locks.acquire(ACCOUNT)
    locks.acquire(ACCOUNT)


def test_a_kernel_without_locks_of_parts_locks_whole_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not know the locks of parts, each account has a file, and two still refuse each other."""
    import fcntl

    def unknown(*_: object) -> None:
        raise OSError(errno.EINVAL, "unknown")

    monkeypatch.setattr(fcntl, "fcntl", unknown)
    first, second = AccountLocks(folder), AccountLocks(folder)
    first.acquire(ACCOUNT)
    assert (folder / f"{ACCOUNT}.lock").exists()
    with pytest.raises(AccountInUse, match="this very process"):
        second.acquire(ACCOUNT)
    first.close()
    second.acquire(ACCOUNT)
    second.close()


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="the system does not tell")
def test_a_thousand_accounts_are_locked_by_sixteen_files(folder: Path, way: str, locks: AccountLocks) -> None:
    """Locks take no descriptor for each account on Linux, each is by itself, and all descriptors are given back."""
    if way == "flock":
        pytest.skip("a file for each")
    locks.acquire(ACCOUNT)
    before = open_files()
    for number in range(1000):
        locks.acquire(f"{number:012x}@im.bot")
    assert open_files() - before <= FILES - 1
    other = AccountLocks(folder)
    for number in range(0, 1000, 2):
        locks.release(f"{number:012x}@im.bot")
    for number in range(1000):
        if number % 2:
            with pytest.raises(AccountInUse):
                other.acquire(f"{number:012x}@im.bot")
        else:
            other.acquire(f"{number:012x}@im.bot")
    other.close()
    locks.close()
    assert open_files() == before - 2  # the lock, and who has it


def test_a_file_that_was_removed_locks_nothing_more(folder: Path, way: str, locks: AccountLocks) -> None:
    """Locks in a file that was removed are seen by nobody: no further one is taken there, and that is said."""
    if way == "flock":
        pytest.skip("a file for each")
    locks.acquire(ACCOUNT)
    file = lock_name(way)
    (folder / file).unlink()
    beside = next(name for name in map(str, range(10_000)) if Parts(folder).path(name).name == file)
    with pytest.raises(StoreError, match="it was removed while there were locks in it"):
        locks.acquire(beside)
    locks.release(ACCOUNT)
    locks.acquire(beside)
    with pytest.raises(AccountInUse):
        AccountLocks(folder).acquire(beside)


def test_threads_share_the_locks(folder: Path, locks: AccountLocks) -> None:
    """Many threads at one account: one has it. Another thread than the one that locked may unlock."""
    outcomes: list[bool] = []
    gate = threading.Barrier(8)

    def work() -> None:
        gate.wait(DEADLINE_S)
        try:
            locks.acquire(ACCOUNT)
            outcomes.append(True)
        except AccountInUse:
            outcomes.append(False)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert sorted(outcomes) == [False] * 7 + [True]
    locks.release(ACCOUNT)
    AccountLocks(folder).acquire(ACCOUNT)


@pytest.mark.parametrize(
    ("account", "name"),
    [
        (ACCOUNT, ACCOUNT),
        ("t-0123456789abcdef", "t-0123456789abcdef"),
        ("../x", "%2E.%2Fx"),
        ("é", "%C3%A9"),
        ("", "%"),
    ],
)
def test_an_account_s_file_can_be_recognised(account: str, name: str) -> None:
    """The usual account is its own file name; whatever is odd in a name cannot leave the folder."""
    assert file_name(account) == name
