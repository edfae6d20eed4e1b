"""The figures of a sweep: its verdicts at a glance, and every run's curves in a grid over what was swept.

What varies between the runs is laid out over rows, columns, colours and line styles by `layout`: names first in
rows and columns, numbers in colours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from backscope.analysis.diagnosis import VERDICTS
from backscope.analysis.drawing import STYLES, annotate, canvas, finish, heat, line, panels, sequence
from backscope.analysis.frames import Cube, cube, ordered, short, spread, table, varying
from backscope.probes import PROBES

COLORS = dict(zip(VERDICTS, ("#009E73", "#000000", "#CC79A7", "#999999", "#D55E00", "#56B4E9", "#E69F00"), strict=True))
MIXED = "#ffffff"
DECADES = 1e3

Traces = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Layout:
    """Which swept choices stand in rows, columns, colours and line styles of a grid; None where nothing is left."""

    row: str | None = None
    column: str | None = None
    color: str | None = None
    style: str | None = None

    def axes(self) -> list[str]:
        """The choices that are laid out."""
        return [each for each in (self.row, self.column, self.color, self.style) if each]


def layout(runs: pd.DataFrame) -> Layout:
    """The layout of a sweep: names in rows and columns, numbers in colours, what is left in line styles.

    >>> layout(pd.DataFrame({"init.name": ["he", "zeros"], "model.depth": [2, 8], "optimizer.name": ["sgd", "adam"]}))
    Layout(row='init.name', column='optimizer.name', color='model.depth', style=None)
    """
    axes = varying(runs)
    numbers = [axis for axis in axes if pd.api.types.is_numeric_dtype(runs[axis])]
    names = [axis for axis in axes if axis not in numbers]
    places = (
        ("color", "column", "row", "style"),
        ("column", "color", "row", "style"),
        ("row", "column", "color", "style"),
    )
    used = [*names[:2], *numbers[:1], *names[2:], *numbers[1:]]
    return Layout(**dict(zip(places[min(len(names), 2)], used, strict=False)))


def verdict_grid(runs: pd.DataFrame) -> Figure:
    """A cell a configuration, coloured and labelled by its verdict; white where configurations in a cell disagree."""
    place = layout(runs)
    row, *columns = [axis for axis in (place.row, place.column, place.color) if axis]
    levels = ordered(runs[place.style]) if place.style else [None]
    tables = [
        table(runs[runs[place.style] == level] if place.style else runs, [row], columns, "verdict") for level in levels
    ]
    height, width = tables[0].shape
    with panels(0.62 * width, 0.24 * height + 0.1, len(levels), 1, left=1.0, bottom=0.6, top=0.15) as (figure, grid):
        for axes, cells, level in zip(grid[:, 0], tables, levels, strict=True):
            _verdicts(axes, cells)
            axes.set_ylabel(f"{short(row)} ({short(place.style)} {level})" if place.style else short(row))
        grid[-1, 0].set_xlabel(" × ".join(short(each) for each in reversed(columns)))
    return figure


def _verdicts(axes: Axes, cells: pd.DataFrame) -> None:
    """One panel: the first row of the table at the top."""
    words = cells.to_numpy(dtype=object)[::-1]
    code = np.vectorize(lambda word: VERDICTS.index(word) if word in VERDICTS else len(VERDICTS))(words)
    axes.pcolormesh(
        code,
        cmap=ListedColormap([*COLORS.values(), MIXED]),
        vmin=-0.5,
        vmax=len(VERDICTS) + 0.5,
        edgecolors="white",
        linewidth=1,
    )
    annotate(axes, code.astype(float), np.where(pd.isna(words), "", words).astype(str))
    axes.grid(False)
    axes.set_yticks(np.arange(len(words)) + 0.5, [str(label) for label in cells.index[::-1]])
    groups = [each[0] if isinstance(each, tuple) else "" for each in cells.columns]
    middles = {groups.index(group) + groups.count(group) // 2: group for group in groups}
    labels = [
        f"{each[-1] if isinstance(each, tuple) else each}\n{middles.get(index, '')}"
        for index, each in enumerate(cells.columns)
    ]
    axes.set_xticks(np.arange(len(labels)) + 0.5, labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def profile_grid(runs: pd.DataFrame, traces: Traces, quantity: str = "grad_norm", step: int = 0) -> Figure:
    """Small multiples of a quantity by layer at a step (nearest measured)."""

    def draw(axes: Axes, measured: Cube, color: Any, style: Any) -> None:
        line(axes, measured.layers, *spread(measured.at(step).values[0], 0), color=color, linestyle=style)

    probe = PROBES[quantity]
    return _grid(runs, traces, quantity, draw, f"{probe.title} at step {step}", "layer", probe.logarithmic)


def curve_grid(runs: pd.DataFrame, traces: Traces, quantity: str = "train/loss") -> Figure:
    """Small multiples of a scalar over the steps."""

    def draw(axes: Axes, measured: Cube, color: Any, style: Any) -> None:
        line(axes, measured.steps, *spread(measured.values[:, :, 0], 1), color=color, linestyle=style)

    return _grid(runs, traces, quantity, draw, quantity.replace("/", " "), "step", logarithmic=False)


def _grid(
    runs: pd.DataFrame,
    traces: Traces,
    quantity: str,
    draw: Callable[[Axes, Cube, Any, Any], None],
    title: str,
    x: str,
    logarithmic: bool,
) -> Figure:
    place = layout(runs)
    rows, columns, colors, styles = (
        ordered(runs[axis]) if axis else [None] for axis in (place.row, place.column, place.color, place.style)
    )
    palette = sequence(colors)
    dashes: dict[Any, Any] = dict(zip(styles, STYLES * len(styles), strict=False))
    with panels(1.65, 1.0, len(rows), len(columns), bottom=0.65) as (figure, grid):
        for run_id, run in zip(map(str, runs.index), runs.to_dict("records"), strict=True):
            at = [
                options.index(run[axis]) if axis else 0
                for axis, options in ((place.row, rows), (place.column, columns))
            ]
            color = palette[run[place.color] if place.color else None]
            if (traces[run_id]["quantity"] == quantity).any():
                draw(
                    grid[at[0], at[1]],
                    cube(traces[run_id], quantity),
                    color,
                    dashes[run[place.style] if place.style else None],
                )
        for axes, row in zip(grid, rows, strict=True):
            if logarithmic or _wide(axes):
                finish(axes)
            axes[0].set_ylabel("" if row is None else f"{row}", fontweight="bold")
        for axes, column in zip(grid[0], columns, strict=True):
            axes.set_title("" if column is None else str(column), fontweight="bold")
        for axes in grid[-1]:
            axes.set_xlabel(x)
        handles = [
            Line2D([], [], color=palette[each], label=f"{short(place.color)} {each}") for each in colors if place.color
        ]
        handles += [
            Line2D([], [], color="black", linestyle=dashes[each], label=str(each)) for each in styles if place.style
        ]
        if handles:
            figure.legend(handles=handles, loc="lower center", ncols=min(len(handles), 6))
        figure.suptitle(title, fontsize=8.5)
    return figure


def _wide(row: np.ndarray) -> bool:
    """Whether the values in a row of axes need a logarithm to be seen at all."""
    return any(axes.dataLim.y1 > DECADES * abs(axes.dataLim.y0) for axes in row if axes.has_data())


def sweep_heatmap(
    runs: pd.DataFrame,
    x: str,
    y: str,
    value: str,
    *,
    logarithmic: bool = False,
    curve: tuple[np.ndarray, np.ndarray] | None = None,
    title: str = "",
) -> Figure:
    """A number over two swept choices, the median of the runs of a cell, with a theory's curve over it, dashed.

    The curve is given in the units of both axes, which must then be numbers.
    """
    cells = table(runs, [y], [x], value)[ordered(runs[x])]
    values = cells.to_numpy(dtype=float)
    with canvas(1.6 + 0.42 * max(values.shape[1], 5), 0.9 + 0.3 * max(values.shape[0], 5)) as (
        figure,
        ((axes,),),
    ):
        heat(axes, values, logarithmic=logarithmic, label=value.removeprefix("summary/").replace("_", " "))
        if values.size <= 60:
            annotate(
                axes,
                values,
                np.array([["" if np.isnan(each) else f"{each:.2g}" for each in row] for row in values]),
            )
        axes.set_xticks(np.arange(values.shape[1]) + 0.5, [f"{each}" for each in cells.columns])
        axes.set_yticks(np.arange(values.shape[0]) + 0.5, [f"{each}" for each in cells.index])
        if curve is not None:
            cell = [
                np.interp(at, np.asarray(labels, float), np.arange(len(labels)) + 0.5, left=np.nan, right=np.nan)
                for at, labels in zip(curve, (cells.columns, cells.index), strict=True)
            ]
            axes.plot(*cell, "w--", linewidth=1.6)
        axes.set(xlabel=short(x), ylabel=short(y), title=title)
    return figure
