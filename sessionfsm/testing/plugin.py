"""
The pytest plugin: fixtures with which a bot author tests a bot, and the options of the suite when the suite is run.

It is loaded in every project in which sessionfsm is installed. So it imports nothing but pytest before a fixture of its
own is asked for, and adds no option, no marker and no line of output to runs that do not name the suite.

.. code-block:: python

    async def test_a_lost_session_costs_no_message(ilink_session, virtual_time):
        async with ilink_session(my_bot) as bench:
            bench.apply(faults.Expire(answer_held=True))
            bench.push("hello")
            await bench.settle()
        assert bench.replies == ["you said hello"]
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from sessionfsm.testing import Bench, Crashes, FakeServer
    from sessionfsm.testing.virtual_time import Backend

__all__ = ["VirtualTime", "ilink_crashes", "ilink_server", "ilink_session", "virtual_time"]

T = TypeVar("T")

_SUITE = "sessionfsm.testing.suite"
_DAY_S = 86_400.0


class VirtualTime:
    """
    What the fixture ``virtual_time`` is.

    Attributes:
        backend: ``asyncio`` or ``trio``.
        limit_s: How much virtual time a test may take, so that one that waits for ever fails; ``None`` for any.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend: Backend = backend
        self.limit_s: float | None = _DAY_S

    def __repr__(self) -> str:
        return f"<virtual time on {self.backend}>"

    def run(self, func: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run an async function in virtual time, from a test that is an ordinary function; return what it returns."""
        from sessionfsm.testing import run

        return run(func, *args, backend=self.backend, limit_s=self.limit_s)


@pytest.fixture
def virtual_time(request: pytest.FixtureRequest) -> VirtualTime:
    """
    Virtual time: an async test that asks for this runs in it, and needs no mark; an ordinary one uses ``.run(func)``.

    On asyncio; ``@pytest.mark.parametrize("virtual_time", ["asyncio", "trio"], indirect=True)`` runs a test on both.
    """
    backend: Backend = getattr(request, "param", "asyncio")
    if backend not in ("asyncio", "trio"):
        raise pytest.UsageError(f"virtual_time: unknown backend {backend!r} (accepted: 'asyncio', 'trio')")
    if backend == "trio":
        _require("trio", "virtual_time on trio")
    if "anyio_backend" in request.fixturenames:
        raise pytest.UsageError(
            "a test that asks for virtual_time is run in virtual time, and needs no mark 'anyio'; remove the mark, "
            "or leave virtual_time out and let anyio_backend return sessionfsm.testing.backend_options('asyncio')"
        )
    return VirtualTime(backend)


@pytest.fixture
def ilink_server() -> FakeServer:
    """A fake iLink server in memory, which holds polls for 35 s."""
    from sessionfsm.testing import FakeServer

    return FakeServer()


@pytest.fixture
def ilink_session(ilink_server: FakeServer) -> Callable[..., Bench]:
    """
    Put a bot on a bench: ``ilink_session(serve)`` returns a :class:`~sessionfsm.testing.Bench` on ``ilink_server``.

    *serve* is an async function that takes the session; the further arguments are those of the bench.
    """
    from sessionfsm.testing import Bench

    return functools.partial(Bench, server=ilink_server)


@pytest.fixture
def ilink_crashes(virtual_time: VirtualTime) -> Callable[..., Crashes]:
    """
    Kill a bot at every step of a story: ``ilink_crashes(serve, story)``, in a test that is an ordinary function.

    *story* is an async function that takes the bench. The further arguments are those of
    :func:`~sessionfsm.testing.kill_at_every_step`; it runs on the backend of ``virtual_time``.
    """
    from sessionfsm.testing import kill_at_every_step

    return functools.partial(kill_at_every_step, backend=virtual_time.backend, limit_s=virtual_time.limit_s)


# --- async tests in virtual time -------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test that asks for ``virtual_time`` in virtual time, whatever other plugin would run it."""
    time = pyfuncitem.funcargs.get("virtual_time")
    if not isinstance(time, VirtualTime):
        return None
    if hasattr(pyfuncitem.obj, "hypothesis"):
        handle = pyfuncitem.obj.hypothesis
        test = getattr(handle.inner_test, "_sessionfsm_test", handle.inner_test)
        if inspect.iscoroutinefunction(test):
            handle.inner_test = _synchronous(test, time)
        return None
    # Others (pytest-asyncio in auto mode) have put an ordinary function around it by now.
    test = inspect.unwrap(pyfuncitem.obj, stop=inspect.iscoroutinefunction)
    if not inspect.iscoroutinefunction(test):
        return None
    # `_fixtureinfo` is what every plugin that calls tests goes by: there is no public list of the arguments.
    names = pyfuncitem._fixtureinfo.argnames
    time.run(functools.partial(test, **{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def _synchronous(test: Callable[..., Awaitable[T]], time: VirtualTime) -> Callable[..., T]:
    @functools.wraps(test)
    def run_in_virtual_time(*args: Any, **kwargs: Any) -> T:
        return time.run(functools.partial(test, *args, **kwargs))

    run_in_virtual_time._sessionfsm_test = test  # type: ignore[attr-defined]
    return run_in_virtual_time


# --- the suite -------------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Add ``--policy`` and ``--machine``, but only for a run that names the suite: they are common names."""
    if any(_names_suite(arg) for arg in args):
        _require("hypothesis", "the suite")
        _require("trio", "the suite")
        from sessionfsm.testing.suite import options

        options.add(parser)
        early_config.pluginmanager.register(options, options.__name__)


def _names_suite(arg: str) -> bool:
    name = arg.partition("::")[0].replace("\\", "/").rstrip("/").removesuffix(".py").replace("/", ".")
    return name == _SUITE or name.startswith(f"{_SUITE}.") or name.endswith(f".{_SUITE}") or f".{_SUITE}." in name


def _require(package: str, what: str) -> None:
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        way_out = "write: pip install 'sessionfsm[testing]'"
        raise pytest.UsageError(f"{what} needs {package}, which is not installed; {way_out}") from None
