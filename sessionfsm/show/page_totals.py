"""The page's table of totals: what the whole run came to, with a column that the script fills for the time so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sessionfsm.diagram.ink import text_of
from sessionfsm.diagram.words import share_of

from .run import Request, Run
from .times import length_of

__all__ = ["totals"]


def totals(run: Run) -> str:
    """Return the table, as HTML. Each row has the name under which the script knows it: ``data-total``."""
    rows = "\n".join(
        f'<tr data-total="{name}"><th scope="row">{label}</th><td class="so-far"></td><td>{value}</td></tr>'
        for name, label, value in (*_states(run), *_counts(run))
    )
    return (
        '<table>\n<thead><tr><th></th><th scope="col" class="so-far">until now</th>'
        f'<th scope="col">in all</th></tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>'
    )


def _states(run: Run) -> Iterator[tuple[str, str, str]]:
    whole = run.until_s - run.from_s
    for at, box in enumerate(run.diagram.boxes):
        there = run.time_in(box.name)
        was = any(stay.state == box.name for stay in run.stays)
        share = f" ({share_of(there / whole)})" if there and whole else ""
        yield f"state-{at}", f"in {text_of(box.name)}", f"{length_of(there)}{share}" if was else "never"


def _counts(run: Run) -> Iterator[tuple[str, str, str]]:
    polls = [request for request in run.requests if request.kind == "poll"]
    renewals = [request for request in run.requests if request.kind == "renew"]
    failed = sum(1 for send in run.sends if send.failed)
    cut = sum(1 for wait in run.waits if wait.cut)
    yield "records", "records", f"{len(run.steps):,}"
    yield "polls", "polls (getupdates)", _with(sum(each.polls for each in polls), _bad(polls), "not good")
    yield "renewals", "renewals (notifystart)", _with(len(renewals), _bad(renewals), "failed")
    yield "messages", "new messages", f"{sum(request.news for request in run.requests):,}"
    yield "waits", "waits", _with(len(run.waits), cut, "cut short")
    yield "sends", "sends", _with(len(run.sends), failed, "failed")


def _bad(requests: Sequence[Request]) -> int:
    return sum(1 for request in requests if not request.good)


def _with(count: int, some: int, what: str) -> str:
    return f"{count:,}, {some:,} {what}" if some else f"{count:,}"
