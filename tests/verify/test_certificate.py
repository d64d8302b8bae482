"""A certificate is not believed: what has to be shown is derived anew, compared, and decided by two solvers."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sessionfsm import DefinitionError
from sessionfsm.cli import ExitCode, main
from sessionfsm.lifecycle import Machine, Order, Policy, State, Trigger, table_for
from sessionfsm.verify.certificate import INDEX, Check, check_certificate, write_certificate
from sessionfsm.verify.clauses import obligations
from sessionfsm.verify.solver import prove

pytest.importorskip("z3", reason="the extra `prove` is not installed")
pytest.importorskip("cvc5", reason="the extra `prove` is not installed")


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of one property: it is quick, and four would show no more."""
    folder = tmp_path_factory.mktemp("proof")
    assert write_certificate(prove(Machine(), ["P1"]), folder) > 30
    return folder


@pytest.fixture
def kept(proved: Path, tmp_path: Path) -> Path:
    """A copy of it, to tamper with."""
    return Path(shutil.copytree(proved, tmp_path / "proof"))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_both_solvers_decide_every_obligation(kept: Path) -> None:
    """z3 and cvc5 find each of them unsatisfiable; and that three properties are not there is told."""
    came = check_certificate(kept, Machine())
    assert came.faults == ()
    assert {tuple(each.said.items()) for each in came.obligations} == {(("z3", "unsat"), ("cvc5", "unsat"))}
    assert came.unchecked == tuple(f"{number}: no proof of it is kept" for number in ("P2", "P6", "P10"))
    assert came.verdict == "undecided"


def some_obligation(folder: Path) -> Path:
    return next(path for path in sorted(folder.glob("P1-*-keeps.smt2")))


def remove_an_obligation(folder: Path) -> None:
    some_obligation(folder).unlink()


def remove_an_obligation_and_its_entry(folder: Path) -> None:
    gone = some_obligation(folder)
    gone.unlink()
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    del index["properties"][0]["obligations"][gone.name]
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def edit_an_obligation(folder: Path) -> None:
    edit(some_obligation(folder), "(check-sat)", "(assert false)\n(check-sat)")


def add_an_obligation(folder: Path) -> None:
    (folder / "P1-extra.smt2").write_text("(check-sat)\n", encoding="utf-8")


def weaken_the_invariant(folder: Path) -> None:
    file = folder / "P1-invariant.smt2"
    lines = file.read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if "_active_poll " in line)
    columns = lines[at].partition(" Bool ")[0]
    end = next(number for number in range(at + 1, len(lines) + 1) if number == len(lines) or lines[number][0] == ";")
    assert "Bool)) Bool" in lines[at] or "Int)) Bool" in lines[at]
    columns = lines[at][: lines[at].index(")) Bool") + 2]
    lines[at:end] = [f"{columns} Bool true)"]
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")


def let_the_invariant_assert_something(folder: Path) -> None:
    with (folder / "P1-invariant.smt2").open("a", encoding="utf-8") as file:
        file.write("(assert false)\n")


def leave_a_predicate_out(folder: Path) -> None:
    file = folder / "P1-invariant.smt2"
    edit(file, "(define-fun at_0_stopped_nothing", "(define-fun at_0_elsewhere")


def weaken_the_question(folder: Path) -> None:
    """The clause that says what breaks the property says it no longer; what follows from it is made to fit."""
    file = folder / "P1-question.smt2"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if "-keeps: " in line)
    end = next(number for number in range(at + 1, len(lines)) if lines[number].startswith(("; ", "(check-sat)")))
    name = lines[at].split()[1].rstrip(":")
    del lines[at:end]
    file.write_text("".join(lines), encoding="utf-8")
    (folder / f"P1-{name}.smt2").unlink()
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    del index["properties"][0]["obligations"][f"P1-{name}.smt2"]
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


TAMPERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "an obligation is removed": (remove_an_obligation, "is missing"),
    "an obligation is removed, from the index too": (remove_an_obligation_and_its_entry, "is missing"),
    "an obligation is edited": (edit_an_obligation, "is not what has to be shown"),
    "an obligation is added": (add_an_obligation, "is nothing that has to be shown"),
    "the invariant is weakened": (weaken_the_invariant, "is not what has to be shown"),
    "the invariant asserts something": (let_the_invariant_assert_something, "no definition of a predicate"),
    "the invariant leaves a place out": (leave_a_predicate_out, "no definition of a predicate"),
    "the question is weakened": (weaken_the_question, "is not what this table asks"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_certificate_falls(how: str, kept: Path) -> None:
    """Whatever is changed, removed or added in the folder is found, and named."""
    tamper, says = TAMPERED[how]
    tamper(kept)
    came = check_certificate(kept, Machine())
    assert came.verdict == "falls"
    assert any(says in fault for fault in came.faults), came.faults


def test_a_weakened_invariant_is_refuted_by_both_solvers_even_if_all_files_fit(kept: Path) -> None:
    """Obligations that are made to fit the weaker invariant are satisfiable, and no file gives that away."""
    weaken_the_invariant(kept)
    question = (kept / "P1-question.smt2").read_text(encoding="utf-8")
    invariant = (kept / "P1-invariant.smt2").read_text(encoding="utf-8")
    for each in obligations("P1", question, invariant):
        (kept / f"{each.name}.smt2").write_text(each.script, encoding="utf-8")
    came = check_certificate(kept, Machine())
    assert (came.verdict, came.faults) == ("falls", ())
    sat = {tuple(each.said.values()) for each in came.obligations} - {("unsat", "unsat")}
    assert sat == {("sat", "sat")}


def test_a_certificate_is_that_of_its_own_table(kept: Path) -> None:
    """Another table asks something else; for it the invariant does not stand, or says nothing at all."""
    table = table_for(Policy())
    rows = tuple(
        replace(row, target=State.ACTIVE, order=Order.POLL) if row.trigger == Trigger.RETRY_DUE else row
        for row in table.rows
    )
    came = check_certificate(kept, Machine(Policy(), replace(table, rows=rows)))
    assert came.verdict == "falls"
    assert "P1-question.smt2 is not what this table asks" in came.faults


def test_from_the_files_alone_nothing_is_believed_but_the_question(kept: Path) -> None:
    """Without a table the obligations still follow from the clauses; whose clauses they are is told as open."""
    came = check_certificate(kept, solvers=["cvc5"])
    assert {tuple(each.said.items()) for each in came.obligations} == {(("cvc5", "unsat"),)}
    assert came.faults == ()
    assert "that the clauses are those of the table: no table was given" in came.unchecked
    assert came.verdict == "undecided"
    remove_an_obligation_and_its_entry(kept)
    assert check_certificate(kept, solvers=["cvc5"]).verdict == "falls"


def without(monkeypatch: pytest.MonkeyPatch, solver: str, *modules: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == solver or name.startswith(modules)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, solver, None)


def test_without_the_second_solver_that_is_told(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not run is not unsat: the certificate is undecided, and the way to the solver is named."""
    without(monkeypatch, "cvc5", "sessionfsm.verify.second_solver")
    came = check_certificate(kept, Machine())
    assert {tuple(each.said.items()) for each in came.obligations} == {(("z3", "unsat"), ("cvc5", "not run"))}
    assert any("cvc5 is not installed: pip install 'sessionfsm[prove]'" in each for each in came.unchecked)
    assert came.verdict == "undecided"


def test_without_z3_the_second_solver_decides_alone(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """cvc5 does not need z3; what only z3 can do is told as not done."""
    without(monkeypatch, "z3", "sessionfsm.verify.symbolic")
    came = check_certificate(kept, Machine())
    assert {tuple(each.said.items()) for each in came.obligations} == {(("z3", "not run"), ("cvc5", "unsat"))}
    assert any(each.startswith("that the clauses are those of the table: the solver z3") for each in came.unchecked)
    assert came.verdict == "undecided"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("(set-logic HORN)(assert false)", "no Horn clause"),
        ("(set-logic HORN", "ends before it is whole"),
        ("(set-logic HORN))", "closes more than it opens"),
        ('"', "cannot be read"),
        ("(" * 5000 + ")" * 5000, "no Horn clause|too deeply"),
        ("(set-logic HORN)(declare-fun p (Int) Bool)(check-sat)", "says nothing of p"),
        ("(set-logic HORN)(check-sat)", "no clause says what would break"),
        ("; c: x\n(assert (forall ((a Int)) (=> (and true true) false)))" * 2, "one name"),
        ("(assert (forall ((a Int)) (=> (and true true) false)))", "has no name"),
    ],
)
def test_what_is_no_question_is_refused(text: str, says: str) -> None:
    """Only clauses are read, and only if each says what it is; nothing else can slip in."""
    with pytest.raises(ValueError, match=says):
        obligations("P1", text, "")


def test_no_certificate_is_misuse(kept: Path) -> None:
    """A folder without one, with a broken one, or with one that proves nothing, is refused in words."""
    with pytest.raises(DefinitionError, match="no certificate can be read"):
        check_certificate(kept / "elsewhere")
    (kept / INDEX).write_text('{"properties": [{"id": "P1", "verdict": "unknown", "obligations": {}}]}')
    with pytest.raises(DefinitionError, match="proves nothing"):
        check_certificate(kept)
    (kept / INDEX).write_text('{"properties": [{"id": "P7", "verdict": "proved", "obligations": {}}]}')
    with pytest.raises(DefinitionError, match="P7"):
        check_certificate(kept)
    for broken in ("", "[]", '{"properties": 7}', "[" * 9999):
        (kept / INDEX).write_text(broken)
        with pytest.raises(DefinitionError, match="no certificate can be read"):
            check_certificate(kept)


def test_the_command_says_what_came_of_it(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Per property and solver how many, then what is wrong and what was not checked; the exit code says it too."""
    assert main(["verify", "--check", str(kept)]) == ExitCode.UNDECIDED
    out = capsys.readouterr().out
    assert "P1  31 obligations, z3: 31 unsat; cvc5: 31 unsat\n" in out
    assert "NOT CHECKED: P6: no proof of it is kept\n" in out
    remove_an_obligation(kept)
    assert main(["verify", "--check", str(kept), "--json"]) == ExitCode.FAILED
    came = json.loads(capsys.readouterr().out)
    assert came["verdict"] == "falls"
    assert came["obligations"][0]["said"] == {"z3": "unsat", "cvc5": "unsat"}
    assert main(["verify", "--check", str(kept / "elsewhere")]) == ExitCode.MISUSE
    assert capsys.readouterr().err.count("\n") == 1


def test_only_what_is_whole_and_unsatisfiable_stands() -> None:
    """A verdict is never rounded up."""
    assert Check(obligations=(), faults=(), unchecked=()).verdict == "undecided"
    assert Check(obligations=(), faults=("",), unchecked=()).verdict == "falls"
