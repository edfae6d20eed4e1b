"""Estimators of scikit-learn's kind on the same network and training loop: for pipelines, grid searches, pickles.

Besides what every estimator has, a fitted one has `verdict_` and `record_`: what happened to its gradients.
"""

import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from backscope.analysis.diagnosis import diagnose
from backscope.config.choosing import choose
from backscope.data import Dataset, Source, digest
from backscope.process import one_thread
from backscope.training import restore, train

Array = np.ndarray


class _Backprop(BaseEstimator):
    """What both estimators share: their parameters, and how they become a configuration."""

    def __init__(
        self,
        *,
        depth: int = 2,
        width: int = 64,
        activation: Any = "relu",
        init: Any = "he",
        normalization: str = "none",
        residual: str = "none",
        dropout: float = 0.0,
        optimizer: Any = "adam",
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        schedule: Any = "constant",
        batch_size: int | None = 64,
        steps: int = 400,
        clip_norm: float | None = None,
        probes: str = "standard",
        dtype: str = "float64",
        overrides: Sequence[str] = (),
        random_state: Any = None,
    ) -> None:
        self.depth = depth
        self.width = width
        self.activation = activation
        self.init = init
        self.normalization = normalization
        self.residual = residual
        self.dropout = dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.batch_size = batch_size
        self.steps = steps
        self.clip_norm = clip_norm
        self.probes = probes
        self.dtype = dtype
        self.overrides = overrides
        self.random_state = random_state

    def _train(self, x: Array, y: Array, n_out: int, task: Any) -> None:
        """Choose the configuration, train on all of the data, and keep what came out."""
        source = Source(len(x), x.shape[1], n_out, lambda rng: (x, y), task, digest(x, y), whole=True)
        config = choose(self.overrides, source, **self._choices(len(x)))
        dataset = Dataset(config.data.name, x, y, x[:0], y[:0], n_out, task)
        with one_thread():
            self.record_ = train(config, [dataset])
        self.verdict_ = diagnose(self.record_)
        self.loss_curve_ = self.record_.scalars["train/loss"][1][:, 0].tolist()
        self.n_iter_ = len(self.loss_curve_)
        if self.verdict_.name == "diverged":
            warnings.warn(f"{self.verdict_.evidence}; try a smaller learning_rate", ConvergenceWarning, stacklevel=3)

    def _choices(self, samples: int) -> dict[str, Any]:
        """The parameters as `config.choosing` takes them; a seed is drawn where none is given."""
        state, size = self.random_state, self.batch_size
        seed = state if isinstance(state, Integral) else check_random_state(state).randint(2**31)
        names = ("depth", "width", "activation", "init", "normalization", "residual", "dropout", "optimizer")
        chosen = {name: getattr(self, name) for name in (*names, "schedule", "steps", "clip_norm", "probes", "dtype")}
        own = {"lr": self.learning_rate, "weight_decay": self.weight_decay}
        chosen |= {name: value for name, value in own.items() if value is not None}
        clipped = min(size, samples) if isinstance(size, Integral) else size
        return chosen | {"batch_size": clipped, "seed": seed, "tracking": "none"}

    def _outputs(self, x: Any) -> Array:
        """What the network says of inputs (N, n_in): (N, n_out)."""
        check_is_fitted(self)
        x = validate_data(self, x, dtype=self._input_types, reset=False)
        record = self.record_
        network = restore(record.config, record.data, record.theta, record.statistics)
        with one_thread(), np.errstate(all="ignore"):
            return network.predict(x[None].astype(record.config.dtype), record.config.training.batch_size)[0]

    _input_types = (np.float64, np.float32)


class BackpropClassifier(ClassifierMixin, _Backprop):
    """A classifier by softmax and cross-entropy; parameters are what `backscope` calls them, and are checked in `fit`.

    `learning_rate` and `weight_decay` None are the optimizer's own; `batch_size` None is the full batch; `steps` are
    updates, not epochs; `overrides` are as on the command line. Inputs are taken as they are: scale them before.

    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> BackpropClassifier(random_state=0).fit(x, y).score(x, y) > 0.9
    True
    """

    def fit(self, X: Any, y: Any) -> "BackpropClassifier":
        """Train on inputs (N, n_in) and their classes (N,); raises ValueError for what is not allowed."""
        X, y = validate_data(self, X, y, dtype=self._input_types)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self._train(X, codes, len(self.classes_), "classification")
        return self

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (N, classes)."""
        return softmax(self._outputs(X), axis=1)

    def predict(self, X: Any) -> Array:
        """The most probable class, (N,)."""
        chosen = self._outputs(X).argmax(axis=1)
        return self.classes_[chosen]


class BackpropRegressor(RegressorMixin, _Backprop):
    """A regressor by squared error, of one target or several; the parameters are those of `BackpropClassifier`.

    Inputs and targets are taken as they are: scale them before, as with TransformedTargetRegressor.

    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> BackpropRegressor(random_state=0).fit(x, x[:, 0] ** 2).score(x, x[:, 0] ** 2) > 0.9
    True
    """

    def fit(self, X: Any, y: Any) -> "BackpropRegressor":
        """Train on inputs (N, n_in) and targets (N,) or (N, n_out); raises ValueError for what is not allowed."""
        X, y = validate_data(self, X, y, dtype=self._input_types, multi_output=True, y_numeric=True)
        self._flat = y.ndim == 1
        self._train(X, y.reshape(len(y), -1).astype(float), y.size // len(y), "regression")
        return self

    def predict(self, X: Any) -> Array:
        """The targets, (N,) or (N, n_out)."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._flat else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
