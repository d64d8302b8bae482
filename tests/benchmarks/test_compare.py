"""The benchmark measures what it says, at five sessions; how fast anything is, no test asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import benchmarks.compare.__main__ as command
from benchmarks.compare.measure import Cell, Effort, measure
from benchmarks.compare.pipe import Child, ChildFailed
from benchmarks.compare.ratios import cell_ratios, losses, quick_ratios
from benchmarks.compare.report import page, plot
from benchmarks.compare.rows import RENEWING, ROWS
from benchmarks.compare.targets import targets_page

LITTLE = Effort(rounds=1, waves=1, ramp_s=20.0, lazy_s=0.0, messages=5)
RATIOS = {"cpu_vs_httpx_per_session", "cpu_vs_aiohttp", "cpu_vs_floor", "durable_vs_naive", "kb_per_session"}


def test_every_row_polls_gets_its_messages_comes_back_after_a_reset_and_ends() -> None:
    """Over TLS, with the certificate that was made for the run; a row that lost a message would say so as missing."""
    found = measure(Cell(sessions=5, tls=True), effort=LITTLE, say=lambda _: None)
    assert list(found) == list(ROWS)
    for name, row in found.items():
        assert "missing" not in row, f"{name}: {row['missing']}"
        assert row["cycle_us"] > 0
        assert {"ramp", "wave", "reset", "delivery_ms", "cancel", "server_share"} < set(row)
        assert ("expiry_ms" in row) == (name in RENEWING)
        assert not [key for key in row if key.startswith("_")]


@pytest.mark.parametrize(
    ("cell", "rows"),
    [
        (Cell(sessions=2, backend="trio"), ("ours", "httpx shared")),
        (Cell(sessions=2, backend="uvloop"), ("ours", "aiohttp")),
    ],
    ids=str,
)
def test_rows_run_on_other_backends(cell: Cell, rows: tuple[str, ...]) -> None:
    """What a report says of trio or uvloop was measured there."""
    found = measure(
        cell, rows=rows, effort=Effort(rounds=1, waves=0, ramp_s=20.0, lazy_s=0.0, messages=2), say=lambda _: None
    )
    assert {name: row.get("missing") for name, row in found.items()} == dict.fromkeys(rows)


def test_a_row_that_does_not_ramp_in_time_says_so_and_the_others_go_on() -> None:
    """A program that never gets all its sessions to poll is a result, not the end of the benchmark."""
    found = measure(
        Cell(sessions=1, backend="trio"),
        rows=("aiohttp", "ours", "httpx shared"),
        effort=Effort(rounds=1, waves=0, ramp_s=0.0001, lazy_s=0.0, messages=1),
        say=lambda _: None,
    )
    assert found["aiohttp"] == {"missing": "it runs on asyncio only"}
    assert found["ours"]["missing"].startswith("ramp: ")
    assert found["httpx shared"]["missing"].startswith("ramp: ")


def test_a_child_that_ends_or_fails_is_an_error_that_says_which_command() -> None:
    """Not a run that hangs, or figures of a process that is not there."""
    with Child(["-m", "benchmarks.compare.server"]) as server:
        assert server.heard("listen", 20.0) > 0
        with pytest.raises(ChildFailed, match="expire: nobody polls"):
            server("expire", count=1, limit_s=1.0)
    with Child(["-c", "print(1)"]) as child:
        assert child.heard("number", 20.0) == 1
        with pytest.raises(ChildFailed, match=r"wave: the process has ended \(code 0\)"):
            child.heard("wave", 20.0)


def test_cells_are_added_to_those_that_are_stored() -> None:
    """A matrix can be measured in parts: what is new takes the place of the old, and what was not measured does not."""

    def cell(backend: str, sessions: int, **more: Any) -> dict[str, Any]:
        return {"backend": backend, "tls": False, "sessions": sessions, "rows": {}, **more}

    old, new, missing = cell("trio", 100), cell("trio", 100, rows={"ours": {}}), cell("trio", 1000, missing="no time")
    kept = cell("trio", 1000)
    first = cell("asyncio", 1)
    assert command.added([old, kept], [new, missing, first]) == [first, new, kept]
    assert command.added([], [missing]) == [missing]


def _rows(**cycle_us: float) -> dict[str, dict[str, Any]]:
    return {name.replace("_", " "): {"cycle_us": value} for name, value in cycle_us.items()}


def test_ratios_are_ours_against_the_bare_rows() -> None:
    """Below one means that ours costs less; durable messages are the other way round."""
    rows = _rows(ours=100.0, httpx_per_session=200.0, aiohttp=50.0, floor=10.0)
    rows["ours"]["kb_per_session"] = 30.0
    found = quick_ratios(rows, {"ours_per_cpu_s": 700.0, "naive_per_cpu_s": 100.0})
    assert found == {
        "cpu_vs_httpx_per_session": 0.5,
        "cpu_vs_aiohttp": 2.0,
        "cpu_vs_floor": 10.0,
        "durable_vs_naive": 7.0,
        "kb_per_session": 30.0,
    }
    assert set(found) == RATIOS


def test_a_ratio_that_was_not_measured_is_named() -> None:
    """A row that is missing must not look like a good one."""
    with pytest.raises(KeyError, match="cpu_vs_aiohttp"):
        quick_ratios(_rows(ours=1.0, httpx_per_session=1.0), {"ours_per_cpu_s": 1.0, "naive_per_cpu_s": 1.0})
    assert cell_ratios({}) == {}


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"cpu_vs_aiohttp": 1.29, "durable_vs_naive": 7.8}, []),
        ({"cpu_vs_aiohttp": 0.1, "durable_vs_naive": 99.0}, []),
        ({"cpu_vs_aiohttp": 1.31, "durable_vs_naive": 10.0}, ["cpu_vs_aiohttp was 1 and is 1.31: 31% worse"]),
        ({"cpu_vs_aiohttp": 1.0, "durable_vs_naive": 7.6}, ["durable_vs_naive was 10 and is 7.6: 32% worse"]),
        ({"durable_vs_naive": 10.0}, ["cpu_vs_aiohttp was 1 and was not measured"]),
    ],
)
def test_a_loss_of_thirty_percent_is_found_whichever_way_is_better(now: dict[str, float], words: list[str]) -> None:
    """Figures of which less is better, and the one of which more is; what is better now is no loss."""
    assert losses({"cpu_vs_aiohttp": 1.0, "durable_vs_naive": 10.0}, now) == words


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is written to the checkout, and what is measured is made up."""
    monkeypatch.setattr(command, "OUT", tmp_path / "out")
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    rows = _rows(ours=100.0, httpx_per_session=200.0, aiohttp=50.0, floor=10.0)
    rows["ours"] |= {"kb_per_session": 30.0, "expiry_ms": {"p50": 3.0, "most": 5.0}}
    rows["httpx shared"] = {"missing": "ramp: not all sessions polled"}
    monkeypatch.setattr(command, "measure", lambda *_, **__: rows)
    monkeypatch.setattr(command, "durable", lambda **_: {"ours_per_cpu_s": 700.0, "naive_per_cpu_s": 100.0})
    monkeypatch.setattr(command, "trigger_us", lambda: 4.5)
    monkeypatch.setattr(command, "help_start", lambda *_: {"help_ms": 40.0, "bare_ms": 20.0})
    return tmp_path


def test_quick_writes_the_ratios_and_check_fails_on_a_loss(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a stored result there is nothing to check, and that is said, not passed."""
    assert command.main(["check"]) == 2
    assert "make bench-quick ARGS=--store" in capsys.readouterr().err
    assert command.main(["quick", "--store"]) == 0
    found = json.loads((folders / "out" / "quick.json").read_text())
    assert set(found["ratios"]) == RATIOS
    assert found["machine"]["python"]
    assert json.loads((folders / "results" / "quick.json").read_text()) == found
    assert command.main(["check"]) == 0
    stored = folders / "results" / "quick.json"
    stored.write_text(json.dumps(found | {"ratios": found["ratios"] | {"cpu_vs_aiohttp": 1.0}}))
    assert command.main(["check"]) == 1
    assert "cpu_vs_aiohttp was 1 and is 2: 100% worse" in capsys.readouterr().err


def test_a_cell_that_cannot_run_here_says_why(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of the machine is a line in the table, not the end of it."""
    monkeypatch.setattr(command, "why_not", lambda count, *_: "too many" if count > 10 else "")
    assert command.main(["all", "--sessions", "1", "100", "--backends", "trio", "--transports", "tls"]) == 0
    cells = json.loads((folders / "out" / "all.json").read_text())["cells"]
    assert [(cell["sessions"], cell.get("missing")) for cell in cells] == [(1, None), (100, "too many")]
    assert "Not measured: too many." in (folders / "out" / "all.md").read_text()


def test_the_page_and_the_plot_show_every_row(folders: Path) -> None:
    """What is missing is said with its reason, and the picture is well-formed XML."""
    assert command.main(["quick"]) == 0
    found = json.loads((folders / "out" / "quick.json").read_text())
    text = page(found)
    assert "| ours | 100 | 30.0 |" in text
    assert "| aiohttp | 2.00 | n/a | n/a |" in text
    assert "- httpx shared: ramp: not all sessions polled" in text
    assert "(7.0 times)" in text
    picture = ElementTree.fromstring(plot(found["cells"]))
    words = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"ours 100", "httpx per session 200", "aiohttp 50", "floor 10"} < set(words)


def test_a_target_that_is_missed_is_bold_and_what_was_not_measured_is_no_success(folders: Path) -> None:
    """Two runs stand side by side, each from its own file, with the bare rows of both."""
    arguments = ["all", "--backends", "asyncio", "--transports", "plain", "--store"]
    assert command.main([*arguments, "--sessions", "1000"]) == 0
    assert command.main([*arguments, "--sessions", "1000", "10000", "--again"]) == 0
    assert command.main(["targets"]) == 0
    table = (folders / "results" / "targets.md").read_text()
    assert "| the same against aiohttp | ≤ 1.35 | ≤ 1.1 | **2.00** | **2.00** |  |" in table
    assert "| growth: 10,000 sessions over 1,000 | ≤ 1.25 | ≤ 1.1 | n/a | 1.00 | httpx per session n/a, 1.00;" in table
    assert "| durable inbound against one transaction per message | ≥ 7 | ≥ 10 | 7.0 | 7.0 |  |" in table
    assert "| KB per session, 1,000, TLS | ≤ 65 | ≤ 50 | n/a | n/a |  |" in table


def test_without_a_stored_run_there_is_no_table(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty table would look like one that nobody has filled in yet."""
    assert command.main(["targets"]) == 2
    assert "nothing is stored" in capsys.readouterr().err
    assert not (folders / "results").exists()


def test_the_stored_table_is_what_the_stored_runs_say() -> None:
    """A figure that somebody has typed in is found."""
    runs = [path for name in command.RUNS if (path := command.RESULTS / f"{name}.json").exists()]
    written = (command.RESULTS / "targets.md").read_text()
    assert written == targets_page([json.loads(path.read_text()) for path in runs])
