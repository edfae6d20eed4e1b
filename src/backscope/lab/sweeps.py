"""The sweep of an ablation: started, found again in the store, and read back as runs."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backscope.lab.registry import LabError
from backscope.lab.runs import Run, pooled
from backscope.tracking import recorder, store
from backscope.tracking.original import configuration
from backscope.tracking.provenance import provenance
from backscope.tracking.reader import artifact, read_trace
from backscope.tracking.sweeps import JOBS

if TYPE_CHECKING:
    from mlflow.entities import Run as TrackedRun
    from mlflow.tracking import MlflowClient

BAD_CONFIGURATION, INTERRUPTED = 2, 130
OVERRIDES, SECONDS = "lab.overrides", "lab.seconds"  # tags of a sweep
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class Sweep:
    """The finished runs of a sweep; `missing` says, in words, which others there should be.

    `overrides` are what made it another one than the committed ablation, `seconds` how long it took, `provenance`
    which code, libraries and machine ran it.
    """

    client: "MlflowClient"
    parent: str
    runs: Sequence[Run]
    jobs: int
    missing: str
    overrides: str
    seconds: float
    provenance: Mapping[str, str]


def start(name: str, overrides: Sequence[str]) -> None:
    """Run the sweep of an ablation, in a process of its own, which shows its progress.

    Raises SystemExit for a bad configuration or an interruption; runs that fail are for the claims to notice.
    """
    began = time.time()
    command = [
        sys.executable,
        "-m",
        "backscope",
        f"experiment={name}",
        f"tracking.experiment={name}",
        *overrides,
    ]
    status = subprocess.run(command, check=False).returncode
    if status in (BAD_CONFIGURATION, INTERRUPTED):
        raise SystemExit(status)
    client, parent = _newest(name, overrides, since=round(1e3 * began))
    client.set_tag(parent.info.run_id, OVERRIDES, " ".join(each for each in overrides if _changes_results(each)))
    client.set_tag(parent.info.run_id, SECONDS, f"{time.time() - began:.1f}")


def _changes_results(override: str) -> bool:
    """Not where runs are tracked, nor how they are launched."""
    return not override.startswith(("tracking.", "hydra"))


def _newest(name: str, overrides: Sequence[str], since: int = 0) -> tuple["MlflowClient", "TrackedRun"]:
    """The sweep of an ablation that ended last, since a time in milliseconds."""
    given = [each.partition("=")[2] for each in overrides if each.startswith("tracking.uri=")]
    client = store.client(store.locate(given[-1] if given else None))
    experiment = client.get_experiment_by_name(name)
    query = f"tags.kind = 'sweep' AND attributes.end_time >= {since}"
    found = experiment and client.search_runs([experiment.experiment_id], query, max_results=1,
                                              order_by=["attributes.end_time DESC"])  # fmt: skip
    if not found:
        raise LabError(f"{name}: no sweep of it is tracked; `make ablation NAME={name}` runs one")
    return client, found[0]


def load(name: str, overrides: Sequence[str]) -> Sweep:
    """The newest sweep of an ablation, with all its runs.

    Raises LabError if there is none.
    """
    client, parent = _newest(name, overrides)
    query, token = f"tags.`{PARENT}` = '{parent.info.run_id}'", None
    children: list[TrackedRun] = []
    while token or not children:
        page = client.search_runs(
            [parent.info.experiment_id], query, page_token=token, order_by=["attributes.start_time ASC"]
        )
        children += page
        token = page.token
        if not token:
            break
    finished = [child for child in children if child.info.status == "FINISHED"]
    jobs = int(parent.data.tags[JOBS])
    missing = ""
    if parent.info.status in ("RUNNING", "KILLED"):
        missing = "missing runs: the sweep did not come to its end"
    elif len(finished) < jobs:
        missing = f"missing runs: {len(finished)} of {jobs} are there"
    runs = pooled([_run(client, child) for child in finished])
    tags = parent.data.tags
    return Sweep(
        client,
        parent.info.run_id,
        runs,
        jobs,
        missing,
        tags.get(OVERRIDES, ""),
        float(tags.get(SECONDS, "nan")),
        {key: tags[key] for key in provenance() if key in tags},
    )


def _run(client: "MlflowClient", tracked: "TrackedRun") -> Run:
    """A run from its artifacts: the configuration and the trace."""
    run_id, artifacts = tracked.info.run_id, tracked.info.artifact_uri
    config = configuration(artifact(client, run_id, artifacts, "config.yaml"), f"run {run_id}: config.yaml")
    return Run(tracked.info.run_name, config, read_trace(client, run_id, artifacts))


def publish(sweep: Sweep, files: Mapping[str, bytes]) -> None:
    """Put tables and figures into the sweep's parent run."""
    artifacts = sweep.client.get_run(sweep.parent).info.artifact_uri
    recorder.store_files(sweep.client, sweep.parent, artifacts, files)
