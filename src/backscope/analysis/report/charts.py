"""The charts of the report as Vega-Lite specifications; the page fills in their data.

Colours stand as CSS variables in them, so that charts follow the page into the dark and onto paper.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from backscope.analysis.report.grid import Grid
from backscope.analysis.report.panels import Scale

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
INK = "currentColor"
LOSS = "loss of the step's batch"
DASHES = ([1, 0], [2, 2], [8, 3], [8, 3, 2, 3])
THEORY = [5, 4]
EXACT_ZERO = "#b8b8b8"
VIRIDIS = ("#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26")
LIGHT, DARK = (0.0, 7.5), (3.5, 9.0)  # the parts of viridis that are seen on white, and on black
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7f7f7f", "#a65628")
AXIS = {
    **{f"{part}Color": INK for part in ("label", "title", "tick", "domain", "grid")},
    **{"gridOpacity": 0.12, "domainOpacity": 0.4, "tickOpacity": 0.4, "titleFontWeight": "normal"},
    **{"labelFontSize": 10, "titleFontSize": 10, "tickCount": 5, "labelOverlap": "greedy"},
}
LEGEND = {"labelColor": INK, "gradientThickness": 8, "gradientLength": 160, "orient": "bottom", "tickCount": 5}
CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": AXIS,
    "header": {"labelColor": INK, "labelFontSize": 10, "labelPadding": 3, "title": None},
    "legend": LEGEND,
}


def palette(count: int, ordered: bool) -> dict[str, list[str]]:
    """The colours of so many lines on light and on dark paper: viridis shows an order, Okabe & Ito's are for names.

    >>> palette(2, ordered=True)["light"]
    ['#440154', '#5fc860']
    """
    if not ordered:
        return {"light": list(OKABE_ITO[:count]), "dark": list(OKABE_ITO[:count])}
    channels = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in VIRIDIS])

    def between(first: float, last: float) -> list[str]:
        places = np.linspace(first, last, count) if count > 1 else [(first + last) / 2]
        mixed = np.stack([np.interp(places, range(len(VIRIDIS)), channel) for channel in channels.T], axis=1)
        return ["#" + bytes(color.astype(np.uint8)).hex() for color in mixed]

    return {"light": between(*LIGHT), "dark": between(*DARK)}


def heat_map(title: str, scale: dict[str, Any], axes: Sequence[str], cells: Grid) -> dict[str, Any]:
    """Cells in the places of the table of verdicts, with a number in each; `axes` are the labels for its tooltip."""
    down, beside = cells.names
    axis = {"title": None, "domain": False, "ticks": False, "grid": False}
    across = {**axis, "labelAngle": 0, "labelExpr": "split(datum.label, '\\n')", "orient": "top"}
    across["labelPadding"] = 3 + 12 * (len(cells.across) - 1)  # Vega hangs further lines below the first
    fill = {"field": "value", "type": "quantitative", "scale": scale, "legend": {"title": None}}
    shown = {"condition": {"test": "datum.on", "value": 1}, "value": 0.12}
    tiles = {
        "mark": {"type": "rect", "invalid": None, "cursor": "pointer", "stroke": "var(--paper)", "strokeWidth": 1.5},
        "encoding": {
            "fill": {"condition": {"test": "datum.exact", "value": EXACT_ZERO}, **fill},
            "opacity": shown,
            "tooltip": [*_named(axes), {"field": "verdict"}, {"field": "tip", "title": title}],
        },
    }
    numbers = {
        "mark": {"type": "text", "fontSize": 10, "aria": False},
        "encoding": {"text": {"field": "text"}, "color": {"field": "ink", "scale": None}, "opacity": shown},
    }
    place = {
        "x": {"field": "x", "axis": across, "scale": {"domain": beside}},
        "y": {"field": "y", "axis": axis, "scale": {"domain": down}},
    }
    size = {"width": {"step": cells.size[0]}, "height": {"step": cells.size[1]}}
    return _chart(title, "cells", **size, encoding=place, layer=[tiles] if cells.compact else [tiles, numbers])


def profiles(scale: Scale, colors: int, axes: Sequence[str]) -> dict[str, Any]:
    """Gradient norms by layer, before and after training side by side."""
    bottom, top, zero = scale.bottom, scale.top, scale.zero
    x = {"domain": scale.across, "nice": False}
    ticks = [tick for tick in _ticks(bottom, top) if zero is None or tick - zero > 0.1 * (top - bottom)]
    axis = {"title": "log₁₀ ‖∂L/∂W‖", "values": [*ticks, *([] if zero is None else [zero])]}
    if zero is not None:
        axis["labelExpr"] = f"datum.value == {zero} ? 'zero' : datum.label"
    y = {"field": "y", "type": "quantitative", "scale": {"domain": [bottom, top], "nice": False}, "axis": axis}
    zeros = {
        "mark": {"type": "square", "size": 14, "opacity": 1, "aria": False},
        "encoding": {"y": {"field": "zero", "type": "quantitative"}, "color": _color(colors)},
    }
    whole = {"tickMinStep": 1, "title": "layer", "grid": False}
    layers = {"field": "x", "type": "quantitative", "axis": whole, "scale": {**x, "padding": 6}}
    moments = {"field": "moment", "sort": None, "header": {"title": None}}
    panel = {"width": 132, "height": 120, "encoding": {"x": layers}, "layer": [*_lines(y, colors, axes), zeros]}
    return _chart("gradient norms by layer", "points", facet={"column": moments}, spacing=14, spec=panel)


def losses(scale: Scale, colors: int, axes: Sequence[str]) -> dict[str, Any]:
    """The loss of each step's batch."""
    x = {"domain": scale.across, "nice": False}
    axis = {"title": f"log₁₀ {LOSS}" if scale.logarithmic else LOSS}
    y = {
        "field": "y",
        "type": "quantitative",
        "scale": {"domain": [scale.bottom, scale.top], "nice": False},
        "axis": axis,
    }
    steps = {"field": "x", "type": "quantitative", "axis": {"title": "step", "grid": False}, "scale": x}
    size = {"width": 278, "height": 120}
    return _chart(LOSS, "points", **size, encoding={"x": steps}, layer=_lines(y, colors, axes))


def _lines(y: dict[str, Any], colors: int, axes: Sequence[str]) -> list[dict[str, Any]]:
    """Bands, lines and theory's prediction, a line a configuration."""
    shared = {"color": _color(colors), "detail": [{"field": "configuration"}, {"field": "dash"}]}
    dashes = {"domain": [*range(len(DASHES)), -1], "range": [*DASHES, THEORY]}
    dash = {"field": "dash", "type": "ordinal", "legend": None, "scale": dashes}
    tooltip = [*_named(axes), {"field": "tip", "title": "values"}]

    def layer(kind: str, encoding: dict[str, Any], **look: Any) -> dict[str, Any]:
        return {"mark": {"type": kind, "aria": False, **look}, "encoding": {**shared, "y": y, **encoding}}

    return [
        layer("area", {"y": {**y, "field": "low"}, "y2": {"field": "high"}}, opacity=0.2),
        layer("line", {"strokeDash": dash}, strokeWidth=1.6),
        layer("line", {"tooltip": tooltip}, strokeWidth=9, opacity=0),  # wide enough for a pointer
    ]


def _color(count: int) -> dict[str, Any]:
    scale = {"domain": list(range(count)), "range": [f"var(--series-{i})" for i in range(count)]}
    return {"field": "color", "type": "ordinal", "scale": scale, "legend": None}


def _chart(description: str, data: str, **rest: Any) -> dict[str, Any]:
    return {"$schema": SCHEMA, "description": description, "data": {"name": data}, **rest, "config": CONFIG}


def _named(axes: Sequence[str]) -> list[dict[str, Any]]:
    """A configuration's choices, for a tooltip."""
    return [{"field": f"axis{i}", "title": label} for i, label in enumerate(axes)]


def _ticks(bottom: float, top: float) -> list[int]:
    """At most five whole numbers.

    >>> _ticks(-7.2, 1.1), _ticks(0.2, 0.9)
    ([-6, -4, -2, 0], [])
    """
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200) if (top - bottom) / step <= 5)
    return list(range(step * math.ceil(bottom / step), math.floor(top) + 1, step))
