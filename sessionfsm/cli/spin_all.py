"""``make spin``: our own tables by SPIN, and broken ones, which it has to refute."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Mapping

from sessionfsm import examples
from sessionfsm.errors import DefinitionError
from sessionfsm.lifecycle import Machine, Policy, Table
from sessionfsm.verify.counterexample import narrate
from sessionfsm.verify.explore import explore
from sessionfsm.verify.promela import CLAIMS
from sessionfsm.verify.spin import TIMEOUT_S, Answer, Spin, spin_version

__all__ = ["main"]

_REQUIRED = Policy(renewal="required")

SOUND: Mapping[str, Callable[[], Machine]] = {
    "session": Machine,
    "session, renewal required": lambda: Machine(_REQUIRED),
    "quiet hours": lambda: Machine(Policy(), examples.quiet_hours(Policy())),
}

BROKEN: Mapping[str, tuple[Callable[[Policy], Table], tuple[str, ...]]] = {
    "official client": (examples.official_client, ("P1", "P7_heals")),
    "retry every 5 s": (examples.retry_every_5_s, ("P1", "P7_heals")),
    "quiet hours, wrong": (examples.quiet_hours_wrong, ("P1", "P16")),
}
"""Tables that SPIN has to refute, and what of them at least."""


def main(arguments: list[str] | None = None) -> int:
    """Ask, print; return 0 if everything is as it must be, 1 if not, 3 if something is unknown, 2 without SPIN."""
    parser = argparse.ArgumentParser(prog="spin_all", description=__doc__)
    parser.add_argument("--timeout", default=TIMEOUT_S, type=float, metavar="SECONDS", help="for each claim")
    parser.add_argument(
        "--if-installed", action="store_true", help="without SPIN say that nothing was checked, end well"
    )
    options = parser.parse_args(arguments)
    try:
        print(f"SPIN {spin_version()}")
    except DefinitionError as error:
        print(f"spin: NOTHING WAS CHECKED: {error}", file=sys.stderr)
        return 0 if options.if_installed else 2
    try:
        codes = set(_asked(options.timeout))
    except DefinitionError as error:
        print(f"spin: {error}", file=sys.stderr)
        return 2
    return next((code for code in (1, 3) if code in codes), 0)


def _asked(timeout_s: float) -> Iterator[int]:
    for name, make in SOUND.items():
        yield from _sound(name, make(), timeout_s)
    for name, (table, refuted) in BROKEN.items():
        yield from _broken(name, Machine(Policy(), table(Policy())), refuted, timeout_s)


def _sound(name: str, machine: Machine, timeout_s: float) -> Iterator[int]:
    graph = explore(machine)
    arcs = len({(arc.source, arc.move.trigger) for arcs in graph.arcs for arc in arcs})
    with Spin(machine, timeout_s=timeout_s) as spin:
        size = spin.size()
        same = (size.states, size.transitions) == (len(graph.nodes), arcs)
        print(
            f"{name}: {size.states:,} configurations and {size.transitions:,} transitions in {size.seconds:.2f} s, "
            + ("as many as the search finds" if same else f"but the search finds {len(graph.nodes):,} and {arcs:,}")
        )
        yield 0 if same else 1
        for answer in spin.ask_all():
            print(_line(answer), flush=True)
            yield {"proved": 0, "refuted": 1, "unknown": 3}[answer.verdict]
            if answer.verdict == "refuted":
                print(narrate(answer.finding))


def _broken(name: str, machine: Machine, refuted: tuple[str, ...], timeout_s: float) -> Iterator[int]:
    print(f"{name}: has to be refuted")
    with Spin(machine, timeout_s=timeout_s) as spin:
        for answer in spin.ask_all([claim for claim in CLAIMS if claim.name in refuted]):
            print(_line(answer), flush=True)
            yield {"refuted": 0, "proved": 1, "unknown": 3}[answer.verdict]
            print("\n".join(f"      {line}" for line in narrate(answer.finding).splitlines()))


def _line(answer: Answer) -> str:
    return f"  {answer.claim.name:12} {answer.verdict:8} {answer.states:>9,} states {answer.seconds:6.2f} s"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the generated C goes, too
    sys.exit(main())
