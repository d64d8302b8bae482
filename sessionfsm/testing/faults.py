"""
Faults as data: what goes wrong, when, for whom, for how long.

A fault does nothing by itself; :meth:`FakeServer.apply <sessionfsm.testing.FakeServer.apply>` and ``play`` perform it.
Every fault has ``at_s`` (0: seconds after ``play`` began) and ``token`` (``None``: every account; else a bot token, or
the name of an account).

**The session.** It lasts until the renewal that cures it, or until ``for_s`` seconds have passed.

=============  ===================================================  ==================================================
kind           what happens                                         fields and defaults
=============  ===================================================  ==================================================
``expire``     polls get -14 until ``notifystart``                  ``shape`` ``"errcode"``, ``held_s`` 0, ``for_s``,
                                                                    ``answer_held`` false
``takeover``   polls get -14 and ``notifystart`` does not help;     the same, and ``notifystart`` ``"works"`` (says 0,
               when it ends, ``notifystart`` cures it               cures nothing) or ``"denied"`` (says -14)
``lapse``      polls get hollow answers until ``notifystart``       ``shape`` ``"empty"``, ``held_s`` 0, ``for_s``,
                                                                    ``answer_held`` false
=============  ===================================================  ==================================================

**The wire.** Each has ``endpoint`` (``None``: all), ``times`` (the next n requests) and ``for_s`` (all requests that
start in so many seconds); with both, what ends first; with neither, one request. Those that answer also have
``held_s`` (0: seconds that the request is held first) and ``answer_held`` (false; true: it strikes polls too that are
already being held when it is applied). Of several that match a request, the one applied first answers it.

=============  ===================================================  ==================================================
kind           what happens                                         fields and defaults
=============  ===================================================  ==================================================
``status``     an HTTP status and an HTML page                      ``status`` 502, ``retry_after`` (any text)
``code``       HTTP 200 and an error code; with ``getupdates``      ``code`` -14, ``shape`` ``"errcode"``, ``errmsg``
               and -14: a loss that heals by itself                 (-14: ``session timeout``)
``html``       HTTP 200 and an HTML page, such as a portal's
``garbage``    HTTP 200 and bytes that are no text
``body``       any body that you give                               ``body`` (or ``body_hex`` in a file), ``status`` 200
``truncated``  the connection closes before the body is complete    ``body`` (the part that is sent)
``drip``       a body that goes on for ever, byte by byte           ``each_s`` 1
``reset``      the connection is lost before an answer
``hang``       no answer, ever
``redirect``   HTTP 302                                             ``location`` ``"https://elsewhere.invalid/"``
``oversize``   a good answer, but huge                              ``size`` 16777216 (bytes)
``slow``       the request is handled so much later                 ``delay_s`` 1
``instant``    polls are not held                                   (``getupdates`` only)
``hint``       good polls carry this hint                           ``hint`` ``"1"``: JSON text for
                                                                    ``longpolling_timeout_ms``, sent as it is
=============  ===================================================  ==================================================

**The rest.**

=============  ===================================================  ==================================================
kind           what happens                                         fields and defaults
=============  ===================================================  ==================================================
``outage``     connections are dropped and refused (no ``token``)   ``for_s`` (``None``: until ``clear()``)
``message``    a user writes; no fault, but no story without it     ``text`` ``"hello"``, ``sender``
                                                                    ``"user@im.wechat"``, ``copies`` 1 (of one id)
=============  ===================================================  ==================================================

Shapes of a code: ``errcode`` or ``ret`` alone, ``both``, ``ret_zero`` (``ret`` 0 beside ``errcode``). Shapes of a
hollow answer: ``empty`` (``{}``), ``empty_cursor``, ``null`` (all fields ``null``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, get_args

from sessionfsm.errors import DefinitionError
from sessionfsm.testing.fault_fields import wanted

__all__ = [
    "AnswerFault",
    "Body",
    "Code",
    "CodeShape",
    "Drip",
    "Endpoint",
    "Expire",
    "Fault",
    "Garbage",
    "Hang",
    "Hint",
    "HollowShape",
    "Html",
    "Instant",
    "KINDS",
    "Lapse",
    "Message",
    "Outage",
    "Oversize",
    "Redirect",
    "Reset",
    "SessionFault",
    "Slow",
    "Status",
    "Takeover",
    "Truncated",
    "WireFault",
]

Endpoint = Literal["getupdates", "notifystart", "notifystop", "sendmessage", "getconfig", "sendtyping"]
CodeShape = Literal["errcode", "ret", "both", "ret_zero"]
HollowShape = Literal["empty", "empty_cursor", "null"]

_ENDPOINTS: Final[tuple[str, ...]] = get_args(Endpoint)
_CODE_SHAPES: Final[tuple[str, ...]] = get_args(CodeShape)
_HOLLOW_SHAPES: Final[tuple[str, ...]] = get_args(HollowShape)


def _choices(**accepted: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType(accepted)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """
    Base of every fault; the module's tables say what each does.

    Raises:
        DefinitionError: If a field has a value that it cannot have.
    """

    kind: ClassVar[str] = ""
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})

    at_s: float = 0.0
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None and item.default is None:
                continue
            problem = wanted(item.name, value, self.choices.get(item.name))
            if problem is not None:
                shown = "that" if item.name == "token" else repr(value)
                raise DefinitionError(f"{self.kind}: {item.name} must be {problem}, not {shown}")

    @property
    def lasts_s(self) -> float:
        """How long it lasts by the clock; 0 when it has no end by the clock."""
        return float(getattr(self, "for_s", None) or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return ``kind`` and every field that is not at its default, in values that TOML and JSON can write."""
        document: dict[str, Any] = {"kind": self.kind}
        for item in fields(self):
            value = getattr(self, item.name)
            if value == item.default:
                continue
            if isinstance(value, bytes):
                try:
                    document[item.name] = value.decode()
                except UnicodeDecodeError:
                    document[f"{item.name}_hex"] = value.hex()
            else:
                document[item.name] = value
        return document

    @staticmethod
    def from_dict(document: Mapping[str, Any], kinds: Mapping[str, type[Fault]] | None = None) -> Fault:
        """
        Return the fault that :meth:`to_dict` wrote.

        Args:
            kinds: What there is to choose from; by default the faults of this module.

        Raises:
            DefinitionError: If the kind or a field is unknown, or a value is missing or not possible.
        """
        kinds = KINDS if kinds is None else kinds
        values = dict(document)
        kind = values.pop("kind", None)
        chosen = kinds.get(kind) if isinstance(kind, str) else None
        if chosen is None:
            problem = "kind is missing" if kind is None else f"unknown kind {kind!r}"
            raise DefinitionError(f"{problem} (accepted: {', '.join(kinds)})")
        accepted = [item.name for item in fields(chosen)]
        if "body" in accepted:
            accepted.append("body_hex")
        for name in values:
            if name not in accepted:
                raise DefinitionError(f"{kind}: unknown field {name!r} (accepted: {', '.join(accepted)})")
        if "body_hex" in values:
            if "body" in values:
                raise DefinitionError(f"{kind}: give body or body_hex, not both")
            try:
                values["body"] = bytes.fromhex(values.pop("body_hex"))
            except (TypeError, ValueError):
                raise DefinitionError(f"{kind}: body_hex must be pairs of hexadecimal digits") from None
        elif isinstance(values.get("body"), str):
            values["body"] = values["body"].encode()
        for item in fields(chosen):
            if item.default is MISSING and item.name not in values:
                raise DefinitionError(f"{kind}: {item.name} is missing")
        return chosen(**values)

    def describe(self) -> str:
        """Return one short English sentence without a full stop, for a live view."""
        return f"{self._what()}{self._how_long()}"

    def _what(self) -> str:
        return self.kind

    def _how_long(self) -> str:
        return f" for {self.lasts_s:g} s" if self.lasts_s else ""


@dataclass(frozen=True, kw_only=True)
class SessionFault(Fault):
    """The server no longer knows the session of an account. ``sendmessage`` goes on working."""

    for_s: float | None = None
    held_s: float = 0.0
    answer_held: bool = False

    def _late(self) -> str:
        return f" after {self.held_s:g} s" if self.held_s else ""

    def _how_long(self) -> str:
        return f" or after {self.for_s:g} s" if self.for_s is not None else ""


@dataclass(frozen=True, kw_only=True)
class Expire(SessionFault):
    """Polls get -14 until ``notifystart``."""

    kind = "expire"
    choices = _choices(shape=_CODE_SHAPES)

    shape: CodeShape = "errcode"

    def _what(self) -> str:
        return f"-14{self._late()}, cured by notifystart"


@dataclass(frozen=True, kw_only=True)
class Takeover(SessionFault):
    """Somebody else has the session: -14, whatever ``notifystart`` says."""

    kind = "takeover"
    choices = _choices(shape=_CODE_SHAPES, notifystart=("works", "denied"))

    shape: CodeShape = "errcode"
    notifystart: Literal["works", "denied"] = "works"

    def _what(self) -> str:
        how = "is denied too" if self.notifystart == "denied" else "does not help"
        return f"taken over: -14{self._late()}, and notifystart {how}"

    def _how_long(self) -> str:
        return f" for {self.for_s:g} s" if self.for_s is not None else ""


@dataclass(frozen=True, kw_only=True)
class Lapse(SessionFault):
    """The session is gone and nobody says so: hollow answers until ``notifystart``."""

    kind = "lapse"
    choices = _choices(shape=_HOLLOW_SHAPES)

    shape: HollowShape = "empty"

    def _what(self) -> str:
        return f"silent lapse: hollow answers{self._late()}, cured by notifystart"


@dataclass(frozen=True, kw_only=True)
class WireFault(Fault):
    """Something between a request and its answer."""

    choices = _choices(endpoint=_ENDPOINTS)

    endpoint: Endpoint | None = None
    times: int | None = None
    for_s: float | None = None

    @property
    def requests(self) -> int | None:
        """How many requests it strikes at most; ``None`` for any number."""
        return 1 if self.times is None and self.for_s is None else self.times

    def _how_long(self) -> str:
        where = f" on {self.endpoint}" if self.endpoint else ""
        count = self.requests
        often = "" if count is None else ", once" if count == 1 else f", {count} times"
        return f"{where}{often}" + (f" for {self.for_s:g} s" if self.for_s is not None else "")


@dataclass(frozen=True, kw_only=True)
class AnswerFault(WireFault):
    """A wire fault that takes the place of the answer."""

    held_s: float = 0.0
    answer_held: bool = False

    def _how_long(self) -> str:
        return (f" after {self.held_s:g} s" if self.held_s else "") + super()._how_long()


@dataclass(frozen=True, kw_only=True)
class Status(AnswerFault):
    """An HTTP status."""

    kind = "status"

    status: int = 502
    retry_after: str | None = None

    def _what(self) -> str:
        return f"HTTP {self.status}" + (f", Retry-After {self.retry_after}" if self.retry_after else "")


@dataclass(frozen=True, kw_only=True)
class Code(AnswerFault):
    """An error code. With ``endpoint="getupdates"``: a -14 that heals by itself."""

    kind = "code"
    choices = _choices(endpoint=_ENDPOINTS, shape=_CODE_SHAPES)

    code: int = -14
    shape: CodeShape = "errcode"
    errmsg: str | None = None

    def _what(self) -> str:
        return f"code {self.code}"


@dataclass(frozen=True, kw_only=True)
class Html(AnswerFault):
    """HTTP 200 and an HTML page."""

    kind = "html"

    def _what(self) -> str:
        return "an HTML page"


@dataclass(frozen=True, kw_only=True)
class Garbage(AnswerFault):
    """HTTP 200 and bytes that are no text."""

    kind = "garbage"

    def _what(self) -> str:
        return "bytes that are no text"


@dataclass(frozen=True, kw_only=True)
class Body(AnswerFault):
    """A body of your own."""

    kind = "body"

    body: bytes = b""
    status: int = 200

    def _what(self) -> str:
        return f"HTTP {self.status} with {len(self.body)} bytes of your own"


@dataclass(frozen=True, kw_only=True)
class Truncated(AnswerFault):
    """Part of a body, then the end of the connection."""

    kind = "truncated"

    body: bytes = b'{"msgs":[],"get_upd'

    def _what(self) -> str:
        return "the answer breaks off"


@dataclass(frozen=True, kw_only=True)
class Drip(AnswerFault):
    """A body without end, byte by byte."""

    kind = "drip"

    each_s: float = 1.0

    def _what(self) -> str:
        return f"a body without end, a byte each {self.each_s:g} s"


@dataclass(frozen=True, kw_only=True)
class Reset(AnswerFault):
    """The connection is lost."""

    kind = "reset"

    def _what(self) -> str:
        return "the connection is lost"


@dataclass(frozen=True, kw_only=True)
class Hang(AnswerFault):
    """No answer."""

    kind = "hang"

    def _what(self) -> str:
        return "never answered"


@dataclass(frozen=True, kw_only=True)
class Redirect(AnswerFault):
    """HTTP 302 to somewhere else."""

    kind = "redirect"

    location: str = "https://elsewhere.invalid/"

    def _what(self) -> str:
        return "HTTP 302 to somewhere else"


@dataclass(frozen=True, kw_only=True)
class Oversize(AnswerFault):
    """A well-formed answer that is too long to be read."""

    kind = "oversize"

    size: int = 16 * 2**20

    def _what(self) -> str:
        return f"a body of {self.size} bytes"


@dataclass(frozen=True, kw_only=True)
class Slow(WireFault):
    """Latency before a request is handled."""

    kind = "slow"

    delay_s: float = 1.0

    def _what(self) -> str:
        return f"{self.delay_s:g} s late"


@dataclass(frozen=True, kw_only=True)
class Instant(WireFault):
    """Polls are answered at once, messages or not."""

    kind = "instant"
    choices = _choices(endpoint=("getupdates",))

    def _what(self) -> str:
        return "polls are not held"


@dataclass(frozen=True, kw_only=True)
class Hint(WireFault):
    """Good polls carry a hint that may be anything."""

    kind = "hint"
    choices = _choices(endpoint=("getupdates",))

    hint: str = "1"

    def _what(self) -> str:
        return f"the hint {self.hint[:40]}"


@dataclass(frozen=True, kw_only=True)
class Outage(Fault):
    """Nobody is there."""

    kind = "outage"

    for_s: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token is not None:
            raise DefinitionError("outage: token must be left out; a connection is refused before it says whose it is")

    def _what(self) -> str:
        return "outage: connections are refused"


@dataclass(frozen=True, kw_only=True)
class Message(Fault):
    """A user writes. With several copies, the same message comes again, each time with another context token."""

    kind = "message"

    text: str = "hello"
    sender: str = "user@im.wechat"
    copies: int = 1

    def _what(self) -> str:
        return "a user writes" + (f", and it comes {self.copies} times" if self.copies > 1 else "")


KINDS: Final[Mapping[str, type[Fault]]] = {
    made.kind: made
    for made in (
        Expire,
        Takeover,
        Lapse,
        Status,
        Code,
        Html,
        Garbage,
        Body,
        Truncated,
        Drip,
        Reset,
        Hang,
        Redirect,
        Oversize,
        Slow,
        Instant,
        Hint,
        Outage,
        Message,
    )
}
"""Every kind of fault by its name."""
