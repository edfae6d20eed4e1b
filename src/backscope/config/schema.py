"""The types of a configuration. Values stand in conf/; what they may be, in the annotations here and, for a group's
options, in the signatures of the registries: a new activation is one function there and one YAML in conf/activation.
"""

import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from hydra.core.config_store import ConfigStore

from backscope.data import DATASETS, load
from backscope.nn.activations import ACTIVATIONS
from backscope.nn.domains import Count, Finite, Interval, NonNegative, Positive, Whole
from backscope.nn.initializers import INITIALIZERS
from backscope.nn.losses import LOSSES
from backscope.nn.network import RESIDUALS
from backscope.nn.normalization import NORMALIZATIONS
from backscope.nn.optimizers import OPTIMIZERS
from backscope.nn.schedules import SCHEDULES
from backscope.probes import INSTRUMENTS, PROBES, TIERS


class OneOf(tuple[str, ...]):
    """The names among which one can be chosen.

    >>> print(OneOf(("log", "every")))
    one of log, every
    """

    def __str__(self) -> str:
        return f"one of {', '.join(self)}"


@dataclass(frozen=True)
class ListOf:
    """Lists whose items are all in one domain.

    >>> [1, 2] in ListOf(Interval(0, integer=True)), [0] in ListOf(Interval(0, integer=True))
    (True, False)
    """

    items: Any

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, list) and all(item in self.items for item in value)

    def __str__(self) -> str:
        return f"a list, each item {self.items}"


Layers = Annotated[list[int], ListOf(Interval(1, closed="left", integer=True))]
Depth = Annotated[int, Interval(1, 999, "both", integer=True)]
Width = Annotated[int, Interval(1, 16384, "both", integer=True)]
Dropout = Annotated[float, Interval(0, 1, "left")]
Steps = Annotated[int, Interval(0, 100_000_000, "both", integer=True)]
Points = Annotated[int, Interval(1, 10_000, "both", integer=True)]
Seed = Annotated[int, Interval(0, 2**63, "left", integer=True)]
Replicas = Annotated[int, Interval(1, 4096, "both", integer=True)]


@dataclass
class Model:
    """The network's shape: `depth` hidden layers of `width` neurons, and a linear head."""

    depth: Depth
    width: Width
    residual: Annotated[str, OneOf(("none", *RESIDUALS))]
    dropout: Dropout


@dataclass
class Training:
    """How long, and on which batches."""

    steps: Steps
    batch_size: Count | None
    clip_norm: Positive | None
    evaluations: Points


@dataclass
class Probes:
    """What is measured, and when: at log-spaced moments, or `every` so many steps."""

    tier: Annotated[str, OneOf(TIERS)]
    schedule: Annotated[str, OneOf(("log", "every"))]
    points: Points
    every: Count
    extra: Annotated[list[str], ListOf(OneOf(INSTRUMENTS))]


@dataclass
class Tracking:
    """Where a run goes in MLflow; a sweep fills in the last three."""

    enabled: bool
    uri: str | None
    experiment: str
    series: Annotated[list[str], ListOf(OneOf(PROBES))]
    figures: bool | None
    log_model: bool
    resume: bool
    run_name: str | None
    parent: str | None
    sweep_id: str | None


class Choice(dict[str, Any]):
    """The option chosen from a group: its name and its parameters.

    >>> Choice(name="normal", std=0.01).name
    'normal'
    """

    @property
    def name(self) -> str:
        return str(self["name"])


if TYPE_CHECKING:
    Option = Choice
else:
    Option = dict[str, Any]  # what OmegaConf understands


@dataclass
class Config:
    """A whole configuration, as conf/config.yaml composes it; `check` makes one and turns groups into `Choice`s."""

    data: Option
    init: Option
    activation: Option
    normalization: Option
    loss: Option
    optimizer: Option
    schedule: Option
    model: Model
    training: Training
    probes: Probes
    tracking: Tracking
    seed: Seed
    replicas: Replicas
    dtype: Annotated[str, OneOf(("float64", "float32"))]

    def hash(self) -> str:
        """Twelve hex digits that two configurations share if they differ in nothing but `tracking`."""
        numbers = {key: value for key, value in asdict(self).items() if key != "tracking"}
        return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:12]


SECTIONS: dict[str, type] = {"model": Model, "training": Training, "probes": Probes, "tracking": Tracking}
GROUPS: dict[str, dict[str, Callable[..., Any]]] = {
    "data": dict(DATASETS),
    "init": {name: initializer.variance for name, initializer in INITIALIZERS.items()},
    "activation": dict(ACTIVATIONS),
    "normalization": dict.fromkeys(("none", *NORMALIZATIONS), lambda: None),
    "loss": dict.fromkeys(LOSSES, lambda: None),
    "optimizer": dict(OPTIMIZERS),
    "schedule": dict(SCHEDULES),
}


def parameters(group: str, option: str) -> dict[str, Any]:
    """The parameters of an option, each with the annotation that says what is allowed.

    >>> list(parameters("init", "normal"))
    ['gain', 'bias_std', 'zero_layers', 'std']
    """
    return COMMON.get(group, {}) | _domains(GROUPS[group][option])


def _domains(function: Callable[..., Any]) -> dict[str, Any]:
    """The arguments whose annotation states a domain; the others (`n_in: int`) are not a user's to choose."""
    annotations = {name: each.annotation for name, each in inspect.signature(function).parameters.items()}
    return {name: each for name, each in annotations.items() if _is_domain(each)}


def _is_domain(annotation: Any) -> bool:
    stated = annotation is bool or get_origin(annotation) in (Annotated, Literal)
    return stated or any(map(_is_domain, get_args(annotation)))


COMMON: dict[str, dict[str, Any]] = {
    "data": _domains(load),
    "init": {"gain": Finite, "bias_std": NonNegative, "zero_layers": Layers},
    "optimizer": {"lr": Positive},
    "schedule": {"warmup": Whole},
}

ConfigStore.instance().store("schema", Config)
