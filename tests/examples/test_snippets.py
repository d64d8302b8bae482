"""No code on a page that nothing runs, and no command that the program would refuse."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sessionfsm.cli.commands import build_parser
from tests.examples.blocks import PAGES
from tests.examples.pages import DOCS

ROOT = DOCS.parent
LANGUAGES = ("python", "toml")

RUN_BY = {
    "README.md": "tests/test_readme.py",
    "docs/explanation/simulation.md": "tests/examples/test_simulation_page.py",
    "docs/how-to/accounts-and-credentials.md": "tests/cli/test_cli_account.py",
    "docs/how-to/drive-the-lifecycle-yourself.md": "tests/examples/test_embed_pages.py",
    "docs/how-to/embed.md": "tests/examples/test_embed_pages.py",
    "docs/how-to/keep-messages.md": "tests/examples/test_keep_messages_page.py",
    "docs/how-to/many-accounts.md": "tests/examples/test_many_accounts_page.py",
    "docs/how-to/prove-your-own-machine.md": "tests/examples/test_examples.py",
    "docs/how-to/prove-your-own-policy.md": "tests/examples/test_policy_page.py",
    "docs/how-to/record-and-check-a-run.md": "tests/trace/test_trace_docs.py",
    "docs/how-to/run-the-suite.md": "tests/testing_kit/test_suite_pages.py",
    "docs/how-to/see-a-run.md": "tests/show/test_how_to.py",
    "docs/how-to/test-your-handlers.md": "tests/testing_kit/test_suite_pages.py",
    "docs/reference/table-format.md": "tests/diagram/test_table_json.py",
    "docs/tutorial/first-session.md": "tests/examples/test_tutorial_page.py",
}


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE)
PROGRAM = re.compile(r"^(?:    )?(?:\.venv/bin/)?((?:sessionfsm|make) .+)$", re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands_of(path: Path) -> list[str]:
    """Return what a page says to type: lines that are indented, or fenced without a language."""
    text = path.read_text(encoding="utf-8")
    bare = re.findall(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^    .+$", outside, re.MULTILINE)
    return PROGRAM.findall("\n".join([*bare, *indented]))


COMMANDS = [(name_of(path), command) for path in PAGES for command in commands_of(path)]


def test_every_page_with_code_has_a_test_that_runs_it() -> None:
    """A snippet on a new page fails here until a test runs it, and the test names the page."""
    fence = re.compile(rf"^```(?:{'|'.join(LANGUAGES)})$", re.MULTILINE)
    assert {name_of(path) for path in PAGES if fence.search(path.read_text(encoding="utf-8"))} == set(RUN_BY)
    for page, test in RUN_BY.items():
        said = (ROOT / test).read_text(encoding="utf-8")
        assert Path(page).name in said, f"{test} does not speak of {page}"


@pytest.mark.parametrize("command", [pytest.param(each, id=f"{page}: {each}") for page, each in COMMANDS])
def test_a_command_on_a_page_is_one_that_there_is(command: str) -> None:
    """Its name, its options and their values are taken; what it does is tested with the command."""
    program, *arguments = shlex.split(command, comments=True)
    if program == "make":
        assert arguments[0] in TARGETS
        return
    args, unknown = build_parser().parse_known_args([each for each in arguments if each != "&"])
    assert unknown == []
    assert args.command == arguments[0]


def test_there_are_commands_to_look_at() -> None:
    assert len(COMMANDS) > 30
    with pytest.raises(SystemExit):
        build_parser().parse_known_args(["verify", "--limit", "many"])
