"""
The test kit: a fake iLink server with scripted faults, virtual time, and what judges a session or a lifecycle.

For bot authors there is a bench on which a whole bot runs (:class:`Bench`, :class:`BotStateMachine`, and the fixtures
of ``sessionfsm.testing.plugin``); for those who change the policy or the table, :func:`assert_session_safe`,
:class:`SessionStateMachine` and the suite (``pytest --pyargs sessionfsm.testing.suite``).

Importing it imports neither pytest nor hypothesis nor trio, and nothing else: names are loaded when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sessionfsm.testing import faults, strategies
    from sessionfsm.testing.account import Delivery, FakeAccount, SessionState
    from sessionfsm.testing.bench import BENCH_TOKEN, Bench
    from sessionfsm.testing.crashes import Crashes, kill_at_every_step
    from sessionfsm.testing.fault_files import load_faults
    from sessionfsm.testing.faults import Fault
    from sessionfsm.testing.memory_transport import MemoryTransport
    from sessionfsm.testing.messages import SentMessage
    from sessionfsm.testing.requests import account_name
    from sessionfsm.testing.safety import assert_session_safe
    from sessionfsm.testing.server import FakeServer
    from sessionfsm.testing.simulation import Schedule, SimulationResult, simulate
    from sessionfsm.testing.socket_server import Listening
    from sessionfsm.testing.stateful import SessionStateMachine
    from sessionfsm.testing.stateful_bot import BotStateMachine
    from sessionfsm.testing.strategies import fault_schedules, outcomes, policies, server_scripts
    from sessionfsm.testing.trial import ServerScript, Trial
    from sessionfsm.testing.virtual_time import (
        VirtualDeadlock,
        VirtualTimeExceeded,
        backend_options,
        backends,
        run,
    )
    from sessionfsm.testing.wirelog import Exchange, WireLog

# Where each name lives; an empty home is a module of this package.
_HOMES = {
    "FakeServer": "server",
    "FakeAccount": "account",
    "SentMessage": "messages",
    "SessionState": "account",
    "Delivery": "account",
    "MemoryTransport": "memory_transport",
    "Listening": "socket_server",
    "account_name": "requests",
    "WireLog": "wirelog",
    "Exchange": "wirelog",
    "faults": "",
    "Fault": "faults",
    "load_faults": "fault_files",
    "run": "virtual_time",
    "backends": "virtual_time",
    "backend_options": "virtual_time",
    "VirtualDeadlock": "virtual_time",
    "VirtualTimeExceeded": "virtual_time",
    "Bench": "bench",
    "BENCH_TOKEN": "bench",
    "kill_at_every_step": "crashes",
    "Crashes": "crashes",
    "assert_session_safe": "safety",
    "ServerScript": "trial",
    "Trial": "trial",
    "simulate": "simulation",
    "SimulationResult": "simulation",
    "Schedule": "simulation",
    "strategies": "",
    "outcomes": "strategies",
    "fault_schedules": "strategies",
    "server_scripts": "strategies",
    "policies": "strategies",
    "SessionStateMachine": "stateful",
    "BotStateMachine": "stateful_bot",
}

# What the extra `testing` brings.
_EXTRA = ("hypothesis", "trio")

__all__ = [
    "FakeServer",
    "FakeAccount",
    "SentMessage",
    "SessionState",
    "Delivery",
    "MemoryTransport",
    "Listening",
    "account_name",
    "WireLog",
    "Exchange",
    "faults",
    "Fault",
    "load_faults",
    "run",
    "backends",
    "backend_options",
    "VirtualDeadlock",
    "VirtualTimeExceeded",
    "Bench",
    "BENCH_TOKEN",
    "kill_at_every_step",
    "Crashes",
    "assert_session_safe",
    "ServerScript",
    "Trial",
    "simulate",
    "SimulationResult",
    "Schedule",
    "strategies",
    "outcomes",
    "fault_schedules",
    "server_scripts",
    "policies",
    "SessionStateMachine",
    "BotStateMachine",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(f"{__name__}.{home or name}")
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        words = (
            f"{__name__}.{name} needs {error.name}, which is not installed; write: pip install 'sessionfsm[testing]'"
        )
        raise ModuleNotFoundError(words, name=error.name) from None
    value = getattr(module, name) if home else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
