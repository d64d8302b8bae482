"""What happened, counted from the server's log. Our own counters would only repeat what we believe."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sessionfsm.session import Violation
from sessionfsm.testing import Exchange
from sessionfsm.testing.judge import Recovery, judge_wire

from .events import reply_to
from .plan import Incident
from .scene import Scene

__all__ = ["Summary", "summarise"]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """
    The figures of one demo.

    Attributes:
        duration_s: How long it took.
        recoveries: Every stretch without a good poll that ended.
        delivered: Messages to which the bot's answer is in the server's log.
        lost: Messages without one.
        handled_twice: Messages that the bot answered more than once.
        repeated: Messages that the server handed out more than once.
        sends_ok: Texts sent of the bot's own accord that are in the server's log.
        sends_failed: Such texts that were tried and are not there.
        sends_in_trouble: Of *sends_ok*, those that arrived while no poll was good.
        longest_silence_s: The longest time between the starts of two requests of the session.
        silence_bound_s: The longest that the policy allows (P6).
        wire: What is broken by the server's log.
        records: What is broken by the session's own records.
        outcomes: What went wrong, and how long after it the session was back; ``None`` if it did not come back.
        left_out: What did not fit in.
        interrupted: The demo ended before its time.
        states: Seconds in each state.
    """

    duration_s: float
    recoveries: tuple[Recovery, ...]
    delivered: int
    lost: int
    handled_twice: int
    repeated: int
    sends_ok: int
    sends_failed: int
    sends_in_trouble: int
    longest_silence_s: float
    silence_bound_s: float
    wire: tuple[Violation, ...]
    records: tuple[Violation, ...]
    outcomes: tuple[tuple[Incident, float, float | None], ...]
    left_out: tuple[Incident, ...]
    interrupted: bool
    states: dict[str, float]

    @property
    def longest_recovery_s(self) -> float:
        """From the first bad answer to the start of the next good poll."""
        return max((recovery.lasted_s or 0.0 for recovery in self.recoveries), default=0.0)

    @property
    def is_well(self) -> bool:
        """Nothing was lost and no property broken."""
        return self.lost == 0 and not self.wire and not self.records

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {
            "recoveries": len(self.recoveries),
            "longest_recovery_s": round(self.longest_recovery_s, 3),
            "delivered": self.delivered,
            "lost": self.lost,
            "handled_twice": self.handled_twice,
            "sends_ok": self.sends_ok,
            "sends_failed": self.sends_failed,
            "longest_silence_s": round(self.longest_silence_s, 3),
            "violations": [
                {"property": one.property, "at_s": round(one.at_s, 3), "what": one.what, "seen_in": where}
                for where, found in (("wire", self.wire), ("records", self.records))
                for one in found
            ],
            "faults": [
                {
                    "name": incident.name,
                    "at_s": round(at_s, 3),
                    "recovered_after_s": None if after_s is None else round(after_s, 3),
                }
                for incident, at_s, after_s in self.outcomes
            ],
            "left_out": [incident.name for incident in self.left_out],
            "duration_s": round(self.duration_s, 3),
            "states": {state: round(seconds, 3) for state, seconds in self.states.items()},
        }


def summarise(scene: Scene) -> Summary:
    """Count, after the demo has ended."""
    account = scene.account
    requests = scene.server.log.session_requests(account.name)
    verdict = judge_wire(requests, scene.policy)
    recoveries = tuple(one for one in verdict.recoveries if one.resumed_s is not None)
    handlings: defaultdict[str, set[str]] = defaultdict(set)
    arrived: dict[str, float] = {}
    for sent in account.sent:
        if message_id := reply_to(sent.client_id):
            handlings[message_id].add(sent.client_id)
        else:
            arrived[sent.client_id] = sent.at_s
    delivered = sum(message_id in handlings for message_id in scene.pushed)
    return Summary(
        duration_s=scene.elapsed_s,
        recoveries=recoveries,
        delivered=delivered,
        lost=len(scene.pushed) - delivered,
        handled_twice=sum(len(client_ids) > 1 for client_ids in handlings.values()),
        repeated=sum(times > 1 for times in account.handed_out.values()),
        sends_ok=len(arrived),
        sends_failed=scene.ticks - len(arrived),
        sends_in_trouble=sum(_is_in_trouble(at_s, verdict.recoveries) for at_s in arrived.values()),
        longest_silence_s=verdict.longest_gap_s,
        silence_bound_s=scene.policy.silence_bound_s,
        wire=_since(scene.began_s, verdict.violations),
        records=_since(scene.began_s, scene.monitor.violations),
        outcomes=_outcomes(scene, requests),
        left_out=scene.plan.left_out,
        interrupted=scene.interrupted,
        states=scene.states(),
    )


def _is_in_trouble(at_s: float, recoveries: tuple[Recovery, ...]) -> bool:
    return any(one.started_s <= at_s and (one.resumed_s is None or at_s <= one.resumed_s) for one in recoveries)


def _since(began_s: float, violations: tuple[Violation, ...] | list[Violation]) -> tuple[Violation, ...]:
    return tuple(replace(one, at_s=one.at_s - began_s) for one in violations)


def _outcomes(scene: Scene, requests: Sequence[Exchange]) -> tuple[tuple[Incident, float, float | None], ...]:
    """Return for each incident that began how long after it a poll began that was good."""
    good = [one.started_s - scene.began_s for one in requests if one.good and not one.aborted]
    begun = [(one.incident, one.began_s) for one in scene.incidents if one.began_s is not None]
    ends = [began_s for _, began_s in begun[1:]] + [scene.elapsed_s] * bool(begun)
    return tuple(
        (incident, began_s, next((at_s - began_s for at_s in good if began_s < at_s < end_s), None))
        for (incident, began_s), end_s in zip(begun, ends, strict=True)
    )
