"""The figures of one run, drawn from its trace: medians over replicas with their interquartile range, theory dashed.

Layer 1, nearest the input, is at the left, so that backpropagation runs from right to left. A gradient that is exactly
0 has no logarithm: it stands in a row of its own at the bottom, and grey in a heat map. A figure is a row of panels of
fixed size, since to measure texts would take as long as to draw.
"""

from collections.abc import Callable, Sequence
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from backscope.analysis.drawing import STYLE, Picture, finish, heat, layer_axis, line, render, sequence
from backscope.analysis.frames import Cube, cube, spread
from backscope.probes import PROBES

GUIDE = 1e-3  # a healthy update moves a layer's weights by about a thousandth
WIDTH, HEIGHT, GAP = 2.7, 2.2, 1.65  # of panels and between them, in inches: a legend stands at the right of its panel
PARTS = {"train": "step's batch", "test": "test data"}  # whose loss is tracked
LEFT, BOTTOM, TOP = 0.7, 0.5, 0.35
Panel = Callable[[Axes, pd.DataFrame], Cube]


def overview(trace: pd.DataFrame, title: str = "") -> Figure:
    """What matters most: the loss over the steps, and the gradient norms by layer under theory's prediction."""
    return _row(trace, [("train/loss", losses), ("grad_norm", profile)], title)


def run_figures(trace: pd.DataFrame, width: int, title: str = "") -> dict[str, Figure]:
    """The figures of a run by name: its gradients, and its activations; empty where nothing was probed."""
    panels: dict[str, list[tuple[str, Panel]]] = {
        "gradients": [("grad_norm", profile), ("grad_norm", heatmap), ("update_ratio", update_ratio)],
        "activations": [
            ("activation_std", partial(profile, quantity="activation_std", logarithmic=True)),
            ("dead_units", blocked),
            ("distinct_neurons", partial(distinct_neurons, width=width)),
        ],
    }
    known = set(trace["quantity"])
    return {name: _row(trace, row, title) for name, row in panels.items() if known & set(dict(row))}


def run_files(trace: pd.DataFrame, width: int) -> dict[str, bytes]:
    """The figures of a run as it keeps them, by file name."""
    return {f"figures/{name}.png": render(figure) for name, figure in run_figures(trace, width).items()}


def _row(trace: pd.DataFrame, panels: Sequence[tuple[str, Panel]], title: str) -> Figure:
    """A figure of the panels whose quantity was measured."""
    known = set(trace["quantity"])
    shown = [panel for quantity, panel in panels if quantity in known]
    size = (LEFT + len(shown) * (WIDTH + GAP) - 0.45, BOTTOM + HEIGHT + TOP)
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):
        figure = Picture(size)
        FigureCanvasAgg(figure)
        for place, panel in enumerate(shown):
            left = (LEFT + place * (WIDTH + GAP)) / size[0]
            axes = figure.add_axes((left, BOTTOM / size[1], WIDTH / size[0], HEIGHT / size[1]))
            measured = panel(axes, trace)
        if shown:
            figure.suptitle(_title(title, measured), fontsize=8.5, x=LEFT / size[0], ha="left", y=1 - 0.08 / size[1])
    return figure


def profile(
    axes: Axes,
    trace: pd.DataFrame,
    quantity: str = "grad_norm",
    steps: Sequence[int] | None = None,
    logarithmic: bool | None = None,
) -> Cube:
    """A quantity by layer at several steps (the nearest measured; four by default), and theory's prediction dashed.

    The axis is logarithmic if the probe is, unless it is said. Returns what was measured, as every panel does.
    """
    measured = cube(trace, quantity)
    asked = steps if steps is not None else _few(measured.steps)
    moments = list(dict.fromkeys(int(measured.at(step).steps[0]) for step in asked))
    predicted = trace[trace["quantity"] == f"theory/{quantity}"].sort_values("layer")
    logarithmic = PROBES[quantity].logarithmic if logarithmic is None else logarithmic
    for step, color in sequence(moments).items():
        low, middle, high = spread(measured.at(step).values[0], 0)
        if logarithmic:
            line(axes, measured.layers, low, middle, high, color=color, marker="o", label=f"step {step}")
        else:
            axes.plot(measured.layers, middle, color=color, marker="o", label=f"step {step}")
            axes.fill_between(measured.layers, low, high, color=color, alpha=0.2, linewidth=0)
    if len(predicted):
        layers, values = predicted["layer"].to_numpy(), predicted["value"].to_numpy()
        line(axes, layers, values, values, values, color="black", linestyle="--", label="theory, step 0")
    if logarithmic:
        finish([axes])
    layer_axis(axes, measured.layers)
    axes.set(xlabel="layer (1 = nearest the input)", ylabel=PROBES[quantity].title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return measured


def blocked(axes: Axes, trace: pd.DataFrame) -> Cube:
    """What passes no gradient, by layer: the share of saturated activations, or of dead units where f has no limits."""
    measured = profile(axes, trace, "saturation" if "saturation" in set(trace["quantity"]) else "dead_units")
    axes.set_ylim(-0.03, 1.03)
    return measured


def heatmap(axes: Axes, trace: pd.DataFrame, quantity: str = "grad_norm") -> Cube:
    """A quantity over layers and measured steps, median over replicas."""
    measured, probe = cube(trace, quantity), PROBES[quantity]
    heat(axes, spread(measured.values, 1)[1], logarithmic=probe.logarithmic, label=probe.title)
    _cells(axes.xaxis, measured.layers, 8)
    _cells(axes.yaxis, measured.steps, 10)
    axes.set(xlabel="layer (1 = nearest the input)", ylabel="step")
    return measured


def losses(axes: Axes, trace: pd.DataFrame) -> Cube:
    """The loss of each step's batch and of the test data over the steps."""
    for part, color in sequence(PARTS).items():
        if f"{part}/loss" not in set(trace["quantity"]):
            continue
        measured = cube(trace, f"{part}/loss")
        low, middle, high = spread(measured.values[:, :, 0], 1)
        axes.plot(
            measured.steps, middle, color=color, label=PARTS[part], marker="o" if len(measured.steps) < 30 else ""
        )
        axes.fill_between(measured.steps, low, high, color=color, alpha=0.2, linewidth=0)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    return measured


def distinct_neurons(axes: Axes, trace: pd.DataFrame, width: int) -> Cube:
    """How many neurons of each hidden layer differ, at the first and the last step; 1 is unbroken symmetry."""
    measured = cube(trace, "distinct_neurons")
    hidden = slice(0, len(measured.layers) - 1)
    ends = sequence(list(dict.fromkeys(int(step) for step in measured.steps[[0, -1]])))
    for (step, color), (marker, size) in zip(ends.items(), (("s", 6), ("o", 3)), strict=False):
        low, middle, high = (each[hidden] for each in spread(measured.at(step).values[0], 0))
        look = {"color": color, "marker": marker, "markersize": size, "fillstyle": "none"}
        axes.plot(measured.layers[hidden], middle, label=f"step {step}", **look)
        axes.fill_between(measured.layers[hidden], low, high, color=color, alpha=0.2, linewidth=0)
    for level, text in ((1, "1: symmetric"), (width, f"width {width}")):
        axes.axhline(level, color="#888888", linestyle="--", linewidth=0.8, zorder=1)
        axes.text(1.01, level, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7, color="#555555")
    axes.set_yscale("log", base=2)
    axes.set_ylim(0.8, width * 1.6)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    layer_axis(axes, measured.layers[hidden])
    axes.set(xlabel="hidden layer", ylabel="distinct neurons")
    axes.legend()
    return measured


def update_ratio(axes: Axes, trace: pd.DataFrame) -> Cube:
    """log₁₀ of ‖ΔW‖/‖W‖ over the steps, a line a layer, with the guide at −3."""
    measured = cube(trace, "update_ratio")
    middle = spread(measured.values, 1)[1]
    colors = sequence([int(layer) for layer in measured.layers])
    for series, (layer, color) in zip(middle.T, colors.items(), strict=True):
        label = f"layer {layer}" if layer in (measured.layers[0], measured.layers[-1]) else None
        line(axes, measured.steps + 1, series, series, series, color=color, label=label)
    ends, guide = measured.steps[[0, -1]] + 1, np.full(2, GUIDE)
    line(axes, ends, guide, guide, guide, color="black", linestyle="--", label="10⁻³")
    finish([axes])
    axes.set_xscale("log")
    axes.set(xlabel="step + 1", ylabel=PROBES["update_ratio"].title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return measured


def _few(steps: np.ndarray) -> list[int]:
    """The first, the last, and two in between."""
    return [int(step) for step in steps[np.unique(np.linspace(0, len(steps) - 1, 4).round().astype(int))]]


def _title(title: str, measured: Cube) -> str:
    replicas = measured.values.shape[1]
    return " · ".join(filter(None, (title, f"median and quartiles of {replicas} replicas" if replicas > 1 else "")))


def _cells(axis: Axis, labels: np.ndarray, most: int) -> None:
    """Label at most so many of the cells along an axis, the first and the last among them."""
    shown = np.unique(np.linspace(0, len(labels) - 1, min(most, len(labels))).round().astype(int))
    axis.set_ticks(shown + 0.5, [str(labels[index]) for index in shown])
