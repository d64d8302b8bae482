"""What the pages show of tests is run: the example project, tests of handlers, the suite on a table of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.examples.pages import DOCS, snippets, text
from tests.testing_kit.suite_runs import BRIEF, SUITE, pytest_in


def test_the_example_project_passes(tmp_path: Path) -> None:
    """Its own tests, as its README says; and its policy goes through the search."""
    project = shutil.copytree(DOCS / "example-project", tmp_path / "bot")
    done = pytest_in(project)
    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout
    assert "--policy policy.toml" in (project / "README.md").read_text()
    assert pytest_in(project, "--pyargs", f"{SUITE}.test_by_search", "--policy", "policy.toml").returncode == 0


def test_what_the_page_on_handlers_shows_is_run(tmp_path: Path) -> None:
    """All of its snippets, one after the other, are a test module that passes."""
    found = snippets("how-to/test-your-handlers.md", "python")
    (tmp_path / "test_page.py").write_text("\n\n".join(found), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = pytest_in(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "13 passed" in done.stdout


def test_what_the_page_on_the_suite_shows_is_run(tmp_path: Path) -> None:
    """Its table is refuted with the very lines that it prints; its tests pass; and mended, as it says, P1 holds."""
    page = text("how-to/run-the-suite.md")
    table, tests = snippets("how-to/run-the-suite.md", "python")
    (tmp_path / "nights.py").write_text(table, encoding="utf-8")
    (tmp_path / "test_page.py").write_text(tests, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(BRIEF)
    command = ["--pyargs", f"{SUITE}.test_by_search", "--machine", "nights:table", "-k", "P1:"]
    assert f"pytest {' '.join(command)}\n" in page
    printed = snippets("how-to/run-the-suite.md", "text")
    refuted = pytest_in(tmp_path, *command)
    assert refuted.returncode == 1
    assert printed[0] in refuted.stdout
    mended = table.replace("target=State.ACTIVE, order=Order.POLL", "target=State.RECOVERING, order=Order.RENEW")
    (tmp_path / "nights.py").write_text(mended, encoding="utf-8")
    assert pytest_in(tmp_path, *command).returncode == 0
    assert pytest_in(tmp_path, "test_page.py").returncode == 0
