"""The figures of the lab book. Each function here is a kind that claims.yaml can ask for, with these parameters.

What is measured is drawn with its spread over replicas (median and quartiles), what theory predicts is dashed, and
computed between the swept values, too. `color` and `panels` name a swept choice; `where` chooses runs as in a claim.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from backscope.analysis.drawing import OKABE_ITO, SEQUENTIAL, canvas, finish, layer_axis, line, render, sequence
from backscope.analysis.frames import spread
from backscope.lab.layout import (
    POINTS,
    THEORY,
    TICKS,
    between,
    chosen,
    edges,
    entries,
    grid,
    has,
    heading,
    label_values,
    legend,
    levels,
    symbol,
    title_of,
)
from backscope.lab.measures import OF_RUN, Measured, number
from backscope.lab.measures.by_layer import log_squares
from backscope.lab.measures.learning import difference_errors
from backscope.lab.predictions import PREDICTIONS, predict_one
from backscope.lab.registry import Call, Registry
from backscope.lab.runs import Array, Layers, Missing, Run, Steps, select_layers
from backscope.probes import PROBES

FIGURES = Registry("figure")
KINDS = ("png", "svg")
OUTLINE = [Stroke(linewidth=3.2, foreground="black"), Normal()]


def parse(nodes: Mapping[str, Any]) -> dict[str, Call]:
    """The figures that a claims.yaml asks for.

    Raises LabError for a kind or a parameter that does not exist.
    """
    return {name: FIGURES.call(node) for name, node in nodes.items()}


def draw(calls: Mapping[str, Call], runs: Sequence[Run]) -> dict[str, bytes]:
    """Every figure as PNG and SVG, by file name; without those for which runs are missing."""
    files: dict[str, bytes] = {}
    for name, call in calls.items():
        try:
            figure = call(runs)
        except Missing as missing:
            print(f"figure {name}: not drawn: {missing}")
            continue
        files |= {f"{name}.{kind}": render(figure, kind) for kind in KINDS}
    return files


@FIGURES
def profile(
    runs: Sequence[Run], quantity: str, layers: Layers = "hidden", steps: Steps = "first", color: str | None = None,
    panels: str | None = None, where: Any = None, moments: list[int] | None = None, rate: Any = None,
    towards: str = "input", theory: Any = None, title: str = "",
) -> Figure:  # fmt: skip
    """A quantity by layer, layer 1 at the left: at several `moments` (steps), or at `steps` in the colours of `color`.

    Theory, dashed: `theory: true` is what was predicted for each run's initialization, `theory` may name a prediction
    of each of these layers, or `rate` one of the factor by which a layer multiplies the mean square, drawn through the
    measurement where the way (`towards` input or output) begins.
    """
    found = chosen(runs, where)
    columns, colors = levels(found, panels), sequence(moments or levels(found, color))
    handles = entries("step" if moments else color, colors, rate or theory)
    with grid(columns, title, len(handles)) as (figure, (row,)):
        for axes, column in zip(row, columns, strict=True):
            for run in (run for run in found if has(run, panels, column)):
                for moment in moments or (steps,):
                    shade = colors[moment if moments else run.choices.get(color) if color else None]
                    values = run.get(quantity, layers, moment)
                    middle = spread(values.values.mean(axis=0), 0)
                    line(axes, values.layers, *middle, color=shade, marker="o" if len(values.layers) <= 40 else "")
                    if rate or theory:
                        y = _theory(run, quantity, layers, middle[1], rate, towards, theory)
                        line(axes, values.layers, y, y, y, **THEORY)
            layer_axis(axes, np.array(select_layers(layers, max(run.config.model.depth for run in found))))
            axes.set(xlabel="layer (1 = nearest the input)", title=heading(panels, column))
        _finish(row, title_of(quantity), quantity in PROBES and not PROBES[quantity].logarithmic)
        legend(figure, columns, handles)
    return figure


def _theory(run: Run, quantity: str, layers: Layers, measured: Array, rate: Any, towards: str, theory: Any) -> Array:
    if theory is True:
        return run.predicted(quantity, layers)
    if theory:
        return np.broadcast_to(np.asarray(PREDICTIONS.call(theory)(run.config), dtype=float), measured.shape)
    away, factor = np.arange(len(measured)), np.sqrt(predict_one(run.config, rate))
    return measured[-1] * factor ** away[::-1] if towards == "input" else measured[0] * factor**away


@FIGURES
def curves(
    runs: Sequence[Run], quantity: str, color: str | None = None, panels: str | None = None, where: Any = None,
    theory: Any = None, logarithmic: bool = False, layers: Layers = "all", title: str = "",
) -> Figure:  # fmt: skip
    """A quantity over the steps (the mean over `layers`), with a prediction as a dashed line across."""
    found = chosen(runs, where)
    columns, colors = levels(found, panels), sequence(levels(found, color))
    handles = entries(color, colors, theory)
    with grid(columns, title, len(handles)) as (figure, (row,)):
        for axes, column in zip(row, columns, strict=True):
            for run in (run for run in found if has(run, panels, column)):
                values = run.get(quantity, layers)
                shade = colors[run.choices.get(color) if color else None]
                middle = spread(values.values.mean(axis=2), 1)
                if logarithmic:
                    line(axes, values.steps, *middle, color=shade)
                else:
                    axes.plot(values.steps, middle[1], color=shade)
                    axes.fill_between(values.steps, middle[0], middle[2], color=shade, alpha=0.2, linewidth=0)
                if theory:
                    axes.axhline(predict_one(run.config, theory), **THEORY)
            axes.set(xlabel="step", title=heading(panels, column))
        _finish(row, title_of(quantity), not logarithmic)
        legend(figure, columns, handles)
    return figure


@FIGURES
def against(
    runs: Sequence[Run], key: str, of: Any, label: str = "", color: str | None = None, panels: str | None = None,
    where: Any = None, predict: Any = None, log_x: bool = False, log_y: bool = False, mark: Any = None,
    mark_label: str = "", level: float | None = None, title: str = "",
) -> Figure:  # fmt: skip
    """A measure against a swept number (`key`), with error bars where it is a mean over replicas, and theory's line.

    `mark` is a prediction of a value of `key`, drawn as a dotted vertical line; `level` a horizontal one.
    """
    found = chosen(runs, where)
    columns, colors = levels(found, panels), sequence(levels(found, color))
    handles = entries(color, colors, predict, mark_label)
    with grid(columns, title, len(handles)) as (figure, (row,)):
        for axes, column in zip(row, columns, strict=True):
            for shade_level, shade in colors.items():
                group = [run for run in found if has(run, panels, column) and has(run, color, shade_level)]
                if group:
                    _points(axes, group, key, of, shade, predict, log_x)
                    if mark:
                        axes.axvline(predict_one(group[0].config, mark), color=shade, linestyle=":", linewidth=1.0)
            if level is not None:
                axes.axhline(level, color="#888888", linewidth=0.7)
            axes.set(xlabel=symbol(key), title=heading(panels, column))
            axes.set_xscale("log" if log_x else "linear")
            axes.set_yscale("log" if log_y else "linear")
            if len(levels(found, key)) <= TICKS:
                label_values(axes.xaxis, levels(found, key))
        row[0].set_ylabel(label or next(iter(of)).replace("_", " "))
        legend(figure, columns, handles)
    return figure


def _points(axes: Axes, group: list[Run], key: str, of: Any, shade: Any, predict: Any, log: bool) -> None:
    group = sorted(group, key=lambda run: run.choices[key])
    x, measured = [run.choices[key] for run in group], [OF_RUN.call(of)(run) for run in group]
    pairs = [(m.value, m.standard_error) if isinstance(m, Measured) else (m, np.nan) for m in measured]
    y, error = np.array(pairs, dtype=float).T
    axes.errorbar(
        x,
        y,
        np.nan_to_num(error),
        color=shade,
        marker="o",
        linestyle="none" if predict else "-",
        capsize=1.5,
        markersize=3.5,
    )
    if predict:
        axes.plot(*between(group[0].config, key, x, predict, log), **THEORY)


@FIGURES
def histogram(
    runs: Sequence[Run], quantity: str, layers: list[int], towards: str = "output", steps: Steps = "first",
    label: str = "", panels: str | None = None, where: Any = None, mean: Any = None, variance: Any = None,
    title: str = "",
) -> Figure:  # fmt: skip
    """The distribution over replicas of log(x²/x₀²) on the way over `layers`, with theory's normal law."""
    found = chosen(runs, where)
    columns, handles = levels(found, panels), entries(None, {}, theory=mean)
    with grid(columns, title, len(handles)) as (figure, (row,)):
        for axes, column in zip(row, columns, strict=True):
            for run in (run for run in found if has(run, panels, column)):
                axes.hist(log_squares(run, quantity, layers, towards, steps), bins=40, density=True, color=OKABE_ITO[5])
                center, deviation = predict_one(run.config, mean), np.sqrt(predict_one(run.config, variance))
                z = np.linspace(-4, 4, POINTS)
                axes.plot(center + deviation * z, np.exp(-(z**2) / 2) / deviation / np.sqrt(2 * np.pi), **THEORY)
            axes.set(xlabel=label, title=heading(panels, column))
        row[0].set_ylabel("density")
        legend(figure, columns, handles)
    return figure


@FIGURES
def heatmap(
    runs: Sequence[Run], x: str, y: str, of: Any, label: str = "", where: Any = None, log_x: bool = False,
    log_y: bool = False, curve: Any = None, curve_label: str = "theory", mark: Any = None, mark_label: str = "",
    limits: list[float] | None = None, title: str = "",
) -> Figure:  # fmt: skip
    """A measure over two swept numbers, each cell where its values are.

    `curve` is a prediction of y at each x, dashed; `mark` a prediction of a value of x, a dotted vertical line.
    """
    found = chosen(runs, where)
    columns, rows = levels(found, x), levels(found, y)
    cells = np.full((len(rows), len(columns)), np.nan)
    for run in found:
        cells[rows.index(run.choices[y]), columns.index(run.choices[x])] = number(run, of)
    with canvas(4.4, 3.3) as (figure, ((axes,),)):
        low, high = limits or (None, None)
        edges_x, edges_y = edges(columns, log_x), edges(rows, log_y)
        mesh = axes.pcolormesh(edges_x, edges_y, cells, cmap=SEQUENTIAL, vmin=low, vmax=high, rasterized=True,
                               edgecolors="white", linewidth=0.3)  # fmt: skip
        figure.colorbar(mesh, ax=axes, label=label or next(iter(of)), pad=0.02)
        lines = []
        if curve:
            at = between(found[0].config, x, edges_x[[0, -1]].tolist(), curve, log_x)
            lines += axes.plot(*at, "w--", linewidth=1.8, path_effects=OUTLINE, label=curve_label)
        if mark:
            lines += [axes.axvline(predict_one(found[0].config, mark), color="white", linestyle=":", linewidth=1.8,
                                   path_effects=OUTLINE, label=mark_label)]  # fmt: skip
        axes.set_xscale("log" if log_x else "linear")
        axes.set_yscale("log" if log_y else "linear")
        axes.set(xlabel=symbol(x), ylabel=symbol(y), xlim=edges_x[[0, -1]], ylim=edges_y[[0, -1]])
        label_values(axes.xaxis, columns)
        label_values(axes.yaxis, rows)
        axes.grid(False)
        if lines:
            figure.legend(handles=lines, loc="outside upper right", ncols=2, handlelength=3)
        if title:
            axes.set_title(title)
    return figure


def _finish(row: Sequence[Axes], label: str, linear: bool) -> None:
    if not linear:
        finish(row)
    row[0].set_ylabel(label)


@FIGURES
def step_sizes(
    runs: Sequence[Run], color: str | None = None, panels: str | None = None, where: Any = None, title: str = ""
) -> Figure:
    """The relative error of central differences against their step size h."""
    found = chosen(runs, where)
    columns, colors = levels(found, panels), sequence(levels(found, color))
    handles = entries(color, colors)
    with grid(columns, title, len(handles)) as (figure, (row,)):
        for axes, column in zip(row, columns, strict=True):
            for run in (run for run in found if has(run, panels, column)):
                errors = difference_errors(run)
                shade = colors[run.choices.get(color) if color else None]
                axes.loglog(list(errors), list(errors.values()), color=shade, marker="o", markersize=3.5)
            axes.set(xlabel="step size h", title=heading(panels, column))
        row[0].set_ylabel("relative error of central differences")
        legend(figure, columns, handles)
    return figure
