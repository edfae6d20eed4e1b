"""A share of a sweep, worked through by a task of a job array; its outcomes, as lines of a file."""

import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.utils import JobStatus

from backscope.app import Outcome, RunFailed
from backscope.sweep import Job
from hydra_plugins.backscope.remote import attempt


class Parent(NamedTuple):
    """The process of the sweep."""

    host: str
    pid: int

    def has_gone(self) -> bool:
        """Whether it has ended, as far as can be seen from here."""
        return self.host == socket.gethostname() and not Path(f"/proc/{self.pid}").exists()


def work_through(share: Sequence[tuple[int, Job]], file: Path, parent: Parent) -> None:
    """Run a share's jobs, and write a line to `file` after each.

    A task that is started anew, as Slurm does when a node fails, goes on where it was.
    """
    done = {index for _, index, *_ in read_outcomes(file)} if file.exists() else set()
    with open(file, "a") as lines:
        for index, job in share:
            if parent.has_gone():
                return
            if index not in done:
                _, value = attempt(job.config, job.overrides)
                entry = {"index": index, "kind": type(value).__name__, "arguments": value.__reduce__()[1]}
                lines.write(json.dumps(entry) + "\n")
                lines.flush()


def read_outcomes(file: Path, position: int = 0) -> Iterator[tuple[int, int, JobStatus, Any]]:
    """The outcomes in a file from a position on: the position behind each, its job's index, status and value."""
    with open(file, "rb") as lines:
        lines.seek(position)
        for line in lines:
            if not line.endswith(b"\n"):
                return  # half written, as yet
            position += len(line)
            entry = json.loads(line)
            if entry["kind"] == Outcome.__name__:
                yield position, entry["index"], JobStatus.COMPLETED, Outcome(*entry["arguments"])
            else:
                yield position, entry["index"], JobStatus.FAILED, RunFailed(*entry["arguments"])
