"""The import contracts in ``pyproject.toml``: they hold, and each of them would fail if it were broken."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sessionfsm

PACKAGE = Path(sessionfsm.__file__).parent
PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
}

LIFECYCLE = sorted((PACKAGE / "lifecycle").rglob("*.py"))
ALLOWED_IN_LIFECYCLE = ("transitions", "sessionfsm.errors", "sessionfsm.lifecycle")
IMPURE_BUILTINS = {"__import__", "breakpoint", "compile", "eval", "exec", "input", "open", "print"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package and of its contracts."""
    shutil.copytree(PACKAGE, tmp_path / "sessionfsm", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PYPROJECT, tmp_path)
    return tmp_path


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package in *checkout*, which goes before the installed one."""
    command = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=checkout,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(checkout), "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"},
        timeout=60,
        check=False,
    )


def test_the_contracts_hold(checkout: Path) -> None:
    """Imports point downward only."""
    done = lint(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    for contract in CONTRACTS.values():
        assert f"{contract['name']} KEPT" in done.stdout


@pytest.mark.parametrize(
    ("contract", "module", "line"),
    [
        pytest.param("outbound", "ilink", "import sessionfsm.lifecycle", id="ilink sees lifecycle"),
        pytest.param("outbound", "ilink", "from .. import session", id="ilink sees session"),
        pytest.param("outbound", "ilink", "def later():\n    import sessionfsm.session", id="ilink sees session later"),
        pytest.param(
            "outbound",
            "ilink",
            "import typing\nif typing.TYPE_CHECKING:\n    import sessionfsm.lifecycle",
            id="ilink sees lifecycle in types only",
        ),
        pytest.param("layers", "lifecycle", "import sessionfsm.session", id="lifecycle looks up"),
        pytest.param("layers", "store", "import sessionfsm.ilink", id="store sees ilink"),
        pytest.param("layers", "testing", "import sessionfsm.cli", id="testing sees cli"),
        pytest.param("layers", "errors", "import sessionfsm.secret", id="a leaf imports"),
        pytest.param("layers", "unplaced", "", id="a module without a place"),
        pytest.param("pure", "lifecycle", "import time", id="lifecycle has a clock"),
        pytest.param("pure", "lifecycle", "import httpx", id="lifecycle has an HTTP client"),
        pytest.param("pure", "lifecycle", "import sessionfsm.secret", id="lifecycle sees a secret"),
        pytest.param("http", "store", "import httpx", id="store has an HTTP client"),
        pytest.param("testing", "session", "import sessionfsm.testing", id="session sees the test kit"),
    ],
)
def test_a_broken_contract_is_noticed(checkout: Path, contract: str, module: str, line: str) -> None:
    """One forbidden import, wherever it hides, fails the contract that forbids it."""
    folder = checkout / "sessionfsm" / module
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    done = lint(checkout)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{CONTRACTS[contract]['name']} BROKEN" in done.stdout


def imported(path: Path, package: str) -> set[str]:
    """Return the full name of each module that *path* imports; *package* is what a leading dot means there."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            base = ".".join(part for part in (start, node.module) if part)
            names.update(f"{base}.{alias.name}" if base == "sessionfsm" else base for alias in node.names)
    return names


@pytest.mark.parametrize("path", LIFECYCLE, ids=lambda path: path.name)
def test_lifecycle_imports_nothing_that_acts(path: Path) -> None:
    """Its modules import ``transitions``, the errors, each other, and a standard library without clock, dice or I/O."""
    package = ".".join(("sessionfsm", *path.parent.relative_to(PACKAGE).parts))
    foreign = {
        name
        for name in imported(path, package)
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not any(name == allowed or name.startswith(f"{allowed}.") for allowed in ALLOWED_IN_LIFECYCLE)
    }
    forbidden = set(CONTRACTS["pure"]["forbidden_modules"])
    acting = {name for name in imported(path, package) if name.partition(".")[0] in forbidden}
    assert not foreign | acting


@pytest.mark.parametrize("path", LIFECYCLE, ids=lambda path: path.name)
def test_lifecycle_calls_nothing_that_acts(path: Path) -> None:
    """What needs no import, such as ``open`` and ``print``, is not there either."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    assert not {node.id for node in nodes if isinstance(node, ast.Name)} & IMPURE_BUILTINS


def test_lifecycle_was_found() -> None:
    """The two tests above looked at something."""
    assert {path.name for path in LIFECYCLE} >= {"__init__.py", "table.py", "machine.py"}
