"""The shapes that figures and tables are made from: traces as arrays, and a sweep's runs by what varies in them."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

CONSTANT = ("summary/", "version.", "git.")  # columns that are no choice of a sweep
NOT_CHOSEN = {"name", "status", "artifacts", "verdict", "config_hash", "sweep_id", "error", "interrupted", "code"}
NOT_CHOSEN |= {"cpu", "blas", "threads", "evidence", "overrides"}


@dataclass(frozen=True)
class Cube:
    """One quantity of a run: values (T, R, L) at `steps` (T,) in `layers` (L,); NaN where nothing was measured."""

    steps: np.ndarray
    layers: np.ndarray
    values: np.ndarray

    def at(self, step: int) -> "Cube":
        """The measured moment nearest to a step."""
        nearest = np.abs(self.steps - step).argmin()
        return Cube(self.steps[[nearest]], self.layers, self.values[[nearest]])


def cube(trace: pd.DataFrame, quantity: str) -> Cube:
    """A quantity of a trace as an array.

    Raises KeyError for a quantity that is not in the trace.
    """
    rows = trace[trace["quantity"] == quantity]
    if rows.empty:
        raise KeyError(f"{quantity} was not measured; measured are {', '.join(sorted(set(trace['quantity'])))}")
    axes = [np.unique(rows[axis].to_numpy(), return_inverse=True) for axis in ("step", "replica", "layer")]
    values = np.full([len(labels) for labels, _ in axes], np.nan)
    values[tuple(index for _, index in axes)] = rows["value"].to_numpy()
    return Cube(axes[0][0], axes[2][0], values)


def spread(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower quartile, median and upper quartile over an axis, of what is measured."""
    if values.shape[axis] == 1:
        only = values.take(0, axis)
        return only, only, only
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        low, middle, high = np.nanquantile(values, (0.25, 0.5, 0.75), axis=axis)
    return low, middle, high


def varying(runs: pd.DataFrame) -> list[str]:
    """The choices that differ between runs, those of a group by its name only, in the order of the columns; or `name`.

    >>> varying(pd.DataFrame({"init.name": ["zeros", "normal"], "init.std": [None, 0.01], "seed": [0, 0]}))
    ['init.name']
    """
    columns = [str(column) for column in runs]
    chosen = [column for column in columns if column not in NOT_CHOSEN and not column.startswith(CONSTANT)]
    different = [column for column in chosen if runs[column].nunique(dropna=False) > 1]
    named = {column.rsplit(".", 1)[0] for column in different if column.endswith(".name")}

    def explained(column: str) -> bool:
        """Whether the group's name alone fixes this parameter."""
        group = column.rsplit(".", 1)[0]
        return (
            group in named
            and not column.endswith(".name")
            and runs.groupby(f"{group}.name")[column].nunique(dropna=False).max() == 1
        )

    return [column for column in different if not explained(column)] or ["name"]


def short(column: str) -> str:
    """A choice's name as a label: `init.name` is init, `model.depth` depth.

    >>> [short(column) for column in ("init.name", "model.depth", "seed")]
    ['init', 'depth', 'seed']
    """
    return column.removesuffix(".name").rsplit(".", 1)[-1]


def ordered(values: Iterable[Any]) -> list[Any]:
    """Distinct values: numbers by size, names in the order of their appearance."""
    distinct = list(dict.fromkeys(values))
    return sorted(distinct) if all(isinstance(value, (int, float, np.number)) for value in distinct) else distinct
