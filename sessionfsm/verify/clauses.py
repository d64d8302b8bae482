"""
The text of a certificate: from Horn clauses and an invariant to what has to be shown, with no solver at hand.

The clauses say what a run can do and when it breaks the property. An invariant says for each predicate of theirs what
holds there. It proves the property if every single clause is true of it. So the list of what has to be shown follows
from these two texts alone; nobody need be believed that it is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

__all__ = ["Obligation", "obligations"]

Form: TypeAlias = "str | list[Form]"

_TOKEN = re.compile(r'\s+|(?P<comment>;[^\n]*)|(?P<word>[()]|"(?:[^"]|"")*"|\|[^|]*\||[^\s()";|]+)')


class Obligation(NamedTuple):
    """
    A part of a proof: something that must be unsatisfiable.

    Attributes:
        name: Its own; that of its file, too.
        says: What is shown by it.
        script: In SMT-LIB 2; it ends with ``(check-sat)``.
    """

    name: str
    says: str
    script: str


def obligations(number: str, question: str, invariant: str) -> list[Obligation]:
    """
    Return what has to be shown for *invariant* to be a model of the clauses of *question*: one script for each clause.

    Args:
        number: The property, such as ``P1``.
        question: Horn clauses in SMT-LIB 2, each after a comment with its name and what it says.
        invariant: For each predicate of *question* a ``define-fun``.

    Raises:
        ValueError: If the texts are something else, the invariant leaves a predicate out, or no clause could ever
            break the property.
    """
    try:
        sorts, clauses = _clauses(question)
        defined = _definitions(invariant, sorts)
        made = [_obligation(number, comment, clause, defined) for comment, clause in clauses]
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not any(clause[-1] == "false" for _, (_, _, clause) in clauses):
        raise ValueError("no clause says what would break the property")
    names = [obligation.name for obligation in made]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two clauses have one name: {', '.join(sorted(twice))}")
    return made


Clause: TypeAlias = "tuple[list[Form], list[Form], list[Form]]"
"""What is bound, what must hold before, and in a list the head."""


def _clauses(question: str) -> tuple[dict[str, Form], list[tuple[str, Clause]]]:
    sorts: dict[str, Form] = {}
    clauses: list[tuple[str, Clause]] = []
    for comment, form in _forms(question):
        match form:
            case ["set-logic", "HORN"] | ["check-sat"]:
                pass
            case ["declare-fun", str(name), [*columns], "Bool"] if name not in sorts:
                sorts[name] = columns
            case ["assert", ["forall", [*bound], ["=>", ["and", *body], head]]]:
                clauses.append((comment, (bound, body, [head])))
            case _:
                raise ValueError(f"this is no Horn clause: {_short(form)}")
    return sorts, clauses


def _definitions(invariant: str, sorts: dict[str, Form]) -> dict[str, Form]:
    """Return what the invariant defines; only definitions are let in, so that it cannot assert anything."""
    defined: dict[str, Form] = {}
    for _, form in _forms(invariant):
        match form:
            case ["define-fun", str(name), [*columns], "Bool", _] if name in sorts and name not in defined:
                if [column[1] if len(column) == 2 else None for column in columns] != sorts[name]:
                    raise ValueError(f"the invariant has other columns for {name}")
                if _mentions(form[4], set(sorts)):
                    raise ValueError(f"the invariant for {name} stands on another one")
                defined[name] = list(form)
            case _:
                raise ValueError(f"the invariant has something that is no definition of a predicate: {_short(form)}")
    if missing := [name for name in sorts if name not in defined]:
        raise ValueError(f"the invariant says nothing of {', '.join(missing)}")
    return defined


def _obligation(number: str, comment: str, clause: Clause, defined: dict[str, Form]) -> Obligation:
    bound, body, [head] = clause
    name, _, says = comment.partition(": ")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or not says:
        raise ValueError(f"a clause has no name: {_short(head)}")
    for one in bound:
        if len(one) != 2 or one[0] in defined:
            raise ValueError(f"what is bound has the name of a predicate: {_short(one)}")
    used = _mentions([*body, head], set(defined))
    lines = [f"; {number}: {says}", "; unsat: it is so", "(set-logic ALL)"]
    lines += [_text(defined[predicate]) for predicate in defined if predicate in used]
    lines += [f"(declare-const {_text(one[0])} {_text(one[1])})" for one in bound]
    lines += [f"(assert {_text(part)})" for part in body if part != "true"]
    if head != "false":
        lines.append(f"(assert (not {_text(head)}))")
    return Obligation(f"{number}-{name}", f"{number}: {says}", "\n".join([*lines, "(check-sat)", ""]))


def _mentions(form: Form, names: set[str]) -> set[str]:
    if isinstance(form, str):
        return {form.strip("|")} & names
    return set().union(*(_mentions(part, names) for part in form))


def _forms(text: str) -> Iterator[tuple[str, Sequence[Form]]]:
    """Yield every form of *text* with the last comment before it."""
    comment = ""
    stack: list[list[Form]] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"it cannot be read at {text[at : at + 20]!r}")
        at = found.end()
        if (said := found["comment"]) is not None and not stack:
            comment = said.lstrip("; ").rstrip()
        word = found["word"]
        if word is None:
            continue
        if word == "(":
            stack.append([])
        elif word != ")":
            if not stack:
                raise ValueError(f"it cannot be read at {word!r}")
            stack[-1].append(word)
        elif len(stack) > 1:
            done = stack.pop()
            stack[-1].append(done)
        elif stack:
            yield comment, stack.pop()
        else:
            raise ValueError("it closes more than it opens")
    if stack:
        raise ValueError("it ends before it is whole")


def _text(form: Form) -> str:
    return form if isinstance(form, str) else f"({' '.join(map(_text, form))})"


def _short(form: Form | Sequence[Form]) -> str:
    text = _text(form if isinstance(form, str) else list(form))
    return text if len(text) <= 60 else f"{text[:60]} …"
