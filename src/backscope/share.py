"""A share of a sweep, worked through by one process of a cluster; its outcomes, as lines of a file."""

import json
import socket
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from backscope.app import Outcome, RunFailed, start_worker, work
from backscope.config import Config
from backscope.tracking import liveness


def attempt(config: Config, overrides: Sequence[str]) -> Outcome | RunFailed:
    """One run in a worker, which is prepared for its first; what the run raised is returned."""
    prepare()
    try:
        return work(config, overrides)
    except RunFailed as error:
        return error


@cache
def prepare() -> None:
    """Prepare this worker, once."""
    start_worker()


class Parent(NamedTuple):
    """The process of the sweep, as others see it: those on its machine by its id, those elsewhere by its lock."""

    host: str
    pid: int
    sweep_id: str | None

    def is_here(self) -> bool:
        """Whether it is, or was, on this machine."""
        return self.host == socket.gethostname()

    def lives(self) -> bool:
        """Whether it is there; False, too, on a machine to which the file system does not show its lock."""
        if self.is_here():
            return Path(f"/proc/{self.pid}").exists()
        return self.sweep_id is not None and liveness.is_held(self.sweep_id)


def work_through(share: Sequence[tuple[int, Config, Sequence[str]]], file: Path, parent: Parent) -> None:
    """Run the jobs (index, configuration, overrides) of a share, and write a line to `file` after each.

    It stops when the sweep has gone, for a sweep that continues runs them itself. A task that is started anew, as
    Slurm does when a node fails, goes on where it was.
    """
    before = list(read_outcomes(file)) if file.exists() else []
    done = {index for _, index, _ in before}
    can_tell = parent.is_here() or parent.lives()
    with open(file, "a") as lines:
        lines.truncate(before[-1][0] if before else 0)  # half a line of a task that was killed
        for index, config, overrides in share:
            if can_tell and not parent.lives():
                return
            if index not in done:
                value = attempt(config, overrides)
                entry = {"index": index, "kind": type(value).__name__, "arguments": value.__reduce__()[1]}
                lines.write(json.dumps(entry) + "\n")
                lines.flush()


def read_outcomes(file: Path, position: int = 0) -> Iterator[tuple[int, int, Outcome | RunFailed]]:
    """The outcomes in a file from a position on: the position behind each, its job's index, and itself."""
    with open(file, "rb") as lines:
        lines.seek(position)
        for line in lines:
            if not line.endswith(b"\n"):
                return  # half written, as yet
            position += len(line)
            entry: dict[str, Any] = json.loads(line)
            kind = {"Outcome": Outcome, "RunFailed": RunFailed}[entry["kind"]]
            yield position, entry["index"], kind(*entry["arguments"])
