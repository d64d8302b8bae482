"""Whatever the server does, for hours: P1, P6, P8 and R2 on the wire, decided from the server's log."""

from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings

from .any_server import Trial, circumstances


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(life=circumstances())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_whatever_the_server_does_the_wire_shows_p1_p6_p8_and_sends_are_never_gated(
    backend: Literal["asyncio", "trio"], life: Trial
) -> None:
    """Any mix of faults and any bytes as body: no property breaks, and every send that is tried is on the wire."""
    life.live(backend)
    assert life.verdict().violations == ()
    assert life.monitor.violations == []
    sends = life.server.log.requests("sendmessage")
    assert len(sends) == len(life.attempts)
    # None of them waited for the session: each is out the moment it is tried, or when the one before it has ended.
    ends = [0.0, *(entry.ended_s or entry.started_s for entry in sends)]
    for tried, entry, before in zip(life.attempts, sends, ends, strict=False):
        assert entry.started_s <= max(tried, before) + life.round_trip_s + 1e-6
    assert not any(entry.overlapping for entry in life.server.log)
    assert not any(entry.deviations for entry in life.server.log)
