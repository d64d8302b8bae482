"""
Run N sessions for M minutes of trouble, and fail if anything was lost, has grown, or has broken a property.

    python -m benchmarks.soak --sessions 1000 --minutes 3

One session in a hundred expires each minute, and after a third of the time every connection is reset. Then the handlers
of a few sessions block, raise, or are flooded with messages and answer each: what do the other sessions notice?
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.compare.pipe import Child, ChildFailed
from benchmarks.compare.report import machine
from benchmarks.compare.worker import BACKENDS
from sessionfsm.session.limiter import RENEWALS_PER_S

__all__ = ["Soak", "slope"]

_SAMPLE_S = 5.0
_LAST_S = 90.0
"""How long the last messages may take: a session that was reset just now waits, renews, and polls."""
_START_PER_S = 20.0
"""A machine that starts fewer sessions a second is too busy to be measured on."""
_GROWTH = 0.05
_MESSAGES_PER_S = {"block": 1.0, "raise": 1.0, "flood": 20.0}
"""What the handlers of sessions 0, 1 and 2 do in the end, and how many messages they get for it."""
_LATE = ("client_late_s", "client_gc_s", "server_late_s", "server_gc_s")
_RENEWALS_SEEN = 1.25
"""What is let through evenly is sent, and seen, less evenly: also in what both event loops were late by."""


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return by how much the second grows for each unit of the first: the line that fits best."""
    return statistics.linear_regression(*zip(*samples, strict=True)).slope


@dataclass(kw_only=True)
class Soak:
    """
    One run.

    Attributes:
        sessions: How many.
        minutes: How long sessions expire and users write.
        every_s: How often each session gets a message.
        aside_s: How long it is measured what others notice of handlers that misbehave, and before that without them.
        backend: What the manager runs on.
        late: By how many seconds the event loops of client and server were late, at most; and how long one collection
            of garbage took in either.
    """

    sessions: int
    minutes: float
    every_s: float = 60.0
    aside_s: float = 60.0
    backend: str = "asyncio"
    samples: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    late: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_LATE, 0.0))

    def run(self) -> None:
        """Do all of it."""
        with (
            tempfile.TemporaryDirectory(prefix="soak-") as folder,
            Child(["-m", "benchmarks.soak.server", "--sessions", str(self.sessions)]) as server,
        ):
            url = f"http://127.0.0.1:{server.heard('listen', 60.0)}"
            arguments = ["--sessions", str(self.sessions), "--url", url, "--folder", folder, "--backend", self.backend]
            with Child(["-m", "benchmarks.soak.client", *arguments]) as client:
                self._server, self._client = server, client
                self.found |= client.heard("start", 120.0)
                self._ramp()
                self._trouble()
                self._whole("at the end")
                if self.aside_s:
                    self._aside()
                before = time.monotonic()
            self.found["stop_s"] = time.monotonic() - before
            verdict = server("verdict")
        self.found["wire"] = verdict
        if verdict["violations"]:
            self.wrong.append(f"{verdict['violations']} violations on the wire: {verdict['shown'][:3]}")
        self.found["late_s"] = self.late
        late_s = self.late["client_late_s"] + self.late["server_late_s"]
        if verdict["most_renewals"] > RENEWALS_PER_S * (_RENEWALS_SEEN + late_s):
            self.wrong.append(f"{verdict['most_renewals']} renewals came within a second")
        if verdict["judged"] != self.sessions:
            self.wrong.append(f"{verdict['judged']} sessions were seen on the wire")

    def _ramp(self) -> None:
        began = time.monotonic()
        limit_s = 60.0 + self.sessions / _START_PER_S
        while (ready := self._client("sample")["ready"]) < self.sessions:
            if time.monotonic() - began > limit_s:
                raise ChildFailed(f"{ready} of {self.sessions} sessions were ready after {limit_s:.0f} s")
            time.sleep(0.5)
        self.found["ramp_s"] = time.monotonic() - began
        say(f"{self.sessions} sessions are ready after {self.found['ramp_s']:.1f} s")
        self._client("freeze")

    def _trouble(self) -> None:
        self._begin()
        seconds, is_reset = self.minutes * 60, False
        before, began = (self._client("sample"), self._server("sample")), time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            if now > seconds / 3 and not is_reset:
                self._server("reset")
                is_reset = True
                say(f"{now:6.0f} s  every connection is reset")
            time.sleep(_SAMPLE_S)
            self._sample(now)
        served = self._server("quiet")
        client = self._client("sample")
        self._keep(client)
        self._note(served, "server")
        self.found |= {
            "sent": served["sent"],
            "expired": served["expired"],
            "requests": served["requests"],
            "client_cpu": (client["cpu_s"] - before[0]["cpu_s"]) / seconds,
            "server_cpu": (served["cpu_s"] - before[1]["cpu_s"]) / seconds,
        }

    def _begin(self) -> None:
        self._server("begin", messages_per_s=self.sessions / self.every_s, expired_per_min=self.sessions / 100)

    def _sample(self, now: float) -> None:
        found = self._client("sample")
        found["at_s"] = now
        self._keep(found)
        self.samples.append(found)
        if len(self.samples) % 6 == 0:
            say(
                f"{now:6.0f} s  {found['ready']} ready, {found['received']} messages, {found['rss_kb'] / 1024:.0f} MB, "
                f"{found['files']} files, {found['tasks']} tasks"
            )

    def _keep(self, found: dict[str, Any]) -> None:
        self.found.setdefault("latencies", []).extend(found.pop("latencies_ms"))
        self._note(found, "client")

    def _note(self, found: dict[str, Any], who: str) -> dict[str, float]:
        late = {f"{who}_{what}": float(found[what]) for what in ("late_s", "gc_s")}
        for name, most_s in late.items():
            self.late[name] = max(self.late[name], most_s)
        return late

    def _whole(self, when: str, without: Sequence[int] = ()) -> None:
        """Wait until every message has come; note what has not."""
        until = time.monotonic() + _LAST_S + self.sessions / RENEWALS_PER_S
        while True:
            sent, had = self._server("serials")["serials"], self._client("serials")["serials"]
            missing = [
                number for number in range(self.sessions) if number not in without and sent[number] != had[number]
            ]
            client = self._client("sample")
            self._keep(client)
            if (not missing and client["ready"] == self.sessions) or time.monotonic() > until:
                break
            time.sleep(0.5)
        if missing:
            self.wrong.append(f"{when}: messages of {len(missing)} sessions are missing, such as {missing[:5]}")
        if client["wrongs"]:
            self.wrong.append(f"{when}: {client['wrongs']} messages were wrong: {client['wrong'][:3]}")
        if client["ready"] != self.sessions:
            self.wrong.append(f"{when}: {client['ready']} sessions are ready")
        if client["restarts"]:
            self.wrong.append(f"{when}: sessions were started again {client['restarts']} times")
        self.found["received"] = client["received"]
        if not without:
            self._flat()

    def _flat(self) -> None:
        """Memory and descriptors: from half of the time on, everything that is made once was made."""
        later = [each for each in self.samples if each["at_s"] > self.minutes * 30]
        for name, most in (("rss_kb", _GROWTH), ("files", 0.01), ("tasks", _GROWTH)):
            line = [(each["at_s"] / 60, float(each[name])) for each in later]
            values = [value for _, value in line]
            per_min = slope(line)
            self.found[name] = {"first": values[0], "last": values[-1], "most": max(values), "per_min": per_min}
            if per_min * (line[-1][0] - line[0][0]) > most * values[0] + 20:
                self.wrong.append(f"{name} grows: {values[0]:.0f} to {values[-1]:.0f}, {per_min:.1f} a minute")

    def _aside(self) -> None:
        """Measure how old messages are when handled, without and with handlers that misbehave."""
        self.found["delivery_ms"] = quantiles(self.found.pop("latencies"))
        # Not begun anew: the others would have had no message for a while.
        self._begin()
        self.found["aside_before_ms"] = self._during()
        self._client("roles", numbers={str(number): kind for number, kind in enumerate(_MESSAGES_PER_S)})
        for number, per_s in enumerate(_MESSAGES_PER_S.values()):
            self._server("flood", numbers=[number], per_s=per_s, for_s=self.aside_s)
        self.found["aside_with_ms"] = self._during()
        self._server("quiet")
        self._whole("beside handlers that misbehave", without=range(len(_MESSAGES_PER_S)))
        self.found.pop("latencies", None)

    def _during(self) -> dict[str, float]:
        time.sleep(2.0)
        self._client("sample")
        self._server("sample")
        time.sleep(self.aside_s)
        client = self._client("sample")
        late = self._note(client, "client") | self._note(self._server("sample"), "server")
        return quantiles(client["latencies_ms"]) | late


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the largest."""
    if len(values) < 2:
        return {"count": len(values)}
    cuts = statistics.quantiles(values, n=100)
    return {"count": len(values), "p50": cuts[49], "p99": cuts[98], "most": max(values)}


def say(line: str) -> None:
    """Say what goes on."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run, and print what was found as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--sessions", type=int, default=1000, metavar="N", help="how many (default: 1000)")
    parser.add_argument("--minutes", type=float, default=3.0, metavar="M", help="of trouble (default: 3)")
    parser.add_argument("--every", type=float, default=60.0, metavar="S", help="a message for each (default: 60)")
    parser.add_argument("--aside", type=float, default=60.0, metavar="S", help="seconds of isolation (default: 60)")
    parser.add_argument("--backend", choices=list(BACKENDS), default="asyncio")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write what was found there as well")
    args = parser.parse_args()
    if args.minutes * 60 < 4 * _SAMPLE_S:
        parser.error(f"--minutes is too short: memory is looked at every {_SAMPLE_S:g} s, twice in the second half")
    if args.minutes * 60 < 2 * args.every:
        parser.error(
            "--minutes is too short: each session has its first message in the first half, before growth is seen"
        )
    soak = Soak(
        sessions=args.sessions, minutes=args.minutes, every_s=args.every, aside_s=args.aside, backend=args.backend
    )
    try:
        soak.run()
    except ChildFailed as error:
        soak.wrong.append(str(error))
    if "latencies" in soak.found:
        soak.found["delivery_ms"] = quantiles(soak.found.pop("latencies"))
    asked = {"sessions": args.sessions, "minutes": args.minutes, "every_s": args.every, "backend": args.backend}
    text = json.dumps({"wrong": soak.wrong, "asked": asked, "machine": machine(), **soak.found}, indent=1)
    print(text)
    if args.output is not None:
        args.output.write_text(text + "\n")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
