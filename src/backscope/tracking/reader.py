"""The reader: what was tracked, as data frames, from any store.

`runs` is a run a row with its parameters and summary, `trace` every measurement of one run.
"""

import io
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from backscope.tracking import store
from backscope.tracking.recorder import ENTRY
from backscope.tracking.store import locate
from backscope.tracking.trace import INDEX

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PAGE = 1000
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # MLflow's codes for an id that no run has
HEXADECIMAL = {"config_hash", "code", "git.commit"}
FIRST = ["attributes.start_time ASC"]
DESCRIPTION = re.compile(
    r"\*\*\w+\*\*: (?P<evidence>.*?)\.?(?: Theory expected .*)?\n\n"
    r"`backscope ?(?P<overrides>.*?)(?: hydra\.mode=RUN)?`"
)


def runs(
    experiment: str, sweep: str | None = None, uri: str | None = None, status: str | None = "FINISHED"
) -> "pd.DataFrame":
    """The trained runs of an experiment, or of one sweep in it (its `sweep_id`), a row each, in the order of start.

    Columns: parameters (`init.name`, `model.depth`, …; numbers where all of them are), numbers (`summary/…`), tags
    (`verdict`, …), `evidence` and `overrides`, `name`, `status`, `artifacts`; the index is the run id.
    `status=None` stands for runs of every status, those that failed too.
    Raises StoreError if there is no such experiment.
    """
    import pandas as pd

    client = store.client(locate(uri))
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise store.StoreError(f"experiment={experiment}: no such experiment in {uri or 'mlflow.db'}")
    wanted = {"attributes.status": status, "tags.sweep_id": sweep}
    query = " and ".join(f"{key} = '{value}'" for key, value in wanted.items() if value)
    rows: list[dict[str, object]] = []
    token = None
    while token is None or token:
        page = client.search_runs([found.experiment_id], query, max_results=PAGE, page_token=token, order_by=FIRST)
        rows += [_row(run) for run in page if run.data.tags.get("kind") != "sweep"]
        token = page.token or ""
    frame = pd.DataFrame(rows).set_index("run_id") if rows else pd.DataFrame()
    return frame.apply(numeric)


def run(run_id: str, uri: str | None = None) -> "pd.DataFrame":
    """One run, as `runs` has it.

    Raises StoreError if there is none of this id.
    """
    import pandas as pd

    return pd.DataFrame([_row(_get(run_id, locate(uri)))]).set_index("run_id").apply(numeric)


def trace(run_id: str, uri: str | None = None) -> "pd.DataFrame":
    """Every measurement of a run: quantity, step, replica, layer (0: the whole network), value.

    Raises StoreError if there is no run of this id, or it has no trace.
    """
    located = locate(uri)
    return read_trace(store.client(located), run_id, _get(run_id, located).info.artifact_uri)


def traces(runs: "pd.DataFrame", uri: str | None = None) -> "dict[str, pd.DataFrame]":
    """The traces of runs that `runs` returned, by run id."""
    client = store.client(locate(uri))
    return {str(run_id): read_trace(client, str(run_id), path) for run_id, path in runs["artifacts"].items()}


def read_trace(client: "MlflowClient", run_id: str, artifacts: str) -> "pd.DataFrame":
    """The trace of a run whose artifact folder is known."""
    return parse(artifact(client, run_id, artifacts, "trace.parquet"))


def parse(content: bytes) -> "pd.DataFrame":
    """The trace in a Parquet file.

    Raises ValueError for another file.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError) as error:
        raise ValueError(f"trace.parquet: {str(error).splitlines()[0]}") from error
    if list(frame) != [*INDEX, "value"] or "".join(frame[key].dtype.kind for key in (*INDEX[1:], "value")) != "iiif":
        raise ValueError(f"trace.parquet: allowed are the columns {', '.join(INDEX)} and value")
    return frame


def artifact(client: "MlflowClient", run_id: str, artifacts: str, name: str) -> bytes:
    """A file of a run: read in place where that is on this machine, which spares a query of the store.

    Raises StoreError if it is missing.
    """
    try:
        if folder := store.local(artifacts):
            return (folder / name).read_bytes()
        with tempfile.TemporaryDirectory() as temporary:
            return Path(client.download_artifacts(run_id, name, temporary)).read_bytes()
    except Exception as error:  # what a store of artifacts raises is its own
        raise store.StoreError(f"RUN={run_id}: its file {name} is missing: {str(error).splitlines()[0]}") from error


def _get(run_id: str, uri: str) -> "Run":
    from mlflow.exceptions import MlflowException

    with store.reading(uri) as client:
        try:
            return client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in UNKNOWN:
                raise
            raise store.StoreError(f"RUN={run_id}: no such run in {store.shown(uri)}") from None


def _row(run: "Run") -> dict[str, object]:
    summary = {key: value for key, value in run.data.metrics.items() if key.startswith("summary/")}
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith(("mlflow.", ENTRY))}
    note = DESCRIPTION.match(run.data.tags.get("mlflow.note.content", ""))
    info = {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "artifacts": run.info.artifact_uri,
    }
    return info | tags | (note.groupdict() if note else {}) | run.data.params | summary


def numeric(column: "pd.Series") -> "pd.Series":
    """Numbers where every value is one: MLflow keeps parameters as text.

    >>> import pandas as pd
    >>> list(numeric(pd.Series(["1e3", "2"]))), list(numeric(pd.Series(["012345678901"], name="config_hash")))
    ([1000.0, 2.0], ['012345678901'])
    """
    import pandas as pd

    if column.name in HEXADECIMAL:  # which are numbers by chance
        return column
    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column
