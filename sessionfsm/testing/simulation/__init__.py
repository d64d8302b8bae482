"""
Simulation: a real session lives through whole hours of trouble in seconds, and every promise is checked.

:func:`simulate` runs the world of one seed; :func:`shrink` makes a world that is broken as small as it can be;
:class:`Pool` runs many, on all cores. What is simulated, what is checked, and what cannot be shown that way:
docs/explanation/simulation.md.
"""

from .draw import draw_schedule
from .one import COUNTS, SimulationResult, simulate
from .pool import Pool, WorkerDied
from .schedule import Schedule, load_schedule
from .shrink import Shrunk, shrink
from .world import Narrator

__all__ = [
    "COUNTS",
    "Narrator",
    "Pool",
    "Schedule",
    "Shrunk",
    "SimulationResult",
    "WorkerDied",
    "draw_schedule",
    "load_schedule",
    "shrink",
    "simulate",
]
