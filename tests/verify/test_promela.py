"""The model for SPIN: its text is deterministic and readable by SPIN, and its rows do what the running machine does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sessionfsm import DefinitionError, examples
from sessionfsm.cli import ExitCode, main
from sessionfsm.lifecycle import (
    Assign,
    Below,
    Close,
    Command,
    Machine,
    Own,
    Policy,
    Poll,
    Renew,
    StateEntry,
    Wait,
    table_for,
)
from sessionfsm.verify import explore, moves
from sessionfsm.verify.promela import CLAIMS, promela
from sessionfsm.verify.promela.names import Names

from .small_table import POLICY, small

EXPECTED = Path(__file__).parent / "expected" / "small.pml"
MACHINES = {
    "ours": Machine(POLICY),
    "renewal required": Machine(replace(POLICY, renewal="required")),
    "quiet hours": Machine(POLICY, examples.quiet_hours(POLICY)),
    "official client": Machine(POLICY, examples.official_client(POLICY)),
    "small": Machine(POLICY, small()),
}
KEYWORDS = set(
    re.findall(
        r"\w+",
        """
        active assert atomic bit bool break byte chan d_step do else empty enabled eval false fi for full get_priority
        goto hidden if in init inline int len local ltl mtype nempty never nfull np_ od of pc_value pid printf priority
        proctype provided return run select set_priority short show skip timeout trace true typedef unless unsigned
        """,
    )
)


def test_the_whole_text_is_what_it_was() -> None:
    """Generated text is compared whole; SPIN reads the committed one (tests/verify/test_spin.py)."""
    assert promela(MACHINES["small"]) == EXPECTED.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MACHINES)
def test_every_name_is_a_word_of_its_own(name: str) -> None:
    """No two things share a name, none is a word of the language, and a table's own text ends no comment."""
    names = Names(MACHINES[name])
    words = [*names.words, *names.signals.values()]
    assert len(words) == len(set(words))
    assert all(re.fullmatch("[a-z]+_[A-Za-z0-9_]+", word) for word in words)
    text = promela(MACHINES[name])
    code = re.sub(r"/\*.*?\*/", "", text)
    assert "/*" not in code
    assert "*/" not in code
    assert code.count("{") == code.count("}")
    assert code.count("(") == code.count(")")
    known = {*words, *KEYWORDS, *re.findall(r"\bhidden \w+ ([^;]+);", code)}
    declared = set(re.findall(r"(?:#define|inline|proctype|ltl) (\w+)", code))
    declared |= {
        one
        for line in re.findall(r"^(?:hidden )?(?:mtype|bool|byte|int) ([^;{]+);", code, re.M)
        for one in re.findall(r"\w+", line)
    }
    used = set(re.findall(r"[A-Za-z_]\w*", re.sub(r'"[^"]*"', "", code)))
    language = {"ifdef", "ifndef", "endif", "define", "BARE", "PLAIN", "it", "what"}
    assert used <= known | declared | language


# The rows, run from the text: expressions of Promela are nearly those of Python.


def python(expression: str) -> str:
    """Return an expression of Promela in Python. Conditional ones are never nested in each other."""
    expression = re.sub(
        r"\(([^()]*|[^()]*\([^()]*\)[^()]*) -> ([^:]*) : ([^()]*)\)", r"((\2) if (\1) else (\3))", expression
    )
    return re.sub(r"!(?!=)", " not ", expression.replace("&&", " and ").replace("||", " or "))


class Model:
    """The text's rows, to be tried out."""

    def __init__(self, machine: Machine) -> None:
        text = re.sub(r"/\*.*?\*/", "", promela(machine))
        self.names = Names(machine)
        self.conditions = [python(found) for found in re.findall(r"#define ROW_\d+ (.*)", text)]
        self.bodies = [found.split(";") for found in re.findall(r"inline row_\d+\(\) \{(.*?)\}", text, re.S)]
        self.constants: dict[str, Any] = {word: word for word in self.names.words}
        self.constants |= {name: int(value) for name, value in re.findall(r"#define (MOST_\w+) (\d+)", text)}
        self.constants |= {"true": True, "false": False}

    def applies(self, row: int, cells: dict[str, Any]) -> bool:
        return bool(eval(self.conditions[row], {}, {**self.constants, **cells}))

    def taken(self, row: int, cells: dict[str, Any]) -> dict[str, Any]:
        after = {**cells, "was_expired": cells["expired"]}
        for statement in filter(None, map(str.strip, self.bodies[row])):
            if found := re.fullmatch(r"order\((\w+)\)", statement):
                after["operation"] = found[1]
                continue
            cell, _, expression = statement.partition(" = ")
            after[cell] = eval(python(expression), {}, {**self.constants, **after})
        del after["was_expired"]
        return after


def operation(command: Command | None, policy: Policy) -> tuple[str, int, bool]:
    """Return what is outstanding, in the model's words."""
    paces = [0.0, *(policy.pace_s(count) for count in range(1, policy.paces + 1))]
    match command:
        case None:
            return "nothing", 0, False
        case Renew():
            return "renewal", 0, False
        case Poll(pace_s=pace, fresh=fresh):
            return "poll", paces.index(pace), fresh
        case Wait(ladder=ladder, attempt=attempt):
            own = ladder not in ("session", "transport")
            return (f"pause {ladder}", 0, False) if own else (f"wait_{ladder}", attempt, False)
        case Close(notify=notify):
            return "close", int(notify), False
        case Own(name=name):
            return f"perform {name}", 0, False


@pytest.mark.parametrize("name", MACHINES)
def test_every_row_does_what_the_machine_does(name: str) -> None:
    """Along every arc that the search finds, the text takes the same row, to the same memory, order and signals."""
    machine = MACHINES[name]
    model, graph = Model(machine), explore(machine)
    names = model.names
    rows: dict[str, list[int]] = {}
    for number, row in enumerate(machine.table.rows):
        rows.setdefault(str(row.trigger), []).append(number)

    def cells(node: Any) -> dict[str, Any]:
        kind, figure, fresh = operation(node.outstanding, machine.policy)
        return {
            **node.memory._asdict(),
            "state": names.states[node.state],
            "operation": names.operations[kind],
            "figure": figure,
            "fresh": fresh,
            **{word: signal in node.signals for signal, word in names.signals.items()},
        }

    seen = set()
    for node, arcs in zip(graph.nodes, graph.arcs, strict=True):
        before = cells(node)
        for arc in arcs:
            row = next(at for at in rows[str(arc.move.trigger)] if model.applies(at, before))
            seen.add(row)
            assert model.taken(row, before) == cells(graph.nodes[arc.target])
    assert len(seen) > 20


@pytest.mark.parametrize("name", MACHINES)
def test_the_world_is_that_of_the_search(name: str) -> None:
    """What can happen while an operation is outstanding is what the search's moves say, no more and no less."""
    machine = MACHINES[name]
    text, names = promela(machine), Names(machine)
    steps = {word[2:]: trigger for trigger, word in names.triggers.items()}
    can = {
        steps[step]: set(re.findall(r"operation == (\w+)", when))
        for when, step in re.findall(r":: d_step \{ (.*?) -> (\w+)_happens\(\) \}", text)
    }
    own = sorted(machine.table.external)
    expected: dict[str, set[str]] = {}
    for node in explore(machine).nodes:
        for move in moves(node.outstanding, machine.policy, own):
            word = names.operations[operation(node.outstanding, machine.policy)[0]]
            expected.setdefault(str(move.trigger), set()).add(word)
    assert can == expected


def test_every_claim_is_in_the_text() -> None:
    """Each claim can be asked about by its name, and says so in a comment before it."""
    text = promela(MACHINES["ours"])
    for claim in CLAIMS:
        assert f"/* {claim.says} */\nltl {claim.name} {{ {claim.formula} }}\n" in text


def test_what_cannot_be_said_is_refused_in_one_line() -> None:
    """A limit that is no whole number, a number that is too large, more names than SPIN has room for."""
    table = table_for(POLICY)
    first = table.rows[0]
    odd: list[tuple[Any, str]] = [
        (replace(first, guards=(Below("waits", 1.5),)), "1.5 is no whole number"),  # type: ignore[arg-type]
        (replace(first, updates=(Assign("waits", 2**40),)), "is no whole number that it knows"),
    ]
    for row, says in odd:
        with pytest.raises(DefinitionError, match=says) as refused:
            promela(Machine(POLICY, replace(table, rows=(row, *table.rows[1:]))))
        assert "\n" not in str(refused.value)
    many = tuple(StateEntry(name=f"s{number}", meaning="One of many.") for number in range(250))
    with pytest.raises(DefinitionError, match="SPIN knows no more than 255"):
        promela(Machine(POLICY, replace(table, states=(*table.states, *many))))


# The command.


@pytest.mark.parametrize("form", ["promela", "smtlib"])
def test_the_command_writes_the_same_text_every_time(form: str, tmp_path: Path) -> None:
    """Two processes with other hash seeds write the same bytes, to a file and to standard output."""
    if form == "smtlib":
        pytest.importorskip("z3", reason="the extra `prove` is not installed")
    command = [
        sys.executable,
        "-m",
        "sessionfsm",
        "verify",
        "--export",
        form,
        "--machine",
        "tests.verify.small_table:small",
    ]
    file = tmp_path / "out"
    ran = [
        subprocess.run(
            [*command, *more],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        )
        for seed, more in (("1", []), ("2", ["--output", str(file)]))
    ]
    assert ran[1].stdout == b""
    assert ran[0].stdout == file.read_bytes()
    assert ran[0].stderr == ran[1].stderr == b""


def test_promela_needs_no_solver_and_smtlib_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model is made by the core alone; the clauses are made by z3, and without it the extra is named."""
    for name in [
        name for name in sys.modules if name == "z3" or name.startswith(("z3.", "sessionfsm.verify.symbolic"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "z3", None)
    assert main(["verify", "--export", "promela"]) == ExitCode.OK
    assert capsys.readouterr().out.endswith("#endif\n")
    assert main(["verify", "--export", "smtlib"]) == ExitCode.MISUSE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "sessionfsm: error: the solver z3 is not installed: pip install 'sessionfsm[prove]'"
    ]


def test_a_policy_is_in_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the counters saturate is the policy's."""
    file = tmp_path / "policy.toml"
    file.write_text("session_ceiling_s = 40\nrenewal = 'required'\n")
    assert main(["verify", "--export", "promela", "--policy", str(file)]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "#define MOST_denials 4\n" in out
    assert "#define REQUIRED true\n" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--output", "x"], "give both"),
        (["--export", "promela", "--prove"], "not allowed with argument --export"),
        (["--export", "promela", "--json", "--sequence"], "leave out --json and --sequence"),
        (["--export", "promela", "--output", "/nowhere/x"], "the file /nowhere/x cannot be written"),
        (["--export", "prolog"], "promela"),
        (["--check", "x", "--prove"], "not allowed with argument --check"),
        (["--check", "x", "--sequence"], "leave out --sequence"),
    ],
)
def test_misuse(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *arguments]) == ExitCode.MISUSE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert captured.err.count("\n") == 1
