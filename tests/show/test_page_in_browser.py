"""The page's script in a real browser: it runs under the page's own rules, and leads through the run."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionfsm.lifecycle import Machine
from sessionfsm.session import Quiet
from sessionfsm.show import Run, run_from
from sessionfsm.show.page import page

from .page_runs import CLOCK, WHEN, eventful, hostile, long, record

pytestmark = pytest.mark.slow

Browser = Callable[..., str]

# What a reader does, and what is seen then. It is put into a copy of the page whose rules let it run.
_DRIVER = """
// Where nobody looks frames come as they like: here they come when they are due.
window.requestAnimationFrame = (draw) => setTimeout(draw, 16);
window.cancelAnimationFrame = clearTimeout;
const seen = [];
const words = (selector) => document.querySelector(selector)?.textContent.trim().replace(/\\s+/g, " ") ?? null;
const look = (what) => seen.push({
  what,
  time: parseFloat(words("#relative")),
  record: words("#told .number"),
  trigger: words("#told .what")?.split(" ")[0],
  now: [...document.querySelectorAll(".state.now")].map((each) => each.id),
  lit: [...document.querySelectorAll(".arrow.lit, .loop.lit")].length,
  marked: [...document.querySelectorAll("g.arc.lit")].map((each) => each.id),
  rows: document.querySelectorAll("#rows .row").length,
  chosen: words("#rows .at-hand .index"),
  cursor: Number(document.querySelector(".cursor").getAttribute("x1")),
  totals: [...document.querySelectorAll("[data-total]")].map((row) => [...row.cells].map((cell) => cell.textContent)),
  play: words("#play"),
});
const press = (key, more = {}) =>
  document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
const rest = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
(async () => {
  try { %s } catch (error) { seen.push({ what: String(error) }); }
  const told = document.createElement("pre");
  told.id = "seen";
  told.textContent = JSON.stringify(seen);
  document.body.append(told);
})();
"""


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """Show a page, and return the document that is there after its scripts have run."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is not installed")

    def shown(text: str, mark: str = "", *, budget_ms: int = 4000) -> str:
        file = tmp_path / "page.html"
        file.write_text(text, encoding="utf-8")
        command = [
            program,
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--enable-logging=stderr"),
            *(f"--virtual-time-budget={budget_ms}", "--dump-dom", f"{file.as_uri()}{mark}"),
        ]
        done = subprocess.run(command, capture_output=True, timeout=120, check=True)
        complaints = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
        assert complaints == []
        return done.stdout.decode()

    return shown


def driven(browser: Browser, run: Run, steps: str, mark: str = "", **more: int) -> dict[str, dict[str, Any]]:
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page(run))
    document = browser(text.replace("</body>", f"<script>{_DRIVER % steps}</script></body>"), mark, **more)
    found = re.search(r'<pre id="seen">(.*?)</pre>', document, re.DOTALL)
    assert found is not None
    seen = json.loads(html.unescape(found[1]))
    assert all("time" in each for each in seen), seen
    return {each["what"]: each for each in seen}


def test_an_address_leads_to_a_second(browser: Browser) -> None:
    """Under its own rules the page runs, shows the second that the address names, and complains of nothing."""
    run = eventful()
    step = run.steps[20]
    document = browser(page(run), f"#t={step.at_s + 0.001:.3f}")
    assert '<html lang="en" class="replay">' in document
    assert f"record {step.record.number}, at {step.at_s:.3f} s" in document
    assert f"{step.at_s + 0.001:.3f} s</b>" in document
    assert re.search(rf'<g id="state-{step.record.target}" class="state \w+ now">', document)
    assert re.search(rf'<g id="{step.arc}" class="arc lit"', document)


def test_it_can_be_stepped_through_by_keys(browser: Browser) -> None:
    """Home, End and the arrows lead to every record, in both directions, and the picture follows."""
    run = eventful()
    seen = driven(
        browser,
        run,
        """
        look("opened");
        press("Home"); look("home");
        press("ArrowRight"); look("first");
        press("ArrowRight"); look("second");
        press("ArrowLeft"); look("first again");
        for (let at = 0; at < 500; at += 1) press("ArrowRight");
        look("stepped to the end");
        press("ArrowRight", { shiftKey: true }); look("no more trouble");
        press("Home"); press("ArrowRight", { shiftKey: true }); look("trouble");
        press("End"); look("end");
        """,
    )
    first, second, last = run.steps[0], run.steps[1], run.steps[-1]
    assert seen["home"]["now"] == ["state-stopped"]
    assert (seen["home"]["record"], seen["home"]["lit"]) == (None, 0)
    assert seen["first"] | {"what": ""} == seen["first again"] | {"what": ""}
    assert (seen["first"]["trigger"], seen["first"]["now"]) == (first.record.trigger, ["state-recovering"])
    assert (seen["first"]["marked"], seen["second"]["marked"]) == ([first.arc], [second.arc])
    assert seen["second"]["time"] == pytest.approx(second.at_s, abs=0.001)
    bad = {request.number for request in run.requests if not request.good}
    trouble = next(step for step in run.steps if step.record.number in bad)
    assert (seen["trouble"]["trigger"], seen["trouble"]["chosen"]) == (
        trouble.record.trigger,
        str(trouble.record.number),
    )
    for end in ("opened", "stepped to the end", "no more trouble", "end"):
        assert seen[end]["time"] == pytest.approx(run.until_s, abs=0.001)
        assert seen[end]["chosen"] == str(last.record.number)
        assert seen[end]["now"] == ["state-stopped"]


def test_at_the_end_all_is_counted(browser: Browser) -> None:
    """What is said of the time until now is, at the end, what the page says of the whole without a script."""
    for run in (eventful(), run_from(long(300), Machine())):
        seen = driven(browser, run, 'look("end"); press("Home"); look("home");')
        for _, so_far, whole in seen["end"]["totals"]:
            assert so_far == whole
        assert seen["home"]["totals"][len(run.diagram.boxes)][:2] == ["records", "0"]


def test_it_plays(browser: Browser) -> None:
    """Space plays from the beginning, time goes on by itself, and space holds it."""
    seen = driven(
        browser,
        eventful(),
        """
        press(" "); look("begun");
        await rest(3000); look("later");
        press(" "); look("held");
        await rest(1000); look("still held");
        document.querySelector("#speed").value = "step";
        press("Home"); press(" "); await rest(2500); look("by records"); press(" ");
        """,
        budget_ms=15_000,
    )
    assert (seen["begun"]["time"], seen["begun"]["play"]) == (0, "Pause")
    assert 50 < seen["later"]["time"] < 80  # of 644 s in 30 s, three seconds are 64 s
    assert seen["held"]["play"] == "Play"
    assert seen["still held"]["time"] == seen["held"]["time"]
    assert seen["by records"]["chosen"] == "2"


def test_a_click_leads_to_its_place(browser: Browser) -> None:
    """A click in the timeline leads to the time under it, one in the list to its record; the scrubber to its time."""
    run = eventful()
    seen = driven(
        browser,
        run,
        """
        const picture = document.querySelector("#timeline svg"), area = picture.getBoundingClientRect();
        const x0 = Number(picture.dataset.x0), x1 = Number(picture.dataset.x1);
        const clientX = area.left + (x0 + (x1 - x0) / 4) * area.width / picture.viewBox.baseVal.width;
        picture.dispatchEvent(new MouseEvent("click", { clientX, clientY: area.top + 20, bubbles: true }));
        look("timeline");
        press("Home"); document.querySelector("#row-5").click(); look("list");
        const scrubber = document.querySelector("#scrubber");
        scrubber.value = 100; scrubber.dispatchEvent(new Event("input")); look("scrubber");
        document.querySelector("#previous").click(); look("button");
        """,
    )
    assert seen["timeline"]["time"] == pytest.approx(run.until_s / 4, abs=1.0)
    assert seen["list"]["chosen"] == "6"
    assert seen["scrubber"]["time"] == pytest.approx(100, abs=0.1)
    before = [step for step in run.steps if step.at_s <= 100]
    assert seen["button"]["time"] == pytest.approx(before[-1].at_s, abs=0.001)
    assert seen["button"]["cursor"] < seen["scrubber"]["cursor"]


def test_a_word_of_a_run_does_nothing(browser: Browser) -> None:
    """Without any rule to hold it, a text that is a script does not run: it is read, and nothing else."""
    seen = driven(browser, hostile(), 'press("Home"); press("ArrowRight"); look("first"); press("End"); look("end");')
    assert seen["first"]["chosen"] == "1"
    document = browser(page(hostile()))
    assert document.count("<script") == 2


def test_the_largest_run_stays_light(browser: Browser) -> None:
    """With twenty thousand records only those in sight are in the page, and any of them is a step away."""
    seen = driven(
        browser,
        run_from(long(20_000), Machine()),
        """
        look("end");
        location.hash = "#record=12345"; await rest(200); look("far");
        const began = performance.now();
        for (let at = 0; at < 20; at += 1) press("ArrowRight");
        look("stepped");
        """,
        budget_ms=10_000,
    )
    assert seen["far"]["chosen"] == "12,345"
    assert seen["stepped"]["chosen"] == "12,365"
    assert all(each["rows"] < 60 for each in seen.values())


def test_records_of_one_moment_are_apart(browser: Browser) -> None:
    """Several records at the same time can be stepped through one by one."""
    run = run_from(
        [
            record(1, "start", "stopped", "recovering", at_s=0),
            record(2, "session_renewed", "recovering", "active", at_s=0),
            record(3, "stop", "active", "stopping", at_s=0),
        ],
        Machine(),
    )
    seen = driven(
        browser,
        run,
        """
        look("opened"); press("ArrowLeft"); look("second"); press("ArrowLeft"); look("first");
        press("ArrowLeft"); look("before"); press("ArrowRight"); press("ArrowRight"); look("second again");
        """,
    )
    states = [seen[what]["now"] for what in ("opened", "second", "first", "before", "second again")]
    assert states == [[f"state-{name}"] for name in ("stopping", "active", "recovering", "stopped", "active")]


@pytest.mark.parametrize("at", [1.5, WHEN])
def test_a_stretch_without_a_record_is_shown(browser: Browser, at: float) -> None:
    """A stretch in which nothing happened shows where the session was."""
    run = run_from(long(5), Machine()).between(1.2, 1.7)
    seen = driven(
        browser, run, 'look("opened"); press(" "); press("ArrowLeft"); press("End"); look("end");', f"#t={at}"
    )
    assert seen["opened"]["now"] == seen["end"]["now"] == ["state-active"]
    assert seen["end"]["rows"] == 0


def test_quiet_polls_that_no_record_tells_of_are_counted_once_they_have_begun(browser: Browser) -> None:
    """The page of a live session that was quiet for an hour says at its end how often it polled, and not before."""
    records = [
        record(1, "start", "stopped", "recovering", 0.0),
        record(2, "session_renewed", "recovering", "active", 1.0, operation="renew", started_s=CLOCK, held_s=1.0),
    ]
    first, last = CLOCK + 1.0, CLOCK + 3600.0
    quiet = Quiet(polls=103, first_started_s=first, last_started_s=last, longest_gap_s=35.0, news=2, since_news=7)
    run = run_from(records, Machine(), quiet=quiet)
    assert "103 × " in browser(page(run), "#t=3600")
    document = browser(page(run), "#t=3599")
    assert "103 × " not in document
    assert "103 quiet polls, for 59 min 58 s until now" in re.sub(r"<[^>]+>", "", document)
    seen = driven(browser, run, 'look("end");')
    assert all(so_far == whole for _, so_far, whole in seen["end"]["totals"])
