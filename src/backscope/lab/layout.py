"""What the figures of the lab book share: which runs, panels and colours, lines of theory, axes and legends."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from backscope.analysis.drawing import panels
from backscope.analysis.frames import ordered, short
from backscope.config import Config
from backscope.config.schema import Choice
from backscope.lab.matching import matching
from backscope.lab.predictions import predict_one
from backscope.lab.runs import Array, Missing, Run
from backscope.probes import PROBES

POINTS = 200
SYMBOLS = {
    "init.sigma_w2": r"$\sigma_w^2$", "init.sigma_b2": r"$\sigma_b^2$",
    "model.depth": "hidden layers L", "model.width": "width n",
    "optimizer.lr": "learning rate", "training.batch_size": "batch size B",
}  # fmt: skip
THEORY: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 0.9, "zorder": 4}
TICKS = 9  # swept values that are labelled one by one


def symbol(key: str) -> str:
    """How a choice is written on an axis.

    >>> symbol("model.width"), symbol("activation.name")
    ('width n', 'activation')
    """
    return SYMBOLS.get(key, short(key))


def title_of(quantity: str) -> str:
    """How a quantity is written on an axis."""
    return PROBES[quantity].title if quantity in PROBES else quantity.replace("/", " ").replace("_", " ")


def chosen(runs: Sequence[Run], where: Mapping[str, Any] | None) -> list[Run]:
    """The runs that a figure is about.

    Raises Missing if there are none.
    """
    found = matching(runs, where or {}) if runs else []
    if not found:
        raise Missing("missing runs")
    return found


def levels(runs: Sequence[Run], key: str | None) -> list[Any]:
    """The values of a swept choice; [None] without one."""
    return ordered(run.choices.get(key) for run in runs) if key else [None]


def has(run: Run, key: str | None, level: Any) -> bool:
    """Whether a run is on this level of a swept choice."""
    return key is None or run.choices.get(key) == level


def changed(config: Config, key: str, value: Any) -> Config:
    """The configuration with another value of one key."""
    head, _, name = key.partition(".")
    if not name:
        return replace(config, **{head: value})
    node: Any = getattr(config, head)
    group: Any = Choice({**node, name: value}) if isinstance(node, dict) else replace(node, **{name: value})
    return replace(config, **{head: group})


def between(config: Config, key: str, values: Sequence[Any], node: Any, log: bool) -> tuple[Array, Array]:
    """A prediction at many values of a swept number, from the smallest to the largest of those that were run."""
    spaced = np.geomspace if log else np.linspace
    x = spaced(min(values), max(values), POINTS)
    if all(isinstance(value, int) for value in values):
        x = np.unique(x.round().astype(int))
    return x, np.array([_predicted(changed(config, key, each.item()), node) for each in x])


def _predicted(config: Config, node: Any) -> float:
    """A prediction; NaN, a gap in the line, where theory has none."""
    try:
        return predict_one(config, node)
    except ValueError:
        return np.nan


def edges(values: Sequence[float], log: bool) -> Array:
    """Borders of the cells around values, halfway between neighbours.

    >>> edges([1, 2, 4], log=False)
    array([0.5, 1.5, 3. , 5. ])
    """
    at = np.log(values) if log else np.asarray(values, dtype=float)
    middle = (at[1:] + at[:-1]) / 2
    ends = (
        [at[0] - (middle[0] - at[0]), *middle, at[-1] + (at[-1] - middle[-1])]
        if len(at) > 1
        else [at[0] - 0.5, at[0] + 0.5]
    )
    return np.exp(ends) if log else np.array(ends)


@contextmanager
def grid(columns: Sequence[Any], title: str, entries: int) -> Iterator[tuple[Figure, Array]]:
    """A row of panels, or one larger picture, with room for so many entries of a legend."""
    width, height = (2.0, 1.9) if len(columns) > 1 else (3.3, 2.3)
    rows = -(-entries // per_row(len(columns)))
    with panels(width, height, 1, len(columns), left=0.8, bottom=0.45 + 0.18 * rows, top=0.5 if title else 0.25) as (
        figure,
        axes,
    ):
        yield figure, axes
        if title:
            figure.suptitle(title, fontsize=8.5)


def per_row(columns: int) -> int:
    """Entries of a legend beside each other."""
    return 3 if columns == 1 else 2 * columns + 1


def heading(key: str | None, level: Any) -> str:
    """The title of a panel, or an entry of a legend.

    >>> heading("model.depth", 3), heading("init.name", "he"), heading("training.clip_norm", None)
    ('L = 3', 'he', 'clip_norm None')
    """
    if key is None or isinstance(level, str):
        return level or ""
    number = isinstance(level, int | float) and not isinstance(level, bool)
    return f"{symbol(key).split()[-1]} = {level}" if number else f"{symbol(key)} {level}"


def legend(figure: Figure, columns: Sequence[Any], handles: Sequence[Line2D]) -> None:
    """What colours and dashes mean, under the panels."""
    if handles:
        figure.legend(handles=handles, loc="lower center", ncols=min(len(handles), per_row(len(columns))))


def entries(key: str | None, colors: Mapping[Any, Any], theory: Any = None, mark: str = "") -> list[Line2D]:
    """The entries of a legend: colours of a swept choice, theory, and a mark."""
    handles = [
        Line2D([], [], color=shade, marker="o", label=heading(key, level)) for level, shade in colors.items() if key
    ]
    handles += [Line2D([], [], color="black", linestyle="--", linewidth=0.9, label="theory")] if theory else []
    handles += [Line2D([], [], color="black", linestyle=":", linewidth=0.9, label=mark)] if mark else []
    return handles


def label_values(axis: Axis, values: Sequence[float]) -> None:
    """Ticks at these values and nowhere else."""
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.set_ticks([], minor=True)
