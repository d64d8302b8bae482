"""Whatever the server does, for hours: P1, P6, P8 and R2 on the wire, decided from the server's log."""

import pytest
from hypothesis import HealthCheck, given, settings

from sessionfsm.testing import Trial
from sessionfsm.testing.virtual_time import Backend

from .any_server import circumstances


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(life=circumstances())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_whatever_the_server_does_the_wire_shows_p1_p6_p8_and_sends_are_never_gated(
    backend: Backend, life: Trial
) -> None:
    """Any mix of faults and any bytes as body: no property breaks, and every send that is tried is on the wire."""
    life.live(backend)
    assert life.verdict().violations == ()
    assert life.monitor.violations == []
    assert life.late_sends() == []
    assert life.ready
    assert not any(entry.overlapping for entry in life.server.log)
    assert not any(entry.deviations for entry in life.server.log)
