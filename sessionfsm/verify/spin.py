"""
Asking SPIN: the model of :mod:`sessionfsm.verify.promela`, compiled and run in a folder that goes afterwards.

SPIN is a model checker by other people, in another language. Its counterexamples are not believed as they are: the
running machine is led along each of them, and tells it in its own words.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal, NamedTuple

from sessionfsm.errors import DefinitionError, TriggerRefused
from sessionfsm.lifecycle import Machine

from .explore import Arc, moves
from .promela import CLAIMS, Claim, promela, triggers_of
from .report import Finding

__all__ = ["Answer", "Asked", "Size", "Spin", "spin_version"]

TIMEOUT_S = 60.0
MODEL = "model.pml"
SHALLOW = 20_000
DEEPEST = 1_000_000
"""How deep a search may go: at first not so deep, because the room for it is made beforehand."""
_MEMORY_MB = 1024
_TOO_DEEP = "max search depth too small"


class Size(NamedTuple):
    """
    The graph that SPIN has searched.

    Attributes:
        states: Configurations.
        transitions: What can happen in them, each trigger once.
        seconds: How long the search took.
    """

    states: int
    transitions: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What SPIN said of one claim.

    Attributes:
        claim: What was asked.
        verdict: Proved, refuted, or unknown: as SPIN said.
        why: If unknown, the reason; if refuted, what is wrong.
        states: How many states it stored: pairs of a configuration with the account, and the claim's own.
        seconds: How long it took.
        run: If refuted: what happens, as the running machine does it.
        repeats_from: If what is wrong is that something never happens: from which step on the run repeats for ever.
    """

    claim: Claim
    verdict: Literal["proved", "refuted", "unknown"]
    why: str
    states: int
    seconds: float
    run: tuple[Arc, ...] = ()
    repeats_from: int | None = None

    @property
    def finding(self) -> Finding:
        """The same as ``verify`` would have found it, for whoever tells or draws it."""
        return Finding(
            id=self.claim.id,
            statement=self.claim.says,
            verdict="undecided" if self.verdict == "unknown" else self.verdict,
            why=self.why,
            counterexample=self.run,
        )


class Asked(NamedTuple):
    """What a process said, and how it ended; ``None`` if it did not end in time."""

    said: str
    code: int | None


def spin_version() -> str:
    """
    Return the version of SPIN.

    Raises:
        DefinitionError: If SPIN, or a C compiler, is not installed.
    """
    spin, _ = _tools()
    found = re.search(r"Version (\S+)", _run([spin, "-V"], Path(), TIMEOUT_S).said)
    return found[1] if found else "unknown"


def _tools() -> tuple[str, str]:
    spin = shutil.which("spin")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if spin is None:
        raise DefinitionError("spin is not installed; on Debian and Ubuntu: apt-get install spin")
    if compiler is None:
        raise DefinitionError("there is no C compiler (cc, gcc, clang), which spin needs")
    return spin, compiler


class Spin:
    """
    A machine's model, ready to be asked about. Use it as a context: its folder goes with it.

    Args:
        machine: Its table is asked about, with its policy's counters; not its code.
        timeout_s: For each step: the compiler, each claim.

    Raises:
        DefinitionError: If SPIN is not installed, cannot read the model, or the table cannot be written as one.
    """

    def __init__(self, machine: Machine, *, timeout_s: float = TIMEOUT_S) -> None:
        self.machine = machine
        self.timeout_s = timeout_s
        self._spin, self._compiler = _tools()
        self._text = promela(machine)
        self._folder = tempfile.TemporaryDirectory(prefix="sessionfsm-spin-")
        self._pan: dict[str, Path] = {}

    def __enter__(self) -> Spin:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def size(self) -> Size:
        """
        Search the graph alone, without account and claims, and say how large it is.

        Raises:
            DefinitionError: If it was not searched to its end.
        """
        pan = self._compiled("graph", ["-DBARE"], ["-DSAFETY"])
        began = perf_counter()
        said, code = _run([str(pan), "-n", f"-m{DEEPEST}"], pan.parent, self.timeout_s)
        states, transitions = _number(r"(\d+) states, stored", said), _number(r"(\d+) transitions", said)
        if problem := _incomplete(said, code):
            raise DefinitionError(f"spin did not search the whole graph: {problem}")
        # pan counts the initial state as one that was stepped into
        return Size(states, transitions - 1, perf_counter() - began)

    def ask(self, claim: Claim) -> Answer:
        """Ask about *claim*."""
        pan = self._compiled("claims", [], [])
        began = perf_counter()
        said, code = self._search(pan, claim, SHALLOW)
        if not _found(said) and _TOO_DEEP in said:
            said, code = self._search(pan, claim, DEEPEST)
        seconds, states = perf_counter() - began, _number(r"(\d+) states, stored", said)
        if not _found(said):
            problem = _incomplete(said, code)
            verdict: Literal["proved", "unknown"] = "unknown" if problem else "proved"
            return Answer(claim=claim, verdict=verdict, why=problem, states=states, seconds=seconds)
        run, repeats_from, why = self._replayed(self._shortened(claim), claim)
        return Answer(
            claim=claim,
            verdict="refuted",
            why=why,
            states=states,
            seconds=seconds,
            run=tuple(run),
            repeats_from=repeats_from,
        )

    def ask_all(self, claims: Sequence[Claim] = CLAIMS) -> list[Answer]:
        """Ask about each of *claims*, in their order."""
        return [self.ask(claim) for claim in claims]

    def _shortened(self, claim: Claim) -> Path:
        """Search for as short a counterexample as there is, a plain one if can be; return what has found it."""
        for name, options in (("plain", ["-DPLAIN"]), ("shortest", [])):
            pan = self._compiled(name, options, ["-DREACH"])
            if _found(self._search(pan, claim, SHALLOW).said):
                break
        too_shallow, depth = 0, 8
        while depth < DEEPEST and not _found(self._search(pan, claim, depth).said):
            too_shallow, depth = depth, depth * 2
        while depth - too_shallow > 1:
            middle = (depth + too_shallow) // 2
            if _found(self._search(pan, claim, middle).said):
                depth = middle
            else:
                too_shallow = middle
        self._search(pan, claim, depth)
        return pan

    def _search(self, pan: Path, claim: Claim, depth: int) -> Asked:
        fairly = ["-f"] if claim.fair else []
        return _run([str(pan), "-a", *fairly, "-n", "-w20", f"-m{depth}", "-N", claim.name], pan.parent, self.timeout_s)

    def _compiled(self, name: str, options: list[str], compiler_options: list[str]) -> Path:
        if name not in self._pan:
            folder = Path(self._folder.name, name)
            folder.mkdir()
            (folder / MODEL).write_text(self._text, encoding="utf-8")
            # -o2: a variable that no claim reads is a part of the state all the same
            said, code = _run([self._spin, "-o2", *options, "-a", MODEL], folder, self.timeout_s)
            if code != 0 or "Error" in said:
                raise DefinitionError(f"spin cannot read the model: {_last(said)}")
            built = [self._compiler, "-O0", "-w", "-DNOREDUCE", f"-DMEMLIM={_MEMORY_MB}", *compiler_options]
            said, code = _run([*built, "-o", "pan", "pan.c"], folder, self.timeout_s)
            if code != 0:
                raise DefinitionError(f"what spin wrote cannot be compiled: {_last(said)}")
            self._pan[name] = folder / "pan"
        return self._pan[name]

    def _replayed(self, pan: Path, claim: Claim) -> tuple[list[Arc], int | None, str]:
        """Lead the running machine along SPIN's counterexample."""
        said = _run([str(pan), "-r", "-S", "-n", "-N", claim.name], pan.parent, self.timeout_s).said
        triggers = triggers_of(self.machine)
        run: list[Arc] = []
        repeats_from: int | None = None
        session = self.machine.session()
        for line in said.splitlines():
            if "START OF CYCLE" in line:
                repeats_from = len(run)
            elif found := re.fullmatch(r"\s*happened (\d+)", line):
                trigger = triggers[int(found[1])]
                possible = moves(session.outstanding, self.machine.policy, sorted(session.own_triggers))
                move = next(each for each in possible if each.trigger == trigger)
                serial = session.outstanding.serial if session.outstanding is not None else None
                try:
                    step = session.handle(trigger, serial=serial)
                except TriggerRefused:
                    step = None
                if step is None:
                    return run, None, f"{trigger} can occur in {session.state}, and there is no row for it"
                run.append(Arc(len(run), len(run) + 1, move, step, move.least_s, move.most_s))
        if repeats_from is None:
            return run, None, f"it is not so that {claim.says}"
        return run, repeats_from, f"from step {repeats_from + 1} on this is repeated for ever; not so: {claim.says}"


def _found(said: str) -> bool:
    return _number(r"errors: (\d+)", said) > 0


def _number(pattern: str, said: str) -> int:
    found = re.search(pattern, said)
    return int(found[1]) if found else 0


def _incomplete(said: str, code: int | None) -> str:
    """Return why a search is no search of everything; empty if it is one."""
    if code is None:
        return "it did not end in time"
    for sign, why in (
        (_TOO_DEEP, "it would go deeper than it may"),
        ("out of memory", "it would need more memory than it may have"),
        ("Search not completed", "it was not completed"),
    ):
        if sign in said:
            return why
    return "" if code == 0 and "errors: 0" in said else f"it ended with {code}: {_last(said)}"


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was said"


def _run(command: list[str], folder: Path, timeout_s: float) -> Asked:
    # In a session of its own: spin and the compiler start others, and all of them have to end together.
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            return Asked("", None)
        except BaseException:
            _kill(process)
            raise
        return Asked(said, process.returncode)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
