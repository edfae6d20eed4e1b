"""The launcher `hydra/launcher=joblib`: runs jobs in joblib's worker processes, one BLAS thread each.

Hydra's own joblib launcher composes every job again in a worker, and shows nothing before the last job has ended.
This one starts its workers while jobs are being composed, sends them checked configurations, and hands over each
outcome when it comes.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from joblib.externals.loky import get_reusable_executor
from omegaconf import DictConfig

from backscope.app import RunFailed, start_worker, work
from backscope.config import Composer, check
from backscope.process import ONE_THREAD
from backscope.study import Study, check_options
from backscope.sweep import Job

DEATHS = 3  # of a pool of workers, after which what is left is given up


class BackscopeLauncher(JoblibLauncher):
    """Runs jobs in worker processes that are kept from one job to the next."""

    died = "its worker died: killed, or out of memory"

    @cached_property
    def composer(self) -> Composer:
        assert self.hydra_context is not None, "Hydra calls setup first"
        return Composer(self.hydra_context.config_loader, self.config)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """What Hydra calls before anything else; raises ConfigError for options of a sweeper that are not allowed."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        check_options(config.hydra.sweeper)
        logging.getLogger("optuna").setLevel(logging.WARNING)

    @cached_property
    def study(self) -> Study:
        assert self.config is not None, "Hydra calls setup first"
        hydra = self.config.hydra
        Path(hydra.sweep.dir).mkdir(parents=True, exist_ok=True)  # where Optuna's sweeper leaves its result
        fixed = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
        return Study(hydra.runtime.choices.get("experiment") or "study", [*fixed, *hydra.overrides.task])

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """What other sweepers than ours call, batch by batch: trials of one study."""
        jobs = [Job(check(self.composer(overrides)), overrides) for overrides in job_overrides]
        return self.study.launch(jobs, initial_job_idx, self.run)

    def start(self) -> None:
        """The workers; those that do not run yet start in the background."""
        count = self.joblib["n_jobs"]
        count = max(joblib.cpu_count() + 1 + count if count < 0 else count, 1)
        options = {"initializer": start_worker, "initargs": (os.getpid(),), "env": ONE_THREAD}
        self.workers = get_reusable_executor(count, timeout=300, **options)
        self.workers.submit(int)

    def stop(self) -> None:
        """End the workers at once, with what they are at (loky's own way to do it trips over jobs still queued)."""
        for pid in list(self.workers._processes):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.workers.shutdown()

    def run(self, jobs: Sequence[Job], on_end: Callable[[int, JobReturn], None] = lambda *_: None) -> list[JobReturn]:
        """The jobs' outcomes in the order of the jobs; `on_end(index, outcome)` is called when each has come.

        A job that raises is FAILED and stops no other. Jobs that a dying worker takes down with it run again.
        """
        returns: dict[int, JobReturn] = {}

        def end(index: int, status: JobStatus, value: Any) -> None:
            returns[index] = JobReturn(overrides=list(jobs[index].overrides), status=status, _return_value=value)
            on_end(index, returns[index])

        for _ in range(DEATHS):
            left = [index for index in range(len(jobs)) if index not in returns]
            for index, value in self._outcomes(jobs, left) if left else ():
                end(index, JobStatus.FAILED if isinstance(value, RunFailed) else JobStatus.COMPLETED, value)
        for index in range(len(jobs)):
            if index not in returns:
                end(index, JobStatus.FAILED, RunFailed(self.died, ""))
        return [returns[index] for index in range(len(jobs))]

    def _outcomes(self, jobs: Sequence[Job], indices: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Send these jobs to the workers; their outcomes as they come, but for those that a dying worker took along."""
        self.start()
        waiting = {self.workers.submit(work, jobs[index].config, jobs[index].overrides): index for index in indices}
        try:
            for future in as_completed(waiting):
                try:
                    yield waiting[future], future.result()
                except RunFailed as error:
                    yield waiting[future], error
                except BrokenProcessPool:
                    continue
        except BaseException:
            self.stop()
            raise
