"""
How ``make docs`` builds the pages: strictly, from what is here, and without a network.

The pages are plain Markdown, because a forge and an editor show them as well. What Sphinx needs besides is made of
them here: the table of contents of the links in ``index.md``, and the reference of the names in ``reference/api.md``.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import desc_signature, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode

import sessionfsm

HERE = Path(__file__).parent
DARK = re.compile(r"@media \(prefers-color-scheme: dark\) \{ (\.sessionfsm \{[^}]*\}) \}")

project = "sessionfsm"
author = "the sessionfsm authors"
version = release = sessionfsm.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["example-project"]  # a project of its own, which is linked to

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

nitpicky = True  # a role in a docstring that names nothing is an error
suppress_warnings = ["misc.highlighting_failure"]  # exchanges on the wire are shortened by hand

html_theme = "furo"
html_title = f"sessionfsm {version}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]


def find(name: str) -> object | None:
    """Return what a dotted name stands for; ``None`` if that is nothing."""
    parts = name.split(".")
    try:
        found: Any = import_module(parts[0])
    except (ImportError, ValueError):
        return None
    for end, part in enumerate(parts[1:], start=2):
        if hasattr(found, part):
            found = getattr(found, part) if getattr(found, part) is not None else found
        elif inspect.ismodule(found):
            try:
                found = import_module(".".join(parts[:end]))
            except ImportError:
                return None
        elif not (inspect.isclass(found) and f"self.{part}" in source_of(found)):
            return None  # and no attribute either, which only its objects have
    return found


source_of = cache(inspect.getsource)  # it reads the file anew each time


def contents(index: str) -> str:
    """Return the index with a hidden table of contents for each list of links, under the list's heading."""

    def with_contents(section: re.Match[str]) -> str:
        pages = "\n".join(re.findall(r"\]\(([^):]+)\.md\)", section[0]))
        return f"{section[0].rstrip()}\n\n```{{toctree}}\n:hidden:\n:caption: {section[1]}\n\n{pages}\n```\n\n"

    return re.sub(r"^## (.+)\n[^#]+", with_contents, index, flags=re.MULTILINE)


def reference(page: str) -> str:
    """Return the page of names with what the docstring of each says; of a constant without one, what the page says."""

    def described(line: re.Match[str]) -> str:
        name = line[1]
        thing = find(name)
        if inspect.isclass(thing):
            kind = "exception" if issubclass(thing, BaseException) else "class"
            said = f".. auto{kind}:: {name}\n   :members:"
        elif inspect.isroutine(thing):
            said = f".. autofunction:: {name}"
        else:
            said = f".. py:data:: {name}\n\n   " + "\n   ".join(said_of(name, thing) or [line[2] or what_it_is(thing)])
        return f"```{{eval-rst}}\n{said}\n```\n"

    return re.sub(r"^- `([\w.]+)`(?:: (.+))?\n", described, page, flags=re.MULTILINE)


def said_of(name: str, value: object) -> list[str]:
    """Return the docstring of a constant: it stands under its definition, wherever in the package that is."""
    package, _, short = name.rpartition(".")
    for module in sorted(sys.modules):
        if f"{module}.".startswith(f"{package}.") and getattr(sys.modules[module], short, None) is value:
            docs = ModuleAnalyzer.for_module(module).find_attr_docs()
            if ("", short) in docs:
                return docs["", short]
    return []


def what_it_is(value: object) -> str:
    """Return what a constant or an alias of types is."""
    either = [getattr(each, "__name__", repr(each)) for each in get_args(value)] or [repr(value)]
    return "One of " * (len(either) > 1) + ", ".join(f"``{each}``" for each in either) + "."


def links(page: Path, text: str) -> str:
    """Return the text of a page in which links to Markdown that is not built lead to the file as it is."""

    def link(found: re.Match[str]) -> str:
        target = (page.parent / found[1]).resolve()
        built = target.is_relative_to(HERE) and not target.is_relative_to(HERE / "example-project")
        return found[0] if built else f"](path:{found[1]})"

    return re.sub(r"\]\(([^):#]+\.md)(?:#[^)]*)?\)", link, text)


def pictures(env: BuildEnvironment, page: Path, text: str) -> str:
    """
    Return the text of a page in which the SVG of each picture stands itself.

    So an arc says its reason to the pointer, names can be searched for, and the colours follow the theme that the
    reader has chosen here, which need not be the one that the browser prefers.
    """

    def drawn(found: re.Match[str]) -> str:
        file = (page.parent / found[2]).resolve()
        env.note_dependency(str(file))  # a page is built anew when its picture is
        svg = DARK.sub(
            r'body[data-theme="dark"] \1\n'
            r'@media (prefers-color-scheme: dark) { body:not([data-theme="light"]) \1 }',
            file.read_text(encoding="utf-8"),
        )
        # Two pictures of one page have states in common, and an id is there once.
        svg = re.sub(r'( id="|url\(#|href="#)', rf"\1{file.stem}-", svg)
        svg = re.sub(
            r'(?<=aria-labelledby=")[^"]+', lambda names: f"{file.stem}-{names[0]}".replace(" ", f" {file.stem}-"), svg
        )
        return f'```{{raw}} html\n<div class="picture">\n{svg}</div>\n```\n'

    return re.sub(r"^!\[([^]]*)\]\(([^)]+\.svg)\)$", drawn, text, flags=re.MULTILINE)


def read_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Make of a page's Markdown what Sphinx needs."""
    page = Path(app.env.doc2path(name))
    text = pictures(app.env, page, links(page, source[0]))
    source[0] = {"index": contents, "reference/api": reference}.get(name, str)(text)


def keep_first_line(_: Sphinx, what: str, __: str, ___: object, ____: object, lines: list[str]) -> None:
    """Keep napoleon from taking the words before a colon for a type, in what is said of an attribute."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Node) -> nodes.Node | None:
    """
    Follow a role of a docstring to where its object is described, under whatever name that is.

    What is there and not described stays plain text, and so does what a signature names. The rest is an error.
    """
    if node.get("refdomain") != "py":
        return None
    if any(isinstance(above, desc_signature) for above in ancestors(node)):
        return shown
    target, module, within = node["reftarget"], node.get("py:module"), node.get("py:class")
    scopes = [scope for scope in (module, within, f"{module}.{within}") if scope]
    scopes += [found.__module__ for scope in scopes if inspect.isclass(found := find(scope))]
    for name in (target, *(f"{scope}.{target}" for scope in scopes)):
        if (found := find(name)) is not None:
            home = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
            entry = env.domains.python_domain.objects.get(home)
            if entry is None:
                return shown
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, shown, home)
    return None


def ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    """Yield what a node stands in, from the inside out."""
    while (node := node.parent) is not None:
        yield node


def setup(app: Sphinx) -> None:
    """Connect the above, and show Mermaid as the text that it is: to draw it would take a script from elsewhere."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", keep_first_line, priority=400)
    app.connect("missing-reference", resolve)
