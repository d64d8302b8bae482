"""
Mutation test of the pure core: changes ``sessionfsm/lifecycle`` one token at a time; do the tests see it?

The changes are cosmic-ray's operators. It starts the tests of each from nothing, which takes three seconds before the
first of them; here a process that has pytest and hypothesis loaded already is forked for each mutant, and the mutated
source is put in the import's way, so that no file is ever changed.

Results are kept as JSON lines; a run that was interrupted goes on where it was, unless core, search or tests changed.
Exit code 0 if every survivor has its reason in .ci/survivors.toml, 1 if one has not, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.machinery
import json
import multiprocessing
import os
import re
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import cosmic_ray.plugins
import hypothesis
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "sessionfsm" / "lifecycle"
TESTS = ROOT / "tests" / "lifecycle"
REASONS = ROOT / ".ci" / "survivors.toml"
RESULTS = ROOT / ".mutants" / "core.jsonl"

FIRST = {"outcome": "test_outcome.py", "policy": "test_policy.py", "orders": "test_orders.py", "table": "test_table.py"}
"""The tests that speak of a module. Of the others the quick ones come first."""
SMALL_SEARCH = "test_seeded_bugs.py::test_without_a_bug_nothing_is_found"
QUICK = (SMALL_SEARCH, "test_table.py", "test_orders.py", "test_machine.py", "test_outcome.py", "test_policy.py")
SEARCHED = ("shortest ladders", "a ceiling just above a rung", "renewal required", "default")
"""Policies of which everything is searched, last."""
FIGURES = (
    "test_the_graph_is_small_enough_to_be_searched_whole",
    "test_silence_is_at_most_430_seconds",
    "test_resumption_takes_at_most_570_seconds",
    "test_p8_is_exact",
)
"""What those searches found out about the default policy."""
LEFT_OUT = ("test_one_row_or_a_refusal", "test_two_searches_agree")
"""They take long, and see nothing that P4 does not see. Nor are bugs sown: that tests the search, not the core."""

NEVER_ENDS_S = 120.0
"""Longer than all the tests of an unchanged core take on a busy machine."""


def _order(module: str) -> list[str]:
    """The tests, those first that are quick and likely to fail."""
    names = [*([FIRST[module]] if module in FIRST else []), *QUICK]
    # P0 comes first, and decides all twenty; the others only read what was found.
    names += [f"test_properties.py::test_property_holds[{name}-P{n}]" for name in SEARCHED for n in range(20)]
    names += [f"test_properties.py::{name}" for name in FIGURES]
    return [str(TESTS / name) for name in dict.fromkeys(names)]


def places(module: str) -> Iterator[tuple[str, int]]:
    """Every change that there is to make: an operator, and where it is applied."""
    tree = get_ast((CORE / f"{module}.py").read_text())
    for name in sorted(cosmic_ray.plugins.operator_names()):
        operator = cosmic_ray.plugins.get_operator(name)
        # Some need to be told names of variables. Bit operators on figures are refused by Python, as is "+" on sets:
        # such a mutant dies of a TypeError whatever the tests say.
        if operator.arguments() or _IDLE.search(name):
            continue
        instance = operator()
        found = sum(1 for node in ast_nodes(tree) for _ in instance.mutation_positions(node))
        yield from ((name, number) for number in range(found))


_BITS = "(RShift|LShift|BitOr|BitAnd|BitXor)"
_IDLE = re.compile(
    rf"ReplaceBinaryOperator_(?!BitOr)[A-Za-z]+_{_BITS}$|ReplaceBinaryOperator_BitOr_(?!BitAnd|BitXor|Sub)"
)


class _Bare(ast.NodeTransformer):
    """Takes the annotations away: with ``from __future__ import annotations`` nothing in the core evaluates them."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        node.annotation = ast.Constant(None)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        return node


def _shape(source: str) -> str:
    return hashlib.sha256(ast.dump(_Bare().visit(ast.parse(source))).encode()).hexdigest()


def _changed_lines(before: str, after: str) -> tuple[int, str, str]:
    old, new = before.splitlines(), after.splitlines()
    first = next(n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    if len(old) != len(new):  # a decorator is gone
        return first + 1, old[first].strip(), ""
    return first + 1, old[first].strip(), new[first].strip()


def try_one(module: str, operator: str, number: int) -> dict[str, Any]:
    """Make one change and run the tests; return what became of it."""
    path = CORE / f"{module}.py"
    source = path.read_text()
    mutated = mutate_code(source, cosmic_ray.plugins.get_operator(operator)(), number)
    result: dict[str, Any] = {"module": module, "operator": operator.split("/")[-1], "number": number, "seconds": 0.0}
    try:
        shape = _shape(mutated)
    except SyntaxError:
        return result | {"outcome": "no Python"}
    if shape == _shape(source):
        return result | {"outcome": "annotation"}
    line, before, after = _changed_lines(source, mutated)
    result |= {"shape": shape, "line": line, "before": before, "after": after}
    began = time.monotonic()
    child = multiprocessing.get_context("fork").Process(target=_run_tests, args=(module, path, mutated))
    child.start()
    child.join(NEVER_ENDS_S)
    if child.exitcode is None:
        child.kill()
        child.join()
        outcome = "timeout"
    else:
        outcome = "survived" if child.exitcode == 0 else "killed"
    return result | {"outcome": outcome, "seconds": round(time.monotonic() - began, 2)}


def _run_tests(module: str, path: Path, mutated: str) -> None:
    class Mutant(importlib.machinery.SourceFileLoader):
        def get_code(self, _: str) -> Any:
            return compile(mutated, str(path), "exec", dont_inherit=True)

    class Finder(importlib.machinery.PathFinder):
        @classmethod
        def find_spec(cls, fullname: str, *_: Any) -> Any:
            if fullname != f"sessionfsm.lifecycle.{module}":
                return None
            return importlib.machinery.ModuleSpec(fullname, Mutant(fullname, str(path)), origin=str(path))

    sys.meta_path.insert(0, Finder)
    os.chdir(ROOT)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", "--tb=no", "--no-header"]
        options += [f"--deselect=tests/lifecycle/test_machine.py::{name}" for name in LEFT_OUT]
        code = pytest.main([*options, "--hypothesis-profile=mutants", *_order(module)])
    os._exit(int(code))


def _tests_fail() -> bool:
    path = CORE / "terms.py"
    child = multiprocessing.get_context("fork").Process(target=_run_tests, args=("terms", path, path.read_text()))
    child.start()
    child.join()
    return child.exitcode != 0


def fingerprint() -> str:
    """What the results hang on: the core, and the tests that are run."""
    digest = hashlib.sha256()
    for path in sorted([*CORE.glob("*.py"), *TESTS.glob("*.py"), *(ROOT / "sessionfsm" / "verify").glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _kept(results: Path, mark: str) -> list[dict[str, Any]]:
    try:
        lines = results.read_text().splitlines()
    except FileNotFoundError:
        return []
    if not lines or json.loads(lines[0]).get("fingerprint") != mark:
        return []
    kept = []
    for line in lines[1:]:
        try:
            kept.append(json.loads(line))
        except ValueError:  # the process was killed while it wrote
            break
    return kept


def run(modules: Iterable[str], results: Path, processes: int) -> list[dict[str, Any]]:
    """Try every change that has no result yet; return all results."""
    mark = fingerprint()
    done = _kept(results, mark)
    results.parent.mkdir(parents=True, exist_ok=True)
    met = {(each["module"], each["operator"], each["number"]) for each in done}
    todo = [
        (module, operator, number)
        for module in modules
        for operator, number in places(module)
        if (module, operator.split("/")[-1], number) not in met
    ]
    if todo and _tests_fail():
        raise SystemExit("core_mutants: the tests fail on the core as it is; write: make test")
    began, shown = time.monotonic(), sys.stderr.isatty()
    with results.open("w") as file, ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        file.writelines(json.dumps(each) + "\n" for each in [{"fingerprint": mark}, *done])
        futures = [pool.submit(try_one, *each) for each in todo]
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                done.append(future.result())
                file.write(json.dumps(done[-1]) + "\n")
                file.flush()
                if shown:
                    left = (time.monotonic() - began) / count * (len(todo) - count)
                    print(f"\r{count} of {len(todo)}, about {left / 60:.0f} min left ", end="", file=sys.stderr)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            if shown:
                print(file=sys.stderr)
    return done


def report(done: list[dict[str, Any]], modules: Iterable[str]) -> int:
    """Print the figures and the survivors; return how many of these have no reason."""
    distinct: dict[tuple[str, str], dict[str, Any]] = {}
    for each in done:
        if "shape" in each:
            distinct.setdefault((each["module"], each["shape"]), each)
    reasons = tomllib.loads(REASONS.read_text())["survivor"]
    known = {(each["module"], each["before"], each["after"]) for each in reasons if each["module"] in modules}
    print(_row("module", {name: name for name in ("mutants", "killed", "timeout", "survived", "explained")}))
    unexplained, met, totals = [], set(), Counter[str]()
    for module in sorted({module for module, _ in distinct}):
        mine = [each for (at, _), each in distinct.items() if at == module]
        survivors = [each for each in mine if each["outcome"] == "survived"]
        places = {(module, each["before"], each["after"]): each for each in survivors}
        met |= places.keys()
        left = [each for place, each in places.items() if place not in known]
        unexplained += left
        row = Counter[str](each["outcome"] for each in mine)
        row += Counter(mutants=len(mine), explained=len(survivors) - len(left))
        totals += row
        print(_row(module, row))
    print(_row("all", totals))
    void = Counter(each["outcome"] for each in done if "shape" not in each)
    print(f"not counted: {void['annotation']} in annotations only, {void['no Python']} that are no Python")
    print(f"{sum(each['seconds'] for each in done):.0f} s, the processes taken together")
    for place in sorted(known - met):
        print(f"\nthis one has a reason to survive, and did not: {place[0]}.py\n  - {place[1]}\n  + {place[2]}")
    for each in unexplained:
        print(f"\nsurvived: {each['module']}.py:{each['line']} ({each['operator']})")
        print(f"  - {each['before']}\n  + {each['after']}")
    return len(unexplained)


def _row(name: str, row: Mapping[str, object]) -> str:
    cells = (row.get(column, 0) for column in ("mutants", "killed", "timeout", "survived", "explained"))
    return f"{name:<10}" + "".join(f"{cell:>10}" for cell in cells)


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutation test of the pure core.")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--only", choices=sorted(path.stem for path in CORE.glob("[a-z]*.py")), metavar="MODULE")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    args = parser.parse_args()
    assert hypothesis  # loaded here, so that no child has to
    assert not any(name.startswith("sessionfsm") for name in sys.modules), "the core must be loaded by each child anew"
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.path.insert(0, str(ROOT))
    modules = [args.only] if args.only else sorted(path.stem for path in CORE.glob("[a-z]*.py"))
    try:
        done = run(modules, args.results, args.processes)
    except KeyboardInterrupt:
        print("core_mutants: stopped; what was found is kept, and the next run goes on from there", file=sys.stderr)
        return 130
    return 1 if report(done, modules) else 0


if __name__ == "__main__":
    raise SystemExit(main())
