"""The small multiples of the report: which panels there are, which lines in each, and their points.

Norms are drawn by their logarithm, so that a gradient of exactly 0 has no place on the axis: it stands in a row of its
own at the bottom.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from backscope.analysis.report.configurations import Configuration, Curve, full
from backscope.analysis.report.study import Axis, text

MOMENTS = ("at initialization", "at the last step")
MOST = {"row": 8, "column": 6, "color": 8, "style": 4}  # values that are drawn, evenly chosen where there are more
FEW = 12  # panels of a search
Line = tuple[str, bool, Curve]  # the moment, whether theory predicted it, and the points
NOT_NAMES = ("null", "True", "False", "true", "false", "none")
WIDE = 1e3  # a loss that varies by more needs a logarithm
PLACES = (("color", "column", "row", "style"), ("column", "color", "row", "style"), ("row", "column", "color", "style"))


class Scale(NamedTuple):
    """The axes of a row of panels: their ends, the height of exact zeros where there are any, and if by logarithm."""

    across: tuple[int, int]
    bottom: float
    top: float
    zero: float | None
    logarithmic: bool


class Drawn(NamedTuple):
    """The lines of all panels by configuration, and the axes on which they stand by row."""

    axes: dict[int, Scale]
    lines: dict[int, list[dict[str, Any]]]


@dataclass(frozen=True)
class Panels:
    """Panels, each a title with its configurations, and the axes that have rows, colours and line styles."""

    panels: list[tuple[str, list[int]]]
    rows: list[int]  # of each panel: those of a row share an axis
    row: int | None
    color: int | None
    style: int | None
    kept: dict[int, list[int]]  # axis → the values that are drawn
    left_out: int  # configurations
    unplaced: list[int]  # axes that nothing tells apart

    @property
    def columns(self) -> int:
        """How many panels stand side by side on paper: a row of the layout, if it is a short one."""
        count = max(map(self.rows.count, self.rows), default=0)
        return count if count in (2, 3) else 3

    @property
    def colors(self) -> int:
        """How many colours there are."""
        return 1 if self.color is None else len(self.kept[self.color])

    def look(self, point: Sequence[int]) -> tuple[int, int]:
        """The number of a configuration's colour and of its line style."""
        color, style = (0 if axis is None else self.kept[axis].index(point[axis]) for axis in (self.color, self.style))
        return color, style


def panels(axes: Sequence[Axis], found: Sequence[Configuration]) -> Panels:
    """The layout: names in rows and columns, numbers in colours, what is left in line styles.

    A panel a configuration where most combinations of choices are not there.
    """
    names = [i for i, axis in enumerate(axes) if not axis.numeric]
    numbers = [i for i, axis in enumerate(axes) if axis.numeric]
    used = [*names[:2], *numbers[:1], *names[2:], *numbers[1:]]
    if not full(axes, found):
        few = _few(len(found), FEW)
        drawn = [(_title(axes, found[index].at), [index]) for index in few]
        return Panels(drawn, [0] * len(few), None, None, None, {}, len(found) - len(few), [])
    place = dict(zip(PLACES[min(len(names), 2)], used, strict=False))
    most = MOST | {"column": MOST["column"] * (1 if "row" in place else 2)}
    kept = {axis: _few(len(axes[axis].values), most[role]) for role, axis in place.items()}
    facets = [place[role] for role in ("row", "column") if role in place]
    chosen: dict[tuple[int, ...], list[int]] = {}
    for index, each in enumerate(found):
        if all(each.at[axis] in values for axis, values in kept.items()):
            chosen.setdefault(tuple(each.at[axis] for axis in facets), []).append(index)
    drawn = [(_title([axes[each] for each in facets], point), chosen[point]) for point in sorted(chosen)]
    rows = [point[0] if "row" in place else 0 for point in sorted(chosen)]
    left_out = len(found) - sum(len(each) for _, each in drawn)
    roles = (place.get("row"), place.get("color"), place.get("style"))
    return Panels(drawn, rows, *roles, kept, left_out, used[len(place) :])


def profiles(laid: Panels, found: Sequence[Configuration]) -> Drawn | None:
    """Gradient norms by layer of every configuration that is drawn; None without any."""
    series: dict[int, list[Line]] = {}
    for index in (index for _, inside in laid.panels for index in inside):
        first, last, theory = found[index].profile(0), found[index].profile(-1), found[index].prediction()
        lines = [(MOMENTS[0], False, first), (MOMENTS[0], True, theory), (MOMENTS[1], False, last)]
        series[index] = [(moment, dashed, curve) for moment, dashed, curve in lines if curve is not None]
    return _drawn(laid, series, logarithmic=True)


def losses(laid: Panels, found: Sequence[Configuration]) -> Drawn | None:
    """The losses of the steps' batches, by their logarithm where they vary by a lot; None without any."""
    curves = {index: found[index].losses() for _, inside in laid.panels for index in inside}
    series = {index: [("", False, curve)] for index, curve in curves.items() if curve is not None}
    values = _finite([curve.middle for ((_, _, curve),) in series.values()])
    wide = len(values) and values.min() > 0 and values.max() > WIDE * values.min()
    return _drawn(laid, series, logarithmic=bool(wide))


def _drawn(laid: Panels, series: Mapping[int, Sequence[Line]], logarithmic: bool) -> Drawn | None:
    curves: dict[int, list[Curve]] = {}
    for row, (_, inside) in zip(laid.rows, laid.panels, strict=True):
        curves.setdefault(row, []).extend(curve for index in inside for *_, curve in series.get(index, ()))
    if not len(_finite([curve.middle for each in curves.values() for curve in each])):
        return None
    x = [int(curve.x[end]) for each in curves.values() for curve in each for end in (0, -1)]
    values = {row: _finite([edge for curve in each for edge in curve[1:]]) for row, each in curves.items()}
    axes = {row: _scale((min(x), max(x)), each, logarithmic) for row, each in values.items()}
    return Drawn(axes, {index: [_line(*line, logarithmic) for line in each] for index, each in series.items()})


def _scale(across: tuple[int, int], values: np.ndarray, logarithmic: bool) -> Scale:
    """Axes on which all these values have a place."""
    heights = np.log10(values[values > 0]) if logarithmic else values
    low, high = (float(heights.min()), float(heights.max())) if len(heights) else (-1.0, 0.0)
    margin = 0.04 * (high - low) or 0.5
    bottom, top = low - margin, high + margin
    if not logarithmic or (values != 0).all():
        return Scale(across, bottom, top, None, logarithmic)
    row = max(0.12 * (top - bottom), 0.4)
    return Scale(across, bottom - 1.6 * row, top, bottom - row, logarithmic)


def _line(moment: str, theory: bool, curve: Curve, logarithmic: bool) -> dict[str, Any]:
    """One line for the page: x, y, quartiles where they differ, where it is exactly 0, and its ends in words."""
    known = np.flatnonzero(np.isfinite(curve.middle))
    tip = " … ".join(f"{curve.middle[i]:.2g} at {curve.x[i]}" for i in known[[0, -1][: len(known)]])
    entry = {"moment": moment, "theory": theory, "x": curve.x.tolist(), "tip": tip}
    entry["y"] = _heights(curve.middle, logarithmic)
    if (curve.high > curve.low).any():
        entry |= {"low": _heights(curve.low, logarithmic), "high": _heights(curve.high, logarithmic)}
    if logarithmic and (curve.middle == 0).any():
        entry["zeros"] = curve.x[curve.middle == 0].tolist()
    return entry


def _finite(parts: Sequence[np.ndarray]) -> np.ndarray:
    values = np.concatenate([*parts, np.empty(0)])
    return values[np.isfinite(values)]


def _heights(values: np.ndarray, logarithmic: bool) -> list[float | None]:
    """Rounded, for JSON; None for what is not finite, or is 0 on a logarithmic axis."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = np.log10(values) if logarithmic else values
    return [float(f"{value:.4g}") if math.isfinite(value) else None for value in shown]


def _title(axes: Sequence[Axis], point: Sequence[int]) -> str:
    """Values of choices; with the choice's name where a value is no name itself."""
    chosen = [(axis.label, text(axis.values[at])) for axis, at in zip(axes, point, strict=True)]
    plain = [value.isidentifier() and value not in NOT_NAMES for _, value in chosen]
    return " · ".join(value if bare else f"{label} {value}" for (label, value), bare in zip(chosen, plain, strict=True))


def _few(count: int, most: int) -> list[int]:
    """At most so many indices, evenly spaced, the first and the last among them.

    >>> _few(3, 8), _few(9, 3)
    ([0, 1, 2], [0, 4, 8])
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()
