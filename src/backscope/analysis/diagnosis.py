"""The diagnosis: one word for what happened to a run's gradients, and the numbers that say so.

The rules stand in RULES and are asked in that order; the first that applies names the verdict, and a run to
which none applies is healthy. All look at the median over replicas. The flow of gradients is the ratio between layer
1 and the last hidden layer, of ‖∂L/∂W‖ and of the RMS of δ = ∂L/∂z: the two can tell different stories (Glorot &
Bengio 2010, §4.2: with U(±1/√n) weights δ shrinks by 1/3 a layer in mean square while ∂L/∂W does not), so that
either of them is enough.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from backscope.training import Record

RATIO = 1e3  # gradients of two layers that differ by more explode, or vanish
DEAD = 0.9  # of a layer's units have derivative exactly 0 for the whole batch
SATURATED = 0.5  # of a layer's activations lie in the flat parts of a bounded function
FLOWS = {"grad_norm": ("grad_ratio", "‖∂L/∂W‖"), "delta_rms": ("delta_ratio", "RMS of δ")}
NEEDED = (*FLOWS, "distinct_neurons", "dead_units")


@dataclass(frozen=True)
class Verdict:
    """A verdict's name, its evidence in a sentence, and every number that a rule looked at."""

    name: str
    evidence: str
    numbers: dict[str, float]


def diagnose(record: "Record") -> Verdict:
    """The verdict on a run, from whatever was probed."""
    facts = Facts(record)
    name, evidence = next(
        ((name, said) for name, rule in RULES.items() if (said := rule(facts))), ("healthy", _healthy(facts))
    )
    missing = [quantity for quantity in NEEDED if quantity not in record.layers]
    if missing and name != "diverged":
        evidence += f"; not probed: {', '.join(missing)}"
    return Verdict(name, evidence, facts.numbers())


class Facts:
    """What the rules ask of a record."""

    def __init__(self, record: "Record") -> None:
        self.record = record
        self.depth = int(record.config.model.depth)
        self.width = int(record.config.model.width)

    def last(self, quantity: str) -> np.ndarray:
        """The hidden layers' medians over replicas at the last measured moment, (depth,); empty if there are none."""
        values = self.record.layers.get(quantity, np.empty((0, 1, 0)))[:, :, : self.depth]
        measured = values[np.isfinite(values).any(axis=(1, 2))]
        return _median(measured[-1], axis=0) if len(measured) else np.empty(0)

    def flow(self, quantity: str) -> tuple[float, float, float]:
        """Layer 1, the last hidden layer, and their ratio: medians over moments and replicas; NaN if not known.

        Where nothing at all reaches the hidden layers below a head that has a gradient, the ratio is 0.
        """
        values = self.record.layers.get(quantity)
        if values is None or self.depth < 2:
            return math.nan, math.nan, math.nan
        first, last, head = (
            np.where(np.isfinite(values[:, :, i]), values[:, :, i], np.nan) for i in (0, self.depth - 1, self.depth)
        )
        ratio = np.divide(first, last, out=np.where(head > 0, 0.0, np.nan), where=last > 0)
        return float(_median(first)), float(_median(last)), float(_median(ratio))

    def ratios(self) -> dict[str, float]:
        """The ratios that are known, by quantity."""
        known = {quantity: self.flow(quantity)[2] for quantity in FLOWS}
        return {quantity: ratio for quantity, ratio in known.items() if not math.isnan(ratio)}

    def numbers(self) -> dict[str, float]:
        """What the rules looked at, by the name it is logged under."""
        numbers = {FLOWS[quantity][0]: ratio for quantity, ratio in self.ratios().items()}
        for quantity, extreme in (
            ("distinct_neurons", np.nanmin),
            ("dead_units", np.nanmax),
            ("saturation", np.nanmax),
        ):
            if np.isfinite(values := self.last(quantity)).any():
                numbers[f"{extreme.__name__.removeprefix('nan')}_{quantity}"] = float(extreme(values))
        return numbers


def _diverged(facts: Facts) -> str | None:
    at = facts.record.diverged_at
    gone = at[at >= 0]
    if 2 * len(gone) <= len(at):
        return None
    count = "" if len(at) == 1 else f" in {len(gone)} of {len(at)} replicas"
    return f"loss or gradient not finite at step {np.median(gone):.0f}{count}"


def _symmetric(facts: Facts) -> str | None:
    layers = np.flatnonzero(facts.last("distinct_neurons") == 1) + 1
    if facts.width == 1 or len(layers) == 0:
        return None
    still = np.flatnonzero(facts.last("grad_norm") == 0) + 1
    return f"1 distinct neuron of {facts.width} in {_layers(layers)} after {_last_step(facts)}" + (
        f"; ‖∂L/∂W‖ exactly 0 in {_layers(still)}" if len(still) else ""
    )


def _dead(facts: Facts) -> str | None:
    share = facts.last("dead_units")
    layers = np.flatnonzero(share >= DEAD) + 1
    if len(layers) == 0:
        return None
    return (
        f"f′ exactly 0 for the whole batch in {np.nanmax(share):.0%} of the units of {_layers(layers)} after "
        f"{_last_step(facts)}" + "".join(f"; {said}" for said in [_exploding(facts) or _vanishing(facts)] if said)
    )


def _exploding(facts: Facts) -> str | None:
    ratios = facts.ratios()
    worst = max(ratios, key=ratios.__getitem__, default=None)
    return _flow(facts, worst, "grows") if worst and ratios[worst] > RATIO else None


def _vanishing(facts: Facts) -> str | None:
    ratios = facts.ratios()
    worst = min(ratios, key=ratios.__getitem__, default=None)
    return _flow(facts, worst, "falls") if worst and ratios[worst] < 1 / RATIO else None


def _saturated(facts: Facts) -> str | None:
    share = facts.last("saturation")
    layers = np.flatnonzero(share > SATURATED) + 1
    if len(layers) == 0:
        return None
    return f"up to {np.nanmax(share):.0%} of the activations saturated in {_layers(layers)} after {_last_step(facts)}"


RULES: dict[str, Callable[[Facts], str | None]] = {
    "diverged": _diverged,
    "symmetric": _symmetric,
    "dead": _dead,
    "exploding": _exploding,
    "vanishing": _vanishing,
    "saturated": _saturated,
}
VERDICTS = ("healthy", *RULES)


def _healthy(facts: Facts) -> str:
    ratios = [f"{ratio:.2g} × the {FLOWS[quantity][1]}" for quantity, ratio in facts.ratios().items()]
    return f"layer 1 has {' and '.join(ratios)} of layer {facts.depth}" if ratios else "no rule applies"


def _flow(facts: Facts, quantity: str, verb: str) -> str:
    first, last, ratio = facts.flow(quantity)
    return (
        f"{FLOWS[quantity][1]} {verb} from {last:.1e} in layer {facts.depth} to {first:.1e} in layer 1 "
        f"(ratio {ratio:.1e}, median of {len(facts.record.steps)} moments)"
    )


def _last_step(facts: Facts) -> str:
    return f"{int(facts.record.steps[-1])} steps"


def _layers(layers: np.ndarray) -> str:
    """Layer numbers in ascending order, runs of them shortened.

    >>> _layers(np.array([1, 2, 3, 5])), _layers(np.array([7]))
    ('layers 1–3, 5', 'layer 7')
    """
    runs = np.split(layers, np.flatnonzero(np.diff(layers) > 1) + 1)
    text = ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
    return f"layer{'s' if len(layers) > 1 else ''} {text}"


def _median(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """The median of what is finite; NaN where nothing is."""
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        return np.nanmedian(np.where(np.isfinite(values), values, np.nan), axis=axis)
