"""A machine is named as MODULE:ATTR; what cannot be had is refused with the fact."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sessionfsm import DefinitionError, Policy
from sessionfsm.config import load_machine

HERE = "tests.verify.lifecycles"
OTHER = Policy(session_ceiling_s=80)


@pytest.mark.parametrize("attribute", ["table", "Holder.table", "makes_a_machine", "polls_at_once"])
def test_a_table_and_a_function_run_on_the_policy_that_is_asked_for(attribute: str) -> None:
    assert load_machine(f"{HERE}:{attribute}", OTHER).policy == OTHER
    assert load_machine(f"{HERE}:{attribute}").policy == Policy()


def test_a_machine_has_a_policy_of_its_own() -> None:
    """Another one would silently be ignored, so it is refused."""
    own = load_machine(f"{HERE}:machine")
    assert own.policy.session_ceiling_s == 40
    assert load_machine(f"{HERE}:machine", own.policy) is own
    with pytest.raises(DefinitionError, match="has a policy of its own"):
        load_machine(f"{HERE}:machine", OTHER)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is not MODULE:ATTR"),
        ("module", "is not MODULE:ATTR"),
        (":table", "is not MODULE:ATTR"),
        ("module:", "is not MODULE:ATTR"),
        ("no_such_module:table", "no module 'no_such_module'"),
        ("tests.no_such_module:table", "no module 'tests.no_such_module'"),
        (f"{HERE}:nothing", "has no 'nothing'"),
        (f"{HERE}:Holder.nothing", "has no 'Holder.nothing'"),
        (f"{HERE}:number", "neither a table, nor a machine, nor a function"),
        (f"{HERE}:Holder", "neither a table, nor a machine, nor a function"),
        (f"{HERE}:makes_nothing", "returned NoneType, not a table and not a machine"),
        (f"{HERE}:raises", "raised RuntimeError: no table for 0.5"),
    ],
)
def test_what_cannot_be_had_is_refused(name: str, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        load_machine(name)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("raise SystemExit('bye')", "raised SystemExit: bye"),
        ("import no_such_package.deeper", "needs 'no_such_package', which is not installed"),
        ("def", "raised SyntaxError"),
        ("from sessionfsm import Policy; table = Policy(jitter=2)", "jitter = 2 is outside"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused(
    source: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working directory is searched. Whatever user code does on import, the error says which module it was."""
    name = f"broken_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(DefinitionError, match=says) as caught:
        load_machine(f"{name}:table")
    assert name in str(caught.value)
