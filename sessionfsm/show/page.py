"""One HTML page that replays a run: it needs no network, no server and no other file, and nothing in it calls out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from sessionfsm.diagram import svg
from sessionfsm.diagram.ink import DARK, LIGHT, text_of
from sessionfsm.errors import DefinitionError

from .page_data import page_data
from .page_totals import totals
from .page_words import told_of_end
from .path import run_diagram
from .run import Run
from .timeline import timeline_svg
from .times import length_of, moment_of
from .words import counted

__all__ = ["MOST_REPLAYED", "page"]

_SCRIPTS = ("page_words.js", "page_place.js", "page_pictures.js", "page_told.js", "page_player.js")

MOST_REPLAYED = 20_000
"""How many records, and how many sends, a page replays: more would make a file of which browsers grow slow."""


def page(run: Run, *, sequence: str = "") -> str:
    """
    Return a page that replays the run, the same for the same run to the last byte.

    It shows the state diagram, the timeline and every record. Without scripts it shows how the run ended, and what it
    came to. ``#t=12.3`` behind its address opens it at that second, ``#record=5`` at that record.

    Args:
        sequence: A sequence diagram of the run, as SVG. It is put in as it is.

    Raises:
        DefinitionError: If the run has more records or sends than a page replays.
    """
    _bounded(run)
    script = "\n".join(['\n(() => {\n"use strict";', *map(_part, _SCRIPTS), "})();\n"])
    # What is not named here is loaded from nowhere; the one script that runs is the one with this hash.
    rules = f"default-src 'none'; script-src '{_hash(script)}'; style-src 'unsafe-inline'; base-uri 'none'"
    title = f"Run of {text_of(run.whose)}"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{rules}; form-action \'none\'">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{title}</title>",
        f"<style>\n{_colours()}\n{_part('page.css')}</style>",
        "</head>",
        '<body class="sessionfsm">',
        *_header(run, title),
        _PLAYER,
        "<main>",
        # The colours of the pictures are those of the page, which knows what the reader chose.
        _figure("timeline", "Timeline", timeline_svg(run, scheme="light", width=1100)),
        _CARD,
        _figure("diagram", "State diagram", svg(run_diagram(run), scheme="light")),
        _AROUND,
        _RECORDS,
        f'<section id="totals">\n<h2>Totals</h2>\n{totals(run)}\n</section>',
        *([_figure("sequence", "Sequence diagram", sequence)] if sequence else []),
        "</main>",
        f'<script type="application/json" id="run">\n{page_data(run)}\n</script>',
        f"<script>{script}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _bounded(run: Run) -> None:
    for count, what in ((len(run.steps), "records"), (len(run.sends), "sends")):
        if count > MOST_REPLAYED:
            raise DefinitionError(
                f"the run has {count:,} {what}, and a page replays at most {MOST_REPLAYED:,}; "
                "name a stretch of it (--from S --to S, or run.between(from_s, until_s))"
            )


@cache
def _part(name: str) -> str:
    return files("sessionfsm.show").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _colours() -> str:
    """Return the colours for light and dark; those of the pictures inside give way to them."""
    light, dark = (" ".join(f"--{name}: {colour};" for name, colour in each.items()) for each in (LIGHT, DARK))
    return "\n".join(
        [
            f":root, :root .sessionfsm {{ color-scheme: light; {light} }}",
            f':root[data-scheme="dark"], :root[data-scheme="dark"] .sessionfsm {{ color-scheme: dark; {dark} }}',
            "@media screen and (prefers-color-scheme: dark) {",
            f":root:not([data-scheme]), :root:not([data-scheme]) .sessionfsm {{ color-scheme: dark; {dark} }}",
            "}",
        ]
    )


def _header(run: Run, title: str) -> Iterator[str]:
    yield f"<header>\n<h1>{title}</h1>"
    yield f"<p>{' '.join(_sentences(run))}</p>"
    yield (
        "<noscript><p>Without scripts this page shows how the run ended. "
        "With them it also replays it, and lists every record.</p></noscript>"
    )
    yield (
        '<label id="scheme">Colours <select><option value="">of the system</option><option value="light">light</option>'
        '<option value="dark">dark</option></select></label>\n</header>'
    )


def _sentences(run: Run) -> Iterator[str]:
    began = moment_of(run.began_s, digits=3)
    yield text_of(f"{run.diagram.name}: {length_of(run.until_s - run.from_s)}, {counted(len(run.steps), 'record')}.")
    yield f"The run began at {began}." if run.whole else f"Second 0 is {began}."
    if run.from_s:
        span = f"from {run.from_s:.3f} s to {run.until_s:.3f} s"
        yield f"This is a stretch of it, {span}; what was before is not counted."
    elif not run.whole:
        yield "Its start is not on record."
    yield text_of(told_of_end(run))
    if run.note:
        yield text_of(f"Note: {run.note}.")


def _figure(name: str, title: str, picture: str) -> str:
    # A picture that is wider than the screen can be scrolled, also by keys.
    return (
        f'<section id="{name}">\n<h2>{title}</h2>\n<div class="picture" tabindex="0" role="group" '
        f'aria-label="{title}">\n{picture}</div>\n</section>'
    )


_PLAYER = """\
<div id="player" role="group" aria-label="Replay" hidden>
<input type="range" id="scrubber" aria-label="Time" min="0" max="1" step="any" value="1">
<div class="buttons">
<button type="button" id="play" aria-keyshortcuts="Space">Play</button>
<button type="button" id="previous" aria-keyshortcuts="ArrowLeft">← record</button>
<button type="button" id="next" aria-keyshortcuts="ArrowRight">record →</button>
<button type="button" id="previous-trouble" aria-keyshortcuts="Shift+ArrowLeft">← trouble</button>
<button type="button" id="next-trouble" aria-keyshortcuts="Shift+ArrowRight">trouble →</button>
<label>Speed <select id="speed">
<option value="whole">all in 30 s</option>
<option value="step">a record a second</option>
<option value="1">real time</option>
<option value="10">× 10</option>
<option value="100">× 100</option>
<option value="1000">× 1,000</option>
</select></label>
<output id="clock"><b id="relative"></b> <span id="wall"></span></output>
</div>
</div>"""
_CARD = """\
<section id="card" class="script" aria-labelledby="card-title">
<h2 id="card-title">The record at hand</h2>
<div id="told" aria-live="polite"></div>
</section>"""
_AROUND = """\
<section id="around" class="script">
<h2>Before and after</h2>
<h3>Requests and waits</h3>
<ol id="around-requests"></ol>
<h3>Sends</h3>
<ol id="around-sends"></ol>
</section>"""
_RECORDS = """\
<section id="records" class="script">
<h2>Records</h2>
<div id="list" role="listbox" tabindex="0" aria-label="Records"><div id="rows" role="presentation"></div></div>
<p class="keys">Keys: space plays and pauses, ← and → step by a record, with shift to trouble; Home and End.</p>
</section>"""
