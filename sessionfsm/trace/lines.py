"""The lines of a trace: what may stand on each of them, and nothing else (docs/reference/trace-format.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec.structs import asdict

from sessionfsm.errors import PolicyError
from sessionfsm.lifecycle import Close, Command, Memory, Own, Policy, Poll, Renew, Wait
from sessionfsm.session import Quiet, Record, SendRecord

__all__ = ["VERSION", "BrokenOff", "LineError", "Line", "Other", "RunLine", "Torn", "UnfinishedError", "line_of"]

VERSION = 1
"""Of the form. Another key on a line that exists, or another meaning of one, is another version."""


class LineError(ValueError):
    """A line that is not what it has to be; the message says why, and neither file nor number."""


class UnfinishedError(LineError):
    """The same, and it may be the beginning of one that would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """
    Begins a run. Every line up to the next one of its kind belongs to it.

    Attributes:
        version: Of the form.
        library: The version of the library that wrote it.
        account: Whose session it is, when the run begins.
        table: What the table is called that the session runs on.
        digest: What that table does: :func:`~sessionfsm.trace.table_digest`.
        policy: The figures.
        at_s: When the run began, on the monotonic clock that all times of the run are on.
        wall_s: The same in seconds since the epoch.
    """

    version: int
    library: str
    account: str
    table: str
    digest: str
    policy: Policy
    at_s: float
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenOff:
    """
    The writer could not go on: what the session did afterwards is not on file.

    Attributes:
        at_s: When.
        why: Such as ``No space left on device``.
    """

    at_s: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """
    A line of a kind that this version does not know. A reader passes over it.

    Attributes:
        kind: Which.
        fields: All that stands on it.
    """

    kind: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Torn:
    """A line that has a beginning and no end: its process was killed while it wrote it, or writes it just now."""


Line: TypeAlias = RunLine | Record | SendRecord | BrokenOff | Other | Torn

# Bounds that no honest trace comes near, so that whoever calculates with what stands in a file cannot overflow.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Time = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
_Length = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
_Word = Annotated[str, msgspec.Meta(max_length=1000)]


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    name: _Word
    digest: _Word


class _Run(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="run"):
    version: _Count
    library: _Word
    account: _Word
    table: _Table
    policy: dict[str, int | float | str]
    at_s: _Time
    wall_s: _Time


class _BrokenOff(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="broken_off"):
    at_s: _Time
    why: str


class _Send(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="send"):
    account: _Word
    started_s: _Time
    held_s: _Length
    state: _Word
    failed: _Word
    detail: str


class _Memory(msgspec.Struct, forbid_unknown_fields=True):
    expired: bool
    trusted: bool
    waits: _Count
    denials: _Count
    doubts: _Count
    hurries: _Count


class _Renew(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="renew"):
    serial: _Count
    deadline_s: _Length


class _Poll(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="poll"):
    serial: _Count
    pace_s: _Length
    fresh: bool


class _Wait(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="wait"):
    serial: _Count
    ladder: _Word
    attempt: _Count
    rung_s: _Length
    first_s: _Length
    ceiling_s: _Length


class _Own(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="own"):
    serial: _Count
    name: _Word
    deadline_s: _Length
    outcomes: tuple[_Word, ...]
    otherwise: _Word


class _Close(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="close"):
    serial: _Count
    notify: bool


class _Quiet(msgspec.Struct, forbid_unknown_fields=True):
    polls: _Count
    first_started_s: _Time
    last_started_s: _Time
    longest_gap_s: _Length
    news: _Count
    since_news: _Count


class _Record(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="record"):
    version: _Count
    account: _Word
    number: _Count
    at_s: _Time
    wall_s: _Time
    serial: _Count | None
    operation: _Word
    trigger: _Word
    source: _Word
    target: _Word
    memory: _Memory
    command: _Renew | _Poll | _Wait | _Own | _Close | None
    wait_s: _Length | None
    started_s: _Time | None
    held_s: _Length | None
    news: _Count
    reason: str
    detail: str
    raised: tuple[_Word, ...]
    cleared: tuple[_Word, ...]
    quiet: _Quiet | None


_COMMANDS: dict[type[msgspec.Struct], Callable[..., Command]] = {
    _Renew: Renew,
    _Poll: Poll,
    _Wait: Wait,
    _Own: Own,
    _Close: Close,
}


def line_of(text: bytes) -> RunLine | Record | SendRecord | BrokenOff | Other:
    """
    Read one line, strictly.

    Raises:
        LineError: If it is anything else than a line of a trace.
    """
    fields = _object(text)
    kind = fields.get("kind")
    match kind:
        case "run":
            return _run(fields)
        case "record":
            return _record(fields)
        case "send":
            return SendRecord(**asdict(_shaped(fields, _Send)))
        case "broken_off":
            broken = _shaped(fields, _BrokenOff)
            return BrokenOff(at_s=broken.at_s, why=broken.why)
        case str():
            return Other(kind=kind, fields=fields)
        case _:
            raise LineError("it is a JSON object without a 'kind', so it is no line of a trace")


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(text.decode("utf-8"))
    except LineError:
        raise
    except UnicodeDecodeError:
        raise UnfinishedError("it is not UTF-8, so it is no line of a trace") from None
    except json.JSONDecodeError as error:
        raise UnfinishedError(f"it is not JSON ({error.msg}, character {error.pos + 1})") from None
    except ValueError:  # Python converts no number of more than some thousand digits
        raise LineError("a number on it is out of range") from None
    except RecursionError:
        raise LineError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise LineError("it is JSON, and not an object, so it is no line of a trace")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise LineError(f"the key {twice[:40]!r} stands on it twice")
    return found


def _no_constant(name: str) -> object:
    raise LineError(f"{name} is no number that JSON knows")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)

_Shape = TypeVar("_Shape", bound=msgspec.Struct)


def _shaped(fields: dict[str, Any], shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(fields, shape)
    except msgspec.ValidationError as error:
        raise LineError(str(error).replace("`", "")) from None


def _known(fields: dict[str, Any], what: str) -> None:
    version = fields.get("version")
    if isinstance(version, int) and version != VERSION:
        library = fields.get("library")
        newer = f"; the sessionfsm that wrote it ({library[:40]}) can" if isinstance(library, str) else ""
        raise LineError(f"{what} has version {version:g}, and only version {VERSION} can be read here{newer}")


def _run(fields: dict[str, Any]) -> RunLine:
    _known(fields, "the run")
    run = _shaped(fields, _Run)
    try:
        policy = Policy.from_mapping(run.policy)
    except PolicyError as error:
        raise LineError(f"its policy cannot be: {error}") from None
    return RunLine(
        version=run.version,
        library=run.library,
        account=run.account,
        table=run.table.name,
        digest=run.table.digest,
        policy=policy,
        at_s=run.at_s,
        wall_s=run.wall_s,
    )


def _record(fields: dict[str, Any]) -> Record:
    _known(fields, "the record")
    shaped = _shaped(fields, _Record)
    cells = asdict(shaped)
    command, quiet = shaped.command, shaped.quiet
    cells["memory"] = Memory(**asdict(shaped.memory))
    cells["command"] = None if command is None else _COMMANDS[type(command)](**asdict(command))
    cells["quiet"] = None if quiet is None else Quiet(**asdict(quiet))
    return Record(**cells)
