"""How the configurations of a sweep stand in rows and columns: in the table of verdicts, and in heat maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from backscope.analysis.report.configurations import Configuration, full
from backscope.analysis.report.study import Axis, text

WIDE, WIDEST = 12, 60  # columns: of several choices, of a single one
TALLEST = 120  # rows


@dataclass(frozen=True)
class Grid:
    """Which axes go down and which across; a row and a column stand for a value of each."""

    axes: Sequence[Axis]
    down: list[int]
    across: list[int]
    rows: list[tuple[int, ...]]
    columns: list[tuple[int, ...]]
    cells: dict[tuple[int, int], int]  # (row, column) → configuration
    hidden: int  # rows that are too many

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a cell in pixels."""
        longest = max((len(name) for column in self.names[1] for name in column.split("\n")), default=0)
        return (14 if self.compact else max(46, 6 * longest + 6)), (22 if len(self.rows) <= 2 * WIDE else 14)

    @property
    def compact(self) -> bool:
        """Whether a cell has room for a sign only."""
        return len(self.columns) > WIDE

    def labels(self, places: Sequence[int], point: Sequence[int]) -> list[str]:
        """The values of a row or a column in words."""
        return [text(self.axes[place].values[at]) for place, at in zip(places, point, strict=True)]

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """Rows and columns by short and unique names."""
        rows = [" · ".join(self.labels(self.down, row)) for row in self.rows]
        return rows, ["\n".join(self.labels(self.across, column)) for column in self.columns]

    def spans(self, points: list[tuple[int, ...]], level: int) -> list[int]:
        """How many rows or columns, from each one on, share their values up to a level; 0 where it began before.

        This is what `rowspan` and `colspan` are.
        """
        starts = [i for i, point in enumerate(points) if i == 0 or point[: level + 1] != points[i - 1][: level + 1]]
        lengths = dict(zip(starts, np.diff([*starts, len(points)]).tolist(), strict=True))
        return [lengths.get(i, 0) for i in range(len(points))]


def grid(axes: Sequence[Axis], found: Sequence[Configuration]) -> Grid:
    """The last axes across, as many as fit, the others down; all of them down where most combinations are not there.

    Rows and columns in which there is nothing are left out.
    """
    across: list[int] = []
    for place in reversed(range(1, len(axes))) if full(axes, found) else ():
        if math.prod(len(axes[each].values) for each in (place, *across)) > (WIDE if across else WIDEST):
            break
        across.insert(0, place)
    down = [place for place in range(len(axes)) if place not in across]
    places = {(_pick(each.at, down), _pick(each.at, across)): index for index, each in enumerate(found)}
    all_rows, columns = (sorted({place[side] for place in places}) for side in (0, 1))
    rows = all_rows[:TALLEST]
    cells = {
        (i, j): places[row, column]
        for (i, row), (j, column) in product(enumerate(rows), enumerate(columns))
        if (row, column) in places
    }
    return Grid(axes, down, across, rows, columns, cells, len(all_rows) - len(rows))


def _pick(point: Sequence[int], places: Sequence[int]) -> tuple[int, ...]:
    return tuple(point[place] for place in places)
