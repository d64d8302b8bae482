"""
What watching a session costs: microseconds per record, live and from a file.

    python benchmarks/record_monitor.py [--hours 8] [--rounds 15]

One run is simulated in virtual time, in which something goes wrong every five minutes. Then its records are judged,
written, read and checked, each alone and several times. What counts is the process's own time, and the best of the
rounds: whatever else the machine does can only add to it.
"""

from __future__ import annotations

import argparse
import io
import logging
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from sessionfsm import Policy, Record, RecordMonitor, TraceWriter
from sessionfsm.lifecycle import Machine
from sessionfsm.testing import Bench, FakeServer, faults, run
from sessionfsm.trace import check_trace, read_trace


def recorded(hours: float) -> list[Record]:
    """Return the records of one run of so many hours in which something goes wrong every five minutes."""
    records: list[Record] = []

    async def story() -> None:
        async with Bench(server=FakeServer(hold_s=30.0), observers=[records.append], every_poll=True) as bench:
            end = anyio.current_time() + hours * 3600
            while anyio.current_time() < end:
                for fault in (
                    faults.Expire(),
                    faults.Status(endpoint="getupdates", status=502, times=3),
                    faults.Takeover(for_s=120),
                    faults.Body(endpoint="getupdates", body=b"{}", times=3),
                ):
                    bench.apply(fault)
                    await anyio.sleep(300)
                    bench.push()

    run(story)
    return records


def best(rounds: int, work: Callable[[], object]) -> float:
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8.0, metavar="H", help="simulated hours (default: 8)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="how often each is measured (default: 15)")
    args = parser.parse_args()
    logging.disable()  # the troubles are what is wanted
    records = recorded(args.hours)
    machine, count = Machine(Policy()), len(records)

    def judge() -> None:
        monitor = RecordMonitor(machine)
        for record in records:
            monitor(record)
        assert not monitor.violations

    def write(target: Path | io.BytesIO) -> None:
        with TraceWriter(target) as trace:
            trace.begin_run(machine)
            for record in records:
                trace(record)
        assert trace.problem is None

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        write(path)
        size = path.stat().st_size

        def write_file() -> None:
            path.unlink()
            write(path)

        times = {
            "monitor, live": best(args.rounds, judge),
            "writer, to memory": best(args.rounds, lambda: write(io.BytesIO())),
            "writer, to a file": best(args.rounds, write_file),
            "reader": best(args.rounds, lambda: sum(1 for _ in read_trace(path))),
            "trace check, whole": best(args.rounds, lambda: check_trace(path)),
        }
        assert check_trace(path).verdict == "clean"
    print(f"Python {platform.python_version()}; {count:,} records of {args.hours:g} h, {size / count:.0f} bytes each")
    for what, seconds in times.items():
        print(f"{what:20}{seconds / count * 1e6:8.1f} µs per record  {count / seconds:12,.0f} records/s")


if __name__ == "__main__":
    main()
