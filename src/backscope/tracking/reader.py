"""The reader: what was tracked, as data frames, from any store.

`runs` is a run a row with its parameters and summary, `trace` every measurement of one run.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from backscope.config import ROOT
from backscope.tracking import store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PAGE = 1000
FIRST = ["attributes.start_time ASC"]


def runs(experiment: str, sweep: str | None = None, uri: str | None = None, status: str = "FINISHED") -> "pd.DataFrame":
    """The trained runs of an experiment, or of one sweep in it (its `sweep_id`), a row each, in the order of start.

    Columns: parameters (`init.name`, `model.depth`, …; numbers where all of them are), numbers (`summary/…`), tags
    (`verdict`, …), `name`, `status`, `artifacts`; the index is the run id.
    Raises StoreError if there is no such experiment.
    """
    import pandas as pd

    client = store.client(locate(uri))
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise store.StoreError(f"experiment={experiment}: no such experiment in {uri or 'mlflow.db'}")
    query = f"attributes.status = '{status}'" + (f" and tags.sweep_id = '{sweep}'" if sweep else "")
    rows: list[dict[str, object]] = []
    token = None
    while token is None or token:
        page = client.search_runs([found.experiment_id], query, max_results=PAGE, page_token=token, order_by=FIRST)
        rows += [_row(run) for run in page if run.data.tags.get("kind") != "sweep"]
        token = page.token or ""
    frame = pd.DataFrame(rows).set_index("run_id") if rows else pd.DataFrame()
    return frame.apply(numeric)


def run(run_id: str, uri: str | None = None) -> "pd.DataFrame":
    """One run, as `runs` has it."""
    import pandas as pd

    found = store.client(locate(uri)).get_run(run_id)
    return pd.DataFrame([_row(found)]).set_index("run_id").apply(numeric)


def trace(run_id: str, uri: str | None = None) -> "pd.DataFrame":
    """Every measurement of a run: quantity, step, replica, layer (0: the whole network), value."""
    client = store.client(locate(uri))
    return read_trace(client, run_id, client.get_run(run_id).info.artifact_uri)


def traces(runs: "pd.DataFrame", uri: str | None = None) -> "dict[str, pd.DataFrame]":
    """The traces of runs that `runs` returned, by run id."""
    client = store.client(locate(uri))
    return {str(run_id): read_trace(client, str(run_id), path) for run_id, path in runs["artifacts"].items()}


def read_trace(client: "MlflowClient", run_id: str, artifacts: str) -> "pd.DataFrame":
    """The trace of a run whose artifact folder is known: read in place where that is on this machine."""
    import pandas as pd

    if urlparse(artifacts).scheme in ("", "file"):
        return pd.read_parquet(Path(unquote(urlparse(artifacts).path)) / "trace.parquet")
    with tempfile.TemporaryDirectory() as folder:
        return pd.read_parquet(client.download_artifacts(run_id, "trace.parquet", folder))


def locate(uri: str | None) -> str:
    """The store's absolute URI: `mlflow.db` at the top of the project, or as given in this directory."""
    return store.absolute(uri, ROOT if uri is None else Path.cwd())


def _row(run: "Run") -> dict[str, object]:
    summary = {key: value for key, value in run.data.metrics.items() if key.startswith("summary/")}
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    info = {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "artifacts": run.info.artifact_uri,
    }
    return info | tags | run.data.params | summary


def numeric(column: "pd.Series") -> "pd.Series":
    """Numbers where every value is one: MLflow keeps parameters as text."""
    import pandas as pd

    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column
