"""The application: one configuration in, one tracked run out."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from backscope.config import CONF, Config, ConfigError, check
from backscope.process import importing, use_one_thread
from backscope.tracking import liveness, pages, provenance, recorder, spool, store

if TYPE_CHECKING:
    from backscope.analysis.diagnosis import Verdict
    from backscope.data import Dataset, Source
    from backscope.training import Record


KEPT = 50_000_000  # bytes of inputs that a process keeps for its next run


class Outcome(float):
    """What a sweep learns of a run: its test loss, as a number that Hydra's sweepers can minimize, and the rest beside.

    A run that diverged has an infinite loss; one that was tracked, but waits in the spool, has no `run_id`.
    """

    verdict: str
    run_id: str | None

    def __new__(cls, loss: float, verdict: str = "", run_id: str | None = None) -> "Outcome":
        outcome = super().__new__(cls, loss)
        outcome.verdict, outcome.run_id = verdict, run_id
        return outcome

    def __reduce__(self) -> tuple[Any, ...]:
        return Outcome, (float(self), self.verdict, self.run_id)


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def hydra_main(composed: DictConfig) -> Outcome:
    """What Hydra calls with a composed configuration: in this process for one run, in a worker for a sweep's."""
    use_one_thread()
    context = HydraConfig.get()
    alone = context.mode == RunMode.RUN
    try:
        config = check(composed)
        record, verdict, run_id = run(config, list(context.overrides.task))
    except (ConfigError, store.StoreError) as error:
        if alone:
            stop(error)
        raise
    if alone:
        from backscope.display import show_run

        uri = store.locate(config.tracking.uri)
        page = run_id and pages.how_to_open(uri) + pages.run_page(uri, store_of(config)[1], run_id)
        show_run(record, verdict, page or None)
        if run_id and config.tracking.uri is None:
            print(f"to see δ flow back through it: `make show RUN={run_id}`")
        if config.tracking.enabled and not run_id:
            print(f"backscope: {spool.notice(uri)}", file=sys.stderr)
            raise SystemExit(1)
    return outcome(record, verdict, run_id)


def stop(error: Exception | str) -> NoReturn:
    """End the program as it ends for every bad configuration: one line, exit status 2."""
    print(f"backscope: {error}", file=sys.stderr)
    raise SystemExit(2)


def run(
    config: Config, overrides: Sequence[str] = (), own: "Source | None" = None
) -> tuple["Record", "Verdict", str | None]:
    """Train a configuration (on one's own data), judge it and track it; the last is MLflow's run id, None if not sent.

    Raises StoreError, before anything is trained, if the store cannot be used; a sweep has asked already.
    """
    if config.tracking.enabled and not config.tracking.parent:
        store_of(config)
    try:
        record, verdict = measure(config, own)
        if not config.tracking.enabled:
            return record, verdict, None
    except Exception as error:
        with suppress(Exception):  # the first error is the one to report
            log = traceback.format_exc()
            send(config, recorder.failure(kept(config), error, log=log, **labels(config, overrides)))
        raise
    recorded = replace(record, config=kept(config))
    named = labels(config, overrides) | {
        "series": config.tracking.series,
        "files": model_files(record) | figure_files(record),
    }
    return record, verdict, send(config, recorder.entry(recorded, verdict, **named))


def send(config: Config, entry: recorder.Entry) -> str | None:
    """Track an entry if the configuration wants that; its run id, None if it was not sent."""
    tracking = config.tracking
    return spool.send(store.locate(tracking.uri), tracking.experiment, entry) if tracking.enabled else None


def measure(config: Config, own: "Source | None" = None) -> tuple["Record", "Verdict"]:
    """Train a configuration, every replica on its own draw and split of the data, and judge it."""
    from backscope.analysis.diagnosis import diagnose
    from backscope.data import describe
    from backscope.training import train

    shape = describe(own=own, **config.data)
    size = 8 * config.replicas * shape.n_in * (shape.n_train + shape.n_test)
    draw = datasets if own is None and size < KEPT else datasets.__wrapped__
    record = train(config, draw(config.seed, config.replicas, own=own, **config.data))
    return record, diagnose(record)


@lru_cache(maxsize=2, typed=True)
def datasets(seed: int, replicas: int, **data: Any) -> "list[Dataset]":
    """Every replica's draw and split of the data; a sweep's runs mostly ask for the same again."""
    from backscope.data import load
    from backscope.training import Streams

    return [load(rng=Streams.of(seed + replica).data, **data) for replica in range(replicas)]


def model_files(record: "Record") -> dict[str, bytes]:
    """The trained network as an MLflow model, where that is asked for."""
    if not record.config.tracking.log_model:
        return {}
    from backscope.tracking import models

    return models.files(record)


def figure_files(record: "Record") -> dict[str, bytes]:
    """The figures of a run, where they are asked for, or nothing is asked for and it is no sweep's."""
    wanted = record.config.tracking.figures
    if not (record.config.tracking.parent is None if wanted is None else wanted):
        return {}
    from backscope.analysis import figures
    from backscope.tracking import reader, trace

    try:
        return figures.run_files(reader.parse(trace.to_parquet(record)), record.config.model.width)
    except Exception:  # what was measured is worth more than a picture of it
        return {"figures/error.txt": traceback.format_exc().encode()}


def outcome(record: "Record", verdict: "Verdict", run_id: str | None) -> Outcome:
    """The median test loss over the replicas; infinite for those that diverged."""
    losses = np.where(record.diverged_at < 0, record.final("test/loss"), np.inf)
    return Outcome(float(np.median(losses)), verdict.name, run_id)


def kept(config: Config) -> Config:
    """The configuration as it is recorded: without where it went, which may hold a password."""
    return replace(config, tracking=replace(config.tracking, uri=None, run_name=None, parent=None, sweep_id=None))


def labels(config: Config, overrides: Sequence[str]) -> dict[str, Any]:
    """Name, tags, parent, overrides and id of a run, as the recorder takes them."""
    tracking = config.tracking
    tags = provenance.provenance() | {"config_hash": config.hash()}
    if tracking.sweep_id:
        tags["sweep_id"] = tracking.sweep_id
    identity = f"{tracking.sweep_id}-{config.hash()}" if tracking.sweep_id else None  # so that a job run again is known
    chosen = (config.init.name, config.activation.name, str(config.model.depth), config.optimizer.name)
    own = [each for each in overrides if not each.startswith("tracking.")]
    return {
        "name": tracking.run_name or " · ".join(chosen),
        "parent": tracking.parent,
        "tags": tags,
        "overrides": own,
        "id": identity,
    }


def store_of(config: Config) -> tuple[Any, str]:
    """This process's MLflow client of the configured store, and the experiment's id; made where they are missing."""
    uri = store.locate(config.tracking.uri)
    experiment_id = store.experiment_id(uri, config.tracking.experiment)  # first: it makes the store, under a lock
    store.check_there(uri)
    return store.client(uri), experiment_id


class RunFailed(Exception):
    """A run of a sweep raised: what, in one line, and the traceback."""

    def __init__(self, reason: str, log: str) -> None:
        super().__init__(reason, log)
        self.reason, self.log = reason, log


def work(config: Config, overrides: Sequence[str]) -> Outcome:
    """One run of a sweep, in a worker.

    Raises RunFailed, which travels between processes, for whatever was raised.
    """
    try:
        with liveness.working(config.tracking.sweep_id):
            return outcome(*run(config, overrides))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise RunFailed(reason, traceback.format_exc()) from None


def start_worker(parent: int | None = None) -> None:
    """Pay for the imports of a worker before its first run, and leave Ctrl-C to the parent.

    `parent` is the process that started it, which may have ended before this worker could ask who it is.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, args=(parent or os.getppid(),), daemon=True).start()
    use_one_thread()
    with importing():
        for module in ("mlflow.tracking", "pyarrow.parquet", "sklearn.datasets", "sklearn.model_selection"):
            import_module(module)
        for module in ("backscope.analysis.diagnosis", "backscope.training"):
            import_module(module)


def _end_with_parent(parent: int) -> None:
    """End this worker when the process that started it has ended, however that came."""
    while os.getppid() == parent:
        sleep(0.2)
    os._exit(1)
