"""Every dataset of the registry: sizes, types, determinism, honest splits and statistics."""

import inspect
import random
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from backscope.data import DATASETS, Shape, bundled, describe, load
from backscope.nn.domains import refusal

CONF = Path(__file__).parent.parent / "conf" / "data"
every_dataset = pytest.mark.parametrize("name", DATASETS)


def rng(seed=0):
    return np.random.default_rng(seed)


def shape_of(data):
    n_train, n_in = data.x_train.shape
    return Shape(n_train, len(data.x_test), n_in, data.n_out, data.task)


def raw(name, **parameters):
    """The same split as with the same rng, in the data's own units."""
    return load(name, rng(), standardize=False, **parameters)


@every_dataset
def test_arrays_are_what_the_network_expects(name):
    data = load(name, rng())
    assert shape_of(data) == describe(name)
    for x, y in [(data.x_train, data.y_train), (data.x_test, data.y_test)]:
        assert x.dtype == np.float64 and x.flags.c_contiguous and y.flags.c_contiguous
        assert np.isfinite(x).all() and np.isfinite(y).all() and len(x) == len(y)
        if data.task == "classification":
            assert y.dtype == np.int64 and y.shape == (len(x),)
            assert set(np.unique(y)) == set(range(data.n_out))
        else:
            assert y.dtype == np.float64 and y.shape == (len(x), data.n_out)


@every_dataset
def test_the_generator_decides_everything(name):
    one, same, other = load(name, rng(1)), load(name, rng(1)), load(name, rng(2))
    for part in ["x_train", "y_train", "x_test", "y_test"]:
        assert np.array_equal(getattr(one, part), getattr(same, part))
    assert not np.array_equal(one.x_train, other.x_train)


@every_dataset
def test_the_split_is_a_partition(name):
    x, y = DATASETS[name]().draw(rng())
    data = raw(name)
    samples = np.column_stack([x, y])
    train, test = np.column_stack([data.x_train, data.y_train]), np.column_stack([data.x_test, data.y_test])
    parts = np.vstack([train, test])
    assert np.array_equal(samples[np.lexsort(samples.T)], parts[np.lexsort(parts.T)])
    assert not np.array_equal(samples, parts)  # shuffled


@pytest.mark.parametrize("name", [name for name in DATASETS if describe(name).task == "classification"])
def test_each_class_has_its_share_on_both_sides(name):
    data = load(name, rng())
    train, test = (np.bincount(y, minlength=data.n_out) for y in (data.y_train, data.y_test))
    assert (np.abs(test - 0.2 * (train + test)) <= 1).all()


@every_dataset
def test_standardised_with_the_training_statistics(name):
    data, plain = load(name, rng()), raw(name)
    mean, std = plain.x_train.mean(axis=0), plain.x_train.std(axis=0)
    std[std < 1e-12] = 1  # constant features stay as they are, less their mean
    np.testing.assert_allclose(data.x_train, (plain.x_train - mean) / std, atol=1e-10)
    np.testing.assert_allclose(data.x_test, (plain.x_test - mean) / std, atol=1e-10)
    assert np.abs(data.x_train.mean(axis=0)).max() < 1e-12
    assert np.abs(data.x_test.mean(axis=0)).max() > 1e-3


def test_regression_targets_are_standardised_with_the_training_statistics():
    data, plain = load("diabetes", rng()), raw("diabetes")
    mean, std = plain.y_train.mean(), plain.y_train.std()
    assert std > 50
    np.testing.assert_allclose(data.y_train, (plain.y_train - mean) / std, atol=1e-12)
    np.testing.assert_allclose(data.y_test, (plain.y_test - mean) / std, atol=1e-12)


@pytest.mark.parametrize(("name", "k"), [("digits", 61), ("digits", 1), ("diabetes", 10), ("moons", 2)])
def test_whitened_training_inputs_have_identity_covariance(name, k):
    data = load(name, rng(), whiten=k)
    assert data.x_train.shape[1] == data.x_test.shape[1] == describe(name, whiten=k).n_in == k
    np.testing.assert_allclose(np.cov(data.x_train.T), np.eye(k).squeeze(), atol=1e-10)
    assert np.abs(np.cov(data.x_test.T) - np.eye(k)).max() > 1e-3


def test_a_smaller_training_set_is_a_prefix_with_the_same_test_set():
    small, large = raw("digits", n_train=50), raw("digits", n_train=200)
    assert len(small.x_train) == 50 and np.array_equal(small.x_train, large.x_train[:50])
    assert np.array_equal(small.x_test, large.x_test)
    few = load("iris", rng(), n_train=20)
    assert np.abs(few.x_train.mean(axis=0)).max() < 1e-12  # the statistics of the 20, not of the 120


@settings(deadline=None, max_examples=50)
@given(st.floats(-0.1, 1.1), st.none() | st.integers(-1, 160), st.none() | st.integers(-1, 6))
def test_describe_foretells_load(test_fraction, n_train, whiten):
    options = {"test_fraction": test_fraction, "n_train": n_train, "whiten": whiten}
    try:
        shape = describe("iris", **options)
    except ValueError:
        with pytest.raises(ValueError, match=r"^data\.\w+=.*: allowed is"):
            load("iris", rng(), **options)
    else:
        if whiten is None or shape.n_train > 20:  # fewer samples may have a lower rank than their number
            assert shape_of(load("iris", rng(), **options)) == shape


def test_rare_classes_do_not_stop_the_split():
    data = load("gaussian", rng(), n_samples=20, n_classes=1000)
    assert len(data.x_train) == 16 and data.n_out == 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnist"}, r"data.name=mnist: allowed are digits, .*, teacher"),
        ({"name": "digits", "n_train": 1438}, r"data.n_train=1438: allowed is 1 to 1437"),
        ({"name": "digits", "n_train": 0}, r"data.n_train=0: allowed is 1 to 1437"),
        ({"name": "moons", "n_samples": 10, "n_train": 9}, r"data.n_train=9: allowed is 1 to 8"),
        ({"name": "digits", "test_fraction": 1.0}, r"data.test_fraction=1.0: .*\(0, 1\)"),
        ({"name": "digits", "test_fraction": float("nan")}, r"data.test_fraction=nan: .*\(0, 1\)"),
        ({"name": "digits", "test_fraction": 0.9999}, r"data.test_fraction=0.9999: .* a training part"),
        ({"name": "digits", "whiten": 65}, r"data.whiten=65: allowed is null or 1 to 64"),
        ({"name": "digits", "whiten": 0}, r"data.whiten=0: allowed is null or 1 to 64"),
        ({"name": "digits", "whiten": 30, "n_train": 30}, r"data.whiten=30: allowed is null or 1 to 29"),
    ],
)
def test_impossible_sizes_are_refused_before_loading(arguments, message):
    with pytest.raises(ValueError, match=message):
        describe(**arguments)


def test_whitening_beyond_the_rank_is_refused():
    with pytest.raises(ValueError, match=r"data.whiten=64: allowed is 1 to 61, the rank"):
        load("digits", rng(), whiten=64)  # three pixels are always black


def test_the_shared_raw_arrays_are_protected():
    x, _ = DATASETS["digits"]().draw(rng())
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 0


def test_noiseless_shapes_lie_where_their_formulas_say():
    x, y = DATASETS["circles"](noise=0.0, factor=0.25).draw(rng())
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 0, 1, 0.25))
    x, y = DATASETS["spirals"](noise=0.0, turns=0.1, n_classes=4).draw(rng())
    radius, turned = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi)
    np.testing.assert_allclose((turned - 0.1 * radius - y / 4 + 0.5) % 1, 0.5)


def test_a_teacher_can_be_learnt_from_and_noise_cannot():
    from sklearn.linear_model import LogisticRegression

    accuracy = {}
    for name in ["teacher", "gaussian"]:
        data = load(name, rng(), n_samples=2000, n_in=32, n_classes=2)
        accuracy[name] = LogisticRegression().fit(data.x_train, data.y_train).score(data.x_test, data.y_test)
    assert accuracy["teacher"] > 0.7 and abs(accuracy["gaussian"] - 0.5) < 0.1


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A user's cache with nothing in it, neither on disk nor in the process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundled._mnist1d.cache_clear()
    yield tmp_path
    bundled._mnist1d.cache_clear()


def test_mnist1d_is_made_offline_once_and_leaves_the_global_generators_alone(empty_cache, monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no_network)
    random.seed(7)
    np.random.seed(7)
    expected = random.random(), np.random.random()
    random.seed(7)
    np.random.seed(7)
    made = load("mnist1d", rng())
    assert (random.random(), np.random.random()) == expected
    (file,) = (empty_cache / "backscope").iterdir()  # no temporary file is left
    assert file.name.startswith("mnist1d-") and file.suffix == ".npz"

    bundled._mnist1d.cache_clear()
    monkeypatch.setattr(bundled, "_generate_mnist1d", lambda: pytest.fail("generated a second time"))
    assert np.array_equal(load("mnist1d", rng()).x_train, made.x_train)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file", b"\x80\x04N."])
def test_a_damaged_cache_is_replaced(empty_cache, monkeypatch, damage):
    small = np.arange(6.0).reshape(3, 2), np.arange(3)
    monkeypatch.setattr(bundled, "_generate_mnist1d", lambda: tuple(part.copy() for part in small))
    bundled._mnist1d()
    (file,) = (empty_cache / "backscope").iterdir()
    good = file.read_bytes()
    file.write_bytes(damage)
    bundled._mnist1d.cache_clear()
    assert np.array_equal(bundled._mnist1d()[0], small[0]) and len(file.read_bytes()) == len(good)


def test_a_cache_that_cannot_be_written_is_done_without(empty_cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty_cache / "file"))
    (empty_cache / "file").touch()
    monkeypatch.setattr(bundled, "_generate_mnist1d", lambda: (np.zeros((2, 2)), np.arange(2)))
    assert bundled._mnist1d()[0].shape == (2, 2)


def test_every_dataset_has_its_option_with_the_defaults_of_the_code():
    assert {path.stem for path in CONF.glob("*.yaml")} == set(DATASETS)
    for name, factory in DATASETS.items():
        option = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
        option.pop("defaults", None)
        parameters = {**inspect.signature(load).parameters, **inspect.signature(factory).parameters}
        expected = {key: p.default for key, p in parameters.items() if p.default is not p.empty and key != "own"}
        assert option == {"name": name} | expected
        assert describe(**option) == describe(name)
        assert not any(refusal(value, parameters[key].annotation) for key, value in option.items())
