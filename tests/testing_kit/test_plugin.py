"""The pytest plugin: what it gives to those who ask, and that nobody else notices it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

BOT = """
import anyio, pytest
from sessionfsm.testing import faults

async def serve(session):
    async for message in session:
        await session.reply(message, f"you said {message.text}")
"""


@pytest.fixture(autouse=True)
def warnings_are_errors(pytester: pytest.Pytester) -> None:
    """Each run here is of a project that tolerates no warning and no unknown mark."""
    pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\naddopts = "--strict-markers --strict-config"\n'
    )


def test_five_lines_are_enough(pytester: pytest.Pytester) -> None:
    """An async test that asks for virtual_time runs in it, without a mark, on asyncio, and on trio when it says so."""
    pytester.makepyfile(
        BOT
        + """
async def test_loss(ilink_session, virtual_time):
    async with ilink_session(serve) as bench:
        bench.apply(faults.Outage(for_s=3000))
        bench.push("hello")
        await bench.settle()
    assert bench.replies == ["you said hello"]
    assert 3000 < anyio.current_time() < 3100

@pytest.mark.parametrize("virtual_time", ["asyncio", "trio"], indirect=True)
async def test_backend(virtual_time, ilink_server, ilink_session):
    import sniffio
    assert sniffio.current_async_library() == virtual_time.backend
    async with ilink_session(serve) as bench:
        assert bench.server is ilink_server
    await anyio.sleep(10_000)

class TestInAClass:
    async def test_method(self, virtual_time):
        await anyio.sleep(1)
        assert anyio.current_time() == 1

def test_ordinary(virtual_time):
    async def story(seconds):
        await anyio.sleep(seconds)
        return anyio.current_time()
    assert virtual_time.run(story, 1000) == 1000
"""
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=5)


def test_a_bot_is_killed_at_every_step_of_a_story(pytester: pytest.Pytester) -> None:
    """On the backend of virtual_time; a bot that notes before it answers is found out, and the step is named."""
    pytester.makepyfile(
        BOT
        + """
noted = set()  # what it keeps elsewhere, and a kill does not take

async def hasty(session):
    async for message in session:
        if message.message_id not in noted:
            noted.add(message.message_id)
            await session.reply(message, "once")

async def story(bench):
    noted.clear()
    bench.push()
    await bench.settle()
    assert bench.replies

@pytest.mark.parametrize("virtual_time", ["asyncio", "trio"], indirect=True)
def test_right(ilink_crashes, virtual_time):
    found = ilink_crashes(serve, story)
    assert len(found.tried) == len(found.steps) > 10

def test_hasty(ilink_crashes):
    ilink_crashes(hasty, story)

async def test_inside(ilink_crashes, virtual_time):
    ilink_crashes(serve, story)
"""
    )
    done = pytester.runpytest_subprocess()
    done.assert_outcomes(passed=2, failed=2)
    done.stdout.fnmatch_lines(["*the session had been killed at step *, which is 'before *; the same*"])
    done.stdout.fnmatch_lines(["*call this from a test that is an ordinary function*"])


def test_failures_and_endless_waits_are_told(pytester: pytest.Pytester) -> None:
    """An assertion fails as in any test; what waits for ever fails after a virtual day; a wrong backend is named."""
    pytester.makepyfile(
        BOT
        + """
async def test_fails(ilink_session, virtual_time):
    async with ilink_session(serve) as bench:
        assert bench.replies == ["never"]

async def test_hangs(ilink_session, virtual_time):
    async with ilink_session(serve):
        await anyio.sleep_forever()

@pytest.mark.parametrize("virtual_time", ["curio"], indirect=True)
async def test_backend(virtual_time):
    pass
"""
    )
    done = pytester.runpytest_subprocess()
    done.assert_outcomes(failed=2, errors=1)
    done.stdout.fnmatch_lines(["*assert [[]] == *'never'*", "*not over after 86400 s of virtual time*"])
    done.stdout.fnmatch_lines(["*unknown backend 'curio' (accepted: 'asyncio', 'trio')*"])


def test_given_runs_each_example_in_virtual_time(pytester: pytest.Pytester) -> None:
    """An async test may be one of hypothesis."""
    pytester.makepyfile(
        """
import anyio
from hypothesis import HealthCheck, given, settings, strategies as st

@given(seconds=st.integers(1, 10**6))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
async def test_time(virtual_time, seconds):
    virtual_time.limit_s = None
    assert anyio.current_time() == 0
    await anyio.sleep(seconds)
"""
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_mark_of_anyio_beside_virtual_time_is_refused(pytester: pytest.Pytester) -> None:
    """anyio would run the test, and in real time; the message says what to write."""
    pytester.makepyfile(
        """
import pytest

@pytest.mark.anyio
async def test_marked(virtual_time):
    pass
"""
    )
    done = pytester.runpytest_subprocess()
    assert done.ret == 1
    done.stdout.fnmatch_lines(["*needs no mark 'anyio'*"])


def test_virtual_time_wins_over_a_plugin_that_wraps_async_tests(pytester: pytest.Pytester) -> None:
    """pytest-asyncio and pytest-trio put an ordinary function around the test before it is called."""
    pytester.makeconftest(
        """
import asyncio, functools, inspect, pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    test = item.obj
    if inspect.iscoroutinefunction(test):
        @functools.wraps(test)
        def wrapped(*args, **kwargs):
            asyncio.run(test(*args, **kwargs))
        item.obj = wrapped
"""
    )
    pytester.makepyfile(
        """
import anyio, pytest

@pytest.mark.asyncio
async def test_marked(virtual_time):
    await anyio.sleep(10_000)

async def test_theirs():
    await anyio.sleep(0)
"""
    )
    pytester.runpytest_subprocess("-o", "markers=asyncio").assert_outcomes(passed=2)


def test_tests_of_anyio_run_on_a_virtual_clock_when_they_say_so(pytester: pytest.Pytester) -> None:
    """Who has tests marked anyio goes on with them: anyio_backend decides, and the other fixtures serve them too."""
    pytester.makepyfile(
        BOT
        + """
from sessionfsm.testing import backend_options

@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return backend_options(request.param)

@pytest.mark.anyio
async def test_marked(ilink_session):
    async with ilink_session(serve) as bench:
        bench.push("hello")
        await anyio.sleep(5000)
    assert bench.replies == ["you said hello"]
"""
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_fixtures_of_the_same_name_win(pytester: pytest.Pytester) -> None:
    """A project's own ilink_server is the one that its sessions run on; an own virtual_time means nothing to us."""
    pytester.makepyfile(
        """
import pytest
from sessionfsm.testing import FakeServer

@pytest.fixture
def ilink_server():
    return FakeServer(hold_s=7)

async def test_own_server(ilink_server, ilink_session, virtual_time):
    async with ilink_session() as bench:
        await bench.settle()
        assert bench.server is ilink_server

class TestOwn:
    @pytest.fixture
    def virtual_time(self):
        return 5

    def test_own_time(self, virtual_time):
        assert virtual_time == 5
"""
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_a_project_that_does_not_use_it_does_not_notice(pytester: pytest.Pytester) -> None:
    """Nothing is imported, no option and no marker is there, no line is printed, and their --policy is theirs."""
    heavy = ["hypothesis", "trio", "httpx", "anyio", "h11", "msgspec", "transitions", "sessionfsm.session"]
    pytester.makeconftest("def pytest_addoption(parser):\n    parser.addoption('--policy', default='theirs')\n")
    pytester.makepyfile(
        f"""
import sys

def test_nothing(request):
    assert "sessionfsm.testing.plugin" in sys.modules
    assert [name for name in {heavy!r} if name in sys.modules] == []
    assert request.config.getoption("policy") == "theirs"
"""
    )
    others = ["-p", "no:hypothesispytest", "-p", "no:anyio"]
    pytester.runpytest_subprocess(*others).assert_outcomes(passed=1)
    shown = {}
    for name, more in {"with": [], "without": ["-p", "no:sessionfsm.testing.plugin"]}.items():
        told = [pytester.runpytest_subprocess(*others, *more, option) for option in ("--help", "--markers")]
        shown[name] = ["\n".join(done.outlines) for done in told]
    assert shown["with"] == shown["without"]


def test_it_can_be_named_once_more(pytester: pytest.Pytester) -> None:
    """By -p or in pytest_plugins, beside the entry point: it is loaded once."""
    pytester.makeconftest("pytest_plugins = ['sessionfsm.testing.plugin']")
    pytester.makepyfile("def test_it(virtual_time): pass")
    pytester.runpytest_subprocess("-p", "sessionfsm.testing.plugin").assert_outcomes(passed=1)


def test_importing_the_kit_imports_nothing() -> None:
    """Not pytest, not hypothesis, not trio, and none of the package's own dependencies."""
    code = (
        "import sys, sessionfsm.testing;"
        "print(*{'pytest', 'hypothesis', 'trio', 'httpx', 'anyio', 'h11', 'sessionfsm.session'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("package", ["hypothesis", "trio"])
def test_a_missing_extra_is_named_with_the_way_out(pytester: pytest.Pytester, package: str) -> None:
    """Without hypothesis or trio the rest works, and what needs them says what to install."""
    missing = f"raise ModuleNotFoundError('No module named {package}', name={package!r})"
    pytester.makepyfile(**{package: missing})
    pytester.makepyfile(
        BOT
        + """
async def test_it_works_without(ilink_session, virtual_time):
    async with ilink_session(serve) as bench:
        bench.push("hello")
        await bench.settle()
    assert bench.replies == ["you said hello"]
"""
    )
    environment = os.environ | {"PYTHONPATH": str(pytester.path), "HYPOTHESIS_NO_PLUGINS": "1"}  # trio has one
    command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=pytester.path)
    assert "1 passed" in done.stdout, done.stdout
    words = f"needs {package}, which is not installed; write: pip install 'sessionfsm[testing]'"
    suite = subprocess.run(
        [*command, "--pyargs", "sessionfsm.testing.suite"],
        capture_output=True, text=True, timeout=60, env=environment, cwd=pytester.path,
    )  # fmt: skip
    assert (suite.returncode, suite.stderr.strip()) == (4, f"ERROR: the suite {words}")
    if package == "hypothesis":
        code = "from sessionfsm.testing import policies"
        lib = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
        assert lib.stderr.splitlines()[-1] == f"ModuleNotFoundError: sessionfsm.testing.policies {words}"
