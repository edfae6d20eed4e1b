"""The figures of README.md, from what was measured."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from backscope.analysis.drawing import OKABE_ITO, canvas, render

SHOWN = {  # contenders in the figure of the step, with every layer's norm where they can
    "floor": ("#000000", "|"),
    "backscope": (OKABE_ITO[0], "o"),
    "PyTorch eager": (OKABE_ITO[1], "s"),
    "torch.compile": (OKABE_ITO[4], "D"),
    "JAX jit": (OKABE_ITO[2], "^"),
    "JAX scan": (OKABE_ITO[5], "v"),
    "scikit-learn, no norms": (OKABE_ITO[3], "x"),
}
TITLES = {
    "model.depth": "depth",
    "model.width": "width",
    "training.batch_size": "batch",
    "training.steps": "steps",
    "replicas": "replicas",
    "runs": "runs of a sweep",
}


def step(results: dict, path: Path) -> None:
    """Times over backscope's, a row a case."""
    with canvas(6.4, 0.8 + 0.28 * len(results)) as (figure, [[axes]]):
        rows = range(len(results), 0, -1)
        for label, (color, marker) in SHOWN.items():
            points = [
                (result["over"]["backscope"][label], row)
                for row, result in zip(rows, results.values(), strict=True)
                if label in result["over"]["backscope"]
            ]
            if points:
                style = {"markersize": 9 if marker == "|" else 4.5, "linestyle": "none", "color": color}
                axes.plot(*zip(*points, strict=True), marker=marker, label=label, **style)
        axes.set_xscale("log")
        ticks = [0.25, 0.5, 1, 2, 4, 8]
        axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
        axes.minorticks_off()
        axes.set_yticks(rows, results)
        axes.set_xlabel("time for a step, over backscope's")
        figure.legend(loc="outside upper center", ncols=4)
        path.write_bytes(render(figure, "svg"))


def sweep(results: dict, path: Path) -> None:
    """The parts of our time, in the order in which they come."""
    parts = results["parts"]
    with canvas(6.4, 0.6 + 0.2 * len(parts)) as (figure, [[axes]]):
        bars = axes.barh(range(len(parts)), parts.values(), color=OKABE_ITO[0], height=0.7)
        axes.bar_label(bars, [f"{seconds:.1f}" for seconds in parts.values()], padding=3, fontsize=7)
        axes.set_yticks(range(len(parts)), parts)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"seconds, {results['runs']} runs in one process")
        path.write_bytes(render(figure, "svg"))


def growth(results: dict, path: Path) -> None:
    """A panel an axis: seconds above, megabytes below."""
    with canvas(7.2, 3.4, 2, len(results)) as (figure, grid):
        for column, (axis, curve) in zip(grid.T, results.items(), strict=True):
            for axes, unit, color in zip(column, ("seconds", "megabytes"), OKABE_ITO, strict=False):
                panel(axes, curve, unit, color)
            column[1].set_xlabel(TITLES.get(axis, axis))
        grid[0, 0].set_ylabel("seconds")
        grid[1, 0].set_ylabel("megabytes")
        path.write_bytes(render(figure, "svg"))


def panel(axes: Axes, curve: dict, unit: str, color: str) -> None:
    axes.loglog(curve["values"], curve[unit], marker="o", markersize=3, color=color)
    axes.set_title(f"slope {curve['slope'][unit]:.2f}")
    ticks = curve["values"][:: 2 if len(curve["values"]) < 7 else 3]
    axes.set_xticks(ticks, [str(value) for value in ticks])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    axes.set_ylim(low / 2, high * 2)  # so that what hardly grows looks like it
