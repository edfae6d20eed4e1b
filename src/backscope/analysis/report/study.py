"""A sweep read back from the store for its report: its runs, what was swept, what was not, and how to repeat it.

What is compared are *configurations*: runs that differ in nothing but their seed are one, and their replicas and seeds
are its networks.
"""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from backscope.analysis.frames import short, varying
from backscope.tracking import reader, store, sweeps

if TYPE_CHECKING:
    from mlflow.entities import Run

FILE = "report.html"
NULL = "null"  # a choice that MLflow does not keep
NEWEST = ["attributes.start_time DESC"]
PROVENANCE = ("git.commit", "git.dirty", "version.", "blas", "cpu", "threads")


@dataclass(frozen=True)
class Axis:
    """A swept choice: its column in the runs, its label, and its values in the order they were given."""

    key: str
    values: list[Any]

    @property
    def label(self) -> str:
        return short(self.key)

    @property
    def numeric(self) -> bool:
        """Whether its values have a size."""
        return all(isinstance(value, (int, float)) for value in self.values)


@dataclass(frozen=True)
class Study:
    """A sweep: its parent run, its runs (a run a row, those that failed too) and the traces of those that finished."""

    parent: "Run"
    title: str
    uri: str
    runs: pd.DataFrame
    traces: Mapping[str, pd.DataFrame]

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The runs' columns as lists, since a data frame is slow where it is asked for one cell after another."""
        return {str(name): values.tolist() for name, values in self.runs.items()}

    @property
    def sweep_id(self) -> str:
        return str(self.parent.data.tags["sweep_id"])

    @property
    def started(self) -> datetime:
        return datetime.fromtimestamp(self.parent.info.start_time / 1e3, UTC).astimezone()

    @property
    def unfinished(self) -> int:
        """How many runs of the sweep are not there, as far as is known."""
        return max(0, int(self.parent.data.tags.get(sweeps.JOBS, 0)) - len(self.runs))

    @cached_property
    def axes(self) -> list[Axis]:
        """What was swept, names before numbers; seeds are no choice, unless nothing else differs."""
        found = []
        different = [key for key in varying(self.runs) if key != "seed"] or ["seed"]
        swept = [key for key in different if any(key == each or key.startswith(f"{each}.") for each in self._given)]
        for key in swept or _independent(self.runs, different):
            values = list(dict.fromkeys(_plain(value) for value in self.runs[key]))
            if all(isinstance(value, (int, float)) for value in values):
                values.sort()
            elif names := self._given.get(key) or self._given.get(key.removesuffix(".name")):
                values.sort(key=lambda value: names.index(str(value)) if str(value) in names else len(names))
            found.append(Axis(key, values))
        return sorted(found, key=lambda axis: axis.numeric)

    @cached_property
    def _given(self) -> dict[str, list[str]]:
        try:
            return dict(json.loads(self.parent.data.tags.get(sweeps.AXES, "{}")))
        except ValueError:  # MLflow cuts long tags
            return {}

    @cached_property
    def fixed(self) -> dict[str, Any]:
        """What was the same in all runs."""
        chosen = [name for name in map(str, self.runs) if "." in name or name in ("seed", "replicas", "dtype")]
        return {
            name: self.runs[name].iloc[0]
            for name in chosen
            if not name.startswith(("summary/", *PROVENANCE)) and self.runs[name].nunique(dropna=False) == 1
        }

    @cached_property
    def provenance(self) -> dict[str, list[str]]:
        """Code, libraries and machines: every value that a run has, most often one."""
        names = [name for name in map(str, self.runs) if name.startswith(PROVENANCE)]
        return {name: [str(value) for value in self.runs[name].dropna().unique()] for name in names}

    @cached_property
    def command(self) -> str | None:
        """The command that repeats the sweep, put together from its runs' own; None if they are no full grid."""
        words = [shlex.split(line) for line in self.runs.get("overrides", pd.Series(dtype=str)).dropna()]
        lines = [dict(word.partition("=")[::2] for word in line) for line in words]
        values = {key: list(dict.fromkeys(line.get(key, NULL) for line in lines)) for key in next(iter(lines), {})}
        values |= {key: names for key, names in self._given.items() if set(names) == set(values.get(key, []))}
        if not values or len(lines) != len(self.runs) or math.prod(map(len, values.values())) != len(lines):
            return None
        return shlex.join(["backscope", "-m", *(f"{key}={','.join(each)}" for key, each in values.items())])


def find(sweep: str = "latest", uri: str | None = None) -> "Run":
    """The parent run of a sweep: `latest`, the newest of an experiment by its name, or by the sweep's or the run's id.

    Raises StoreError if there is none.
    """
    client = store.client(reader.locate(uri))
    experiments = client.search_experiments()
    named = [each for each in experiments if each.name == sweep]
    ids = [each.experiment_id for each in named or experiments]
    quoted = sweep.replace("'", "")
    queries = [f" and tags.sweep_id = '{quoted}'", f" and attributes.run_id = '{quoted}'"]
    for query in [""] if named or sweep == "latest" else queries:
        if found := client.search_runs(ids, f"tags.kind = 'sweep'{query}", max_results=1, order_by=NEWEST):
            return found[0]
    known = ", ".join(sorted(each.name for each in experiments if each.experiment_id != "0"))
    raise store.StoreError(
        f"SWEEP={sweep}: no such sweep; allowed is latest, the id of a sweep, or an experiment with one, of {known}"
    )


def read(parent: "Run", uri: str | None = None) -> Study:
    """A sweep with all that its report needs."""
    located = reader.locate(uri)
    experiment = store.client(located).get_experiment(parent.info.experiment_id).name
    runs = reader.runs(experiment, parent.data.tags["sweep_id"], located, status=None)
    if runs.empty:
        raise store.StoreError(f"SWEEP={parent.data.tags['sweep_id']}: no run of it is tracked yet")
    return Study(
        parent, experiment, located, _completed(runs), reader.traces(runs[runs["status"] == "FINISHED"], located)
    )


def _completed(runs: pd.DataFrame) -> pd.DataFrame:
    """The last attempt at every configuration, with null as a choice, and a verdict on those that failed."""
    runs = runs[runs["status"] != "RUNNING"]
    runs = runs.assign(order=range(len(runs)))
    if "config_hash" in runs:
        finished_last = runs.sort_values("status", key=lambda status: status == "FINISHED", kind="stable")
        runs = finished_last.drop_duplicates("config_hash", keep="last").sort_values("order")
    runs = runs.drop(columns="order")
    for key in varying(runs):
        if runs[key].isna().any():
            runs[key] = runs[key].astype(object).where(runs[key].notna(), NULL)
    failed = runs["status"] != "FINISHED"
    verdict = runs["verdict"] if "verdict" in runs else pd.Series(index=runs.index, dtype=object)
    ended = runs["status"].map(lambda status: f"{status.lower()} before its end")
    evidence = runs["evidence"].fillna(ended) if "evidence" in runs else ended
    return runs.assign(verdict=verdict.where(~failed, "failed"), evidence=evidence)


def _independent(runs: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Without the choices that follow from one before them, as the loss may follow from the data."""
    kept: list[str] = []
    for key in keys:
        earlier = [runs.groupby(other, dropna=False)[key] for other in kept]
        if all(each.ngroups == len(runs) or each.nunique(dropna=False).max() > 1 for each in earlier):
            kept.append(key)
    return kept


def _plain(value: Any) -> Any:
    """A NumPy scalar as Python's."""
    return value.item() if hasattr(value, "item") else value


def text(value: Any) -> str:
    """A value of a choice as it is written.

    >>> text(0.01), text(20.0), text("he")
    ('0.01', '20', 'he')
    """
    return f"{value:g}" if isinstance(value, float) else str(value)
