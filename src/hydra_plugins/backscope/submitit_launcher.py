"""The launchers `hydra/launcher=submitit_local` and `submitit_slurm`: a sweep dealt out to the tasks of a job array.

Starting a process takes longer than most runs, so each task works through a share of the sweep. It writes every
outcome as a line of JSON to a file in a folder that all machines see, and this process reads them as they come:
progress is shown, and what a dying task had finished is not lost.
"""

import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from backscope.config import ROOT, Config, ConfigError
from backscope.nn.domains import Count
from backscope.share import Parent, read_outcomes, work_through
from backscope.sweep import Job
from hydra_plugins.backscope.remote import RemoteLauncher

POLL = 0.2  # seconds between two looks at the files
ASK = 5.0  # seconds between two questions to Slurm, which serves others too
ABSENCES = 3  # answers without a task, and still no result of it: it died
LIST = ("squeue", "--me", "--noheader", "--array", "--format=%i")


class Flags:
    """Further options of sbatch."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, dict) and all(isinstance(each, str | int | float) for each in value.values())

    def __str__(self) -> str:
        return "options of sbatch, such as {reservation: lab}"


class SubmititLauncher(RemoteLauncher):
    """Deals jobs out to the tasks of a job array: processes of this machine, or of a Slurm cluster."""

    library, extra = "submitit", "slurm"
    domains: ClassVar = {
        "cluster": Literal["local", "slurm"],
        "jobs": Count | None,
        "folder": str | None,
        "timeout_min": Count,
        "cpus_per_task": Count,
        "mem_gb": Count,
        "partition": str | None,
        "account": str | None,
        "qos": str | None,
        "constraint": str | None,
        "additional_parameters": Annotated[dict, Flags()],
    }

    def start(self) -> None:
        """Check that jobs can be submitted; raises ConfigError where they cannot."""
        self.tasks: list[Any] = []
        logging.getLogger("submitit").setLevel(logging.ERROR)
        if self.options["cluster"] == "slurm" and shutil.which("sbatch") is None:
            raise ConfigError("hydra/launcher=submitit_slurm: no sbatch here; allowed is a machine of a Slurm cluster")
        self.root = Path(self.options["folder"] or ROOT / ".hydra" / "submitit").absolute()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"hydra.launcher.folder={self.root}: {error.strerror}") from error

    def stop(self) -> None:
        """Cancel the tasks that still run."""
        for task in self.tasks:
            if not task.paths.result_pickle.exists():
                task.cancel(check=False)
        self.tasks = []

    def _outcomes(self, jobs: Sequence[Job], indices: Sequence[int]) -> Iterator[tuple[int, Any]]:
        self.start()
        folder = Path(tempfile.mkdtemp(dir=self.root, prefix=time.strftime("%Y%m%d-%H%M%S-")))
        self.died = f"its task died: killed, out of memory or out of time; see {folder}"
        count = min(self.options["jobs"] or len(os.sched_getaffinity(0)), len(indices))
        missing = set(indices)
        try:
            entries = [(index, jobs[index].config, jobs[index].overrides) for index in indices]
            self._submit(folder, [entries[task::count] for task in range(count)])
            for index, value in self._follow(folder):
                missing.discard(index)
                yield index, value
        finally:
            self.stop()
            if not missing:
                shutil.rmtree(folder, ignore_errors=True)

    def _submit(self, folder: Path, shares: Sequence[Sequence[tuple[int, Config, Sequence[str]]]]) -> None:
        import submitit

        ours, common = ("cluster", "jobs", "folder"), ("timeout_min", "cpus_per_task", "mem_gb")
        given = {key: value for key, value in self.options.items() if key not in ours and value}
        parameters = {key if key in common else f"slurm_{key}": value for key, value in given.items()}
        sweep_id = shares[0][0][1].tracking.sweep_id
        parent = Parent(socket.gethostname(), os.getpid(), sweep_id)
        name = f"backscope-{sweep_id}"
        if self.options["cluster"] == "slurm" and sweep_id:  # what is left of this sweep, if it was killed
            subprocess.run(["scancel", "--me", f"--name={name}"], capture_output=True)
        try:
            with _stderr_to(folder / "submission.log"):
                executor = submitit.AutoExecutor(folder, cluster=self.options["cluster"])
                executor.update_parameters(name=name, **parameters)
                files = [folder / f"{task}.jsonl" for task in range(len(shares))]
                self.tasks = executor.map_array(work_through, shares, files, [parent] * len(shares))
        except submitit.core.utils.FailedJobError as error:
            shutil.rmtree(folder, ignore_errors=True)
            reason = " ".join(str(error).split())
            raise ConfigError(f"hydra/launcher=submitit_{self.options['cluster']}: {reason}") from error

    def _follow(self, folder: Path) -> Iterator[tuple[int, Any]]:
        """The outcomes as they come, until every task has ended."""
        positions: Counter[Path] = Counter()
        self.absences: Counter[str] = Counter()
        self.asked = time.monotonic()
        ended = False
        while not ended:
            time.sleep(POLL)
            ended = self._have_ended()  # asked first: what a task wrote before its end is read after it
            for path in sorted(folder.glob("*.jsonl")):
                for position, index, value in read_outcomes(path, positions[path]):
                    positions[path] = position
                    yield index, value

    def _have_ended(self) -> bool:
        """Whether every task has: with its result, or without it, when it is gone."""
        waiting = [task for task in self.tasks if not task.paths.result_pickle.exists()]
        if self.options["cluster"] == "local":
            return all(task.done() for task in waiting)
        if waiting and time.monotonic() > self.asked + ASK:
            self.asked = time.monotonic()
            queue = subprocess.run(LIST, capture_output=True, text=True)
            absent = [] if queue.returncode else [task for task in waiting if task.job_id not in queue.stdout.split()]
            self.absences = Counter({task.job_id: self.absences[task.job_id] + 1 for task in absent})
        return all(self.absences[task.job_id] >= ABSENCES for task in waiting)


@contextmanager
def _stderr_to(path: Path) -> Iterator[None]:
    """What child processes that start here write to stderr goes to a file."""
    before = os.dup(2)
    with open(path, "a") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
