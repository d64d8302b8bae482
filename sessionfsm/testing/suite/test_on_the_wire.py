"""The real driver and the real client, on the machine, under arbitrary servers in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sessionfsm.lifecycle import Machine
from sessionfsm.testing.faults import Takeover
from sessionfsm.testing.safety import assert_session_safe
from sessionfsm.testing.strategies import trials
from sessionfsm.testing.trial import ServerScript, Trial
from sessionfsm.testing.virtual_time import Backend

EXAMPLES = max(1, settings().max_examples // 8)
"""A profile of your own (``--hypothesis-profile``) makes it more."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(data=st.data())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an hour of a session each: shrinking takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_whatever_the_server_does_the_wire_shows_no_broken_property(
    machine: Machine, backend: Backend, data: st.DataObject
) -> None:
    """P1, P6 and P8 hold on the wire, sends go out at once in every state, and it is polling well in the end."""
    _assert_lived_well(data.draw(trials(machine)), backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("notifystart", ["works", "denied"])
def test_a_day_of_minus_14_is_lived_through(machine: Machine, backend: Backend, notifystart: str) -> None:
    """The situation that the official client answers with an hour of silence, for a whole day."""
    takeover = Takeover(at_s=60, for_s=86_400, notifystart=notifystart)  # type: ignore[arg-type]
    _assert_lived_well(Trial(ServerScript(schedule=(takeover,)), machine), backend)


def _assert_lived_well(trial: Trial, backend: Backend) -> None:
    trial.live(backend)
    assert_session_safe(trial.server.log, policy=trial.policy, slack_s=1e-6)
    assert trial.monitor.violations == []
    assert trial.late_sends() == []
    assert trial.ready, "half an hour after everything was over the session is not polling well"
