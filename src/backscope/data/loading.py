"""From a name to arrays that a network can be trained on: draw, split, standardise, whiten.

Every statistic is taken from the training part alone, after it was cut to `n_train` samples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np

from backscope.data import bundled, synthetic
from backscope.data.arrays import digest
from backscope.data.source import Array, Source, Task, seed
from backscope.nn.domains import Count, Interval

Fraction = Annotated[float, Interval(0, 1)]

DATASETS: dict[str, Callable[..., Source]] = {
    "digits": bundled.digits,
    "breast_cancer": bundled.breast_cancer,
    "wine": bundled.wine,
    "iris": bundled.iris,
    "diabetes": bundled.diabetes,
    "mnist1d": bundled.mnist1d,
    "moons": synthetic.moons,
    "circles": synthetic.circles,
    "spirals": synthetic.spirals,
    "gaussian": synthetic.gaussian,
    "teacher": synthetic.teacher,
}


@dataclass(frozen=True)
class Dataset:
    """x (N, n_in) float64; y (N,) int64 classes below n_out, or (N, n_out) float64 regression targets."""

    name: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    n_out: int
    task: Task


class Shape(NamedTuple):
    """How large the dataset will be once loaded."""

    n_train: int
    n_test: int
    n_in: int
    n_out: int
    task: Task


def describe(
    name: str,
    *,
    own: Source | None = None,
    standardize: bool = True,
    whiten: Count | None = None,
    n_train: Count | None = None,
    test_fraction: Fraction = 0.2,
    **parameters: Any,
) -> Shape:
    """The shape that `load` with the same arguments returns, at no cost: nothing is drawn or imported.

    `own` is a source of one's own, where the name is not a registered one. Raises ValueError, naming key, value and
    what is allowed, for an unknown name or an impossible size.

    >>> describe("digits", n_train=100)
    Shape(n_train=100, n_test=360, n_in=64, n_out=10, task='classification')
    """
    source = _source(name, own, parameters)
    n_test = math.ceil(test_fraction * source.n_samples) if 0 < test_fraction < 1 and not source.whole else 0
    available = source.n_samples - n_test
    if (n_test < 1 and not source.whole) or available < 1:
        raise ValueError(
            f"data.test_fraction={test_fraction}: allowed is a number in (0, 1) that leaves {name} "
            f"({source.n_samples} samples) a training part"
        )
    n_train = available if n_train is None else n_train
    if not 1 <= n_train <= available:
        raise ValueError(f"data.n_train={n_train}: allowed is 1 to {available}, the training part of {name}")
    components = min(source.n_in, n_train - 1)  # centred, n samples span n − 1 dimensions
    if whiten is not None and not 1 <= whiten <= components:
        raise ValueError(
            f"data.whiten={whiten}: allowed is null or 1 to {components} "
            f"({source.n_in} features, {n_train} training samples)"
        )
    return Shape(n_train, n_test, whiten or source.n_in, source.n_out, source.task)


def load(
    name: str,
    rng: np.random.Generator,
    *,
    own: Source | None = None,
    standardize: bool = True,
    whiten: Count | None = None,
    n_train: Count | None = None,
    test_fraction: Fraction = 0.2,
    **parameters: Any,
) -> Dataset:
    """Draw the dataset, split it (by class where that is possible), keep `n_train` samples, standardise.

    `standardize` gives each input, and each target of a regression, mean 0 and standard deviation 1; `whiten`
    keeps that many principal components, each of variance 1. A smaller `n_train` is a prefix of a larger one
    and leaves the test part as it is. Raises ValueError as `describe` does, or if the inputs have too low a
    rank to whiten.

    >>> load("iris", np.random.default_rng(0)).x_train.shape
    (120, 4)
    """
    shape = describe(name, own=own, whiten=whiten, n_train=n_train, test_fraction=test_fraction, **parameters)
    x, y = _source(name, own, parameters).draw(rng)
    if shape.task == "regression":
        y = y.reshape(len(y), shape.n_out)
    x_train, x_test, y_train, y_test = _split(x, y, shape, rng)
    if standardize:
        from sklearn.preprocessing import StandardScaler

        x_train, x_test = _fit_on_train(StandardScaler(), x_train, x_test)
        if shape.task == "regression":
            y_train, y_test = _fit_on_train(StandardScaler(), y_train, y_test)
    if whiten is not None:
        x_train, x_test = _whiten(x_train, x_test, whiten)
    x_type, y_type = np.float64, np.int64 if shape.task == "classification" else np.float64
    return Dataset(
        name,
        np.ascontiguousarray(x_train, x_type),
        np.ascontiguousarray(y_train, y_type),
        np.ascontiguousarray(x_test, x_type),
        np.ascontiguousarray(y_test, y_type),
        shape.n_out,
        shape.task,
    )


def summary(datasets: Sequence[Dataset]) -> dict[str, Any]:
    """What a run learned from, a dataset a replica, as plain data: its name, the digest of all arrays, its shape.

    >>> summary([load("iris", np.random.default_rng(0), n_train=10)])["n_train"]
    10
    """
    first = datasets[0]
    parts = [part for data in datasets for part in (data.x_train, data.y_train, data.x_test, data.y_test)]
    sizes = {"n_in": first.x_train.shape[1], "n_out": first.n_out}
    sizes |= {"n_train": len(first.x_train), "n_test": len(first.x_test), "replicas": len(datasets)}
    return {"name": first.name, "digest": digest(*parts), "task": first.task, **sizes}


def _source(name: str, own: Source | None, parameters: dict[str, Any]) -> Source:
    if own is not None:
        return own
    if name not in DATASETS:
        raise ValueError(f"data.name={name}: allowed are {', '.join(DATASETS)}")
    return DATASETS[name](**parameters)


def _split(x: Array, y: Array, shape: Shape, rng: np.random.Generator) -> list[Array]:
    """x_train, x_test, y_train, y_test in random order, every class in its share where it has two members."""
    from sklearn.model_selection import train_test_split

    by_class = None
    if shape.task == "classification":
        present = np.bincount(y)
        present = present[present > 0]
        if present.min() >= 2 and len(present) <= min(shape.n_test, len(y) - shape.n_test):
            by_class = y
    parts = train_test_split(x, y, test_size=shape.n_test, stratify=by_class, random_state=seed(rng))
    x_train, x_test, y_train, y_test = parts
    return [x_train[: shape.n_train], x_test, y_train[: shape.n_train], y_test]


def _fit_on_train(transform: Any, train: Array, test: Array) -> tuple[Array, Array]:
    return transform.fit_transform(train), transform.transform(test)


def _whiten(x_train: Array, x_test: Array, components: int) -> tuple[Array, Array]:
    """The first principal components of the training inputs, each scaled to variance 1."""
    from sklearn.decomposition import PCA

    pca = PCA(components, whiten=True, svd_solver="full").fit(x_train)
    scale = pca.singular_values_
    rank = np.count_nonzero(scale > scale[0] * max(x_train.shape) * np.finfo(float).eps)
    if components > rank:
        raise ValueError(f"data.whiten={components}: allowed is 1 to {rank}, the rank of the training inputs")
    return pca.transform(x_train), pca.transform(x_test)
