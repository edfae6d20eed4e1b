"""The numbers by which configurations are compared: in words, with their intervals, and as the cells of heat maps."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from backscope.analysis.intervals import Estimate

RATIO, DELTA = RATIOS = ("grad_ratio", "delta_ratio")  # layer 1 over the last hidden layer: the verdict looks at both
SCORES = {"test_accuracy": "test accuracy", "test_r2": "test R²", "test_loss": "test loss"}
OVER = "in layer 1 over that in the last hidden layer"
TITLES = {RATIO: f"log₁₀ of ‖∂L/∂W‖ {OVER}", DELTA: f"log₁₀ of the RMS of δ {OVER}"} | SCORES
FORMATS = {RATIO: ".2f", DELTA: ".2f", "test_accuracy": ".3f", "test_r2": ".3f", "test_loss": ".3g"}
BRIEF = {RATIO: ".1f", DELTA: ".1f", "test_accuracy": ".2f", "test_r2": ".2f", "test_loss": ".2g"}  # for a small cell
CLAMP = 6.0  # decades at which a ratio has its darkest colour
DIVERGING = ("#0072B2", "#f4f3ee", "#D55E00")  # the colours of vanishing and exploding, and paper
ZERO = -math.inf  # the logarithm of a ratio of 0


@dataclass(frozen=True)
class Heat:
    """A heat map: Vega's scale of its colours, and a cell a configuration; None where nothing is known."""

    scale: dict[str, Any]
    cells: list[dict[str, Any] | None]


def score(runs: pd.DataFrame) -> str:
    """The number by which these runs are judged: accuracy, or R², or the loss."""
    return next((name for name in SCORES if f"summary/{name}" in runs), "test_loss")


def shown(name: str, value: float) -> float:
    """A number as it is shown: of a ratio its logarithm."""
    if name not in RATIOS or math.isnan(value):
        return value
    return math.log10(value) if value > 0 else ZERO


def words(name: str, found: Estimate | None) -> str:
    r"""A median with the interval that it has.

    >>> words("grad_ratio", Estimate(1e-3, 1e-4, 1e-2, 0.9, 5)), words("test_accuracy", None)
    ('−3.00 [−4.00,\xa0−2.00]', '')
    """
    if found is None:
        return ""
    middle, low, high = (number(shown(name, value), FORMATS[name]) for value in (found.median, found.low, found.high))
    return f"{middle} [{low},\N{NO-BREAK SPACE}{high}]" if found.level else middle


def heat(name: str, found: Sequence[Estimate | None]) -> Heat:
    """The medians as cells; a ratio of exactly 0 has no logarithm, and a colour of its own."""
    values = np.array([math.nan if each is None else shown(name, each.median) for each in found])
    finite = values[np.isfinite(values)]
    scale, place = _scale(name, finite)
    cells = [
        {
            "value": float(f"{value:.4g}") if math.isfinite(value) else None,
            "text": "0" if name in RATIOS and value == ZERO else number(value, BRIEF[name]),
            "tip": words(name, each),
            "ink": "#fff" if math.isfinite(value) and place(value) else "#111",
            "exact": not math.isfinite(value),
        }
        if each is not None
        else None
        for value, each in zip(values, found, strict=True)
    ]
    return Heat(scale, cells)


def _scale(name: str, finite: np.ndarray) -> tuple[dict[str, Any], Callable[[float], bool]]:
    """Vega's scale of colours for these values, and which values are so dark that white is read on them."""
    if name in RATIOS:
        end = min(max(3.0, *np.abs(finite)), CLAMP) if len(finite) else 3.0
        scale = {"domain": [-end, 0, end], "range": list(DIVERGING), "clamp": True, "interpolate": "rgb"}
        return scale, lambda value: abs(value) > 0.7 * end
    low, high = (0.0, 1.0) if name != "test_loss" or not len(finite) else (finite.min(), finite.max())
    if name == "test_loss" and low > 0:
        high = max(high, 1.01 * low)
        scale = {"type": "log", "domain": [low, high], "scheme": "viridis", "reverse": True}
        return scale, lambda value: math.log(value / low) > 0.4 * math.log(high / low)
    return {"domain": [low, high], "scheme": "viridis", "clamp": True}, lambda value: value < low + 0.6 * (high - low)


def number(value: float, form: str = ".3g") -> str:
    """A number in a few digits; empty where it is not known.

    >>> number(-0.123456), number(float("inf")), number(float("nan")), number(-0.01, ".1f")
    ('−0.123', '∞', '', '0.0')
    """
    said = "" if math.isnan(value) else f"{value:z{form if abs(value) < 1e4 else '.2g'}}"
    return said.replace("-", "−").replace("inf", "∞")
