"""
What kills have done to a bot's messages, judged by what cannot lie: the server's log, the bot's diary, the file.

It knows nothing of how the store works. What is allowed is written in docs/explanation/what-can-be-lost.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Answer", "Evidence", "Life", "Line", "Verdict", "judge", "read_diary"]


UNMARKED = 216
"""So many handlers may have returned whose marks are not on the disk: 200 that need not wait, 16 that do."""

_MOST = "handled twice: the most of one life that had returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """
    One life of a bot.

    Attributes:
        status: How its process ended, as :func:`os.waitstatus_to_exitcode` has it.
        aimed: At what the kill was aimed; empty for one at a random instant.
    """

    number: int
    status: int
    aimed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the diary."""

    life: int
    word: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    An answer that the server gave to a poll.

    Attributes:
        messages: What was in it.
        whole: It was written to the socket to its end.
        last: The bot made no poll after this one in the same life.
    """

    life: int
    messages: tuple[int, ...]
    whole: bool
    last: bool


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """
    All that is known of one account, after it was left to finish in peace.

    Attributes:
        once: The server hands each message out once; else it hands out again what the cursor asks for.
        senders: Who wrote each message, in the order of writing.
        diary: In the order of writing.
        states: What the store says of each message in the end.
    """

    once: bool
    senders: Mapping[int, str]
    lives: Sequence[Life]
    diary: Sequence[Line]
    answers: Sequence[Answer]
    states: Mapping[int, str]


@dataclass(kw_only=True)
class Verdict:
    """
    What came of it.

    Attributes:
        broken: Each broken promise, in words, by its kind.
        counts: How often something happened that is allowed.
    """

    broken: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: Verdict) -> Verdict:
        for kind, words in other.broken.items():
            self.broken.setdefault(kind, []).extend(words)
        most = max(self.counts[_MOST], other.counts[_MOST])
        self.counts += other.counts
        self.counts[_MOST] = most
        return self


def read_diary(text: str) -> list[Line]:
    """Return the lines of a diary. A line is one append, so that none is torn."""
    lines = []
    for line in text.splitlines():
        life, word, numbers = line.split(" ")
        lines.append(Line(life=int(life), word=word, numbers=tuple(map(int, numbers.split(",")))))
    return lines


def judge(evidence: Evidence) -> Verdict:
    """Judge one account."""
    verdict = Verdict()
    broken = _Broken(verdict)
    killed = {life.number for life in evidence.lives if life.status == -9}
    verdict.counts["messages"] = len(evidence.senders)
    verdict.counts["kills"] = len(killed)
    for life in evidence.lives:
        if life.status == -9:
            verdict.counts[f"kills, {life.aimed or 'at random'}"] += 1
        else:
            broken("a life that was not killed has ended", [life.number])
    _judge_losses(evidence, verdict, broken)
    _judge_repeats(evidence, killed, verdict, broken)
    _judge_order(evidence, broken)
    return verdict


class _Broken:
    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def __call__(self, kind: str, numbers: Iterable[int]) -> None:
        if words := [str(number) for number in numbers]:
            self._verdict.broken.setdefault(kind, []).extend(words)


def _judge_losses(evidence: Evidence, verdict: Verdict, broken: _Broken) -> None:
    handled = _numbers(evidence.diary, "end")
    kept = _numbers(evidence.diary, "kept")
    verdict.counts["handled"] = len(handled)
    broken("committed and never handled", sorted(kept - handled))
    broken("in the store and never handled", sorted(set(evidence.states) - handled - kept))
    broken("committed and not in the store", sorted(kept - set(evidence.states)))
    broken("not done in the store", [n for n, state in evidence.states.items() if state != "done"])
    lost = set(evidence.senders) - handled - kept - set(evidence.states)
    if not evidence.once:
        broken("lost, though the server would have handed it out again", sorted(lost))
        return
    # Who may be lost: what was in the very last answer of a life, which had no time to commit it.
    whole = {number for answer in evidence.answers if answer.last and answer.whole for number in answer.messages}
    torn = {number for answer in evidence.answers if answer.last and not answer.whole for number in answer.messages}
    broken("lost, though a later poll had been made", sorted(lost - whole - torn))
    verdict.counts["lost between socket and commit"] = len(lost & whole)
    verdict.counts["lost with an answer that was not written to its end"] = len(lost & torn - whole)
    aimed = {life.number: life.aimed for life in evidence.lives}
    losers = {answer.life for answer in evidence.answers if answer.last and lost.intersection(answer.messages)}
    verdict.counts["kills at random that lost something"] = sum(not aimed[life] for life in losers)
    verdict.counts["kills that were aimed and lost something"] = sum(bool(aimed[life]) for life in losers)


def _judge_repeats(evidence: Evidence, killed: set[int], verdict: Verdict, broken: _Broken) -> None:
    begins: dict[int, list[int]] = defaultdict(list)
    ended: dict[int, dict[int, None]] = defaultdict(dict)  # by life, in the order of their ends
    marked: dict[int, int] = {}
    for line in evidence.diary:
        for number in line.numbers:
            if line.word == "begin":
                begins[number].append(line.life)
                if number in marked:
                    broken("handled again after its mark had returned", [number])
            elif line.word == "end":
                ended[line.life][number] = None
            elif line.word == "marked":
                marked.setdefault(number, line.life)
    in_hand: Counter[tuple[int, str]] = Counter()
    unmarked: dict[int, set[int]] = defaultdict(set)  # by life: what had returned and comes again
    for number, lives in begins.items():
        for life in lives[:-1]:
            if life not in killed or lives.count(life) > 1:
                broken("handled twice in one life", [number])
                continue
            if number in ended[life]:
                unmarked[life].add(number)
            else:
                in_hand[life, evidence.senders[number]] += 1
                verdict.counts["handled twice: killed in the handler"] += 1
    broken("one sender had several in hand in one life", [life for (life, _), count in in_hand.items() if count > 1])
    for life, numbers in unmarked.items():
        verdict.counts["handled twice: killed between its return and its mark"] += len(numbers)
        most = max(verdict.counts[_MOST], len(numbers))
        verdict.counts[_MOST] = most
        if len(numbers) > UNMARKED:
            broken("more had returned without a mark than may", [life])
        # Marks are written in the order in which handlers have returned: what has none are the last of them.
        order = list(ended[life])
        last = max((place for place, number in enumerate(order) if marked.get(number) == life), default=0)
        broken("handled again, though a later one had its mark", numbers.intersection(order[:last]))


def _judge_order(evidence: Evidence, broken: _Broken) -> None:
    last: dict[str, int] = {}
    last_of_life: dict[tuple[int, str], int] = {}
    begun: set[int] = set()
    order = {number: place for place, number in enumerate(evidence.senders)}
    for line in evidence.diary:
        if line.word == "begin":
            for number in line.numbers:
                sender, place = evidence.senders[number], order[number]
                # After a kill a sender's messages begin again with the first that has no mark.
                behind = number not in begun and place < last.get(sender, -1)
                if behind or place < last_of_life.get((line.life, sender), -1):
                    broken("out of its sender's order", [number])
                begun.add(number)
                last[sender] = last_of_life[line.life, sender] = place


def _numbers(diary: Iterable[Line], word: str) -> set[int]:
    return {number for line in diary if line.word == word for number in line.numbers}
