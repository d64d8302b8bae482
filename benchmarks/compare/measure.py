"""What is done with the rows of one cell (a number of sessions, plain or TLS, a backend), and what comes out."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .certificate import Certificate
from .pipe import Child, ChildFailed
from .rows import ASYNCIO_ONLY, RENEWING, ROWS

__all__ = ["Cell", "Effort", "measure"]

_WARM = 20  # sessions that have made everything which is made once, before memory is looked at
_HELD_S = 1.2  # an answer that comes sooner and brings nothing new is paced by ours
_EXPIRIES = 30
_IDLE_HOLD_S = 35.0  # how often polls end without a message, while messages are delivered


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What is measured."""

    sessions: int
    tls: bool = False
    backend: str = "asyncio"

    def __str__(self) -> str:
        return f"{self.sessions} sessions, {'TLS' if self.tls else 'plain'}, {self.backend}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """
    How long it may take.

    Attributes:
        rounds: How often each row has its turn.
        waves: How often all polls are answered at once, and all connections reset.
        ramp_s: A row that does not have all its sessions polling by then has not done it.
        most: Polls in one turn, at most.
        messages: How many are delivered to find out how long that takes.
        limit_s: What all sessions do together (a turn, a wave) takes no longer.
        lazy_s: Waited for after the rounds, until ours has written the cursors of idle polls.
    """

    rounds: int = 5
    waves: int = 2
    ramp_s: float = 40.0
    most: int = 2000
    messages: int = 400
    limit_s: float = 60.0
    lazy_s: float = 6.0


class _Runner:
    """A row and its server, and what was found."""

    def __init__(self, name: str, cell: Cell, certificate: Certificate | None, limit_s: float) -> None:
        self.name = name
        self.limit_s = limit_s
        self.stack = ExitStack()
        self.sessions = cell.sessions
        self.found: dict[str, Any] = {}
        self.cycles: list[float] = []
        self.mark = (0.0, 0)  # CPU seconds when the turn began, polls in it
        self.server_s = self.served_s = 0.0
        arguments = ["-m", "benchmarks.compare.server"]
        if certificate is not None:
            arguments += ["--certificate", str(certificate.server)]
        self.server = self.stack.enter_context(Child(arguments))
        self._cell, self._certificate = cell, certificate
        self._rested_s = 0.0

    def begin(self, folder: Path) -> None:
        """Start the client's process, whose files go to *folder*; it need not be ready when this returns."""
        scheme = "http" if self._certificate is None else "https"
        url = f"{scheme}://127.0.0.1:{self.server.heard('listen', 60.0)}"
        arguments = ["-m", "benchmarks.compare.worker", "--row", self.name, "--backend", self._cell.backend]
        arguments += ["--url", url, "--folder", str(folder)]
        environment = {} if self._certificate is None else {"SSL_CERT_FILE": str(self._certificate.authority)}
        self.client = self.stack.enter_context(Child(arguments, environment))

    def serve(self, command: str, *, limit_s: float | None = None, **arguments: Any) -> dict[str, Any]:
        """Have the server do it, when all polls are old enough."""
        if command != "wait":
            time.sleep(max(self._rested_s - time.monotonic(), 0.0))
        try:
            return self._served(command, limit_s=self.limit_s if limit_s is None else limit_s, **arguments)
        finally:
            self._rested_s = time.monotonic() + _HELD_S

    def _served(self, command: str, *, limit_s: float, **arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.server(command, limit_s + 60.0, limit_s=limit_s, **arguments)
        self.server_s += found["server_cpu_s"]
        self.served_s += found["s"]
        if not found.get("well", True):
            raise ChildFailed(f"{command}: not all sessions polled again within {limit_s:g} s")
        return found

    def cpu_s(self) -> float:
        """Return what the client has spent so far."""
        return float(self.client("sample")["cpu_s"])

    def begin_turn(self) -> None:
        """What has been spent since the last turn began belongs to that one: what is put off is paid for as well."""
        now, polls = self.cpu_s(), self.mark[1]
        if polls:
            self.cycles.append((now - self.mark[0]) / polls * 1e6)
        self.mark = (now, 0)


def measure(
    cell: Cell,
    *,
    rows: Iterable[str] = tuple(ROWS),
    effort: Effort | None = None,
    say: Callable[[str], None] = print,
    profile: Path | None = None,
) -> dict[str, dict[str, Any]]:
    """
    Return each row's figures; of one that could not go on, those it had, and why as ``missing``.

    Figures: ``cycle_us`` (CPU for one poll, median of the rounds, and each), ``kb_per_session``, ``ramp`` (``s``, and
    CPU for a session), ``wave`` and ``reset`` (all answered, all reset at once: seconds until all poll again, CPU for a
    session), ``delivery_ms`` (p50, p99), ``expiry_ms`` (from -14 to the next poll: only ours renew), ``cancel``,
    ``server_share`` (of one core, while rows had their turn).
    """
    effort = effort or Effort()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        certificate = Certificate(Path(folder)) if cell.tls else None
        found: dict[str, dict[str, Any]] = {}
        runners: list[_Runner] = []

        def each(what: str, work: Callable[[_Runner], object]) -> None:
            """Let every row that still goes do it, in turn."""
            for runner in list(runners):
                try:
                    work(runner)
                except (ChildFailed, TimeoutError) as error:
                    runner.found["missing"] = f"{what}: {error}"
                    runners.remove(runner)
                    runner.stack.close()  # it would go on trying, beside the others
                    say(f"  {runner.name}: {what}: {error}")

        for name in rows:
            if cell.backend == "trio" and name in ASYNCIO_ONLY:
                found[name] = {"missing": "it runs on asyncio only"}
                continue
            runner = _Runner(name, cell, certificate, effort.limit_s)
            stack.enter_context(runner.stack)
            found[name] = runner.found
            runners.append(runner)
        each("start", lambda r: r.begin(Path(tempfile.mkdtemp(dir=folder))))
        each("start", lambda r: r.client.heard("start", 60.0))
        each("ramp", lambda r: _ramp(r, effort))
        say(f"{cell}: ramped")
        for _ in range(effort.rounds):
            each("round", lambda r: _turn(r, min(cell.sessions, effort.most)))
        time.sleep(effort.lazy_s)
        each("round", _Runner.begin_turn)
        each("round", _settle)
        say(f"{cell}: {effort.rounds} rounds")
        if profile is not None:
            each("profile", lambda r: _profile(r, min(cell.sessions, effort.most), profile))
        for _ in range(effort.waves):
            each("wave", lambda r: _together(r, "wave"))
        each("delivery", lambda r: _deliver(r, effort.messages))
        for _ in range(effort.waves):
            each("reset", _reset)
        each("delivery after the reset", _deliver_to_all)
        each("expiry", _expire)
        each("cancel", _cancel)
        say(f"{cell}: done")
        return {name: _public(row) for name, row in found.items()}


def _ramp(runner: _Runner, effort: Effort) -> None:
    """Start all sessions, the first few apart, so that memory is that of sessions alone."""
    warm = min(_WARM, max(runner.sessions - 1, 0))
    if warm:
        runner.client("start", count=warm)
        runner.serve("wait", count=warm, limit_s=effort.ramp_s)
    before = runner.client("sample", collect=True)
    began = time.monotonic()
    runner.client("start", effort.ramp_s, count=runner.sessions - warm)
    runner.serve("wait", count=runner.sessions, limit_s=effort.ramp_s)
    seconds, after = time.monotonic() - began, runner.client("sample", collect=True)
    more = runner.sessions - warm
    runner.found["ramp"] = {"s": seconds, "cpu_us": (after["cpu_s"] - before["cpu_s"]) / more * 1e6}
    runner.found["_rss_kb"] = before["rss_kb"]
    runner.server_s = runner.served_s = 0.0


def _turn(runner: _Runner, polls: int) -> None:
    """One round: the oldest polls are answered, one after the other, without a message."""
    runner.begin_turn()
    runner.serve("one_by_one", count=polls)
    runner.mark = (runner.mark[0], polls)


def _settle(runner: _Runner) -> None:
    found, runner.mark = runner.found, (0.0, 0)
    found["cycle_us"] = statistics.median(runner.cycles)
    found["cycle_us_each"] = runner.cycles
    found["server_share"] = runner.server_s / runner.served_s
    grown = runner.client("sample", collect=True)["rss_kb"] - found.pop("_rss_kb")
    if runner.sessions > _WARM * 2:
        found["kb_per_session"] = grown / (runner.sessions - _WARM)


def _together(runner: _Runner, what: str) -> None:
    before = runner.cpu_s()
    seconds = runner.serve(what)["s"]
    cpu_us = (runner.cpu_s() - before) / runner.sessions * 1e6
    kept: list[dict[str, float]] = runner.found.setdefault(f"_{what}", [])
    kept.append({"s": seconds, "cpu_us": cpu_us})
    runner.found[what] = {key: statistics.median(one[key] for one in kept) for key in ("s", "cpu_us")}


def _reset(runner: _Runner) -> None:
    """Reset polls that are a second old: then ours calls it a failure, waits for up to a second, and renews."""
    runner.serve("wave")
    _together(runner, "reset")


def _latencies(runner: _Runner, count: int) -> Sequence[float]:
    """Return how old each message was; wait for the last ones."""
    found: list[float] = []
    until = time.monotonic() + 30.0
    while len(found) < count and time.monotonic() < until:
        found += runner.client("sample")["latencies_ms"]
        time.sleep(0.05)
    if len(found) != count:
        raise ChildFailed(f"{len(found)} of {count} messages arrived")
    return found


def _deliver(runner: _Runner, count: int) -> None:
    per_s = min(200.0, max(20.0, runner.sessions / 2))
    runner.serve("deliver", count=count, per_s=per_s, idle_per_s=max(runner.sessions / _IDLE_HOLD_S, 0.01))
    found = _latencies(runner, count)
    cuts = statistics.quantiles(found, n=100)
    runner.found["delivery_ms"] = {"p50": cuts[49], "p99": cuts[98], "most": max(found)}


def _deliver_to_all(runner: _Runner) -> None:
    """After all connections were reset every session has its next message."""
    runner.serve("paced", count=runner.sessions, per_s=2000.0, messages=True)
    _latencies(runner, runner.sessions)


def _expire(runner: _Runner) -> None:
    if runner.name in RENEWING:
        took = runner.serve("expire", count=min(_EXPIRIES, runner.sessions), limit_s=10.0)["ms"]
        runner.found["expiry_ms"] = {"p50": statistics.median(took), "most": max(took)}


def _profile(runner: _Runner, polls: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    runner.client("profile", on=True)
    runner.serve("one_by_one", count=polls)
    text = runner.client("profile", on=False)["text"]
    (folder / f"{runner.name.replace(' ', '-')}.txt").write_text(text)


def _cancel(runner: _Runner) -> None:
    found: Mapping[str, float] = runner.client("cancel", 120.0)
    runner.found["cancel"] = dict(found)


def _public(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without what is kept from one stage for another."""
    return {name: value for name, value in row.items() if not name.startswith("_")}
