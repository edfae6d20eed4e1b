"""The summary of a sweep: the files that its parent run carries, a table of all runs and the pictures that fit."""

from collections.abc import Mapping

import pandas as pd

from backscope.analysis.comparison import curve_grid, layout, profile_grid, sweep_heatmap, verdict_grid
from backscope.analysis.drawing import render
from backscope.analysis.frames import varying

MOST_PANELS = 48  # of a grid that somebody can read
MOST_CELLS = 40  # a row or column of verdicts
MAPS = {"test_accuracy": False, "grad_ratio": True}  # drawn over two swept numbers; on a logarithmic scale?


def sweep_files(runs: pd.DataFrame, traces: Mapping[str, pd.DataFrame]) -> dict[str, bytes]:
    """A sweep's runs (`tracking.reader.runs`) as a table, and figures, by file name; empty if there are no runs."""
    if runs.empty:
        return {}
    runs = runs.copy()
    for axis in varying(runs):  # null, which MLflow does not keep, is a choice too
        if runs[axis].isna().any():
            runs[axis] = runs[axis].astype(object).where(runs[axis].notna(), "null")
    place = layout(runs)
    sizes = {name: runs[axis].nunique() for name, axis in vars(place).items() if axis}
    row, column, color = (sizes.get(name, 1) for name in ("row", "column", "color"))
    figures = {}
    if row <= MOST_CELLS and (column if place.row else 1) * color <= MOST_CELLS:
        figures["verdicts"] = verdict_grid(runs)
    if row * column <= MOST_PANELS and all("grad_norm" in set(trace["quantity"]) for trace in traces.values()):
        figures["gradient_profiles"] = profile_grid(runs, traces)
    if row * column <= MOST_PANELS:
        figures["training_loss"] = curve_grid(runs, traces)
    numbers = [axis for axis in varying(runs) if pd.api.types.is_numeric_dtype(runs[axis])]
    for value, logarithmic in MAPS.items() if len(numbers) > 1 else ():
        if f"summary/{value}" in runs:
            figures[value] = sweep_heatmap(runs, numbers[0], numbers[1], f"summary/{value}", logarithmic=logarithmic)
    table = {"runs.csv": runs.drop(columns=["artifacts"]).to_csv().encode()}
    return table | {f"figures/{name}.png": render(figure) for name, figure in figures.items()}
