"""The tracked runs of a sweep, as claims see them: a configuration, and what was measured.

Runs that differ in their seed only are one run with more replicas, because replica r of a run with seed s is the run
with seed s + r. A replica that diverged has no value at its end nor over all steps, so that no claim about it can hold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from backscope.config import Config
from backscope.lab.registry import LabError
from backscope.nn.activations import ACTIVATIONS, Activation
from backscope.probes import PROBES

Array = np.ndarray
Steps = str | int | list[int]
Layers = str | int | list[int]

THEORY = "theory/"  # begins the names of predictions in a trace
DERIVED = {  # quantities computed from two that are measured
    "activation_rms": ("activation_mean", "activation_std", np.hypot),
}


class Missing(LookupError):
    """What a claim asks for was not measured; the message says what."""


@dataclass(frozen=True)
class Values:
    """A quantity at T steps, of R replicas, in N layers: values (T, R, N)."""

    steps: Array
    layers: Array
    values: Array


@dataclass(frozen=True)
class Run:
    """One finished run: its name, configuration and trace; or several that differ in nothing but their seeds."""

    name: str
    config: Config
    trace: pd.DataFrame

    @cached_property
    def choices(self) -> dict[str, Any]:
        """The configuration with dotted names."""
        return flatten(self.config)

    @property
    def activation(self) -> Activation:
        return activation(self.config)

    @cached_property
    def quantities(self) -> dict[str, Values]:
        """Every measured quantity; layer 0 stands for the whole network. What theory predicted is not among them."""
        groups = self.trace.groupby("quantity", sort=False, observed=True)
        return {str(name): self._values(rows) for name, rows in groups if not str(name).startswith(THEORY)}

    def predicted(self, quantity: str, layers: Layers) -> Array:
        """What theory predicted for the initialization, for these layers: drawn in figures, never measured.

        Raises Missing where it predicts nothing.
        """
        rows = self.trace[self.trace["quantity"] == THEORY + quantity].set_index("layer")["value"]
        wanted = select_layers(layers, self.config.model.depth)
        if not set(wanted) <= set(rows.index):
            raise Missing(f"theory predicts no {quantity}")
        return rows.loc[wanted].to_numpy(dtype=float)

    @cached_property
    def survived(self) -> Array:
        """Which of the (R,) replicas trained to the end."""
        loss, last = self.quantities["train/loss"], self.config.training.steps
        return ~np.isnan(loss.values[loss.steps == last].sum(axis=(0, 2))) if last in loss.steps else self._nobody()

    def get(self, quantity: str, layers: Layers = "all", steps: Steps = "all") -> Values:
        """A quantity at some steps and layers; NaN where nothing was measured.

        Raises Missing for a quantity, a layer or a step that was not measured at all.
        """
        if quantity in DERIVED and quantity not in self.quantities:
            one, other, combine = DERIVED[quantity]
            first, second = self.get(one, layers, steps), self.get(other, layers, steps)
            return replace(first, values=combine(first.values, second.values))
        if quantity not in self.quantities:
            raise Missing(f"{quantity} was not measured; measured are {', '.join(sorted(self.quantities))}")
        found = self.quantities[quantity]
        wanted = found.layers if found.layers[0] == 0 else select_layers(layers, self.config.model.depth)
        places = [_index(found.layers, layer, f"{quantity} in layer") for layer in wanted]
        moments = self._moments(quantity, found.steps, steps)
        values = found.values[moments][:, :, places]
        if steps not in ("first", 0):
            values[:, ~self._alive_for(steps)] = np.nan
        return Values(found.steps[moments], found.layers[places], values)

    def _values(self, rows: pd.DataFrame) -> Values:
        steps, at = np.unique(rows["step"].to_numpy(), return_inverse=True)
        layers, where = np.unique(rows["layer"].to_numpy(), return_inverse=True)
        values = np.full((len(steps), self.config.replicas, len(layers)), np.nan)
        values[at, rows["replica"].to_numpy(), where] = rows["value"].to_numpy()
        return Values(steps, layers, values)

    def _moments(self, quantity: str, measured: Array, steps: Steps) -> list[int]:
        """Indices of the measured steps that are asked for."""
        last = self.config.training.steps
        if steps == "all":
            return list(range(len(measured)))
        if steps == "second half":
            return [int(i) for i in np.flatnonzero(measured >= last / 2)]
        if isinstance(steps, list):
            return [int(i) for i in np.flatnonzero((measured >= steps[0]) & (measured <= steps[1]))]
        if steps == "last" and quantity in PROBES and PROBES[quantity].moment == "update":
            return [len(measured) - 1]  # no update follows the last step
        step = {"first": 0, "last": last}.get(steps) if isinstance(steps, str) else steps
        if step is None:
            raise Missing(f"steps {steps}: allowed are first, last, all, second half, a number and [from, to]")
        return [_index(measured, step, f"{quantity} at step")]

    def _alive_for(self, steps: Steps) -> Array:
        """A window that ends before the run does needs no survivors."""
        bounded = isinstance(steps, (int, list))
        return np.ones(self.config.replicas, bool) if bounded else self.survived

    def _nobody(self) -> Array:
        return np.zeros(self.config.replicas, bool)


def _index(known: Array, wanted: int, what: str) -> int:
    found = np.flatnonzero(known == wanted)
    if not len(found):
        raise Missing(f"{what} {wanted} was not measured; measured are {', '.join(map(str, known[:20]))}")
    return int(found[0])


def select_layers(layers: Layers, depth: int) -> list[int]:
    """Layer indices: `all`, `hidden`, `first`, `last` (hidden), `head`, a number, or [from, to], both included.

    Negative numbers count from the last hidden layer, which is −1.

    >>> select_layers([2, -2], depth=5), select_layers("head", depth=5)
    ([2, 3, 4], [6])
    """
    named = {
        "all": (1, depth + 1),
        "hidden": (1, depth),
        "first": (1, 1),
        "last": (depth, depth),
        "head": (depth + 1,) * 2,
    }
    ends = named.get(layers) if isinstance(layers, str) else layers if isinstance(layers, list) else (layers, layers)
    if ends is None or len(ends) != 2:
        raise Missing(f"layers {layers}: allowed are {', '.join(named)}, a number and [from, to]")
    first, last = (end if end > 0 else depth + 1 + end for end in ends)
    if not 1 <= first <= last <= depth + 1:
        raise Missing(f"layers {layers}: there are none in a network of depth {depth}")
    return list(range(first, last + 1))


def flatten(config: Config) -> dict[str, Any]:
    """A configuration with dotted names, without where it was tracked."""

    def walk(node: Any, path: str) -> Iterator[tuple[str, Any]]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, f"{path}.{key}" if path else str(key))
        else:
            yield path, node

    return {key: value for key, value in walk(asdict(config), "") if not key.startswith("tracking.")}


def activation(config: Config) -> Activation:
    """The configured activation function."""
    parameters = dict(config.activation)
    return ACTIVATIONS[parameters.pop("name")](**parameters)


def pooled(runs: Sequence[Run]) -> list[Run]:
    """The runs, with those that differ in nothing but their seed as one, in the order of their first."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(replace(run.config, seed=0).hash(), []).append(run)
    return [
        group[0] if len(group) == 1 else _pool(sorted(group, key=lambda run: run.config.seed))
        for group in groups.values()
    ]


def _pool(group: Sequence[Run]) -> Run:
    seeds = [run.config.seed for run in group]
    if any(later < seed + group[0].config.replicas for seed, later in pairwise(seeds)):
        raise LabError(f"seed {seeds}: runs of {group[0].config.replicas} replicas share some of their seeds")
    traces, start = [], 0
    for run in group:
        traces.append(run.trace.assign(replica=run.trace["replica"].astype(int) + start))
        start += run.config.replicas
    config = replace(group[0].config, replicas=start)
    return Run(_common(group), config, pd.concat(traces, ignore_index=True))


def _common(group: Sequence[Run]) -> str:
    """The parts of the names that all share."""
    parts = [run.name.split(" · ") for run in group]
    return " · ".join(part for part in parts[0] if all(part in other for other in parts)) or "all seeds"
