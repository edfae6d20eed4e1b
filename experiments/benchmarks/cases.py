"""The networks of the step benchmark, and the batches of digits that every contender trains on."""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

N_IN, N_OUT = 64, 10  # digits: 8×8 pixels, 10 classes


@dataclass(frozen=True)
class Case:
    """One network and how it is trained; `steps` is the length of a timed block."""

    depth: int
    width: int
    activation: str
    optimizer: str
    dtype: str
    batch: int
    normalization: str = "none"
    replicas: int = 1
    steps: int = 50

    @property
    def name(self) -> str:
        extras = ["batch norm"] if self.normalization == "batch_norm" else []
        extras += [f"{self.replicas} replicas"] if self.replicas > 1 else []
        kind = "f64" if self.dtype == "float64" else "f32"
        words = [f"{self.depth}×{self.width}", self.activation, self.optimizer, kind, f"B={self.batch}"]
        return " ".join(words + extras)

    @property
    def lr(self) -> float:
        return 0.001 if self.optimizer == "adam" else 0.01

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(n_out, n_in) of every layer, the head last."""
        sizes = [N_IN] + [self.width] * self.depth + [N_OUT]
        return list(zip(sizes[1:], sizes[:-1], strict=True))


CASES = [
    Case(10, 64, "relu", "adam", "float64", 64),
    Case(10, 64, "relu", "sgd", "float64", 64),
    Case(10, 64, "tanh", "sgd", "float64", 64),
    Case(10, 64, "tanh", "sgd", "float32", 64),
    Case(10, 16, "tanh", "sgd", "float64", 32, steps=100),
    Case(10, 64, "relu", "sgd", "float64", 64, normalization="batch_norm"),
    Case(10, 16, "tanh", "sgd", "float64", 32, replicas=16, steps=25),
    Case(30, 64, "relu", "sgd", "float64", 128, steps=10),
    Case(4, 256, "relu", "adam", "float32", 128, steps=10),
    Case(2, 512, "relu", "sgd", "float32", 128, steps=10),
]


def batches(case: Case, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x (steps, R, B, 64) standardized digits and y (steps, R, B) their classes, drawn at random."""
    x, y = load_digits(return_X_y=True)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-8)
    drawn = np.random.default_rng(seed).integers(len(x), size=(case.steps, case.replicas, case.batch))
    return x[drawn].astype(case.dtype), y[drawn]


def weights(case: Case, seed: int = 0) -> list[np.ndarray]:
    """One W (R, n_out, n_in) a layer with variance 1/n_in, or 2/n_in for ReLU; biases start at zero."""
    rng = np.random.default_rng(seed)
    scale = 2.0 if case.activation == "relu" else 1.0
    return [
        (rng.standard_normal((case.replicas, n_out, n_in)) * np.sqrt(scale / n_in)).astype(case.dtype)
        for n_out, n_in in case.shapes
    ]
