"""The launcher `hydra/launcher=joblib`: runs jobs in joblib's worker processes, one BLAS thread each.

Hydra's own joblib launcher composes every job again in a worker, and shows nothing before the last job has ended.
This one starts its workers while jobs are being composed, sends them checked configurations, and hands over each
outcome when it comes.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cached_property
from typing import Any

import joblib
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from joblib.externals.loky import get_reusable_executor

from backscope.app import RunFailed, start_worker, work
from backscope.config import Composer, check
from backscope.sweep import Job
from backscope.process import ONE_THREAD

DEATHS = 3  # of a pool of workers, after which what is left is given up


class BackscopeLauncher(JoblibLauncher):  # type: ignore[misc]
    """Runs jobs in worker processes that are kept from one job to the next."""

    @cached_property
    def composer(self) -> Composer:
        return Composer(self.hydra_context.config_loader, self.config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """What any sweeper of Hydra's calls."""
        return self.run([Job(check(self.composer(overrides)), overrides) for overrides in job_overrides])

    def start(self) -> Executor:
        """The workers; those that do not run yet start in the background."""
        workers = self.joblib["n_jobs"]
        workers = max(joblib.cpu_count() + 1 + workers if workers < 0 else workers, 1)
        self.workers = get_reusable_executor(workers, timeout=300, initializer=start_worker, env=ONE_THREAD)
        self.workers.submit(int)
        return self.workers

    def stop(self) -> None:
        """End the workers at once, with what they are at."""
        self.workers.shutdown(kill_workers=True)

    def run(self, jobs: Sequence[Job], on_end: Callable[[int, JobReturn], None] = lambda *_: None) -> list[JobReturn]:
        """The jobs' outcomes in the order of the jobs; `on_end(index, outcome)` is called when each has come.

        A job that raises is FAILED and stops no other. Jobs that a dying worker takes down with it run again.
        """
        returns: dict[int, JobReturn] = {}

        def end(index: int, status: JobStatus, value: Any) -> None:
            returns[index] = JobReturn(overrides=list(jobs[index].overrides), status=status, _return_value=value)
            on_end(index, returns[index])

        for _ in range(DEATHS):
            workers = self.start()
            waiting = {workers.submit(work, jobs[i].config, jobs[i].overrides): i for i in range(len(jobs)) if i not in returns}
            try:
                for future in as_completed(waiting):
                    with suppress(BrokenProcessPool):
                        try:
                            end(waiting[future], JobStatus.COMPLETED, future.result())
                        except RunFailed as error:
                            end(waiting[future], JobStatus.FAILED, error)
            except BaseException:
                self.stop()
                raise
            if len(returns) == len(jobs):
                break
        for index in range(len(jobs)):
            if index not in returns:
                end(index, JobStatus.FAILED, RunFailed("its worker died: killed, or out of memory", ""))
        return [returns[index] for index in range(len(jobs))]
