"""The figures of the lifecycle: one frozen value, refused when it is made if it could break a property."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from sessionfsm.errors import PolicyError

from .terms import Ladder, Wait

__all__ = ["MOST_REQUESTS_PER_S", "Policy", "delay"]

MOST_REQUESTS_PER_S = 10 / 3
"""
P8: in any closed window of W seconds without news there are at most this many times (W + 1) requests.

It is the exact worst case of the default policy: a server that holds a poll for a second, denies the next one, lets the
renewal succeed and fails the poll after it gets five requests in 1.5 s, for ever.
"""

_MOST_DOUBLINGS = 64

# (lowest, highest, the property that stands on it and how), per field. P6: 15 min of ceiling and 5 min of deadline are
# the 20 min of silence that no policy may exceed. P8: below these figures a server could draw more requests than that.
_CEILING = "P6: no policy may be silent for more than 20 minutes, 15 of them waiting; P8: below 2 s it is a hot loop"
_DEADLINE = "P6: no policy may be silent for more than 20 minutes, 5 of them in one request"
_FIRST = "P2 and P8: a first wait below 1 s is a hot loop"
_FIRST_DENIED = "P8: below 2 s a server that mixes denials with a broken handshake gets a hot loop"
_PACE = "P8: a pace below 1 s is a hot loop, and P6: above 60 s it is a silence"
_HELD = "P8: below 1 s an instant answer would count as a held poll, and nothing would pace it"
_BOUNDS: dict[str, tuple[float, float, str]] = {
    "session_first_s": (2, 900, _FIRST_DENIED),
    "session_ceiling_s": (2, 900, _CEILING),
    "transport_first_s": (1, 900, _FIRST),
    "transport_ceiling_s": (2, 900, _CEILING),
    "jitter": (0, 0.5, "P2: a wait is never less than half its rung"),
    "pace_first_s": (1, 60, _PACE),
    "pace_ceiling_s": (1, 60, _PACE),
    "renewal_deadline_s": (0.1, 300, _DEADLINE),
    "hold_default_s": (1, 300, _DEADLINE),
    "hold_floor_s": (1, 300, _DEADLINE),
    "hold_ceiling_s": (1, 300, _DEADLINE),
    "poll_margin_s": (1, 300, _DEADLINE),
    "quick_s": (1, 60, _HELD),
    "lapse_after_s": (1, 300, _HELD),
    "silent_after_s": (1, 300, _HELD),
    "drain_deadline_s": (0, 300, _DEADLINE),
    "notifystop_deadline_s": (0.1, 300, _DEADLINE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    How long a session waits, and for what. Every figure is in seconds; every combination that can be made is safe.

    Attributes:
        session_first_s: First rung of the session ladder; each next rung is twice the one before.
        session_ceiling_s: Last rung of the session ladder.
        transport_first_s: First rung of the transport ladder.
        transport_ceiling_s: Last rung of the transport ladder.
        jitter: The largest fraction of a rung that chance may take away.
        pace_first_s: First pace after a hurried or hollow answer; doubles too.
        pace_ceiling_s: Last pace.
        renewal_deadline_s: For a whole renewal: the pending commit, the credentials, ``notifystart``.
        hold_default_s: How long the server is taken to hold a poll until it has given a hint.
        hold_floor_s: The shortest hint that is believed.
        hold_ceiling_s: The longest hint that is believed.
        poll_margin_s: What a poll's deadline adds to the hold (docs/reference/protocol.md, section 1.4).
        quick_s: A good poll without news that ends sooner is hurried.
        lapse_after_s: A ``-14`` on a poll held this long is a lapse and renews at once.
        silent_after_s: A poll that was out this long and ended without an answer did not fail.
        drain_deadline_s: How long handlers may go on after a stop.
        notifystop_deadline_s: For ``notifystop``.
        login_required_denials: The denial that raises ``login_required``.
        renewal: ``"attempted"``: a failed renewal still ends its round with a poll. ``"required"``: a lost session is
            not polled until ``notifystart`` has succeeded, so a handshake that is broken for good makes it deaf.

    Raises:
        PolicyError: If a figure is no number, is outside its bounds, or contradicts another one.
    """

    session_first_s: float = 5.0
    session_ceiling_s: float = 300.0
    transport_first_s: float = 1.0
    transport_ceiling_s: float = 60.0
    jitter: float = 0.5
    pace_first_s: float = 1.0
    pace_ceiling_s: float = 4.0
    renewal_deadline_s: float = 10.0
    hold_default_s: float = 35.0
    hold_floor_s: float = 1.0
    hold_ceiling_s: float = 120.0
    poll_margin_s: float = 10.0
    quick_s: float = 1.0
    lapse_after_s: float = 3.0
    silent_after_s: float = 10.0
    drain_deadline_s: float = 10.0
    notifystop_deadline_s: float = 5.0
    login_required_denials: int = 3
    renewal: Literal["attempted", "required"] = "attempted"

    def __post_init__(self) -> None:
        for name, (lowest, highest, why) in _BOUNDS.items():
            value: object = getattr(self, name)
            bound = f"{lowest:g} to {highest:g}"
            if isinstance(value, bool) or not isinstance(value, int | float):
                shown = repr(value)[:40]
                raise PolicyError(f"{name} must be a number, {bound}, not {shown} ({why})", field=name, bound=bound)
            if not lowest <= value <= highest:  # NaN lands here too
                shown = f"{value:g}" if isinstance(value, float) or abs(value) < 1e9 else "a huge number"
                raise PolicyError(f"{name} = {shown} is outside {bound} ({why})", field=name, bound=bound)
        denials: object = self.login_required_denials
        if isinstance(denials, bool) or not isinstance(denials, int) or not 1 <= denials <= 100:
            raise PolicyError(
                f"login_required_denials must be a whole number from 1 to 100, not {denials!r}",
                field="login_required_denials",
                bound="1 to 100",
            )
        renewal: object = self.renewal
        if renewal not in ("attempted", "required"):
            raise PolicyError(
                f"renewal must be 'attempted' or 'required', not {renewal!r}",
                field="renewal",
                bound="'attempted' or 'required'",
            )
        self._require_order("session_first_s", "session_ceiling_s", "a ladder climbs")
        self._require_order("transport_first_s", "transport_ceiling_s", "a ladder climbs")
        self._require_order("pace_first_s", "pace_ceiling_s", "a pace only slows down")
        self._require_order("hold_floor_s", "hold_default_s", "a hint is clamped between floor and ceiling")
        self._require_order("hold_default_s", "hold_ceiling_s", "a hint is clamped between floor and ceiling")
        if self.longest_poll_s > 300:
            raise PolicyError(
                f"hold_ceiling_s + poll_margin_s = {self.longest_poll_s:g} is above 300 ({_DEADLINE})",
                field="hold_ceiling_s",
                bound="hold_ceiling_s + poll_margin_s up to 300",
            )
        shortest = self.hold_floor_s + self.poll_margin_s
        if shortest < self.silent_after_s:
            raise PolicyError(
                f"hold_floor_s + poll_margin_s = {shortest:g} is below silent_after_s = {self.silent_after_s:g}: "
                "a poll that reaches its own deadline would count as failed, and a quiet account would look broken",
                field="poll_margin_s",
                bound="hold_floor_s + poll_margin_s of at least silent_after_s",
            )

    def _require_order(self, lower: str, upper: str, why: str) -> None:
        if getattr(self, lower) > getattr(self, upper):
            raise PolicyError(
                f"{lower} = {getattr(self, lower):g} is above {upper} = {getattr(self, upper):g} ({why})",
                field=lower,
                bound=f"at most {upper}",
            )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Policy:
        """
        Make a policy from plain data, such as a parsed TOML table; what is absent keeps its default.

        Raises:
            PolicyError: If a key is unknown, or as for the class.
        """
        known = [field.name for field in fields(cls)]
        for key in mapping:
            if key not in known:
                raise PolicyError(f"unknown policy key {key!r} (known: {', '.join(known)})", field=str(key))
        return cls(**mapping)

    @property
    def longest_poll_s(self) -> float:
        """The longest deadline that a poll can have."""
        return self.hold_ceiling_s + self.poll_margin_s

    @property
    def longest_ceiling_s(self) -> float:
        """The longest wait that can be ordered."""
        return max(self.session_ceiling_s, self.transport_ceiling_s)

    @property
    def silence_bound_s(self) -> float:
        """Two requests in a row start at most this far apart (P6)."""
        return max(self.longest_poll_s, self.pace_ceiling_s, self.renewal_deadline_s) + self.longest_ceiling_s

    @property
    def resumption_bound_s(self) -> float:
        """When every request that starts from now on is answered well, a good poll ends within this time (P7)."""
        return self.silence_bound_s + self.renewal_deadline_s + self.longest_poll_s

    def poll_deadline_s(self, hint_ms: float | None) -> float:
        """Return the deadline of a poll, in seconds from its start. The server's hint is a wish, and is clamped."""
        hold = self.hold_default_s
        if hint_ms is not None and 0 < hint_ms < math.inf:
            hold = min(hint_ms, 1e9) / 1000  # JSON knows integers that no float can hold
        return min(max(hold, self.hold_floor_s), self.hold_ceiling_s) + self.poll_margin_s

    def first_s(self, ladder: Ladder) -> float:
        """Return the first rung of *ladder*."""
        return self.session_first_s if ladder is Ladder.SESSION else self.transport_first_s

    def ceiling_s(self, ladder: Ladder) -> float:
        """Return the last rung of *ladder*."""
        return self.session_ceiling_s if ladder is Ladder.SESSION else self.transport_ceiling_s

    def rungs(self, ladder: Ladder) -> int:
        """Return how many different rungs *ladder* has."""
        return _doublings(self.first_s(ladder), self.ceiling_s(ladder))

    def rung_s(self, ladder: Ladder, attempt: int) -> float:
        """
        Return the wait before jitter, in seconds.

        Args:
            attempt: Which wait since the ladder was reset; the first is 1.
        """
        return _doubled(self.first_s(ladder), self.ceiling_s(ladder), attempt)

    @property
    def paces(self) -> int:
        """How many different paces there are."""
        return _doublings(self.pace_first_s, self.pace_ceiling_s)

    def pace_s(self, count: int) -> float:
        """Return the least seconds between the starts of two polls after *count* answers that came too quickly."""
        return _doubled(self.pace_first_s, self.pace_ceiling_s, count) if count else 0.0


def _doublings(first: float, ceiling: float) -> int:
    count = 1
    # Counted: a logarithm rounds, and would stop one rung short. A first rung of 0 s, which no policy that could be
    # made has, would climb for ever.
    while count <= _MOST_DOUBLINGS and _doubled(first, ceiling, count) < ceiling:
        count += 1
    return count


def _doubled(first: float, ceiling: float, attempt: int) -> float:
    if attempt < 1:
        raise ValueError(f"attempts count from 1, not {attempt}")
    # The exponent is held down so that the ten-thousandth attempt does not overflow a float.
    return float(min(first * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS), ceiling))


def delay(
    wait: Wait, *, jitter: float, draw: float, retry_after_s: float | None = None, own_s: float | None = None
) -> float:
    """
    Return how long *wait* lasts, in seconds: within [half its rung, its ceiling].

    Args:
        wait: The command.
        jitter: The policy's; what lies outside [0, 0.5] is clamped.
        draw: A number in [0, 1). The caller draws it, so that tests can choose it; what lies outside is clamped.
        retry_after_s: What the server asked for. It can lengthen the wait up to its ceiling, never shorten it.
        own_s: What code of yours asks for instead of a draw. It is a wish as well: no shorter than the jitter allows,
            no longer than the ceiling.
    """
    jitter = _clamp(jitter, 0.0, 0.5)
    length = wait.rung_s * (1.0 - jitter * _clamp(draw, 0.0, 1.0))
    if own_s is not None:
        length = max(_clamp(own_s, 0.0, wait.ceiling_s), wait.rung_s * (1.0 - jitter))
    if retry_after_s is not None and retry_after_s > length:
        length = retry_after_s
    return min(length, wait.ceiling_s)


def _clamp(value: float, low: float, high: float) -> float:
    return low if not value >= low else min(value, high)  # NaN becomes low
