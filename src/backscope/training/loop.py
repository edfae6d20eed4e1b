"""The training loop: batch, forward, backward, measure, update, again (Robbins & Monro 1951).

Step t is the state after t updates. The gradient at step t is measured as backpropagation left it, before clipping;
step 0 is the initialization, and the last step is measured but not followed by an update.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np

from backscope.data import Dataset, summary
from backscope.nn.activations import activation
from backscope.nn.initializers import initialize
from backscope.nn.network import Architecture, Network
from backscope.nn.optimizers import OPTIMIZERS, clip_by_global_norm
from backscope.nn.schedules import SCHEDULES, with_warmup
from backscope.probes import INSTRUMENTS, PROBES, moments, of_tier
from backscope.training.batches import Batches, targets
from backscope.training.prediction import predicted
from backscope.training.record import Record, Series
from backscope.training.streams import Streams

Array = np.ndarray
EXAMPLE = 5  # inputs that show what the network takes
CLOCKED = ("probes", "theory", "evaluation")


def build(config: Any, datasets: Sequence[Dataset], streams: Sequence[Streams]) -> Network:
    """The configured network for these datasets, a replica each, with its parameters drawn."""
    init = dict(config.init)
    network = construct(config, datasets[0].x_train.shape[1], datasets[0].n_out, len(datasets))
    network.dropout_rngs = [stream.dropout for stream in streams]
    initialize(network, [stream.init for stream in streams], **init)
    if init["name"] == "lsuv":
        size = config.training.batch_size
        network.calibrate(np.stack([data.x_train[:size] for data in datasets]).astype(config.dtype))
    return network


def construct(config: Any, n_in: int, n_out: int, replicas: int) -> Network:
    """The configured network, with its parameters still 0."""
    architecture = Architecture(
        n_in=n_in,
        n_out=n_out,
        activation=activation(**config.activation),
        normalization=config.normalization["name"],
        loss=config.loss["name"],
        **vars(config.model),
    )
    return Network(architecture, replicas, config.dtype)


def restore(config: Any, data: Mapping[str, Any], theta: Array, statistics: Array) -> Network:
    """The network of a record, from its parameters (R, P) and its statistics (R, S)."""
    network = construct(config, data["n_in"], data["n_out"], len(theta))
    network.theta[:] = theta
    start = 0
    for kept in network.statistics():
        kept[:] = statistics[:, start : start + kept.shape[1]]
        start += kept.shape[1]
    return network


def train(config: Any, datasets: Sequence[Dataset]) -> Record:
    """Train one network a dataset, side by side, as configured; dataset r belongs to seed config.seed + r."""
    return Trainer(config, datasets).run()


class Trainer:
    """One run: a network, its batches, and what was measured so far."""

    def __init__(self, config: Any, datasets: Sequence[Dataset]) -> None:
        self.config, self.datasets = config, datasets
        streams = [Streams.of(config.seed + replica) for replica in range(len(datasets))]
        self.network = build(config, datasets, streams)
        training = config.training
        self.batches = Batches(datasets, training.batch_size, [s.batches for s in streams], config.dtype)
        optimizer, schedule = dict(config.optimizer), dict(config.schedule)
        self.lr = optimizer.pop("lr")
        self.optimizer = OPTIMIZERS[optimizer.pop("name")](**optimizer)
        warmup = schedule.pop("warmup")
        self.schedule = with_warmup(SCHEDULES[schedule.pop("name")](training.steps, **schedule), warmup)
        self.diverged_at = np.full(len(datasets), -1)
        self.layers: dict[str, Series] = defaultdict(Series)
        self.scalars: dict[str, Series] = defaultdict(Series)
        self.seconds = dict.fromkeys(CLOCKED, 0.0)
        self.theory: dict[str, Array] = {}
        self.test: tuple[Array, Array] | None = None

    def run(self) -> Record:
        """All steps, or as many as there are until every replica has diverged."""
        steps, probes = self.config.training.steps, self.config.probes
        measured = set(moments(steps, probes.schedule, probes.points, probes.every))
        evaluated = set(moments(steps, points=self.config.training.evaluations))
        start = perf_counter()
        with np.errstate(all="ignore"):
            for step in range(steps + 1):
                if not self._backpropagate(step):
                    break
                if step in measured:
                    self._measure(step, "gradient")
                if step == 0 and probes.tier != "none":
                    self._predict()
                if step in evaluated:
                    self._evaluate(step, last=step == steps)
                if step < steps:
                    self._update(step)
                    if step in measured:
                        self._measure(step, "update")
        self.seconds["total"] = perf_counter() - start
        self.seconds["training"] = self.seconds["total"] - sum(self.seconds[name] for name in CLOCKED)
        return self._record()

    def _backpropagate(self, step: int) -> bool:
        """Loss and gradient of the next batch; is any replica left that has not diverged?"""
        loss = self.network.forward(*self.batches.next())
        self.network.backward()
        self.scalars["train/loss"].add(step, loss)
        finite = np.isfinite(loss)
        if finite.all():
            return True
        self.diverged_at[(self.diverged_at < 0) & ~finite] = step
        return bool((self.diverged_at < 0).any())

    def _update(self, step: int) -> None:
        network, limit = self.network, self.config.training.clip_norm
        if limit is not None:
            clip_by_global_norm(network.gradient, limit)
        self.optimizer.update(network.theta, network.gradient, self.lr * self.schedule(step))

    def _measure(self, step: int, moment: str) -> None:
        with self._clock("probes"):
            for probe in of_tier(self.config.probes.tier):
                if probe.moment == moment:
                    self.layers[probe.name].add(step, probe.measure(self.network))
            for instrument in self.config.probes.extra if moment == "gradient" else ():
                for name, value in INSTRUMENTS[instrument].measure(self.network).items():
                    self.scalars[name].add(step, value)

    def _predict(self) -> None:
        """What theory says of the first replica's first batch."""
        with self._clock("theory"):
            network = self.network
            self.theory = predicted(self.config, network, network.x1[0, :, :-1], network.y[0])

    def _evaluate(self, step: int, last: bool) -> None:
        """Loss and score on the test set, and at the last step on the whole training set too."""
        with self._clock("evaluation"):
            for part in ("test", "train")[: 1 + last]:
                x, y = self._part(part)
                if not x.shape[1]:  # an estimator trains on all it is given
                    continue
                outputs = self.network.predict(x)
                loss = "test/loss" if part == "test" else "train/full_loss"  # train/loss is the batch's
                self.scalars[loss].add(step, self.network.loss(outputs, y))
                name, values = score(outputs, y, self.datasets[0].task)
                self.scalars[f"{part}/{name}"].add(step, values)

    def _part(self, part: str) -> tuple[Array, Array]:
        """The whole training or test set of every replica."""
        if part == "train":
            return self.batches.x, self.batches.y
        if not self.test:
            dtype = self.config.dtype
            x = np.stack([data.x_test for data in self.datasets]).astype(dtype, copy=False)
            self.test = (x, np.stack([targets(data.y_test, data.n_out, dtype) for data in self.datasets]))
        return self.test

    @contextmanager
    def _clock(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.seconds[name] += perf_counter() - start

    def _record(self) -> Record:
        layers = {name: self.layers[name].arrays(self.diverged_at) for name in PROBES if name in self.layers}
        steps = max((steps for steps, _ in layers.values()), key=len, default=np.zeros(0, dtype=int))
        return Record(
            config=self.config,
            steps=steps,
            layers={name: _padded(values, len(steps)) for name, (_, values) in layers.items()},
            scalars={name: series.arrays(self.diverged_at) for name, series in self.scalars.items()},
            diverged_at=self.diverged_at,
            seconds=dict(self.seconds),
            theta=self.network.theta,
            statistics=np.concatenate([np.zeros((len(self.datasets), 0)), *self.network.statistics()], axis=1),
            data=summary(self.datasets),
            example=self.datasets[0].x_train[:EXAMPLE].astype(self.config.dtype),
            theory=self.theory,
        )


def _padded(values: Array, length: int) -> Array:
    """Values (S, R, L) with NaN for moments without one: there is no update after the last step."""
    return np.concatenate([values, np.full((length - len(values), *values.shape[1:]), np.nan)])


def score(outputs: Array, y: Array, task: str) -> tuple[str, Array]:
    """Accuracy of a classification, R² of a regression, of each replica (R,)."""
    if task == "classification":
        return "accuracy", (outputs.argmax(axis=-1) == y.argmax(axis=-1)).mean(axis=-1)
    residual = np.square(y - outputs).sum(axis=(1, 2))
    return "r2", 1 - residual / np.square(y - y.mean(axis=1, keepdims=True)).sum(axis=(1, 2))
