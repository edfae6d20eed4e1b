"""The figures of one run, drawn from its trace: medians over replicas with their interquartile range, theory dashed.

Layer 1, nearest the input, is at the left, so that backpropagation runs from right to left. A gradient that is exactly
0 has no logarithm: it stands in a row of its own at the bottom, and grey in a heat map.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from backscope.analysis.drawing import canvas, finish, heat, layer_axis, line, sequence
from backscope.analysis.frames import Cube, cube, spread
from backscope.probes import PROBES

GUIDE = 1e-3  # a healthy update moves a layer's weights by about a thousandth


def profile(
    trace: pd.DataFrame, quantity: str = "grad_norm", steps: Sequence[int] | None = None, title: str = ""
) -> Figure:
    """A quantity by layer at several steps (the nearest measured; four by default); theory's prediction is dashed."""
    with canvas(5.0, 2.8) as (figure, ((axes,),)):
        axes.set_title(_title(title, _profile(axes, trace, quantity, steps)))
    return figure


def overview(trace: pd.DataFrame, title: str = "") -> Figure:
    """What matters most: the loss over the steps, and the gradient norms by layer under theory's prediction."""
    with canvas(8.4, 2.9, columns=2) as (figure, ((left, right),)):
        measured = _curves(left, trace, "loss")
        if "grad_norm" in set(trace["quantity"]):
            _profile(right, trace, "grad_norm")
        else:
            right.set_axis_off()
        figure.suptitle(_title(title, measured), fontsize=8.5)
    return figure


def _profile(axes: Axes, trace: pd.DataFrame, quantity: str, steps: Sequence[int] | None = None) -> Cube:
    """A quantity by layer on these axes; returns what was measured."""
    measured = cube(trace, quantity)
    asked = steps if steps is not None else _few(measured.steps)
    moments = list(dict.fromkeys(int(measured.at(step).steps[0]) for step in asked))
    predicted = trace[trace["quantity"] == f"theory/{quantity}"].sort_values("layer")
    for step, color in sequence(moments).items():
        middle = spread(measured.at(step).values[0], 0)
        line(axes, measured.layers, *middle, color=color, marker="o", label=f"step {step}")
    if len(predicted):
        layers, values = predicted["layer"].to_numpy(), predicted["value"].to_numpy()
        line(axes, layers, values, values, values, color="black", linestyle="--", label="theory, step 0")
    if PROBES[quantity].logarithmic:
        finish([axes])
    layer_axis(axes, measured.layers)
    axes.set(xlabel="layer (1 = nearest the input)", ylabel=PROBES[quantity].title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return measured


def heatmap(trace: pd.DataFrame, quantity: str = "grad_norm", title: str = "") -> Figure:
    """A quantity over layers and measured steps, median over replicas."""
    measured = cube(trace, quantity)
    with canvas(4.2, 2.8) as (figure, ((axes,),)):
        heat(
            axes,
            spread(measured.values, 1)[1],
            logarithmic=PROBES[quantity].logarithmic,
            label=PROBES[quantity].title,
        )
        _cells(axes.xaxis, measured.layers, 12)
        _cells(axes.yaxis, measured.steps, 10)
        axes.set(xlabel="layer (1 = nearest the input)", ylabel="step", title=_title(title, measured))
    return figure


def curves(trace: pd.DataFrame, title: str = "") -> Figure:
    """Loss, and accuracy or R², over the steps, of training and test."""
    scores = [name for name in ("accuracy", "r2") if f"test/{name}" in set(trace["quantity"])]
    with canvas(6.4, 2.5, columns=1 + len(scores)) as (figure, (row,)):
        for axes, name in zip(row, ["loss", *scores], strict=True):
            _curves(axes, trace, name)
        figure.suptitle(title, fontsize=8.5)
    return figure


def _curves(axes: Axes, trace: pd.DataFrame, name: str) -> Cube:
    """A loss or a score of training and test over the steps on these axes; returns the last of them."""
    parts = [part for part in ("train", "test") if f"{part}/{name}" in set(trace["quantity"])]
    colors = sequence(["train", "test"])
    for part in parts:
        measured = cube(trace, f"{part}/{name}")
        low, middle, high = spread(measured.values[:, :, 0], 1)
        marker = "o" if len(measured.steps) < 30 else ""
        axes.plot(measured.steps, middle, color=colors[part], label=part, marker=marker)
        axes.fill_between(measured.steps, low, high, color=colors[part], alpha=0.2, linewidth=0)
    axes.set(xlabel="step", ylabel={"r2": "R²"}.get(name, name))
    axes.set_ylim((0, 1) if name == "accuracy" else None)
    axes.legend()
    return measured


def distinct_neurons(trace: pd.DataFrame, width: int, title: str = "") -> Figure:
    """How many neurons of each hidden layer differ, at the first and the last step; 1 is unbroken symmetry."""
    measured = cube(trace, "distinct_neurons")
    hidden = slice(0, len(measured.layers) - 1)
    ends = sequence(list(dict.fromkeys(int(step) for step in measured.steps[[0, -1]])))
    with canvas(4.2, 2.5) as (figure, ((axes,),)):
        for (step, color), (marker, size) in zip(ends.items(), (("s", 6), ("o", 3)), strict=False):
            low, middle, high = (each[hidden] for each in spread(measured.at(step).values[0], 0))
            axes.plot(
                measured.layers[hidden],
                middle,
                color=color,
                marker=marker,
                markersize=size,
                fillstyle="none",
                label=f"step {step}",
            )
            axes.fill_between(measured.layers[hidden], low, high, color=color, alpha=0.2, linewidth=0)
        for level, text in ((1, "1: symmetric"), (width, f"width {width}")):
            axes.axhline(level, color="#888888", linestyle="--", linewidth=0.8, zorder=1)
            axes.text(1.01, level, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7, color="#555555")
        axes.set_yscale("log", base=2)
        axes.set_ylim(0.8, width * 1.6)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        layer_axis(axes, measured.layers[hidden])
        axes.set(xlabel="hidden layer", ylabel="distinct neurons", title=_title(title, measured))
        axes.legend()
    return figure


def update_ratio(trace: pd.DataFrame, title: str = "") -> Figure:
    """log₁₀ of ‖ΔW‖/‖W‖ over the steps, a line a layer, with the guide at −3."""
    measured = cube(trace, "update_ratio")
    with canvas(4.2, 2.6) as (figure, ((axes,),)):
        middle = spread(measured.values, 1)[1]
        colors = sequence([int(layer) for layer in measured.layers])
        for series, (layer, color) in zip(middle.T, colors.items(), strict=True):
            label = f"layer {layer}" if layer in (measured.layers[0], measured.layers[-1]) else None
            line(axes, measured.steps + 1, series, series, series, color=color, label=label)
        ends, guide = measured.steps[[0, -1]] + 1, np.full(2, GUIDE)
        line(axes, ends, guide, guide, guide, color="black", linestyle="--", label="10⁻³")
        finish([axes])
        axes.set_xscale("log")
        axes.set(xlabel="step + 1", ylabel=PROBES["update_ratio"].title, title=_title(title, measured))
        axes.legend(ncols=3)
    return figure


def run_figures(trace: pd.DataFrame, width: int, title: str = "") -> dict[str, Figure]:
    """Every figure for which the trace has what it needs, by name."""
    known = set(trace["quantity"])
    figures = {
        "gradient_profile": lambda: profile(trace, title=title),
        "gradient_heatmap": lambda: heatmap(trace, title=title),
        "distinct_neurons": lambda: distinct_neurons(trace, width, title),
        "update_ratio": lambda: update_ratio(trace, title),
        "curves": lambda: curves(trace, title),
    }
    needs = {"gradient_profile": "grad_norm", "gradient_heatmap": "grad_norm", "curves": "train/loss"}
    return {name: draw() for name, draw in figures.items() if needs.get(name, name) in known}


def _few(steps: np.ndarray) -> list[int]:
    """The first, the last, and two in between."""
    return [int(step) for step in steps[np.unique(np.linspace(0, len(steps) - 1, 4).round().astype(int))]]


def _title(title: str, measured: Cube) -> str:
    replicas = measured.values.shape[1]
    return "\n".join(filter(None, (title, f"median and quartiles of {replicas} replicas" if replicas > 1 else "")))


def _cells(axis: Axis, labels: np.ndarray, most: int) -> None:
    """Label at most so many of the cells along an axis, the first and the last among them."""
    shown = np.unique(np.linspace(0, len(labels) - 1, min(most, len(labels))).round().astype(int))
    axis.set_ticks(shown + 0.5, [str(labels[index]) for index in shown])
