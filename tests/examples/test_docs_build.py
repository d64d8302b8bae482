"""The pages are built strictly, have everything in them, and load nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from tests.examples.pages import DOCS, text

NAMES = re.findall(r"^- `([\w.]+)`", text("reference/api.md"), re.MULTILINE)
PACKAGES = ("lifecycle", "session", "store", "ilink", "trace", "verify", "diagram", "show", "config", "testing")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build as ``make docs`` does, and hand out the folder."""
    folder = tmp_path_factory.mktemp("docs")
    strictly = ["-q", "-W", "--keep-going", "-d", str(folder / "trees")]
    command = [sys.executable, "-m", "sphinx", *strictly, str(DOCS), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_page_can_be_reached(built: Path) -> None:
    """The index names each page; one that it forgets is in no list and fails the build."""
    index = (built / "index.html").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS)
        if name.parts[0] != "example-project":
            assert f'href="{name.with_suffix(".html").as_posix()}' in index or name.name == "index.md", name


def test_the_pages_load_nothing_from_elsewhere(built: Path) -> None:
    """They can be read without a network, and tell nobody that they are."""
    elsewhere = r"(?:https?:)?//"
    foreign = re.compile(rf"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=\"{elsewhere}|url\(['\"]?{elsewhere}")
    found = [
        (file.name, match[0])
        for file in built.rglob("*")
        if file.suffix in (".html", ".css")
        for match in foreign.finditer(file.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_picture_is_there_itself_and_follows_the_reader(built: Path) -> None:
    """Its arcs say their reasons, its colours are those of the theme that is chosen, and each id is there once."""
    shown = []
    for source in DOCS.rglob("*.md"):
        pictures = re.findall(r"^!\[.+\]\((.+)\)$", source.read_text(encoding="utf-8"), re.MULTILINE)
        if not pictures:
            continue
        shown += [Path(picture).name for picture in pictures]
        page = (built / source.relative_to(DOCS).with_suffix(".html")).read_text(encoding="utf-8")
        assert len(re.findall('<svg [^>]*class="sessionfsm[" ]', page)) == len(pictures)
        assert page.count('body[data-theme="dark"] .sessionfsm {') == len(pictures)
        assert page.count('body:not([data-theme="light"]) .sessionfsm {') == len(pictures)
        ids = Counter(re.findall(r' id="([^"]+)"', page))
        assert [each for each, times in ids.items() if times > 1] == []
        assert set(" ".join(re.findall(r'aria-labelledby="([^"]+)"', page)).split()) <= set(ids)
    assert {"lifecycle.svg", "lifecycle-overview.svg", "official-client.svg"} <= set(shown)
    lifecycle = (built / "explanation" / "lifecycle.html").read_text(encoding="utf-8")
    assert (
        "<title>session_lapsed: the session was lost while the poll was held: it is renewed at once</title>"
        in lifecycle
    )


def test_the_reference_says_what_each_name_is(built: Path) -> None:
    """Each is there, with an anchor of its own and something said about it."""
    page = (built / "reference" / "api.html").read_text(encoding="utf-8")
    assert [name for name in NAMES if f'id="{name}"' not in page] == []
    empty = re.findall(r'id="(sessionfsm[\w.]+)"(?:(?!</dt>).)*</dt>\s*<dd></dd>', page, re.DOTALL)
    assert empty == []


def test_the_reference_has_what_the_packages_offer() -> None:
    """Every public object is described once, under the shortest of its names."""
    assert [name for name, times in Counter(NAMES).items() if times > 1] == []
    described = [value(name) for name in NAMES]
    for package in ("sessionfsm", *(f"sessionfsm.{name}" for name in PACKAGES)):
        module = import_module(package)
        for name in module.__all__:
            offered = getattr(module, name)
            if name != "__version__" and type(offered).__name__ != "module":
                assert any(offered is each for each in described), f"{package}.{name} is not in docs/reference/api.md"


def value(name: str) -> object:
    module, _, short = name.rpartition(".")
    return getattr(import_module(module), short)
