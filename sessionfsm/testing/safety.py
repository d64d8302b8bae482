"""One question, asked of a definition or of a run: is it safe?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias, cast

from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy, Table
from sessionfsm.session import Record, RecordMonitor, Session, Violation
from sessionfsm.testing.judge import judge_wire
from sessionfsm.testing.wirelog import Exchange, WireLog
from sessionfsm.trace.words import words_of
from sessionfsm.verify import Finding, decide
from sessionfsm.verify.counterexample import narrate

__all__ = ["Definition", "Run", "assert_session_safe", "told"]

Definition: TypeAlias = Machine | Policy | Table
Run: TypeAlias = Session | WireLog | Iterable[Exchange] | Iterable[Record]

_SHOWN = 12
"""How many entries are shown before the one that is wrong."""


def assert_session_safe(
    subject: Definition | Run,
    *,
    policy: Policy | None = None,
    machine: Machine | None = None,
    slack_s: float = 0.05,
    limit: int | None = None,
) -> None:
    """
    Fail, with a readable trace, unless *subject* is safe.

    A **definition** is searched whole: every property P0 to P19 must be proved (docs/explanation/what-is-proved.md).

    - a :class:`~sessionfsm.Machine`; a :class:`~sessionfsm.Policy`, on the lifecycle that it asks for; a table, on
      *policy* or the default one.

    A **run** of a session is judged by its records, from the first one on: each is what the machine answers, and what
    P1 to P19 allow (:class:`~sessionfsm.RecordMonitor`).

    - a :class:`~sessionfsm.Session`, by its history; a sequence of :class:`~sessionfsm.Record`.

    A **run on the wire** is judged by the server's log, account by account: no poll after a loss without
    ``notifystart`` (P1), no silence beyond the policy's bound (P6), no hot loop (P8), never two polls at once, nothing
    that a strict server could complain about. It does not matter whose client it was, so this judges others as well.

    - a :class:`~sessionfsm.testing.WireLog`, or entries of one.

    Args:
        subject: The definition or the run.
        policy: Whose figures hold for a table, for records and for entries; the default policy's if absent.
        machine: What the session ran on whose records, or requests, these are; the default is the one that *policy*
            asks for.
        slack_s: What the times of a run on the wire may be off by, in seconds.
        limit: After how many configurations a search gives up; a property that is undecided then is not proved.

    Raises:
        AssertionError: If it is not safe.
        DefinitionError: If *subject* is none of these, or has a policy of its own and *policy* is another one, or if
            the first records are missing: a session keeps as many as its argument ``history`` says.
    """
    match subject:
        case Machine() | Policy() | Table():
            _assert_proved(_machine(subject, policy), limit)
        case Session():
            own = subject._driver.lifecycle._machine
            _same(own.policy, policy)
            _assert_records_safe(subject.history, own)
        case WireLog():
            _assert_wire_safe(list(subject), machine or Machine(policy), slack_s)
        case Iterable():
            entries: list[object] = list(subject)
            if all(isinstance(entry, Exchange) for entry in entries):
                _assert_wire_safe(cast(list[Exchange], entries), machine or Machine(policy), slack_s)
            elif all(isinstance(entry, Record) for entry in entries):
                _assert_records_safe(cast(list[Record], entries), machine or Machine(policy))
            else:
                raise DefinitionError(_WANTED)
        case _:
            raise DefinitionError(_WANTED)


_WANTED = (
    "assert_session_safe takes a Machine, a Policy or a Table, or a Session, its records, a WireLog or entries of one"
)


def told(finding: Finding) -> str:
    """Return what was found about one property, for people: statement, verdict, and the shortest run that breaks it."""
    if finding.verdict == "undecided":
        return f"{finding.id} is undecided: {finding.statement}\n\n{finding.why}"
    return f"{finding.id} is {finding.verdict}: {finding.statement}\n\n{narrate(finding)}".rstrip()


def _machine(subject: Definition, policy: Policy | None) -> Machine:
    if isinstance(subject, Table):
        return Machine(policy, subject)
    own = subject if isinstance(subject, Policy) else subject.policy
    _same(own, policy)
    return Machine(own) if isinstance(subject, Policy) else subject


def _same(own: Policy, policy: Policy | None) -> None:
    if policy is not None and policy != own:
        raise DefinitionError("leave policy out: what is to be judged has one of its own")


def _assert_proved(machine: Machine, limit: int | None) -> None:
    report = decide(machine) if limit is None else decide(machine, limit)
    wrong = [finding for finding in report.properties.values() if not finding.holds]
    if wrong:
        count = f"{len(wrong)} of {len(report.properties)} properties are not proved"
        raise AssertionError(f"{machine.table.name!r}: {count}\n\n" + "\n\n".join(map(told, wrong)))


def _assert_records_safe(records: Sequence[Record], machine: Machine) -> None:
    if records and records[0].number != 1:
        raise DefinitionError(
            f"the first record is number {records[0].number}, and what came before is lost; "
            "give the session a longer history=..., or a RecordMonitor as observer"
        )
    monitor = RecordMonitor(machine)
    for record in records:
        monitor(record)
    account = records[0].account if records else ""
    _fail(account, monitor.violations, [(record.number, words_of(record)) for record in records])


def _assert_wire_safe(entries: Sequence[Exchange], machine: Machine, slack_s: float) -> None:
    for account in dict.fromkeys(entry.account for entry in entries):
        mine = [entry for entry in entries if entry.account == account]
        session = [entry for entry in mine if entry.endpoint in ("notifystart", "getupdates")]
        lines = [(entry.number, _entry_line(entry)) for entry in session]
        for entry in mine:
            if entry.overlapping:
                raise AssertionError(f"{account}: two polls at once\n\n{_shown(lines, entry.number)}")
            if entry.deviations:
                raise AssertionError(f"{account}: request {entry.number}: {'; '.join(entry.deviations)}")
        verdict = judge_wire(session, machine.policy, slack_s=slack_s, own_s=machine.table.own_s)
        _fail(account, verdict.violations, lines)


def _fail(account: str, violations: Sequence[Violation], lines: Sequence[tuple[int, str]]) -> None:
    if violations:
        told = [f"{found.property}: {found.what}\n\n{_shown(lines, found.number)}" for found in violations[:3]]
        more = f"\n\nand {len(violations) - 3} more" if len(violations) > 3 else ""
        raise AssertionError(f"{account} broke {violations[0].property}\n\n" + "\n\n".join(told) + more)


def _shown(lines: Sequence[tuple[int, str]], number: int) -> str:
    """Return the line that is wrong, marked, and some before it."""
    before = [line for at, line in lines if at < number][-_SHOWN:]
    return "\n".join([*(f"  {line}" for line in before), *(f"> {line}" for at, line in lines if at == number)])


def _entry_line(entry: Exchange) -> str:
    answer = "the client left" if entry.aborted else entry.answer or "still out"
    held = f" after {entry.ended_s - entry.started_s:.1f} s" if entry.ended_s is not None else ""
    return f"{entry.started_s:10.1f} s  {entry.endpoint:11}  {answer}{held}"
