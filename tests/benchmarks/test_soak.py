"""The soak notices what it is there to notice. It is run as a whole, at twenty sessions, by ``pytest -m slow``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.soak.__main__ import Soak, slope
from benchmarks.soak.client import Client
from benchmarks.soak.judged_log import JudgedLog
from benchmarks.soak.texts import name_of, parts_of, text_of
from sessionfsm import Message, Policy, Session, SessionManager
from sessionfsm.testing import Exchange

A, B = name_of(1), name_of(2)


def log() -> JudgedLog:
    return JudgedLog(Policy(), own_s=5.0)


def seen(log: JudgedLog, endpoint: str, start_s: float, end_s: float | None, answer: str = "ok") -> Exchange:
    """A request of A has come, and ended."""
    entry = log.open(account=A, endpoint=endpoint, now=start_s)
    entry.answer, entry.good = answer, answer in ("messages", "empty")
    entry.code = -14 if answer == "-14" else None
    if end_s is not None:
        log.close(entry, now=end_s)
    return entry


def test_a_session_that_renews_after_a_loss_is_in_order() -> None:
    """What the lifecycle does on the wire is no violation, and its recovery is measured."""
    judged = log()
    seen(judged, "notifystart", 0.0, 0.1)
    seen(judged, "getupdates", 0.2, 30.0, "empty")
    seen(judged, "getupdates", 30.1, 40.0, "-14")
    seen(judged, "notifystart", 40.0, 40.1)
    seen(judged, "getupdates", 40.2, 75.0, "empty")
    verdict = judged.verdict()
    assert verdict["violations"] == 0
    assert verdict["judged"] == verdict["recoveries"] == 1
    assert verdict["recovery_most_s"] == pytest.approx(0.2)
    assert len(judged) == 0, "the log itself keeps none"


@pytest.mark.parametrize(
    ("broken", "requests"),
    [
        ("P1", [("getupdates", 1.0, 2.0, "-14"), ("getupdates", 5.0, 40.0, "empty")]),
        ("P6", [("getupdates", 1.0, 2.0, "empty"), ("getupdates", 3000.0, 3001.0, "empty")]),
        ("P8", [("getupdates", 1.0 + each / 100, 1.005 + each / 100, "empty") for each in range(50)]),
    ],
)
def test_what_breaks_a_property_is_found(broken: str, requests: list[Any]) -> None:
    """A poll after a loss without notifystart, a silence without end, and a hot loop are each named."""
    judged = log()
    seen(judged, "notifystart", 0.0, 0.1)
    for request in requests:
        seen(judged, *request)
    verdict = judged.verdict()
    assert verdict["violations"]
    assert f"{A}: {broken}: " in cast(list[str], verdict["shown"])[0]


def test_an_answer_that_a_reset_has_taken_back_is_no_loss() -> None:
    """Whoever finds its connection reset has not read the -14 that was in it; one that was read before counts."""
    for answered_s, violations in ((9.0, 0), (2.0, 1)):
        judged = log()
        seen(judged, "notifystart", 0.0, 0.1)
        seen(judged, "getupdates", 0.2, answered_s, "-14")
        judged.reset(now=10.0, late_s=5.0)
        seen(judged, "getupdates", 11.0, 40.0, "empty")
        verdict = judged.verdict()
        assert (verdict["violations"], verdict["unread"]) == (violations, 1 - violations)
    judged = log()
    lost = seen(judged, "getupdates", 0.2, None, "-14")
    judged.reset(now=10.0, late_s=5.0)
    judged.close(lost, now=10.5)
    seen(judged, "getupdates", 11.0, 40.0, "empty")
    assert judged.verdict()["violations"] == 0, "answered after the reset, on a connection that is no more"


def test_two_polls_at_once_and_odd_requests_are_found() -> None:
    """A second poll beside the first, and what a strict server complains about."""
    judged = log()
    first = seen(judged, "getupdates", 0.0, None)
    second = seen(judged, "getupdates", 1.0, 2.0, "empty")
    assert judged.verdict()["violations"] == 0, "judged in the order in which they began"
    judged.close(first, now=3.0)
    assert second.overlapping
    odd = judged.open(account=B, endpoint="getupdates", now=0.0, deviations=("no header",))
    judged.close(odd, now=1.0)
    shown = " ".join(cast(list[str], judged.verdict()["shown"]))
    assert "two polls at once" in shown
    assert "no header" in shown


def test_renewals_in_one_second_are_counted() -> None:
    """The most within any second, not within those of a clock."""
    judged = log()
    for at_s in (0.0, 0.6, 0.9, 1.5, 1.55, 3.0):
        seen(judged, "notifystart", at_s, at_s + 0.01)
    assert judged.most_renewals == 4


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("serials", "wrongs"),
    [([1, 2, 3], 0), ([1, 3], 1), ([1, 1], 1), ([2, 1], 2)],
    ids=["in order", "one missing", "one twice", "out of order"],
)
async def test_the_handler_notices_what_is_not_the_next_message(serials: list[int], wrongs: int) -> None:
    """Missing, twice, out of order: each is a message that was not the next one."""
    client = Client(cast(SessionManager, None), 3)
    session = cast(Session, SimpleNamespace(account=A))
    for serial in serials:
        await client.handle(session, cast(Message, SimpleNamespace(text=text_of(1, serial, 0))))
    assert client.wrongs == wrongs
    assert client.received == len(serials)
    await client.handle(cast(Session, SimpleNamespace(account=B)), cast(Message, SimpleNamespace(text="0 1 0")))
    assert client.wrongs == wrongs + 1, "a message of another session"
    assert parts_of(text_of(1, 2, 3)) == (1, 2, 3)


def test_growth_is_the_slope_of_the_line_that_fits() -> None:
    assert slope([(0.0, 100.0), (1.0, 110.0), (2.0, 120.0)]) == pytest.approx(10.0)
    samples = [
        {"at_s": 60.0 + 5 * each, "rss_kb": 50_000 + 1000 * each, "files": 70, "tasks": 90} for each in range(12)
    ]
    soak = Soak(sessions=5, minutes=2, samples=samples)
    soak._flat()
    assert [each.partition(":")[0] for each in soak.wrong] == ["rss_kb grows"]


@pytest.mark.slow
def test_twenty_sessions_lose_nothing() -> None:
    """The whole soak, for a few seconds: nothing is wrong, and all were judged."""
    soak = Soak(sessions=20, minutes=0.3, every_s=2.0, aside_s=5.0)
    soak.run()
    assert soak.wrong == []
    assert soak.found["wire"]["judged"] == 20
    assert soak.found["wire"]["recoveries"] > 10
    assert soak.found["aside_with_ms"]["count"] > 10
