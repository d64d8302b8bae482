"""What a timeline is put together from: lengths in words, ticks, and marks that are gathered."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfsm.show.run import Stay
from sessionfsm.show.timeline_cells import Scale, cells_of
from sessionfsm.show.timeline_lanes import Mark
from sessionfsm.show.timeline_time import tick_steps, tick_words, ticks


@pytest.mark.parametrize(
    ("at_s", "step_s", "words"),
    [
        (0, 1, "0 s"),
        (0.002, 0.002, "0.002 s"),
        (90, 30, "1 min 30 s"),
        (3600, 600, "1 h"),
        (93_600, 7200, "1 d 2 h"),
        (86_400.005, 0.005, "1 d 0.005 s"),
        (0.1 + 0.2, 0.1, "0.3 s"),
        (864e5, 864e4, "1,000 d"),
        (-30, 30, "-30 s"),
    ],
)
def test_ticks_are_said_exactly(at_s: float, step_s: float, words: str) -> None:
    """What is written at the axis is the time, with no part left out but those that are zero."""
    assert tick_words(at_s, step_s) == words


@given(st.floats(1e-7, 1e14))
def test_steps_grow_and_each_is_a_round_number(least_s: float) -> None:
    """The axis is offered finer steps first, none finer than it asked for, and the first is not much coarser."""
    steps = list(itertools.islice(tick_steps(least_s), 8))
    assert steps == sorted(set(steps))
    assert least_s <= steps[0] <= 2.6 * least_s


@given(st.floats(0, 1e6), st.sampled_from([0.1, 1.0, 30.0, 3600.0]), st.integers(1, 50))
def test_ticks_stand_at_multiples_of_the_step(from_s: float, step_s: float, count: int) -> None:
    """Wherever a stretch begins, its ticks are at round times, all that lie in it."""
    found = ticks(from_s, from_s + count * step_s, step_s)
    assert count <= len(found) <= count + 1
    assert all(abs(each / step_s - round(each / step_s)) < 1e-6 for each in found)


lengths = st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(1, 40))


@given(st.lists(st.tuples(st.floats(0, 100), lengths), max_size=60), st.floats(0.5, 8))
def test_gathering_loses_nothing_and_moves_little(found: list[tuple[float, float]], least: float) -> None:
    """Cells stand side by side, none too narrow to be seen; each mark is in one, and long ones are where they were."""
    stay = Stay(state="active", from_s=0, until_s=1)
    marks = [Mark(begin, begin + length, "happy", 1, stay) for begin, length in sorted(found)]
    scale = Scale(from_s=0, until_s=100, left=10, right=110)
    cells = cells_of(marks, scale, least=least, widest=20)
    assert sum(cell.marks for cell in cells) == len(marks)
    assert sum(cell.count for cell in cells) == len(marks)
    for before, after in itertools.pairwise(cells):
        assert before.right <= after.left + 1e-9
    for cell in cells:
        assert cell.right - cell.left >= least * 0.99
        assert abs(cell.left - scale.at(cell.from_s)) <= 2 * least + 1e-9
        if not cell.narrow:
            assert abs(cell.right - scale.at(cell.until_s)) <= 2 * least + 1e-9
        assert not cell.narrow or cell.right - cell.left <= 20 + 2 * least


def test_marks_side_by_side_stay_apart() -> None:
    """Polls in a row, each long enough to be seen, are not gathered, though each begins where the last one ended."""
    stay = Stay(state="active", from_s=0, until_s=1)
    marks = [Mark(at, at + 1, "happy", 1, stay) for at in range(100)]
    scale = Scale(from_s=0, until_s=100, left=0, right=400)
    assert len(cells_of(marks, scale, least=3, widest=40)) == 100
    assert len(cells_of(marks, scale, least=5, widest=40)) < 20
