"""In a notebook: train a configuration and look at it, read tracked runs back, and compare what came out.

`history` and `trace` have the same columns, those of `trace.parquet`: quantity, step, replica, layer (1 is nearest
the input, 0 the whole network), value. `history.query("quantity == 'test/accuracy'")` is a curve.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from backscope import app
from backscope.analysis import figures, intervals
from backscope.analysis.diagnosis import Verdict
from backscope.analysis.frames import short, varying
from backscope.config import Config, ConfigError
from backscope.config.choosing import choose, written
from backscope.data import Source, arrays
from backscope.display import sparkline
from backscope.process import one_thread
from backscope.tracking import reader, store
from backscope.tracking.points import median
from backscope.tracking.recorder import flatten
from backscope.tracking.trace import to_parquet
from backscope.training import Record

warnings.filterwarnings("ignore", "IProgress not found")  # tqdm's, which MLflow imports: no bar of it is ever shown
CHOSEN = ("init.name", "activation.name", "model.depth", "model.width", "optimizer.name", "optimizer.lr", "data.name")


@dataclass(frozen=True)
class Result:
    """A trained configuration: its `verdict` (name, evidence), `history`, `scores`, `plot()`; tracked, its `run_id`."""

    config: Config
    verdict: Verdict
    record: Record
    run_id: str | None = None
    uri: str | None = None

    @cached_property
    def history(self) -> pd.DataFrame:
        """Every measurement, a number a row: quantity, step, replica, layer, value."""
        return pd.read_parquet(BytesIO(to_parquet(self.record)))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The last value of every scalar (`test_loss`, `test_accuracy`, …), a row a seed."""
        return intervals.scores(self.history, self.config.training.steps, self.config.seed)

    def plot(self) -> Figure:
        """The loss over the steps, and the gradient norms by layer with theory dashed."""
        return figures.overview(self.history, f"{_name(self.config)}: {self.verdict.name}")

    def __repr__(self) -> str:
        return f"<{_name(self.config)}: {self.verdict.name}: {self.verdict.evidence}>"

    def _repr_html_(self) -> str:
        rows = [(key, flatten(self.config)[key]) for key in CHOSEN]
        rows += [(str(name), f"{value:.4g}") for name, value in self.scores.median().items() if "test" in str(name)]
        if "grad_norm" in self.record.layers:
            with np.errstate(divide="ignore"):
                norms = np.log10(median(self.record.layers["grad_norm"]))
            for step, profile in ((self.record.steps[t], norms[t]) for t in (0, -1)):
                ends = " … ".join(f"{profile[layer]:.1f}".replace("inf", "∞") for layer in (0, -1))
                rows.append((f"log₁₀ ‖∂L/∂W‖, layer 1 to the head, step {step}", f"{sparkline(profile)}  {ends}"))
        if self.run_id:
            rows.append(("run", self.run_id))
        cells = "".join(f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in rows)
        said = f"<b>{escape(self.verdict.name)}</b>: {escape(self.verdict.evidence)}"
        return f"<p>{said}</p><table>{cells}</table>"


def train(
    *,
    data: Any = "digits",
    tracking: bool | str | Mapping[str, Any] = False,
    overrides: Sequence[str] = (),
    **choices: Any,
) -> Result:
    """Train the configuration that the keywords choose, as `backscope` would: `train(init="he", depth=20)`.

    `data` is a dataset's name, its name and parameters, or arrays (X, y), of which a part is kept for the test;
    `tracking` is True for mlflow.db, a store's URI, or keys of the group. Other keywords and `overrides` choose as
    `config.choosing` says. Raises ConfigError, a ValueError, for what is not allowed.
    """
    own = _own(data)
    lines = [*written(choices if own else {"data": data} | choices), *overrides]
    config = choose([*lines, *_tracking(tracking)], own)
    with one_thread():
        record, verdict, run_id = app.run(config, [*lines, *["data=arrays"] * (own is not None)], own)
    return Result(config, verdict, record, run_id, store.locate(config.tracking.uri) if run_id else None)


def runs(experiment: str, sweep: str | None = None, uri: str | None = None) -> pd.DataFrame:
    """The tracked runs of an experiment, a row each: configuration, verdict, and `summary/…`, one number a column.

    Raises StoreError if there is no such experiment.
    """
    return reader.runs(experiment, sweep, uri)


def trace(run: Any, uri: str | None = None) -> pd.DataFrame:
    """Every measurement of a run: the id of a tracked one, its row of `runs`, or a Result.

    Raises StoreError if there is no such run.
    """
    return run.history if isinstance(run, Result) else reader.trace(_run_id(run), uri)


def compare(a: Any, b: Any, metric: str = "test_loss", uri: str | None = None) -> intervals.Comparison:
    """What the seeds of two configurations can tell, by a column of `Result.scores` or of `summary/…`.

    Each is a Result, a run's id, its row of `runs`, rows that differ in their seed only, or a list of these. Raises
    ValueError for what cannot be compared.
    """
    traces: dict[str, pd.DataFrame] = {}
    tables = [_table(each, uri, traces) for each in (a, b)]

    def read(run_id: str) -> pd.DataFrame:
        return traces[run_id] if run_id in traces else reader.trace(run_id, uri)

    one, other = (intervals.values(table, metric, read) for table in tables)
    return intervals.compare(one, other, _names(*tables))


def _own(data: Any) -> Source | None:
    """Arrays of one's own, if that is what they are."""
    if not isinstance(data, tuple | list):
        return None
    if len(data) != 2:
        raise ConfigError(f"data={type(data).__name__} of {len(data)}: allowed are a dataset's name and arrays (X, y)")
    try:
        return arrays(*data)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _tracking(tracking: bool | str | Mapping[str, Any]) -> list[str]:
    """The overrides that say where to track."""
    if isinstance(tracking, bool):
        return [f"tracking={'mlflow' if tracking else 'none'}"]
    keys = {"uri": tracking} if isinstance(tracking, str) else tracking
    return ["tracking=mlflow", *written({"tracking": keys})]


def _run_id(run: Any) -> str:
    return str(run.name if isinstance(run, pd.Series) else run)


def _table(run: Any, uri: str | None, traces: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Whatever was given as rows of `runs`; the traces of those that are Results are put into `traces`."""
    if isinstance(run, list | tuple):
        return pd.concat([_table(each, uri, traces) for each in run]).apply(reader.numeric)
    if isinstance(run, pd.DataFrame):
        return run
    if isinstance(run, pd.Series):
        return run.to_frame().T
    if isinstance(run, Result):
        row = f"result {len(traces)}"
        traces[row] = run.history
        return pd.DataFrame([flatten(run.config)], index=[row]).apply(reader.numeric)
    return reader.run(run, uri)


def _names(a: pd.DataFrame, b: pd.DataFrame) -> tuple[str, str]:
    """What sets two configurations apart, in short; just a and b if nothing does."""
    both = pd.concat([a, b]).apply(reader.numeric)
    choices = [choice for choice in varying(both) if choice not in ("seed", "replicas", "name")]
    one, other = (" · ".join(f"{short(choice)} {both[choice].iloc[row]}" for choice in choices) for row in (0, len(a)))
    return (one, other) if one != other else ("a", "b")


def _name(config: Config) -> str:
    return " · ".join((config.init.name, config.activation.name, str(config.model.depth), config.optimizer.name))
