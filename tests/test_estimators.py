"""The estimators behave as scikit-learn's do, and are the project's own network and training loop."""

import os
import pickle
import re
import subprocess
import sys
import warnings
from inspect import signature

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from backscope import BackpropClassifier, BackpropRegressor
from backscope.config.choosing import choose
from backscope.data import Dataset, arrays
from backscope.training import train

ESTIMATORS = [BackpropClassifier, BackpropRegressor]
SCALED = StandardScaler().fit_transform(load_iris().data), load_iris().target

# A process of its own, because SciPy looks at SCIPY_ARRAY_API when it is imported: one of the checks needs it.
CHECK = """
import warnings
warnings.simplefilter("ignore")
from sklearn.utils.estimator_checks import check_estimator
import backscope
for estimator in (backscope.BackpropClassifier(), backscope.BackpropRegressor()):
    for check in check_estimator(estimator, on_fail=None, on_skip=None):
        print(check["status"], check["expected_to_fail"], type(estimator).__name__, check["check_name"])
"""


def test_every_check_of_scikit_learns_passes_and_none_is_skipped():
    variables = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, env=variables)
    checks = done.stdout.splitlines()
    for estimator in ESTIMATORS:
        assert sum(estimator.__name__ in check for check in checks) > 50, done.stderr
    assert [check for check in checks if not check.startswith("passed False ")] == []


def test_it_is_the_projects_network_and_training_loop():
    x, y = SCALED
    fitted = BackpropClassifier(depth=3, width=9, steps=30, random_state=4, normalization="batch_norm").fit(x, y)
    config = choose(
        depth=3, width=9, steps=30, seed=4, normalization="batch_norm", init="he", activation="relu", optimizer="adam"
    )
    record = train(config, [Dataset("iris", x, y, x, y, 3, "classification")])
    assert fitted.record_.theta.tobytes() == record.theta.tobytes()
    assert fitted.loss_curve_ == record.scalars["train/loss"][1][:, 0].tolist()
    assert fitted.score(x, y) == record.final("test/accuracy")  # and so are the running statistics
    assert fitted.record_.layers["grad_norm"].shape == (len(fitted.record_.steps), 1, 4)
    assert fitted.verdict_.name == "healthy"


@pytest.mark.parametrize(
    ("data", "options"),
    [(load_iris, {}), (load_breast_cancer, {"dtype": "float32"}), (load_digits, {"optimizer": "momentum"})],
)
def test_classifiers_learn_and_take_labels_of_any_kind(data, options):
    x, y = data(return_X_y=True)
    names = np.array([f"class {code}" for code in range(y.max() + 1)])[y]
    fitted = make_pipeline(StandardScaler(), BackpropClassifier(random_state=0, **options)).fit(x, names)
    assert fitted.score(x, names) > 0.95
    probabilities = fitted.predict_proba(x.astype(np.float32))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert set(fitted.predict(x)) <= set(names)


def test_regressors_learn_one_target_or_several():
    x, y = load_diabetes(return_X_y=True)
    x, y = StandardScaler().fit_transform(x), (y - y.mean()) / y.std()
    one = BackpropRegressor(random_state=0).fit(x, y)
    assert one.predict(x).shape == y.shape and one.score(x, y) > 0.6
    both = BackpropRegressor(random_state=0).fit(x, np.column_stack([y, -y]))
    assert both.predict(x[:5]).shape == (5, 2) and both.score(x, np.column_stack([y, -y])) > 0.6


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_clones_and_pickles_predict_the_same_bits(estimator):
    x, y = SCALED
    options = {"normalization": "batch_norm", "residual": "zero", "dropout": 0.2, "steps": 20, "random_state": 1}
    fitted = estimator(depth=3, **options).fit(x, y)
    wanted = fitted.predict(x).tobytes()
    assert pickle.loads(pickle.dumps(fitted)).predict(x).tobytes() == wanted
    assert clone(fitted).fit(x, y).predict(x).tobytes() == wanted
    assert clone(fitted).set_params(random_state=2).fit(x, y).record_.theta.tobytes() != fitted.record_.theta.tobytes()


def test_a_seed_is_drawn_where_none_is_given():
    x, y = SCALED
    drawn = {BackpropClassifier(steps=0).fit(x, y).record_.config.seed for _ in range(3)}
    assert len(drawn) == 3
    shared = [BackpropClassifier(steps=0, random_state=np.random.RandomState(0)).fit(x, y) for _ in range(2)]
    assert shared[0].record_.config.seed == shared[1].record_.config.seed


def test_a_grid_search_in_a_pipeline():
    x, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), BackpropClassifier(steps=60, random_state=0))
    grid = {"backpropclassifier__init": ["he", "zeros"], "backpropclassifier__optimizer": ["adam", "sgd"]}
    found = GridSearchCV(pipeline, grid, cv=3).fit(x, y)
    assert found.best_params_["backpropclassifier__init"] == "he" and found.best_score_ > 0.9
    with pytest.warns(FitFailedWarning, match=r"init=hee: no such option; did you mean he\?"):
        GridSearchCV(pipeline, {"backpropclassifier__init": ["he", "hee"]}, cv=2).fit(x, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"depth": 0}, "model.depth=0: allowed is an integer in [1, 999]"),
        ({"activation": "rellu"}, "activation=rellu: no such option; did you mean relu?"),
        ({"learning_rate": -1}, "optimizer.lr=-1: allowed is a number > 0"),
        ({"batch_size": 0}, "training.batch_size=0: allowed is an integer >= 1 or null"),
        ({"batch_size": "auto"}, "training.batch_size="),
        ({"steps": 1.5}, "training.steps=1.5: allowed is an integer"),
        ({"probes": "all"}, "probes=all: no such option"),
        ({"random_state": -1}, "seed=-1: allowed is an integer in [0,"),
        ({"overrides": ("init.std=1",)}, "init.std: no such key for the chosen init"),
    ],
)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_what_is_not_allowed_is_one_line(estimator, parameters, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}.*$"):
        estimator(**parameters).fit(*SCALED)


def test_every_parameter_reaches_the_configuration():
    changed = {
        "depth": 3,
        "width": 5,
        "activation": {"name": "leaky_relu", "slope": 0.2},
        "init": {"name": "normal", "std": 0.2},
        "normalization": "layer_norm",
        "residual": "plain",
        "dropout": 0.1,
        "optimizer": "momentum",
        "learning_rate": 0.3,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "batch_size": None,
        "steps": 1,
        "clip_norm": 2.0,
        "probes": "economy",
        "dtype": "float32",
        "overrides": ("init.gain=2",),
        "random_state": 9,
    }
    assert set(changed) == set(signature(BackpropClassifier).parameters)
    usual = {"steps": 0, "random_state": 0}
    hashes = [BackpropClassifier(**usual).fit(*SCALED).record_.config.hash()]
    for name, value in changed.items():
        hashes.append(BackpropClassifier(**usual | {name: value}).fit(*SCALED).record_.config.hash())
    assert len(set(hashes)) == len(hashes)


def test_divergence_is_a_warning():
    x = np.linspace(-1, 1, 50)[:, None]
    with pytest.warns(ConvergenceWarning, match="not finite at step"):
        diverged = BackpropRegressor(optimizer="sgd", learning_rate=1e9, random_state=0).fit(x, x[:, 0])
    assert diverged.verdict_.name == "diverged" and diverged.n_iter_ < 400


def test_an_estimator_that_is_not_fitted_says_so():
    for estimator in ESTIMATORS:
        with pytest.raises(NotFittedError):
            estimator().predict([[1.0]])


def test_fitting_leaves_the_threads_of_other_libraries_alone():
    from threadpoolctl import threadpool_info, threadpool_limits

    with threadpool_limits(2), warnings.catch_warnings(action="ignore"):
        BackpropClassifier(steps=1, random_state=0).fit(*SCALED)
        assert {pool["num_threads"] for pool in threadpool_info()} == {2}


def test_arrays_and_an_estimator_are_the_same_data():
    x, y = SCALED
    assert BackpropClassifier(steps=0).fit(x, y).record_.config.data["digest"] == arrays(x, y).digest
