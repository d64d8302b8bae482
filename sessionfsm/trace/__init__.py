"""
Runs on file: written while they happen, read strictly, replayed through the machine, and judged.

The form of the file is docs/reference/trace-format.md.
"""

from .check import Report, Wrong, check_trace
from .digest import table_digest
from .lines import VERSION, BrokenOff, Line, Other, RunLine, Torn
from .reader import read_trace
from .summary import RunReport
from .writer import TraceWriter

__all__ = [
    "VERSION",
    "BrokenOff",
    "Line",
    "Other",
    "Report",
    "RunLine",
    "RunReport",
    "Torn",
    "TraceWriter",
    "Wrong",
    "check_trace",
    "read_trace",
    "table_digest",
]
