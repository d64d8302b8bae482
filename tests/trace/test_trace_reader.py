"""``read_trace``: strict, in bounded memory, and clear about what is wrong and where."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from sessionfsm import TraceError
from sessionfsm.trace import Other, RunLine, Torn, check_trace, read_trace
from sessionfsm.trace.reader import LONGEST_LINE

from .recorded import checked, parsed, unparsed, whole_run

BEGIN, FIRST, *REST = whole_run().splitlines(keepends=True)


SEND = b'{"kind":"send","account":"a","started_s":1.0,"held_s":1.0,"state":"active","failed":"","detail":""}\n'


def problem(*lines: bytes) -> str:
    with pytest.raises(TraceError) as raised:
        list(read_trace(io.BytesIO(b"".join(lines)), name="run.jsonl"))
    return str(raised.value)


def with_(line: bytes, **values: Any) -> bytes:
    return json.dumps({**json.loads(line), **values}).encode() + b"\n"


def without(line: bytes, key: str) -> bytes:
    return json.dumps({name: value for name, value in json.loads(line).items() if name != key}).encode() + b"\n"


def inside(line: bytes, key: str, **values: Any) -> bytes:
    return with_(line, **{key: {**json.loads(line)[key], **values}})


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param([], "run.jsonl is empty: nothing was recorded", id="empty"),
        pytest.param([b"\n"], "run.jsonl:1: it is empty", id="an empty line"),
        pytest.param([b"\x7fELF\x00\xff\n"], "run.jsonl:1: it is not UTF-8", id="binary"),
        pytest.param([b"hello\n"], "run.jsonl:1: it is not JSON", id="text"),
        pytest.param([b"[1]\n"], "run.jsonl:1: it is JSON, and not an object", id="a list"),
        pytest.param([b"{}\n"], "run.jsonl:1: it is a JSON object without a 'kind'", id="an object"),
        pytest.param([b'{"kind":7}\n'], "run.jsonl:1: it is a JSON object without a 'kind'", id="a kind that is none"),
        pytest.param([FIRST], "run.jsonl:1: no run was begun before it", id="no first line"),
        pytest.param([BEGIN, b"\n"], "run.jsonl:2: it is empty", id="an empty line inside"),
        pytest.param([BEGIN, b"null\n"], "run.jsonl:2: it is JSON, and not an object", id="null"),
        pytest.param([BEGIN, FIRST[:-9] + b"\n", *REST], "run.jsonl:2: it is not JSON", id="torn in the middle"),
        pytest.param([BEGIN, FIRST[:-9] + b"\n"], "run.jsonl:2: it is not JSON", id="torn and ended"),
        pytest.param([BEGIN, b"rubbish"], "run.jsonl:2: it is not JSON", id="rubbish at the end"),
        pytest.param([BEGIN, FIRST[:80] + b"\xff" + FIRST[80:]], "run.jsonl:2: it is not UTF-8", id="not UTF-8"),
        pytest.param([b"\xef\xbb\xbf" + BEGIN], "run.jsonl:1: it is not JSON", id="a byte order mark"),
        pytest.param([BEGIN, with_(FIRST, extra=1)], "run.jsonl:2: Object contains unknown field extra", id="extra"),
        pytest.param([SEND], "run.jsonl:1: no run was begun before it", id="a send without a run"),
        pytest.param([BEGIN, with_(SEND, to="bo")], "Object contains unknown field to", id="a user at a send"),
        pytest.param([BEGIN, without(SEND, "state")], "missing required field state", id="a send without a state"),
        pytest.param(
            [BEGIN, with_(SEND, held_s=-1)], "Expected float >= 0.0 - at $.held_s", id="held less than no time"
        ),
        pytest.param([BEGIN, with_(SEND, started_s=3e15)], "at $.started_s", id="a send after the end of time"),
        pytest.param([BEGIN, without(FIRST, "news")], "missing required field news", id="missing"),
        pytest.param([BEGIN, with_(FIRST, number="1")], "Expected int, got str - at $.number", id="text for a number"),
        pytest.param([BEGIN, with_(FIRST, number=True)], "Expected int, got bool", id="a flag for a number"),
        pytest.param([BEGIN, with_(FIRST, number=-1)], "Expected int >= 0", id="negative"),
        pytest.param([BEGIN, with_(FIRST, number=10**30)], "Expected int <= ", id="a huge number"),
        pytest.param([BEGIN, with_(FIRST, at_s=1e300)], "Expected float <= ", id="an absurd time"),
        pytest.param([BEGIN, with_(FIRST, at_s=None)], "Expected float, got null", id="null for a time"),
        pytest.param([BEGIN, with_(FIRST, memory=[])], "Expected object, got array - at $.memory", id="a list"),
        pytest.param([BEGIN, inside(FIRST, "memory", waits=1.5)], "at $.memory.waits", id="half a wait"),
        pytest.param([BEGIN, inside(FIRST, "memory", lives=9)], "unknown field lives - at $.memory", id="inside"),
        pytest.param([BEGIN, inside(FIRST, "command", kind="fly")], "at $.command", id="a command that is none"),
        pytest.param([BEGIN, with_(FIRST, raised=[1])], "Expected str, got int - at $.raised[0]", id="signals"),
        pytest.param([BEGIN, with_(FIRST, account="x" * 2000)], "length <= 1000 - at $.account", id="a long name"),
        pytest.param([BEGIN, FIRST.replace(b'"at_s":', b'"at_s":NaN,"x":', 1)], "NaN is no number", id="NaN"),
        pytest.param([BEGIN, FIRST.replace(b'"at_s":', b'"at_s":-Infinity,"x":', 1)], "-Infinity is no", id="Infinity"),
        pytest.param([BEGIN, with_(FIRST).replace(b'"at_s": 0.0', b'"at_s": 1e400')], "Expected float <= ", id="1e400"),
        pytest.param(
            [BEGIN, FIRST.replace(b'"number":1', b'"number":' + b"9" * 5000)], "out of range", id="5000 digits"
        ),
        pytest.param(
            [BEGIN, FIRST.replace(b'"number":1', b'"number":1,"number":1')], "'number' stands on it twice", id="twice"
        ),
        pytest.param(
            [BEGIN, FIRST.replace(b'"serial":1,', b'"serial":1,"serial":1,')],
            "'serial' stands on it twice",
            id="twice inside",
        ),
        pytest.param([BEGIN, b'{"kind":' + b"[" * 100_000 + b"\n"], "nested too deeply", id="deep"),
        pytest.param([BEGIN, b'{"kind":"' + b"x" * LONGEST_LINE + b'"}\n'], "longer than 1048576 bytes", id="long"),
        pytest.param(
            [with_(BEGIN, version=2)],
            "the run has version 2, and only version 1 can be read here; the sessionfsm that wrote it (0.1.0) can",
            id="newer",
        ),
        pytest.param([with_(BEGIN, version=2, shape="new")], "the run has version 2", id="newer, with other keys"),
        pytest.param([BEGIN, with_(FIRST, version=7)], "run.jsonl:2: the record has version 7", id="newer record"),
        pytest.param(
            [inside(BEGIN, "policy", session_ceiling_s=3600)],
            "its policy cannot be: session_ceiling_s = 3600",
            id="policy",
        ),
        pytest.param(
            [inside(BEGIN, "policy", hours=1)], "its policy cannot be: unknown policy key 'hours'", id="no such figure"
        ),
        pytest.param([inside(BEGIN, "table", digest=None)], "at $.table.digest", id="no digest"),
    ],
)
def test_what_is_no_trace_is_one_line_that_says_where_and_why(lines: list[bytes], words: str) -> None:
    said = problem(*lines)
    assert words in said
    assert "\n" not in said
    assert len(said) < 400


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "Is a directory"), (tmp_path / "nowhere", "No such file or directory")):
        with pytest.raises(TraceError, match=f"{path} cannot be read: {words}"):
            list(read_trace(path))


def test_a_line_that_the_last_process_could_not_finish_is_torn() -> None:
    """At the end of the file, and before the run that came next; a line that only lacks its end is whole."""
    for cut in range(1, len(FIRST)):
        lines = [line for _, line in read_trace(io.BytesIO(BEGIN + FIRST[: len(FIRST) - cut]))]
        assert isinstance(lines[-1], Torn) == (cut > 1)
    lines = [line for _, line in read_trace(io.BytesIO(BEGIN + FIRST[:200] + b"\n" + BEGIN + FIRST))]
    assert [isinstance(line, Torn) for line in lines] == [False, True, False, False]
    assert isinstance(lines[2], RunLine)


def test_lines_of_a_kind_that_is_not_known_are_passed_over() -> None:
    """A later version may note more; the record that it stands between is judged all the same."""
    lines = parsed(whole_run())
    lines[5:5] = [{"kind": "delivery", "at_s": 1.0, "to": "somebody"}, {"kind": "note", "words": ["x"] * 100}]
    report = checked(lines)
    assert (report.verdict, report.others) == ("clean", 2)
    others = [line for _, line in read_trace(io.BytesIO(unparsed(lines))) if isinstance(line, Other)]
    assert [other.kind for other in others] == ["delivery", "note"]
    assert others[0].fields["to"] == "somebody"


def test_nothing_follows_in_a_run_that_is_broken_off() -> None:
    mark = b'{"kind":"broken_off","at_s":1.0,"why":"No space left on device"}\n'
    assert "run.jsonl:4: it is a record of a run that was broken off" in problem(BEGIN, FIRST, mark, REST[0])
    assert "run.jsonl:4: it is a send of a run that was broken off" in problem(BEGIN, FIRST, mark, SEND)


def test_a_trace_without_end_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """The same run many times over, and 3 GB of nothing in one line."""
    path = tmp_path / "many.jsonl"
    with path.open("wb") as file:
        for _ in range(12):
            file.write(whole_run())
    checked(whole_run())
    tracemalloc.start()
    report = check_trace(path)
    _, most = tracemalloc.get_traced_memory()
    assert (report.verdict, report.run_count) == ("clean", 12)
    assert most < path.stat().st_size / 4
    with path.open("wb") as file:
        file.truncate(3 * 2**30)  # a hole: it takes no room
    tracemalloc.reset_peak()
    with pytest.raises(TraceError, match=r"many\.jsonl:1: it is longer than"):
        check_trace(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * 2**20
