"""The table of a sweep's runs, and the sentences about them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from backscope.analysis.report.configurations import Configuration
from backscope.analysis.report.numbers import FORMATS, RATIO, SCORES, number, shown, words
from backscope.analysis.report.study import Axis, Study, text

HEADERS = {RATIO: "log₁₀ ratio", "test_accuracy": "accuracy", "test_r2": "R²", "test_loss": "loss"}
SECONDS = "seconds_total"


@dataclass(frozen=True)
class Column:
    """A column: its header, what its cells say, what they are sorted by (None: at the end), and what is in it."""

    header: str
    cells: list[str]
    order: list[Any]
    kind: str = ""


def columns(study: Study, found: Sequence[Configuration]) -> list[Column]:
    """Name, choices, verdict, numbers and evidence of every run."""
    runs = study.runs
    place = {row: index for index, each in enumerate(found) for row in each.rows}
    names = list(map(str, runs["name"]))
    table = [Column("run", names, list(range(len(runs))), "name")]
    for i, axis in enumerate(study.axes):
        at = [found[place[row]].at[i] for row in range(len(runs))]
        table.append(Column(axis.label, [text(axis.values[each]) for each in at], at, "number" * axis.numeric))
    if "seed" in runs and runs["seed"].nunique() > 1 and all(axis.key != "seed" for axis in study.axes):
        table.append(Column("seed", [text(seed) for seed in runs["seed"]], runs["seed"].tolist(), "number"))
    verdicts = runs["verdict"].tolist()
    table.append(Column("verdict", verdicts, verdicts, "verdict"))
    known = [name for name in (RATIO, *SCORES) if f"summary/{name}" in runs]
    table += [_numbers(name, study, [found[place[row]] for row in range(len(runs))]) for name in known]
    if f"summary/{SECONDS}" in runs:
        seconds = study.columns[f"summary/{SECONDS}"]
        table.append(Column("seconds", [number(each, ".2g") for each in seconds], _order(seconds), "number"))
    evidence = runs["evidence"].fillna("").tolist() if "evidence" in runs else [""] * len(runs)
    return [*table, Column("evidence", evidence, evidence, "evidence")]


def _numbers(name: str, study: Study, of: Sequence[Configuration]) -> Column:
    """A number of every run: with its interval where the run has replicas and is a configuration by itself."""
    values = [shown(name, float(value)) for value in study.columns[f"summary/{name}"]]
    cells = [
        words(name, each.number(name)) if len(each.rows) == 1 else number(value, FORMATS[name])
        for each, value in zip(of, values, strict=True)
    ]
    return Column(HEADERS[name], cells, _order(values), "number")


def where(runs: pd.DataFrame, axes: Sequence[Axis], verdict: str) -> str:
    """Which choices the runs with a verdict have in common, of those that differ in the sweep.

    >>> runs = pd.DataFrame({"verdict": ["dead", "dead", "healthy"]})
    >>> runs["init.name"] = ["he", "zeros", "lecun"]
    >>> where(runs, [Axis("init.name", ["he", "zeros", "lecun"])], "dead")
    'only with init he, zeros'
    """
    inside = runs[runs["verdict"] == verdict]
    phrases = []
    for axis in axes:
        values = [value for value in axis.values if (inside[axis.key] == value).any()]
        if len(values) < len(axis.values):
            phrases.append(f"{axis.label} {', '.join(map(text, values))}")
    return f"only with {'; '.join(phrases)}" if phrases else "with every choice"


def _order(values: Sequence[float]) -> list[float | None]:
    """Numbers to sort by; JSON knows no NaN and no infinities."""
    return [None if math.isnan(value) else max(min(float(value), 1e300), -1e300) for value in values]
