"""
Every figure in a sentence of the pages is the one that the program has.

What is printed whole is compared elsewhere (``blocks.py``). Here are the figures that stand in prose: each page has a
list of its phrases, with the names of the figures in them, and no figure outside of them.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from dataclasses import asdict
from typing import Any

import pytest

from sessionfsm import Policy, PolicyError, RecordMonitor, Session, SQLiteStore, examples
from sessionfsm.ilink import connection
from sessionfsm.lifecycle import Ladder, Machine
from sessionfsm.session import following, inbox, limiter, supervisor
from sessionfsm.store.writer import MARK_S
from sessionfsm.verify import explore
from tests.examples.blocks import BLOCK, PAGES, report
from tests.examples.pages import DOCS, snippets, text

ROOT = DOCS.parent

UNIT = r"(?:s|ms|min|minutes?|hours?|days?|seconds?|configurations|combinations|arcs|requests|rungs|properties)"
FIGURE = re.compile(rf"\b\d[\d.,]*(?: (?:to|…) \d[\d.,]*)* {UNIT}\b")

PHRASES = {
    "README.md": [
        "the next request comes within {silence:g} s (default policy)",
        "no policy can be made for which it is more than {most_silence_min:g} min",
    ],
    "docs/explanation/lifecycle.md": [
        "rungs go from {session_first_s:g} s to {session_ceiling_s:g} s",
        "`wait session {session_first_s:g} s … {session_ceiling_s:g} s`",
        "`waits` | 0 … {waits} |",
        "`denials` | 0 … {denials} |",
        "`doubts` | 0 … {doubts} |",
        "`hurries` | 0 … {hurries} |",
        "{combinations:,} combinations of state and memory",
        "({session_first_s:g} s doubling to {session_ceiling_s:g} s)",
        "({transport_first_s:g} s doubling to {transport_ceiling_s:g} s)",
        "make the first `-14` after it cost {session_ceiling_s:g} s",
        "clamped to {hold_floor_s:g} s … {hold_ceiling_s:g} s",
        "no sooner than {paces} s after the last one *started*",
        "start at most {silence:g} s apart (P6)",
    ],
    "docs/explanation/what-is-proved.md": [
        "no ceiling above {most_ceiling_min:g} min can be made",
        "gets five requests in {p8_run_s:g} s",
    ],
    "docs/explanation/the-original-bug.md": [
        "the poll before that was out for {longest_poll_s:g} s",
        "no wait may be longer than {most_ceiling_min:g} minutes",
        "polls a lost session for ever, every {retry_s:g} s",
    ],
    "docs/glossary.md": [
        "{hold_default_s:g} s if it has not said otherwise",
        "a session that is denied; {session_first_s:g} s to {session_ceiling_s:g} s",
        "for everything else; {transport_first_s:g} s to {transport_ceiling_s:g} s",
        "after hurried or hollow answers: {paces} s",
    ],
    "docs/tutorial/first-session.md": [
        "{session_first_s:g} s at first, then {session_2_s:g} s, {session_3_s:g} s, and so on up to "
        "{session_ceiling_min:g} minutes",
        "At most {silence:g} s pass between two requests",
    ],
    "docs/explanation/lanes.md": ["the next one is tried after {next_address_s:g} s"],
    "docs/how-to/many-accounts.md": [
        "The folder is looked at every {look_s:g} s, and less often, at most {longest_look_s:g} s apart",
        "tried again after 1, 2, 4 … {held_s:g} s",
        "When ten thousand are dropped together, the last one is back after {line_s:g} s",
        "a renewal has its {renewal_deadline_s:g} s from when it is let through",
        "it may be silent for N / {renewals:g} s more than",
        "which makes {silence:g} s + {line_s:g} s for ten thousand",
        "takes over within {held_s:g} s after the first one has ended",
        "cut off by `limit_s` ({limit_s:g} s)",
        "there are {notifystop_deadline_s:g} s for them",
    ],
    "docs/how-to/keep-messages.md": [
        "written with others, within {mark_ms:g} ms;",
        "takes longer than `limit_s` ({limit_s:g} s), gets the message again after {again_s} s",
        "`max_messages` ({max_messages:,}) of together `max_bytes` ({max_mib:g} MiB)",
    ],
    "docs/how-to/record-and-check-a-run.md": ["stood still for more than {late_s:g} s"],
    "docs/how-to/prove-your-own-policy.md": [
        "a silence is {own_silence:g} s now at the longest, instead of {silence:g} s: {longest_poll_s:g} s for a poll",
        "and a wait of {own_ceiling_s:g} s",
        "up to {own_denied_hour} requests in an hour, instead of {denied_hour}",
    ],
    "docs/how-to/prove-your-own-machine.md": [
        "never more than {most_silence_min:g} minutes of silence",
        "longer than {most_silence_min:g} minutes",
    ],
}

# Figures that are not ours, or that other tests compare.
OTHERS = {
    "docs/tutorial/first-session.md": ["22 seconds", "32 seconds", "14 milliseconds"],  # its faults, and one answer
}

# Pages of measurements, each with its date, machine and command; and what the wire and the command line do.
NOT_HERE = {
    "docs/explanation/proof-of-the-proof.md",
    "docs/explanation/proved-for-every-policy.md",
    "docs/explanation/simulation.md",
    "docs/explanation/what-can-be-lost.md",
    "docs/reference/protocol.md",
    "docs/reference/command-line.md",
}


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """Everything that a phrase can name."""
    policy, found = Policy(), report()
    nodes = explore(Machine(policy)).nodes
    session = [policy.rung_s(Ladder.SESSION, attempt) for attempt in (1, 2, 3)]
    paces = [f"{policy.pace_s(count):g}" for count in range(1, policy.paces + 1)]
    own_page = "how-to/prove-your-own-policy.md"
    own = Policy.from_mapping(tomllib.loads(snippets(own_page, "toml")[0]))
    own_denied = re.search(r"^  denied +\d+ +\d+ +(\d+)$", text(own_page), re.MULTILINE)
    assert own_denied is not None
    again = [f"{inbox._RETRY_FIRST_S * 2**failed:g}" for failed in range(inbox.ATTEMPTS - 1)]
    assert found.figures is not None
    return {
        **asdict(policy),
        **{cell: max(getattr(node.memory, cell) for node in nodes) for cell in nodes[0].memory._fields},
        "silence": found.figures.longest_silence_s,
        "combinations": len({(node.state, node.memory) for node in nodes}),
        "denied_hour": found.figures.most_requests["denied"]["hour"],
        "longest_poll_s": policy.longest_poll_s,
        "session_2_s": session[1],
        "session_3_s": session[2],
        "session_ceiling_min": policy.session_ceiling_s / 60,
        "paces": f"{', '.join(paces[:-1])}, then {paces[-1]}",
        "most_ceiling_min": most("session_ceiling_s") / 60,
        "most_silence_min": (most("session_ceiling_s") + most("hold_ceiling_s")) / 60,
        "retry_s": wait_after_a_loss("retry_every_5_s"),
        "own_silence": own.silence_bound_s,
        "own_ceiling_s": own.session_ceiling_s,
        "own_denied_hour": own_denied[1],  # printed on that page, and compared there
        "p8_run_s": policy.quick_s + policy.transport_first_s * (1 - policy.jitter),
        "limit_s": default_of(Session.deliver, "limit_s"),
        "look_s": following.LOOK_S,
        "longest_look_s": following._LONGEST_LOOK_S,
        "held_s": supervisor._HELD_S,
        "renewals": limiter.RENEWALS_PER_S,
        "line_s": 10_000 / limiter.RENEWALS_PER_S,
        "next_address_s": connection._NEXT_ADDRESS_S,
        "mark_ms": 1000 * MARK_S,
        "late_s": default_of(RecordMonitor, "late_s"),
        "max_messages": default_of(SQLiteStore, "max_messages"),
        "max_mib": default_of(SQLiteStore, "max_bytes") / 2**20,
        "again_s": f"{', '.join(again[:-1])} and {again[-1]}",
    }


def most(field: str) -> float:
    """Return the largest value of a figure that is not refused for its own sake, as the refusal says."""
    with pytest.raises(PolicyError) as refused:
        Policy.from_mapping({field: 1e9})
    assert refused.value.bound is not None
    return float(refused.value.bound.split()[-1])


def wait_after_a_loss(name: str) -> float:
    """Return how long an example waits when the session is lost."""
    rows = getattr(examples, name)(Policy()).rows
    (length_s,) = {row.order.length_s for row in rows if row.trigger == "session_lapsed"}
    return float(length_s)


def default_of(function: Any, parameter: str) -> Any:
    return inspect.signature(function).parameters[parameter].default


def prose(page: str) -> str:
    """Return a page without what is printed, typed or pasted."""
    said = BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    said = re.sub(r"^```.*?^```$", "", said, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^    .*$", "", said, flags=re.MULTILINE)


@pytest.mark.parametrize("page", [str(path.relative_to(ROOT)) for path in PAGES])
def test_a_page_has_the_programs_figures_and_no_others(page: str, figures: dict[str, Any]) -> None:
    """A figure that changed in the code is found on every page that tells it, and none is on a page unseen."""
    said = prose(page)
    for phrase in PHRASES.get(page, []):
        filled = phrase.format(**figures)
        assert filled in said, f"{page} does not say: {filled}"
        said = said.replace(filled, "")
    for words in OTHERS.get(page, []):
        assert words in said, f"{page} does not say any more: {words}; take it off the list"
        said = said.replace(words, "")
    if page not in NOT_HERE:
        assert FIGURE.findall(said) == [], f"{page}: a figure that nobody compares: give it a phrase"
