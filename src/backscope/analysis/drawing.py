"""What all figures share: their style, logarithmic axes that show an exact zero as what it is, and how they are saved.

Colours are Okabe & Ito's for categories and viridis for quantities: both survive colour blindness and grey print.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
STYLES = ("-", "--", ":", "-.")
SEQUENTIAL = mpl.colormaps["viridis"]
ZERO = "#c8c8c8"
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "lines.markersize": 2.5,
    "axes.prop_cycle": cycler(color=OKABE_ITO),
    "svg.fonttype": "none",
    "svg.hashsalt": "backscope",
    "savefig.dpi": 180,
    "figure.constrained_layout.use": True,
    "mathtext.fontset": "dejavusans",
}


class Picture(Figure):
    """A figure that a notebook shows as the value of a cell, whether or not pyplot is there."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return render(self), {"width": round(100 * self.get_figwidth())}


@contextmanager
def canvas(width: float, height: float, rows: int = 1, columns: int = 1) -> Iterator[tuple[Figure, np.ndarray]]:
    """A figure in our style and its axes (rows, columns); sizes in inches."""
    with mpl.rc_context(STYLE):
        figure = Picture((width, height))
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(rows, columns, squeeze=False)


@contextmanager
def panels(
    width: float,
    height: float,
    rows: int,
    columns: int,
    left: float = 0.75,
    bottom: float = 0.75,
    top: float = 0.5,
) -> Iterator[tuple[Figure, np.ndarray]]:
    """A grid of panels of that size, with margins, all in inches: fixed, since measuring texts takes half of drawing.

    Panels share the x axis, those of a row the y axis.
    """
    gap = 0.16
    size = (left + columns * (width + gap), bottom + top + rows * (height + gap))
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):
        figure = Picture(size)
        FigureCanvasAgg(figure)
        figure.subplots_adjust(
            left / size[0], bottom / size[1], 1 - gap / size[0], 1 - top / size[1], gap / width, gap / height
        )
        yield figure, figure.subplots(rows, columns, squeeze=False, sharex="all", sharey="row")


def render(figure: Figure, kind: str = "png") -> bytes:
    """The figure as a file's content, `png` or `svg`; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        if figure.get_layout_engine() is not None:
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once, not anew for each file
        figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return buffer.getvalue()


def sequence(values: Iterable[Any]) -> dict[Any, Any]:
    """A colour a value: viridis for many or for numbers, whose order it shows, Okabe & Ito for a few names."""
    values = list(values)
    if len(values) <= len(OKABE_ITO) and not all(isinstance(value, (int, float, np.number)) for value in values):
        return dict(zip(values, OKABE_ITO, strict=False))
    shades = SEQUENTIAL(np.linspace(0.0, 0.88, len(values)))
    return {value: tuple(shade) for value, shade in zip(values, shades, strict=True)}


def line(axes: Axes, x: np.ndarray, low: np.ndarray, middle: np.ndarray, high: np.ndarray, **style: Any) -> None:
    """A median with its band, on an axis that `finish` makes logarithmic: exact zeros are kept for its bottom row."""
    positive = np.where(middle > 0, middle, np.nan)
    axes.plot(x, positive, **style)
    band = high > low
    if band.any():
        axes.fill_between(
            x,
            np.where(low > 0, low, np.nan),
            np.where(high > 0, high, np.nan),
            alpha=0.2,
            color=style.get("color"),
            linewidth=0,
        )
    zero = x[middle == 0]
    if len(zero):
        _zeros(axes).append((zero, style.get("color")))
    _range(axes).extend(np.concatenate([edge[(edge > 0) & np.isfinite(edge)] for edge in (low, middle, high)]))


def finish(all_axes: Iterable[Axes], share: bool = True) -> None:
    """Make the axes logarithmic, with one range for all, and draw exact zeros in a row of their own at the bottom."""
    all_axes = list(all_axes)
    for group in [all_axes] if share else [[axes] for axes in all_axes]:
        values = [value for axes in group for value in _range(axes)] or [0.1, 1.0]
        low, high = np.log10(min(values)), np.log10(max(values))
        margin = 0.05 * (high - low)
        bottom, top = np.floor(low - margin), np.ceil(high + margin)
        with_zeros = any(_zeros(axes) for axes in group)
        row = bottom - max(0.12 * (top - bottom), 0.4)
        for axes in group:
            axes.set_yscale("log")
            axes.set_ylim(10.0 ** (row - (bottom - row) * 0.6 if with_zeros else bottom), 10.0**top)
            axes.yaxis.set_major_locator(LogLocator(numticks=6))
            axes.yaxis.set_minor_formatter(NullFormatter())
            if with_zeros:
                _zero_row(axes, row, bottom)


def _zero_row(axes: Axes, row: float, bottom: float) -> None:
    edge = (row + bottom) / 2
    axes.axhspan(axes.get_ylim()[0], 10.0**edge, color="#f2f2f2", zorder=0, linewidth=0)
    axes.axhline(10.0**edge, color="#888888", linewidth=0.6)
    axes.set_yticks([tick for tick in axes.get_yticks() if 10.0**edge <= tick <= axes.get_ylim()[1]])
    axes.yaxis.set_minor_locator(LogLocator(subs=(1.0,), numticks=1))
    place = axes.get_subplotspec()
    if place is None or place.is_first_col():
        axes.text(
            -0.02,
            10.0**row,
            "exactly 0",
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=7,
        )
    heights = np.linspace(edge, 2 * row - edge, len(_zeros(axes)) + 2)[1:-1]
    for (x, color), height in zip(_zeros(axes), heights, strict=True):
        axes.plot(x, np.full(len(x), 10.0**height), ".", color=color, markersize=3, zorder=3)


def _zeros(axes: Axes) -> list[tuple[np.ndarray, Any]]:
    """Where lines on these axes are exactly 0, with their colours."""
    zeros: list[tuple[np.ndarray, Any]] = axes.__dict__.setdefault("backscope_zeros", [])
    return zeros


def _range(axes: Axes) -> list[float]:
    """The positive values on these axes."""
    values: list[float] = axes.__dict__.setdefault("backscope_range", [])
    return values


def layer_axis(axes: Axes, layers: np.ndarray) -> None:
    """Layers along x, layer 1 (nearest the input) at the left."""
    axes.set_xlim(layers[0] - 0.5, layers[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9, min_n_ticks=1))


def heat(axes: Axes, values: np.ndarray, *, logarithmic: bool, label: str, colormap: Colormap = SEQUENTIAL) -> None:
    """Cells (rows, columns), first row at the bottom; exact zeros are grey on a logarithmic scale, unmeasured white."""
    positive = values[np.isfinite(values) & (values > 0)]
    shown = np.where(values > 0, values, np.nan) if logarithmic else values
    norm: Normalize = Normalize(np.nanmin(shown), np.nanmax(shown)) if np.isfinite(shown).any() else Normalize(0, 1)
    if logarithmic and len(positive):
        norm = LogNorm(positive.min(), max(positive.max(), positive.min() * 10))
    mesh = axes.pcolormesh(shown, cmap=colormap, norm=norm, rasterized=True)
    if logarithmic and (values == 0).any():
        axes.pcolormesh(np.where(values == 0, 1.0, np.nan), cmap=mpl.colors.ListedColormap([ZERO]), rasterized=True)
        label += "  (grey: exactly 0)"
    axes.grid(False)
    if not np.isfinite(shown).any():
        axes.text(0.5, 0.5, "exactly 0 everywhere", transform=axes.transAxes, ha="center", va="center")
        return
    axes.figure.colorbar(mesh, ax=axes, label=label, pad=0.02)
