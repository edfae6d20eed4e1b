"""A sweep: its runs and what varies between them, the parent run they are nested under, and what is said at its end."""

import hashlib
import json
import math
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice, product
from types import TracebackType
from typing import IO, Any

from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus

from backscope import display
from backscope.app import RunFailed, store_of
from backscope.config import Composer, Config, ConfigError, check
from backscope.tracking import liveness, pages, provenance, reader, spool, store, sweeps

LARGEST = 100_000  # runs in one sweep
SHOWN = 20  # failures in the description of the parent run


@dataclass(frozen=True)
class Job:
    """A checked configuration, the overrides that chose it, and its value on every axis of the sweep."""

    config: Config
    overrides: Sequence[str]
    point: tuple[str, ...] = ()


def expand(
    overrides: Sequence[Override],
) -> tuple[dict[str, list[str]], list[tuple[list[str], tuple[str, ...]]]]:
    """The axes (key → values) and every combination: its overrides and its point on the axes.

    Raises ConfigError for what cannot be swept.

    >>> from backscope.config.composing import parse
    >>> expand([parse("seed=3"), parse("model.depth=2,8")])
    ({'model.depth': ['2', '8']}, [(['seed=3', 'model.depth=2'], ('2',)), (['seed=3', 'model.depth=8'], ('8',))])
    """
    lines: dict[str, list[str]] = {}
    axes: dict[str, list[str]] = {}
    for override in overrides:
        key, line = override.get_key_element(), override.input_line or ""
        lines[key] = [line]  # a later override of the same key replaces an earlier one
        if not override.is_sweep_override():
            axes.pop(key, None)
        elif not override.is_discrete_sweep():
            raise ConfigError(f"{line}: allowed is a list of values, such as {key}=1,2 or {key}=range(1,5)")
        else:
            axes[key] = [str(value) for value in islice(override.sweep_string_iterator(), LARGEST + 1)]
            lines[key] = [f"{key}={value}" for value in axes[key]]
    for key in axes:
        if key == "experiment" or key.startswith("tracking"):
            raise ConfigError(f"{key}={','.join(axes[key])}: allowed in a sweep is one value; sweep once for each")
    if (count := math.prod(map(len, lines.values()))) > LARGEST:
        raise ConfigError(f"{' × '.join(axes)}: {count:,} runs or more; allowed in one sweep are {LARGEST:,}")
    plain = {key: [value.strip("'\"") for value in axes[key]] for key in lines if key in axes}
    points = product(*plain.values())  # in the order of the combinations, since other keys have one value each
    return plain, [(list(chosen), point) for chosen, point in zip(product(*lines.values()), points, strict=True)]


def run_name(axes: Sequence[str], point: Sequence[str]) -> str:
    """What varies, in short: names and the depth by themselves, other numbers with their key.

    >>> run_name(["init", "model.depth", "optimizer.lr"], ["zeros", "20", "0.1"])
    'zeros · 20 · lr=0.1'
    """
    bare = re.compile(r"(?!true$|false$|null$)[a-z_]\w*", re.IGNORECASE)
    return " · ".join(
        value if key == "model.depth" or bare.fullmatch(value) else f"{key.rsplit('.', 1)[-1]}={value}"
        for key, value in zip(axes, point, strict=True)
    )


class Sweep:
    """The context in which a sweep's jobs run: opens the parent run, shows the progress, and sums up."""

    def __init__(self, axes: dict[str, list[str]], jobs: Sequence[Job], title: str, started: float) -> None:
        self.axes, self.title, self.started = axes, title, started
        self.sweep_id = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        self.verdicts: dict[int, str] = {}
        self.failures: list[tuple[str, str]] = []
        self.parent: str | None = None
        self.alive: IO[Any] | None = None
        self.unsent = False  # whether runs wait in the spool
        self.gone = False  # whether the store was there at the end
        self.earlier = 0.0  # seconds that the sweep took before it was stopped, where it could still say so
        self.tracking = jobs[0].config.tracking
        self.console = display.console()
        if self.tracking.enabled:
            self._open(jobs)
        self.jobs = [replace(job, config=self._labelled(job)) for job in jobs]
        self.left = [index for index in range(len(jobs)) if index not in self.verdicts]
        self.progress = display.SweepProgress(len(jobs), self.console, list(self.verdicts.values()))

    def _open(self, jobs: Sequence[Job]) -> None:
        """Send what the last sweep could not; continue one of the same configurations that was stopped, or begin."""
        self.client, self.experiment_id = store_of(jobs[0].config)
        self.uri = store.locate(self.tracking.uri)
        sizes = " × ".join(f"{key} ({len(values)})" for key, values in self.axes.items())
        self.description = f"{len(jobs)} runs: {sizes}"
        with store.explained(self.uri):
            if spool.waiting(self.uri):
                sent, _ = spool.deliver(self.uri)
                self.console.print(f"{sent} runs that were kept are now in the store", highlight=False)
            self.hashes = [job.config.hash() for job in jobs]
            same = hashlib.sha256(" ".join([self.title, *self.hashes]).encode()).hexdigest()[:12]
            if not (self.tracking.resume and self._continue(same)):
                self._begin(same, len(jobs))

    def _begin(self, same: str, count: int) -> None:
        self.alive = liveness.take(self.sweep_id)
        labels = {sweeps.CONFIGURATIONS: same, sweeps.JOBS: str(count), liveness.HOST: liveness.host()}
        labels[sweeps.AXES] = json.dumps(self.axes)
        self.parent = sweeps.start_sweep(
            self.client,
            self.experiment_id,
            name=self.title,
            sweep_id=self.sweep_id,
            description=self.description,
            tags=provenance.provenance() | labels,
        )

    def _continue(self, same: str) -> bool:
        """Take over the newest sweep of these configurations that was stopped, if its processes are gone."""
        for run in sweeps.unfinished(self.client, self.experiment_id, same):
            tags, sweep_id = run.data.tags, run.data.tags["sweep_id"]
            if tags[liveness.HOST] != liveness.host():
                self._say(f"sweep {sweep_id} was not finished on {tags[liveness.HOST]}: continue it there")
            elif tags["code"] != provenance.code():
                self._say(f"the code has changed since sweep {sweep_id} was stopped: all runs start afresh")
            elif alive := liveness.take(sweep_id):
                known = sweeps.resume_sweep(self.client, run, self.tracking.experiment, self.uri)
                self.verdicts = {index: known[each] for index, each in enumerate(self.hashes) if each in known}
                self.earlier = run.data.metrics.get("summary/seconds_total", 0.0)
                self.alive, self.sweep_id, self.parent = alive, sweep_id, run.info.run_id
                self._say(f"continuing sweep {sweep_id}: {len(self.verdicts)} of {len(self.hashes)} runs are done")
                return True
        return False

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def _labelled(self, job: Job) -> Config:
        name = self.tracking.run_name or run_name(list(self.axes), job.point) or None
        uri = self.uri if self.parent else None
        labels = replace(self.tracking, uri=uri, run_name=name, parent=self.parent, sweep_id=self.sweep_id)
        return replace(job.config, tracking=labels)

    def overrides(self, job: Job) -> list[str]:
        """A job's overrides for a launcher that composes by itself, with what this sweep filled in."""
        filled = {key: getattr(job.config.tracking, key) for key in ("uri", "run_name", "parent", "sweep_id")}
        quoted = {key: value.replace("'", r"\'") for key, value in filled.items() if value}
        return [*job.overrides, *(f"tracking.{key}='{value}'" for key, value in quoted.items())]

    def __enter__(self) -> "Sweep":
        self.progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.__exit__(kind, error, trace)
        with nullcontext() if kind is None else store.impatient():
            self._report(interrupted=kind is not None)
        if self.alive:
            self.alive.close()
        if self.alive and kind is None:
            liveness.forget(self.sweep_id)

    def end(self, place: int, returned: JobReturn) -> None:
        """Note the outcome of a job, by its place among those that were left."""
        index = self.left[place]
        name, value = self.jobs[index].config.tracking.run_name or "run", returned._return_value
        if returned.status == JobStatus.COMPLETED:
            self.verdicts[index] = value.verdict
            self.progress.finished(value.verdict)
        else:
            reason = (
                value.reason if isinstance(value, RunFailed) else f"{type(value).__name__}: {value}".splitlines()[0]
            )
            self.verdicts[index] = "failed"
            self.failures.append((name, reason))
            self.progress.failed(name, reason)

    def _report(self, interrupted: bool) -> None:
        """What came out, on the terminal and in the parent run."""
        if self.parent:
            self._deliver(interrupted)
            self._in_store(self._settle)
        out, done, total = self.console, len(self.verdicts), len(self.jobs)
        by_point = {self.jobs[index].point: verdict for index, verdict in self.verdicts.items()}
        header, rows = display.sweep_table(self.axes, by_point)
        seconds = time.perf_counter() - self.started
        if not interrupted:
            display.print_table(out, header, rows)
        logs = self._logs() if self.parent and self.failures else {}
        for name, reason in self.failures:
            log = f"; log: {logs[name]}" if name in logs else ""
            out.print(f"failed: {name}: {reason}{log}", style="red", highlight=False, soft_wrap=True)
        left = f"; interrupted, {total - done} left, the same command continues" if interrupted else ""
        in_all = f" ({self.earlier + seconds:.1f} s in all)" if self.earlier else ""
        self._say(f"{done} of {total} runs in {seconds:.1f} s{in_all}{left}")
        out.print(display.counts(list(self.verdicts.values())))
        if self.parent:
            if spool.waiting(self.uri):
                self._say(spool.notice(self.uri))
            status = "KILLED" if interrupted else "FAILED" if self.failures or self.unsent else "FINISHED"
            self._in_store(lambda parent: self._close(parent, display.markdown(header, rows), status, seconds))
            page = pages.sweep_page(self.uri, self.experiment_id, self.sweep_id)
            self._say(f"to see them: {pages.how_to_open(self.uri)}{page}")

    def _in_store(self, step: Callable[[str], None]) -> None:
        """Take a step of closing the parent run; where the store has gone, say so once."""
        if self.parent and not self.gone:
            try:
                with store.explained(self.uri):
                    step(self.parent)
                    store.check_there(self.uri)
            except store.StoreError as error:
                self.gone = self.unsent = True
                later = "" if isinstance(error, store.StoreLost) else "; the same command does it later"
                self._say(f"the sweep could not be closed: {error}{later}")

    def _deliver(self, interrupted: bool) -> None:
        """Try once more to send what could not be sent."""
        if interrupted:
            self.unsent = bool(spool.waiting(self.uri))
        elif spool.waiting(self.uri):
            _, left = spool.deliver(self.uri)
            self.unsent = bool(left)

    def _settle(self, parent: str) -> None:
        """See to it that what the store calls finished is whole, and there once; its runs count, told of or not."""
        known, broken = sweeps.settle(self.client, self.tracking.experiment, self.sweep_id, self.uri)
        for index, each in enumerate(self.hashes):
            if each in broken:
                self.verdicts[index] = "failed"
                self.failures.append((self.jobs[index].config.tracking.run_name or "run", sweeps.MISSING))
            elif each in known:
                self.verdicts.setdefault(index, known[each])

    def _logs(self) -> dict[str, str]:
        """Where the tracebacks of failed runs are, by the runs' names; empty if the store cannot say."""
        with suppress(Exception):
            failed = reader.runs(self.tracking.experiment, self.sweep_id, self.uri, "FAILED")
            return {run["name"]: f"{store.local(run['artifacts']) or run['artifacts']}/error.txt"
                    for _, run in failed.iterrows()}  # fmt: skip
        return {}

    def _close(self, parent: str, table: list[str], status: str, seconds: float) -> None:
        numbers = {**Counter(self.verdicts.values()), "seconds_total": self.earlier + seconds}
        failures = [f"- failed: {name}: {reason}" for name, reason in self.failures[:SHOWN]]
        note = "\n".join([f"{self.description}\n", *table, "", *failures])
        files: dict[str, bytes] = {}
        run = self.client.get_run(parent)
        if status != "KILLED":
            try:
                from backscope.analysis.summary import sweep_files  # with pandas, which takes a while

                files = sweep_files(run, self.uri)
            except Exception as error:  # a report that cannot be made must not keep the sweep from being closed
                reason = f"no report: {type(error).__name__}: {error}"
                note += f"\n\n{reason}"
                self._say(reason)
        sweeps.finish_sweep(self.client, parent, description=note, status=status, numbers=numbers, files=files)
        if files and (folder := store.local(run.info.artifact_uri)):
            self._say(f"report: {folder / 'report.html'}")


def prepare(overrides: Sequence[Override], composer: Composer, title: str) -> Sweep:
    """The sweep over these overrides, with every configuration checked.

    Raises ConfigError or Hydra's exceptions for the first that is not allowed, StoreError without a usable store.
    """
    started = time.perf_counter()
    axes, combinations = expand(overrides)
    jobs = [Job(check(composer(lines)), lines, point) for lines, point in combinations]
    return Sweep(axes, jobs, title, started)
