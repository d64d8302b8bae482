"""
The parts of the pages that the program writes: ``make pages`` writes them anew, and a test compares them whole.

In the Markdown each stands between two comments, which no reader sees::

    <!-- make pages: run official_client P1 -->
    (what the program prints)
    <!-- as printed -->

The words before the first space name a function below; the others are its arguments.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache

from sessionfsm import examples
from sessionfsm.cli import main
from sessionfsm.lifecycle import Ladder, Machine, Policy
from sessionfsm.verify import STATEMENTS, Figures, Report, decide
from sessionfsm.verify.counterexample import narrate
from tests.examples.pages import DOCS, snippets

__all__ = ["CLOSING", "OPENING", "PAGES", "blocks_of", "printed", "report"]

PAGES = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
OPENING, CLOSING = "<!-- make pages: ", "<!-- as printed -->"
BLOCK = re.compile(rf"^{OPENING}([^\n]+) -->\n(.*?)^{CLOSING}$", re.DOTALL | re.MULTILINE)


TIMED = ("P6", "P7", "P8")
"""Of these the shortest run is another search, and can take ten times as long as the verdict."""


@cache
def report(name: str = "ours", renewal: str = "attempted", *, verdicts_only: bool = False) -> Report:
    """Return what is found about one of the examples, or about ours, with the default figures."""
    policy = Policy.from_mapping({"renewal": renewal})
    machine = Machine(policy) if name == "ours" else Machine(policy, getattr(examples, name)(policy))
    return decide(machine, verdicts_only=verdicts_only)


def properties() -> str:
    """Every property, what is found about ours, and the figure behind it."""
    found = _figures()
    windows = _most(found, "any server")
    exact = {
        "P2": f"{report()['P2'].figure[0]:g} s is the longest wait",  # type: ignore[index]
        "P6": f"{found.longest_silence_s:g} s; {found.longest_between_polls_s:g} s between polls",
        "P7": f"{found.longest_resumption_s:g} s",
        "P8": " / ".join(windows) + " in a second / a minute / an hour",
        "P19": f"denial {report().policy.login_required_denials}",
    }
    lines = ["| id | it says | found | exactly |", "|---|---|---|---|"]
    for number, statement in STATEMENTS.items():
        lines.append(f"| {number} | {statement} | {report()[number].verdict} | {exact.get(number, '')} |")
    return _table(lines)


def figures() -> str:
    """The exact figures of ours, for both ways of renewing."""
    both = [_figures("attempted"), _figures("required")]
    reports = [report(renewal="attempted"), report(renewal="required")]
    rows = [
        ("longest silence (P6)", [_s(exact.longest_silence_s) for exact in both]),
        ("longest time between two polls (P6)", [_s(exact.longest_between_polls_s) for exact in both]),
        ("longest resumption (P7)", [_s(exact.longest_resumption_s) for exact in both]),
    ]
    for scenario in both[0].most_requests:
        what = f"most requests in a second / a minute / an hour, {scenario} (P8)"
        rows.append((what, [" / ".join(_most(exact, scenario)) for exact in both]))
    rows.append(("configurations searched", [f"{found.states:,}" for found in reports]))
    rows.append(("transitions between them", [f"{found.transitions:,}" for found in reports]))
    lines = ["| figure | renewal attempted (the default) | renewal required |", "|---|---|---|"]
    return _table([*lines, *(f"| {what} | {' | '.join(cells)} |" for what, cells in rows)])


def ladders() -> str:
    """The rungs of both ladders, and the paces."""
    policy = report().policy
    lines = ["| schedule | before jitter | after it, at least |", "|---|---|---|"]
    for ladder in Ladder:
        rungs = [policy.rung_s(ladder, attempt) for attempt in range(1, policy.rungs(ladder) + 1)]
        least = [rung * (1 - policy.jitter) for rung in rungs]
        lines.append(f"| {ladder} ladder | {_row(rungs)} | {_row(least)} |")
    paces = [policy.pace_s(count) for count in range(1, policy.paces + 1)]
    lines.append(f"| pace | {_row(paces)} | the same |")
    return _table(lines)


def run(name: str, number: str) -> str:
    """The shortest run that refutes a property of an example, as it is printed."""
    return f"```text\n{narrate(report(name, verdicts_only=number not in TIMED)[number])}\n```\n"


def policy(page: str) -> str:
    """What ``sessionfsm verify`` prints below the properties, for the first policy file of a how-to page."""
    printed = io.StringIO()
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".toml") as file:
        file.write(snippets(f"how-to/{page}.md", "toml")[0])
        file.flush()
        with redirect_stdout(printed):
            main(["verify", "--policy", file.name])
    return f"```text\n{''.join(re.findall('longest silence.*', printed.getvalue(), re.DOTALL))}```\n"


def verdicts(*names: str) -> str:
    """What is found about some examples, side by side, and about ours."""
    lines = [
        f"| property | {' | '.join(f'`{name}`' for name in names)} | ours |",
        "|---" * (len(names) + 2) + "|",
    ]
    for number in STATEMENTS:
        found = [report(name, verdicts_only=True)[number].verdict for name in names] + [report()[number].verdict]
        lines.append(f"| {number} | {' | '.join(found).replace('refuted', '**refuted**')} |")
    return _table(lines)


KINDS: dict[str, Callable[..., str]] = {
    kind.__name__: kind for kind in (properties, figures, ladders, run, verdicts, policy)
}


def printed(name: str) -> str:
    """Return a block as the program writes it today."""
    kind, *arguments = name.split()
    return KINDS[kind](*arguments)


def blocks_of(page: str) -> list[tuple[str, str]]:
    """Return the blocks of a page, in order: what it is, and what stands in it."""
    return [(found[1], found[2]) for found in BLOCK.finditer(page)]


def rewritten(page: str) -> str:
    """Return a page with every block of it anew."""
    return BLOCK.sub(lambda found: f"{OPENING}{found[1]} -->\n{printed(found[1])}{CLOSING}", page)


def _figures(renewal: str = "attempted") -> Figures:
    found = report(renewal=renewal).figures
    assert found is not None  # our own table is searched whole
    return found


def _most(exact: Figures, scenario: str) -> list[str]:
    return ["no bound" if count is None else f"{count:,}" for count in exact.most_requests[scenario].values()]


def _s(length_s: float | None) -> str:
    return "no bound" if length_s is None else f"{length_s:g} s"


def _row(lengths_s: list[float]) -> str:
    return ", ".join(f"{length_s:g}" for length_s in lengths_s) + " s"


def _table(lines: list[str]) -> str:
    # With a blank line at both ends, because Markdown takes a line at once after a comment for a part of that.
    return "\n" + "\n".join(lines) + "\n\n"


def write() -> None:
    """Write every page anew of which a block has changed, and say which."""
    for path in PAGES:
        before = path.read_text(encoding="utf-8")
        if (after := rewritten(before)) != before:
            path.write_text(after, encoding="utf-8")
            print(f"pages: {path.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    write()
