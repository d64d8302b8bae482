"""A second opinion: the same obligations decided by cvc5, which shares nothing with z3."""

from __future__ import annotations

import cvc5

__all__ = ["verdict_of"]


def verdict_of(script: str, timeout_s: float) -> str:
    """Return what cvc5 says of *script*: ``unsat``, ``sat`` or ``unknown``."""
    terms = cvc5.TermManager()
    solver = cvc5.Solver(terms)
    solver.setOption("tlimit-per", str(max(1, int(timeout_s * 1000))))
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, script, "obligation")
    symbols = parser.getSymbolManager()
    said = ""
    try:
        while not (command := parser.nextCommand()).isNull():
            said = command.invoke(solver, symbols).strip() or said
    except RuntimeError as error:
        return f"unreadable: {' '.join(str(error).split())}"
    return said
