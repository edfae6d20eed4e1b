"""What a notebook calls: `import backscope as bs`, with the choices, checks and numbers of the command line."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import backscope as bs
from backscope import app
from backscope.config import ConfigError, compose
from backscope.config.choosing import choose
from backscope.tracking.store import StoreError

SMALL = {"depth": 3, "width": 8, "steps": 20, "lr": 1, "n_train": 100, "data": {"name": "digits"}}


@pytest.fixture(scope="module")
def result():
    return bs.train(init="he", activation="relu", replicas=2, **SMALL)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def tracked(uri):
    """Two configurations, five seeds each: four runs of one seed, and one of four replicas and a seed."""
    for init in ("he", "zeros"):
        for seed, replicas in ((0, 1), (1, 4)):
            keys = {"uri": uri, "experiment": "notebook"}
            bs.train(init=init, seed=seed, replicas=replicas, tracking=keys, **SMALL)
    return bs.runs("notebook", uri=uri)


def test_importing_backscope_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import backscope; print(*set(sys.modules) - before)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["backscope"]
    assert set(bs.__all__) <= set(dir(bs))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = bs.nothing


@pytest.mark.parametrize(
    ("keywords", "overrides"),
    [
        ({"init": "he", "depth": 20, "steps": 7}, ["init=he", "model.depth=20", "training.steps=7"]),
        (
            {"init": {"name": "normal", "std": np.float64(0.3)}, "lr": 1},
            ["init=normal", "init.std=.3", "optimizer.lr=1"],
        ),
        ({"optimizer": "adam", "model": {"width": 5}}, ["optimizer=adam", "model.width=5"]),
        ({"normalization": None, "batch_size": None}, ["normalization=none", "training.batch_size=null"]),
        ({"zero_layers": (1, 2), "optimizer.lr": 0.5}, ["init.zero_layers=[1,2]", "optimizer.lr=.5"]),
        ({"data": "diabetes", "seed": np.int64(3)}, ["data=diabetes", "seed=3"]),
        ({"data": {"name": "teacher", "depth": 3}, "depth": 4}, ["data=teacher", "data.depth=3", "model.depth=4"]),
        ({"overrides": ["model.depth=2"], "depth": 9}, ["model.depth=2"]),
    ],
)
def test_keywords_choose_what_overrides_choose(keywords, overrides):
    assert choose(**keywords).hash() == compose(*overrides).hash()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"dept": 3}, "dept: no such key; did you mean depth? Known are"),
        ({"every": 3}, "every: one of several keys; allowed are probes.every, schedule.every"),
        ({"std": 0.1}, "init.std: no such key for the chosen init; it belongs to init=normal"),
        ({"depth": -1}, "model.depth=-1: allowed is an integer in [1, 999]"),
        ({"depth": [2, 8]}, "model.depth=[2,8]: allowed is an integer in [1, 999]"),
        ({"init": "hee"}, "init=hee: no such option; did you mean he?"),
        ({"init": "he,zeros"}, "init=he,zeros: several values are a sweep"),
        ({"init": ["he"]}, "init=['he']: allowed is the name of an option"),
        ({"init": {"name": "he", "_target_": "os.system"}}, "init._target_: no such key"),
        ({"lr": float("nan")}, "optimizer.lr=nan: allowed is a number > 0"),
        ({"experiment": "zero_init"}, "experiment=zero_init: an experiment is a sweep"),
        ({"overrides": ["a b"]}, "a b: not an override"),
        ({"overrides": ["hydra.run.dir=x"]}, "hydra.run.dir: no such key"),
        ({"tracking": {"urii": "x"}}, "tracking.urii: no such key; did you mean tracking.uri?"),
        ({"data": ([[1.0]], [0])}, "data=array (1,) of int64: allowed are a target for each of the 1 samples"),
        ({"data": ([[1.0], [np.inf]], [0, 1])}, "data=array (2, 1) of float64: allowed are inputs"),
        ({"data": (np.eye(9), np.arange(9) / 9), "loss": "cross_entropy"}, "loss=cross_entropy: allowed is squared"),
        ({"data": (np.eye(9), np.arange(9) % 2)}, "training.batch_size=64: allowed is null or 1 to 7"),
    ],
)
def test_what_is_not_allowed_is_one_line(keywords, message):
    with pytest.raises(ConfigError) as error:
        bs.train(**keywords)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_hydra_is_left_as_it_was(monkeypatch):
    from hydra import initialize, version
    from hydra.core.global_hydra import GlobalHydra

    monkeypatch.setattr(version.VersionBase.instance(), "version_base", version.getbase())
    with warnings.catch_warnings(action="ignore"), initialize(version_base="1.1", config_path=None):
        others = GlobalHydra.instance().hydra
        assert choose(init="he").init.name == "he"
        assert GlobalHydra.instance().hydra is others
        assert str(version.getbase()) == "1.1"
    GlobalHydra.instance().clear()


def test_a_result_has_what_the_application_measures(result):
    small = "model.depth=3 model.width=8 training.steps=20 optimizer.lr=1 data.n_train=100"
    config = compose("init=he", "activation=relu", *small.split())
    assert result.config.hash() != config.hash()
    assert result.config.replicas == 2
    first = app.measure(config)[0]
    for seed in (0, 1):
        loss = result.history.query(f"quantity == 'train/loss' and replica == {seed}")["value"]
        assert seed or np.array_equal(loss, first.scalars["train/loss"][1][:, 0])
        assert result.scores.loc[seed, "train_loss"] == loss.iloc[-1]
    assert result.verdict.name == "healthy"
    assert list(result.history) == ["quantity", "step", "replica", "layer", "value"]
    assert result.run_id is None


def test_a_result_is_shown(result):
    assert "healthy" in repr(result)
    page = bs.train(init="zeros", **SMALL)._repr_html_()
    assert "symmetric" in page and "‖∂L/∂W‖ exactly 0" in page and "test_accuracy" in page and "<script" not in page
    image, size = result.plot()._repr_png_()
    assert image.startswith(b"\x89PNG") and size["width"] > 300
    assert bs.train(probes="none", **SMALL).plot()._repr_png_()


def test_arrays_of_ones_own_are_split_and_standardised():
    rng = np.random.default_rng(0)
    x = rng.normal(5, 3, (60, 4))
    labels = np.where(x[:, 0] > 5, "high", "low")
    found = bs.train(data=(x, labels), batch_size=16, steps=100, depth=1, lr=0.5, overrides=["data.test_fraction=.5"])
    assert found.scores["test_accuracy"].item() > 0.8
    assert found.config.data["name"] == "arrays" and found.config.data["test_fraction"] == 0.5
    regression = bs.train(data=(x.astype(np.float32), x[:, :2]), batch_size=None, steps=100, depth=1)
    assert regression.scores["test_r2"].item() > 0.5
    assert regression.config.hash() != bs.train(data=(x, x[:, :2] + 1), batch_size=None, steps=0).config.hash()


def test_tracked_runs_are_read_back(uri, tracked):
    assert tracked["init.name"].tolist() == ["he", "he", "zeros", "zeros"]
    assert tracked["verdict"].tolist() == ["healthy", "healthy", "symmetric", "symmetric"]
    again = bs.train(init="he", **SMALL)
    for run in (tracked.index[0], tracked.iloc[0]):
        pd.testing.assert_frame_equal(bs.trace(run, uri), bs.trace(again))
    for read in (bs.trace, lambda nope, uri: bs.compare(again, nope, uri=uri)):
        for nope in ("nope", "0" * 32):
            with pytest.raises(StoreError, match=f"^RUN={nope}: no such run in sqlite:///[^\\n]*$"):
                read(nope, uri)
    with pytest.raises(StoreError, match="experiment=nothing: no such experiment"):
        bs.runs("nothing", uri=uri)


def test_comparing_takes_runs_results_and_groups(uri, tracked):
    he, zeros = (tracked[tracked["init.name"] == name] for name in ("he", "zeros"))
    found = bs.compare(he, zeros, uri=uri)
    assert found.names == ("init he", "init zeros") and found.winner == "init he"
    assert found.table["seeds"].tolist() == [5, 5, 5] and found.difference[1]
    results = [[bs.train(init=init, seed=seed, **SMALL) for seed in range(5)] for init in ("he", "zeros")]
    assert bs.compare(*results).sentence == found.sentence
    alone = bs.compare(tracked.index[0], tracked.iloc[2], "test_accuracy", uri)
    assert alone.sentence.startswith("one seed: no interval, no winner. test_accuracy ") and alone.winner is None
    assert bs.compare(results[0][0], he, uri=uri).names == ("a", "b")


def test_what_cannot_be_compared_is_one_line(uri, tracked, result):
    with pytest.raises(ValueError, match=r"runs that differ in init.name: allowed are runs that differ in their seed"):
        bs.compare(tracked, result, uri=uri)
    with pytest.raises(ValueError, match=r"metric=losss: allowed is what these runs have, such as delta_ratio, grad"):
        bs.compare(result, result, "losss")
    with pytest.raises(ValueError, match="seed=0: allowed are runs that share no seed"):
        bs.compare([result, result], result)
