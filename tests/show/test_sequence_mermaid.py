"""The sequence diagram of a run in Mermaid: Mermaid itself draws it, and says there what the picture says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import mermaidx
import pytest

from sessionfsm import DefinitionError
from sessionfsm.lifecycle import Machine
from sessionfsm.show import run_from
from sessionfsm.show.sequence import sequence_mermaid, sequence_svg
from sessionfsm.verify import decide
from sessionfsm.verify.counterexample import sequence_diagram
from tests.diagram.tables import HOSTILE

from .sequence_runs import bug, lived
from .test_sequence import rows_of

ALL = 10_000


def drawn(code: str) -> tuple[list[str], int]:
    """Have Mermaid draw; return every text in the picture, in order, and how many arrows there are."""
    root = ET.fromstring(mermaidx.render(code).svg())
    texts = [" ".join("".join(each.itertext()).split()) for each in root.iter() if each.tag.endswith("}text")]
    return texts, sum((each.get("class") or "").startswith("messageLine") for each in root.iter())


def statements(code: str) -> list[str]:
    return [line.strip() for line in code.splitlines()]


def test_mermaid_draws_every_arrow_and_every_text() -> None:
    """Nothing is refused, and nothing gets lost on the way: each arrow of the text is one in Mermaid's picture."""
    code = sequence_mermaid(lived().run(0, 6), most=3)
    texts, arrows = drawn(code)
    assert arrows == sum(re.match(r"S->>W|W--?(>>|x)S", line) is not None for line in statements(code)) > 4
    said = {text for line in statements(code)[3:] for text in line.partition(": ")[2].split("<br/>")}
    assert {" ".join(text.split()) for text in said} <= set(texts)


def test_it_tells_what_the_svg_tells() -> None:
    """Both have the same rows, in the same order, so that either will do."""
    run = lived().run()
    rows = rows_of(sequence_svg(run, most=ALL))
    arrows = [line for line in statements(sequence_mermaid(run, most=ALL)) if line.startswith(("S->>W", "W--"))]
    assert [line.startswith("S") for line in arrows] == [
        "asked" in row.looks for row in rows if row.looks & {"asked", "answered"}
    ]
    for line, row in zip(arrows, (row for row in rows if row.looks & {"asked", "answered"}), strict=True):
        assert line.startswith("W--x") == bool("answered" in row.looks and row.looks & {"lost", "cut"})
        assert row.words.split(" · ")[0].split(" (")[0] in line.replace("<br/>", " ")


def next_asked(code: str) -> str:
    """What is asked next after the first -14."""
    after = code[code.index(" -14") :]
    return re.split(r"[ ,]", re.findall(r"S->>W: .* s (\S+)", after)[0])[0]


def test_the_loss_the_renewal_and_the_poll_stand_in_this_order() -> None:
    """P1 is seen in Mermaid too; and the official client's poll after the loss is seen without a notifystart."""
    assert next_asked(sequence_mermaid(lived().run(), most=ALL)) == "notifystart"
    assert next_asked(sequence_mermaid(bug().run(), most=ALL)) == "getupdates"


def test_it_has_the_words_of_the_counterexamples() -> None:
    """Who has read a counterexample of verify can read a run: the same two, the same arrows, the same endpoints."""
    finding = decide(bug().machine, verdicts_only=True)["P1"]
    known = statements(sequence_diagram(finding))
    ours = statements(sequence_mermaid(bug().run(), most=ALL))
    assert ours[:3] == known[:3]
    assert {line.split(" ")[0] for line in known} <= {line.split(" ")[0] for line in ours}


def test_mermaid_draws_hostile_words_as_words() -> None:
    """Statements, markup, formulas and comments in somebody's words make no arrows, and nothing is refused."""
    records = [
        replace(
            record,
            account=HOSTILE[at % len(HOSTILE)],
            reason=f"{HOSTILE[at % len(HOSTILE)]} {'x' * 100}",
            detail=record.detail and HOSTILE[at % len(HOSTILE)],
            raised=(HOSTILE[at % len(HOSTILE)],),
        )
        for at, record in enumerate(lived().records[:5])
    ]
    sends = [replace(send, failed="\n    S->>W: forged") for send in lived().sends[:1]]
    run = run_from(records, Machine(), sends=sends)
    code = sequence_mermaid(run, most=ALL)
    _, arrows = drawn(code)
    rows = rows_of(sequence_svg(run, most=ALL))
    assert arrows == sum(bool(row.looks & {"asked", "answered"}) for row in rows)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_word_begins_or_ends_a_statement(hostile: str) -> None:
    """Each line is a statement of ours, with nothing in it that Mermaid takes for its own."""
    records = [replace(record, reason=hostile, detail=record.detail and hostile) for record in lived().records]
    for line in statements(sequence_mermaid(run_from(records, Machine()), most=ALL))[1:]:
        assert re.match(r"(participant [SW] as|S->>W:|W--(>>|x)S:|Note over S(,W)?:) [^;#%$&\\]*$", line)
        assert not re.search(r"<(?!br/>)", line)


def test_none_at_all_is_refused() -> None:
    """As for the SVG."""
    with pytest.raises(DefinitionError, match="one exchange or more"):
        sequence_mermaid(lived().run(), most=0)
