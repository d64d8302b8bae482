"""The judge of kills: each promise, broken once by hand."""

from dataclasses import replace

import pytest

from .judge import UNMARKED, Answer, Evidence, Life, Verdict, judge, read_diary

A, B = "a@im.wechat", "b@im.wechat"

# Two lives: the first was killed while message 2 was with its handler, the second finished everything.
DIARY = """\
1 kept 1,2,3
1 begin 1
1 begin 3
1 end 3
1 marked 3
1 end 1
1 marked 1
1 begin 2
2 begin 2
2 end 2
2 marked 2
2 kept 4
2 begin 4
2 end 4
2 marked 4
"""
GOOD = Evidence(
    once=True,
    senders={1: A, 2: A, 3: B, 4: A},
    lives=[Life(number=1, status=-9)],
    diary=read_diary(DIARY),
    answers=[
        Answer(life=1, messages=(1, 2, 3), whole=True, last=False),
        Answer(life=1, messages=(), whole=False, last=True),
        Answer(life=2, messages=(4,), whole=True, last=False),
        Answer(life=2, messages=(), whole=False, last=True),
    ],
    states={1: "done", 2: "done", 3: "done", 4: "done"},
)


def without(words: str, evidence: Evidence = GOOD) -> Evidence:
    kept = [line for line in DIARY.splitlines() if line not in words.split("; ")]
    return replace(evidence, diary=read_diary("\n".join(kept)))


def test_a_message_that_was_in_hand_at_the_kill_may_be_handled_twice() -> None:
    """That is what at least once means: nobody can know how far the handler had come."""
    verdict = judge(GOOD)
    assert verdict.broken == {}
    assert verdict.counts["handled twice: killed in the handler"] == 1
    assert (verdict.counts["messages"], verdict.counts["kills"], verdict.counts["kills, at random"]) == (4, 1, 1)


def test_several_that_had_returned_may_come_again_and_do_so_in_order() -> None:
    """Their marks were on the way together: the sender's messages begin again with the first that has none."""
    first = DIARY.replace("1 marked 1\n", "").replace(
        "1 begin 2\n", "1 begin 2\n1 end 2\n2 begin 1\n2 end 1\n2 marked 1\n"
    )
    verdict = judge(replace(GOOD, diary=read_diary(first)))
    assert verdict.broken == {}
    assert verdict.counts["handled twice: killed between its return and its mark"] == 2
    assert verdict.counts["handled twice: the most of one life that had returned"] == 2


def test_a_handler_that_had_returned_counts_apart() -> None:
    """Between its return and its mark a message is handled and not known to be: it comes again, and is counted."""
    verdict = judge(replace(GOOD, diary=read_diary(DIARY.replace("1 begin 2\n", "1 begin 2\n1 end 2\n"))))
    assert verdict.broken == {}
    assert verdict.counts["handled twice: killed between its return and its mark"] == 1


LAST = Answer(life=1, messages=(5,), whole=True, last=True)


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (LAST, "lost between socket and commit"),
        (replace(LAST, whole=False), "lost with an answer that was not written to its end"),
    ],
    ids=["whole", "torn"],
)
def test_what_no_commit_had_promised_may_be_lost_if_the_server_hands_out_once(answer: Answer, counted: str) -> None:
    """The last answer before the kill had no time to be committed: it is counted, and nothing else may be lost."""
    verdict = judge(replace(GOOD, senders={**GOOD.senders, 5: B}, answers=[*GOOD.answers, answer]))
    assert verdict.broken == {}
    assert verdict.counts[counted] == 1
    assert verdict.counts["kills at random that lost something"] == 1


MANY = range(10, 10 + UNMARKED + 1)
BROKEN = {
    "committed and never handled": without("2 end 4; 2 begin 4; 2 marked 4"),
    "in the store and never handled": without("2 kept 4; 2 end 4; 2 begin 4; 2 marked 4"),
    "committed and not in the store": replace(GOOD, states={1: "done", 2: "done", 3: "done"}),
    "not done in the store": replace(GOOD, states={**GOOD.states, 4: "open"}),
    "lost, though a later poll had been made": replace(
        GOOD, senders={**GOOD.senders, 5: B}, answers=[*GOOD.answers, replace(LAST, last=False)]
    ),
    "lost, though the server would have handed it out again": replace(
        GOOD, once=False, senders={**GOOD.senders, 5: B}, answers=[*GOOD.answers, LAST]
    ),
    "handled again after its mark had returned": replace(
        GOOD, diary=read_diary(DIARY.replace("1 begin 2\n", "1 begin 2\n1 end 2\n1 marked 2\n"))
    ),
    "handled again, though a later one had its mark": replace(
        GOOD,
        diary=read_diary(DIARY.replace("1 marked 3\n", "").replace("1 begin 2\n", "1 begin 2\n2 begin 3\n2 end 3\n")),
    ),
    "more had returned without a mark than may": replace(
        GOOD,
        senders={**GOOD.senders, **dict.fromkeys(MANY, B)},
        diary=read_diary(
            "".join(f"{life} {word} {number}\n" for life in (1, 2) for number in MANY for word in ("begin", "end"))
        ),
    ),
    "handled twice in one life": replace(GOOD, diary=read_diary(DIARY + "2 begin 4\n")),
    "one sender had several in hand in one life": replace(
        GOOD,
        diary=read_diary(DIARY.replace("1 begin 2\n", "1 begin 2\n1 begin 4\n").replace("2 kept 4\n", "1 kept 4\n")),
    ),
    "out of its sender's order": replace(GOOD, senders={4: A, 1: A, 2: A, 3: B}),
    "a life that was not killed has ended": replace(GOOD, lives=[Life(number=1, status=1)]),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_each_promise_can_be_broken(kind: str) -> None:
    """A check that cannot fail says nothing: here each one does, for the reason that it names."""
    assert kind in judge(BROKEN[kind]).broken


def test_verdicts_add_up() -> None:
    """A table of many bots counts all of them."""
    total = Verdict()
    total += judge(GOOD)
    total += judge(BROKEN["not done in the store"])
    assert total.counts["messages"] == 8
    assert total.broken == {"not done in the store": ["4"]}
