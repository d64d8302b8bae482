"""The live monitor: what a session did is what its machine does, and what the properties allow; else it says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sessionfsm import Policy, PropertyBroken, Record, RecordMonitor, Session
from sessionfsm.testing import faults

from .world import OTHER_TOKEN, URL, world

pytestmark = pytest.mark.anyio


async def a_run_with_faults() -> list[Record]:
    async with world(every_poll=True) as w:
        await w.until_polling_well()
        await w.server.play([faults.Expire(at_s=5), faults.Status(endpoint="getupdates", status=502, times=3, at_s=60)])
        await w.until(lambda: len([entry for entry in w.log if entry.status == 502]) == 3)
        await w.until_polling_well()
    return w.records


def judged(records: list[Record]) -> list[tuple[str, int]]:
    monitor = RecordMonitor(Policy())
    for record in records:
        monitor(record)
    return [(violation.property, violation.number) for violation in monitor.violations]


async def test_what_a_session_did_conforms() -> None:
    assert judged(await a_run_with_faults()) == []


async def test_a_record_that_was_tampered_with_is_named() -> None:
    """Whatever is changed in a record, the first thing that is found is that record."""
    records = await a_run_with_faults()
    loss = next(at for at, record in enumerate(records) if record.trigger in ("session_expired", "session_lapsed"))
    wait = next(at for at, record in enumerate(records) if record.wait_s is not None)
    for at, changed in (
        (loss, {"target": "backoff"}),
        (loss, {"command": None}),
        (loss, {"memory": records[loss].memory._replace(expired=False)}),
        (wait, {"wait_s": 3600.0}),
        (wait, {"trigger": "session_expired"}),
    ):
        tampered = [replace(record, **changed) if number == at else record for number, record in enumerate(records)]
        found = judged(tampered)
        assert found, changed
        assert found[0][1] == records[at].number, changed


async def test_a_poll_after_a_loss_without_a_renewal_is_p1() -> None:
    """The records of the renewal taken out: the poll after it is what P1 forbids."""
    records = await a_run_with_faults()
    loss = next(at for at, record in enumerate(records) if record.trigger in ("session_expired", "session_lapsed"))
    assert records[loss + 1].trigger == "session_renewed"
    assert "P1" in {name for name, _ in judged([*records[: loss + 1], *records[loss + 2 :]])}


async def test_what_a_hostile_file_invents_is_not_kept() -> None:
    """States, triggers and signals that no machine has, new ones on each record: the monitor does not grow."""
    record = (await a_run_with_faults())[3]
    monitor = RecordMonitor(Policy())

    def size() -> int:
        return sum(len(value) for value in vars(monitor).values() if isinstance(value, dict))

    sizes = []
    for n in range(1, 200):
        invented = {"trigger": f"t{n}", "source": f"s{n}", "raised": (f"r{n}",)}
        monitor(replace(record, number=n, target="active" if n % 2 else f"u{n}", **invented))
        sizes.append(size())
    assert len(monitor.violations) > 200
    assert sizes[-1] == sizes[20]


def lied_to(monitor: RecordMonitor) -> Callable[[Record], None]:
    """An observer that tells *monitor* something else than what happened."""
    return lambda record: monitor(replace(record, target="backoff") if record.trigger == "session_renewed" else record)


async def test_a_violation_can_be_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The session goes on."""
    monitor = RecordMonitor(Policy(), on_violation="log")
    async with world() as w:
        session = Session(token=OTHER_TOKEN, base_url=URL, http=w.http, observers=[lied_to(monitor)])
        async with session:
            await w.until(lambda: session.health().polls > 1)
    assert monitor.violations
    assert "breaks" not in caplog.text
    assert "record 2: P3" in caplog.text


async def test_a_violation_can_end_the_session() -> None:
    """It ends in order, and leaving it raises what was broken, and where."""
    monitor = RecordMonitor(Policy(), on_violation="raise")
    async with world() as w:
        session = Session(token=OTHER_TOKEN, base_url=URL, http=w.http, observers=[lied_to(monitor)])
        with pytest.raises(PropertyBroken) as caught:
            await read_all(session)
    assert (caught.value.property, caught.value.number) == ("P3", 2)
    assert session.state == "stopped"


async def read_all(session: Session) -> None:
    async with session:
        async for _ in session:
            pass
