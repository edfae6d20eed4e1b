"""A study: runs that another sweeper of Hydra's than ours chooses batch by batch, such as Optuna's, under one parent.

Hydra tells a launcher of each batch and of no end, so the parent run is closed after every batch with all that is
known by then. A configuration that was chosen before is not run again: it would give the same, to the last bit.
A trial that fails counts as one that diverged, so that the study goes on; the program's exit status says so.
"""

import math
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Literal

from hydra.core.utils import JobReturn, JobStatus

from backscope import display
from backscope.app import Outcome, store_of
from backscope.config import check_values
from backscope.nn.domains import Count
from backscope.sweep import Job, run_name
from backscope.tracking import liveness, pages, provenance, spool, store, sweeps

OPTIONS: dict[str, Any] = {"n_trials": Count, "n_jobs": Count, "direction": Literal["minimize"]}
WORST = Outcome(math.inf, "failed")
HEADER = ["trial", "choice", "verdict", "test loss"]


def check_options(options: Mapping[str, Any]) -> None:
    """Raise ConfigError for an option of Optuna's sweeper that is not allowed: the objective is a run's test loss."""
    given = {key: getattr(options[key], "name", options[key]) for key in OPTIONS if key in options}
    check_values("hydra.sweeper", given, {key: OPTIONS[key] for key in given})


def _came_through(returned: JobReturn) -> bool:
    return returned.status == JobStatus.COMPLETED


class Study:
    """The trials so far; `fixed` are overrides that all of them have."""

    failed: ClassVar[bool] = False  # whether a trial of this program's study did

    def __init__(self, title: str, fixed: Collection[str]) -> None:
        self.title, self.fixed = title, fixed
        self.sweep_id = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        self.parent: str | None = None
        self.returns: dict[str, JobReturn] = {}  # by the hash of the configuration
        self.rows: list[list[str]] = []
        self.best: tuple[float, str] | None = None
        self.console = display.console()

    def launch(
        self, jobs: Sequence[Job], first: int, run: Callable[[Sequence[Job]], Sequence[JobReturn]]
    ) -> list[JobReturn]:
        """The outcomes of a batch of trials, of which the first has this number."""
        if jobs[0].config.tracking.enabled:
            self._open(jobs[0])
        jobs = [self._labelled(job, first + place) for place, job in enumerate(jobs)]
        new: dict[str, Job] = {}
        for job in jobs:
            if job.config.hash() not in self.returns:
                new.setdefault(job.config.hash(), job)
        try:
            self.returns |= zip(new, run(list(new.values())), strict=True)
        except BaseException:
            self._close("KILLED")
            raise
        returns = [self.returns[job.config.hash()] for job in jobs]
        for place, (job, each) in enumerate(zip(jobs, returns, strict=True)):
            self._note(str(first + place), job, each)
        self._close("FAILED" if Study.failed else "FINISHED")
        return [
            each if _came_through(each) else replace(each, status=JobStatus.COMPLETED, _return_value=WORST)
            for each in returns
        ]

    def _open(self, job: Job) -> None:
        """The parent run, begun or opened again."""
        self.client, experiment_id = store_of(job.config)
        self.uri = store.locate(job.config.tracking.uri)
        if self.parent:
            self.client.update_run(self.parent, "RUNNING")
            return
        tags = provenance.provenance()
        self.parent = sweeps.start_sweep(self.client, experiment_id, name=self.title, sweep_id=self.sweep_id, tags=tags)
        page = pages.sweep_page(self.uri, experiment_id, self.sweep_id)
        self._say(f"the trials: {pages.how_to_open(self.uri)}{page}")

    def _labelled(self, job: Job, trial: int) -> Job:
        name, uri = f"trial {trial:02d} · {self._choice(job)}", self.uri if self.parent else None
        tracking = replace(job.config.tracking, run_name=name, parent=self.parent, sweep_id=self.sweep_id, uri=uri)
        return replace(job, config=replace(job.config, tracking=tracking))

    def _choice(self, job: Job) -> str:
        """What the sweeper chose, in short."""
        plain = [each.replace("\\", "") for each in job.overrides]  # without Optuna's escapes
        chosen = [each.partition("=")[::2] for each in plain if each not in self.fixed]
        return run_name([key for key, _ in chosen], [_short(value) for _, value in chosen])

    def _note(self, trial: str, job: Job, returned: JobReturn) -> None:
        value = returned._return_value
        if _came_through(returned):
            verdict, loss = value.verdict, f"{value:.4g}"
            self.best = min(
                self.best or (float("inf"), ""), (float(value), f"trial {trial}, {loss}: {self._choice(job)}")
            )
        else:
            Study.failed = True
            verdict, loss = "failed", str(getattr(value, "reason", value)).splitlines()[0]
        self.rows.append([trial, self._choice(job), verdict, loss])
        self._say(f"trial {trial}: {self._choice(job)}: {verdict}, {loss}")

    def _close(self, status: str) -> None:
        """All that is known so far, on the terminal and in the parent run."""
        best = f"best so far: {self.best[1]}" if self.best else "no trial came to its end"
        self._say(best)
        if self.parent:
            note = "\n".join([f"{len(self.rows)} trials, {best}\n", *display.markdown(HEADER, self.rows)])
            numbers = {"best_test_loss": self.best[0]} if self.best else {}
            with store.explained(self.uri):
                sweeps.finish_sweep(self.client, self.parent, description=note, status=status, numbers=numbers)
            liveness.forget(self.sweep_id)
            if spool.waiting(self.uri):
                self._say(spool.notice(self.uri))

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)


def _short(value: str) -> str:
    """A number that was drawn, to three digits.

    >>> _short("0.04491523825137997"), _short("relu"), _short("32")
    ('0.0449', 'relu', '32')
    """
    try:
        return min(f"{float(value):.3g}", value, key=len)
    except ValueError:
        return value
