"""The glossary has every word of the library, and each of them once."""

from __future__ import annotations

import re
from collections import Counter

from sessionfsm import MessageState
from sessionfsm.lifecycle import Command, Ladder, Memory, Signal, State, Trigger
from tests.examples.pages import DOCS, text

TERMS = re.findall(r"^- \*\*(.+?)\*\*: ", text("glossary.md"), re.MULTILINE)
LINKS = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")


def test_every_name_of_the_machine_is_in_it() -> None:
    """Whoever meets a state, a trigger, a ladder, a signal, a cell or a message's state can look it up."""
    names = {str(name) for words in (State, Trigger, Ladder, Signal, MessageState) for name in words}
    names.update(Memory._fields)
    assert names == {term.strip("`") for term in TERMS if re.fullmatch("`[a-z_]+`", term)} - {
        "notifystart",
        "notifystop",
    }


def test_every_operation_that_can_be_ordered_is_in_it() -> None:
    """A renewal, a poll, a wait, a close; ``Own`` stands for those of a user's own."""
    words = {"Renew": "renewal", "Poll": "long poll", "Wait": "wait", "Close": "close", "Own": "operation"}
    assert {kind.__name__ for kind in Command.__args__} == set(words)
    assert set(words.values()) <= set(TERMS)


def test_each_word_is_explained_once() -> None:
    assert [term for term, times in Counter(TERMS).items() if times > 1] == []
    assert text("glossary.md").count("\n- ") == len(TERMS), "a line that explains no word, or in another form"


def test_every_link_into_a_page_meets_a_heading() -> None:
    """A link such as ``proof-of-the-proof.md#figures`` leads to that section, as GitHub and the built pages name it."""
    wrong = []
    for page in sorted(DOCS.rglob("*.md")):
        for target, anchor in LINKS.findall(page.read_text(encoding="utf-8")):
            aim = (page.parent / target).resolve() if target else page
            if "://" not in target and anchor not in anchors(aim.read_text(encoding="utf-8")):
                wrong.append(f"{page.relative_to(DOCS)}: {target}#{anchor}")
    assert wrong == []


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    outside = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
